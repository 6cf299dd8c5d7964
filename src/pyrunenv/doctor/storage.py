"""Where archives are published to and fetched from, as far as can be told without writing there."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyrunenv.doctor.asking import Answer, ask
from pyrunenv.doctor.network import refusal
from pyrunenv.doctor.result import Result
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    import requests


_PROBE = "catalogue/pyrunenv-doctor.json"
"""What nobody has: storages answer that it is not there, or that we may not ask."""


def download(session: requests.Session, url: str, name: str) -> Result:
    """Ask the address that clients download from. Nothing has to lie at its top, so that most replies will do."""
    found = Result("storage", "warning", name, where=_shown(url), remedy="builds work without; who runs it knows more")
    if urlsplit(url).scheme == "file":
        return _folder(url, name, "download address", writable=False)
    return _asked(session, url, found, "its download address answers")


def upload(url: str, name: str) -> Result:
    """Ask the storage that archives are published to, as publishing does; nothing is written there."""
    from pyrunenv.errors import StorageError
    from pyrunenv.publish.stores import open_storage

    if urlsplit(url).scheme == "file":
        return _folder(url, name, "storage", writable=True)
    found = Result("storage", "warning", name, where=_shown(url), remedy="builds work without, publishing does not")
    started = time.monotonic()
    try:
        storage = open_storage(url, create=False)
        storage.size(_PROBE)
        storage.list(_PROBE)
    except StorageError as error:
        detail = "; ".join((error.message, *error.notes))
        return replace(
            found, detail=detail, remedy=f"{error.hint}; builds work without" if error.hint else found.remedy
        )
    took = time.monotonic() - started
    return replace(found, status="ok", detail=f"its storage answers, {took:.2f} s; nothing was written", remedy="")


def _asked(session: requests.Session, url: str, found: Result, good: str) -> Result:
    answer = ask(session, url, limit=1)
    if not isinstance(answer, Answer):
        return replace(found, detail=answer.reason, remedy=answer.hint or found.remedy)
    if refused := refusal(answer):
        return replace(found, detail=refused)
    if answer.status >= 500:
        return replace(found, detail=f"it replied {answer.status}")
    nothing = ", nothing lies at its top" if answer.status in (404, 410) else ""
    return replace(found, status="ok", detail=f"{good} ({answer.status}{nothing}), {answer.told}", remedy="")


def _folder(url: str, name: str, what: str, *, writable: bool) -> Result:
    from pyrunenv.fetch.urls import file_path

    folder = file_path(url)
    found = Result("storage", "ok", name, f"its {what} is a folder that is there", where=str(folder))
    if not folder.is_dir():
        text = f"its {what} is no folder" if folder.exists() else f"its {what} is a folder that is not there"
        return replace(found, status="warning", detail=text, remedy="make the folder before something is published")
    if writable and not os.access(folder, os.W_OK):
        text = f"its {what} is a folder that cannot be written"
        return replace(found, status="warning", detail=text, remedy="builds work without; take the right to write")
    return found


def _shown(url: str) -> str:
    """A storage's address without what may be secret in it."""
    return strip_credentials(url).partition("?")[0]
