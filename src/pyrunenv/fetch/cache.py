"""The content-addressed cache: one folder that all environments and processes of a machine share.

Nothing enters under its digest that was not checked against it. Locks are files under ``locks/``, freed by the system
when their process dies; whatever lies in ``tmp/`` bears its lock's name, so that what a killed process left is known.
What a power cut damaged is found when it is next used: each process hashes a blob once before it relies on it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pyrunenv.errors import CacheError
from pyrunenv.files import CHUNK, NO_ROOM, remove_tree

if TYPE_CHECKING:
    from pyrunenv.fetch.upkeep import CacheInfo

MAKE_ROOM = "free some space (`pyrunenv cache prune --max-size SIZE`), or move PYRUNENV_CACHE to another disk"
"""What to do where the cache's disk is full."""
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
_NOT_OURS = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM, errno.EIO)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_Identity = tuple[int, int, int]


class DamagedBlob(CacheError):
    """A blob is not there, or was not what its name says and has been removed: it must be fetched again."""

    code = "damaged-blob"

    def __init__(self, sha256: str, notes: tuple[str, ...]) -> None:
        super().__init__(
            f"the cache has no sound file with the sha256 {sha256}", notes=notes,
            hint="run again without --offline: it is then downloaded again",
        )  # fmt: skip
        self.sha256 = sha256


