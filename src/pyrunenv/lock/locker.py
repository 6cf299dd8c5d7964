"""Locks one target: its roots, their groups, every wheel, and what cannot be had with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pyrunenv.config.merge import root_name
from pyrunenv.errors import LockError
from pyrunenv.lock.answers import Edges, Refusal, Resolution, ResolvedPackage
from pyrunenv.lock.catalogue import offer
from pyrunenv.lock.grouping import Group, Grouping, Preferences, Root, form_groups
from pyrunenv.lock.inputs import combined, lock_inputs
from pyrunenv.lock.missing import Missing, Unavailable, explain
from pyrunenv.lock.model import (
    Eviction,
    Floors,
    Lock,
    LockedInterpreter,
    LockedPackage,
    LockedRoot,
    LockedWheel,
    MissingRoot,
)
from pyrunenv.lock.resolver import Resolver
from pyrunenv.lock.vcs import pin_commit
from pyrunenv.platforms import Platform, marker_environment

if TYPE_CHECKING:
    from pyrunenv.config.schema import TargetConfig
    from pyrunenv.fetch.download import Fetcher

NO_DEPS_GROUP = "no-deps"


@dataclass(frozen=True)
class Outcome:
    """What locking a target came to: a lock, or the roots that cannot be had; and what a person should know."""

    lock: Lock | None
    missing: tuple[Missing, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Locker:
    """Locks one environment on one platform. ``previous`` is the lock whose versions are kept where they still fit."""

    environment: str
    platform: Platform
    python_version: str
    config: TargetConfig
    interpreter: LockedInterpreter
    resolver: Resolver
    fetcher: Fetcher
    previous: Lock | None = None
    _answers: dict[tuple[object, ...], Resolution | Refusal] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolver", replace(self.resolver, unavailable=tuple(self.unavailable)))

    def lock(self) -> Outcome:
        """Resolve the target. Raises LockError where roots conflict by decree, or a registry does not answer."""
        roots = self._roots()
        strict = self.config.resolution.strict_missing
        forced = {r: Refusal("") for r in roots if r.name in self.unavailable}
        ordinary = [r for r in roots if r not in forced and r.name not in self.config.no_deps]
        grouping = form_groups(ordinary, self._resolve, mode=self.config.resolution.mode, kept=self._kept)
        groups, bare, bare_missing = self._place_without_deps(
            grouping.groups, [r for r in roots if r not in forced and r.name in self.config.no_deps]
        )
        groups = self._ensure_consumers(groups, strict and not grouping.missing)
        refused = {**forced, **grouping.missing, **bare_missing}
        missing = tuple(self._explain(root, refused[root]) for root in roots if root in refused)
        if missing and strict:
            return Outcome(None, missing)
        warnings = tuple(
            f"{self.environment} on {self.platform}: `{m.requirement}` is left out: {m.reason}" for m in missing
        )
        return Outcome(self._build(roots, grouping, groups, bare, missing), missing, warnings)

    @cached_property
    def unavailable(self) -> dict[str, Unavailable]:
        """What must be in no answer: skipped names, and those that policy always builds."""
        config = self.config
        listed = dict.fromkeys(config.resolution.force_no_binary_list, "it is in forceNoBinaryList")
        built = {canonicalize_name(name): reason for name, reason in {**listed, **config.force_source}.items()}
        entries = [Unavailable(name, False, reason) for name, reason in built.items()]
        entries += [Unavailable(name, True, reason) for name, reason in config.skip.items()]
        return {entry.name: entry for entry in entries}

    def _roots(self) -> list[Root]:
        """The roots that the target's markers let in, without the skipped ones."""
        environment = marker_environment(self.platform, self.python_version)
        roots = []
        for position, requirement in enumerate(self.config.dependencies):
            name = root_name(requirement) or requirement
            if name in self.config.skip:
                continue
            try:
                marker = Requirement(requirement).marker
            except InvalidRequirement:
                marker = None  # a bare git URL, which cannot carry one
            if marker is None or marker.evaluate({**environment, "extra": ""}):
                roots.append(Root(position, requirement, name))
        return roots

    def _resolve(self, roots: Sequence[Root], preferences: Preferences) -> Resolution | Refusal:
        key = (tuple(roots), tuple(sorted(preferences.items())))
        if key not in self._answers:
            self._answers[key] = self.resolver.resolve([root.requirement for root in roots], preferences)
        return self._answers[key]

    def _kept(self, number: int) -> Preferences:
        """The versions that a group of this number had in the previous lock."""
        packages = self.previous.packages if self.previous else ()
        return {p.name: p.version for p in packages if f"group-{number}" in p.groups}

    def _place_without_deps(
        self, groups: Sequence[Group], roots: Sequence[Root]
    ) -> tuple[list[Group], dict[Root, ResolvedPackage], dict[Root, Refusal]]:
        """Put ``noDeps`` roots into the groups that hold what their metadata asks for, else into one that nobody promises."""
        placed = list(groups) or ([Group("group-1", (), Resolution({}))] if roots else [])
        alone: dict[Root, ResolvedPackage] = {}
        missing: dict[Root, Refusal] = {}
        for root in roots:
            chosen = self.resolver.resolve([root.requirement], self._kept(1), no_deps=True)
            if isinstance(chosen, Refusal):
                missing[root] = chosen
                continue
            fitting = [(at, grown) for at, group in enumerate(placed) if (grown := self._grown(group, root))]
            for at, grown in fitting:
                placed[at] = grown
            if not fitting:
                alone[root] = chosen.packages[root.name]
        placed = [group for group in placed if group.roots]
        if alone:
            placed.append(Group(NO_DEPS_GROUP, (), Resolution({p.name: p for p in alone.values()})))
        return placed, alone, missing

    def _grown(self, group: Group, root: Root) -> Group | None:
        """The group with one more root, where that brings nothing else with it and changes no version."""
        answer = self._resolve([*group.roots, root], group.resolution.versions)
        if isinstance(answer, Refusal):
            return None
        others = {name: version for name, version in answer.versions.items() if name != root.name}
        before = {name: version for name, version in group.resolution.versions.items() if name != root.name}
        return Group(group.name, (*group.roots, root), answer) if others == before else None

    def _ensure_consumers(self, groups: Sequence[Group], strict: bool) -> list[Group]:
        """Check that each consumer resolves from the wheelhouse; with ``ensure``, add the group that it lacks."""
        result = list(groups)
        for consumer in self.config.consumers:
            answers = [
                self.resolver.resolve(consumer.requirements, g.resolution.versions) for g in [*result, None] if g
            ]
            if any(isinstance(a, Resolution) and _within(a, result) for a in answers):
                continue
            answer = answers[0] if answers else self.resolver.resolve(consumer.requirements)
            if isinstance(answer, Resolution) and consumer.ensure:
                result.append(Group(f"consumer-{canonicalize_name(consumer.name)}", (), answer))
            elif strict:
                raise self._unserved(consumer.name, answer, result)
        return result

    def _unserved(self, consumer: str, answer: Resolution | Refusal, groups: Sequence[Group]) -> LockError:
        if isinstance(answer, Refusal):
            notes = [answer.sentence]
        else:
            held = {(n, v) for g in groups for n, v in g.resolution.versions.items()}
            notes = [f"not in the wheelhouse: {n}=={v}" for n, v in answer.versions.items() if (n, v) not in held]
        return LockError(
            f"the consumer `{consumer}` does not resolve from the wheelhouse of {self.environment} on {self.platform}",
            notes=notes,
            hint='add what is missing to `packages.dependencies`, or give the consumer `"ensure": true`',
        )

    def _explain(self, root: Root, refusal: Refusal) -> Missing:
        return explain(
            self.environment, self.platform.key, root.requirement, root.name, refusal,
            policy=self.config.resolution, unavailable=self.unavailable,
            offer=lambda name: offer(name, self.resolver),
        )  # fmt: skip

    def _build(
        self,
        roots: Sequence[Root],
        grouping: Grouping,
        groups: Sequence[Group],
        bare: Mapping[Root, ResolvedPackage],
        missing: Sequence[Missing],
    ) -> Lock:
        inputs = lock_inputs(self.config, self.platform, self.python_version)
        left_out = {m.requirement for m in missing}
        return Lock(
            environment=self.environment,
            platform=self.platform.key,
            python_version=self.python_version,
            digest=combined(inputs),
            inputs=inputs,
            floors=Floors(self.config.floors.glibc, self.config.floors.macos),
            interpreter=self.interpreter,
            groups=tuple(group.name for group in groups),
            packages=tuple(self._packages(groups)),
            roots=tuple(
                _locked_root(root, groups, grouping, bare, root.name in self.config.no_deps)
                for root in roots
                if root.requirement not in left_out
            ),
            skipped=dict(sorted(self.config.skip.items())),
            missing=tuple(MissingRoot(pin_commit(m.requirement), m.name, m.reason) for m in missing),
        )

    def _packages(self, groups: Sequence[Group]) -> Iterable[LockedPackage]:
        """One entry for each version, with all groups that hold it and what it needs in each of them."""
        merged: dict[tuple[str, str], LockedPackage] = {}
        for group in groups:
            edges = self._edges(group)
            for name, package in group.resolution.packages.items():
                needs = {
                    (other, group.resolution.packages[other].version)
                    for other, parents in edges.needed_by.items()
                    if name in parents and other in group.resolution.packages
                }
                key = (name, package.version)
                entry = merged.get(key) or self._entry(package, edges.index.get(name))
                merged[key] = replace(
                    entry, groups=(*entry.groups, group.name), dependencies=tuple(sorted({*entry.dependencies, *needs}))
                )
        return [merged[key] for key in sorted(merged)]

    def _edges(self, group: Group) -> Edges:
        if not group.resolution.packages:
            return Edges({}, {})
        if group.name == NO_DEPS_GROUP:
            return Edges({}, {})
        if group.roots:
            return self.resolver.edges([root.requirement for root in group.roots], group.resolution)
        return self.resolver.edges([f"{n}=={v}" for n, v in group.resolution.versions.items()], group.resolution)

    def _entry(self, package: ResolvedPackage, index: str | None) -> LockedPackage:
        sha256, size = package.sha256, package.size
        if sha256 is None:
            sha256, size = self.fetcher.fetch_unhashed(package.url)
        wheel = LockedWheel(package.filename, package.url, sha256, size, package.upload_time)
        return LockedPackage(package.name, package.version, wheel, index, direct=package.direct)


def _within(answer: Resolution, groups: Sequence[Group]) -> bool:
    held = {(name, version) for group in groups for name, version in group.resolution.versions.items()}
    return held >= set(answer.versions.items())


def _locked_root(
    root: Root, groups: Sequence[Group], grouping: Grouping, bare: Mapping[Root, ResolvedPackage], no_deps: bool
) -> LockedRoot:
    evictions = grouping.evictions.get(root, {})
    return LockedRoot(
        requirement=root.requirement,
        name=root.name,
        groups=(NO_DEPS_GROUP,) if root in bare else tuple(group.name for group in groups if root in group.roots),
        evictions=tuple(Eviction(name, refusal.sentence) for name, refusal in evictions.items()),
        no_deps=no_deps,
        needs_no_deps=root in bare,
    )
