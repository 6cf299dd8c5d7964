"""Servers: whether they answer, as what, how fast, from where, and whether they let us in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyrunenv.doctor.result import Result
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    import requests

TIMEOUT = 10.0
"""Seconds for a connection, and between two bytes."""
SLOW = 3.0
_LARGEST = 64 << 20
_CLOUD = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    "s3e": ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT"),
    "az": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_CLIENT_ID", "AZURE_STORAGE_SAS_TOKEN"),
}


@dataclass(frozen=True)
class Answer:
    """What a server said: the status, the beginning of the body, how long it took, where it came from."""

    status: int
    content_type: str
    body: bytes
    seconds: float
    final: str
    redirects: int

    @property
    def told(self) -> str:
        """`0.12 s, redirected to files.example`."""
        host = f", redirected to {urlsplit(self.final).hostname}" if self.redirects else ""
        return f"{self.seconds:.2f} s{host}"


def ask(session: requests.Session, url: str, headers: Mapping[str, str], *, limit: int = _LARGEST) -> Answer | str:
    """Return a server's answer, or in words why there is none."""
    import requests

    from pyrunenv.fetch.reasons import from_error

    started = time.monotonic()
    try:
        with session.get(strip_credentials(url), headers=dict(headers), timeout=TIMEOUT, stream=True) as response:
            body = b""
            for chunk in response.iter_content(1 << 16):
                body += chunk
                if len(body) >= limit or time.monotonic() - started > 3 * TIMEOUT:
                    break
            seconds = time.monotonic() - started
            kind = response.headers.get("Content-Type", "")
            return Answer(response.status_code, kind, body, seconds, response.url, len(response.history))
    except (requests.RequestException, OSError, ValueError) as error:
        return from_error(error, TIMEOUT).reason


def registry(session: requests.Session, url: str, project: str, name: str | None = None) -> Result:
    """Ask a registry for the page of a project that it is to serve; ``name`` is what the config calls it."""
    from pyrunenv.lock.pages import ACCEPT, rewrite

    shown = strip_credentials(url)
    page = f"{url.rstrip('/')}/{project}/"
    answer = ask(session, page, {"Accept": ACCEPT})
    if isinstance(answer, str):
        return Result(
            "registry", "error", shown, answer, "check the address in `registries`, the network and the proxy"
        )
    if answer.status in (401, 403):
        return Result("registry", "error", shown, f"it refuses to let us in ({answer.status})", _login(name))
    if answer.status == 404:
        return Result("registry", "ok", shown, f"answers, and has no `{project}` ({answer.told})")
    if answer.status != 200:
        return Result("registry", "error", shown, f"it replied {answer.status}", "ask who runs it, or try again later")
    try:
        found = rewrite(answer.body, answer.content_type, answer.final, project, before=None, place=lambda file: file)
        files = found.content.count(b'"filename"')
    except (ValueError, KeyError, TypeError, AttributeError, LookupError):
        files = 0
    if not files:
        text = f"what it answers is no package index ({answer.content_type or 'no content type'})"
        where = f", redirected to {answer.final}" if answer.redirects else ""
        return Result(
            "registry",
            "error",
            shown,
            text + where,
            "its address usually ends in /simple; a login page asks for a login",
        )
    slow = answer.seconds > SLOW
    return Result("registry", "warning" if slow else "ok", shown, f"`{project}`: {files} files, {answer.told}",
                  "it is slow; a mirror nearby may be faster" if slow else "")  # fmt: skip


def _login(name: str | None) -> str:
    if name is None:
        return "give it a `name` in `registries`, and its login in UV_INDEX_<NAME>_USERNAME and _PASSWORD, or use netrc"
    from pyrunenv.fetch.credentials import login_variables

    return f"set {' and '.join(login_variables(name))} to a login that it takes, or use netrc"


def archive(session: requests.Session, url: str, what: str) -> Result:
    """Ask for the first byte of an interpreter's archive."""
    shown = strip_credentials(url)
    remedy = "set `python.mirror` to a place that this machine reaches, or use `python.source` `archive` or `local`"
    answer = ask(session, url, {"Range": "bytes=0-0"}, limit=1)
    if isinstance(answer, str):
        return Result("interpreter", "error", what, f"{shown}: {answer}", remedy)
    if answer.status not in (200, 206):
        return Result("interpreter", "error", what, f"{shown}: it replied {answer.status}", remedy)
    return Result("interpreter", "ok", what, f"{urlsplit(shown).hostname or shown} answers, {answer.told}")


def download(session: requests.Session, url: str, name: str) -> Result:
    """Ask the address that clients download from. Nothing has to lie at its top, so that any reply will do."""
    answer = ask(session, url, {}, limit=1)
    if isinstance(answer, str):
        text = f"{strip_credentials(url)}: {answer}"
        return Result(
            "storage", "warning", name, text, "builds work without it; what is published there cannot be fetched"
        )
    return Result("storage", "ok", name, f"{strip_credentials(url)} answers, {answer.told}")


def storage(url: str, name: str, env: Mapping[str, str]) -> Result:
    """Look at the address that archives are published to, as far as that goes without writing there."""
    parts = urlsplit(url)
    shown = strip_credentials(url).partition("?")[0]
    if parts.scheme == "file":
        from pyrunenv.fetch.session import file_path

        folder = file_path(url)
        good = (folder if folder.exists() else folder.parent).is_dir()
        return Result("storage", "ok" if good else "warning", name, shown if good else f"{shown} is no folder",
                      "" if good else "make the folder before something is published")  # fmt: skip
    variables = _CLOUD.get(parts.scheme)
    if variables is None:
        return Result("storage", "warning", name, f"{shown}: `{parts.scheme}` is no known kind of storage")
    has_file = parts.scheme.startswith("s3") and (Path.home() / ".aws" / "credentials").exists()
    if has_file or any(env.get(variable) for variable in variables):
        return Result("storage", "ok", name, f"{shown}: credentials are configured (not tried)")
    remedy = f"builds work without; to publish, set {' or '.join(variables[:2])}"
    return Result("storage", "absent", name, f"{shown}: no credentials are configured", remedy)


def together(checks: Iterable[tuple[Result, Callable[[], Result]]], patience: float) -> list[Result]:
    """Run checks at once; of one that has not ended in time, its first value, which says so, is the result."""
    from concurrent.futures import Future, wait

    from pyrunenv.fetch.pool import Pool

    pool = Pool(16, "doctor")
    running: list[tuple[Result, Future[Result]]] = [(late, pool.submit(check)) for late, check in checks]
    wait([future for _, future in running], timeout=patience)
    return [future.result() if future.done() else late for late, future in running]


def late(subject: str, what: str) -> Result:
    """What is said of a server that gives bytes too slowly to wait for the end."""
    return Result(subject, "error", what, "no answer in time", "ask who runs it, or try again later")
