"""Git references: a branch or tag in the config is a full commit in the lock."""

from __future__ import annotations

import base64
import os
import re
from urllib.parse import unquote, urlsplit

from pyrunenv import process, secrets
from pyrunenv.errors import ProcessFailed, ResolverFailed
from pyrunenv.secrets import strip_credentials

_GIT = re.compile(
    r"^(?P<before>.*?git\+)(?P<url>[^@#\s]+(?:@[^@#/\s]+(?=[/:][^@#\s]*))?[^@#\s]*)(?:@(?P<ref>[^#\s]+))?(?P<rest>.*)$"
)
_LOGIN = re.compile(r"(?P<scheme>https?://)[^/\s@]+@")
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
        listed = process.run(words, env={**os.environ, **_login(parts["url"])}).stdout
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


def without_login(requirement: str) -> str:
    """Return a requirement whose URL, if it has one, holds no user and password for http; fit for a lock."""
    return _LOGIN.sub(lambda m: m["scheme"], requirement)


def _login(url: str) -> dict[str, str]:
    """The variables that give git the login of an http URL (git-config, ``GIT_CONFIG_COUNT``): no process argument."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.username is None:
        return {"GIT_TERMINAL_PROMPT": "0"}
    user, password = unquote(parts.username), unquote(parts.password or "")
    secrets.register(password or user)
    header = base64.b64encode(f"{user}:{password}".encode()).decode()
    secrets.register(header)
    return {
        "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{strip_credentials(url)}.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {header}",
    }  # fmt: skip
