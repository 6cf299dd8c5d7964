"""Roots with newer versions, and on which platforms those have wheels. Asks each registry once for each name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from packaging.markers import Marker
from packaging.version import InvalidVersion, Version

from pyrunenv.config.requirements import parse_root
from pyrunenv.errors import LockFormat, ResolverFailed
from pyrunenv.lock.catalogue import Offer, ask, offer_of, pinned_version
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
class _Wanted:
    """What a wheel must fit, see :class:`pyrunenv.lock.catalogue.Fit`."""

    platform: Platform
    python_version: str
    floors: Floors


def newer(targets: Sequence[Target]) -> list[Newer]:
    """Look for newer versions of the roots of some targets; raises ResolverFailed where a registry gives no answer."""
    by_root: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        for requirement in _roots(target):
            by_root.setdefault((target.environment.full_version, requirement), []).append(target)
    pages = _pages(by_root)
    found = []
    for (environment, requirement), its_targets in by_root.items():
        name = parse_root(requirement).name or ""
        files = pages[name, _key(its_targets[0].config.registries)]
        entry = _compare(environment, requirement, name, its_targets, files)
        if entry is not None:
            found.append(entry)
    return found


def _roots(target: Target) -> Iterable[str]:
    """The roots that a registry serves for a target, as they are after overrides."""
    environment = marker_environment(target.platform, target.environment.python_version)
    for requirement in target.config.dependencies:
        root = parse_root(requirement)
        if root.url or root.name is None or root.name in target.config.skip:
            continue
        if root.marker is None or Marker(root.marker).evaluate({**environment, "extra": ""}):
            yield requirement


def _pages(by_root: dict[tuple[str, str], list[Target]]) -> dict[tuple[str, str], list[DistributionPackage]]:
    """The files of each name, of the registries that its environment has."""
    asked: dict[tuple[str, str], Registries] = {}
    for (_, requirement), targets in by_root.items():
        registries = targets[0].config.registries
        asked.setdefault((parse_root(requirement).name or "", _key(registries)), registries)
    silent: dict[str, Exception] = {}

    def note(url: str, error: Exception) -> None:
        silent.setdefault(url, error)

    with ThreadPoolExecutor(16) as pool:
        pages = pool.map(lambda entry: ask(entry[0][0], entry[1], note), asked.items())
        found = {key: [file for _, file in files] for key, files in zip(asked, pages, strict=True)}
    if silent:
        from pyrunenv.fetch.reasons import from_error

        raise ResolverFailed(
            f"{'a registry gives' if len(silent) == 1 else 'registries give'} no answer: {', '.join(sorted(silent))}",
            notes=[f"{url}: {from_error(error, 20.0).reason}" for url, error in sorted(silent.items())],
            hint="check its address in `registries`, its login, the network and the proxy; `pyrunenv doctor` looks closer",
        )
    return found


def _key(registries: Registries) -> str:
    return registries.model_dump_json()


def _compare(
    environment: str, requirement: str, name: str, targets: Sequence[Target], files: Sequence[DistributionPackage]
) -> Newer | None:
    current = _current(requirement, name, targets[0].environment)
    if current is None:
        return None
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
    return Newer(environment, requirement, name, current, newest, max(everywhere, default=None), how)


def _is_newer(text: str | None, current: Version) -> bool:
    """Whether a version comes after the current one; a pre-release counts only for who has one."""
    try:
        version = Version(text or "")
    except InvalidVersion:
        return False
    return version > current and (current.is_prerelease or not version.is_prerelease)


def _current(requirement: str, name: str, environment: Environment) -> Version | None:
    """The version that a root pins, else the newest that a lock has; None where neither tells."""
    pinned = pinned_version(requirement)[1]
    if pinned is not None:
        return pinned
    from pyrunenv.lock import pylock

    locked: list[Version] = []
    for platform in environment.platforms():
        try:
            lock = pylock.read(environment.folder, platform.key)
            locked += [Version(package.version) for package in (lock.packages if lock else ()) if package.name == name]
        except (LockFormat, InvalidVersion):
            continue
    return max(locked, default=None)
