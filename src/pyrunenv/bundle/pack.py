"""Packs a bundle's content: equal trees give equal bytes, whatever the host, the time, the umask or the number of jobs.

A ``.tgz`` is a POSIX.1-2001 tar in one gzip member (RFC 1952), a ``.zip`` follows PKWARE's APPNOTE.
"""

from __future__ import annotations

import errno
import hashlib
import tarfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pyrunenv.bundle.deflate import END, STORED_BLOCK, Deflater, crc32, deflater
from pyrunenv.bundle.place import place_lock, remove_stale
from pyrunenv.bundle.tree import Member, members
from pyrunenv.errors import AssembleError
from pyrunenv.files import CHUNK, atomic_path, sha256_file

# Magic, deflate, no flags, no time, no hint on the level, unknown system: nothing that differs between hosts.
_GZIP_HEADER = b"\x1f\x8b\x08\0" + bytes(4) + b"\0\xff"
_RECORD = 10240


@dataclass(frozen=True)
class Packed:
    """An archive's sha256 and size in bytes, and those of the tar inside it, which a zip has none of."""

    sha256: str
    size: int
    tar_sha256: str | None = None
    tar_size: int | None = None


def pack(bundle: Path, archive: Path, *, mtime: int, jobs: int) -> Packed:
    """Write the content of ``bundle`` to ``archive``, as a zip where that is its suffix, else as a gzipped tar.

    ``mtime`` is every entry's time, in seconds since 1970. The archive appears whole or not at all; raises AssembleError
    where it cannot be written, the disk is full, or the bundle changes meanwhile.
    """
    with place_lock(bundle), _writable(archive):
        remove_stale(archive)
        with atomic_path(archive) as temporary:
            packed = _pack_zip(bundle, temporary, mtime, jobs) if archive.suffix == ".zip" else None
            packed = packed or _pack_tgz(bundle, temporary, mtime, jobs)
            temporary.chmod(0o644)
    return packed


def _pack_zip(bundle: Path, archive: Path, mtime: int, jobs: int) -> Packed:
    from pyrunenv.bundle.zipped import write_zip

    with archive.open("wb") as out:
        write_zip(members(bundle), out, mtime=mtime, jobs=jobs)
    return Packed(sha256_file(archive), archive.stat().st_size)


def _pack_tgz(bundle: Path, archive: Path, mtime: int, jobs: int) -> Packed:
    with archive.open("wb", buffering=0) as raw, deflater(jobs) as blocks, _Tally() as tar:
        out = _Hashed(raw)
        out.write(_GZIP_HEADER)
        for data, cut in _tar_stream(members(bundle), mtime):
            tar.add(data)
            for block in _blocks(blocks, data, cut):
                out.write(block)
        for block in blocks.finish():
            out.write(block)
        tar_sha256, check, tar_size = tar.result()
        out.write(END + check.to_bytes(4, "little") + (tar_size & 0xFFFFFFFF).to_bytes(4, "little"))
    return Packed(out.sha256.hexdigest(), out.size, tar_sha256, tar_size)


def _blocks(blocks: Deflater, data: bytes, compressed: bool) -> Iterator[bytes]:
    return blocks.compressed(data) if compressed else blocks.plain(data)


def _tar_stream(found: list[Member], mtime: int) -> Iterator[tuple[bytes, bool]]:
    """Yield a tar's bytes, each piece with whether it is compressed already."""
    size = 0
    for member in found:
        header = _tar_header(member, mtime)
        yield header, False
        for chunk in member.chunks(STORED_BLOCK if member.compressed else CHUNK):
            yield chunk, member.compressed
        if padding := -member.size % tarfile.BLOCKSIZE:
            yield bytes(padding), False
        size += len(header) + member.size + padding
    yield bytes(2 * tarfile.BLOCKSIZE + -(size + 2 * tarfile.BLOCKSIZE) % _RECORD), False


def _tar_header(member: Member, mtime: int) -> bytes:
    info = tarfile.TarInfo(member.name)
    info.mode, info.mtime, info.size = member.mode, mtime, member.size
    if member.is_folder:
        info.type = tarfile.DIRTYPE
    elif member.is_link:
        info.type, info.linkname = tarfile.SYMTYPE, member.target
    return info.tobuf(tarfile.PAX_FORMAT)


class _Hashed:
    """Writes to a file and digests what it writes."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self.sha256, self.size = out, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self.sha256.update(data)
        self.size += len(data)
        view = memoryview(data)
        while view:  # an unbuffered file may take less than it is given
            view = view[self._out.write(view) :]


class _Tally:
    """Digests a stream in a thread of its own, at most a few pieces behind."""

    _BEHIND = 8

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "tally")
        self._pending: deque[Future[None]] = deque()
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._sha256, self._crc, self._size = hashlib.sha256(), 0, 0

    def __enter__(self) -> _Tally:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self._gathered += len(data)
        if self._gathered >= CHUNK:
            self._submit(self._BEHIND)

    def _submit(self, behind: int) -> None:
        self._pending.append(self._pool.submit(self._update, self._pieces))
        self._pieces, self._gathered = [], 0
        while len(self._pending) > behind:
            self._pending.popleft().result()

    def _update(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._sha256.update(piece)
            self._crc = crc32(piece, self._crc)
            self._size += len(piece)

    def result(self) -> tuple[str, int, int]:
        """Return the sha256, the CRC-32 and the size of all that was added."""
        self._submit(0)
        return self._sha256.hexdigest(), self._crc, self._size


@contextmanager
def _writable(archive: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "make room, and build again" if error.errno == errno.ENOSPC else None
        where = [str(error.filename)] if error.filename else []
        raise AssembleError(f"cannot pack {archive.name}: {error.strerror or error}", notes=where, hint=hint) from error
