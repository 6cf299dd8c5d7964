"""Entries of configs that match nothing, as far as locks tell. A lock is searched for names, which is fast, and not parsed."""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import cached_property

from pyrunenv.config.problems import Problem
from pyrunenv.config.workspace import OWN, SHARED, Environment, Workspace
from pyrunenv.lock.pylock import lock_path
from pyrunenv.lock.unmatched import entries, root_names_of, unmatched_own, unmatched_shared
from pyrunenv.platforms import Platform


def warnings(workspace: Workspace) -> Iterator[Problem]:
    """Yield a warning for each entry whose name is in no lock that it could concern; without all of them, none."""
    known: dict[tuple[str, str], Container[str] | None] = {}

    def names(environment: Environment, platform: Platform) -> Container[str] | None:
        key = environment.full_version, platform.key
        if key not in known:
            known[key] = _Names(environment, platform) if lock_path(environment.folder, platform.key).exists() else None
        return known[key]

    for environment in workspace.environments:
        if environment.own is not None and any(entries(environment.own)):
            seen = {platform.key: names(environment, platform) for platform in environment.platforms()}
            for key, name in unmatched_own(environment, seen):
                path = ("packages", key, name)
                yield Problem(f"{environment.folder.name}/{OWN}", path, "matches no root and nothing that is locked")
    for key, name in unmatched_shared(workspace.environments, names):
        yield Problem(SHARED, ("packages", key, name), "matches no root and nothing that is locked in any environment")


class _Names:
    """The names of a target's roots, and of all that its lock holds."""

    def __init__(self, environment: Environment, platform: Platform) -> None:
        self._environment, self._platform = environment, platform

    def __contains__(self, name: object) -> bool:
        return name in self._roots or f'\nname = "{name}"\n'.encode() in self._text

    @cached_property
    def _roots(self) -> frozenset[str]:
        return root_names_of(self._environment, self._platform)

    @cached_property
    def _text(self) -> bytes:
        try:
            return lock_path(self._environment.folder, self._platform.key).read_bytes().replace(b"\r\n", b"\n")
        except OSError:
            return b""
