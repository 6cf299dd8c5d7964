"""What the registries have of one name (PEP 503/691), asked only where an answer needs it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from pyrunenv.errors import ResolverFailed
from pyrunenv.lock.resolver import Resolver
from pyrunenv.wheels.tags import supported_tags

if TYPE_CHECKING:
    from packaging.tags import Tag
    from pypi_simple import DistributionPackage

    from pyrunenv.lock.model import Floors
    from pyrunenv.platforms import Platform


@dataclass(frozen=True)
class Offer:
    """The versions that registries have of a name, split by what they offer for one target."""

    with_wheel: tuple[Version, ...]
    with_sdist: tuple[Version, ...]

    def nearest(self, wanted: Version | None) -> Version | None:
        """The version with a wheel that lies nearest to ``wanted``; the newer of two that lie equally near."""
        final = [v for v in self.with_wheel if not v.is_prerelease] or list(self.with_wheel)
        if not final:
            return None
        if wanted is None:
            return max(final)
        every = sorted({*self.with_wheel, *self.with_sdist, wanted})
        return min(final, key=lambda v: (abs(every.index(v) - every.index(wanted)), v < wanted))


class Fit(Protocol):
    """What a wheel must fit: a resolver's target, or any other."""

    @property
    def platform(self) -> Platform: ...
    @property
    def python_version(self) -> str: ...
    @property
    def floors(self) -> Floors: ...


def offer(name: str, resolver: Resolver) -> Offer:
    """Ask the registries for a name; where one does not answer there is no offer, and nothing is lost but advice."""
    try:
        return offer_of((file for _, file in project_files(name, resolver)), resolver)
    except ResolverFailed:
        return Offer((), ())


def project_files(name: str, resolver: Resolver) -> list[tuple[str, DistributionPackage]]:
    """Return (registry, file) for all that the registries have of a name, in their order and under their rules.

    Raises ResolverFailed where a registry that is needed does not answer: what it has would be taken for absent.
    """
    from pypi_simple import ProjectPage

    from pyrunenv.lock.gateway import page_of

    assert resolver.gate is not None
    passage = resolver.passage or resolver.gate.passage(resolver.registries)
    files: list[tuple[str, DistributionPackage]] = []
    for entrance in passage.entrances:
        content = page_of(resolver.gate, entrance, name, passage.before)
        if content is None:
            continue
        page = ProjectPage.from_json_data(json.loads(content), base_url=entrance.url)
        files += [(entrance.url, file) for file in page.packages]
        if resolver.registries.strategy == "first-index":
            break
    return files


def offer_of(files: Iterable[DistributionPackage], target: Fit) -> Offer:
    """Split files by what they offer for one target."""
    tags = _tags(target.platform, target.python_version, target.floors)
    wheels: set[Version] = set()
    sdists: set[Version] = set()
    for file in files:
        if file.is_yanked or not _accepts_python(file.requires_python, target.python_version):
            continue
        found = _parsed(file.filename) if file.package_type == "wheel" else None
        if found is not None:
            if not tags.isdisjoint(found[1]):
                wheels.add(found[0])
        elif file.package_type == "sdist" and file.version:
            with suppress(InvalidVersion):
                sdists.add(Version(file.version))
    return Offer(tuple(sorted(wheels)), tuple(sorted(sdists)))


@lru_cache(maxsize=32)
def _tags(platform: Platform, python_version: str, floors: Floors) -> frozenset[Tag]:
    return frozenset(supported_tags(platform, python_version, floors.glibc, floors.macos))


@lru_cache(maxsize=1 << 16)
def _parsed(filename: str) -> tuple[Version, frozenset[Tag]] | None:
    try:
        _, version, _, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        return None
    return version, tags


@lru_cache(maxsize=1 << 12)
def _accepts_python(requires: str | None, python_version: str) -> bool:
    try:
        return not requires or python_version in SpecifierSet(requires)
    except InvalidSpecifier:
        return True


def pinned_version(requirement: str) -> tuple[str, Version | None]:
    """Return a requirement's normalised name and the one version that it pins, if it does."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return requirement, None
    pins = [s.version for s in parsed.specifier if s.operator in ("==", "===") and not s.version.endswith(".*")]
    try:
        return canonicalize_name(parsed.name), Version(pins[0]) if pins else None
    except InvalidVersion:
        return canonicalize_name(parsed.name), None
