"""One file on its way into the cache: streamed, hashed as it comes, resumed where it was cut."""

from __future__ import annotations

import hashlib
import os
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import tenacity

from pyrunenv.errors import CacheError, DigestMismatch, FetchError
from pyrunenv.fetch.cache import Cache, discard
from pyrunenv.fetch.problem import Problem
from pyrunenv.fetch.urls import file_path
from pyrunenv.secrets import mask
from pyrunenv.uncached import Uncached

if TYPE_CHECKING:
    from pyrunenv.fetch.client import Client

# Bytes that are read, hashed and written at once.
_AT_ONCE = 1 << 20
_HEAD = 512
_LONGEST_BACKOFF = 30.0


class Readable(Protocol):
    """What bytes come from."""

    def readinto(self, buffer: memoryview, /) -> int: ...


@dataclass(frozen=True)
class Policy:
    """How patient to be. ``timeout`` is in seconds without a byte, ``backoff`` the first wait between attempts."""

    timeout: float = 60.0
    retries: int = 4
    backoff: float = 0.5


@dataclass(frozen=True)
class Reply:
    """What the last server said of a file: ``status`` and the headers that tell one version of it from another."""

    status: int
    etag: str | None = None
    last_modified: str | None = None

    @property
    def validator(self) -> str | None:
        """What goes into If-Range: no weak ETag may (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


@dataclass
class Transfer:
    """Fetches ``url`` to ``path``. With ``sha256`` and ``size`` nothing else is accepted; ``limit`` bounds the rest.

    A page in place of a file is told apart, unless a ``document`` was asked for: that may be one. What may travel
    ``compressed`` is never resumed.
    """

    url: str
    name: str
    path: Path
    cache: Cache
    open_client: Callable[[], Client]
    policy: Policy
    stopped: threading.Event
    sha256: str | None = None
    size: int | None = None
    limit: int | None = None
    document: bool = False
    compressed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    on_bytes: Callable[[int], None] = lambda _: None

    def __post_init__(self) -> None:
        self.received = 0
        self.reply = Reply(0)
        self._hash = hashlib.sha256()
        self._head = b""
        self._html = False
        self._furthest = 0
        self._failures = 0
        self._pieces = False
        self._ranges = not self.compressed
        self._expected: int | None = None

    @property
    def digest(self) -> str:
        """The sha256 of what came so far."""
        return self._hash.hexdigest()

    def run(self) -> None:
        """Fetch it whole. Raises FetchError, DigestMismatch or CacheError; what can be resumed stays in place."""
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, Problem) and error.again),
            wait=self._wait, stop=lambda _: self._failures > self.policy.retries, sleep=self._sleep, reraise=True,
        )  # fmt: skip
        try:
            if not self._take_up():
                attempts(self._attempt)
        except CacheError:
            # No room, most likely: a part would only take up more of it.
            with suppress(OSError):
                discard(self.path)
            raise
        except Problem as problem:
            tried = f" ({self._failures} times in a row)" if problem.again and self._failures > 1 else ""
            raise self._error(f"{problem.reason}{tried}", problem.hint) from problem

    def _error(self, reason: str, hint: str | None = None) -> FetchError:
        return FetchError(f"cannot download {mask(self.name)} from {mask(self.url)}", notes=[reason], hint=hint)

    def _take_up(self) -> bool:
        """Go on from what an earlier run left; the digest at the end decides whether that was right.

        Returns whether nothing is missing.
        """
        if self.sha256 is None:
            return False
        with self.cache.guarded("read", self.path):
            try:
                stream = FileIO(self.path)
            except FileNotFoundError:
                return False
            with stream:
                for chunk in self._pieces_of(stream):
                    self._count(chunk)
                    if self.size is not None and self.received > self.size:
                        break
        if self.digest == self.sha256:
            return True
        if self.size is not None and self.received >= self.size:
            self._restart()
        self._furthest = self.received
        return False

    def _attempt(self) -> None:
        if self.stopped.is_set():
            raise Problem("downloading was stopped", again=False)
        try:
            if urlsplit(self.url).scheme == "file":
                self._from_file()
            else:
                self._from_server()
            self._finish()
        except Problem:
            if self.stopped.is_set():
                raise Problem("downloading was stopped", again=False) from None
            self._failures = 1 if self._progressed() else self._failures + 1
            raise

    def _progressed(self) -> bool:
        """Whether this attempt came further than any before, by a thousandth at least: then patience begins anew."""
        progress = self.received - self._furthest
        self._furthest = max(self._furthest, self.received)
        return progress > (self.size or 0) // 1000

    def _wait(self, state: tenacity.RetryCallState) -> float:
        problem = state.outcome.exception() if state.outcome else None
        spread = random.uniform(0.5, 1.0)
        delay: float = min(self.policy.backoff * 2 ** (self._failures - 1), _LONGEST_BACKOFF) * spread
        asked = problem.after if isinstance(problem, Problem) else None
        return delay if asked is None else max(asked, delay)

    def _sleep(self, seconds: float) -> None:
        self.stopped.wait(seconds)

    def _from_file(self) -> None:
        self._restart()
        try:
            source = FileIO(file_path(self.url))
        except OSError as error:
            raise Problem((error.strerror or str(error)).lower(), again=False) from error
        with source:
            self._read(source, os.fstat(source.fileno()).st_size)

    def _from_server(self) -> None:
        # the client takes 0.1 s to load, and a file: URL needs none
        from pyrunenv.fetch.server import OtherRange, answer

        try:
            with answer(
                self.open_client(), self.url, self.headers, offset=self.received if self._ranges else 0, size=self.size,
                known=self.reply, timeout=self.policy.timeout, compressed=self.compressed,
            ) as given:  # fmt: skip
                self.reply = given.reply
                if given.body is None:
                    return
                if not given.resumed:
                    self._restart()
                    self._html = given.html
                self._read(given.body, given.size)
        except OtherRange:
            self._restart()
            self._ranges = False
            raise

    def _restart(self) -> None:
        """Begin at the first byte again."""
        if self.received:
            self.on_bytes(-self.received)
        self.received = 0
        self._hash = hashlib.sha256()
        self._head = b""
        self._pieces = False

    def _read(self, source: Readable, expected: int | None) -> None:
        """Append what comes to the part. ``expected`` is the whole file's size as the other side tells it."""
        self._pieces = self._pieces or self.received > 0
        self._expected = expected
        wrong = self.size is not None and expected not in (None, self.size)
        with self._open() as part:
            out = Uncached(part.fileno())
            for chunk in self._pieces_of(source):
                self._count(chunk)
                if wrong:
                    raise self._mismatch(f"size: expected {self.size} bytes, the server has {expected}")
                if self.size is not None and self.received > self.size:
                    raise self._mismatch(f"size: expected {self.size} bytes, got more")
                if self.limit is not None and self.received > self.limit:
                    raise Problem(f"it is larger than {self.limit} bytes", again=False)
                self._write(out, chunk)
        if self.stopped.is_set():
            raise Problem("downloading was stopped", again=False)

    def _pieces_of(self, source: Readable) -> Iterator[memoryview]:
        """Yield what comes, until we are told to stop. Each piece is good until the next is asked for."""
        buffer = memoryview(bytearray(min(_AT_ONCE, self.size or _AT_ONCE)))
        while not self.stopped.is_set() and (count := source.readinto(buffer)):
            yield buffer[:count]

    def _open(self) -> FileIO:
        with self.cache.guarded("write", self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            out = FileIO(self.path, "r+" if self.received else "w")
            out.seek(self.received)
            out.truncate()
            return out

    def _write(self, out: Uncached, chunk: memoryview) -> None:
        with self.cache.guarded("write", self.path):
            out.write(chunk)

    def _count(self, chunk: memoryview) -> None:
        self._hash.update(chunk)
        self.received += len(chunk)
        self.on_bytes(len(chunk))
        if len(self._head) < _HEAD:
            self._head += bytes(chunk[: _HEAD - len(self._head)])

    def _finish(self) -> None:
        """Compare what came with what was promised. Raises DigestMismatch; pieces that do not fit are fetched whole."""
        if self.reply.status == HTTPStatus.NOT_MODIFIED:
            return
        if self.size is not None and self.received != self.size:
            if self._expected is None:
                raise Problem("the connection was cut", again=True)
            raise self._mismatch(f"size: expected {self.size} bytes, got {self.received}")
        if self.sha256 is None:
            if self._page() and not self.document:
                raise Problem(f"{self._page()} instead of the file", again=False)
        elif self.digest != self.sha256:
            raise self._mismatch(f"sha256: expected {self.sha256}", f"got {self.digest}")

    def _mismatch(self, *notes: str) -> Exception:
        page, pieces = self._page(), self._pieces
        with self.cache.guarded("remove", self.path):
            discard(self.path)
        if pieces:
            self._restart()
            self._ranges = False
            return Problem("its pieces did not fit together", again=True)
        hint = "the file was replaced or damaged where it is served; if that is as it should be, lock again"
        if page:
            notes, hint = (page, *notes), "look at the URL in a browser: a login page, or a proxy's?"
        self.on_bytes(-self.received)
        return DigestMismatch(
            f"{mask(self.name)} from {mask(self.url)} is not what was promised", notes=notes, hint=hint
        )

    def _page(self) -> str:
        """Say so where a page came in place of a file: by its type, or by its first character."""
        if not self._html and not self._head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            return ""
        title = re.search(rb"<title[^>]*>\s*([^<]+?)\s*<", self._head, re.IGNORECASE)
        return "the server sent an HTML page" + (f" (`{mask(title[1].decode(errors='replace'))}`)" if title else "")
