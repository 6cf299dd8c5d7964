"""Where archives are published to and fetched from, as far as can be told without writing there."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit
from urllib.request import getproxies

from pyrunenv.doctor.asking import Answer, ask
from pyrunenv.doctor.network import refusal
from pyrunenv.doctor.result import Result
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    import requests


@dataclass(frozen=True)
class _Cloud:
    """What tells that there are credentials for a kind of storage: a variable, or a file below the home folder.

    Some variables are of no use without another.
    """

    variables: tuple[str, ...]
    files: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()


_AWS = _Cloud(
    ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    (".aws/credentials",),
    (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),),
)
_CLOUDS = {
    "s3": _AWS,
    "s3e": _AWS,
    "gs": _Cloud(
        ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT"),
        (".config/gcloud/application_default_credentials.json",),
    ),
    "az": _Cloud(("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_CLIENT_ID", "AZURE_STORAGE_SAS_TOKEN")),
}


def download(session: requests.Session, url: str, name: str) -> Result:
    """Ask the address that clients download from. Nothing has to lie at its top, so that most replies will do."""
    found = Result("storage", "warning", name, where=_shown(url), remedy="builds work without; who runs it knows more")
    if urlsplit(url).scheme == "file":
        return _folder(url, name, "download address", writable=False)
    return _asked(session, url, found, "its download address answers")


def upload(session: requests.Session, url: str, name: str, env: Mapping[str, str]) -> Result:
    """Look at the address that archives are published to."""
    parts = urlsplit(url)
    found = Result("storage", "warning", name, where=_shown(url), remedy="builds work without, publishing does not")
    if parts.scheme == "file":
        return _folder(url, name, "storage", writable=True)
    if parts.scheme in ("http", "https"):
        return _asked(session, url, found, "its storage answers", "; whether it takes files was not tried")
    cloud = _CLOUDS.get(parts.scheme)
    if cloud is None:
        known = ", ".join(("file", "http", "https", *_CLOUDS))
        return replace(found, detail=f"`{parts.scheme}` is no known kind of storage", remedy=f"known are: {known}")
    credentials, missing = _credentials(cloud, env)
    host = _host(url, env)
    resolved, trouble = _resolved(host) if host else ("its host is not known here", "")
    if trouble or missing:
        text = "; ".join(each for each in (trouble, missing) if each)
        remedy = (
            f"to publish, set {' or '.join(cloud.variables[:2])}" if missing else "check the address and the network"
        )
        return replace(found, detail=text, remedy=f"builds work without; {remedy}")
    return replace(found, status="ok", detail=f"{resolved}; {credentials}; nothing was asked of it", remedy="")


def _asked(session: requests.Session, url: str, found: Result, good: str, more: str = "") -> Result:
    answer = ask(session, url, limit=1)
    if not isinstance(answer, Answer):
        return replace(found, detail=answer.reason, remedy=answer.hint or found.remedy)
    if refused := refusal(answer):
        return replace(found, detail=refused)
    if answer.status >= 500:
        return replace(found, detail=f"it replied {answer.status}")
    nothing = ", nothing lies at its top" if answer.status in (404, 410) else ""
    return replace(found, status="ok", detail=f"{good} ({answer.status}{nothing}), {answer.told}{more}", remedy="")


def _folder(url: str, name: str, what: str, *, writable: bool) -> Result:
    from pyrunenv.fetch.session import file_path

    folder = file_path(url)
    found = Result("storage", "ok", name, f"its {what} is a folder that is there", where=str(folder))
    if not folder.is_dir():
        text = f"its {what} is no folder" if folder.exists() else f"its {what} is a folder that is not there"
        return replace(found, status="warning", detail=text, remedy="make the folder before something is published")
    if writable and not os.access(folder, os.W_OK):
        text = f"its {what} is a folder that cannot be written"
        return replace(found, status="warning", detail=text, remedy="builds work without; take the right to write")
    return found


def _credentials(cloud: _Cloud, env: Mapping[str, str]) -> tuple[str, str]:
    """Return in words which credentials there are, or what is missing."""
    for name, other in cloud.pairs:
        if env.get(name) and not env.get(other):
            return "", f"{name} is set without {other}"
    found = [name for name in cloud.variables if env.get(name)]
    found += [str(path) for name in cloud.files if (path := Path.home() / name).exists()]
    if found:
        return f"credentials are configured ({found[0]})", ""
    return "", "no credentials are configured here (a machine's own role cannot be seen)"


def _host(url: str, env: Mapping[str, str]) -> str | None:
    """The host that a client of this kind of storage would ask; None where that cannot be told."""
    parts = urlsplit(url)
    if parts.scheme == "s3e":
        return parts.hostname
    if parts.scheme == "gs":
        return "storage.googleapis.com"
    if parts.scheme == "az":
        account = env.get("AZURE_STORAGE_ACCOUNT_NAME")
        return f"{account}.blob.core.windows.net" if account else None
    endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")
    if endpoint:
        return urlsplit(endpoint).hostname
    regions = (*parse_qs(parts.query).get("region", ()), env.get("AWS_REGION"), env.get("AWS_DEFAULT_REGION"))
    return f"s3.{next(filter(None, regions), 'us-east-1')}.amazonaws.com"


def _resolved(host: str) -> tuple[str, str]:
    """Return in words that a host's name resolves, or that it does not; behind a proxy that is not for us to tell."""
    if getproxies().get("https"):
        return f"{host} is asked through a proxy", ""
    try:
        socket.getaddrinfo(host, 443)
    except (OSError, UnicodeError):
        return "", f"the host name {host} cannot be resolved"
    return f"{host} resolves", ""


def _shown(url: str) -> str:
    """A storage's address without what may be secret in it."""
    return strip_credentials(url).partition("?")[0]
