"""Why a request failed, from what libcurl reports (https://curl.se/libcurl/c/libcurl-errors.html)."""

from __future__ import annotations

import os
import re
from http import HTTPStatus
from typing import Any

import pycurl

from pyrunenv.fetch.problem import Problem
from pyrunenv.fetch.reasons import CONNECT_TIMEOUT, proxy_failed, untrusted

_CUT = (pycurl.E_PARTIAL_FILE, pycurl.E_GOT_NOTHING)
_NOT_UNDERSTOOD = (
    pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_FTP_WEIRD_SERVER_REPLY, pycurl.E_WRITE_ERROR, pycurl.E_BAD_CONTENT_ENCODING,
)  # fmt: skip
# What libcurl says before the reason, of a certificate and of TLS.
_FRAME = re.compile(r"^(?:SSL certificate problem|SSL|TLS connect error): (?:error:\w+:SSL routines:\w*:)?")
_NOT_CONNECTED = (pycurl.E_COULDNT_CONNECT, pycurl.E_OPERATION_TIMEDOUT)


def from_curl(curl: Any, code: int, message: str, *, timeout: float) -> Problem:
    """Return what a code of libcurl means; ``curl`` is the request that ended with it."""
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return untrusted(_FRAME.sub("", message))
    if code in (pycurl.E_URL_MALFORMAT, pycurl.E_SSL_CACERT_BADFILE):
        return Problem(message, again=False)
    reason = _reason(curl, code, message, timeout)
    said = curl.getinfo(pycurl.HTTP_CONNECTCODE)
    if said and said != HTTPStatus.OK:
        return proxy_failed(f"it replied {said}", said)
    if code == pycurl.E_COULDNT_RESOLVE_PROXY or (curl.getinfo(pycurl.USED_PROXY) and code in _NOT_CONNECTED):
        return proxy_failed(reason)
    return Problem(reason, again=True)


def _reason(curl: Any, code: int, message: str, timeout: float) -> str:
    if code in (pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY):
        return "its host name cannot be resolved"
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return f"no connection within {min(timeout, CONNECT_TIMEOUT):g} s"
    if code == pycurl.E_SSL_CONNECT_ERROR:
        return f"TLS failed: {_FRAME.sub('', message)}"
    if code in _CUT:
        return "the connection was cut"
    if number := curl.getinfo(pycurl.OS_ERRNO):
        return os.strerror(number).lower()
    if code in _NOT_UNDERSTOOD:
        return f"its reply cannot be understood: {message or f'code {code} of libcurl'}"
    return f"the connection was cut ({message or f'code {code} of libcurl'})"
