"""Locks many targets at once, and reports everything that cannot be had in one go."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyrunenv import logs
from pyrunenv.config.workspace import OWN, SHARED
from pyrunenv.errors import LockFormat, PyrunenvError, StaleLock
from pyrunenv.files import write_atomic
from pyrunenv.lock import pylock
from pyrunenv.lock.inputs import changed, combined, lock_inputs
from pyrunenv.lock.model import Floors, Lock, LockedInterpreter
from pyrunenv.lock.unmatched import names_in, unmatched_own, unmatched_shared
from pyrunenv.platforms import Platform

if TYPE_CHECKING:
    from pyrunenv.config.schema import TargetConfig
    from pyrunenv.config.workspace import Environment
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.lock.gate import Gate
    from pyrunenv.lock.locker import Locker, Outcome, Upgrade
    from pyrunenv.lock.missing import Missing
    from pyrunenv.lock.resolver import Resolver
    from pyrunenv.lock.sources import Sources
    from pyrunenv.wheels.headers import Headers
    from pyrunenv.wheels.workshop import Workshop

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """One environment on one platform."""

    environment: Environment
    platform: Platform

    def __str__(self) -> str:
        return f"{self.environment.full_version} on {self.platform}"

    @property
    def config(self) -> TargetConfig:
        return self.environment.target(self.platform)

    def inputs(self) -> dict[str, str]:
        """The digests of what this target's resolution depends on."""
        return lock_inputs(self.config, self.platform, self.environment.python_version, self.environment.folder)

    def read_lock(self) -> Lock | None:
        return pylock.read(self.environment.folder, self.platform.key)


@dataclass(frozen=True)
class LockedTarget:
    """A target with a current lock; ``previous`` is what it replaced, if it was made now, in so many ``seconds``."""

    target: Target
    lock: Lock
    made: bool
    previous: Lock | None = None
    seconds: float = 0.0


@dataclass
class LockReport:
    """What locking a list of targets came to."""

    locked: list[LockedTarget] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    failures: list[tuple[Target, PyrunenvError]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.missing or self.failures)

    def refused(self, target: Target) -> tuple[Missing, ...]:
        """The roots that one target cannot have."""
        key = (target.environment.full_version, target.platform.key)
        return tuple(m for m in self.missing if (m.environment, m.platform) == key)


_Result = tuple[LockedTarget | None, "Outcome"]


@dataclass(frozen=True)
class LockRun:
    """How to lock: what to reuse, what may change, how many targets at once."""

    cache: Cache
    fetcher: Fetcher
    jobs: int = 4
    locked: bool = False
    """Refuse to make a lock: what is not current is a StaleLock failure."""
    relock: bool = False
    """Resolve again even where the lock is current."""
    upgrade: Upgrade | None = None
    """What may move; its absence keeps every version that still fits."""
    exclude_newer: str | None = None
    """Leave out files uploaded after this day or time, see :func:`pyrunenv.lock.pages.moment`."""
    writes: bool = True
    """Without it locks are only given back, for :func:`write_lock`."""
    on_chosen: Callable[[Target, LockedInterpreter], object] = lambda *_: None
    """Called, in some thread, as soon as a target's interpreter is known."""
    on_resolving: Callable[[Target], object] = lambda _: None
    """Called, in some thread, when a target is going to be resolved."""
    on_locked: Callable[[LockedTarget], object] = lambda _: None
    """Called, in some thread, as soon as a target has its lock."""

    def lock_all(self, targets: Sequence[Target]) -> LockReport:
        """Lock targets concurrently."""
        from pyrunenv.lock.gate import Gate

        report = LockReport()
        said: dict[tuple[str, str], list[str]] = {}
        with Gate() as gate, ThreadPoolExecutor(max(1, min(self.jobs, len(targets)))) as pool:
            results = pool.map(lambda target: self._attempt(target, gate), targets)
            for target, result in zip(targets, results, strict=True):
                if isinstance(result, PyrunenvError):
                    report.failures.append((target, result))
                    continue
                locked, outcome = result
                report.missing += outcome.missing if locked is None else ()
                report.locked += [locked] if locked else []
                for warning in outcome.warnings:
                    said.setdefault((target.environment.full_version, warning), []).append(target.platform.key)
        report.warnings += [f"{full} on {', '.join(keys)}: {text}" for (full, text), keys in said.items()]
        report.warnings += _unmatched(report.locked)
        return report

    def _attempt(self, target: Target, gate: Gate) -> _Result | PyrunenvError:
        try:
            with logs.about(target):
                locked, outcome = self._lock(target, gate)
        except PyrunenvError as error:
            return error
        if locked is not None:
            self.on_locked(locked)
        return locked, outcome

    def _lock(self, target: Target, gate: Gate) -> _Result:
        from pyrunenv.lock.locker import Outcome

        previous = target.read_lock()
        inputs = target.inputs()
        if previous is not None and not outdated(previous, inputs) and not self._again:
            self.on_chosen(target, previous.interpreter)
            return LockedTarget(target, previous, made=False), Outcome(previous)
        if self.locked or self.fetcher.offline:
            raise stale(target, previous, inputs)
        self.on_resolving(target)
        started = time.monotonic()
        outcome = self.locker(target, target.config, gate, previous).lock()
        if outcome.lock is None:
            return None, outcome
        seconds = time.monotonic() - started
        log.info("%s: lock took %.2f s", target, seconds)
        locked = LockedTarget(target, outcome.lock, True, previous, seconds)
        if self.writes:
            write_lock(locked)
        return locked, outcome

    @property
    def _again(self) -> bool:
        return self.relock or bool(self.upgrade) or self.exclude_newer is not None

    def locker(self, target: Target, config: TargetConfig, gate: Gate, previous: Lock | None = None) -> Locker:
        """What locks a target by a config, which is the target's own or one made from it."""
        from pyrunenv.fetch.credentials import registry_environment
        from pyrunenv.interpreters.choose import choose
        from pyrunenv.lock.gate import needs_gate
        from pyrunenv.lock.locker import Locker, Upgrade
        from pyrunenv.lock.pages import moment
        from pyrunenv.lock.resolver import Resolver

        environment = target.environment
        before = moment(self.exclude_newer) if self.exclude_newer else None
        passage = gate.passage(config.registries, before) if needs_gate(config.registries, before) else None
        floors = Floors(config.floors.glibc, config.floors.macos)
        interpreter = choose(config.python, environment.python_version, target.platform)
        self.on_chosen(target, interpreter)
        resolver = Resolver(
            target.platform, environment.python_version, floors, config.registries, self.cache.root / "uv",
            environment=registry_environment(config.registries), passage=passage, gate=gate,
        )  # fmt: skip
        return Locker(
            environment=environment.full_version,
            platform=target.platform,
            python_version=environment.python_version,
            config=config,
            interpreter=interpreter,
            resolver=resolver,
            fetcher=self.fetcher,
            sources=self._sources(target, config, resolver, interpreter, gate, previous),
            previous=previous,
            upgrade=self.upgrade or Upgrade(),
            exclude_newer=self.exclude_newer,
        )

    def _sources(
        self, target: Target, config: TargetConfig, resolver: Resolver, interpreter: LockedInterpreter, gate: Gate,
        previous: Lock | None,
    ) -> Sources:  # fmt: skip
        from pyrunenv.lock.sources import Sources, tools_of

        def open_workshop() -> Workshop:
            from pyrunenv.wheels.interpreters import workshop

            return workshop(config, environment.python_version, self.cache, self.fetcher)

        def headers() -> Headers:
            from pyrunenv.wheels.interpreters import target_headers

            version = environment.python_version
            return target_headers(interpreter, target.platform, config, version, self.cache, self.fetcher)

        environment = target.environment
        kept = {} if self.upgrade and self.upgrade.everything else tools_of(previous)
        return Sources(
            config, target.platform, environment.python_version, environment.folder, resolver,
            open_workshop, self.fetcher, gate, headers, kept,
        )  # fmt: skip


