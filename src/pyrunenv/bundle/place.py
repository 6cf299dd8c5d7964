"""A bundle's place on disk: who may write there, and what a killed process left beside it."""

from __future__ import annotations

import glob
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyrunenv.errors import AssembleError
from pyrunenv.files import NO_ROOM, remove_tree

if sys.platform == "linux":
    import fcntl

# FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_TOPDIR_FL of linux/fs.h. Their argument is an int, whatever their numbers say.
_GET_FLAGS, _SET_FLAGS, _TOPDIR = 0x80086601, 0x40086602, 0x00020000
_FLAGS = struct.Struct("=i")


@contextmanager
def written(message: str) -> Iterator[None]:
    """Turn an OSError in the block into an AssembleError with this message."""
    try:
        yield
    except OSError as error:
        raise AssembleError(
            f"{message}: {error.strerror or error}",
            notes=[str(error.filename)] if error.filename else [],
            hint="make room, and build again" if error.errno in NO_ROOM else None,
        ) from error


@contextmanager
def place_lock(bundle: Path) -> Iterator[None]:
    """Keep other processes and threads from writing the bundle, or packing it, while the block runs."""
    # imported late: a run with nothing to do never needs it
    from filelock import FileLock

    bundle.parent.mkdir(parents=True, exist_ok=True)
    _spread(bundle.parent)
    with FileLock(bundle.parent / f".{bundle.name}.lock", thread_local=False):
        yield


def _spread(folder: Path) -> None:
    """Tell the file system that the folders in this one have nothing to do with each other (chattr(1), attribute T).

    An ext4 without a journal, as virtual machines have it, makes files ten times slower near others that were deleted in
    the last minutes: a build after another took twice as long. With the attribute, each bundle gets a place of its own.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # no other file system knows it
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                (flags,) = _FLAGS.unpack(fcntl.ioctl(handle, _GET_FLAGS, bytes(_FLAGS.size)))
                if not flags & _TOPDIR:
                    fcntl.ioctl(handle, _SET_FLAGS, _FLAGS.pack(flags | _TOPDIR))
            finally:
                os.close(handle)


def temporary_sibling(path: Path, suffix: str) -> Path:
    """Return a name beside ``path`` that nothing has and that :func:`remove_stale` finds."""
    # imported late, as above: random is large
    from uuid import uuid4

    return path.with_name(f".{path.name}.{uuid4().hex[:12]}{suffix}.tmp")


def remove_stale(path: Path) -> None:
    """Remove what a dead process left beside ``path``; only to be called under the lock, when no live one writes."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        remove_tree(left)


def replace_folder(building: Path, target_dir: Path) -> None:
    """Put a finished folder in the place of another, which stays where that fails; to be called under the lock."""
    # A folder cannot be replaced in one step everywhere. Between the two renames there is no bundle, never half of one.
    aside = temporary_sibling(target_dir, ".old")
    try:
        target_dir.rename(aside)
    except FileNotFoundError:
        building.rename(target_dir)
        return
    try:
        building.rename(target_dir)
    except OSError:
        aside.rename(target_dir)
        raise
    remove_tree(aside)
