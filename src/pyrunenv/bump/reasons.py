"""What changed between two versions of an environment, or of the catalogue, and how much each change raises the version.

A root removed or downgraded, and a platform dropped, is major; a root added or upgraded, and a platform added, is minor;
whatever else changed is a patch. That holds for 0.x versions too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import semver
from packaging.version import Version

from pyrunenv.lock.difference import Difference, Held, compare

if TYPE_CHECKING:
    from pyrunenv.bump.base import Base, Entries, Roots


class Part(IntEnum):
    """The part of a version that a change raises."""

    patch = 1
    minor = 2
    major = 3


@dataclass(frozen=True)
class Reason:
    """One change, and the platforms that it is on; none where it is not one of platforms, or on all of them."""

    part: Part
    text: str
    platforms: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.text} on {', '.join(self.platforms)}" if self.platforms else self.text


def greatest(reasons: Iterable[Reason]) -> Part:
    """Return the part that some changes raise together."""
    return max((reason.part for reason in reasons), default=Part.patch)


def in_short(reasons: Sequence[Reason]) -> str:
    """Return the gravest change and the number of others."""
    if not reasons:
        return "asked for"
    more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}"


def packages_between(environment: str, before: Base, after: Base) -> Difference:
    """Return the packages that changed on the platforms that both have."""
    common = [key for key in after.held if key in before.held]
    return compare(
        environment,
        {key: _same_sizes(before.held[key], after.held[key]) for key in common},
        {key: after.held[key] for key in common},
    )


def reasons_between(before: Base, after: Base) -> list[Reason]:
    """Return all changes between two versions of an environment, the gravest first."""
    common = tuple(key for key in after.held if key in before.held)
    found = [Reason(Part.major, f"dropped the platform {key}") for key in before.held if key not in after.held]
    found += [Reason(Part.minor, f"added the platform {key}") for key in after.held if key not in before.held]
    moved: dict[tuple[Part, str], list[str]] = {}
    for key in common:
        for part, text in _on_platform(before, after, key):
            moved.setdefault((part, text), []).append(key)
    found += [Reason(part, text, _some(keys, common)) for (part, text), keys in moved.items()]
    found += _other_packages(before, after, common)
    return sorted(found, key=lambda reason: -reason.part)


def entries_between(before: Entries, after: Entries) -> list[Reason]:
    """Return all changes between two versions of a catalogue, the gravest first."""
    found = [Reason(Part.major, f"removed the entry {public}") for public in before if public not in after]
    for public, (name, version) in after.items():
        if public not in before:
            found.append(Reason(Part.minor, f"added the entry {public}"))
        elif before[public][0] != name:
            found.append(Reason(Part.major, f"{public} is another package: {before[public][0]} → {name}"))
        elif before[public][1] != version:
            was = before[public][1]
            found.append(Reason(part_between(was, version), f"{public} {was} → {version}"))
    return sorted(found, key=lambda reason: -reason.part)


def part_between(before: str, after: str) -> Part:
    """Return the part in which two versions differ; a lower one, or what is no version, is major."""
    try:
        old, new = semver.Version.parse(before), semver.Version.parse(after)
    except ValueError:
        return Part.major
    if new < old or new.major != old.major:
        return Part.major
    return Part.minor if new.minor != old.minor else Part.patch


def _on_platform(before: Base, after: Base, key: str) -> Iterator[tuple[Part, str]]:
    yield from _roots(before.roots.get(key, {}), after.roots.get(key, {}))
    old, new = before.facts.get(key, {}), after.facts.get(key, {})
    for name in (name for name in new if name in old and old[name] != new[name]):
        yield Part.patch, f"changed {name}: {old[name]} → {new[name]}"
    if key in before.files and key in after.files and before.files[key] != after.files[key]:
        yield Part.patch, "changed copied files"


def _roots(before: Roots, after: Roots) -> Iterator[tuple[Part, str]]:
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield Part.major, f"removed root {name}"
        elif name not in before:
            yield Part.minor, f"added root {name}"
        elif set(before[name]) != set(after[name]):
            yield _moved(name, before[name], after[name])


def _moved(name: str, before: Sequence[str], after: Sequence[str]) -> tuple[Part, str]:
    """How a root moved. Where groups hold several versions, the highest answers to the highest, and so on down."""
    old, new = (sorted(versions, key=Version, reverse=True) for versions in (before, after))
    move = f"{', '.join(old)} → {', '.join(new)}"
    pairs = [(Version(was), Version(now)) for was, now in zip(old, new, strict=False)]
    if len(new) < len(old):
        return Part.major, f"removed a version of root {name}: {move}"
    if any(now < was for was, now in pairs):
        return Part.major, f"downgraded root {name} {move}"
    if any(now > was for was, now in pairs):
        return Part.minor, f"upgraded root {name} {move}"
    return Part.minor, f"added a version of root {name}: {move}"


def _other_packages(before: Base, after: Base, common: Sequence[str]) -> Iterator[Reason]:
    """Packages that changed and are no root on either side, and roots with another file of the same version."""
    changed: dict[str, set[str]] = {}
    for change in packages_between("", before, after).changes:
        for key in change.bytes:
            was, now = (base.roots.get(key, {}).get(change.name) for base in (before, after))
            if was == now:
                changed.setdefault(change.name, set()).add(key)
    if changed:
        count = "1 package" if len(changed) == 1 else f"{len(changed)} packages"
        keys = [key for key in common if any(key in found for found in changed.values())]
        yield Reason(Part.patch, f"changed {count} beside the roots", _some(keys, common))


def _some(keys: Sequence[str], common: Sequence[str]) -> tuple[str, ...]:
    return () if set(keys) == set(common) else tuple(keys)


def _same_sizes(before: Held, after: Held) -> Held:
    """Give files of one digest one size: a manifest has a built wheel's, a lock that of its source."""

    def same(name: str, version: str, size: int, digest: str) -> tuple[int, str]:
        now = after.get(name, {}).get(version)
        return now if now is not None and now[1] == digest else (size, digest)

    return {
        name: {version: same(name, version, *file) for version, file in versions.items()}
        for name, versions in before.items()
    }
