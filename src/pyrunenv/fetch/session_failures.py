"""Why a request failed, from what requests and urllib3 raise."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

import requests
import urllib3.exceptions as low

from pyrunenv.fetch.problem import Problem
from pyrunenv.fetch.reasons import CONNECT_TIMEOUT, proxy_failed, untrusted

_HOPELESS = (
    requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema,
    requests.exceptions.TooManyRedirects, requests.exceptions.InvalidHeader,
)  # fmt: skip


def from_error(error: Exception, timeout: float) -> Problem:
    """Return what an exception of requests, urllib3 or a socket means."""
    chain = list(_chain(error))
    if isinstance(error, _HOPELESS):
        return Problem(str(error), again=False)
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return untrusted(cause.verify_message)
    if any(isinstance(cause, (requests.exceptions.ProxyError, low.ProxyError)) for cause in chain):
        said = re.search(r"Tunnel connection failed: (\d+)[^'\")]*", str(error))
        if said is None:
            return proxy_failed(_innermost(chain, timeout))
        return proxy_failed(said.group(0).strip(), int(said.group(1)))
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
