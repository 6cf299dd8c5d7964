"""npm's own settings, read as npm reads them: which registry a package goes to, and who we are there.

The project's ``.npmrc`` stands before the user's, and variables ``NPM_CONFIG_…`` before both
(https://docs.npmjs.com/cli/configuring-npm/npmrc). A login belongs to one host and path and goes nowhere else.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyrunenv import secrets
from pyrunenv.errors import NpmError, UsageError

DEFAULT_REGISTRY = "https://registry.npmjs.org/"
TOKEN = "NPM_TOKEN"
_PREFIX = "npm_config_"
_LINE = re.compile(r"(?P<section>\[[^\]]*\]\s*$)|(?P<key>[^=]+)(?:=(?P<value>.*))?$")
# https://github.com/npm/cli/blob/latest/workspaces/config/lib/env-replace.js
_VARIABLE = re.compile(r"(?<!\\)(\\*)\$\{([^${}?]+)(\?)?\}")
_SECRET = re.compile(r":(?:_authToken|_auth|_password)$")
_LEGACY = ("_authToken", "_auth", "_password")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Setting:
    """A value, where it stands, and the variables in it that are not set."""

    value: str = field(repr=False)
    where: str
    unset: tuple[str, ...] = ()


@dataclass(frozen=True)
class Login:
    """Who we are for a registry: the content of the Authorization header, and what gave it."""

    header: str = field(repr=False)
    source: str


class Npmrc:
    """The settings of one run. ``settings`` are in npm's order: the first that has a key counts."""

    def __init__(self, settings: Mapping[str, Setting], token: str | None = None) -> None:
        self._settings = settings
        self._token = (token or "").strip() or None
        secrets.register(self._token)

    @classmethod
    def read(cls, project: Path, env: Mapping[str, str] = os.environ) -> Npmrc:
        """Read the variables and files that hold for a project's folder; raises NpmError where one cannot be read."""
        variables = _from_variables(env)
        files = [project / ".npmrc", Path(_named(variables, "userconfig") or "~/.npmrc")]
        if named := _named(variables, "globalconfig"):
            files.append(Path(named))
        found = dict(variables)
        for path in dict.fromkeys(map(_expanded, files)):
            found = _read(path, env) | found
        return cls(found, env.get(TOKEN))

    def registry(self, name: str, publish: Mapping[str, object], given: str | None = None) -> str:
        """Return the URL, with a slash at its end, that a package is published to.

        ``publish`` is package.json's ``publishConfig``, ``given`` the command line's. Raises UsageError for what is none.
        """
        scope, slash, _ = name.partition("/")
        key = f"{scope}:registry"
        candidates = [
            (given, "--registry"),
            *([(publish.get(key), f"publishConfig of {name}"), self._with_source(key)] if slash else []),
            (publish.get("registry"), f"publishConfig of {name}"),
            self._with_source("registry"),
            (DEFAULT_REGISTRY, "npm"),
        ]
        url, source = next((url, source) for url, source in candidates if url)
        return _checked(url, source)

    def login(self, url: str, registry: str) -> Login | None:
        """Return the login for a URL: that of the longest path that has one, else, below ``registry``, NPM_TOKEN's."""
        for key in _keys(url):
            if (login := self._login_at(key)) is not None:
                return login
        if self._token and _is_below(url, registry):
            return Login(_header(f"Bearer {self._token}", TOKEN), TOKEN)
        return None

    def doubts(self) -> list[str]:
        """Say which settings look like logins and are none."""
        found = []
        for key, setting in self._settings.items():
            if _SECRET.search(key) and setting.unset:
                names = ", ".join(setting.unset)
                found.append(f"{setting.where} gives a login with {names}, which is not set")
            elif key in _LEGACY:
                found.append(f"{setting.where}: `{key}` without a registry is not used; write `//host/:{key}=…`")
        return found

    def _with_source(self, key: str) -> tuple[str | None, str]:
        setting = self._settings.get(key)
        return (setting.value, setting.where) if setting else (None, "")

    def _login_at(self, key: str) -> Login | None:
        values = {
            name: self._settings.get(f"{key}:{name}") for name in ("_authToken", "_auth", "username", "_password")
        }
        known = {name: s for name, s in values.items() if s is not None and s.value and not s.unset}
        if token := known.get("_authToken"):
            return Login(_header(f"Bearer {token.value}", token.where), token.where)
        if auth := known.get("_auth"):
            return Login(_header(f"Basic {auth.value}", auth.where), auth.where)
        if (user := known.get("username")) and (password := known.get("_password")):
            pair = f"{user.value}:{_decoded(password)}".encode()
            header = b64encode(pair).decode()
            secrets.register(header)
            return Login(f"Basic {header}", password.where)
        return None


