"""Tarballs: the same bytes twice, and what npm makes of the same folder."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunenv.errors import UnsafeArchive
from pyrunenv.npm.tarball import Tarball, pack, unpack

FILES = {"package.json": b"{}", "dist/tengo/software/main.sw.json": b"x" * 5000, "README.md": "naïve\n".encode()}


def test_the_same_files_give_the_same_bytes_in_any_order() -> None:
    """Neither the order in which files are found nor the time matters; the digest is pinned."""
    first = pack(FILES)
    assert pack(dict(reversed(FILES.items()))) == first
    assert hashlib.sha256(first).hexdigest() == "40f20abc1ef3b007b53e5a2b0ec394d4d98044088095d3306f8e94729d7b5d65"


def test_members_are_those_of_npm() -> None:
    """Below package/, sorted, mode 0644, nobody's, and all of npm's one time."""
    with tarfile.open(fileobj=io.BytesIO(pack(FILES))) as archive:
        members = archive.getmembers()
        contents = {m.name: archive.extractfile(m).read() for m in members}  # type: ignore[union-attr]
    assert [m.name for m in members] == sorted(f"package/{path}" for path in FILES)
    assert {(m.mode, m.uid, m.gid, m.uname, m.mtime) for m in members} == {(0o644, 0, 0, "", 499_162_500)}
    assert contents == {f"package/{path}": content for path, content in FILES.items()}


def test_digests_are_of_the_bytes() -> None:
    """SRI is base64 of sha512, shasum is sha1 in hexadecimal, and the file is named as `npm pack` names it."""
    tarball = Tarball("@scope/group.name", "1.2.3", {}, FILES)
    assert tarball.integrity == "sha512-" + base64.b64encode(hashlib.sha512(tarball.content).digest()).decode()
    assert tarball.shasum == hashlib.sha1(tarball.content).hexdigest()
    assert tarball.file_name == "scope-group.name-1.2.3.tgz"
    assert tarball.unpacked_size == sum(map(len, FILES.values()))


@given(st.lists(st.tuples(st.from_regex(r"[a-zé_-]{1,60}(/[a-z0-9.]{1,80}x){0,2}", fullmatch=True), st.binary())))
def test_what_is_packed_comes_out_again(given: list[tuple[str, bytes]]) -> None:
    """Whatever the names and contents: long names and those beyond ASCII too."""
    files = {f"{number}/{name}": content for number, (name, content) in enumerate(given)}
    assert unpack(pack(files), "it") == files


def test_a_tarball_of_others_loses_its_first_folder_whatever_its_name() -> None:
    """npm strips one folder; GitHub's tarballs name it after the repository."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("owner-repo-123/dist/a")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"a"))
    assert unpack(out.getvalue(), "it") == {"dist/a": b"a"}


def test_a_tarball_that_climbs_out_is_refused() -> None:
    """A registry is not trusted with our disk, nor with our memory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("package/../../etc/passwd"))
    with pytest.raises(UnsafeArchive):
        unpack(out.getvalue(), "it")
    with pytest.raises(UnsafeArchive):
        unpack(b"<html>not found</html>", "it")
