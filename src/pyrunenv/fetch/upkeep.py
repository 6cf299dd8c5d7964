"""What the cache holds, whether it is sound, and what can go: ``pyrunenv cache info|verify|prune``."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyrunenv.fetch.cache import Cache, discard
from pyrunenv.files import remove_tree, sha256_file


@dataclass(frozen=True)
class Held:
    """A number of files and the bytes in them."""

    count: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds, by kind: blobs, metadata, uv, interpreters, build (what builds from source use), temporary."""

    root: Path
    kinds: Mapping[str, Held]

    @property
    def bytes(self) -> int:
        """All of it, in bytes."""
        return sum(held.bytes for held in self.kinds.values())


@dataclass(frozen=True)
class _Entry:
    """Something that goes as a whole: a blob, a note, an interpreter's tar with its facts."""

    paths: tuple[Path, ...]
    used: float
    bytes: int


def info(cache: Cache) -> CacheInfo:
    """Count what the cache holds. A cache that was never used is empty."""
    folders = {
        "blobs": cache.blobs, "metadata": cache.metadata, "uv": cache.uv, "interpreters": cache.interpreters,
        "build": cache.build, "temporary": cache.tmp,
    }  # fmt: skip
    return CacheInfo(cache.root, {kind: _held(folder) for kind, folder in folders.items()})


def verify(cache: Cache) -> list[Path]:
    """Hash every blob; remove those that are not what their name says, and return where they were, sorted."""
    damaged = []
    for path in sorted(_files(cache.blobs)):
        with cache.guarded("read", path):
            try:
                if path == cache.blobs / path.name[:2] / path.name and sha256_file(path) == path.name:
                    continue
            except FileNotFoundError:
                continue
            discard(path)
        damaged.append(path)
    return damaged


def prune(cache: Cache, max_size: int | None = None) -> int:
    """Remove what no living process needs: leftovers, lock files, and what lies beyond ``max_size`` bytes.

    The least recently used goes first. What the resolver keeps in ``uv/`` is its own, and not counted.
    Returns the number of bytes removed.
    """
    removed = _prune_temporaries(cache) + _prune_abandoned(cache)
    if max_size is not None:
        removed += _prune_entries(cache, max_size)
    for path in list(_files(cache.locks)):
        with cache.free(path.name.removesuffix(".lock")):
            pass
    return removed


def _prune_temporaries(cache: Cache) -> int:
    removed = 0
    for path in _children(cache.tmp):
        with cache.free(path.name.partition(".")[0]) as free:
            if free:
                removed += _remove(cache, path)
    return removed


def _prune_abandoned(cache: Cache) -> int:
    """Remove what the dead left beside interpreters and in the resolver's cache, where no living one is at work.

    Who prepares an interpreter holds a lock there, and uv holds `.lock` of its cache while it runs. The leftovers are
    listed before the locks are tried: what is made later is not touched.
    """
    unpacked = "archive-"  # where a wheel may hold files of any name
    left = [path for path in cache.uv.rglob(".tmp*") if unpacked not in str(path.parent.relative_to(cache.uv))]
    removed = 0
    for folder, found, locks in (
        (cache.interpreters, list(cache.interpreters.glob(".*.tmp")), "*.lock"), (cache.uv, left, ".lock"),
    ):  # fmt: skip
        if found and all(_is_free(lock) for lock in folder.glob(locks)):
            removed += sum(_remove(cache, path) for path in found)
    return removed


def _is_free(lock: Path) -> bool:
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock, timeout=0):
            return True
    except (Timeout, OSError):
        return False


def _in_use(path: Path) -> bool:
    """Whether some process works in a folder; none begins to while the lock of its name is held."""
    from pyrunenv.errors import Busy
    from pyrunenv.presence import alone

    try:
        with alone(path):
            return False
    except Busy:
        return True


def _prune_entries(cache: Cache, max_size: int) -> int:
    entries = sorted(_entries(cache), key=lambda entry: (entry.used, entry.paths))
    total = sum(entry.bytes for entry in entries)
    removed = 0
    for entry in entries:
        if total - removed <= max_size:
            break
        with cache.free(entry.paths[0].name) as free:
            if free and not _in_use(entry.paths[0]):
                removed += sum(_remove(cache, path) for path in entry.paths)
    return removed


def _entries(cache: Cache) -> Iterator[_Entry]:
    tars = [(tar, tar.with_suffix(".json")) for tar in cache.interpreters.glob("*.tar") if _is_free(_lock_of(tar))]
    files = (*_files(cache.blobs), *_files(cache.metadata), *_files(cache.build / "wheels"), *_files(cache.build / "metadata"),
             *_files(cache.build / "requires"), *_files(cache.build / "logs"))  # fmt: skip
    folders = [
        folder
        for kind in ("environment", "headers", "site", "python", "git")
        for folder in _children(cache.build / kind)
    ]
    compiled = [cache.build / "zig"] if (cache.build / "zig").exists() else []
    for paths in (*((path,) for path in (*files, *folders, *compiled)), *tars):
        try:
            used = _used(paths[0])
        except FileNotFoundError:
            continue
        yield _Entry(paths, used, sum(_held(path).bytes for path in paths))


def _used(path: Path) -> float:
    """When something was last used; of a folder that is made once, its mark tells."""
    mark = path / ".ready"
    status = (mark if mark.exists() else path).stat()
    return max(status.st_atime, status.st_mtime)


def _lock_of(tar: Path) -> Path:
    return tar.with_suffix(".lock")


def _remove(cache: Cache, path: Path) -> int:
    size = _held(path).bytes
    with cache.guarded("remove", path):
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            discard(path)
    return size


def _held(path: Path) -> Held:
    count = size = 0
    for file in _files(path):
        try:
            size += file.lstat().st_size
        except FileNotFoundError:
            continue
        count += 1
    return Held(count, size)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(path: Path) -> Iterator[Path]:
    """Yield the files below a folder, or the file itself; what vanishes meanwhile is passed over."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISDIR(mode):
        yield path
        return
    for folder, _, names in os.walk(path):
        for name in names:
            yield Path(folder, name)
