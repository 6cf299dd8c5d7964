"""Packs a bundle's content: equal trees give equal bytes, whatever the host, the time, the umask or the number of jobs.

A ``.tgz`` is a POSIX.1-2001 tar in one gzip member (RFC 1952), a ``.zip`` follows PKWARE's APPNOTE.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pyrunenv import ustar
from pyrunenv.bundle.place import place_lock, remove_stale, written
from pyrunenv.files import CHUNK, atomic_path, sha256_file
from pyrunenv.packing.deflate import END, STORED_BLOCK, Pieces, crc32, deflater
from pyrunenv.packing.tree import Member, members
from pyrunenv.uncached import Uncached

T = TypeVar("T")

# Pieces of a megabyte, at most, that one thread may be ahead of the next.
_APART = 8

# Magic, deflate, no flags, no time, no hint on the level, unknown system: nothing that differs between hosts.
GZIP_HEADER = b"\x1f\x8b\x08\0" + bytes(4) + b"\0\xff"


@dataclass(frozen=True)
class Packed:
    """An archive's sha256 and size in bytes, and those of the tar inside it, which a zip has none of."""

    sha256: str
    size: int
    tar_sha256: str | None = None
    tar_size: int | None = None


def pack(bundle: Path, archive: Path, *, mtime: int, jobs: int) -> Packed:
    """Write the content of ``bundle`` to ``archive``, as a zip where that is its suffix, else as a gzipped tar.

    ``mtime`` is every entry's time, in seconds since 1970. The archive appears whole or not at all; raises
    AssembleError where it cannot be written, the disk is full, or the bundle changes meanwhile.
    """
    with place_lock(bundle), written(f"cannot pack {archive.name}"):
        remove_stale(archive)
        with atomic_path(archive) as temporary:
            packed = _pack_zip(bundle, temporary, mtime, jobs) if archive.suffix == ".zip" else None
            packed = packed or pack_members(members(bundle), temporary, mtime=mtime, jobs=jobs)
            temporary.chmod(0o644)
    return packed


def _pack_zip(bundle: Path, archive: Path, mtime: int, jobs: int) -> Packed:
    from pyrunenv.packing.zipped import write_zip

    with archive.open("wb") as out:
        write_zip(members(bundle), out, mtime=mtime, jobs=jobs)
    return Packed(sha256_file(archive), archive.stat().st_size)


def pack_members(found: list[Member], archive: Path, *, mtime: int, jobs: int) -> Packed:
    """Write members of a bundle to a new file, as a gzipped tar."""
    tar, out = _Checked(), _Digest()
    with (
        archive.open("wb", buffering=0) as raw,
        deflater(jobs, quick=_is_mostly_compressed(found)) as blocks,
        _ahead(_tar_stream(found, mtime)) as stream,
        _Line("digest") as hasher,
        _Line("write") as writer,
    ):
        file = Uncached(raw.fileno())

        def write(pieces: Pieces) -> None:
            for piece in pieces:
                out.update(piece)
            file.write(*pieces)

        write([GZIP_HEADER])
        for data, compressed in stream:
            hasher.add(tar.update, data)
            for block in blocks.compressed(data) if compressed else blocks.plain(data):
                writer.add(write, block)
        for block in blocks.finish():
            writer.add(write, block)
        writer.finish()
        hasher.finish()
        write([END, tar.crc.to_bytes(4, "little"), (tar.size & 0xFFFFFFFF).to_bytes(4, "little")])
    return Packed(out.sha256.hexdigest(), out.size, tar.sha256.hexdigest(), tar.size)


def tar_digest(bundle: Path, *, mtime: int) -> str:
    """Return the sha256 of the tar that packing a bundle makes."""
    digest = hashlib.sha256()
    for data, _ in _tar_stream(members(bundle), mtime):
        digest.update(data)
    return digest.hexdigest()


def _is_mostly_compressed(found: list[Member]) -> bool:
    """Whether plain data is at most a fifth of all, so that quick compression makes an archive less than 0.5 % larger."""
    plain = sum(member.size for member in found if not member.compressed)
    return 5 * plain <= sum(member.size for member in found)


def _tar_stream(found: list[Member], mtime: int) -> Iterator[tuple[bytes | memoryview, bool]]:
    """Yield a tar's bytes in large pieces, each with whether it is compressed already."""
    plain: list[bytes | memoryview] = []
    size = waiting = 0
    for data, compressed in _tar_pieces(found, mtime):
        size += len(data)
        if not compressed:
            plain.append(data)
            waiting += len(data)
        if plain and (compressed or waiting >= CHUNK):
            yield b"".join(plain), False
            plain.clear()
            waiting = 0
        if compressed:
            yield data, True
    yield b"".join([*plain, ustar.end(size)]), False


def _tar_pieces(found: list[Member], mtime: int) -> Iterator[tuple[bytes | memoryview, bool]]:
    for member in found:
        name, mode, size = member.name, member.mode, member.size
        yield ustar.header(name, member.kind, mode=mode, mtime=mtime, size=size, target=member.target), False
        for chunk in member.chunks(STORED_BLOCK if member.compressed else CHUNK):
            yield chunk, member.compressed
        if padding := ustar.padding(size):
            yield padding, False


@dataclass
class _Digest:
    """The sha256 and size of a stream."""

    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)
    size: int = 0

    def update(self, data: bytes | memoryview) -> None:
        self.sha256.update(data)
        self.size += len(data)


@dataclass
class _Checked(_Digest):
    """The CRC-32 of a stream as well."""

    crc: int = 0

    def update(self, data: bytes | memoryview) -> None:
        super().update(data)
        self.crc = crc32(data, self.crc)


@contextmanager
def _ahead(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """Give the same items, each made in a thread of its own while those before it are used, a few ahead of that."""

    def taken() -> Iterator[T]:
        while (item := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, items, None))
            yield item

    pool = ThreadPoolExecutor(1, "ahead")
    pending = deque(pool.submit(next, items, None) for _ in range(_APART))
    try:
        yield taken()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Line:
    """One thread that does one thing after another, at most a few behind whoever asks for them."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def add(self, work: Callable[[T], None], data: T) -> None:
        """Do ``work(data)`` after all before it; raises what something before it raised."""
        self._pending.append(self._pool.submit(work, data))
        while len(self._pending) > _APART:
            self._pending.popleft().result()

    def finish(self) -> None:
        """Wait for all of it."""
        while self._pending:
            self._pending.popleft().result()
