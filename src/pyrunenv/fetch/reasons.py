"""Why a download failed, in words: what servers reply, sorted by whether to try again; and what all clients say alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from pyrunenv.fetch.problem import Problem

# How long to wait for a connection, in seconds, where the time-out is longer.
CONNECT_TIMEOUT = 20.0
# How long to obey Retry-After at most, in seconds.
LONGEST_WAIT = 60.0

_TRANSIENT_STATUS = {206, 408, 425, 429}
_CERTIFICATES = "name the file with your organisation's certificates in SSL_CERT_FILE or REQUESTS_CA_BUNDLE"
_LOGIN = "if its registry wants a login, give it in UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, or in netrc"
_GONE = "the registry may have removed the file: `pyrunenv lock` finds what it has now"
_STATUS_HINTS = {
    401: _LOGIN,
    403: _LOGIN,
    404: f"{_GONE}; {_LOGIN}",
    410: _GONE,
    407: "set the proxy's user and password in the proxy's URL",
}


def from_status(status: int, headers: Mapping[str, str]) -> Problem:
    """Return what a reply other than 200 and 206 means."""
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    again = status in _TRANSIENT_STATUS or (status >= 500 and status != HTTPStatus.NOT_IMPLEMENTED)
    after = retry_after(headers.get("Retry-After")) if again else None
    return Problem(f"the server replied {status}{phrase}", again=again, after=after, hint=_STATUS_HINTS.get(status))


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return how many seconds a Retry-After header asks for (RFC 9110, 10.2.3: a number or a date), bounded."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value).astimezone(UTC)
        except (ValueError, OverflowError):
            return None
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    if seconds != seconds:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def untrusted(reason: str) -> Problem:
    """A server whose certificate is not trusted."""
    return Problem(f"its certificate is not trusted: {reason}", again=False, hint=_CERTIFICATES)


def proxy_failed(reason: str, status: int | None = None) -> Problem:
    """A proxy that does not lead to the server; ``status`` is what it replied, if it did."""
    denied = status in (401, 403, 407)
    return Problem(f"the proxy failed: {reason}", again=not denied, hint=_STATUS_HINTS[407] if denied else None)
