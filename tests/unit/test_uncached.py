"""Writing and reading past memory: the same bytes whatever the system can do, and no wait for a slow disk."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from pyrunenv import uncached
from pyrunenv.uncached import Uncached

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone writes past memory")


@pytest.fixture(autouse=True)
def _on_a_new_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this system knew how; it may still refuse."""
    monkeypatch.setattr(uncached, "_known", lambda: True)


PIECES = [os.urandom(size) for size in (1, 70_000, 1 << 20, 3)]


def write(path: Path, pieces: Sequence[bytes] = PIECES) -> bytes:
    """Write pieces after what is there, as an archive follows its header; returns all of it."""
    with path.open("wb", buffering=0) as raw:
        raw.write(b"first ")
        out = Uncached(raw.fileno())
        for piece in pieces:
            out.write(memoryview(piece))
        raw.write(b" last")
    return path.read_bytes()


def read(path: Path) -> bytes:
    """Read all but the beginning of a file, as an archive's reader does that has looked at its magic."""
    with path.open("rb", buffering=0) as raw:
        assert raw.read(6) == b"first "
        file = Uncached(raw.fileno())
        return b"".join(iter(lambda: file.read(300_000), b""))


def refusing(error: Exception) -> Callable[..., int]:
    def refuse(*_: object) -> int:
        raise error

    return refuse


def test_all_is_written_in_order(tmp_path: Path) -> None:
    """As the system here does it."""
    assert write(tmp_path / "a") == b"".join([b"first ", *PIECES, b" last"])


def test_all_is_read_in_order(tmp_path: Path) -> None:
    """From where the file stands to its end, then nothing."""
    write(tmp_path / "a")
    assert read(tmp_path / "a") == b"".join([*PIECES, b" last"])


@pytest.mark.parametrize(
    "error", [OSError(errno.EOPNOTSUPP, "no"), OSError(errno.EINVAL, "no"), NotImplementedError("no pwritev2 here")]
)
def test_a_system_that_cannot_writes_as_usual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """An older Linux, a file system without it, a C library without the call."""
    monkeypatch.setattr(os, "pwritev", refusing(error))
    monkeypatch.setattr(os, "preadv", refusing(error))
    assert write(tmp_path / "a") == b"".join([b"first ", *PIECES, b" last"])
    assert read(tmp_path / "a") == b"".join([*PIECES, b" last"])


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing disk fails."""
    write(tmp_path / "a")
    monkeypatch.setattr(os, "preadv", refusing(OSError(errno.EIO, "broken")))
    with pytest.raises(OSError, match="broken"):
        read(tmp_path / "a")


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system may take fewer bytes than it is given."""
    monkeypatch.setattr(os, "pwritev", lambda handle, data, *_: os.write(handle, data[0][:1000]))
    assert write(tmp_path / "a") == b"".join([b"first ", *PIECES, b" last"])


def test_pieces_in_one_go_are_written_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than the system takes at once, empty ones among them, and a system that stops in the midst of one."""
    pieces = [bytes([number % 256]) * (number % 7) for number in range(3000)]
    whole = b"".join(pieces)

    def written() -> bytes:
        with (tmp_path / "a").open("wb", buffering=0) as raw:
            Uncached(raw.fileno()).write(*pieces)
        return (tmp_path / "a").read_bytes()

    assert written() == whole
    monkeypatch.setattr(os, "pwritev", lambda handle, data, *_: os.write(handle, b"".join(data)[:13]))
    assert written() == whole
    monkeypatch.setattr(os, "pwritev", refusing(OSError(errno.EOPNOTSUPP, "no")))
    assert written() == whole
    monkeypatch.delattr(os, "writev")
    assert written() == whole


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would fail as usual too is not tried again as usual."""
    monkeypatch.setattr(os, "pwritev", refusing(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        write(tmp_path / "a")


def test_a_slow_disk_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has held us up, the rest goes by way of memory."""
    calls = []

    def slow(handle: int, data: Sequence[memoryview], *_: object) -> int:
        calls.append(len(data[0]))
        time.sleep(0.06)
        return os.write(handle, data[0])

    monkeypatch.setattr(os, "pwritev", slow)
    pieces = [b"0123456789"] * 50
    assert write(tmp_path / "a", pieces) == b"".join([b"first ", *pieces, b" last"])
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("release", "known"),
    [
        ("6.18.44-fc", True),
        ("6.16.0", True),
        ("7.0-rc1", True),
        ("6.15.9-generic", False),
        ("5.15.0", False),
        ("?", False),
    ],
)
def test_a_system_that_does_it_wrong_is_not_asked(monkeypatch: pytest.MonkeyPatch, release: str, known: bool) -> None:
    """Linux 6.14 has it, and could lose what was written last."""
    monkeypatch.undo()
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    assert uncached._known.__wrapped__() is known
