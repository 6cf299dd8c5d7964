"""Headers that are made and read directly are those of tarfile."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyrunenv import ustar

NAMES = st.text("abcdé.- /\x7f", min_size=1, max_size=130).map(
    lambda s: "/".join(p.strip(". ") or "x" for p in s.split("/"))
)
KINDS = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}


def by_tarfile(name: str, kind: str, mode: int, mtime: int, size: int, target: str) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime, info.size, info.linkname = KINDS[kind], mode, mtime, size, target
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


@settings(max_examples=300, deadline=None)
@given(
    name=NAMES, kind=st.sampled_from(["file", "folder"]), mode=st.integers(0, 0o7777),
    mtime=st.one_of(st.integers(0, 2**33), st.integers(8**11 - 2, 8**11 + 2)),
    size=st.one_of(st.integers(0, 2**20), st.integers(8**11 - 2, 8**11 + 2)),
)  # fmt: skip
@example(name="a" * 100, kind="file", mode=0o644, mtime=0, size=0)
@example(name="a" * 101, kind="file", mode=0o644, mtime=0, size=0)
@example(name="a" * 99, kind="folder", mode=0o755, mtime=0, size=0)
@example(name="a" * 100, kind="folder", mode=0o755, mtime=0, size=0)
@example(name="a/", kind="folder", mode=0o755, mtime=0, size=0)
def test_a_header_is_the_one_that_tarfile_makes(name: str, kind: Any, mode: int, mtime: int, size: int) -> None:
    """Byte for byte, whether it is an ordinary one, or too long, too large or not ASCII for that."""
    assert ustar.header(name, kind, mode=mode, mtime=mtime, size=size) == by_tarfile(name, kind, mode, mtime, size, "")


@settings(max_examples=200, deadline=None)
@given(name=NAMES, target=NAMES)
@example(name="a", target="b" * 100)
@example(name="a", target="b" * 101)
def test_a_links_header_is_the_one_that_tarfile_makes(name: str, target: str) -> None:
    """The same for links, whose target has its own limit."""
    assert ustar.header(name, "link", mode=0o777, mtime=1, target=target) == by_tarfile(
        name, "link", 0o777, 1, 0, target
    )


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(NAMES, st.sampled_from(["file", "folder", "link"]), st.binary(max_size=1100), NAMES), max_size=5)
)
def test_what_is_read_is_what_tarfile_reads(members: list[tuple[str, Any, bytes, str]]) -> None:
    """Names, kinds, modes, times, contents and targets agree, for ordinary members and for others among them."""
    tar = b""
    for name, kind, content, target in members:
        content, target = content if kind == "file" else b"", target if kind == "link" else ""
        tar += ustar.header(name, kind, mode=0o755, mtime=12345, size=len(content), target=target)
        tar += content + ustar.padding(len(content))
    tar += ustar.end(len(tar))
    assert len(tar) % tarfile.RECORDSIZE == 0
    expected = []
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for info in archive:
            kind = next(kind for kind, letter in KINDS.items() if letter == info.type)
            stream = archive.extractfile(info) if kind == "file" else None
            content = stream.read() if stream else b""
            expected.append((info.name, kind, info.mode, info.mtime, content, info.linkname))
    assert [tuple(member) for member in ustar.read(io.BytesIO(tar))] == expected


def test_a_tar_that_ends_too_early_is_an_error() -> None:
    """Neither a cut content nor a lacking end is taken for the whole."""
    tar = ustar.header("a", "file", mode=0o644, mtime=0, size=1000) + bytes(1000)
    for size in (600, len(tar) - 400, len(tar)):
        with pytest.raises(tarfile.TarError):
            list(ustar.read(io.BytesIO(tar[:size])))


def test_a_member_that_is_not_ours_is_an_error() -> None:
    """A device or a hard link is in no tar of this program."""
    info = tarfile.TarInfo("a")
    info.type, info.linkname = tarfile.LNKTYPE, "b"
    with pytest.raises(tarfile.ReadError, match="does not write"):
        list(ustar.read(io.BytesIO(info.tobuf() + bytes(10240))))
