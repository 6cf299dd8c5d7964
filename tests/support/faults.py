"""What a server can do wrong, one reply at a time; given to :meth:`support.index.IndexServer.fault`."""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.index import Exchange


class Cut(Exception):
    """The connection ends here."""


@dataclass(frozen=True)
class Fault:
    """One wrong reply."""

    def reply(self, exchange: Exchange) -> None:
        """Answer the request; the file that was asked for is in ``exchange.body``, from ``exchange.start`` on."""
        raise NotImplementedError


@dataclass(frozen=True)
class Status(Fault):
    """A status and no file: ``Status(503)``, ``Status(429, {"Retry-After": "1"})``; after so many seconds."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0

    def reply(self, exchange: Exchange) -> None:
        time.sleep(self.after)
        exchange.send(self.status, b"out of order\n", {"Content-Type": "text/plain", **self.headers})


@dataclass(frozen=True)
class Raw(Fault):
    """These bytes, whatever they are, and the end of the connection."""

    reply_bytes: bytes = b""

    def reply(self, exchange: Exchange) -> None:
        exchange.wfile.write(self.reply_bytes)
        raise Cut


@dataclass(frozen=True)
class CutAfter(Fault):
    """The right headers, then ``count`` bytes of the reply, then the end of the connection."""

    count: int

    def reply(self, exchange: Exchange) -> None:
        exchange.send_file(only=self.count)
        raise Cut


@dataclass(frozen=True)
class StallAfter(Fault):
    """The right headers, then ``count`` bytes, then nothing for ``seconds`` (or until the server ends)."""

    count: int
    seconds: float = 3600.0

    def reply(self, exchange: Exchange) -> None:
        exchange.send_file(only=self.count)
        exchange.index.ended.wait(self.seconds)
        raise Cut


@dataclass(frozen=True)
class Silence(Fault):
    """No reply at all for ``seconds``."""

    seconds: float = 3600.0

    def reply(self, exchange: Exchange) -> None:
        exchange.index.ended.wait(self.seconds)
        raise Cut


@dataclass(frozen=True)
class WrongLength(Fault):
    """A Content-Length that is off by ``by``, and the right bytes."""

    by: int

    def reply(self, exchange: Exchange) -> None:
        body = exchange.body
        exchange.send(200, body[: len(body) + min(self.by, 0)], {"Content-Length": str(len(body) + self.by)})
        raise Cut


@dataclass(frozen=True)
class WrongRange(Fault):
    """A 206 whose bytes begin ``shift`` bytes off what was asked for; ``honest`` says so in Content-Range."""

    shift: int
    honest: bool = True

    def reply(self, exchange: Exchange) -> None:
        start = max(0, exchange.start + self.shift)
        said = start if self.honest else exchange.start
        part = exchange.body[start:]
        total = len(exchange.body)
        exchange.send(206, part, {"Content-Range": f"bytes {said}-{said + len(part) - 1}/{total}"})


@dataclass(frozen=True)
class IgnoreRange(Fault):
    """The whole file, whatever range was asked for; ``cut`` ends it after so many bytes."""

    cut: int | None = None

    def reply(self, exchange: Exchange) -> None:
        exchange.start = 0
        exchange.ranged = False
        exchange.send_file(only=self.cut)
        if self.cut is not None:
            raise Cut


@dataclass(frozen=True)
class WrongBytes(Fault):
    """As many bytes as the file has, the last one changed (or those of ``body``)."""

    body: bytes | None = None

    def reply(self, exchange: Exchange) -> None:
        body = exchange.body[:-1] + bytes([exchange.body[-1] ^ 1]) if self.body is None else self.body
        exchange.send(200, body, {})


@dataclass(frozen=True)
class Redirect(Fault):
    """A redirect to another URL."""

    url: str
    status: int = 302

    def reply(self, exchange: Exchange) -> None:
        exchange.send(self.status, b"", {"Location": self.url})


@dataclass(frozen=True)
class Html(Fault):
    """A page in place of the file, with status 200: a login page, or a proxy's."""

    page: bytes = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>please</body></html>"
    content_type: str = "text/html; charset=utf-8"

    def reply(self, exchange: Exchange) -> None:
        exchange.send(200, self.page, {"Content-Type": self.content_type})


@dataclass(frozen=True)
class Gzipped(Fault):
    """The right bytes, encoded on the way, whether that was asked for or not.

    ``cut`` ends them after so many, ``damaged`` changes what stands near the end.
    """

    cut: int | None = None
    damaged: bool = False

    def reply(self, exchange: Exchange) -> None:
        encoded = gzip.compress(exchange.body)
        if self.damaged:
            encoded = encoded[:-300] + b"\xff" * 200 + encoded[-100:]
        exchange.send(200, encoded[: self.cut], {"Content-Encoding": "gzip", "Content-Length": str(len(encoded))})
        if self.cut is not None:
            raise Cut


@dataclass(frozen=True)
class NoLength(Fault):
    """The right bytes without Content-Length, ended by the connection's end; ``cut`` ends it after so many."""

    cut: int | None = None

    def reply(self, exchange: Exchange) -> None:
        exchange.send(200, exchange.body[: self.cut], {"Content-Length": None})
        raise Cut


@dataclass(frozen=True)
class Slow(Fault):
    """The right bytes, ``chunk`` at a time, ``pause`` seconds apart."""

    chunk: int = 1 << 16
    pause: float = 0.01

    def reply(self, exchange: Exchange) -> None:
        exchange.send_file(only=0)
        for at in range(exchange.start, len(exchange.body), self.chunk):
            exchange.write(exchange.body[at : at + self.chunk])
            time.sleep(self.pause)
