"""Why a download failed, in words: what the client raises and what servers reply, sorted by whether to try again."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import requests
import urllib3.exceptions as low

from pyrunenv.fetch.problem import Problem

# How long to wait for a connection, in seconds, where the time-out is longer.
CONNECT_TIMEOUT = 20.0
# How long to obey Retry-After at most, in seconds.
LONGEST_WAIT = 60.0

_TRANSIENT_STATUS = {206, 408, 425, 429}
_LOGIN = "if its registry wants a login, give it in UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, or in netrc"
_GONE = "the registry may have removed the file: `pyrunenv lock` finds what it has now"
_STATUS_HINTS = {
    401: _LOGIN,
    403: _LOGIN,
    404: f"{_GONE}; {_LOGIN}",
    410: _GONE,
    407: "set the proxy's user and password in the proxy's URL",
}
_CERTIFICATES = "name the file with your organisation's certificates in SSL_CERT_FILE or REQUESTS_CA_BUNDLE"
_HOPELESS = (
    requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema,
    requests.exceptions.TooManyRedirects, requests.exceptions.InvalidHeader,
)  # fmt: skip


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
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (moment.astimezone(UTC) - (now or datetime.now(UTC))).total_seconds()
    if seconds != seconds:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def from_error(error: Exception, timeout: float) -> Problem:
    """Return what an exception of requests, urllib3 or a socket means."""
    chain = list(_chain(error))
    if isinstance(error, _HOPELESS):
        return Problem(str(error), again=False)
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Problem(f"its certificate is not trusted: {cause.verify_message}", again=False, hint=_CERTIFICATES)
    if any(isinstance(cause, (requests.exceptions.ProxyError, low.ProxyError)) for cause in chain):
        said = re.search(r"Tunnel connection failed: (\d+)[^'\")]*", str(error))
        reason = said.group(0).strip() if said else _innermost(chain, timeout)
        denied = said is not None and said.group(1) in ("401", "403", "407")
        return Problem(f"the proxy failed: {reason}", again=not denied, hint=_STATUS_HINTS[407] if denied else None)
    return Problem(_innermost(chain, timeout), again=True)


def _innermost(chain: list[BaseException], timeout: float) -> str:
    for cause in chain:
        if isinstance(cause, low.NameResolutionError):
            return "its host name cannot be resolved"
        if isinstance(cause, low.NewConnectionError):
            # urllib3 derives it from ConnectTimeoutError; the cause below it tells what happened.
            continue
        if isinstance(cause, (requests.exceptions.ConnectTimeout, low.ConnectTimeoutError)):
            return f"no connection within {min(timeout, CONNECT_TIMEOUT):g} s"
        if isinstance(cause, (TimeoutError, low.ReadTimeoutError, requests.exceptions.ReadTimeout)):
            return f"no byte came for {timeout:g} s"
        if isinstance(cause, low.IncompleteRead):
            return "the connection was cut"
    for cause in reversed(chain):
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or cause}"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return f"the connection was cut ({type(chain[-1]).__name__})"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it wraps: requests keeps the cause in ``args``, urllib3 in ``reason``."""
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        current = pending.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        pending += [getattr(current, "reason", None), *current.args, current.__cause__, current.__context__]
