"""The npm registry's protocol: what a registry knows of a package, its tarballs, and publishing a version.

https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
from requests.auth import AuthBase

from pyrunenv.errors import NpmError
from pyrunenv.fetch.credentials import Credentials
from pyrunenv.fetch.problem import Problem
from pyrunenv.fetch.reasons import CONNECT_TIMEOUT, from_status
from pyrunenv.fetch.session import make_session
from pyrunenv.fetch.session_failures import from_error
from pyrunenv.npm.documents import Packument, Version, publish_document, read_packument
from pyrunenv.secrets import mask

if TYPE_CHECKING:
    from pyrunenv.npm.npmrc import Login, Npmrc
    from pyrunenv.npm.tarball import Tarball

log = logging.getLogger(__name__)
T = TypeVar("T")

_TRIES = 4
_TIMEOUT = 120.0  # seconds without a byte: registries check what was put before they reply
_LARGEST = 1 << 29  # bytes of a reply
_TOLD = 300  # letters of what a registry says


class Registry:
    """One registry. ``url`` ends with a slash; ``backoff`` is how many seconds the first of several tries waits.

    All methods raise NpmError where it cannot be reached or refuses.
    """

    def __init__(self, url: str, npmrc: Npmrc, *, otp: str | None = None, backoff: float = 1.0) -> None:
        self.url = url
        self._npmrc = npmrc
        self._otp = otp
        self._backoff = backoff
        self._session = make_session(_NoLogins())

    def packument(self, name: str) -> Packument:
        """Return what the registry knows of a package: nothing where it has none of that name."""
        content = self._tried(f"ask {self.url} for {name}", lambda: self._get(self._url(name)))
        return read_packument(content, self.url, name) if content is not None else Packument()

    def tarball(self, name: str, version: Version) -> bytes:
        """Return a version's tarball as it is there; what its digest tells is up to the caller."""
        url = urljoin(self._url(name), version.tarball)
        if urlsplit(self.url).scheme == "https":
            # as npm does: publishers write http into the document
            url = url.replace("http://", "https://", 1) if url.startswith("http://") else url
        if urlsplit(url).scheme not in ("http", "https"):
            raise NpmError(f"{self.url} names `{url}` as a tarball of {name}, which is neither http nor https")
        content = self._tried(f"download {name} from {url}", lambda: self._get(url))
        if content is None:
            raise NpmError(f"{self.url} names a tarball of {name} that is not there", notes=[url])
        return content

    def require_login(self) -> None:
        """Raise NpmError where nothing tells who we are there."""
        if self._npmrc.login(self.url, self.url) is None:
            raise NpmError(f"no login for {self.url} is known", notes=self._npmrc.doubts(), hint=self._login_hint())

    def publish(
        self, tarball: Tarball, *, tag: str, access: str | None, is_there: Callable[[], bool]
    ) -> bool:  # fmt: skip
        """Put a version that the registry does not have; returns False where another run was faster with the same.

        ``is_there`` looks whether the version is there by now, which is asked after whatever went wrong: a reply that
        was lost, or somebody else's version. So putting it a second time is safe.
        """
        body = json.dumps(publish_document(tarball, self.url, tag=tag, access=access)).encode()

        def attempt() -> bool:
            try:
                self._put(self._url(tarball.name), body)
            except _Denied:
                raise
            except Problem as problem:
                if is_there():
                    return problem.again and not isinstance(problem, _Taken)
                raise
            return True

        return self._tried(f"publish {tarball} to {self.url}", attempt)

    def _url(self, name: str) -> str:
        return self.url + name.replace("/", "%2f")

    def _tried(self, what: str, attempt: Callable[[], T]) -> T:
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, Problem) and error.again),
            wait=self._wait, stop=tenacity.stop_after_attempt(_TRIES), reraise=True,
        )  # fmt: skip
        try:
            return attempts(attempt)
        except Problem as problem:
            doubts = self._npmrc.doubts() if isinstance(problem, _Denied) else []
            raise NpmError(f"cannot {mask(what)}", notes=[problem.reason, *doubts], hint=problem.hint) from problem

    def _wait(self, state: tenacity.RetryCallState) -> float:
        problem = state.outcome.exception() if state.outcome else None
        delay: float = self._backoff * 2 ** (state.attempt_number - 1) * random.uniform(0.5, 1.0)
        asked = problem.after if isinstance(problem, Problem) else None
        return max(asked or 0.0, delay)

    def _get(self, url: str) -> bytes | None:
        """Return what is there; None where nothing is."""
        login = self._npmrc.login(url, self.url)
        status, headers, content = self._ask("GET", url, login, {"Cache-Control": "no-cache"})
        if status == requests.codes.not_found:
            return None
        if status != requests.codes.ok:
            raise self._problem(status, headers, content, login)
        return content

    def _put(self, url: str, body: bytes) -> None:
        login = self._npmrc.login(url, self.url)
        headers = {"Content-Type": "application/json", **({"npm-otp": self._otp} if self._otp else {})}
        status, replied, content = self._ask("PUT", url, login, headers, body)
        if status not in (requests.codes.ok, requests.codes.created, requests.codes.accepted):
            raise self._problem(status, replied, content, login)

    def _ask(
        self, method: str, url: str, login: Login | None, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            # what is published, with the login, goes to no other place than the one that was chosen
            with self._session.request(
                method, url, data=body, headers=dict(headers), auth=_Authorization(login), stream=True,
                timeout=(CONNECT_TIMEOUT, _TIMEOUT), allow_redirects=body is None,
            ) as response:  # fmt: skip
                content = b""
                for chunk in response.iter_content(1 << 20):
                    content += chunk
                    if len(content) > _LARGEST:
                        raise Problem(f"the reply goes on after {_LARGEST} bytes", again=False)
                log.info("%s %s: %d", method, url, response.status_code)
                return response.status_code, response.headers, content
        except (requests.RequestException, OSError) as error:
            raise from_error(error, _TIMEOUT) from error

    def _problem(self, status: int, headers: Mapping[str, str], content: bytes, login: Login | None) -> Problem:
        """What a reply means that is not what was hoped for."""
        problem = from_status(status, headers)
        said = _said(content)
        reason = f"{problem.reason}: {said}" if said else problem.reason
        if status in (301, 302, 303, 307, 308):
            return Problem(
                f"{reason}; it leads to {headers.get('Location')}", again=False, hint="give the URL it leads to"
            )
        if status == requests.codes.unauthorized and _wants_otp(headers, content):
            reason = "the one-time password is not accepted" if self._otp else "it asks for a one-time password"
            return _Denied(reason, again=False, hint="give --otp with the code that your authenticator shows now")
        if status == requests.codes.unauthorized:
            return _Denied(f"{reason} ({_who(login)})", again=False, hint=self._login_hint())
        if status == requests.codes.payment_required:
            return _Denied(reason, again=False, hint="restricted packages are paid for there: give --access public")
        if status == requests.codes.conflict:
            return _Taken(reason, again=True)
        if status in (requests.codes.forbidden, requests.codes.not_found):
            hint = f"may this login publish it there? {self._login_hint()}"
            return Problem(f"{reason} ({_who(login)})", again=False, hint=hint)
        return Problem(
            reason, again=problem.again, after=problem.after, hint="run again: what is done is not done twice"
        )

    def _login_hint(self) -> str:
        key = self.url.partition(":")[2]
        return (
            f"put a token into NPM_TOKEN, or into ~/.npmrc as `{key}:_authToken=…` (`npm login --registry {self.url}`)"
        )


class _Denied(Problem):
    """The registry does not know us, and nothing was written."""


class _Taken(Problem):
    """Somebody wrote there at the same time."""


class _NoLogins(Credentials):
    """None of the logins for package indexes is a login for npm."""

    def find(self, url: str) -> None:
        return None


class _Authorization(AuthBase):
    """Puts npm's login on a request, and no other: netrc is not npm's."""

    def __init__(self, login: Login | None) -> None:
        self._login = login

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._login is not None:
            request.headers["Authorization"] = self._login.header
        return request


def _said(content: bytes) -> str:
    """The registry's own words, from one of the places where registries put them."""
    with suppress(ValueError):
        document = json.loads(content)
        if isinstance(document, dict):
            said = next((document[key] for key in ("error", "message", "reason") if document.get(key)), "")
            text = said if isinstance(said, str) else json.dumps(said)
            return "".join(c if c.isprintable() else " " for c in text)[:_TOLD].strip()
    return ""


def _wants_otp(headers: Mapping[str, str], content: bytes) -> bool:
    ways = [way.strip().lower() for way in headers.get("WWW-Authenticate", "").split(",")]
    return "otp" in ways or b"one-time pass" in content.lower()


def _who(login: Login | None) -> str:
    return f"the login is that of {login.source}" if login else "no login was sent"
