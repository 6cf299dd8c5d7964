"""The HTTP client for files: libcurl, which serves any number of connections in one thread.

A client written in Python takes the interpreter's lock for each record of TLS, of 16 KB. Measured on 24 wheels of 636 MB
with 16 connections: requests takes 1.5 s of processor time, libcurl 0.4.
"""

from __future__ import annotations

import asyncio
import base64
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import metadata
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pycurl

from pyrunenv.fetch import credentials as logins
from pyrunenv.fetch.client_failures import from_curl
from pyrunenv.fetch.credentials import Credentials, Login
from pyrunenv.fetch.problem import Problem
from pyrunenv.fetch.reasons import CONNECT_TIMEOUT
from pyrunenv.fetch.surroundings import hide_proxy_passwords, proxy_for, trusted, unreadable
from pyrunenv.secrets import strip_credentials

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 30
# Bytes that libcurl takes at once, and bytes that may wait for a reader before it takes no more.
_BUFFER, _MOST_HELD = 512 << 10, 2 << 20
# How long a reader waits for a whole piece, in seconds, before it takes what is there.
_LINGER = 0.1
# How long the first request to a host goes ahead, in seconds, and how long its address is good.
_AHEAD, _ADDRESS_AGE = 2.0, 600
# What a URL may hold as it is; the rest is encoded (RFC 3986, 2.2 and 2.3).
_AS_IS = "!#$%&'()*+,/:;=?@[]~"
_PORTS = {"http": 80, "https": 443}


class Client:
    """Sends requests, for any number of threads: proxies and certificates from the environment, logins by origin."""

    def __init__(self, credentials: Credentials | None = None) -> None:
        """Raises FetchError where the certificates cannot be read."""
        hide_proxy_passwords()
        self._credentials = credentials or logins.known
        self._bundle, variable = trusted()
        try:
            self._bundle.stat()
        except OSError as error:
            raise unreadable(self._bundle, variable, error.strerror or str(error)) from error
        self._agent = f"pyrunenv/{metadata.version('pyrunenv')}"
        self._lock = threading.Lock()
        self._first: dict[str, Exchange] = {}
        self._loop = asyncio.SelectorEventLoop()
        self._multi = pycurl.AsyncCurlMulti()
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self._thread.start()

    def close(self, patience: float = 1.0) -> None:
        """End all exchanges; waits for ``patience`` seconds at most."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(patience)

    @contextmanager
    def get(
        self, url: str, headers: Mapping[str, str], *, timeout: float, compressed: bool = False,
        on_open: Callable[[Exchange | None], None],
    ) -> Iterator[Exchange]:  # fmt: skip
        """Ask for a URL, follow its redirects, and give the exchange that has the reply's headers.

        ``timeout`` is in seconds without a byte. The body may travel ``compressed``, else it is that of the file. ``on_open`` is given what can be shut down meanwhile, and None in the
        end. Raises Problem.
        """
        login: Login | None = None
        for _ in range(_MOST_REDIRECTS + 1):
            login = self._credentials.find(url) or login
            try:
                curl = self._easy(strip_credentials(url), headers, login, timeout)
                if compressed:
                    curl.setopt(pycurl.ACCEPT_ENCODING, "")  # whatever libcurl can decode
            except ValueError as error:
                raise Problem(f"its address is not valid: {error}", again=False) from error
            exchange = Exchange(curl, timeout, self._call)
            try:
                on_open(exchange)
                self._let_first_go_ahead(url, exchange)
                self._call(partial(exchange.begin, self._multi))
                target = exchange.wait()
                if target is None:
                    yield exchange
                    return
            finally:
                on_open(None)
                exchange.close()
            old, url = url, _redirected(url, target)
            if not _same_origin(old, url):
                login = None
        raise Problem(f"there were more than {_MOST_REDIRECTS} redirects", again=False)

    def _let_first_go_ahead(self, url: str, exchange: Exchange) -> None:
        """Wait for the first request to a host, which finds its address: name servers drop what comes in bursts."""
        with self._lock:
            first = self._first.setdefault(urlsplit(url).netloc, exchange)
        if first is not exchange:
            first.wait_for_connection(_AHEAD)

    def _call(self, work: Callable[[], object]) -> None:
        """Let the client's thread do something, which libcurl wants to be done there."""
        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError as error:
            raise Problem("the client was closed", again=False) from error

    def _serve(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._multi.aclose())
            self._loop.close()

    def _easy(self, url: str, headers: Mapping[str, str], login: Login | None, timeout: float) -> Any:
        """Describe a request to libcurl (https://curl.se/libcurl/c/curl_easy_setopt.html)."""
        sent = {"User-Agent": self._agent, **headers}
        if login is not None:
            pair = f"{login.username}:{login.password}".encode()
            sent["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, _encoded(url))
        curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}".encode("latin-1") for name, value in sent.items()])
        curl.setopt(pycurl.PROXY, proxy_for(url))
        curl.setopt(pycurl.NOPROXY, os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "")
        curl.setopt(pycurl.CAPATH if self._bundle.is_dir() else pycurl.CAINFO, os.fspath(self._bundle))
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        # One stream a connection: several in one share the window, and the losses, of one.
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.DNS_CACHE_TIMEOUT, _ADDRESS_AGE)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(min(timeout, CONNECT_TIMEOUT) * 1000)))
        curl.setopt(pycurl.BUFFERSIZE, _BUFFER)
        curl.setopt(pycurl.NOSIGNAL, True)
        return curl


