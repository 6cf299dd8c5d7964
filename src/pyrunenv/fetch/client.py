"""The HTTP client for files: libcurl, which serves any number of connections in one thread.

A client written in Python takes the interpreter's lock for each record of TLS, of 16 KB. Measured on 24 wheels of 636 MB
with 16 connections: requests takes 1.5 s of processor time, libcurl 0.4.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pycurl

from pyrunenv.fetch import credentials as logins
from pyrunenv.fetch.credentials import SCHEMES, Credentials, Login, origin_of
from pyrunenv.fetch.exchange import Exchange
from pyrunenv.fetch.loop import Loop
from pyrunenv.fetch.problem import Problem
from pyrunenv.fetch.reasons import CONNECT_TIMEOUT
from pyrunenv.fetch.surroundings import hide_proxy_passwords, proxy_for, trusted, unreadable
from pyrunenv.secrets import strip_credentials

_MOST_REDIRECTS = 30
# Bytes that libcurl takes at once.
_BUFFER = 512 << 10
# How long the first request to a host goes ahead, in seconds, and how long its address is good.
_AHEAD, _ADDRESS_AGE = 2.0, 600
# What a URL may hold as it is; the rest is encoded (RFC 3986, 2.2 and 2.3).
_AS_IS = "!#$%&'()*+,/:;=?@[]~"
# https://curl.se/libcurl/c/CURLOPT_SUPPRESS_CONNECT_HEADERS.html, for which pycurl has no name.
_SUPPRESS_CONNECT_HEADERS = 265


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
        self._loop = Loop()

    def close(self, patience: float = 1.0) -> None:
        """End all exchanges; waits for ``patience`` seconds at most."""
        self._loop.close(patience)

    @contextmanager
    def get(
        self, url: str, headers: Mapping[str, str], *, timeout: float, compressed: bool = False
    ) -> Iterator[Exchange]:
        """Ask for a URL, follow its redirects, and give the exchange that has the reply's headers.

        ``timeout`` is in seconds without a byte. The body may travel ``compressed``; else its bytes are those of the file.
        Raises Problem.
        """
        login: Login | None = None
        for _ in range(_MOST_REDIRECTS + 1):
            try:
                login = self._credentials.find(url) or login
                request = self._request(strip_credentials(url), headers, login, timeout)
            except ValueError as error:
                raise Problem(f"its address is not valid: {error}", again=False) from error
            if compressed:
                request.setopt(pycurl.ACCEPT_ENCODING, "")  # whatever libcurl can decode
            exchange = Exchange(request, timeout, self._loop)
            try:
                self._let_first_go_ahead(url, exchange)
                exchange.begin()
                target = exchange.wait()
                if target is None:
                    yield exchange
                    return
            finally:
                exchange.close()
            old, url = url, _redirected(url, target)
            if not _keeps_login(old, url):
                login = None
        raise Problem(f"there were more than {_MOST_REDIRECTS} redirects", again=False)

    def _let_first_go_ahead(self, url: str, exchange: Exchange) -> None:
        """Wait for the first request to a host, which finds its address: name servers drop what comes in bursts."""
        with self._lock:
            first = self._first.setdefault(urlsplit(url).netloc, exchange)
        if first is not exchange:
            first.wait_for_connection(_AHEAD)

    def _request(self, url: str, headers: Mapping[str, str], login: Login | None, timeout: float) -> Any:
        """Describe a request to libcurl (https://curl.se/libcurl/c/curl_easy_setopt.html)."""
        sent = dict(headers)
        if login is not None:
            pair = f"{login.username}:{login.password}".encode()
            sent["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        request = pycurl.Curl()
        request.setopt(pycurl.URL, _encoded(url))
        request.setopt(pycurl.USERAGENT, self._agent)
        request.setopt(pycurl.HTTPHEADER, [f"{name}: {value}".encode("latin-1") for name, value in sent.items()])
        request.setopt(pycurl.PROXY, proxy_for(url))
        # A proxy's own reply is not the server's; libcurl asks it again where a connection that was kept has gone.
        request.setopt(_SUPPRESS_CONNECT_HEADERS, True)
        request.setopt(pycurl.NOPROXY, os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "")
        # The others are taken back: libcurl comes with a bundle of its own.
        folder = self._bundle.is_dir()
        for option in (pycurl.CAPATH, pycurl.PROXY_CAPATH):
            request.setopt(option, os.fspath(self._bundle) if folder else None)
        for option in (pycurl.CAINFO, pycurl.PROXY_CAINFO):
            request.setopt(option, None if folder else os.fspath(self._bundle))
        request.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        request.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        # One stream a connection: several in one share the window, and the losses, of one.
        request.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        request.setopt(pycurl.DNS_CACHE_TIMEOUT, _ADDRESS_AGE)
        request.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(min(timeout, CONNECT_TIMEOUT) * 1000)))
        request.setopt(pycurl.BUFFERSIZE, _BUFFER)
        request.setopt(pycurl.NOSIGNAL, True)
        return request


def _encoded(url: str) -> str:
    """Return a URL in ASCII, without its fragment."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"`{url}` is neither http nor https")
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    return quote(parts._replace(netloc=host, fragment="").geturl(), safe=_AS_IS)


def _redirected(url: str, target: str) -> str:
    """Follow a redirect, to http and https alone: no server may name a file of this machine."""
    try:
        joined = urljoin(url, target)
        parts = urlsplit(joined)
        origin_of(parts)
    except ValueError as error:
        raise Problem(f"a redirect leads to `{target}`, which is no address: {error}", again=False) from error
    if parts.scheme not in SCHEMES:
        raise Problem(f"a redirect leads to `{target}`, which is neither http nor https", again=False)
    return joined


def _keeps_login(old: str, new: str) -> bool:
    """Whether a redirect stays at its origin, or leads from http to the same host's https."""
    before, after = (origin_of(urlsplit(url)) for url in (old, new))
    host = urlsplit(new).hostname
    return before == after or (before, after) == (f"http://{host}:80", f"https://{host}:443")
