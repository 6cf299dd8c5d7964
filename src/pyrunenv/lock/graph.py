"""A lock as a graph: roots, what each needs, and by which way something came in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property

from pyrunenv.lock.model import Lock, LockedPackage, LockedRoot

Key = tuple[str, str]
"""A package's name and version."""


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
        found = [
            Chain(root, way) for root in self.lock.roots for way in self.ways(root).values() if way[-1].name == name
        ]
        return sorted(found, key=lambda chain: len(chain.packages) > 1)

    def ways(self, root: LockedRoot) -> dict[Key, tuple[LockedPackage, ...]]:
        """The shortest way from a root to each package that it brings in, breadth first and in the root's groups.

        Another group's version of something is there for others.
        """
        groups = set(root.groups)
        ways: dict[Key, tuple[LockedPackage, ...]] = {
            key: (package,)
            for key, package in self._by_key.items()
            if package.name == root.name and groups.intersection(package.groups)
        }
        pending = deque(ways)
        while pending and not root.no_deps:
            key = pending.popleft()
            package = self._by_key[key]
            here = groups.intersection(package.groups)
            for needed in package.dependencies:
                other = self._by_key.get(needed)
                if other is not None and needed not in ways and here.intersection(other.groups):
                    ways[needed] = (*ways[key], other)
                    pending.append(needed)
        return ways

    @cached_property
    def _by_key(self) -> dict[Key, LockedPackage]:
        return {(package.name, package.version): package for package in self.lock.packages}


def _is(package: LockedPackage | None, version: str) -> bool:
    return package is not None and package.version == version
