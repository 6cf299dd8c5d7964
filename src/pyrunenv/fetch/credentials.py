"""Who may read which registry: from a URL, from ``UV_INDEX_<NAME>_USERNAME`` and ``_PASSWORD``, from netrc.

A login belongs to one origin (scheme, host and port) and goes nowhere else. No login ever stands in a process argument:
the resolver gets URLs without any, and the logins in its environment.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from pyrunenv import secrets
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    from pyrunenv.config.schema import Registries, TargetConfig

SCHEMES = {"http": 80, "https": 443}
"""The default ports of what is asked over the network."""
# What requests and pip read; uv and Python's own ssl module know SSL_CERT_FILE and SSL_CERT_DIR alone.
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class Login:
    """A user and a password; either may be empty (a token alone stands as the user, or as the password)."""

    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        # A token often stands where the user would, with no password or a placeholder for one.
        secrets.register(self.password or self.username)
        if self.username and self.password in ("", "x-oauth-basic"):
            secrets.register(self.username)


@dataclass(frozen=True)
class NamedRegistry:
    """A registry as the resolver is told of it: a name, unique even within a variable, and a URL without a login."""

    name: str
    url: str
    login: Login | None


class Credentials:
    """The logins that this process knows. Safe for several threads."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        self._env = env
        self._lock = threading.Lock()
        self._logins: dict[str, tuple[str, str, Login]] = {}

    def learn(self, registries: Registries) -> list[NamedRegistry]:
        """Remember the logins of all registries; returns the registries, the default one first."""
        named = _name(registries, self._env)
        with self._lock:
            for registry in named:
                if registry.login is not None:
                    parts = urlsplit(registry.url)
                    self._logins[registry.url] = (origin_of(parts), parts.path, registry.login)
        return named

    def learn_url(self, url: str) -> None:
        """Remember the login in the URL of a file, or of a folder of files; a URL without one changes nothing."""
        bare = strip_credentials(url)
        parts = urlsplit(bare)
        if (login := _userinfo(urlsplit(url))) is not None:
            with self._lock:
                self._logins[bare] = (origin_of(parts), parts.path, login)

    def find(self, url: str) -> Login | None:
        """Return the login for a URL: its own, that of a registry of its origin (nearest path first), or netrc's."""
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.hostname:
            return None
        own = _userinfo(parts)
        if own is not None:
            return own
        origin = origin_of(parts)
        with self._lock:
            known = [(path, login) for where, path, login in self._logins.values() if where == origin]
        if known:
            return max(known, key=lambda entry: _shared(entry[0], parts.path))[1]
        return _netrc_login(parts.hostname, self._env)


known = Credentials()
"""The logins of every registry that this process has heard of; what a session uses unless it is given others."""


def learn(config: TargetConfig) -> None:
    """Remember the logins that a target's config holds, since locks name files without any.

    They stand in the URLs of registries, of the interpreters' mirror and archives, and of roots that are files.
    """
    from pyrunenv.config.requirements import parse_root

    known.learn(config.registries)
    archives = (archive.url for archive in config.python.archives.values())
    roots = (parse_root(root).url for root in config.dependencies)
    for url in (config.python.mirror, *archives, *roots):
        if url is not None:
            known.learn_url(url.removeprefix("git+"))


def named_registries(registries: Registries) -> list[tuple[str, str]]:
    """Return (name, URL without a login) of every registry, the default one first; the names fit uv's ``--index``."""
    return [(registry.name, registry.url) for registry in known.learn(registries)]


def registries_for(registries: Registries, name: str) -> list[str]:
    """Return the URLs, without logins, of the registries that serve a package, the default one first.

    A name that some registry lists under ``packages`` comes from there alone.
    """
    from packaging.utils import canonicalize_name

    known.learn(registries)
    wanted = canonicalize_name(name)
    own = [r.url for r in registries.additional if wanted in {canonicalize_name(p) for p in r.packages or ()}]
    every = [registries.default, *(r.url for r in registries.additional if not r.packages)]
    return list(dict.fromkeys(strip_credentials(url) for url in own or every))


