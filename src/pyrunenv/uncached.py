"""Large files written and read once without filling the system's memory, where that can be done (Linux from 6.16 on).

In a virtual machine, memory that is used for the first time costs more than what is written to it: files of 640 MB take
1.2 to 1.5 s of processor time. They take 0.3 s where the memory is free again as soon as the disk has their bytes, and
what else lies in memory stays there. The writer then waits for the disk, and goes on as usual where that is slow.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from collections import deque
from collections.abc import Sequence
from functools import cache
from itertools import islice

# RWF_DONTCACHE of linux/fs.h: pages are dropped once they are on the disk, or were read (pwritev2(2), preadv2(2)).
# It is there since 6.14, and right since 6.16: before, a page could be dropped that had been written to once more.
_DONTCACHE, _SINCE = 0x80, (6, 16)
_UNKNOWN = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM)
# Bytes a second below which it is the disk that we wait for, and seconds of it that are no sign of that.
_SLOW, _PATIENCE = 250e6, 0.1
# Pieces in one call of the system, which takes 1024.
_AT_ONCE = 256


@cache
def _known() -> bool:
    """Whether this system knows how, and does it right."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release) if sys.platform == "linux" else None
    return found is not None and (int(found[1]), int(found[2])) >= _SINCE


class Uncached:
    """Reads or writes an open file from where it is. What the system or a slow disk cannot do is done as usual."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._past_memory = _known()
        self._waited = 0.0
        self._written = 0

    def write(self, *pieces: bytes | memoryview) -> None:
        """Write all pieces, one behind the other; raises OSError."""
        left = deque(memoryview(piece) for piece in pieces)
        while left:
            count = self._write(list(islice(left, _AT_ONCE)))
            while left and count >= len(left[0]):
                count -= len(left.popleft())
            if count:
                left[0] = left[0][count:]

    def read(self, size: int) -> bytes | memoryview:
        """Return up to ``size`` bytes, none at the file's end; raises OSError."""
        if self._past_memory:
            data = bytearray(size)
            try:
                return memoryview(data)[: os.preadv(self._handle, [data], -1, _DONTCACHE)]
            except (OSError, NotImplementedError) as error:
                self._give_up(error)
        return os.read(self._handle, size)

    def _write(self, pieces: Sequence[memoryview]) -> int:
        if not self._past_memory:
            return self._write_as_usual(pieces)
        started = time.monotonic()
        try:
            count = os.pwritev(self._handle, pieces, -1, _DONTCACHE)
        except (OSError, NotImplementedError) as error:
            self._give_up(error)
            return self._write_as_usual(pieces)
        self._written += count
        self._waited += time.monotonic() - started
        self._past_memory = self._waited < _PATIENCE + self._written / _SLOW
        return count

    def _write_as_usual(self, pieces: Sequence[memoryview]) -> int:
        if hasattr(os, "writev"):
            return os.writev(self._handle, pieces)
        return os.write(self._handle, b"".join(pieces))

    def _give_up(self, error: Exception) -> None:
        """Go on as usual where the system does not know how; raises what would fail so too."""
        if isinstance(error, OSError) and error.errno not in _UNKNOWN:
            raise error
        self._past_memory = False
