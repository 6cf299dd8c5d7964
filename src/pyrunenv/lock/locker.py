"""Locks one target: its roots, their groups, every wheel, and what cannot be had with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pyrunenv.config.merge import root_name
from pyrunenv.errors import BuildFailed, LockError, SourceError
from pyrunenv.lock.answers import Refusal, Resolution, ResolvedPackage
from pyrunenv.lock.catalogue import offer, pinned_version
from pyrunenv.lock.entries import NO_DEPS_GROUP, locked_packages
from pyrunenv.lock.grouping import Group, Grouping, Preferences, form_groups
from pyrunenv.lock.inputs import combined, lock_inputs
from pyrunenv.lock.missing import Missing, explain
from pyrunenv.lock.missing import error as missing_error
from pyrunenv.lock.model import (
    Eviction,
    Floors,
    Lock,
    LockedInterpreter,
    LockedRoot,
    MissingRoot,
)
from pyrunenv.lock.resolver import Resolver
from pyrunenv.lock.roots import Root, wanted_roots
from pyrunenv.lock.sources import Sources, is_source
from pyrunenv.lock.vcs import without_login
from pyrunenv.platforms import Platform

if TYPE_CHECKING:
    from pyrunenv.config.schema import TargetConfig
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.lock.shelf import Candidate


@dataclass(frozen=True)
class Outcome:
    """What locking a target came to: a lock, or the roots that cannot be had; and what a person should know."""

    lock: Lock | None
    missing: tuple[Missing, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Upgrade:
    """What may move when a target is locked again: everything, or some names (normalised)."""

    everything: bool = False
    names: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.everything or bool(self.names)

    def keeps(self, name: str) -> bool:
        """Whether a package keeps its version."""
        return not self.everything and name not in self.names


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
    sources: Sources
    previous: Lock | None = None
    upgrade: Upgrade = Upgrade()
    exclude_newer: str | None = None
    _answers: dict[tuple[object, ...], Resolution | Refusal] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolver", replace(self.resolver, unavailable=tuple(self.config.skip)))

    def lock(self) -> Outcome:
        """Resolve the target. Raises LockError where roots conflict by decree, or a registry does not answer."""
        while True:
            failures = len(self.sources.failures)
            try:
                return self._lock()
            except (BuildFailed, SourceError):
                # What cannot be built is told when its build is planned: then the roots that need it cannot be had.
                if len(self.sources.failures) == failures:
                    raise
                self._answers.clear()

    def _lock(self) -> Outcome:
        roots, unreadable = self._roots()
        strict = self.config.resolution.strict_missing
        ordinary = [r for r in roots if r not in unreadable and r.name not in self.config.no_deps]
        grouping = form_groups(ordinary, self._resolve, mode=self.config.resolution.mode, kept=self._kept)
        groups, bare, bare_missing = self._place_without_deps(
            grouping.groups, [r for r in roots if r not in unreadable and r.name in self.config.no_deps]
        )
        groups = self._ensure_consumers(groups, strict and not grouping.missing)
        for package in (package for group in groups for package in group.resolution.packages.values()):
            if package.candidate is not None:
                self.sources.plan(package.candidate)
        refused = {**unreadable, **grouping.missing, **bare_missing}
        missing = tuple(self._explain(root, refused[root]) for root in roots if root in refused)
        if missing and strict:
            return Outcome(None, missing)
        lock = self._build(roots, grouping, groups, bare, missing)
        return Outcome(lock, missing, tuple(self._warnings(lock, groups, missing)))

    def choose_source(self, requirement: str) -> Candidate:
        """Choose what a requirement alone is built from, its dependencies left aside; raises MissingPackages."""
        root = Root(0, requirement, root_name(requirement) or requirement)
        placed = self.sources.direct(root) if is_source(requirement) else root
        answer = placed if isinstance(placed, Refusal) else self._answer([placed.question], {}, no_deps=True)
        if isinstance(placed, Refusal) or isinstance(answer, Refusal):
            refusal = answer if isinstance(answer, Refusal) else placed
            assert isinstance(refusal, Refusal)
            raise refusal.failure or missing_error([self._explain(root, refusal)])
        assert isinstance(answer, Resolution)
        candidate = answer.packages[placed.name].candidate
        assert candidate is not None
        return candidate

    def _roots(self) -> tuple[list[Root], dict[Root, Refusal]]:
        """The roots that the target wants, and those among them whose source tells no metadata."""
        roots = wanted_roots(self.config, self.platform, self.python_version)
        unreadable = {}
        for at, root in enumerate(roots):
            placed = self.sources.direct(root) if is_source(root.requirement) else root
            if isinstance(placed, Refusal):
                unreadable[root] = placed
            else:
                roots[at] = placed
        return roots, unreadable

    def _resolve(self, roots: Sequence[Root], preferences: Preferences) -> Resolution | Refusal:
        key = (tuple(roots), tuple(sorted(preferences.items())))
        if key not in self._answers:
            self._answers[key] = self._ask([root.question for root in roots], preferences)
        return self._answers[key]

    def _ask(
        self, requirements: Sequence[str], preferences: Preferences, *, no_deps: bool = False
    ) -> Resolution | Refusal:
        """Ask the resolver; a kept version that was yanked since is given up, unless a requirement pins it."""
        answer = self._answer(requirements, preferences, no_deps)
        if isinstance(answer, Resolution) and answer.yanked:
            pinned = {name for name, version in map(pinned_version, requirements) if version is not None}
            given_up = {name for name in answer.yanked if name in preferences and name not in pinned}
            if given_up:
                remaining = {name: version for name, version in preferences.items() if name not in given_up}
                return self._answer(requirements, remaining, no_deps)
        return answer

    def _answer(self, requirements: Sequence[str], preferences: Preferences, no_deps: bool) -> Resolution | Refusal:
        """Ask for wheels, and where that has no answer, for what may be built of the names that lack one."""
        opened: set[str] = set()
        while True:
            resolver = replace(self.resolver, shelf=self.sources.shelf(opened))
            answer = resolver.resolve(requirements, preferences, no_deps=no_deps)
            if isinstance(answer, Resolution):
                return self._unless_a_wheel(answer)
            if answer.failure is None:
                for name, error in self.sources.broken.items():
                    if answer.names(name):
                        return Refusal(error.message, name, error)
            lacking = {name for name in answer.without_wheel if self.sources.may_build(name)} - opened
            if not lacking or answer.failure:
                return answer
            opened |= lacking

    def _unless_a_wheel(self, answer: Resolution) -> Resolution | Refusal:
        """Refuse an answer that has a wheel of what must be built."""
        for name in self.sources.forced & answer.packages.keys():
            package = answer.packages[name]
            if (error := self.sources.broken.get(name)) is not None:
                return Refusal(error.message, name, error)
            if package.candidate is None:
                return Refusal(f"{name} must be built from source there, and no registry has one of {package.version}")
        return answer

    def _kept(self, group: int | str) -> Preferences:
        """The versions that a group of this number or name had in the previous lock, but for what may move."""
        name = group if isinstance(group, str) else f"group-{group}"
        packages = self.previous.packages if self.previous else ()
        return {p.name: p.version for p in packages if name in p.groups and self.upgrade.keeps(p.name)}

    def _place_without_deps(
        self, groups: Sequence[Group], roots: Sequence[Root]
    ) -> tuple[list[Group], dict[Root, ResolvedPackage], dict[Root, Refusal]]:
        """Put ``noDeps`` roots into the groups that hold what their metadata asks for, else into one that nobody promises."""
        placed = list(groups) or ([Group("group-1", (), Resolution({}))] if roots else [])
        alone: dict[Root, ResolvedPackage] = {}
        missing: dict[Root, Refusal] = {}
        answers: list[Resolution] = []
        for root in roots:
            chosen = self._ask([root.question], {**self._kept(NO_DEPS_GROUP), **self._kept(1)}, no_deps=True)
            if isinstance(chosen, Refusal):
                missing[root] = chosen
                continue
            fitting = [(at, grown) for at, group in enumerate(placed) if (grown := self._grown(group, root))]
            for at, grown in fitting:
                placed[at] = grown
            if not fitting:
                alone[root] = chosen.packages[root.name]
                answers.append(chosen)
        placed = [group for group in placed if group.roots]
        if alone:
            asked = tuple(root.question for root in alone)
            yanked = {name: why for answer in answers for name, why in answer.yanked.items()}
            shelf = self.sources.shelf({p.name for p in alone.values() if p.candidate})
            packages = {p.name: p for p in alone.values()}
            placed.append(Group(NO_DEPS_GROUP, (), Resolution(packages, yanked, shelf), asked))
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
            answers = [self._ask(consumer.requirements, group.resolution.versions) for group in result]
            if any(isinstance(a, Resolution) and _within(a, result) for a in answers):
                continue
            name = f"consumer-{canonicalize_name(consumer.name)}"
            first = result[0].resolution.versions if result else {}
            answer = self._ask(consumer.requirements, {**first, **self._kept(name)})
            if isinstance(answer, Resolution) and _within(answer, result):
                continue
            if isinstance(answer, Resolution) and consumer.ensure:
                result.append(Group(name, (), answer, consumer.requirements))
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
            skipped=self.config.skip, may_build=self.sources.may_build,
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
        inputs = lock_inputs(self.config, self.platform, self.python_version, self.sources.base)
        packages = tuple(locked_packages(groups, self.resolver, self.fetcher, self.sources))
        passage = self.resolver.passage
        servers = {p.name: passage.servers(p.name) for p in packages} if passage else {}
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
            packages=packages,
            roots=tuple(
                _locked_root(
                    root,
                    self.sources.pinned(root.requirement),
                    groups,
                    grouping,
                    bare,
                    root.name in self.config.no_deps,
                )
                for root in roots
                if root.requirement not in left_out
            ),
            skipped=dict(sorted(self.config.skip.items())),
            missing=tuple(
                MissingRoot(without_login(self.sources.pinned(m.requirement)), m.name, m.reason) for m in missing
            ),
            served_by={name: urls for name, urls in sorted(servers.items()) if len(urls) > 1},
            exclude_newer=self.exclude_newer,
        )

    def _warnings(self, lock: Lock, groups: Sequence[Group], missing: Sequence[Missing]) -> Iterator[str]:
        """What a person should know of a lock that was made, without the target's name."""
        for entry in missing:
            yield f"`{entry.requirement}` is left out: {entry.reason}"
        for group in groups:
            for name, reason in group.resolution.yanked.items():
                version = group.resolution.versions[name]
                yield f"{name} {version} was yanked from its registry" + (f": {reason}" if reason else "")
        bare = f"linux_{self.platform.machine}.whl"
        for package in lock.packages:
            wheel = package.wheel
            if wheel and self.platform.system == "linux" and wheel.filename.endswith(f"-{bare}"):
                yield f"{wheel.filename} does not say which glibc it needs: it may not load at the floor"
        for url in self.resolver.passage.undated() if self.exclude_newer and self.resolver.passage else ():
            yield f"{url} does not say when its files were uploaded: --exclude-newer leaves none of them out"


def _within(answer: Resolution, groups: Sequence[Group]) -> bool:
    held = {(name, version) for group in groups for name, version in group.resolution.versions.items()}
    return held >= set(answer.versions.items())


def _locked_root(
    root: Root,
    requirement: str,
    groups: Sequence[Group],
    grouping: Grouping,
    bare: Mapping[Root, ResolvedPackage],
    no_deps: bool,
) -> LockedRoot:
    evictions = grouping.evictions.get(root, {})
    return LockedRoot(
        requirement=without_login(requirement),
        name=root.name,
        groups=(NO_DEPS_GROUP,) if root in bare else tuple(group.name for group in groups if root in group.roots),
        evictions=tuple(Eviction(name, refusal.sentence) for name, refusal in evictions.items()),
        no_deps=no_deps,
        needs_no_deps=root in bare,
    )