class Cache:
    """The folders below ``root``; they are made when first needed. Safe for several threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs" / "sha256"
        self.metadata = root / "metadata"
        self.uv = root / "uv"
        self.interpreters = root / "interpreters"
        self.build = root / "build"
        self.tmp = root / "tmp"
        self.locks = root / "locks"
        self._verified: dict[str, _Identity] = {}
        self._touching = threading.Lock()
        self._in_use: dict[Path, ExitStack] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Travel to a worker process with what is verified here, so that nothing is hashed twice."""
        return {name: value for name, value in vars(self).items() if name not in ("_touching", "_in_use")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _touching=threading.Lock(), _in_use={})

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> Cache:
        """Return the cache that PYRUNENV_CACHE names, else the one in the user's cache folder."""
        given = env.get("PYRUNENV_CACHE")
        if given:
            return cls(Path(given).expanduser().absolute())
        import platformdirs

        return cls(platformdirs.user_cache_path("pyrunenv"))

    @contextmanager
    def made_once(self, kind: str, key: str) -> Iterator[tuple[Path, bool]]:
        """Give a folder that holds one thing made from ``key``, and whether it has to be made now.

        It counts as made when the block ends without an error, and is empty when it is to be made. Whoever else wants it
        waits meanwhile.
        """
        folder = self.build / kind / f"{kind}-{key}"
        ready = folder / ".ready"
        with self.lock(folder.name), self.guarded("write", folder):
            missing = not ready.exists()
            if missing:
                remove_tree(folder)
                folder.mkdir(parents=True)
            yield folder, missing
            ready.touch()  # used now: what was not for longest is pruned first
            self._use(folder)

    def shared(self, folder: Path) -> Path:
        """Give a folder that many fill at once; as what is made once it is not pruned as long as this process lives."""
        with self.lock(folder.name), self.guarded("write", folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._use(folder)
        return folder

    def _use(self, folder: Path) -> None:
        """Keep :mod:`pyrunenv.fetch.upkeep` from removing a folder; to be called while its lock is held."""
        from pyrunenv.presence import present

        with self._touching:
            if folder not in self._in_use:
                self._in_use[folder] = held = ExitStack()
                held.enter_context(present([folder]))

    def blob(self, sha256: str) -> Path:
        """Return where the blob with this digest lies, or would lie."""
        if not _DIGEST.fullmatch(sha256):
            raise CacheError(f"`{sha256}` is not a sha256 digest of 64 lower-case hexadecimal digits")
        return self.blobs / sha256[:2] / sha256

    def has(self, sha256: str, size: int | None = None) -> bool:
        """Whether the blob is there, with the right size where that is known; its bytes are not looked at."""
        try:
            status = self.blob(sha256).stat()
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and size in (None, status.st_size)

    def check(self, sha256: str, size: int | None = None) -> bool:
        """Whether the blob is there and sound; one that is not is removed. Hashes it once in this process."""
        path = self.blob(sha256)
        if not self.has(sha256):
            return False
        with self.guarded("read", path):
            try:
                stream = path.open("rb")
            except FileNotFoundError:
                return False
            with stream:
                if size in (None, os.fstat(stream.fileno()).st_size) and self._sound(sha256, stream):
                    return True
            discard(path)
        return False

    def adopt(self, temporary: Path, sha256: str) -> Path:
        """Move a finished file under its digest, atomically. The caller has checked that it is the file's own."""
        path = self.blob(sha256)
        with self.guarded("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.chmod(0o444)
            if os.name == "nt":
                discard(path)
            temporary.replace(path)
            self._used(sha256, path)
        return path

    def copy_to(self, sha256: str, target: Path) -> None:
        """Copy a blob to ``target`` (mode 0644), sharing blocks where the file system can, but never the inode.

        Raises DamagedBlob, and removes the blob, where its bytes are not those of its digest.
        """
        with self._opened(sha256) as source, _written(target):
            _copy(source, target)

    def link_to(self, sha256: str, target: Path) -> None:
        """Make ``target`` (mode 0644) a second name of a blob where that has none yet, else a copy; raises as that does.

        As a link it costs neither time nor room. Who writes into it changes the blob as well: that is noticed when it is
        next used, as any damage is. A third name there never is, so that no two bundles change together.
        """
        with self._opened(sha256) as source, _written(target):
            target.unlink(missing_ok=True)
            if not _link(Path(source.name), target):
                _copy(source, target)

    @contextmanager
    def _opened(self, sha256: str) -> Iterator[BufferedReader]:
        """Open a blob that is sound; raises DamagedBlob, and removes it, where it is not."""
        path = self.blob(sha256)
        try:
            source = path.open("rb")
        except FileNotFoundError:
            raise DamagedBlob(sha256, (f"{path} is not there",)) from None
        except OSError as error:
            raise self.failure(error, "read", path) from error
        with source:
            with self.guarded("read", path):
                sound = self._sound(sha256, source)
            if not sound:
                discard(path)
                raise DamagedBlob(sha256, (f"{path} was damaged and has been removed",))
            yield source

    @contextmanager
    def lock(self, name: str, cancelled: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Hold the lock of this name against other threads and processes; waits until it is free.

        ``cancelled`` is asked from time to time while waiting; True raises InterruptedError.
        """
        from filelock import FileLock, Timeout

        path = self._lock_path(name)
        held = FileLock(path)
        with self.guarded("lock", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            while True:
                if cancelled():
                    raise InterruptedError(f"stopped while waiting for {path}")
                with suppress(Timeout):
                    held.acquire(timeout=0.5, poll_interval=0.02)
                    break
        try:
            yield
        finally:
            held.release()

    @contextmanager
    def free(self, name: str) -> Iterator[bool]:
        """Hold the lock of this name if nobody else does; tells whether it is held. Its file is removed at the end.

        Raises CacheError where no lock can be made.
        """
        from filelock import FileLock, Timeout

        path = self._lock_path(name)
        held = FileLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held.acquire(timeout=0)
        except Timeout:
            yield False
            return
        except OSError as error:
            raise self.failure(error, "lock", path) from error
        try:
            yield True
        finally:
            # Unlinked while it is held: who waits for it sees that the file is gone, and makes a new one.
            with suppress(OSError):
                path.unlink()
            held.release()

    @contextmanager
    def temporary(self, suffix: str = "") -> Iterator[Path]:
        """Give a path in ``tmp/`` for a file or folder; whatever is there when the block ends is removed."""
        name = f"t{secrets.token_hex(8)}"
        path = self.tmp / (name + (suffix if suffix.startswith(".") or not suffix else f".{suffix}"))
        # The lock is taken before the path is made: who finds a path whose lock is free knows that its owner is dead.
        with self.lock(name):
            try:
                with self.guarded("write", path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                yield path
            finally:
                remove_tree(path)
                with suppress(OSError):
                    self._lock_path(name).unlink()

    def part(self, sha256: str) -> Path:
        """Return where the beginning of a blob is kept between runs; only who holds the digest's lock touches it."""
        return self.tmp / f"{sha256}.part"

    @contextmanager
    def guarded(self, action: str, path: Path) -> Iterator[None]:
        """Turn what the file system refuses into a CacheError that says what to do."""
        try:
            yield
        except InterruptedError:
            raise
        except OSError as error:
            raise self.failure(error, action, path) from error

    def failure(self, error: OSError, action: str, path: Path) -> CacheError:
        """Return the CacheError for what the file system refused."""
        hint = MAKE_ROOM if error.errno in NO_ROOM else "set PYRUNENV_CACHE to a folder that you can write to"
        return _failure(error, f"the cache cannot {action} {path}", hint)

    def info(self) -> CacheInfo:
        """Count what the cache holds; see :func:`pyrunenv.fetch.upkeep.info`."""
        from pyrunenv.fetch import upkeep

        return upkeep.info(self)

    def verify(self) -> list[Path]:
        """Remove damaged blobs and return where they were; see :func:`pyrunenv.fetch.upkeep.verify`."""
        from pyrunenv.fetch import upkeep

        return upkeep.verify(self)

    def prune(self, max_size: int | None = None) -> int:
        """Remove leftovers and the least recently used, return the bytes; see :func:`pyrunenv.fetch.upkeep.prune`."""
        from pyrunenv.fetch import upkeep

        return upkeep.prune(self, max_size)

    def _lock_path(self, name: str) -> Path:
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
        if plain != name or len(plain) > 120:
            plain = f"{plain[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        return self.locks / f"{plain}.lock"

    def _sound(self, sha256: str, stream: BufferedReader) -> bool:
        """Whether an open blob has the right bytes; remembered for as long as it keeps its inode, size and time."""
        if self._verified.get(sha256) != _identity(os.fstat(stream.fileno())):
            if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
                return False
            stream.seek(0)
        self._used(sha256, Path(stream.name))
        return True

    def _used(self, sha256: str, path: Path) -> None:
        """Note in a blob's access time when it was used, for :mod:`pyrunenv.fetch.upkeep`; remember that it is sound.

        The other time stays: a bundle's wheel may be the same file, and is known by it.
        """
        with self._touching, suppress(OSError):
            status = path.stat()
            self._verified[sha256] = _identity(status)
            os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))


def discard(path: Path) -> None:
    """Remove a file of the cache that may be gone already."""
    with suppress(FileNotFoundError):
        if os.name == "nt":
            path.chmod(stat.S_IWRITE)
        path.unlink()


def _identity(status: os.stat_result) -> _Identity:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _failure(error: OSError, message: str, hint: str) -> CacheError:
    if error.errno in NO_ROOM:
        return CacheError(f"{message}: no space is left on the disk", notes=[str(error)], hint=hint)
    if error.errno in _NO_RIGHT:
        return CacheError(f"{message}: permission is denied", notes=[str(error)], hint=hint)
    return CacheError(f"{message}: {error.strerror or error}", notes=[str(error)], hint=hint)


@contextmanager
def _written(target: Path) -> Iterator[None]:
    """Leave nothing of a file that could not be written, and turn what the file system says into a CacheError."""
    try:
        yield
    except OSError as error:
        target.unlink(missing_ok=True)
        raise _failure(error, f"{target} cannot be written", "free some space there, then run again") from error


def _link(path: Path, target: Path) -> bool:
    """Give a file its second name; False where that cannot be, or would be its third."""
    try:
        target.hardlink_to(path)
        if target.stat().st_nlink == 2:
            target.chmod(0o644)
            return True
    except OSError:
        pass  # another disk, no links there, somebody else's file
    target.unlink(missing_ok=True)
    return False


def _copy(source: BinaryIO, target: Path) -> None:
    """Copy an open file to a new one. What was there is unlinked first: it might be a link to elsewhere."""
    target.unlink(missing_ok=True)
    with target.open("xb", buffering=0) as out:
        if not _copy_in_kernel(source.fileno(), out.fileno()):
            source.seek(0)
            out.seek(0)
            out.truncate()
            shutil.copyfileobj(source, out, CHUNK)
    target.chmod(0o644)


def _copy_in_kernel(source: int, target: int) -> bool:
    """Let the kernel copy, as a reflink where the file system has them; whether it copied everything."""
    if not hasattr(os, "copy_file_range"):
        return False
    size = os.fstat(source).st_size
    done = 0
    try:
        while done < size:
            count = os.copy_file_range(source, target, size - done, done, done)
            if not count:
                return False
            done += count
    except OSError as error:
        if error.errno in _NOT_OURS:
            return False
        raise
    return True