class Exchange:
    """One request and its reply: the client's thread writes what comes, another one reads it.

    The names of ``headers`` are in title case: ``Etag``.
    """

    def __init__(self, curl: Any, timeout: float, call: Callable[[Callable[[], object]], None]) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._curl = curl
        self._timeout = timeout
        self._call = call
        self._changed = threading.Condition()
        self._future: asyncio.Future[Any] | None = None
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
            self._call(self._go_on)
        count = 0
        for piece in pieces:
            buffer[count : count + len(piece)] = piece
            count += len(piece)
        return count

    def shutdown(self) -> None:
        """End the exchange, from any thread; who waits for it gets a Problem."""
        with self._changed:
            self._end(Problem("the connection was closed", again=False))

    def close(self) -> None:
        """Let go of the connection; one that is not through is cut."""
        with suppress(Problem):  # who closed the client has closed this
            self._call(self._close)

    def begin(self, multi: pycurl.AsyncCurlMulti) -> None:
        """Send the request; to be called in the client's thread, like all that follows."""
        curl = self._curl
        curl.setopt(pycurl.PREREQFUNCTION, self._on_connected)
        curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        try:
            self._future = multi.add_handle(curl)
        except (pycurl.error, RuntimeError):
            self.shutdown()
        else:
            self._future.add_done_callback(self._on_end)

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

    def _go_on(self) -> None:
        if self._future is not None and not self._future.done():
            self._curl.unpause()

    def _close(self) -> None:
        if self._future is not None:
            self._future.cancel()
        # after what the multi handle does of a cancelled exchange, in the same turn of the loop
        asyncio.get_running_loop().call_soon(self._curl.close)

    def _on_connected(self, *_: object) -> int:
        with self._changed:
            self._heard, self._asked = time.monotonic(), True
            self._changed.notify_all()
        return int(pycurl.PREREQFUNC_OK)

    def _on_header(self, line: bytes) -> None:
        if not self._asked:  # a proxy's own reply
            return
        text = line.decode("latin-1").strip()
        name, colon, value = text.partition(":")
        with self._changed:
            self._heard = time.monotonic()
            if text.startswith("HTTP/"):
                self.status = int(text.split(" ")[1])
                self.headers = {}
            elif colon and not self._complete:
                self.headers[name.title()] = value.strip()
            elif not text and self.status >= 200:
                self._complete = True
                self._changed.notify_all()

    def _on_body(self, data: bytes) -> int | None:
        with self._changed:
            if self._size >= _MOST_HELD:
                self._paused = True
                return int(pycurl.WRITEFUNC_PAUSE)
            self._held.append(data)
            self._size += len(data)
            self._heard = time.monotonic()
            if self._size >= self._wanted:
                self._changed.notify_all()
        return None

    def _on_end(self, future: asyncio.Future[Any]) -> None:
        problem = None
        if future.cancelled():
            problem = Problem("the connection was closed", again=False)
        elif (error := future.exception()) is not None:
            problem = from_curl(self._curl, *error.args, timeout=self._timeout)
        with self._changed:
            self._end(problem)


def _encoded(url: str) -> str:
    """Return a URL in ASCII, without its fragment."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError(f"`{url}` is neither http nor https")
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    return quote(parts._replace(netloc=host, fragment="").geturl(), safe=_AS_IS)


def _redirected(url: str, target: str) -> str:
    """Follow a redirect, to http and https alone: no server may name a file of this machine."""
    joined = urljoin(url, target)
    if urlsplit(joined).scheme not in _PORTS:
        raise Problem(f"a redirect leads to `{target}`, which is neither http nor https", again=False)
    return joined


def _same_origin(old: str, new: str) -> bool:
    """Whether two URLs are of one origin, or the second is the first one's with TLS."""
    before, after = urlsplit(old), urlsplit(new)
    here, there = ((parts.scheme, parts.port or _PORTS[parts.scheme]) for parts in (before, after))
    return before.hostname == after.hostname and (here == there or (here, there) == (("http", 80), ("https", 443)))
