"""From lock to archive: one target, and the whole run over targets.

A run first looks for what is already there and locks what is not. Interpreters are made portable meanwhile; each target
downloads its wheels and is put together as soon as it has its lock, and is packed when no bundle waits any more.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from pyrunenv.errors import PyrunenvError, UsageError
from pyrunenv.lock.model import Floors
from pyrunenv.lock.run import LockedTarget, LockRun, Target
from pyrunenv.stamp import RECIPE, Finished, Stamp, Wanted, look
from pyrunenv.workers import Workers

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunenv.bundle.copyfiles import PlannedCopy
    from pyrunenv.bundle.listing import Listing
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.interpreters import PreparedInterpreter
    from pyrunenv.lock.missing import Missing
    from pyrunenv.lock.model import LockedInterpreter
    from pyrunenv.platforms import Platform

log = logging.getLogger(__name__)

# Targets that are worked on at a time: each has two threads, which wait.
_IN_FLIGHT = 16
# From so many targets on, looking at what is there is worth the start of worker processes.
_MANY = 100
_P = ParamSpec("_P")
_T = TypeVar("_T")

# What archives are dated when SOURCE_DATE_EPOCH is not set: 1980-01-01, the oldest time that a zip can hold.
EPOCH = 315_532_800


def archive_time() -> int:
    """The time that every archive entry carries (https://reproducible-builds.org/specs/source-date-epoch/)."""
    given = os.environ.get("SOURCE_DATE_EPOCH") or str(EPOCH)
    if not given.isdecimal() or int(given) >= 2**32:
        raise UsageError(f"SOURCE_DATE_EPOCH is `{given}`", hint="it counts seconds since 1970: set a whole number")
    return int(given)


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
        self.mtime = archive_time()
        self._stopped = threading.Event()
        self._warned: set[str] = set()

    @property
    def jobs(self) -> int:
        return self.options.jobs or os.cpu_count() or 1

    def check_running(self) -> None:
        """Raise where an earlier failure ended the run."""
        if self._stopped.is_set():
            raise _Stopped

    def run(self, targets: Sequence[Target]) -> BuildReport:
        """Build what is not up to date. A target that fails does not stop the others, unless ``fail_fast``."""
        report = BuildReport()
        pending = []
        for target, found in self._look(targets, report):
            if isinstance(found, Finished) and not self.options.force:
                self.describe(target)
                self._finished(self.built(target, found), report)
            else:
                log.info("%s is built: %s", target, found if isinstance(found, str) else "that is asked for")
                pending.append(target)
        if pending and not (self.options.fail_fast and report.failures):
            self._build_all(pending, report)
        else:
            report.not_started += pending
        return report

    def _look(self, targets: Sequence[Target], report: BuildReport) -> list[tuple[Target, Finished | str]]:
        """Find what is there of each target; many are looked at by several processes."""
        questions = []
        for target in targets:
            try:
                questions.append((target, target.environment.folder, target.platform.key, self.wanted(target)))
            except PyrunenvError as error:
                report.failures.append((target, error))
        if len(questions) < _MANY:
            answers = [look(*question[1:]) for question in questions]
        else:
            with Workers(self.jobs) as workers:
                answers = workers.map(look, [question[1:] for question in questions])
        return [(question[0], answer) for question, answer in zip(questions, answers, strict=True)]

    def built(self, target: Target, found: Finished, seconds: dict[str, float] | None = None) -> Built:
        archive = target.environment.folder / found.archive
        return Built(
            target, archive, found.archive_size, found.bundle_size, seconds is None, found.publishable, seconds or {}
        )

    def wanted(self, target: Target) -> Wanted:
        return Wanted.of(target, self.copies(target), self.options.python, self.mtime)

    def _build_all(self, targets: Sequence[Target], report: BuildReport) -> None:
        from pyrunenv.fetch.credentials import learn

        for target in targets:
            learn(target.config.registries)
        # The workers first: they are made before there are threads. Each target then has one thread that waits for
        # its interpreter, and one that waits for everything else.
        with (
            Workers(min(self.jobs, len(targets))) as workers,
            ThreadPoolExecutor(2 * min(len(targets), _IN_FLIGHT), "target") as threads,
        ):
            builds = {target: _TargetBuild(self, target, workers, threads) for target in targets}
            try:
                self._lock_all(builds, report)
                self._drain({build.assembled: target for target, build in builds.items() if build.assembled}, report)
                ready = {target: build for target, build in builds.items() if build.listing}
                pack_jobs = max(1, self.jobs // len(ready)) if ready else 1
                self._drain({threads.submit(build.pack, pack_jobs): target for target, build in ready.items()}, report)
            except BaseException:
                self._stopped.set()
                self.fetcher.stop()
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _lock_all(self, builds: Mapping[Target, _TargetBuild], report: BuildReport) -> None:
        """Lock all targets; each is prepared meanwhile, and goes on as soon as it has its lock."""
        # The resolver waits for the network more than it works: several at once cost little.
        jobs = self.options.jobs or max(5, os.cpu_count() or 1)
        run = LockRun(
            self.cache, self.fetcher, jobs, self.options.locked,
            on_chosen=lambda target, interpreter: builds[target].prepare(interpreter),
            on_locked=lambda locked: builds[locked.target].go_on(locked),
        )  # fmt: skip
        locks = run.lock_all(tuple(builds))
        for warning in locks.warnings:
            self.warn(warning)
        report.missing += locks.missing
        report.failures += locks.failures
        if self.options.fail_fast and not locks.ok:
            self._stopped.set()

    def _drain(self, futures: Mapping[Future[Any], Target], report: BuildReport) -> None:
        """Wait for a step of all targets, and sort each into the report."""
        for future in as_completed(futures):
            target = futures[future]
            try:
                result = future.result()
            except _Stopped:
                report.not_started.append(target)
            except PyrunenvError as error:
                report.failures.append((target, error))
                if self.options.fail_fast:
                    self._stopped.set()
            else:
                if result is not None:
                    self._finished(result, report)

    def _finished(self, result: Built, report: BuildReport) -> None:
        report.built.append(result)
        self.reporter.built(result)

    def warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self.reporter.warn(text)

    def copies(self, target: Target) -> tuple[PlannedCopy, ...]:
        from pyrunenv.bundle import copyfiles

        files = target.config.copy_files
        environment = target.environment
        if not files:
            return ()
        return copyfiles.plan(files, environment.folder, target.platform, environment.python_version)

    def describe(self, target: Target) -> None:
        from pyrunenv.publish import descriptors

        environment = target.environment
        descriptors.write(environment.folder, environment.package, [target.platform], environment.python_version)


class _Stopped(Exception):
    """An earlier failure ended the run before this target was begun."""


@dataclass
class _TargetBuild:
    """The steps of one target, each begun as soon as what it needs is there."""

    builder: Builder
    target: Target
    workers: Workers
    threads: ThreadPoolExecutor
    seconds: dict[str, float] = field(default_factory=dict)
    assembled: Future[None] | None = None
    listing: Listing | None = None

    @property
    def folder(self) -> Path:
        return self.target.environment.folder

    @property
    def bundle(self) -> Path:
        return self.folder / "pydist" / self.target.platform.key

    def prepare(self, chosen: LockedInterpreter) -> None:
        """Begin to make the interpreter portable; it is known before the lock is made."""
        self._prepared = self.threads.submit(self._prepare, chosen)

    def go_on(self, locked: LockedTarget) -> None:
        """Begin to download the wheels, and put the bundle together when they and the interpreter are there."""
        self.locked = locked
        if locked.made:
            self.seconds["lock"] = locked.seconds
        self.assembled = self.threads.submit(self._assemble)

    def pack(self, jobs: int) -> Built:
        """Pack the assembled bundle with ``jobs`` threads, and describe it."""
        from pyrunenv.bundle import copyfiles, manifest
        from pyrunenv.bundle.pack import pack
        from pyrunenv.publish import descriptors

        builder, environment = self.builder, self.target.environment
        builder.check_running()
        assert self.listing is not None
        archive = self.folder / descriptors.archive_name(environment.package, self.target.platform)
        interpreter = self._prepared.result()
        packed = self._work("pack", pack, self.bundle, archive, mtime=builder.mtime, jobs=jobs)
        manifest.write(
            self.folder, self.locked.lock, environment.package, interpreter=interpreter,
            copies_digest=copyfiles.digest(self.copies), packed=packed, recipe=RECIPE,
        )  # fmt: skip
        builder.describe(self.target)
        stamp = Stamp.of(self.wanted, self.listing, archive, publishable=interpreter.publishable)
        stamp.write(self.folder, self.target.platform.key)
        return builder.built(self.target, stamp.finished, self.seconds)

    def _assemble(self) -> None:
        from pyrunenv.bundle.assemble import assemble

        builder = self.builder
        builder.check_running()
        self.copies = builder.copies(self.target)
        self.wanted = builder.wanted(self.target)
        self._download()
        interpreter = self._prepared.result()
        builder.check_running()
        wheels = [(package.wheel.filename, package.wheel.sha256) for package in self.locked.lock.packages]
        self.listing = self._work(
            "assemble", assemble, self.bundle,
            interpreter=interpreter, wheels=wheels, cache=builder.cache, copies=self.copies,
        )  # fmt: skip

    def _download(self) -> None:
        from pyrunenv.fetch.download import Download

        wheels = [package.wheel for package in self.locked.lock.packages]
        self.builder.reporter.downloading(self.target, sum(wheel.size or 0 for wheel in wheels))
        self.builder.reporter.step(self.target, "fetch")
        started = time.monotonic()
        self.builder.fetcher.fetch_all([Download(w.url, w.sha256, w.size, w.filename) for w in wheels])
        self._took("fetch", time.monotonic() - started)

    def _prepare(self, chosen: LockedInterpreter) -> PreparedInterpreter:
        from pyrunenv.fetch.download import Download
        from pyrunenv.interpreters import choose
        from pyrunenv.lock.resolver import root_file_name

        builder, target = self.builder, self.target
        builder.check_running()
        override = builder.options.python
        if override is not None and override != chosen.source:
            config = target.config.python.model_copy(update={"source": override})
            chosen = choose(config, target.environment.python_version, target.platform)
        prepared = self._prepare_with(chosen, None)
        if prepared is None and chosen.url is not None and chosen.sha256 is not None:
            download = Download(chosen.url, chosen.sha256, None, root_file_name(chosen.url))
            prepared = self._prepare_with(chosen, builder.fetcher.fetch(download))
        assert prepared is not None
        for warning in prepared.warnings:
            builder.warn(f"{target}: {warning}")
        return prepared

    def _prepare_with(self, chosen: LockedInterpreter, archive: Path | None) -> PreparedInterpreter | None:
        floors = self.target.config.floors
        return self._work(
            "interpreter", _prepare_interpreter, chosen, self.target.platform, archive,
            cache_root=self.builder.cache.root, floors=Floors(floors.glibc, floors.macos),
            allow_other_patch=self.builder.options.python == "local",
            python_version=self.target.environment.python_version,
        )  # fmt: skip

    def _work(self, name: str, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Let a worker do a step; its seconds are the worker's, without the time in the queue."""
        self.builder.reporter.step(self.target, name)
        result, seconds = self.workers.run(function, *args, **kwargs)
        self._took(name, seconds)
        return result

    def _took(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        log.info("%s: %s took %.2f s", self.target, name, self.seconds[name])


class _Wanted(Exception):
    """The interpreter is not prepared yet, and its archive is needed for that."""


def _prepare_interpreter(
    chosen: LockedInterpreter, platform: Platform, archive: Path | None, **options: Any
) -> PreparedInterpreter | None:
    """Runs in a worker, which downloads nothing; None means that the archive is needed."""
    from pyrunenv.interpreters import prepare

    def fetch(*_: str) -> Path:
        if archive is None:
            raise _Wanted
        return archive

    try:
        return prepare(chosen, platform, fetch=fetch, **options)
    except _Wanted:
        return None
