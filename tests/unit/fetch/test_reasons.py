"""What replies and errors mean: whether to try again, when, and in which words."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime

import pytest
import requests
import urllib3.exceptions as low

from pyrunenv.fetch.reasons import LONGEST_WAIT, from_status, retry_after
from pyrunenv.fetch.session_failures import from_error

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0), ("7", 7.0), ("1.5", 1.5), ("-3", 0.0), ("999999", LONGEST_WAIT), ("inf", LONGEST_WAIT),
        ("nan", None), ("soon", None), ("", None), (None, None),
        ("Thu, 01 Jan 2026 12:00:20 GMT", 20.0), ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("Thu, 01 Jan 2027 12:00:00 GMT", LONGEST_WAIT),
    ],
)  # fmt: skip
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Numbers and dates are understood and bounded; nonsense is no wish at all."""
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "again"),
    [(429, True), (408, True), (500, True), (502, True), (503, True), (599, True), (501, False), (400, False),
     (401, False), (403, False), (404, False), (410, False), (418, False), (304, False), (799, True)],
)  # fmt: skip
def test_only_outages_are_tried_again(status: int, again: bool) -> None:
    """5xx, 429 and 408 pass; what a client did wrong stays wrong."""
    problem = from_status(status, {"Retry-After": "3"})
    assert problem.again is again
    assert str(status) in problem.reason
    assert problem.after == (3.0 if again else None)


def test_login_is_asked_for_where_it_may_help() -> None:
    """401 and 403 say how to give a login."""
    assert "UV_INDEX_<NAME>_PASSWORD" in (from_status(401, {}).hint or "")
    assert "UV_INDEX_<NAME>_PASSWORD" in (from_status(403, {}).hint or "")


def wrap(cause: Exception) -> requests.ConnectionError:
    """Wrap a cause as requests does."""
    return requests.ConnectionError(low.MaxRetryError(None, "https://me:password@host/x", cause))  # type: ignore[arg-type]


def refused() -> requests.ConnectionError:
    """Make what requests raises where nobody listens: urllib3 calls it a kind of time-out."""
    error = low.NewConnectionError(None, "Failed to establish a new connection")  # type: ignore[arg-type]
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    return wrap(error)


@pytest.mark.parametrize(
    ("error", "again", "said"),
    [
        (wrap(low.NameResolutionError("h", None, socket.gaierror(-2, "x"))), True, "name cannot be resolved"),  # type: ignore[arg-type]
        (refused(), True, "connection refused"),
        (wrap(low.ConnectTimeoutError(None, "slow")), True, "no connection within 5 s"),
        (low.ReadTimeoutError(None, "u", "slow"), True, "no byte came for 5 s"),  # type: ignore[arg-type]
        (low.IncompleteRead(1, 2), True, "the connection was cut"),
        (low.ProtocolError("x", ConnectionResetError(104, "Connection reset")), True, "connection reset"),
        (requests.exceptions.TooManyRedirects("Exceeded 30 redirects."), False, "30 redirects"),
        (requests.exceptions.InvalidURL("bad"), False, "bad"),
        (wrap(low.ProxyError("x", OSError("Tunnel connection failed: 407 Auth Required"))), False, "407"),
        (wrap(low.ProxyError("x", OSError("Tunnel connection failed: 503 Busy"))), True, "503"),
    ],
)  # fmt: skip
def test_errors_of_the_client_become_a_short_reason(error: Exception, again: bool, said: str) -> None:
    """Chains of wrapped exceptions end in one plain sentence without a URL."""
    problem = from_error(error, 5.0)
    assert problem.again is again
    assert said in problem.reason
    assert "password" not in problem.reason


def test_certificate_that_is_not_trusted_is_final() -> None:
    """An unknown authority is not tried again, and the hint names the variables."""
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_message = "self-signed certificate"
    problem = from_error(requests.exceptions.SSLError(low.MaxRetryError(None, "u", low.SSLError(cause))), 5.0)  # type: ignore[arg-type]
    assert not problem.again
    assert "self-signed certificate" in problem.reason
    assert "SSL_CERT_FILE" in (problem.hint or "")
