"""The thread in which libcurl works, whatever the number of connections (https://curl.se/libcurl/c/libcurl-multi.html)."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import pycurl

from pyrunenv.fetch.problem import Problem

Ended = Callable[[tuple[int, str] | None], object]
"""What hears how a request ended: well, or with a code of libcurl and its words."""
_CLOSED = (pycurl.E_ABORTED_BY_CALLBACK, "the client was closed")


class Loop:
    """Runs requests. Any thread may use ``call``; what it is given may use the rest."""

    def __init__(self) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._selector = selectors.DefaultSelector()
        self._wakened, self._waker = socket.socketpair()
        for end in (self._wakened, self._waker):
            end.setblocking(False)
        self._selector.register(self._wakened, selectors.EVENT_READ)
        self._due: float | None = None
        self._requests: dict[Any, Ended] = {}
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self._thread.start()

    def close(self, patience: float) -> None:
        """End all requests; waits for ``patience`` seconds at most."""
        with self._closing:
            self._closed = True
            self._wake()
        self._thread.join(patience)

    def call(self, work: Callable[[], object]) -> None:
        """Let the thread do something soon. Raises Problem where it has ended."""
        with self._closing:
            if self._closed:
                raise Problem("the client was closed", again=False)
            self._calls.put(work)
            self._wake()

    def begin(self, request: Any, ended: Ended) -> None:
        """Send a request of libcurl's."""
        if self._closed:
            ended(_CLOSED)
            return
        self._requests[request] = ended
        self._multi.add_handle(request)

    def resume(self, request: Any) -> None:
        """Go on with a request that was paused. What libcurl kept of its body is decoded now, and may be wrong."""
        if request not in self._requests:
            return
        try:
            request.pause(pycurl.PAUSE_CONT)
        except pycurl.error as error:
            self._through(request, (error.args[0], request.errstr() or error.args[1]))

    def drop(self, request: Any) -> None:
        """Forget a request; one that is not through is cut."""
        if self._requests.pop(request, None) is not None:
            self._multi.remove_handle(request)
        request.close()

    def _wake(self) -> None:
        with suppress(OSError):  # then it is awake already, or has ended
            self._waker.send(b"\0")

    def _serve(self) -> None:
        try:
            while not self._closed:
                self._turn()
        finally:
            with self._closing:
                self._closed = True
            self._do_calls()
            for request, ended in list(self._requests.items()):
                ended(_CLOSED)
                self.drop(request)
            self._multi.close()
            self._selector.close()
            self._wakened.close()
            self._waker.close()

    def _turn(self) -> None:
        for key, events in self._selector.select(None if self._due is None else max(0.0, self._due - time.monotonic())):
            if key.fileobj is self._wakened:
                self._wakened.recv(4096)
            else:
                readable = pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0
                writable = pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
                self._multi.socket_action(key.fd, readable | writable)
        self._do_calls()
        if self._due is not None and time.monotonic() >= self._due:
            self._due = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()

    def _do_calls(self) -> None:
        with suppress(Empty):
            while True:
                self._calls.get_nowait()()

    def _collect(self) -> None:
        """Tell of the requests that have ended."""
        more = True
        while more:
            more, well, failed = self._multi.info_read()
            for request, how in [*((each, None) for each in well), *((each, tuple(how)) for each, *how in failed)]:
                self._through(request, how)

    def _through(self, request: Any, how: tuple[int, str] | None) -> None:
        self._multi.remove_handle(request)
        self._requests.pop(request)(how)

    def _watch(self, what: int, descriptor: int, *_: object) -> None:
        """Wait for what libcurl says."""
        events = selectors.EVENT_READ if what in (pycurl.POLL_IN, pycurl.POLL_INOUT) else 0
        events |= selectors.EVENT_WRITE if what in (pycurl.POLL_OUT, pycurl.POLL_INOUT) else 0
        known = descriptor in self._selector.get_map()
        if events and known:
            self._selector.modify(descriptor, events)
        elif events:
            self._selector.register(descriptor, events)
        elif known:
            self._selector.unregister(descriptor)

    def _set_timer(self, milliseconds: int) -> None:
        self._due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000
