"""The only module that writes files for others to find: whole or not at all.

Also digests of files and of plain data, so that equal inputs have equal names everywhere.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrunenv.errors import WriteError

if sys.platform != "win32":
    import fcntl

CHUNK = 1 << 20

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when a disk, or a user's share of it, is full."""

# Seconds after which a temporary file is taken for abandoned, where no lock can tell.
_ABANDONED = 86_400.0
# Letters after the name of what mkstemp makes here: eight of its own and the suffix.
_TAIL = len("abcdefgh.tmp")


def write_atomic(path: Path, content: bytes | str) -> bool:
    """Write ``content`` so that a reader sees the old file or the new one; leaves an equal file untouched.

    Returns whether the file changed; raises WriteError where it cannot be written.
    """
    encoded = content.encode() if isinstance(content, str) else content
    try:
        if path.read_bytes() == encoded:
            _remove_abandoned(path)
            return False
    except OSError:
        pass
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            with temporary.open("wb") as out:
                out.write(encoded)
                out.flush()
                os.fsync(out.fileno())
            temporary.chmod(0o644)
    except OSError as error:
        hint = "make room there, and run again" if error.errno in NO_ROOM else None
        raise WriteError(f"cannot write {path}: {error.strerror or error}", hint=hint) from error
    return True


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of ``path`` to write to; it replaces ``path`` when the block ends without an error.

    What a process left there that was killed while it did the same is removed first.
    """
    _remove_abandoned(path)
    handle, temporary = _claim(path)
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        if handle is not None:
            os.close(handle)


@dataclass(frozen=True)
class Replacement:
    """A file that is to be another; ``before`` is None for one that is not there yet."""

    path: Path
    before: bytes | None
    after: bytes


def replace_all(replacements: Sequence[Replacement]) -> None:
    """Replace files in their order, all of them or none.

    All is on the disk before the first is replaced, the old content included. Raises WriteError, also where a file is
    another by now; nothing is replaced then. What a run left that was killed is removed, of equal files too.
    """
    for each in replacements:
        _remove_abandoned(each.path)
    with ExitStack() as stack:
        try:
            staged = [
                (each, _staged(stack, each.path, each.after), _backup(stack, each))
                for each in replacements
                if each.before != each.after
            ]
            put: list[tuple[Path, Path | None]] = []
            try:
                for each, new, old in staged:
                    if (each.path.read_bytes() if each.path.exists() else None) != each.before:
                        raise WriteError(
                            f"{each.path} was changed by somebody else meanwhile", hint="nothing was written; try again"
                        )
                    put.append((each.path, old))
                    new.replace(each.path)
            except BaseException:
                _put_back(put)
                raise
        except OSError as error:
            raise WriteError(
                f"cannot write {error.filename2 or error.filename}: {error.strerror or error}",
                hint="nothing was changed; make it writable, or make room, and run again",
            ) from error


def _put_back(put: Sequence[tuple[Path, Path | None]]) -> None:
    left = []
    for path, old in reversed(put):
        try:
            old.replace(path) if old is not None else path.unlink(missing_ok=True)
        except OSError as error:
            left.append(f"{path}: {error.strerror or error}")
    if left:
        raise WriteError("files that were replaced cannot be put back", notes=left, hint="run again, which finishes it")


def _backup(stack: ExitStack, each: Replacement) -> Path | None:
    return None if each.before is None else _staged(stack, each.path, each.before)


def _staged(stack: ExitStack, path: Path, content: bytes) -> Path:
    """Write a temporary sibling, which is removed in the end if it is still there."""
    handle, temporary = _claim(path)
    stack.callback(temporary.unlink, missing_ok=True)
    if handle is not None:
        stack.callback(os.close, handle)
    with temporary.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    temporary.chmod(0o644)
    return temporary


def _claim(path: Path) -> tuple[int | None, Path]:
    """Make a temporary sibling. Where the system has flock, the handle holds one: it tells that its writer lives."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        if sys.platform == "win32":
            # An open file cannot be renamed there.
            os.close(handle)
            return None, Path(name)
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        # Somebody took it for abandoned before it was locked.
        os.close(handle)


def _remove_abandoned(path: Path) -> None:
    """Remove temporary siblings whose writer is dead. Called for every file that is to be written: it must be quick."""
    prefix = f".{path.name}."
    with suppress(OSError), os.scandir(path.parent) as entries:
        left = [e.path for e in entries if e.name.startswith(prefix) and len(e.name) == len(prefix) + _TAIL]
        for name in left:
            with suppress(OSError):
                _remove_if_abandoned(name)


def is_abandoned(path: Path) -> bool:
    """Whether the writer of a temporary file of :func:`atomic_path` is dead."""
    try:
        if sys.platform == "win32":
            return time.time() - path.stat().st_mtime > _ABANDONED
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _remove_if_abandoned(name: str) -> None:
    temporary = Path(name)
    if sys.platform == "win32":
        if time.time() - temporary.stat().st_mtime > _ABANDONED:
            temporary.unlink()
        return
    handle = os.open(name, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.unlink()
    finally:
        os.close(handle)


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> bool:
    """Write JSON in a stable form, atomically; returns whether the file changed."""
    return write_atomic(path, json.dumps(value, indent=indent, ensure_ascii=False) + "\n")


def remove_tree(path: Path) -> None:
    """Remove a folder whatever its modes are; a folder that is not there is no error."""

    def make_writable(function: Any, name: str, _: Any) -> None:
        parent = Path(name).parent
        parent.chmod(parent.stat().st_mode | stat.S_IRWXU)
        Path(name).chmod(stat.S_IRWXU)
        function(name)

    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path, onerror=make_writable)


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_bytes(content: bytes) -> str:
    """Return the sha256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest_of(value: Any) -> str:
    """Return the sha256 of plain data (dicts, lists, strings, numbers) in canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
