"""Git repositories, kept in the cache: a commit is fetched once, and checked out from there."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pyrunenv import process, secrets
from pyrunenv.errors import ProcessFailed, SourceError
from pyrunenv.files import digest_of
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache

_HINT = "check the address, the network and your access; git must be installed"


class Repository:
    """One repository; ``url`` may hold a login, which goes to git as a variable and to no file."""

    def __init__(self, url: str, cache: Cache, *, offline: bool = False) -> None:
        self.url = strip_credentials(url)
        self._cache = cache
        self._offline = offline
        self._key = digest_of(self.url)[:32]
        self._store = cache.build / "git" / f"git-{self._key}"
        self._variables = {**_without_git(), **login(url)}

    def commit(self, reference: str) -> str | None:
        """Return the 40 digits of a short commit, a branch or a tag; None where the repository has no such."""
        with self._cache.lock(f"git-{self._key}"):
            self._fetch()
            for name in (f"refs/tags/{reference}", f"refs/heads/{reference}", reference):
                found = self._git(
                    "-C", self._store, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False
                )
                if not found.status:
                    return found.stdout.strip()
        return None

    def check_out(self, commit: str, tree: Path) -> None:
        """Check a commit out, with its submodules, into a new folder; raises SourceError."""
        try:
            with self._cache.lock(f"git-{self._key}"):
                if not self._has(commit):
                    self._fetch()
                if not self._has(commit):
                    self._git("-C", self._store, "fetch", "--quiet", self.url, commit)
                self._git("clone", "--quiet", "--no-checkout", "--shared", self._store, tree)
                self._git("-C", tree, "remote", "set-url", "origin", self.url)
                self._git("-C", tree, "-c", "advice.detachedHead=false", "checkout", "--quiet", commit)
                self._git("-C", tree, "submodule", "update", "--quiet", "--init", "--recursive")
        except ProcessFailed as error:
            raise SourceError(
                f"cannot check out {commit} of {self.url}", notes=[error.message, *error.notes], hint=_HINT
            ) from error

    def _has(self, commit: str) -> bool:
        return (self._store / "HEAD").exists() and not self._git(
            "-C", self._store, "cat-file", "-e", f"{commit}^{{commit}}", check=False
        ).status

    def _fetch(self) -> None:
        if self._offline:
            raise SourceError(f"the cache does not have {self.url}", hint="run once without --offline")
        if not (self._store / "HEAD").exists():
            self._store.parent.mkdir(parents=True, exist_ok=True)
            self._git("init", "--quiet", "--bare", self._store)
        # A killed git leaves its lock files for ever; nobody else is in here now.
        for left in (*self._store.glob("*.lock"), *(self._store / "refs").rglob("*.lock")):
            left.unlink()
        # --prune: a branch that is gone may stand where others have a folder
        words = ["fetch", "--quiet", "--prune", "--tags", "--force", self.url, "+refs/heads/*:refs/heads/*"]
        self._git("-C", self._store, *words)

    def _git(self, *words: str | Path, check: bool = True) -> process.Completed:
        return process.run(["git", *words], env=self._variables, check=check)


def login(url: str) -> dict[str, str]:
    """The variables that give git the login of an http URL (git-config, ``GIT_CONFIG_COUNT``): no process argument.

    It is the one in the URL, else one that :mod:`pyrunenv.fetch.credentials` knows.
    """
    from pyrunenv.fetch.credentials import known

    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme in ("http", "https") and not user and (found := known.find(url)) is not None:
        user, password = found.username, found.password
    if parts.scheme not in ("http", "https") or not user:
        return {"GIT_TERMINAL_PROMPT": "0"}
    secrets.register(password or user)
    header = base64.b64encode(f"{user}:{password}".encode()).decode()
    secrets.register(header)
    return {
        "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{strip_credentials(url)}.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {header}",
    }  # fmt: skip


def _without_git() -> dict[str, str]:
    """The user's environment without what would point git to another repository."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name == "GIT_SSH_COMMAND"
    }
