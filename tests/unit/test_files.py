"""Files that appear whole or not at all, and what killed writers leave."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyrunenv.errors import WriteError
from pyrunenv.files import Replacement, atomic_path, replace_all, write_atomic

KILLED = """
import os, signal, sys
from pathlib import Path
from pyrunenv.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_equal_file_is_left_alone(tmp_path: Path) -> None:
    """What is written already is neither written nor dated anew."""
    path = tmp_path / "deep" / "file"
    assert write_atomic(path, "text")
    before = path.stat()
    assert not write_atomic(path, b"text")
    assert path.stat() == before
    assert write_atomic(path, "other")


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """The temporary file goes with the exception."""
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")

    def interrupted() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("new", encoding="utf-8")
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and flock")
@pytest.mark.parametrize("content", ["new", "old"])
def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path, content: str) -> None:
    """Also where the next write finds that nothing is to be written."""
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert len(names(tmp_path)) == 2
    write_atomic(path, content)
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs flock")
def test_a_living_writer_is_not_disturbed(tmp_path: Path) -> None:
    """Two writers of one file at once: both finish, the last one wins, files of other names are nobody's leftovers."""
    path = tmp_path / "file"
    (tmp_path / ".file.other.tmp").touch()
    (tmp_path / ".file2.abcdefgh.tmp").touch()
    with atomic_path(path) as first:
        first.write_text("first", encoding="utf-8")
        with atomic_path(path) as second:
            second.write_text("second", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "second"
    assert path.read_text(encoding="utf-8") == "first"
    assert names(tmp_path) == [".file.other.tmp", ".file2.abcdefgh.tmp", "file"]


def test_no_room_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is named, and what to do; nothing stays."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"cannot write .*file: No space left") as caught:
        write_atomic(tmp_path / "file", "text")
    assert caught.value.hint == "make room there, and run again"
    assert names(tmp_path) == []


def test_a_folder_that_is_a_file_is_told_in_words(tmp_path: Path) -> None:
    """Other refusals of the system are named too."""
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot write"):
        write_atomic(tmp_path / "file" / "below", "text")


def test_all_or_none_of_several_files(tmp_path: Path) -> None:
    """In their order; new ones too, equal ones are not touched, and nothing else is left."""
    old, new, same = (tmp_path / name for name in ("old", "new", "same"))
    old.write_bytes(b"1")
    same.write_bytes(b"1")
    before = same.stat()
    replace_all([Replacement(old, b"1", b"2"), Replacement(new, None, b"3"), Replacement(same, b"1", b"1")])
    assert (old.read_bytes(), new.read_bytes(), same.stat()) == (b"2", b"3", before)
    assert names(tmp_path) == ["new", "old", "same"]


@pytest.mark.parametrize("found", [None, b"other"])
def test_a_file_that_became_another_keeps_all_as_it_was(tmp_path: Path, found: bytes | None) -> None:
    """What was replaced before it is put back, and what was made is gone."""
    first, made, last = (tmp_path / name for name in ("first", "made", "last"))
    first.write_bytes(b"1")
    if found is not None:
        last.write_bytes(found)
    with pytest.raises(WriteError, match="last was changed by somebody else meanwhile"):
        replace_all([Replacement(first, b"1", b"2"), Replacement(made, None, b"2"), Replacement(last, b"1", b"2")])
    assert first.read_bytes() == b"1"
    assert names(tmp_path) == (["first"] if found is None else ["first", "last"])


def test_what_cannot_be_put_back_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be a lie to say that nothing changed."""
    first, last = tmp_path / "first", tmp_path / "last"
    first.write_bytes(b"1")
    real, done = Path.replace, []

    def once(path: Path, target: Path) -> Path:
        done.append(target)
        if len(done) > 1:
            raise OSError(errno.EIO, "broken", str(target))
        return real(path, target)

    monkeypatch.setattr(Path, "replace", once)
    with pytest.raises(WriteError, match="cannot be put back") as caught:
        replace_all([Replacement(first, b"1", b"2"), Replacement(last, None, b"2")])
    assert caught.value.notes == (f"{first}: broken",)
