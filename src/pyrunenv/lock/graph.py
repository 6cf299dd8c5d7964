"""A lock as a graph: roots, what each needs, and by which way something came in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pyrunenv.lock.model import Lock, LockedPackage, LockedRoot


@dataclass(frozen=True)
class Chain:
    """One way from a root to a package, both ends included; ``root`` is the requirement that begins it."""

    root: LockedRoot
    packages: tuple[LockedPackage, ...]


class Graph:
    """Walks a lock group by group, since one name may have another version in each."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock

    @cached_property
    def _by_group(self) -> dict[str, dict[str, LockedPackage]]:
        found: dict[str, dict[str, LockedPackage]] = {}
        for package in self.lock.packages:
            for group in package.groups:
                found.setdefault(group, {})[package.name] = package
        return found

    def package(self, group: str, name: str) -> LockedPackage | None:
        """The one version of a name in a group."""
        return self._by_group.get(group, {}).get(name)

    def needs(self, package: LockedPackage, group: str) -> list[LockedPackage]:
        """What a package needs directly, as the group has it, sorted by name."""
        members = self._by_group.get(group, {})
        wanted = [members[name] for name, version in package.dependencies if _is(members.get(name), version)]
        return sorted(wanted, key=lambda needed: needed.name)

    def chains(self, name: str) -> list[Chain]:
        """The shortest way from each root to each version of a name; direct ones first, then in the config's order."""
        found: list[Chain] = []
        for root in self.lock.roots:
            ways: dict[str, Chain] = {}
            for group in root.groups:
                way = self._way(root, group, name)
                if way is not None:
                    chain = ways.get(way[-1].version)
                    if chain is None or len(way) < len(chain.packages):
                        ways[way[-1].version] = Chain(root, way)
            found += ways.values()
        return sorted(found, key=lambda chain: len(chain.packages) > 1)

    def _way(self, root: LockedRoot, group: str, name: str) -> tuple[LockedPackage, ...] | None:
        """Search breadth first, so that the first way found is a shortest one."""
        start = self.package(group, root.name)
        if start is None:
            return None
        came_from: dict[str, LockedPackage | None] = {start.name: None}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            if here.name == name:
                return tuple(self._back(here, came_from))[::-1]
            for needed in () if here is start and root.no_deps else self.needs(here, group):
                if needed.name not in came_from:
                    came_from[needed.name] = here
                    waiting.append(needed)
        return None

    @staticmethod
    def _back(package: LockedPackage, came_from: dict[str, LockedPackage | None]) -> Iterator[LockedPackage]:
        here: LockedPackage | None = package
        while here is not None:
            yield here
            here = came_from[here.name]


def _is(package: LockedPackage | None, version: str) -> bool:
    return package is not None and package.version == version
