"""One request for a file: for the whole, or for what follows a cut (RFC 9110, 13.1.5 and 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from pyrunenv.fetch.client import Client
from pyrunenv.fetch.exchange import Exchange
from pyrunenv.fetch.problem import Problem
from pyrunenv.fetch.reasons import from_status
from pyrunenv.fetch.transfer import Readable, Reply

# Larger than any file is what has more digits.
_LENGTH = re.compile(r"\d{1,18}")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class OtherRange(Problem):
    """The server does not go on where it was asked to; the file is to be asked for whole."""

    def __init__(self) -> None:
        super().__init__("the server replied with another range than was asked for", again=True)


@dataclass(frozen=True)
class Answer:
    """What a server sends of a file.

    ``body`` is None where it has nothing newer than what the headers named; ``size`` is the whole file's, where it tells.
    """

    reply: Reply
    body: Readable | None = None
    size: int | None = None
    resumed: bool = False
    html: bool = False


@contextmanager
def answer(
    client: Client, url: str, headers: Mapping[str, str], *, offset: int, size: int | None, known: Reply,
    timeout: float, compressed: bool,
) -> Iterator[Answer]:  # fmt: skip
    """Ask for a file; where ``offset`` is not 0 for what follows, if the file is still the ``known`` one.

    ``size`` is what the file must have, where that is known. What travels ``compressed`` has no size that could be known.
    Raises Problem, for what happens to the connection in the block too.
    """
    asked = dict(headers) if compressed else {"Accept-Encoding": "identity", **headers}
    if offset:
        asked["Range"] = f"bytes={offset}-"
        if known.validator:
            asked["If-Range"] = known.validator
    with client.get(url, asked, timeout=timeout, compressed=compressed) as exchange:
        yield _understood(exchange, offset, size, conditional=bool(headers))


def _understood(exchange: Exchange, offset: int, size: int | None, *, conditional: bool) -> Answer:
    """See what a reply's body is a part of."""
    status, headers = exchange.status, exchange.headers
    if status == HTTPStatus.NOT_MODIFIED and conditional:
        return Answer(Reply(status))
    reply = Reply(status, headers.get("Etag"), headers.get("Last-Modified"))
    if offset and status in (206, 416):
        found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        total = int(found[3]) if found and found[3] != "*" else None
        if status == 206 and found and int(found[1]) == offset and size in (None, total or size):
            return Answer(reply, exchange, total, resumed=True)
        raise OtherRange
    if status != 200:
        raise from_status(status, headers)
    html = headers.get("Content-Type", "").lower().startswith("text/html")
    return Answer(reply, exchange, _length(headers), html=html)


def _length(headers: Mapping[str, str]) -> int | None:
    """The size of a file that a reply brings whole, if that is what its Content-Length tells (RFC 9112, 6.3)."""
    encoded = headers.get("Content-Encoding", "identity") != "identity" or "Transfer-Encoding" in headers
    length = headers.get("Content-Length", "")
    return int(length) if _LENGTH.fullmatch(length) and not encoded else None
