"""Groups: which roots install together. Pure, but for the questions it asks through ``resolve``.

Group 1 is every root that fits with those before it, in the config's order. The roots that it evicts seed group 2, which
then takes in every other root that fits with them; and so on, until each root is in a group. Whether a list of roots fits
is monotone (a list that has no solution has none when it grows), so the next root that does not fit is found by
bisection, which begins where the resolver's own words point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pyrunenv.errors import Conflict
from pyrunenv.lock.answers import Refusal, Resolution
from pyrunenv.lock.roots import Root


@dataclass(frozen=True)
class Group:
    """Roots that fit together, and what they resolve to. ``asked`` is what a group without roots was made for."""

    name: str
    roots: tuple[Root, ...]
    resolution: Resolution
    asked: tuple[str, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        """What the group was resolved for."""
        return tuple(root.question for root in self.roots) or self.asked


@dataclass(frozen=True)
class Grouping:
    """The groups, why a root is not in one of them, and the roots that cannot be had at all."""

    groups: tuple[Group, ...]
    evictions: Mapping[Root, Mapping[str, Refusal]]
    missing: Mapping[Root, Refusal]


Preferences = Mapping[str, str]
Resolve = Callable[[Sequence[Root], Preferences], Resolution | Refusal]


@dataclass(frozen=True)
class _Filled:
    roots: tuple[Root, ...]
    resolution: Resolution
    refused: Mapping[Root, Refusal]


def form_groups(
    roots: Sequence[Root], resolve: Resolve, *, mode: str = "grouped", kept: Callable[[int], Preferences] = lambda _: {}
) -> Grouping:
    """Form the groups. ``kept(n)`` are the versions that group ``n`` (from 1) had before, preferred where they fit.

    Raises Conflict in the mode ``together``, where roots that can each be had do not fit together.
    """
    groups: list[Group] = []
    evictions: dict[Root, dict[str, Refusal]] = {}
    missing: dict[Root, Refusal] = {}
    seeds = [list(roots)] if mode != "separate" else [[root] for root in roots]
    while seeds and seeds[0]:
        number = len(groups) + 1
        seed = seeds.pop(0)
        others = [] if mode == "separate" else [r for r in roots if r not in seed and r not in missing]
        preferences = {**_versions(groups), **kept(number)} if mode != "separate" else kept(number)
        filled = _fill([*seed, *others], resolve, preferences)
        alone = _had_nowhere([root for root in filled.refused if root in seed and not _placed(root, groups)], resolve)
        missing.update(alone)
        evicted = {root: refusal for root, refusal in filled.refused.items() if root not in alone}
        if mode == "together" and evicted:
            raise _conflict(evicted)
        if filled.roots:
            name = f"group-{number}"
            groups.append(Group(name, filled.roots, filled.resolution))
            for root, refusal in evicted.items():
                evictions.setdefault(root, {})[name] = refusal
        waiting = [root for root in seed if root in evicted]
        if waiting:
            seeds.insert(0, waiting)
    return Grouping(tuple(groups), evictions, missing)


def _fill(order: Sequence[Root], resolve: Resolve, preferences: Preferences) -> _Filled:
    """Take in each root that fits with those accepted before it."""
    accepted: list[Root] = []
    refused: dict[Root, Refusal] = {}
    pending = list(order)
    while True:
        answer = resolve([*accepted, *pending], preferences) if accepted or pending else Resolution({})
        if isinstance(answer, Resolution):
            return _Filled((*accepted, *pending), answer, refused)
        fits, fails = 0, len(pending)
        while fails - fits > 1:
            middle = _probe(pending, answer, fits, fails)
            attempt = resolve([*accepted, *pending[:middle]], preferences)
            if isinstance(attempt, Resolution):
                fits = middle
            else:
                fails, answer = middle, attempt
        accepted += pending[:fits]
        refused[pending[fits]] = answer
        pending = pending[fails:]


def _probe(pending: Sequence[Root], refusal: Refusal, fits: int, fails: int) -> int:
    """Where to look for the first root that does not fit: at the last one that the refusal names, else in the middle.

    The explanation is a guess, which the resolver's own answer confirms, so a wrong one costs time and nothing else.
    """
    named = [at for at in range(fits, fails) if refusal.names(pending[at].name)]
    for at in (named[-1], named[-1] + 1) if named else ():
        if fits < at < fails:
            return at
    return (fits + fails) // 2


def _versions(groups: Sequence[Group]) -> dict[str, str]:
    """The versions that groups chose, the earlier group's first."""
    return {name: v for group in reversed(groups) for name, v in group.resolution.versions.items()}


def _placed(root: Root, groups: Sequence[Group]) -> bool:
    return any(root in group.roots for group in groups)


def _had_nowhere(roots: Sequence[Root], resolve: Resolve) -> dict[Root, Refusal]:
    """Those that cannot be had even alone, with the reason for that, which says more than that of a longer list."""
    answers = {root: resolve([root], {}) for root in roots}
    return {root: answer for root, answer in answers.items() if isinstance(answer, Refusal)}


def _conflict(evicted: Mapping[Root, Refusal]) -> Conflict:
    names = ", ".join(f"`{root.requirement}`" for root in evicted)
    return Conflict(
        f"roots do not fit together: {names}",
        notes=[refusal.sentence for refusal in evicted.values()],
        hint='change their versions, or let them land in groups of their own with `"resolution": {"mode": "grouped"}`',
    )
