"""A gate in front of the registries: for what the resolver cannot say by itself.

uv asks every registry for every name, and knows no rule for a transitive one; so a private name could come from a public
registry. Where a target's rules need it (several registries, or a date), uv is given addresses of the gate, which passes
on the page of a registry only where that registry may serve the name. It runs in this process, on the loopback interface.

uv reaches it as its HTTP proxy, under a host name that exists nowhere. So the addresses never change, and uv's cache,
which goes by them, stays useful from run to run, whatever the port. The proxy demands a password that is made for the
run: others on this machine cannot ask registries with our logins. The rules are part of the addresses, so that no page
that was cached under other rules is ever used.

Files that want a login come through the gate too: the resolver is never told one.
"""

from __future__ import annotations

import base64
import logging
import re
import secrets as random
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pyrunenv import secrets
from pyrunenv.files import digest_of

if TYPE_CHECKING:
    import requests

    from pyrunenv.config.schema import Registries
    from pyrunenv.lock.gateway import Server
    from pyrunenv.lock.shelf import Candidate, Shelf

log = logging.getLogger(__name__)

HOST = "registries.pyrunenv.invalid"
"""RFC 6761 keeps ``.invalid`` from ever being somebody's."""
ROOM = 64 << 20
"""How many bytes of pages a run keeps in memory for its other targets."""
_FILES = f"http://{HOST}/files/"
_SHELVES = f"http://{HOST}/shelves/"
_FILE = re.compile(rf"{re.escape(_FILES)}(?P<scheme>[a-z]+)/(?P<rest>[^\s\"'`<>]*)")


@dataclass(frozen=True)
class Silence:
    """A registry that did not answer, or answered nonsense: what was tried, and why that failed."""

    registry: str
    url: str
    reason: str
    attempts: int
    hint: str | None = None


@dataclass(frozen=True)
class Held:
    """What a run knows of one page: its tag (empty where there is no page), its bytes while there is room for them,
    and whether its files have upload times."""

    tag: str
    content: bytes | None
    dated: bool


@dataclass(frozen=True)
class Entrance:
    """One registry under one target's rules. ``url`` has no login; ``only`` are the names it serves, None for all."""

    name: str
    url: str
    only: frozenset[str] | None
    never: frozenset[str]
    """Names that other registries keep to themselves."""
    address: str = ""

    def serves(self, project: str) -> bool:
        """Whether a name (normalised) may come from here."""
        return project in self.only if self.only is not None else project not in self.never


@dataclass(frozen=True)
class Passage:
    """The registries of one target as the resolver is told of them: in its order, behind the gate."""

    gate: Gate = field(repr=False)
    entrances: tuple[Entrance, ...]
    before: datetime | None = None

    @property
    def indexes(self) -> tuple[tuple[str, str], ...]:
        """(name, address) of every registry, the default one first."""
        return tuple((entrance.name, entrance.address) for entrance in self.entrances)

    def real(self, text: str) -> str:
        """Put the registries' own addresses, and those of their files, into a text that names the gate's."""
        for entrance in self.entrances:
            text = text.replace(entrance.address, entrance.url)
        return _FILE.sub(lambda m: f"{m['scheme']}://{m['rest']}", text)

    def silent(self) -> tuple[Silence, ...]:
        """Return the registries that were needed and did not answer."""
        return tuple(found for e in self.entrances if (found := self.gate.silences.get(e.url)))

    def servers(self, project: str) -> tuple[str, ...]:
        """Return the URLs of the registries that were asked for a name and have it."""
        held = self.gate.held
        return tuple(e.url for e in self.entrances if (page := held.get((e.address, project))) and page.tag)

    def undated(self) -> tuple[str, ...]:
        """Return the URLs of registries that do not tell when their files were uploaded."""
        asked = {address for (address, _), page in tuple(self.gate.held.items()) if not page.dated}
        return tuple(e.url for e in self.entrances if e.address in asked)


