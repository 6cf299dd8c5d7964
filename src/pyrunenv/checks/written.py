"""How files are written: one package in two spellings, credentials, a registry named twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from pyrunenv.config.problems import KeyPath, Problem, show_path
from pyrunenv.config.requirements import parse_root
from pyrunenv.config.schema import PYPI
from pyrunenv.config.workspace import OWN, SHARED

_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/]*@\S*", re.IGNORECASE)
_BY_NAME = ("overrides", "skip", "forceSource", "buildWheel")
_LISTS_OF_NAMES = ("allowSourceList", "forceNoBinaryList", "onlyBinaryList")


def warnings(documents: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield warnings about all files of a workspace, each as it was parsed."""
    shared = {name: f"{SHARED}: {place}" for name, place in _first_spellings(documents.get(SHARED)).items()}
    for file, document in documents.items():
        if not isinstance(document, dict):
            continue
        yield from _credentials(file, document)
        if file == SHARED or file.endswith(f"/{OWN}"):
            yield from _spellings(file, document, {} if file == SHARED else shared)
            yield from _registries(file, document)


def _spellings(file: str, document: dict[str, Any], known: Mapping[str, str]) -> Iterator[Problem]:
    """One warning for each package that is written another way than at its first place, or in the shared file."""
    first = {canonicalize_name(name): (name, place) for name, place in known.items()}
    told: set[str] = set()
    for name, path in _names(document):
        if not name.strip():
            continue
        normalised = canonicalize_name(name)
        other, place = first.setdefault(normalised, (name, show_path(path)))
        if other != name and normalised not in told:
            told.add(normalised)
            yield Problem(file, path, f"`{name}` is written `{other}` in {place}: write a package's name one way")


def _first_spellings(document: Any) -> dict[str, str]:
    found: dict[str, tuple[str, str]] = {}
    for name, path in _names(document if isinstance(document, dict) else {}):
        found.setdefault(canonicalize_name(name), (name, show_path(path)))
    return dict(found.values())


def _names(document: dict[str, Any]) -> Iterator[tuple[str, KeyPath]]:
    """Yield every package's name as it is written, with its place."""
    packages = _object(document.get("packages"))
    yield from _listed(packages, ("packages",))
    for platform, part in _object(packages.get("platformSpecific")).items():
        yield from _listed(_object(part), ("packages", "platformSpecific", platform))
    for key in _BY_NAME:
        for name in _object(packages.get(key)):
            yield name, ("packages", key, name)
    for index, name in enumerate(_texts(packages.get("noDeps"))):
        yield name, ("packages", "noDeps", index)
    for number, registry in enumerate(_items(_object(document.get("registries")).get("additional"))):
        for index, name in enumerate(_texts(_object(registry).get("packages"))):
            yield name, ("registries", "additional", number, "packages", index)


def _listed(part: dict[str, Any], path: KeyPath) -> Iterator[tuple[str, KeyPath]]:
    for index, text in enumerate(_texts(part.get("dependencies"))):
        try:
            root = parse_root(text)
        except ValueError:
            continue
        # the name of a bare git reference is the repository's, which nobody here chose
        if root.written_name and text.strip().startswith(root.written_name):
            yield root.written_name, (*path, "dependencies", index)
    resolution = _object(part.get("resolution"))
    for key in _LISTS_OF_NAMES:
        for index, name in enumerate(_texts(resolution.get(key))):
            yield name, (*path, "resolution", key, index)


def _credentials(file: str, document: Any, path: KeyPath = ()) -> Iterator[Problem]:
    """Find URLs with a password or token in any text of a file."""
    if isinstance(document, str):
        found = _URL.search(document)
        if found and _has_login(found[0]):
            how = "use netrc or another address"
            if path[:1] == ("registries",):
                how = "give the registry a `name` and set UV_INDEX_<NAME>_USERNAME and _PASSWORD, or use netrc"
            yield Problem(file, path, f"holds credentials, which all who have the repository can read: {how}")
        return
    for step, item in document.items() if isinstance(document, dict) else enumerate(_items(document)):
        yield from _credentials(file, item, (*path, step))


def _has_login(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # git's ssh addresses have a user that is no secret
        return bool(parts.password) or (bool(parts.username) and not parts.scheme.endswith("ssh"))
    except ValueError:
        return False


def _registries(file: str, document: dict[str, Any]) -> Iterator[Problem]:
    registries = _object(document.get("registries"))
    default = registries.get("default", PYPI if file == SHARED else None)
    seen = {_bare(default): "the default registry"} if isinstance(default, str) else {}
    for index, entry in enumerate(_items(registries.get("additional"))):
        url = entry if isinstance(entry, str) else _object(entry).get("url")
        if not isinstance(url, str) or _object(entry).get("packages"):
            continue
        other = seen.setdefault(_bare(url), f"registries.additional[{index}]")
        if other != f"registries.additional[{index}]":
            yield Problem(file, ("registries", "additional", index), f"is {other} once more, and changes nothing")


def _bare(url: str) -> str:
    return url.strip().rstrip("/").lower()


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    # items that are no text keep their places
    return [item if isinstance(item, str) else "" for item in _items(value)]
