"""Git references: a branch or tag in the config is a full commit in the lock."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from pyrunenv import process
from pyrunenv.errors import ProcessFailed, ResolverFailed
from pyrunenv.fetch.repository import Repository, login
from pyrunenv.lock.model import LockedSource

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache

_GIT = re.compile(
    r"^(?P<before>.*?git\+)(?P<url>[^@#\s]+(?:@[^@#/\s]+(?=[/:][^@#\s]*))?[^@#\s]*)(?:@(?P<ref>[^#\s]+))?(?P<rest>.*)$"
)
_LOGIN = re.compile(r"(?P<scheme>https?://)[^/\s@]+@")
_SHORT = re.compile(r"^[0-9a-f]{4,39}$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


def pin_commit(requirement: str) -> str:
    """Return a git requirement with the 40 digits of the commit that its reference names now.

    Any other requirement comes back as it is. Raises ResolverFailed where the repository does not tell.
    """
    parts = _GIT.match(requirement)
    if parts is None or _COMMIT.match(parts["ref"] or ""):
        return requirement
    reference = parts["ref"] or "HEAD"
    try:
        words = ["git", "ls-remote", without_login(parts["url"]), reference, f"refs/tags/{reference}^{{}}"]
        listed = process.run(words, env={**os.environ, **login(parts["url"])}).stdout
    except ProcessFailed as error:
        raise ResolverFailed(
            f"cannot find the commit of `{requirement}`", notes=error.notes, hint="name the full commit in the config"
        ) from error
    commits = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
    for name in (f"refs/tags/{reference}^{{}}", f"refs/heads/{reference}", f"refs/tags/{reference}", reference):
        if name in commits:
            return f"{parts['before']}{parts['url']}@{commits[name]}{parts['rest']}"
    raise ResolverFailed(
        f"`{requirement}` names a commit that `{parts['url']}` does not list",
        hint="use a branch, a tag, or the full 40 digits of a commit",
    )


def with_commit(requirement: str, commit: str) -> str:
    """Return a git requirement with a commit in place of what it names."""
    parts = _GIT.match(requirement)
    return f"{parts['before']}{parts['url']}@{commit}{parts['rest']}" if parts else requirement


def git_source(url: str, cache: Cache) -> LockedSource:
    """Return the source that a git URL (``git+https://…@ref#subdirectory=…``) names, its commit looked up.

    A short commit is looked up in the repository itself. Raises ResolverFailed where that does not tell.
    """
    parts = _GIT.match(url)
    if parts is None:
        raise ResolverFailed(f"`{without_login(url)}` is no git reference", hint="write git+https://…@commit")
    reference = parts["ref"] or "HEAD"
    fragment = dict(item.partition("=")[::2] for item in parts["rest"].removeprefix("#").split("&"))
    try:
        pinned = _GIT.match(pin_commit(url))
        commit = pinned["ref"] if pinned else None
    except ResolverFailed:
        commit = Repository(parts["url"], cache).commit(reference) if _SHORT.match(reference) else None
        if commit is None:
            raise
    return LockedSource(
        "git", without_login(parts["url"]), commit=commit, revision=reference, subdirectory=fragment.get("subdirectory")
    )


def without_login(requirement: str) -> str:
    """Return a requirement whose URL, if it has one, holds no user and password for http; fit for a lock."""
    return _LOGIN.sub(lambda m: m["scheme"], requirement)
