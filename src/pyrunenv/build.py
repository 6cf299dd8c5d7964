"""The whole run over targets, from lock to archive.

A run first looks for what is already there and locks what is not. Interpreters are made portable and pinned roots are
downloaded meanwhile; each target downloads its other wheels and is put together as soon as it has its lock, and is packed
when no bundle waits any more.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyrunenv import logs
from pyrunenv.errors import PyrunenvError
from pyrunenv.lock.run import LockRun, Target
from pyrunenv.presence import present
from pyrunenv.stamp import Finished, look
from pyrunenv.steps import BuildOptions, Built, Reporter, Run, Stopped, TargetBuild, built, describe, load_steps
from pyrunenv.workers import Workers

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.lock.missing import Missing

log = logging.getLogger(__name__)

# Targets that are worked on at a time: each has four threads, which wait.
_IN_FLIGHT = 16
# From so many targets on, looking at what is there is worth the start of worker processes.
_MANY = 40


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


@dataclass
class Builder:
    """Builds targets. One object serves one run."""

    cache: Cache
    fetcher: Fetcher
    options: BuildOptions
    reporter: Reporter

    def __post_init__(self) -> None:
        self._run = Run(self.cache, self.fetcher, self.options, self.reporter)

    @property
    def jobs(self) -> int:
        return self.options.jobs or os.cpu_count() or 1

    def run(self, targets: Sequence[Target]) -> BuildReport:
        """Build what is not up to date. A target that fails does not stop the others, unless ``fail_fast``."""
        # from first to last, and not bundle by bundle: what is assembled waits for others before it is packed
        with present(target.environment.folder for target in targets):
            return self._run_all(targets)

    def _run_all(self, targets: Sequence[Target]) -> BuildReport:
        report = BuildReport()
        pending = []
        for target, found in self._look(targets, report):
            if isinstance(found, Finished) and not self.options.force:
                describe(target)
                self._finished(built(target, found), report)
            else:
                pending.append((target, found if isinstance(found, str) else "that is asked for"))
        targets = [target for target, _ in pending]
        if self.options.fail_fast and report.failures:
            report.not_started += targets
        elif pending:
            with logs.written(targets):
                for target, reason in pending:
                    with logs.about(target):
                        log.info("%s is built: %s", target, reason)
                self._build_all(targets, report)
        return report

    def _look(self, targets: Sequence[Target], report: BuildReport) -> list[tuple[Target, Finished | str]]:
        """Find what is there of each target; many are looked at by several processes."""
        questions = []
        for target in targets:
            try:
                questions.append((target, target.environment.folder, target.platform.key, self._run.wanted(target)))
            except PyrunenvError as error:
                report.failures.append((target, error))
        if len(questions) < _MANY:
            answers = [look(*question[1:]) for question in questions]
        else:
            with Workers(self.jobs) as workers:
                answers = workers.map(look, [question[1:] for question in questions])
        return [(question[0], answer) for question, answer in zip(questions, answers, strict=True)]

    def _build_all(self, targets: Sequence[Target], report: BuildReport) -> None:
        from pyrunenv.fetch.credentials import learn

        for target in targets:
            learn(target.config)
        # The workers first: they are made before there are threads. Each target then has one thread that waits for
        # its interpreter, one for its downloads, one for what is built from source, and one for all of them.
        with (
            Workers(min(self.jobs, len(targets)), load_steps) as workers,
            ThreadPoolExecutor(4 * min(len(targets), _IN_FLIGHT), "target") as threads,
        ):
            builds = {target: TargetBuild(self._run, target, workers, threads) for target in targets}
            try:
                self._lock_all(builds, report)
                self._drain({build.assembled: target for target, build in builds.items() if build.assembled}, report)
                ready = {target: build for target, build in builds.items() if build.listing}
                # at least two threads each, even where there are many archives: the last ones have the machine for themselves
                pack_jobs = max(min(2, self.jobs), self.jobs // len(ready)) if ready else 1
                self._drain({threads.submit(build.pack, pack_jobs): target for target, build in ready.items()}, report)
            except BaseException:
                self._run.stop()
                self.fetcher.stop()
                for pool in (threads, self._run.builders):
                    pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _lock_all(self, builds: Mapping[Target, TargetBuild], report: BuildReport) -> None:
        """Lock all targets; each is prepared meanwhile, and goes on as soon as it has its lock."""
        from pyrunenv.lock.ahead import Ahead

        # The resolver waits for the network more than it works: several at once cost little.
        jobs = self.options.jobs or max(5, os.cpu_count() or 1)
        ahead = Ahead(self.fetcher)
        run = LockRun(
            self.cache, self.fetcher, jobs, self.options.locked,
            on_chosen=lambda target, interpreter: builds[target].prepare(interpreter),
            on_resolving=ahead.begin,
            on_locked=lambda locked: builds[locked.target].go_on(locked),
        )  # fmt: skip
        try:
            locks = run.lock_all(tuple(builds))
        finally:
            ahead.stop()
        for warning in locks.warnings:
            self._run.warn(warning)
        report.missing += locks.missing
        report.failures += locks.failures
        if self.options.fail_fast and not locks.ok:
            self._run.stop()

    def _drain(self, futures: Mapping[Future[Any], Target], report: BuildReport) -> None:
        """Wait for a step of all targets, and sort each into the report."""
        for future in as_completed(futures):
            target = futures[future]
            try:
                result = future.result()
            except Stopped:
                report.not_started.append(target)
            except PyrunenvError as error:
                report.failures.append((target, error))
                with logs.about(target):
                    log.info("error[%s]: %s\n%s", error.code, error.message, "\n".join(error.notes))
                if self.options.fail_fast:
                    self._run.stop()
            else:
                if result is not None:
                    self._finished(result, report)

    def _finished(self, result: Built, report: BuildReport) -> None:
        report.built.append(result)
        self.reporter.built(result)
