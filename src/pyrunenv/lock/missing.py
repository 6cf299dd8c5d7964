"""Why a root cannot be had on a platform, and what a person can do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.version import Version

from pyrunenv.errors import MissingPackages
from pyrunenv.lock.answers import Refusal
from pyrunenv.lock.catalogue import Offer, pinned_version


@dataclass(frozen=True)
class Missing:
    """One (root, platform) pair that cannot be had. ``nearest`` is a version of ``culprit`` that has a wheel there."""

    environment: str
    platform: str
    requirement: str
    name: str
    reason: str
    culprit: str
    nearest: Version | None = None
    detail: str = ""
    output: str = ""
    """The end of what a failed build printed, and where the rest is."""
    remedies: str = ""
    """What can be done about a build that failed."""

    @property
    def skip_reason(self) -> str:
        """A reason for the ready-to-paste skip entry: short, and true."""
        if self.reason == self.detail:  # the resolver's own sentence, which nobody would want in a config
            return "the resolver finds no version that fits there"
        return self.reason.split(";")[0].replace("`", "")


def explain(
    environment: str,
    platform: str,
    requirement: str,
    name: str,
    refusal: Refusal,
    *,
    skipped: Mapping[str, str],
    may_build: Callable[[str], bool],
    offer: Callable[[str], Offer],
) -> Missing:
    """Turn the resolver's refusal of one root into a reason in our words, with the remedy.

    ``skipped`` are the names that the config leaves out there, with its reasons.
    """

    def missing(reason: str, culprit: str = name, nearest: Version | None = None) -> Missing:
        return Missing(environment, platform, requirement, name, reason, culprit, nearest, refusal.sentence)

    if refusal.failure is not None:
        culprit = refusal.culprit or name
        wheels = offer(culprit)
        pinned = pinned_version(requirement)[1] if culprit == name else None
        of = f" of {pinned}" if pinned else "" if culprit == name else f" of `{culprit}`, which it needs,"
        before = "" if "://" in requirement else f"no wheel{of} fits; "
        found = missing(before + refusal.failure.message, culprit, wheels.nearest(pinned))
        return replace(found, detail="", output="\n".join(refusal.failure.notes), remedies=refusal.failure.hint or "")
    if needed := [other for other in skipped if _mentions(refusal.reason, f"{other}<0")]:
        words = " and ".join(f"`{other}`, which is skipped there ({skipped[other]})" for other in needed)
        return missing(f"it needs {words}", needed[0])
    if not refusal.without_wheel:
        return missing(_plain(refusal))
    culprit = name if name in refusal.without_wheel else refusal.without_wheel[0]
    return _without_wheel(missing, culprit, name, requirement, refusal, may_build, offer(culprit))


def _without_wheel(
    missing: Callable[..., Missing],
    culprit: str,
    name: str,
    requirement: str,
    refusal: Refusal,
    may_build: Callable[[str], bool],
    offer: Offer,
) -> Missing:
    pinned = pinned_version(requirement)[1] if culprit == name else _blamed_version(culprit, refusal.reason)
    of = "" if culprit == name else f" of `{culprit}`, which it needs,"
    version = f" of {pinned}" if pinned and culprit == name else f" of {culprit} {pinned}" if pinned else of
    reason = f"no wheel{version} fits"
    if not may_build(culprit):
        reason += "; policy forbids to build it from source"
    elif pinned in offer.with_sdist:
        return missing(_plain(refusal), culprit, offer.nearest(pinned))
    else:
        reason += "; there is no source archive to build one from either"
    return missing(reason, culprit, offer.nearest(pinned))


def _plain(refusal: Refusal) -> str:
    text = refusal.sentence
    if found := re.search(r"[Bb]ecause (\S+) was not found in the package registry", text):
        return f"no registry has a package named `{found[1]}`"
    if found := re.search(r"[Bb]ecause there (?:is|are) no versions? of (\S+?)(?:[,.]? |$)", text):
        return f"there is no version `{found[1]}`"
    return text


def _mentions(text: str, word: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9._-]){re.escape(word)}(?![0-9.])", text) is not None


def _blamed_version(name: str, text: str) -> Version | None:
    found = re.search(rf"(?<![A-Za-z0-9._-]){re.escape(name)}==([0-9](?:[A-Za-z0-9.+!]*[A-Za-z0-9])?)", text)
    return Version(found[1]) if found else None


def error(missing: Sequence[Missing]) -> MissingPackages:
    """One error for all pairs of a run, with entries to paste."""
    roots = len({m.requirement for m in missing})
    pairs = len({(m.environment, m.platform, m.requirement) for m in missing})
    everywhere = f" ({pairs} pairs of root and platform)" if pairs > roots else ""
    remedies = dict.fromkeys(entry.remedies for entry in missing if entry.remedies)
    return MissingPackages(
        f"{roots} root{'s' if roots > 1 else ''} cannot be had{everywhere}",
        notes=[line for alike in _grouped(missing) for line in _lines(alike)],
        hint="".join(f"{remedy}\n" for remedy in remedies)
        + "choose another version, or leave them out there by adding to the environment's `packages`:\n"
        + _skip_entries(missing),
    )


def _grouped(missing: Sequence[Missing]) -> Iterable[Sequence[Missing]]:
    """Put pairs together that differ in the platform alone."""
    groups: dict[Missing, list[Missing]] = {}
    for entry in missing:
        groups.setdefault(replace(entry, platform="", output=entry.output.replace(entry.platform, "")), []).append(
            entry
        )
    return groups.values()


def _lines(alike: Sequence[Missing]) -> Iterable[str]:
    entry = alike[0]
    yield f"{entry.environment} on {', '.join(e.platform for e in alike)}: `{entry.requirement}`: {entry.reason}"
    if entry.nearest is not None:
        of = "" if entry.culprit == entry.name else f" of {entry.culprit}"
        yield f"    nearest version{of} with a wheel there: {entry.nearest}"
    skipped = {other.platform: other.skip_reason for other in alike}
    yield f"    to skip it: {json.dumps(entry.name)}: {json.dumps(skipped)}"
    if entry.detail and entry.detail not in entry.reason:
        yield f"    the resolver says: {entry.detail}"
    yield from (f"    {line}" for line in entry.output.splitlines())


def _skip_entries(missing: Sequence[Missing]) -> str:
    entries: dict[str, dict[str, str]] = {}
    for entry in missing:
        entries.setdefault(entry.name, {})[entry.platform] = entry.skip_reason
    return '"skip": ' + json.dumps(entries, indent=2)
