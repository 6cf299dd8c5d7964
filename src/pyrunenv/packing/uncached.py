"""Writes what nobody reads soon, without keeping it in memory."""

from __future__ import annotations

import errno
import os
import sys
import time

# RWF_DONTCACHE of linux/fs.h, since Linux 6.14: pages are dropped once they are on the disk (pwritev2(2)).
_DONTCACHE = 0x80
_UNKNOWN = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM)
# Bytes a second below which it is the disk that we wait for, and seconds of it that are no sign of that.
_SLOW, _PATIENCE = 250e6, 0.1


class Uncached:
    """Writes to an open file so that, where the system can, its memory is used again while the file still grows.

    In a virtual machine, memory that is used for the first time costs more than what is written to it: 640 MB take 1.2
    to 1.5 s of processor time, and so 0.3 s. The disk is then waited for; one that is slow gets the rest as usual, by
    way of memory.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._past_memory = sys.platform == "linux"
        self._waited = 0.0
        self._written = 0

    def write(self, data: bytes | memoryview) -> None:
        """Write all of ``data``; raises OSError."""
        left = memoryview(data)
        while left:
            left = left[self._write(left) :]

    def _write(self, data: memoryview) -> int:
        if not self._past_memory:
            return os.write(self._handle, data)
        started = time.monotonic()
        try:
            count = os.pwritev(self._handle, [data], -1, _DONTCACHE)
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno not in _UNKNOWN:
                raise
            self._past_memory = False
            return os.write(self._handle, data)
        self._written += count
        self._waited += time.monotonic() - started
        self._past_memory = self._waited < _PATIENCE + self._written / _SLOW
        return count