def _named(variables: Mapping[str, Setting], key: str) -> str | None:
    return variables[key].value if key in variables else None


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # a user without a home folder
        return path


def _from_variables(env: Mapping[str, str]) -> dict[str, Setting]:
    found = {}
    for name, value in env.items():
        if not name.lower().startswith(_PREFIX) or not value:
            continue
        key = name[len(_PREFIX) :]
        if not key.startswith("//"):
            key = (key[:1] + key[1:].replace("_", "-")).lower()
        found[key] = _setting(key, value, name, env)
    return found


def _read(path: Path, env: Mapping[str, str]) -> dict[str, Setting]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise NpmError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    found = {}
    for number, key, value in _lines(text):
        replaced, _ = _replaced(key, env)
        found[replaced] = _setting(replaced, value, f"{path}:{number}", env)
    return found


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (number, key, value) of an ini file, without what stands in sections: npm has none."""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        match = _LINE.match(line)
        if match is None or not line.strip() or re.match(r"\s*[;#]", line):
            continue
        if match["section"]:
            return
        yield number, _plain(match["key"]), _plain(match["value"] or "")


def _plain(text: str) -> str:
    """Take quotes, escapes and a comment at the end off, as https://github.com/npm/ini does."""
    text = text.strip()
    if text[:1] == text[-1:] and text[:1] in ("'", '"'):
        inner = text[1:-1] if text[0] == "'" else text
        try:
            value = json.loads(inner)
        except ValueError:
            return inner
        return value if isinstance(value, str) else inner
    # up to the first `;` or `#` without a backslash before it
    kept = re.match(r"(?:\\.|[^;#\\]|\\$)*", text)
    return re.sub(r"\\([\\;#])", r"\1", kept[0] if kept else text).strip()


def _setting(key: str, value: str, where: str, env: Mapping[str, str]) -> Setting:
    text, unset = _replaced(value.strip(), env)
    if not unset and (_SECRET.search(key) or key in _LEGACY):
        secrets.register(text)
    return Setting(text, where, unset)


def _replaced(text: str, env: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Put variables in; returns those that are not set too, which npm leaves as they stand."""
    unset: list[str] = []

    def value(match: re.Match[str]) -> str:
        escapes, name, optional = match.groups()
        if len(escapes) % 2:
            return match[0][(len(escapes) + 1) // 2 :]
        if name not in env and not optional:
            unset.append(name)
        return escapes[len(escapes) // 2 :] + env.get(name, "" if optional else f"${{{name}}}")

    return _VARIABLE.sub(value, text), tuple(unset)


def _keys(url: str) -> Iterator[str]:
    """Yield what may stand before the colon in a login's key for a URL, the longest first."""
    parts = urlsplit(url)
    if ".." in unquote(parts.path).split("/"):
        return
    key = f"//{_host(url)}{parts.path}"
    while len(key) > 2:
        yield key
        key = re.sub(r"(?:[^/]+|/)$", "", key)


def _host(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else (parts.hostname or "")
    return host if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


def _is_below(url: str, registry: str) -> bool:
    same = (urlsplit(url).scheme, _host(url)) == (urlsplit(registry).scheme, _host(registry))
    path = urlsplit(url).path
    return same and path.startswith(urlsplit(registry).path) and ".." not in unquote(path).split("/")


def _checked(url: object, source: str) -> str:
    try:
        parts = urlsplit(str(url).strip())
        sound = parts.scheme in _DEFAULT_PORTS and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            f"`{secrets.mask(str(url))}` is no URL of an npm registry",
            notes=[f"given by {source}"],
            hint="write a text like `https://registry.npmjs.org/`, and the login into .npmrc",
        )
    return parts.geturl().rstrip("/") + "/"


def _decoded(setting: Setting) -> str:
    try:
        password = b64decode(setting.value, validate=True).decode()
    except ValueError:
        raise NpmError(f"{setting.where}: `_password` is not in base64", hint="`npm login` writes it right") from None
    secrets.register(password)
    return password


def _header(text: str, where: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+ [\x21-\x7e]+", text):
        raise NpmError(f"{where}: the login has a character that no header may have", hint="is a part of it missing?")
    return text
