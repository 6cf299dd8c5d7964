"""Deflate (RFC 1951) in blocks that threads compress on their own and that join into one valid stream, as pigz does.

Where a block begins and how it is compressed depends on the bytes alone, never on the number of threads. The compressor
is zlib-ng, whose output was the same on every processor it was tried on (``tests/integration/bundle/test_pinned.py``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
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
# Source code becomes 6 % larger than by level 6, in 0.6 times the time.
_QUICK_LEVEL = 3
# Short Huffman blocks make binaries 1 % smaller and cost text nothing.
_MEM_LEVEL = 7
_WINDOW = 1 << 15
# How much of data that is compressed already is tried, at which distances, at which level, and what it must lose.
# On 636 MB of wheels from PyPI these cost 0.18 s and save 0.20 %, mostly by the directories at their ends; trying twice
# as much at level 6, and compressing whole blocks, cost 0.79 s and saved 0.25 %. (gzip -9: 30 s, 1.08 %.)
_SAMPLE, _STEP, _SAMPLE_LEVEL, _WORTH = 1 << 13, 1 << 15, 1, 0.85


def _zlib() -> ModuleType:
    # imported late: a run with nothing to do never needs it
    from zlib_ng import zlib_ng

    return zlib_ng


def deflate(data: bytes, dictionary: bytes = b"", *, quick: bool = False) -> bytes:
    """Compress one block to whole bytes. ``dictionary`` is what stands before it in the stream, up to 32 KB of it.

    ``quick`` takes less time where what is gained by more does not count.
    """
    level = _SPARSE_LEVEL if data.count(0) > _SPARSE * len(data) else _QUICK_LEVEL if quick else _LEVEL
    return _deflate(data, dictionary, level)


def _deflate(data: bytes | memoryview, dictionary: bytes, level: int) -> bytes:
    zlib = _zlib()
    options = (level, zlib.DEFLATED, -zlib.MAX_WBITS, _MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY)
    compressor = zlib.compressobj(*options, dictionary) if dictionary else zlib.compressobj(*options)
    head: bytes = compressor.compress(data)
    tail: bytes = compressor.flush(zlib.Z_SYNC_FLUSH)
    return head + tail


def store(data: bytes | memoryview) -> Pieces:
    """Wrap bytes in stored blocks (RFC 1951, 3.2.4), which must begin at a byte boundary, as all of ours do."""
    pieces: Pieces = []
    view = memoryview(data)
    for start in range(0, len(data), 65535):
        piece = view[start : start + 65535]
        length = len(piece)
        pieces += (b"\0" + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little"), piece)
    return pieces


def plain_from(data: bytes | memoryview) -> int:
    """Return where in data that should be compressed already the part begins that samples show not to be; its end if none.

    It is all of it where the middle is plain (some wheels hold files that are not compressed), and its end in the last
    block of a zip, which is a directory.
    """
    start = len(data)
    if _plain(data[start // 2 :][:_SAMPLE]):
        return 0
    while start and _plain(data[max(0, start - _STEP) : start][:_SAMPLE]):
        start = max(0, start - _STEP)
    return start


def _plain(sample: bytes | memoryview) -> bool:
    return len(_deflate(sample, b"", _SAMPLE_LEVEL)) < _WORTH * len(sample)


@dataclass
class Deflater:
    """Cuts a stream into blocks and yields them compressed, in order; at most ``window`` of them are in memory."""

    pool: ThreadPoolExecutor
    window: int
    quick: bool = False
    _pending: deque[Future[bytes] | Pieces] = field(default_factory=deque)
    _rest: bytes = b""
    _dictionary: bytes = b""

    def plain(self, given: bytes | memoryview) -> Iterator[Pieces]:
        """Add bytes to compress; yields what is finished."""
        data = self._rest + given if self._rest else bytes(given)
        whole = len(data) - len(data) % BLOCK
        self._rest = data[whole:]
        for start in range(0, whole, BLOCK):
            yield from self._cut(data[start : start + BLOCK])

    def compressed(self, data: bytes | memoryview) -> Iterator[Pieces]:
        """Add bytes that are compressed already, whole STORED_BLOCKs but for a file's last; yields what is finished."""
        yield from self.cut()
        start = plain_from(data)
        if start:
            # Nothing to compute: it only waits for what stands before it.
            self._pending.append(store(data[:start] if start < len(data) else data))
        if start < len(data):
            self._pending.append(self.pool.submit(deflate, bytes(data[start:])))
        yield from self._finished()

    def cut(self) -> Iterator[Pieces]:
        """End the run of plain bytes: what follows refers to nothing before it."""
        if self._rest:
            yield from self._cut(self._rest)
        self._rest = self._dictionary = b""

    def finish(self) -> Iterator[Pieces]:
        """Yield everything that is left; the stream then lacks END alone."""
        yield from self.cut()
        while self._pending:
            yield self._next()

    def _cut(self, block: bytes) -> Iterator[Pieces]:
        dictionary, self._dictionary = self._dictionary, block[-_WINDOW:]
        self._pending.append(self.pool.submit(deflate, block, dictionary, quick=self.quick))
        yield from self._finished()

    def _finished(self) -> Iterator[Pieces]:
        pending = self._pending
        while len(pending) > self.window or (pending and (not isinstance(pending[0], Future) or pending[0].done())):
            yield self._next()

    def _next(self) -> Pieces:
        first = self._pending.popleft()
        return [first.result()] if isinstance(first, Future) else first


@contextmanager
def deflater(jobs: int, *, quick: bool = False) -> Iterator[Deflater]:
    """Give a deflater of ``jobs`` threads, 16 at most. Each costs up to 4 MB, whatever the size of the stream.

    ``quick`` is for streams of which little is compressed.
    """
    jobs = max(1, min(jobs, 16))
    with ThreadPoolExecutor(jobs, "deflate") as pool:
        try:
            yield Deflater(pool, 2 * jobs + 2, quick)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def crc32(data: bytes | memoryview, value: int) -> int:
    """Continue a CRC-32."""
    result: int = _zlib().crc32(data, value)
    return result
