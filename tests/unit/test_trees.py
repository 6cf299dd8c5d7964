"""Trees on disk and their tars."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrunenv.archives import Entry
from pyrunenv.trees import extract_tree, tree_entries, write_tar

PATHS = st.text("abcdé.- /", min_size=1, max_size=150).map(
    lambda s: "/".join(p.strip(". ") or "x" for p in s.split("/"))
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(PATHS, st.tuples(st.binary(max_size=1500), st.booleans()), max_size=6))
def test_what_write_tar_writes_reads_back(files: dict[str, tuple[bytes, bool]]) -> None:
    """Any names and contents survive the way through our tar, and two writings are equal."""
    entries = [Entry(path, "file", bit, content) for path, (content, bit) in sorted(files.items())]
    first, second = io.BytesIO(), io.BytesIO()
    digest = write_tar(entries, first, 0)
    assert write_tar(iter(entries), second, 0) == digest == hashlib.sha256(first.getvalue()).hexdigest()
    assert first.getvalue() == second.getvalue()
    assert len(first.getvalue()) % tarfile.RECORDSIZE == 0
    first.seek(0)
    with tarfile.open(fileobj=first) as tar:
        read = [Entry(m.name, "file", m.mode == 0o755, tar.extractfile(m).read()) for m in tar]  # type: ignore[union-attr]
        assert all((m.uid, m.gid, m.uname, m.gname, m.mtime) == (0, 0, "", "", 0) for m in tar.getmembers())
    assert read == entries


def test_a_tree_has_its_modes_and_times_whatever_the_umask(tmp_path: Path) -> None:
    """Modes are 644 and 755, links stay links, and every time is the tar's."""
    entries = [
        Entry("a/b/run", "file", True, b"x"),
        Entry("a/data", "file", False, b"y"),
        Entry("l", "link", target="a"),
        Entry("z", "folder"),
    ]
    with (tmp_path / "t.tar").open("wb") as out:
        write_tar(entries, out, 1_000_000)
    before = os.umask(0o077)
    try:
        (tmp_path / "out").mkdir()
        extract_tree(tmp_path / "t.tar", tmp_path / "out")
    finally:
        os.umask(before)
    found = {path: (stat.S_IMODE(s.st_mode), int(s.st_mtime)) for path, s in tree_entries(tmp_path / "out")}
    assert {p: f for p, f in found.items() if p != "l"} == {
        "a": (0o755, 1_000_000),
        "a/b": (0o755, 1_000_000),
        "a/b/run": (0o755, 1_000_000),
        "a/data": (0o644, 1_000_000),
        "z": (0o755, 1_000_000),
    }
    assert (tmp_path / "out" / "l").readlink() == Path("a")
    assert found["l"][1] == 1_000_000


def test_tree_entries_are_sorted_bytewise(tmp_path: Path) -> None:
    """The order is that of whole paths' bytes, so that `a-b` comes before `a/c`."""
    for name in ("a/c", "a-b", "B", "é", "z/é/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert [path for path, _ in tree_entries(tmp_path)] == ["B", "a", "a-b", "a/c", "z", "z/é", "z/é/x", "é"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o133])
def test_a_tree_is_the_one_that_tarfile_unpacks(umask: int, tmp_path: Path) -> None:
    """Long names, names beyond ASCII, empty files and links, with any umask: the same tree by another reader."""
    entries = [
        Entry("a" * 60, "folder"),
        Entry("a" * 60 + "/" + "b" * 120 + ".py", "file", False, b"long"),
        Entry("bin", "folder"),
        Entry("bin/empty", "file", True),
        Entry("bin/link", "link", target="../" + "t" * 120),
        Entry("naïve.txt", "file", False, os.urandom(700_000)),
        Entry("ü", "folder"),
    ]
    with (tmp_path / "t.tar").open("wb") as out:
        write_tar(entries, out, 1_000_000)
    before = os.umask(umask)
    try:
        for name in ("ours", "theirs"):
            (tmp_path / name).mkdir(0o755)
        extract_tree(tmp_path / "t.tar", tmp_path / "ours")
    finally:
        os.umask(before)
    with tarfile.open(tmp_path / "t.tar") as archive:
        archive.extractall(tmp_path / "theirs", filter="tar")

    def seen(folder: Path) -> list[tuple[str, int, bytes | str]]:
        found = []
        for path, status in tree_entries(folder):
            place = folder / path
            link, is_folder = stat.S_ISLNK(status.st_mode), stat.S_ISDIR(status.st_mode)
            content = str(place.readlink()) if link else b"" if is_folder else place.read_bytes()
            found.append((path, status.st_mode, content))
        return found

    assert seen(tmp_path / "ours") == seen(tmp_path / "theirs")
    assert {status.st_mtime for _, status in tree_entries(tmp_path / "ours")} == {1_000_000}


def test_a_tree_is_not_unpacked_over_another(tmp_path: Path) -> None:
    """A file that is there already is an error, and stays."""
    with (tmp_path / "t.tar").open("wb") as out:
        write_tar([Entry("a", "file", False, b"new")], out, 0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        extract_tree(tmp_path / "t.tar", tmp_path / "out")
    assert (tmp_path / "out/a").read_bytes() == b"old"
