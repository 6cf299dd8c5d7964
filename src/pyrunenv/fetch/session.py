"""The HTTP client for documents: proxies and certificates from the environment, logins by origin, certificates loaded once.

Measured on twenty wheels from PyPI with 16 connections: requests loads the certificates for each connection and holds
the interpreter's lock while it does; with one shared context it is as fast as any client.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests_file import FileAdapter

from pyrunenv.fetch import credentials as logins
from pyrunenv.fetch.credentials import Credentials
from pyrunenv.fetch.surroundings import hide_proxy_passwords, trusted, unreadable
from pyrunenv.fetch.urls import file_path
from pyrunenv.secrets import strip_credentials


def make_session(credentials: Credentials | None = None, *, connections: int = 16) -> requests.Session:
    """Return a session that several threads may use; ``connections`` are kept open for each host."""
    hide_proxy_passwords()
    session = _Session(credentials or logins.known)
    session.headers["User-Agent"] = f"pyrunenv/{metadata.version('pyrunenv')}"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("http://", HTTPAdapter(pool_connections=connections, pool_maxsize=connections))
    session.mount("https://", _TlsAdapter(connections))
    session.mount("file://", _FolderAdapter())
    return session


class _Session(requests.Session):
    """Adds the login of a URL's origin, at first and after each redirect; URLs in responses and errors carry none."""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._credentials = credentials

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        url = str(request.url)
        if not request.auth and (login := self._credentials.find(url)):
            request.auth = (login.username.encode(), login.password.encode())
        request.url = strip_credentials(url)
        return super().prepare_request(request)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Take the login off where a redirect leaves its origin, and put on that of the new one, if there is any."""
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        url = str(prepared_request.url)
        login = self._credentials.find(url)
        prepared_request.url = strip_credentials(url)
        if login is not None:
            prepared_request.prepare_auth((login.username.encode(), login.password.encode()))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Follow redirects to http and https alone: no server may name a file of this machine."""
        target = super().get_redirect_target(resp)
        if target is not None and urlsplit(urljoin(resp.url, target)).scheme not in ("http", "https"):
            resp.close()
            raise requests.exceptions.InvalidSchema(f"a redirect leads to `{target}`, which is neither http nor https")
        return target


class _TlsAdapter(HTTPAdapter):
    """Checks certificates with one context that all connections share."""

    def __init__(self, connections: int) -> None:
        self._context = tls_context(*trusted())
        super().__init__(pool_connections=connections, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
        return super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to set for a connection: the context demands a certificate, and knows whom to trust."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, True, cert)
        pool.pop("ca_certs", None)
        pool.pop("ca_cert_dir", None)
        return host, pool


class _FolderAdapter(FileAdapter):
    """Serves an index that lies in a folder: a folder's page is its ``index.html``, as in pip."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        path = file_path(str(request.url))
        if path.is_dir():
            request.url = (path / "index.html").as_uri()
        response = super().send(request, *args, **kwargs)
        # requests-file leaves the file open until it is collected.
        with response.raw as stream:
            content = stream.read()
        response.raw = BytesIO(content)
        return response


@lru_cache(maxsize=4)
def tls_context(bundle: Path, variable: str) -> ssl.SSLContext:
    """Return a context that trusts the certificates of a file or folder. Raises FetchError if they cannot be read."""
    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.check_hostname = True
    try:
        if bundle.is_dir():
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except (OSError, ssl.SSLError) as error:
        raise unreadable(bundle, variable, str(error)) from error
    return context
