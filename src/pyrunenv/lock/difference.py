"""What changed between two states of an environment: packages, versions and bytes, for all platforms in one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrunenv.lock.model import Lock, LockedSource, LockedWheel
    from pyrunenv.lock.run import LockedTarget

Held = Mapping[str, Mapping[str, tuple[int, str]]]
"""What one platform holds: name → version → (bytes, digest); another file of one version is a change too."""


@dataclass(frozen=True)
class Change:
    """One package's move. ``before`` and ``after`` are versions, empty where it was or is not there; ``bytes`` has
    the growth for each platform where exactly this happened."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    bytes: Mapping[str, int]


@dataclass(frozen=True)
class Difference:
    """All changes of one environment, and the platforms that were compared with the growth of each."""

    environment: str
    changes: tuple[Change, ...]
    bytes: Mapping[str, int]


def differences(locked: Iterable[LockedTarget]) -> list[Difference]:
    """Compare each lock that was made with the one that it replaced; environments without a change are left out."""
    before: dict[str, dict[str, Held]] = {}
    after: dict[str, dict[str, Held]] = {}
    for entry in locked:
        if entry.made and entry.previous is not None:
            environment, platform = entry.target.environment.full_version, entry.lock.platform
            before.setdefault(environment, {})[platform] = held(entry.previous)
            after.setdefault(environment, {})[platform] = held(entry.lock)
    found = [compare(environment, platforms, after[environment]) for environment, platforms in before.items()]
    return [difference for difference in found if difference.changes]


def compare(environment: str, before: Mapping[str, Held], after: Mapping[str, Held]) -> Difference:
    """Compare what platforms held with what they hold; one that only one side has came or went as a whole."""
    grown: dict[tuple[str, tuple[str, ...], tuple[str, ...]], dict[str, int]] = {}
    totals: dict[str, int] = {}
    for platform in dict.fromkeys((*before, *after)):
        old, new = before.get(platform, {}), after.get(platform, {})
        totals[platform] = 0
        for name in sorted(old.keys() | new.keys()):
            was, now = old.get(name, {}), new.get(name, {})
            if was == now:
                continue
            growth = sum(size for size, _ in now.values()) - sum(size for size, _ in was.values())
            grown.setdefault((name, tuple(was), tuple(now)), {})[platform] = growth
            totals[platform] += growth
    changes = (Change(name, was, now, sizes) for (name, was, now), sizes in sorted(grown.items()))
    return Difference(environment, tuple(changes), totals)


def held(lock: Lock) -> Held:
    """What a lock holds."""
    found: dict[str, dict[str, tuple[int, str]]] = {}
    for package in lock.packages:
        found.setdefault(package.name, {})[package.version] = (package.file.size or 0, _digest(package.file))
    return found


def _digest(file: LockedWheel | LockedSource) -> str:
    return getattr(file, "digest", "") or file.sha256 or ""