def registry_environment(registries: Registries, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that give the resolver each registry's login, and the certificates that we trust.

    uv reads ``UV_INDEX_<NAME>_USERNAME`` and ``_PASSWORD`` for an index given as ``--index name=url``
    (https://docs.astral.sh/uv/concepts/indexes/#providing-credentials-directly); netrc it reads itself.
    """
    found: dict[str, str] = {}
    source = known if env is os.environ else Credentials(env)
    for registry in source.learn(registries):
        if registry.login is not None:
            user, password = login_variables(registry.name)
            found |= {user: registry.login.username, password: registry.login.password}
    if not env.get("SSL_CERT_FILE") and not env.get("SSL_CERT_DIR"):
        bundle = next((env[name] for name in _BUNDLES if env.get(name)), None)
        if bundle:
            found["SSL_CERT_DIR" if Path(bundle).is_dir() else "SSL_CERT_FILE"] = bundle
    return found


def _name(registries: Registries, env: Mapping[str, str]) -> list[NamedRegistry]:
    """Name the registries that have no name; no two names may share a variable."""
    taken = {_key(entry.name) for entry in registries.additional if entry.name}
    used: set[str] = set()

    def unique(name: str, reserved: Iterable[str] = ()) -> str:
        candidate, number = name, 2
        while _key(candidate) in used or _key(candidate) in reserved:
            candidate, number = f"{name}-{number}", number + 1
        used.add(_key(candidate))
        return candidate

    entries: list[tuple[str | None, str]] = [
        (None, registries.default),
        *((r.name, r.url) for r in registries.additional),
    ]
    named: dict[str, NamedRegistry] = {}
    for position, (given, url) in enumerate(entries):
        bare = strip_credentials(url)
        if bare in named and named[bare].login is not None:
            continue
        label = given or ("default" if position == 0 else f"registry-{position}")
        name = unique(label, () if given else taken)
        login = _login(given or name, url, env)
        if bare in named:
            # The same registry twice: the resolver is told of it once, where it stands first.
            named[bare] = NamedRegistry(named[bare].name, bare, login)
        else:
            named[bare] = NamedRegistry(name, bare, login)
    return list(named.values())


def _login(name: str, url: str, env: Mapping[str, str]) -> Login | None:
    """The variables win over the URL, as they do in uv."""
    user, password = (env.get(variable) for variable in login_variables(name))
    if user or password:
        return Login(user or "", password or "")
    return _userinfo(urlsplit(url))


def login_variables(name: str) -> tuple[str, str]:
    """Return the variables that hold user and password of a registry of this name."""
    return f"UV_INDEX_{_key(name)}_USERNAME", f"UV_INDEX_{_key(name)}_PASSWORD"


def _key(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _userinfo(parts: SplitResult) -> Login | None:
    if parts.username is None and parts.password is None:
        return None
    return Login(unquote(parts.username or ""), unquote(parts.password or ""))


def origin_of(parts: SplitResult) -> str:
    """Return scheme, host and port of a URL. Raises ValueError where its port is none."""
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{parts.port or SCHEMES.get(parts.scheme, 0)}"


def _shared(one: str, other: str) -> int:
    """How many leading path segments two URLs have in common."""
    pairs = zip(one.strip("/").split("/"), other.strip("/").split("/"), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _netrc_login(host: str, env: Mapping[str, str]) -> Login | None:
    """Look a host up in the file that NETRC names, else in ``~/.netrc`` or ``~/_netrc``."""
    given = env.get("NETRC")
    candidates = [Path(given)] if given else [Path("~/.netrc"), Path("~/_netrc")]
    for candidate in candidates:
        try:
            path = candidate.expanduser()
            status = path.stat()
        except (OSError, RuntimeError):
            continue
        hosts = _read_netrc(str(path), status.st_mtime_ns, status.st_size)
        return hosts.get(host) or hosts.get("default")
    return None


@lru_cache(maxsize=8)
def _read_netrc(path: str, modified: int, size: int) -> Mapping[str, Login]:
    """Return the logins of a netrc file by host; one that cannot be read or parsed has none, as in requests."""
    import netrc

    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return {}
    return {
        host: Login(login or account or "", password or "")
        for host, (login, account, password) in hosts.items() if login or account or password
    }  # fmt: skip
