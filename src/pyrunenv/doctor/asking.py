"""Asks servers, many at once, and never for long; what they do wrong is told in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyrunenv.doctor.result import Result
from pyrunenv.secrets import mask

if TYPE_CHECKING:
    from concurrent.futures import Future

    import requests

    from pyrunenv.fetch.problem import Problem

TIMEOUT = 10.0
"""Seconds for a connection, and between two bytes."""
PATIENCE = 20.0
"""Seconds for a whole answer."""
_CHUNK = 1 << 16
_LARGEST = 64 << 20
_THREADS = 64

Check = tuple[Result, Callable[[], Result]]
"""What is said where a check does not end in time, and the check."""


@dataclass(frozen=True)
class Answer:
    """What a server said: the status, the beginning of the body, how long it took, where it came from.

    ``login`` tells whether one was sent to where the answer came from; ``path`` are the URLs that it led through, the
    last one its own.
    """

    status: int
    content_type: str
    body: bytes
    seconds: float
    login: bool
    path: tuple[str, ...]

    @property
    def final(self) -> str:
        return self.path[-1]

    @property
    def downgraded(self) -> bool:
        """Whether a redirect leads from https to http."""
        schemes = [urlsplit(url).scheme for url in self.path]
        return ("https", "http") in pairwise(schemes)

    @property
    def told(self) -> str:
        """``0.12 s, login accepted, redirected to https://files.example/simple/x/``."""
        login = ", login accepted" if self.login and self.status < 400 else ""
        redirects = f", redirected to {' and then '.join(self.path[1:])}" if len(self.path) > 1 else ""
        return f"{self.seconds:.2f} s{login}{redirects}"


def ask(
    session: requests.Session, url: str, headers: Mapping[str, str] | None = None, *, limit: int = 0
) -> Answer | Problem:
    """Return a server's answer, of its body ``limit`` bytes (0: all), or why there is none."""
    import requests
    import urllib3

    from pyrunenv.fetch.problem import Problem
    from pyrunenv.fetch.session_failures import from_error

    started = time.monotonic()
    try:
        with session.get(url, headers=dict(headers or {}), timeout=TIMEOUT, stream=True) as response:
            body = bytearray()
            for chunk in _chunks(response):
                body += chunk
                if limit and len(body) >= limit:
                    del body[limit:]
                    break
                if len(body) > _LARGEST or time.monotonic() - started > PATIENCE:
                    took = time.monotonic() - started
                    return Problem(f"its answer had no end after {len(body)} bytes and {took:.0f} s", again=True)
            login = "Authorization" in response.request.headers
            path = tuple(str(each.url) for each in (*response.history, response))
            kind = response.headers.get("Content-Type", "")
            return Answer(response.status_code, kind, bytes(body), time.monotonic() - started, login, path)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        return from_error(error, TIMEOUT)


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield a body as it comes: requests would wait for a whole chunk, from a server that drips for hours."""
    read = getattr(response.raw, "read1", None)
    if read is None or urlsplit(response.url).scheme == "file":
        yield from response.iter_content(_CHUNK)
        return
    while chunk := read(_CHUNK, decode_content=True):
        yield chunk


def together(checks: Iterable[Check], patience: float) -> list[Result]:
    """Run checks at once and return their results in their order; one that fails or does not end has a result too."""
    from concurrent.futures import wait

    from pyrunenv.fetch.pool import Pool

    pool = Pool(_THREADS, "doctor")
    running: list[tuple[Result, Future[Result]]] = [(late, pool.submit(check)) for late, check in checks]
    wait([future for _, future in running], timeout=patience)
    return [_outcome(late, future) if future.done() else late for late, future in running]


def _outcome(late: Result, future: Future[Result]) -> Result:
    error = future.exception()
    if error is None:
        return future.result()
    text = mask(f"what it answered cannot be made sense of: {type(error).__name__}: {error}")
    return Result(late.subject, late.status, late.what, text, late.remedy, late.where)
