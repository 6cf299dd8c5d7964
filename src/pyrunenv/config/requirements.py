"""Roots as they are written: PEP 508 requirements, and bare ``git+https://…`` references, which pip and uv take too."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs, unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_BARE_URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")
_GIT_SCHEMES = ("git+https", "git+http", "git+ssh", "git+file")
_FILE_SCHEMES = ("https", "http", "file")
_NAME = re.compile(r"^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$", re.IGNORECASE)  # PEP 508
_SINGLE_EQUALS = re.compile(r"^([\w.\[\],-]+?)\s*=\s*([^=\s].*)$")


@dataclass(frozen=True)
class Root:
    """One requirement, taken apart. ``text`` is how it was written, ``name`` is normalised (PEP 503).

    ``name`` is None for a bare reference whose URL does not tell one; ``written_name`` is how the config spells it.
    """

    text: str
    name: str | None
    written_name: str | None
    extras: tuple[str, ...] = ()
    specifier: str = ""
    url: str | None = None
    marker: str | None = None


@dataclass(frozen=True)
class Override:
    """What replaces a root's version: a specifier or a direct reference, exactly one of them."""

    specifier: str = ""
    url: str | None = None


def check_name(name: str) -> str:
    """Return a package's name normalised (PEP 503); raises ValueError where it is none."""
    if not _NAME.match(name):
        raise ValueError(f"`{name}` is not a package's name")
    return canonicalize_name(name)


@lru_cache(maxsize=1 << 15)
def parse_root(text: str) -> Root:
    """Take one requirement apart; raises ValueError with a sentence for a person."""
    text = text.strip()
    if _BARE_URL.match(text):
        return _parse_bare(text)
    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(_explain(text, str(error))) from None
    if found.url is not None:
        _check_reference(found.url)
    return Root(
        text=text,
        name=canonicalize_name(found.name),
        written_name=found.name,
        extras=tuple(sorted(found.extras)),
        specifier=str(found.specifier),
        url=found.url,
        marker=str(found.marker) if found.marker else None,
    )


@lru_cache(maxsize=1 << 15)
def meaning(requirement: str) -> Hashable:
    """Return what two roots share that say the same, however they are written; raises ValueError."""
    root = parse_root(requirement)
    if root.written_name is None:
        return root.text
    return root.name, root.extras, SpecifierSet(root.specifier), root.url, root.marker


def root_name(requirement: str) -> str | None:
    """Return the normalised name of a root, or None for a bare URL that tells none; raises ValueError."""
    return parse_root(requirement).name


@lru_cache(maxsize=2048)
def parse_override(text: str) -> Override:
    """Read an override: ``1.2`` (means ``==1.2``), a specifier, or a direct reference; raises ValueError."""
    text = text.strip()
    if not text:
        raise ValueError("is empty, expected a version, a specifier or a direct reference")
    if _BARE_URL.match(text):
        _check_reference(text)
        return Override(url=text)
    try:
        Version(text.removesuffix(".*"))
        return Override(specifier=str(SpecifierSet(f"=={text}")))
    except (InvalidVersion, InvalidSpecifier):
        pass
    try:
        return Override(specifier=str(SpecifierSet(text)))
    except InvalidSpecifier:
        raise ValueError(f"`{text}` is not a version, a specifier or a direct reference") from None


def override_root(requirement: str, override: str) -> str:
    """Return the requirement with its version replaced; name, extras and marker stay as they are."""
    root, new = parse_root(requirement), parse_override(override)
    if root.written_name is None:
        raise ValueError(f"`{requirement}` has no name that an override could match")
    text = root.written_name + (f"[{','.join(root.extras)}]" if root.extras else "")
    text += f" @ {new.url}" if new.url else new.specifier
    if root.marker:
        # a URL may hold a semicolon of its own, so PEP 508 wants a space before the marker's
        text += f" ; {root.marker}" if new.url else f"; {root.marker}"
    return text


def _parse_bare(text: str) -> Root:
    """Take ``git+https://host/owner/name.git@commit#egg=name[extra] ; marker`` apart (pip's VCS form)."""
    url, _, marker = (part.strip() for part in text.partition(" ;"))
    if urlsplit(url).scheme not in _GIT_SCHEMES:
        raise ValueError(f"`{text}` has no name, write `name @ {url}`")
    _check_reference(url)
    if marker:
        try:
            marker = str(Requirement(f"x; {marker}").marker)
        except InvalidRequirement as error:
            raise ValueError(_explain(text, str(error))) from None
    parts = urlsplit(url)
    egg = parse_qs(parts.fragment).get("egg", [""])[0]
    written, extras = egg.partition("[")[0].strip(), egg.partition("[")[2].rstrip("]")
    if not written:
        path = unquote(parts.path).rsplit("@", 1)[0].rstrip("/")
        written = path.rpartition("/")[2].removesuffix(".git")
    known = bool(_NAME.match(written))
    return Root(
        text=text,
        name=canonicalize_name(written) if known else None,
        written_name=written if known else None,
        extras=tuple(sorted(extra.strip() for extra in extras.split(",") if extra.strip())),
        url=url,
        marker=marker or None,
    )


def _check_reference(url: str) -> None:
    """Raise ValueError unless a direct reference can be fetched by us and by uv."""
    if re.search(r"\s", url):
        raise ValueError(f"`{url}` holds a space")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"`{url}` is not a URL: {error}") from None
    allowed = _GIT_SCHEMES + _FILE_SCHEMES
    if parts.scheme not in allowed:
        raise ValueError(f"`{url}` is not a URL that can be fetched, expected one of: {', '.join(allowed)}")
    if not parts.netloc and not parts.scheme.endswith("file"):
        raise ValueError(f"`{url}` names no host")


def _explain(text: str, reason: str) -> str:
    equals = _SINGLE_EQUALS.match(text)
    if equals:
        return f"`{text}` is not a requirement, did you mean `{equals[1]}=={equals[2]}`?"
    first = reason.splitlines()[0] if reason else "cannot be parsed"
    return f"`{text}` is not a requirement: {first[:1].lower()}{first[1:]}"