def _unmatched(locked: Iterable[LockedTarget]) -> list[str]:
    """The warnings about entries of environments of which a lock was made now."""
    by_folder: dict[str, list[LockedTarget]] = {}
    for entry in locked:
        by_folder.setdefault(str(entry.target.environment.folder), []).append(entry)
    found = []
    for entries in by_folder.values():
        environment = entries[0].target.environment
        seen = {e.target.platform.key: names_in(environment, e.lock) for e in entries}
        if any(entry.made for entry in entries):
            for key, name in unmatched_own(environment, seen):
                found.append(f"{environment.folder.name}/{OWN}: packages.{key}.{name} matches no package there")
    return found


def unmatched_in_shared(environments: Sequence[Environment], locked: Sequence[LockedTarget]) -> list[str]:
    """The warnings about the shared file's entries; none as long as some target of the workspace has no lock."""
    made = {(e.target.environment.folder, e.target.platform): e.lock for e in locked}

    def names(environment: Environment, platform: Platform) -> frozenset[str] | None:
        lock = made.get((environment.folder, platform))
        try:
            lock = lock or pylock.read(environment.folder, platform.key)
        except PyrunenvError:
            return None
        return names_in(environment, lock) if lock else None

    return [
        f"{SHARED}: packages.{key}.{name} matches no package of any environment"
        for key, name in unmatched_shared(environments, names)
    ]


def write_lock(locked: LockedTarget) -> None:
    """Write a lock to its place in the environment's folder."""
    target = locked.target
    write_atomic(pylock.lock_path(target.environment.folder, target.platform.key), pylock.render(locked.lock))


def outdated(lock: Lock, inputs: dict[str, str]) -> list[str]:
    """Return what changed since a lock was made; nothing where it is current."""
    from pyrunenv.wheels.toolchain import find_zig

    if lock.digest != combined(inputs):
        return list(changed(lock.inputs, inputs)) or ["its inputs"]
    # made where there was no compiler, it does not say which one makes its bytes
    if any(p.build and not p.build.compiler for p in lock.to_build) and find_zig() is not None:
        return ["the compiler, which the lock does not name"]
    return []


def stale(target: Target, previous: Lock | None, inputs: dict[str, str]) -> StaleLock:
    """The failure of a target whose lock is absent or was made from other inputs; names those that changed."""
    command = f"pyrunenv lock {target.environment.full_version} --platform {target.platform}"
    if previous is None:
        return StaleLock(f"{target} is not locked", hint=f"run `{command}`")
    names = ", ".join(outdated(previous, inputs))
    return StaleLock(f"the lock of {target} is not current", notes=[f"changed since: {names}"], hint=f"run `{command}`")


def check(targets: Iterable[Target]) -> list[StaleLock]:
    """Return the failures of ``lock --check``: every target whose lock is not current. Asks no registry."""
    found = []
    for target in targets:
        inputs = target.inputs()
        try:
            previous = target.read_lock()
        except LockFormat as error:
            found.append(StaleLock(error.message, notes=error.notes, hint=error.hint))
            continue
        if previous is None or outdated(previous, inputs):
            found.append(stale(target, previous, inputs))
    return found