@dataclass
class Gate:
    """The gate of one run, shared by its targets; a context manager that starts when a first passage is made."""

    timeout: float = 30.0
    attempts: int = 3
    backoff: float = 0.5
    silences: dict[str, Silence] = field(default_factory=dict)
    held: dict[tuple[str, str], Held] = field(default_factory=dict)
    """By (address of an entrance, name): every page that a registry was asked for in this run, once."""
    entrances: dict[str, tuple[Entrance, datetime | None]] = field(default_factory=dict)
    shelves: dict[str, Shelf] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._asking: dict[tuple[str, str], threading.Lock] = {}
        self._room = ROOM
        self._server: Server | None = None
        self.password = random.token_urlsafe(24)
        secrets.register(self.password)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        if "session" in vars(self):
            self.session.close()

    @cached_property
    def session(self) -> requests.Session:
        """The client for the registries: logins, proxies and certificates as for downloads."""
        from pyrunenv.fetch.session import make_session

        return make_session(connections=32)

    @property
    def proxy(self) -> str:
        """The gate's own address, with its password: for environments of child processes alone."""
        assert self._server is not None
        return f"http://pyrunenv:{self.password}@127.0.0.1:{self._server.port}"

    def variables(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Replace the proxy for plain http, which also passes on whatever is not ours."""
        kept = {name: value for name, value in inherited.items() if name.lower() != "http_proxy"}
        if any(value.strip() == "*" for name, value in inherited.items() if name.lower() == "no_proxy"):
            proxies = ("no_proxy", "all_proxy", "https_proxy")
            kept = {name: value for name, value in kept.items() if name.lower() not in proxies}
        return {**kept, "http_proxy": self.proxy}

    @property
    def authorization(self) -> str:
        """What the header Proxy-Authorization must say."""
        return "Basic " + base64.b64encode(f"pyrunenv:{self.password}".encode()).decode()

    def asking(self, key: tuple[str, str]) -> threading.Lock:
        """The lock under which a page is asked for: several resolvers want the same pages at the same time."""
        with self._lock:
            return self._asking.setdefault(key, threading.Lock())

    def hold(self, key: tuple[str, str], page: Held) -> None:
        """Remember a page; its bytes as long as there is room."""
        with self._lock:
            size = len(page.content or b"")
            fits = size <= self._room
            self._room -= size if fits else 0
            self.held[key] = page if fits else Held(page.tag, None, page.dated)

    def passage(self, registries: Registries, before: datetime | None = None) -> Passage:
        """Open the gate for one target's rules; ``before`` hides files that were uploaded at that time or later."""
        entrances = entrances_of(registries)
        rules = [[e.url, sorted(e.only) if e.only is not None else None, sorted(e.never)] for e in entrances]
        digest = digest_of([rules, before.isoformat() if before else None])[:16]
        placed = tuple(
            Entrance(e.name, e.url, e.only, e.never, f"http://{HOST}/{digest}/{number}/simple")
            for number, e in enumerate(entrances)
        )
        with self._lock:
            self._open()
            self.entrances.update({e.address: (e, before) for e in placed})
        return Passage(self, placed, before)

    def show(self, shelf: Shelf) -> Shelf:
        """Let a shelf be seen behind the gate; returns the one that stands at its address."""
        with self._lock:
            self._open()
            return self.shelves.setdefault(shelf.address, shelf)

    def candidate(self, url: str) -> Candidate | None:
        """Return what could be built that a URL stands for, on whichever shelf."""
        shelf = self.shelves.get(url.rpartition("/files/")[0])
        return shelf.at(url) if shelf else None

    def _open(self) -> None:
        if self._server is None:
            from pyrunenv.lock.gateway import Server

            self._server = Server(self)
            log.debug("a gate in front of the registries is open")


def needs_gate(registries: Registries, before: datetime | None = None) -> bool:
    """Whether the resolver alone could not follow the rules, or tell who serves what."""
    return before is not None or len(entrances_of(registries)) > 1 or any(r.packages for r in registries.additional)


def shelf_address(digest: str) -> str:
    """Return the address of a shelf."""
    return _SHELVES + digest


def shelf_place(address: str) -> tuple[str, str, str] | None:
    """Split the address of something on a shelf: the shelf's own, ``simple`` or ``files``, and a name."""
    parts = address.removeprefix(_SHELVES).rstrip("/").split("/")
    return (_SHELVES + parts[0], parts[1], parts[2]) if address.startswith(_SHELVES) and len(parts) == 3 else None


def file_address(url: str) -> str:
    """Return the address under which a file comes through the gate."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return f"{_FILES}{parts.scheme}/{parts.netloc}{parts.path}{query}{fragment}"


def file_url(address: str) -> str | None:
    """Return the URL of the file that an address of the gate stands for, if it is one."""
    found = _FILE.fullmatch(address)
    return f"{found['scheme']}://{found['rest']}" if found else None


def entrances_of(registries: Registries) -> Sequence[Entrance]:
    """The registries in their order, each with what it may serve; entries of one URL are one."""
    from packaging.utils import canonicalize_name

    from pyrunenv.fetch.credentials import named_registries
    from pyrunenv.secrets import strip_credentials

    def names(packages: Iterable[str] | None) -> frozenset[str]:
        return frozenset(canonicalize_name(name) for name in packages or ())

    kept: dict[str, list[frozenset[str] | None]] = {strip_credentials(registries.default): [None]}
    for registry in registries.additional:
        entries = kept.setdefault(strip_credentials(registry.url), [])
        entries.append(names(registry.packages) if registry.packages else None)
    pinned = frozenset[str]().union(*(names(r.packages) for r in registries.additional))
    found = []
    for name, url in named_registries(registries):
        own = frozenset[str]().union(*(only for only in kept[url] if only))
        open_to_all = None in kept[url]
        found.append(Entrance(name, url, None if open_to_all else own, pinned - own))
    return found
