"""The entries of a lock: every wheel with its digest, its registry and what it needs, once for all groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyrunenv.lock.answers import Edges, ResolvedPackage
from pyrunenv.lock.grouping import Group
from pyrunenv.lock.model import LockedPackage, LockedWheel
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.lock.resolver import Resolver
    from pyrunenv.lock.sources import Sources

NO_DEPS_GROUP = "no-deps"


def locked_packages(
    groups: Sequence[Group], resolver: Resolver, fetcher: Fetcher, sources: Sources
) -> list[LockedPackage]:
    """Return one entry for each version, with all groups that hold it and what it needs in each of them.

    What an index gives no digest of is downloaded and hashed now; what is built from source gets its build requirements.
    """
    merged: dict[tuple[str, str], LockedPackage] = {}
    for group in groups:
        edges = _edges(group, resolver)
        for name, package in group.resolution.packages.items():
            key = (name, package.version)
            entry = merged.get(key) or _entry(package, edges.index.get(name), fetcher, sources)
            needs = {*entry.dependencies, *_needs(name, group, edges)}
            merged[key] = replace(entry, groups=(*entry.groups, group.name), dependencies=tuple(sorted(needs)))
    return [merged[key] for key in sorted(merged)]


def _needs(name: str, group: Group, edges: Edges) -> Iterable[tuple[str, str]]:
    packages = group.resolution.packages
    for other, parents in edges.needed_by.items():
        if name in parents and other in packages:
            yield other, packages[other].version


def _edges(group: Group, resolver: Resolver) -> Edges:
    if not group.resolution.packages:
        return Edges({}, {})
    if group.name == NO_DEPS_GROUP:
        return resolver.edges(group.requirements, group.resolution, no_deps=True)
    return resolver.edges(group.requirements, group.resolution)


def _entry(package: ResolvedPackage, index: str | None, fetcher: Fetcher, sources: Sources) -> LockedPackage:
    if (found := package.candidate) is not None:
        plan = sources.plan(found)
        return LockedPackage(package.name, package.version, source=found.source, build=plan, index=found.index)
    sha256, size = package.sha256, package.size
    if sha256 is None:
        sha256, size = fetcher.fetch_unhashed(package.url)
    wheel = LockedWheel(package.filename, strip_credentials(package.url), sha256, size, package.upload_time)
    return LockedPackage(package.name, package.version, wheel, index=index, direct=package.direct)
