"""Where every value of a merged config comes from, and what it replaced.

Follows :mod:`pyrunenv.config.merge` without repeating it: the values are the merged ones, and each is looked for in the
places that could have given it, in the order in which they win.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyrunenv.config.merge import for_platform
from pyrunenv.config.problems import KeyPath
from pyrunenv.config.requirements import override_root, root_name
from pyrunenv.config.schema import Config
from pyrunenv.config.workspace import OWN, SHARED, Environment, Workspace
from pyrunenv.platforms import Platform

_DEPENDENCIES: KeyPath = ("packages", "dependencies")
_BY_NAME = ("skip", "forceSource", "buildWheel")
_BY_PLATFORM = ("dependencies", "copyFiles", "resolution")


@dataclass(frozen=True)
class Origin:
    """A place in a file that says something, and what it says there; a list's item as a whole."""

    file: str
    path: KeyPath
    value: Any


@dataclass(frozen=True)
class Explained:
    """One value of the merged config. ``origin`` is None for a default; ``replaced`` begins with what was nearest."""

    path: KeyPath
    value: Any
    origin: Origin | None
    replaced: tuple[Origin, ...] = ()


def explain(workspace: Workspace, environment: Environment, platform: Platform | None = None) -> list[Explained]:
    """Explain an environment's merged config or, with a platform, what that target gets, defaults included."""
    found = _Explainer(workspace, environment, platform)
    return list(found.all())


@dataclass(frozen=True)
class _Layer:
    """One file, or its part for the platform; keys of the part stand for those of ``packages``."""

    file: str
    content: Mapping[str, Any]
    prefix: KeyPath = ()

    def find(self, path: KeyPath) -> Origin | None:
        here: Any = self.content
        for step in path:
            if not isinstance(here, Mapping) or step not in here:
                return None
            here = here[step]
        return Origin(self.file, (*self.prefix, *path[1:]) if self.prefix else path, here)


class _File(str):
    """The path of a file of requirements, in place of what it holds."""


class _Explainer:
    def __init__(self, workspace: Workspace, environment: Environment, platform: Platform | None) -> None:
        self._platform = platform
        self._documents = workspace.findings.documents
        files = [(f"{environment.folder.name}/{OWN}", environment.own), (SHARED, workspace.shared)]
        self._layers: list[_Layer] = []
        for file, config in files:
            if config is None:
                continue
            content = _as_written(config, workspace.findings.documents.get(file))
            part = content.get("packages", {}).get("platformSpecific", {}).get(platform.key) if platform else None
            if platform is not None and part is not None:
                prefix = ("packages", "platformSpecific", platform.key)
                self._layers.append(_Layer(file, {"packages": part}, prefix))
            self._layers.append(_Layer(file, content))
        if platform is None:
            self._merged = _as_written(environment.config, None)
        else:
            self._merged = for_platform(environment.config, platform).plain()

    def all(self) -> Iterator[Explained]:
        for path, value in _leaves(self._merged, ()):
            if path[:2] == _DEPENDENCIES and len(path) == 2:
                yield from self._dependencies(value)
            elif isinstance(value, list):
                yield from self._items(path, value)
            else:
                yield self._scalar(path, value)

    def _places(self, path: KeyPath) -> list[Origin]:
        return [origin for layer in self._layers if (origin := layer.find(path)) is not None]

    def _scalar(self, path: KeyPath, value: Any) -> Explained:
        # a package's entry replaces the other file's whole platform map
        unit = path[:3] if path[:1] == ("packages",) and path[1] in _BY_NAME else path
        places = self._places(path)
        if not places:
            return Explained(path, value, None)
        replaced = [origin for origin in self._places(unit) if origin.file != places[0].file or unit == path]
        return Explained(path, value, places[0], tuple(o for o in replaced if o != places[0]))

    def _items(self, path: KeyPath, values: Sequence[Any]) -> Iterator[Explained]:
        """Lists are joined: each item is where it was found first."""
        places = self._places(path)
        if places and isinstance(places[0].value, _File):
            place = places[0]
            file = posixpath.normpath(posixpath.join(posixpath.dirname(place.file), place.value))
            yield Explained(path, list(values), Origin(file, place.path, list(values)))
            return
        for index, value in enumerate(values):
            found = [self._item(o, at, item) for o in places for at, item in enumerate(_list(o.value))]
            origin = next((o for o in found if o.value == value), None)
            name = value.get("name") if isinstance(value, dict) else None
            same = tuple(o for o in found if name and o != origin and o.value != value and o.value.get("name") == name)
            yield Explained((*path, index), value, origin, same)

    def _dependencies(self, values: Sequence[str]) -> Iterator[Explained]:
        """A file's list replaces the other's; a platform's list comes after it; overrides change what they name."""
        plain = [o for o in self._places(_DEPENDENCIES) if o.path == _DEPENDENCIES]
        special = [o for o in self._places(_DEPENDENCIES) if o.path != _DEPENDENCIES]
        for lists in (plain, special):
            if len(lists) > 1:
                yield Explained(_DEPENDENCIES, f"{len(lists[0].value)} roots", lists[0], tuple(lists[1:]))
        written = [self._item(o, at, text) for o in (*plain[:1], *special[:1]) for at, text in enumerate(o.value)]
        overrides = {o.path[-1]: o for o in self._override_places()}
        for index, value in enumerate(values):
            path = (*_DEPENDENCIES, index)
            for origin in written:
                override = overrides.get(root_name(origin.value) or "") if self._platform else None
                if override is None and origin.value == value:
                    yield Explained(path, value, origin)
                    break
                if override is not None and override_root(origin.value, override.value) == value:
                    yield Explained(path, value, override, (origin,))
                    break

    def _item(self, owner: Origin, at: int, value: Any) -> Origin:
        """One item of a list, at its place in the file: what was blank or stood there twice has been dropped since."""
        here: Any = self._documents.get(owner.file)
        for step in owner.path:
            here = here.get(step) if isinstance(here, dict) else None
        if isinstance(value, str):
            texts = [item.strip() if isinstance(item, str) else None for item in _list(here)]
            at = texts.index(value) if value in texts else at
        return Origin(owner.file, (*owner.path, at), value)

    def _override_places(self) -> Iterator[Origin]:
        seen: set[str] = set()
        for origin in self._places(("packages", "overrides")):
            for name, value in origin.value.items():
                if name not in seen:
                    seen.add(name)
                    yield Origin(origin.file, (*origin.path, name), value)


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield (path, value); lists are whole, and so is an empty entry of a package, which takes another back."""
    if isinstance(value, dict) and (value or len(path) != 3 or path[1] not in _BY_NAME):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def _as_written(config: Config, document: Any) -> dict[str, Any]:
    """A config in the file's form; consumers that name a file of requirements name it here too."""
    content = config.plain()
    for name, consumer in content.get("consumers", {}).items():
        given = document.get("consumers", {}).get(name) if isinstance(document, dict) else None
        path = given.get("requirements") if isinstance(given, dict) else given
        if isinstance(path, str):
            consumer["requirements"] = _File(path)
    return content


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
