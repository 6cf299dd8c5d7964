"""From lock to archive: one target, and the whole run over targets.

A run first looks for what is already there, locks what is not, and begins to download for each target as soon as it has
its lock; bundles are put together once every lock of the run is made, so that what cannot be had is said before that.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from pyrunenv.errors import PyrunenvError
from pyrunenv.lock.run import LockedTarget, LockReport, LockRun, Target
from pyrunenv.stamp import RECIPE, Stamp, Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunenv.bundle.copyfiles import PlannedCopy
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.interpreters import PreparedInterpreter
    from pyrunenv.lock.missing import Missing

log = logging.getLogger(__name__)

# What archives are dated when SOURCE_DATE_EPOCH is not set: 1980-01-01, the oldest time that a zip can hold.
EPOCH = 315_532_800


@dataclass(frozen=True)
class BuildOptions:
    """How to build. ``python`` replaces the configured source of the interpreter for this run."""

    python: str | None = None
    locked: bool = False
    force: bool = False
    fail_fast: bool = False
    jobs: int | None = None


@dataclass(frozen=True)
class Built:
    """One finished target. ``seconds`` maps each step that was run to its duration; sizes are in bytes."""

    target: Target
    archive: Path
    archive_size: int
    bundle_size: int
    reused: bool
    publishable: bool
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class BuildReport:
    """What a run came to."""

    built: list[Built] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    failures: list[tuple[Target, PyrunenvError]] = field(default_factory=list)
    not_started: list[Target] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.missing or self.failures or self.not_started)


class Reporter(Protocol):
    """Hears what a run does; called from several threads."""

    def step(self, target: Target, name: str) -> None: ...

    def downloading(self, target: Target, total: int) -> None: ...

    def built(self, result: Built) -> None: ...

    def warn(self, text: str) -> None: ...


@dataclass
class Builder:
    """Builds targets. One object serves one run."""

    cache: Cache
    fetcher: Fetcher
    options: BuildOptions
    reporter: Reporter

    def __post_init__(self) -> None:
        self._packing = threading.Lock()
        self._stopped = threading.Event()
        self._warned: set[str] = set()

    @cached_property
    def mtime(self) -> int:
        """The time that every archive entry carries (https://reproducible-builds.org/specs/source-date-epoch/)."""
        return int(os.environ.get("SOURCE_DATE_EPOCH") or EPOCH)

    @property
    def jobs(self) -> int:
        return self.options.jobs or os.cpu_count() or 1

    def run(self, targets: Sequence[Target]) -> BuildReport:
        """Build what is not up to date. A target that fails does not stop the others, unless ``fail_fast``."""
        report = BuildReport()
        pending = []
        for target in targets:
            try:
                found = None if self.options.force else self._up_to_date(target)
            except PyrunenvError as error:
                report.failures.append((target, error))
                continue
            if found is None:
                pending.append(target)
            else:
                self._finished(found, report)
        if pending and not (self.options.fail_fast and report.failures):
            self._build_all(pending, report)
        else:
            report.not_started += pending
        return report

    def _up_to_date(self, target: Target) -> Built | None:
        wanted = self._wanted(target)
        stamp = Stamp.read(target)
        if stamp is None or (reason := stamp.outdated(target, wanted)):
            log.info("%s is built: %s", target, "it never was" if stamp is None else reason)
            return None
        self._describe(target)
        return stamp.built(target)

    def _wanted(self, target: Target) -> Wanted:
        return Wanted.of(target, self._copies(target), self.options.python, self.mtime)

    def _build_all(self, targets: Sequence[Target], report: BuildReport) -> None:
        with ThreadPoolExecutor(self.jobs, "build") as workers, ThreadPoolExecutor(len(targets), "prefetch") as prefetch:
            downloads: dict[int, Future[None]] = {}

            def begin(locked: LockedTarget) -> None:
                downloads[id(locked.target)] = prefetch.submit(self._download, locked)

            locks = self._lock_all(targets, begin)
            report.missing += locks.missing
            report.failures += locks.failures
            if self.options.fail_fast and not locks.ok:
                self._stopped.set()
            futures = {
                workers.submit(self._guarded, locked, downloads[id(locked.target)]): locked.target
                for locked in locks.locked
            }
            try:
                for future in as_completed(futures):
                    self._collect(futures[future], future, report)
            except BaseException:
                self._stopped.set()
                workers.shutdown(wait=False, cancel_futures=True)
                prefetch.shutdown(wait=False, cancel_futures=True)
                raise

    def _collect(self, target: Target, future: Future[Built | None], report: BuildReport) -> None:
        try:
            result = future.result()
        except PyrunenvError as error:
            report.failures.append((target, error))
            if self.options.fail_fast:
                self._stopped.set()
        else:
            if result is None:
                report.not_started.append(target)
            else:
                self._finished(result, report)

    def _lock_all(self, targets: Sequence[Target], begin: Callable[[LockedTarget], None]) -> LockReport:
        # The resolver waits for the network more than it works: several at once cost little.
        jobs = self.options.jobs or max(5, os.cpu_count() or 1)
        locks = LockRun(self.cache, self.fetcher, jobs, self.options.locked).lock_all(targets, begin)
        for warning in locks.warnings:
            self._warn(warning)
        return locks

    def _download(self, locked: LockedTarget) -> None:
        from pyrunenv.fetch.download import Download

        if self._stopped.is_set():
            return
        downloads = [
            Download(p.wheel.url, p.wheel.sha256, p.wheel.size, p.wheel.filename) for p in locked.lock.packages
        ]
        self.reporter.downloading(locked.target, sum(d.size or 0 for d in downloads))
        self.fetcher.fetch_all(downloads)

    def _guarded(self, locked: LockedTarget, downloads: Future[None]) -> Built | None:
        if self._stopped.is_set():
            return None
        return _TargetBuild(self, locked, downloads).run()

    def _finished(self, result: Built, report: BuildReport) -> None:
        report.built.append(result)
        self.reporter.built(result)

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self.reporter.warn(text)

    def _copies(self, target: Target) -> tuple[PlannedCopy, ...]:
        from pyrunenv.bundle import copyfiles

        files = target.config.copy_files
        environment = target.environment
        if not files:
            return ()
        return copyfiles.plan(files, environment.folder, target.platform, environment.python_version)

    def _describe(self, target: Target) -> None:
        from pyrunenv.publish import descriptors

        environment = target.environment
        descriptors.write(environment.folder, environment.package, [target.platform], environment.python_version)


@dataclass
class _TargetBuild:
    """The steps of one target."""

    builder: Builder
    locked: LockedTarget
    downloads: Future[None]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        return self.locked.target

    def run(self) -> Built:
        from pyrunenv.bundle.assemble import assemble

        if self.locked.made:
            self.seconds["lock"] = self.locked.seconds
        builder, target = self.builder, self.target
        folder = target.environment.folder
        copies = builder._copies(target)
        wanted = builder._wanted(target)
        interpreter = self._interpreter()
        with self._step("fetch"):
            self.downloads.result()
        wheels = [(p.wheel.filename, p.wheel.sha256) for p in self.locked.lock.packages]
        with self._step("assemble"):
            listing = assemble(
                folder / "pydist" / target.platform.key,
                interpreter=interpreter, wheels=wheels, cache=builder.cache, copies=copies,
            )  # fmt: skip
        archive = self._pack(interpreter, copies)
        stamp = Stamp.of(wanted, listing, archive, publishable=interpreter.publishable)
        stamp.write(target)
        return replace(stamp.built(target), reused=False, seconds=self.seconds)

    def _interpreter(self) -> PreparedInterpreter:
        from pyrunenv.interpreters import choose, prepare

        target, override = self.target, self.builder.options.python
        version = target.environment.python_version
        chosen = self.locked.lock.interpreter
        if override is not None and override != chosen.source:
            config = target.config.python.model_copy(update={"source": override})
            chosen = choose(config, version, target.platform)
        with self._step("interpreter"):
            prepared = prepare(
                chosen, target.platform, cache_root=self.builder.cache.root, fetch=self._fetch_interpreter,
                floors=self.locked.lock.floors, allow_other_patch=override == "local", python_version=version,
            )  # fmt: skip
        for warning in prepared.warnings:
            self.builder._warn(f"{target}: {warning}")
        return prepared

    def _fetch_interpreter(self, url: str, sha256: str) -> Path:
        from pyrunenv.fetch.download import Download
        from pyrunenv.lock.resolver import root_file_name

        return self.builder.fetcher.fetch(Download(url, sha256, None, root_file_name(url)))

    def _pack(self, interpreter: PreparedInterpreter, copies: Sequence[PlannedCopy]) -> Path:
        from pyrunenv.bundle import copyfiles, manifest
        from pyrunenv.bundle.pack import pack
        from pyrunenv.publish import descriptors

        builder, target = self.builder, self.target
        environment = target.environment
        archive = environment.folder / descriptors.archive_name(environment.package, target.platform)
        bundle = environment.folder / "pydist" / target.platform.key
        with builder._packing, self._step("pack"):
            packed = pack(bundle, archive, mtime=builder.mtime, jobs=builder.jobs)
        manifest.write(
            environment.folder, self.locked.lock, environment.package,
            interpreter=interpreter, copies_digest=copyfiles.digest(copies), packed=packed, recipe=RECIPE,
        )  # fmt: skip
        builder._describe(target)
        return archive

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self.builder.reporter.step(self.target, name)
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started
            log.info("%s: %s took %.2f s", self.target, name, self.seconds[name])
