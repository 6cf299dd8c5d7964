"""Deflate (RFC 1951) in blocks that threads compress on their own and that join into one valid stream, as pigz does.

Where a block begins and how it is compressed depends on the bytes alone, never on the number of threads. The compressor
is zlib-ng, whose output was the same on every processor it was tried on (``tests/integration/bundle/test_pinned.py``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType

BLOCK = 1 << 18
"""Bytes of one block of plain data. Smaller costs size (a flush each), larger leaves threads idle on small bundles."""
STORED_BLOCK = 16 * 65535
"""Bytes of one block of data that is compressed already: whole stored blocks, which hold at most 65535 bytes each."""
Pieces = list[bytes | memoryview]
"""Compressed bytes, in pieces so that what is stored need not be copied once more."""
END = b"\x03\x00"
"""A last, empty block."""

# Measured on 28 MB of interpreter and wheels with two threads, against `tar | gzip -9` (3.7 s): level 7 for all takes
# 0.38 s and is 1.3 % larger, level 9 for all 0.55 s and 0.3 % smaller, this mixture 0.37 s and 1.2 % larger. Binaries'
# tables, which are mostly zeros, gain up to 24 % from level 9; text gains 2 % for twice the time.
_LEVEL, _SPARSE_LEVEL, _SPARSE = 6, 9, 0.4
# Short Huffman blocks make binaries 1 % smaller and cost text nothing.
_MEM_LEVEL = 7
_WINDOW = 1 << 15
_SAMPLE = 1 << 14
# What a sample must lose for a block of a wheel to be compressed: gzip -9 makes wheels 1.3 % smaller on average.
_WORTH = 0.92


def _zlib() -> ModuleType:
    # imported late: a run with nothing to do never needs it
    from zlib_ng import zlib_ng

    return zlib_ng


def deflate(data: bytes, dictionary: bytes = b"") -> bytes:
    """Compress one block to whole bytes. ``dictionary`` is what stands before it in the stream, up to 32 KB of it."""
    zlib = _zlib()
    level = _SPARSE_LEVEL if data.count(0) > _SPARSE * len(data) else _LEVEL
    options = (level, zlib.DEFLATED, -zlib.MAX_WBITS, _MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY)
    compressor = zlib.compressobj(*options, dictionary) if dictionary else zlib.compressobj(*options)
    head: bytes = compressor.compress(data)
    tail: bytes = compressor.flush(zlib.Z_SYNC_FLUSH)
    return head + tail


def store(data: bytes) -> Pieces:
    """Wrap bytes in stored blocks (RFC 1951, 3.2.4), which must begin at a byte boundary, as all of ours do."""
    pieces: Pieces = []
    view = memoryview(data)
    for start in range(0, len(data), 65535):
        piece = view[start : start + 65535]
        length = len(piece)
        pieces += (b"\0" + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little"), piece)
    return pieces


def store_or_deflate(data: bytes) -> Pieces:
    """Store what two samples show to gain little from compression; some wheels hold files that are not compressed."""
    middle = len(data) // 2
    sample = data[middle - _SAMPLE : middle] + data[-_SAMPLE:]
    if len(deflate(sample)) > _WORTH * len(sample):
        return store(data)
    whole = deflate(data)
    return [whole] if len(whole) < len(data) else store(data)


@dataclass
class Deflater:
    """Cuts a stream into blocks and yields them compressed, in order; at most ``window`` of them are in memory."""

    pool: ThreadPoolExecutor
    window: int
    _pending: deque[Future[Pieces]] = field(default_factory=deque)
    _buffer: bytearray = field(default_factory=bytearray)
    _dictionary: bytes = b""

    def plain(self, data: bytes) -> Iterator[Pieces]:
        """Add bytes to compress; yields what is finished."""
        self._buffer += data
        while len(self._buffer) >= BLOCK:
            block = bytes(self._buffer[:BLOCK])
            del self._buffer[:BLOCK]
            yield from self._cut(block)

    def compressed(self, data: bytes) -> Iterator[Pieces]:
        """Add bytes that are compressed already, whole STORED_BLOCKs but for a file's last; yields what is finished."""
        yield from self.cut()
        yield from self._submit(partial(store_or_deflate, data))

    def cut(self) -> Iterator[Pieces]:
        """End the run of plain bytes: what follows refers to nothing before it."""
        if self._buffer:
            yield from self._cut(bytes(self._buffer))
            self._buffer.clear()
        self._dictionary = b""

    def finish(self) -> Iterator[Pieces]:
        """Yield everything that is left; the stream then lacks END alone."""
        yield from self.cut()
        while self._pending:
            yield self._pending.popleft().result()

    def _cut(self, block: bytes) -> Iterator[Pieces]:
        dictionary, self._dictionary = self._dictionary, block[-_WINDOW:]
        yield from self._submit(lambda: [deflate(block, dictionary)])

    def _submit(self, work: Callable[[], Pieces]) -> Iterator[Pieces]:
        self._pending.append(self.pool.submit(work))
        while len(self._pending) > self.window or (self._pending and self._pending[0].done()):
            yield self._pending.popleft().result()


@contextmanager
def deflater(jobs: int) -> Iterator[Deflater]:
    """Give a deflater of ``jobs`` threads, 16 at most. Each costs up to 4 MB, whatever the size of the stream."""
    jobs = max(1, min(jobs, 16))
    with ThreadPoolExecutor(jobs, "deflate") as pool:
        try:
            yield Deflater(pool, 2 * jobs + 2)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def crc32(data: bytes | memoryview, value: int) -> int:
    """Continue a CRC-32."""
    result: int = _zlib().crc32(data, value)
    return result
