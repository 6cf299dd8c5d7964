"""Credentials are masked in everything that a person, a log or a file may see."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

MASK = "****"
_URL_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<userinfo>[^/\s@\"'<>]+)@")
_known: set[str] = set()


def register(secret: str | None) -> None:
    """Remember a password or token, so that :func:`mask` replaces it wherever it appears."""
    if secret and len(secret) >= 4:
        _known.update({secret, unquote(secret)})


def mask(text: str) -> str:
    """Replace credentials in URLs, and every registered secret, by ``****``."""
    text = _URL_USERINFO.sub(lambda m: f"{m['scheme']}{MASK}@", text)
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def strip_credentials(url: str) -> str:
    """Return a URL without its user and password, fit for a file that is committed."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def masked(value: Any) -> Any:
    """Return a JSON value with credentials masked in every text."""
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item) for item in value]
    return mask(value) if isinstance(value, str) else value
