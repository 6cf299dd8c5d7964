"""One request to a server and its reply, on the way from libcurl's thread to the one that wants it."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

import pycurl

from pyrunenv.fetch.client_failures import from_curl
from pyrunenv.fetch.loop import Loop
from pyrunenv.fetch.problem import Problem
from pyrunenv.fetch.reasons import CONNECT_TIMEOUT

# The first line of a reply (RFC 9112, 4), as loosely as libcurl reads it.
_STATUS = re.compile(r"HTTP/[\d.]+\s+(\d{3})(?!\d)")
_REDIRECTS = (301, 302, 303, 307, 308)
# Bytes that may wait for a reader before libcurl takes no more.
_MOST_HELD = 2 << 20
# How long a reader waits for a whole piece, in seconds, before it takes what is there.
_LINGER = 0.1


class Exchange:
    """One request and its reply: the client's thread writes what comes, another one reads it.

    The names of ``headers`` are in title case: ``Etag``.
    """

    def __init__(self, request: Any, timeout: float, loop: Loop) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._request = request
        self._timeout = timeout
        self._loop = loop
        self._changed = threading.Condition()
        # When the last bytes came. At first: when a connection must be there, or libcurl has given up.
        self._heard = time.monotonic() + CONNECT_TIMEOUT
        self._asked = False
        self._complete = False
        self._held: deque[bytes] = deque()
        self._size = 0
        self._wanted = 0
        self._paused = False
        self._over = False
        self._problem: Problem | None = None

    def wait(self) -> str | None:
        """Wait for the reply's headers; returns where it redirects to, if it does. Raises Problem."""
        with self._changed:
            while not self._complete and not self._over:
                self._wait()
            if not self._complete and self._problem is not None:
                raise self._problem
        target = self.headers.get("Location")
        return target.encode("latin-1").decode("utf-8", "replace") if target and self.status in _REDIRECTS else None

    def wait_for_connection(self, seconds: float) -> None:
        """Wait until there is a connection, or cannot be one, but not for longer than told."""
        with self._changed:
            self._changed.wait_for(lambda: self._asked or self._over, seconds)

    def readinto(self, buffer: memoryview, /) -> int:
        """Put what came into ``buffer``, as much as comes soon; returns how many bytes, 0 at the end.

        Raises Problem, after all that came before it.
        """
        with self._changed:
            self._wanted = len(buffer)
            until = time.monotonic() + _LINGER
            while not self._over and self._size < self._wanted and not (self._size and time.monotonic() >= until):
                self._wait()
            if not self._size and self._problem is not None:
                raise self._problem
            pieces = self._take(len(buffer))
            paused, self._paused = self._paused, False
            if paused:
                self._heard = time.monotonic()
        if paused:
            self._loop.call(partial(self._loop.resume, self._request))
        count = 0
        for piece in pieces:
            buffer[count : count + len(piece)] = piece
            count += len(piece)
        return count

    def close(self) -> None:
        """Let go of the connection, one that is not through is cut; and of what nobody read."""
        with self._changed:
            self._end(None)
            self._held.clear()
            self._size = 0
        with suppress(Problem):  # who closed the loop has closed this
            self._loop.call(partial(self._loop.drop, self._request))

    def begin(self) -> None:
        """Send the request."""
        self._request.setopt(pycurl.PREREQFUNCTION, self._on_connected)
        self._request.setopt(pycurl.HEADERFUNCTION, self._on_header)
        self._request.setopt(pycurl.WRITEFUNCTION, self._on_body)
        self._loop.call(partial(self._loop.begin, self._request, self._on_end))

    def _wait(self) -> None:
        """Wait for something to change, but not for ever."""
        if time.monotonic() - self._heard > self._timeout:
            self._end(Problem(f"no byte came for {self._timeout:g} s", again=True))
        else:
            self._changed.wait(_LINGER)

    def _take(self, size: int) -> list[bytes]:
        """Take pieces of ``size`` bytes in all from what is held, or all of them."""
        taken: list[bytes] = []
        while size and self._held:
            piece = self._held.popleft()
            if len(piece) > size:
                self._held.appendleft(piece[size:])
                piece = piece[:size]
            taken.append(piece)
            size -= len(piece)
            self._size -= len(piece)
        return taken

    def _end(self, problem: Problem | None) -> None:
        if not self._over:
            self._over, self._problem = True, problem
            self._changed.notify_all()

    def _on_connected(self, *_: object) -> int:
        with self._changed:
            self._heard, self._asked = time.monotonic(), True
            self._changed.notify_all()
        return int(pycurl.PREREQFUNC_OK)

    def _on_header(self, line: bytes) -> None:
        text = line.decode("latin-1").strip()
        name, colon, value = text.partition(":")
        with self._changed:
            self._heard = time.monotonic()
            if self._complete:  # trailers
                return
            if found := _STATUS.match(text):
                self.status = int(found[1])
                self.headers = {}
            elif colon:
                self.headers[name.title()] = value.strip()
            elif not text and self.status >= 200:
                self._complete = True
                self._changed.notify_all()

    def _on_body(self, data: bytes) -> int | None:
        with self._changed:
            if self._over:
                return 0  # nobody reads on: not what libcurl takes for success
            if self._size >= _MOST_HELD:
                self._paused = True
                return int(pycurl.WRITEFUNC_PAUSE)
            self._held.append(data)
            self._size += len(data)
            self._heard = time.monotonic()
            if self._size >= self._wanted:
                self._changed.notify_all()
        return None

    def _on_end(self, how: tuple[int, str] | None) -> None:
        problem = from_curl(self._request, *how, timeout=self._timeout) if how else None
        with self._changed:
            self._end(problem)
