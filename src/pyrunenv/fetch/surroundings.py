"""What the environment says of the way to a server: whose certificates to trust, and which proxy to take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from pyrunenv import secrets
from pyrunenv.errors import FetchError
from pyrunenv.fetch.problem import Problem

_PROXY = "correct HTTPS_PROXY or HTTP_PROXY, or unset it"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def trusted(env: Mapping[str, str] = os.environ) -> tuple[Path, str]:
    """Return the file or folder of certificates to trust, and which variable names it (requests' own, then OpenSSL's)."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        if env.get(variable):
            return Path(env[variable]), variable
    import certifi

    return Path(certifi.where()), ""


def unreadable(bundle: Path, variable: str, reason: str) -> FetchError:
    """The failure of a file or folder of certificates that cannot be read."""
    return FetchError(
        f"the certificates in {bundle} cannot be read",
        notes=[reason, *([f"the variable {variable} names them"] if variable else [])],
        hint=f"correct {variable} or unset it" if variable else "install certifi again",
    )


def hide_proxy_passwords() -> None:
    """See to it that no message shows the password in a proxy's URL."""
    for name in _PROXIES:
        for variable in (name, name.upper()):
            with suppress(ValueError):  # no address: see proxy_for
                secrets.register(urlsplit(os.environ.get(variable, "")).password)


def proxy_for(url: str) -> str:
    """Return the URL of the proxy that leads to a URL, or nothing; where no variable tells, the system's settings do."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    try:
        proxy.encode("ascii")
        _ = urlsplit(proxy if "://" in proxy else f"//{proxy}").port
    except ValueError as error:
        raise Problem(f"the proxy's address `{proxy}` is not valid: {error}", again=False, hint=_PROXY) from error
    return proxy
