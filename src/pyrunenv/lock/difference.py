"""What a new lock changed: packages, versions and bytes, for all platforms of an environment in one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrunenv.lock.model import Lock, LockedSource, LockedWheel
    from pyrunenv.lock.run import LockedTarget


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
    pairs: dict[str, list[tuple[Lock, Lock]]] = {}
    for entry in locked:
        if entry.made and entry.previous is not None:
            pairs.setdefault(entry.target.environment.full_version, []).append((entry.previous, entry.lock))
    found = [_difference(environment, locks) for environment, locks in pairs.items()]
    return [difference for difference in found if difference.changes]


def _difference(environment: str, locks: Sequence[tuple[Lock, Lock]]) -> Difference:
    grown: dict[tuple[str, tuple[str, ...], tuple[str, ...]], dict[str, int]] = {}
    totals: dict[str, int] = {}
    for before, after in locks:
        old, new = _wheels(before), _wheels(after)
        totals[after.platform] = 0
        for name in sorted(old.keys() | new.keys()):
            was, now = old.get(name, {}), new.get(name, {})
            if was == now:
                continue
            growth = sum(size for size, _ in now.values()) - sum(size for size, _ in was.values())
            grown.setdefault((name, tuple(was), tuple(now)), {})[after.platform] = growth
            totals[after.platform] += growth
    changes = (Change(name, was, now, sizes) for (name, was, now), sizes in sorted(grown.items()))
    return Difference(environment, tuple(changes), totals)


def _digest(file: LockedWheel | LockedSource) -> str:
    return getattr(file, "digest", "") or file.sha256 or ""


def _wheels(lock: Lock) -> dict[str, dict[str, tuple[int, str]]]:
    """For each name its versions, with size and digest: another file of one version is a change too."""
    found: dict[str, dict[str, tuple[int, str]]] = {}
    for package in lock.packages:
        found.setdefault(package.name, {})[package.version] = (package.file.size or 0, _digest(package.file))
    return found
