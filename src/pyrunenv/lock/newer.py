"""Roots with newer versions, and on which platforms those have wheels. Asks each registry once for each name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

from packaging.markers import Marker
from packaging.version import InvalidVersion, Version

from pyrunenv.config.requirements import parse_root
from pyrunenv.errors import LockFormat
from pyrunenv.fetch.pool import Pool
from pyrunenv.lock.catalogue import Offer, offer_of, pinned_version
from pyrunenv.lock.gate import Entrance, Gate, entrances_of
from pyrunenv.lock.model import Floors
from pyrunenv.platforms import Platform, marker_environment

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

    from pyrunenv.config.schema import Registries
    from pyrunenv.config.workspace import Environment
    from pyrunenv.lock.run import Target

How = Literal["wheel", "source", "nothing"]


@dataclass(frozen=True)
class Newer:
    """A root that has a newer version.

    ``everywhere`` is the newest one with a wheel on each of the root's platforms, if that is newer; ``platforms`` tells
    for each of them how ``newest`` can be had there.
    """

    environment: str
    requirement: str
    name: str
    current: Version
    newest: Version
    everywhere: Version | None
    platforms: dict[str, How]


@dataclass(frozen=True)
class Outcome:
    """What was found. ``unknown`` are roots, as (environment, requirement), that neither pin a version nor are locked;
    ``absent`` are names of which no registry has any file."""

    newer: tuple[Newer, ...]
    unknown: tuple[tuple[str, str], ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Wanted:
    """What a wheel must fit, see :class:`pyrunenv.lock.catalogue.Fit`."""

    platform: Platform
    python_version: str
    floors: Floors


def newer(targets: Sequence[Target]) -> Outcome:
    """Look for newer versions of the roots of some targets; raises ResolverFailed where a registry gives no answer."""
    by_root: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        for requirement in _roots(target):
            by_root.setdefault((target.environment.full_version, requirement), []).append(target)
    versions = {target.environment.full_version: target.environment for target in targets}
    locked = {name: _Locked(environment) for name, environment in versions.items()}
    current = {root: _current(root[1], locked[root[0]]) for root in by_root}
    known = {root: its for root, its in by_root.items() if current[root] is not None}
    pages = _pages({(_name(root), _key(its)): its[0].config.registries for (_, root), its in known.items()})
    found, absent = [], dict[str, None]()
    for (environment, requirement), its in known.items():
        files = pages[_name(requirement), _key(its)]
        if not files:
            absent[_name(requirement)] = None
        version = current[environment, requirement]
        if version and (entry := _compare(environment, requirement, version, its, files)):
            found.append(entry)
    unknown = tuple(root for root in by_root if root not in known)
    return Outcome(tuple(found), unknown, tuple(absent))


def _roots(target: Target) -> Iterable[str]:
    """The roots that a registry serves for a target, as they are after overrides."""
    environment = marker_environment(target.platform, target.environment.python_version)
    for requirement in target.config.dependencies:
        root = parse_root(requirement)
        if root.url or root.name is None or root.name in target.config.skip:
            continue
        if root.marker is None or Marker(root.marker).evaluate({**environment, "extra": ""}):
            yield requirement


def _name(requirement: str) -> str:
    return parse_root(requirement).name or ""


def _key(targets: Sequence[Target]) -> str:
    return targets[0].config.registries.model_dump_json()


def _pages(wanted: Mapping[tuple[str, str], Registries]) -> dict[tuple[str, str], list[DistributionPackage]]:
    """The files of each name under each of the rules; every page is asked for once, whatever rules it is wanted by."""
    entrances = {key: [e for e in entrances_of(rules) if e.serves(key[0])] for key, rules in wanted.items()}
    found: dict[tuple[str, str], list[DistributionPackage]] = {key: [] for key in wanted}
    pool = Pool(16, "outdated")
    with Gate() as gate:
        asked: dict[tuple[str, str], Future[list[DistributionPackage]]] = {}
        # In rounds, since `first-index` asks a registry only for what those before it lack.
        for turn in range(max(map(len, entrances.values()), default=0)):
            pending: list[tuple[tuple[str, str], Future[list[DistributionPackage]]]] = []
            for key, places in entrances.items():
                if turn < len(places) and not (found[key] and wanted[key].strategy == "first-index"):
                    page = (places[turn].url, key[0])
                    if page not in asked:
                        asked[page] = pool.submit(partial(_page, gate, *page))
                    pending.append((key, asked[page]))
            for key, answer in pending:
                found[key] += answer.result()
    return found


def _page(gate: Gate, url: str, name: str) -> list[DistributionPackage]:
    """A registry's files of a name; raises ResolverFailed where it does not answer."""
    import json

    from pypi_simple import ProjectPage

    from pyrunenv.lock.gateway import page_of

    content = page_of(gate, Entrance(url, url, None, frozenset(), url), name, None)
    return [] if content is None else ProjectPage.from_json_data(json.loads(content), base_url=url).packages


def _compare(
    environment: str,
    requirement: str,
    current: Version,
    targets: Sequence[Target],
    files: Iterable[DistributionPackage],
) -> Newer | None:
    files = [file for file in files if _is_newer(file.version, current)]
    offers: dict[str, Offer] = {}
    for target in targets:
        floors = Floors(target.config.floors.glibc, target.config.floors.macos)
        offers[target.platform.key] = offer_of(
            files, _Wanted(target.platform, target.environment.python_version, floors)
        )

    candidates = {v for offer in offers.values() for v in (*offer.with_wheel, *offer.with_sdist)}
    if not candidates:
        return None
    newest = max(candidates)
    everywhere = set.intersection(*(set(offer.with_wheel) for offer in offers.values()))
    how: dict[str, How] = {
        key: "wheel" if newest in offer.with_wheel else "source" if newest in offer.with_sdist else "nothing"
        for key, offer in offers.items()
    }
    return Newer(environment, requirement, _name(requirement), current, newest, max(everywhere, default=None), how)


def _is_newer(text: str | None, current: Version) -> bool:
    """Whether a version comes after the current one; a pre-release counts only for who has one."""
    try:
        version = Version(text or "")
    except InvalidVersion:
        return False
    return version > current and (current.is_prerelease or not version.is_prerelease)


class _Locked:
    """The newest version of each name that the locks of an environment have; read when a first one is asked for."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    @cached_property
    def versions(self) -> dict[str, Version]:
        from pyrunenv.lock import pylock

        found: dict[str, Version] = {}
        for platform in self._environment.platforms():
            with suppress(LockFormat):
                lock = pylock.read(self._environment.folder, platform.key)
                for package in lock.packages if lock else ():
                    with suppress(InvalidVersion):
                        version = Version(package.version)
                        found[package.name] = max(version, found.get(package.name, version))
        return found


def _current(requirement: str, locked: _Locked) -> Version | None:
    """The version that a root pins, else the newest that a lock has; None where neither tells."""
    pinned = pinned_version(requirement)[1]
    return pinned if pinned is not None else locked.versions.get(_name(requirement))
