"""Registries and the places of interpreters: whether they answer, as what, how fast, and whether they let us in."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pyrunenv.doctor.asking import Answer, ask
from pyrunenv.doctor.result import Result
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    import requests

SLOW = 3.0
_ADDRESS = "check the address in `registries`, the network and the proxy"
_SIMPLE = "its address usually ends in /simple; a login page asks for a login"
_LATER = "ask who runs it, or try again later"
_LINK = re.compile(r"""<a\s[^>]*?href=["']([^"']*)["'][^>]*>(.*?)</a>""", re.IGNORECASE | re.DOTALL)
_LIST = 1 << 16
"""So many bytes of a registry's list of projects tell whether it is one."""


def refusal(answer: Answer) -> str | None:
    """What a server says of our login, where it does not let us in."""
    if answer.status not in (401, 403, 407):
        return None
    how = "refuses the login that it was given" if answer.login else "wants a login, and none is known"
    return f"it {how} ({answer.status})"


def registry(
    session: requests.Session, url: str, project: str, name: str | None = None, *, alone: bool = False
) -> Result:
    """Ask a registry for the page of a project.

    ``name`` is what the config calls it, ``alone`` tells that no other registry may serve the project.
    """
    from pyrunenv.lock.gateway import denies_what_it_lacks
    from pyrunenv.lock.pages import ACCEPT, UnknownVersionError

    found = Result("registry", "error", strip_credentials(url), remedy=_LATER, where=f"{url.rstrip('/')}/{project}/")
    answer = ask(session, found.where, {"Accept": ACCEPT})
    if not isinstance(answer, Answer):
        return replace(found, detail=answer.reason, remedy=answer.hint or _ADDRESS)
    if answer.status in (404, 410) or denies_what_it_lacks(answer.status, answer.final):
        return _without(session, url, project, answer, found, alone=alone)
    if refused := refusal(answer):
        return replace(found, detail=refused, remedy=_login(name))
    if answer.status != 200:
        return replace(found, detail=f"it replied {answer.status}")
    try:
        files = _read(answer, project)
    except UnknownVersionError as exc:
        return replace(found, detail=str(exc), remedy="a newer pyrunenv may know it")
    except (ValueError, KeyError, TypeError, AttributeError, LookupError, RecursionError):
        text = f"what it answers is no package index ({answer.content_type or 'no content type'}), {answer.told}"
        return replace(found, detail=text, remedy=_SIMPLE)
    form = "JSON" if "json" in answer.content_type else "HTML"
    good = replace(found, status="ok", detail=f"`{project}`: {files} files ({form}), {answer.told}", remedy="")
    if answer.downgraded:
        return replace(good, status="warning", remedy="it leads from https to http, where anybody may change pages")
    if answer.seconds > SLOW:
        return replace(good, status="warning", remedy="it is slow; a mirror nearby may be faster")
    return good


def _login(name: str | None) -> str:
    if name is None:
        return "give it a `name` in `registries`, and its login in UV_INDEX_<NAME>_USERNAME and _PASSWORD, or use netrc"
    from pyrunenv.fetch.credentials import login_variables

    return f"set {' and '.join(login_variables(name))} to a login that it takes, or use netrc"


def _without(
    session: requests.Session, url: str, project: str, answer: Answer, found: Result, *, alone: bool
) -> Result:
    """The result for a registry without a page of a project: it is none perhaps, which its list of projects tells."""
    from pyrunenv.lock.pages import ACCEPT

    top = ask(session, f"{url.rstrip('/')}/", {"Accept": ACCEPT}, limit=_LIST)
    if isinstance(top, Answer) and _is_list(top):
        return replace(found, status="ok", detail=f"answers, and has no `{project}`, {answer.told}", remedy="")
    text = f"it has neither `{project}` ({answer.status}) nor a list of projects"
    return replace(found, status="error" if alone else "warning", detail=text, remedy=_SIMPLE)


def _is_list(top: Answer) -> bool:
    """Whether an answer begins as a registry's list of projects does (PEP 503, 691): its links lead to what they say.

    Those of a home page do not, which is what an address without /simple shows.
    """
    if top.status != 200:
        return False
    if "json" in top.content_type:
        return b'"projects"' in top.body
    links = _LINK.findall(top.body.decode("utf-8", "replace"))
    listed = all(_leaf(href) == canonicalize_name(text.strip()) for href, text in links)
    return "html" in top.content_type and listed and not re.search(rb"<form|<script", top.body, re.IGNORECASE)


def _leaf(href: str) -> str:
    return canonicalize_name(href.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2])


def _read(answer: Answer, project: str) -> int:
    """Return how many files a page names; raises much for what is no page."""
    from pyrunenv.lock.pages import rewrite

    page = rewrite(answer.body, answer.content_type, answer.final, project, before=None, place=lambda file: file)
    files = json.loads(page.content)["files"]
    if any(not isinstance(file["filename"], str) for file in files):
        raise ValueError("a file without a name")
    if not files and "json" not in answer.content_type:
        raise ValueError("a page without links is of anything")
    return len(files)


def interpreter(session: requests.Session, url: str, what: str, remedy: str) -> Result:
    """Ask for the first bytes of an interpreter's archive; some places show a page instead, with status 200."""
    found = Result("interpreter", "error", what, remedy=remedy, where=strip_credentials(url))
    answer = ask(session, url, {"Range": "bytes=0-63"}, limit=64)
    if not isinstance(answer, Answer):
        return replace(found, detail=answer.reason, remedy=answer.hint or remedy)
    if refused := refusal(answer):
        return replace(found, detail=refused, remedy="give its login in its URL, or in netrc")
    if answer.status not in (200, 206):
        return replace(found, detail=f"it replied {answer.status}")
    if "html" in answer.content_type or answer.body.lstrip()[:1] in (b"<", b"{", b""):
        return replace(found, detail=f"what it sends is no archive ({answer.content_type or 'no content type'})")
    return replace(found, status="ok", detail=f"its archive is there, {answer.told}", remedy="")
