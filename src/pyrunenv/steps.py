"""The steps of one target: its interpreter, its wheels, the bundle, the archive, the descriptors."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from pyrunenv.errors import DigestMismatch, FetchError, UsageError
from pyrunenv.lock.model import Floors
from pyrunenv.lock.run import LockedTarget, Target
from pyrunenv.logs import of_target
from pyrunenv.stamp import RECIPE, Finished, Stamp, Wanted
from pyrunenv.workers import Workers

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunenv.bundle.copyfiles import PlannedCopy
    from pyrunenv.bundle.listing import Listing
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.interpreters.prepare import PreparedInterpreter
    from pyrunenv.lock.model import Lock, LockedInterpreter
    from pyrunenv.platforms import Platform

log = logging.getLogger(__name__)

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


class Reporter(Protocol):
    """Hears what a run does; called from several threads."""

    def step(self, target: Target, name: str) -> None: ...

    def downloading(self, target: Target, total: int) -> None: ...

    def built(self, result: Built) -> None: ...

    def warn(self, text: str) -> None: ...


class Stopped(Exception):
    """An earlier failure ended the run before this step was begun."""


@dataclass
class Run:
    """What the targets of one run share."""

    cache: Cache
    fetcher: Fetcher
    options: BuildOptions
    reporter: Reporter

    def __post_init__(self) -> None:
        self.mtime = archive_time()
        self._stopped = threading.Event()
        self.builders = ThreadPoolExecutor(self.options.jobs or os.cpu_count() or 1, "wheels")
        self._warned: set[str] = set()

    def stop(self) -> None:
        """Begin no further step."""
        self._stopped.set()

    def check_running(self) -> None:
        """Raise Stopped where an earlier failure ended the run."""
        if self._stopped.is_set():
            raise Stopped

    def warn(self, text: str) -> None:
        """Pass on a warning, once."""
        if text not in self._warned:
            self._warned.add(text)
            self.reporter.warn(text)

    def wanted(self, target: Target) -> Wanted:
        """The digests of all that a target is made from now."""
        return Wanted.of(target, copies_of(target), self.options.python, self.mtime)


def copies_of(target: Target) -> tuple[PlannedCopy, ...]:
    """Plan a target's copied files; raises AssembleError with all that is wrong with them."""
    from pyrunenv.bundle import copyfiles

    files, environment = target.config.copy_files, target.environment
    if not files:
        return ()
    return copyfiles.plan(files, environment.folder, target.platform, environment.python_version)


def describe(target: Target) -> None:
    """Write a target's descriptors; what has the right content is left alone."""
    from pyrunenv.publish import descriptors

    environment = target.environment
    descriptors.write(environment.folder, environment.package, [target.platform], environment.python_version)


def built(target: Target, found: Finished, seconds: dict[str, float] | None = None) -> Built:
    """Describe a finished target; without ``seconds`` it is one that was there already."""
    archive = target.environment.folder / found.archive
    return Built(
        target, archive, found.archive_size, found.bundle_size, seconds is None, found.publishable, seconds or {}
    )


@dataclass
class TargetBuild:
    """The steps of one target, each begun as soon as what it needs is there."""

    run: Run
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
        self._downloaded = self.threads.submit(self._download)
        self._complete = self.threads.submit(self._build_wheels)
        self.assembled = self.threads.submit(self._assemble)

    @of_target
    def pack(self, jobs: int) -> Built:
        """Pack the assembled bundle with ``jobs`` threads, and describe it."""
        from pyrunenv.bundle import copyfiles, manifest
        from pyrunenv.bundle.pack import pack
        from pyrunenv.publish import descriptors

        run, environment = self.run, self.target.environment
        run.check_running()
        assert self.listing is not None
        archive = self.folder / descriptors.archive_name(environment.package, self.target.platform)
        interpreter = self._prepared.result()
        packed = self._work("pack", pack, self.bundle, archive, mtime=run.mtime, jobs=jobs)
        manifest.write(
            self.folder, self._complete.result(), environment.package, interpreter=interpreter,
            copies_digest=copyfiles.digest(self.copies), packed=packed, recipe=RECIPE,
        )  # fmt: skip
        describe(self.target)
        stamp = Stamp.of(self.wanted, self.listing, archive, publishable=interpreter.publishable)
        stamp.write(self.folder, self.target.platform.key)
        return built(self.target, stamp.finished, self.seconds)

    @of_target
    def _assemble(self) -> None:
        from pyrunenv.bundle.assemble import building_place, finish, unpack

        run = self.run
        run.check_running()
        self.copies = copies_of(self.target)
        self.wanted = run.wanted(self.target)
        with building_place(self.bundle) as building:
            if self._prepared.exception() is None:
                self._work("assemble", unpack, building, self._prepared.result(), self.copies)
            self._wait_for_wheels()
            self._prepared.result()
            run.check_running()
            wheels = [(wheel.filename, wheel.sha256) for wheel in self._complete.result().wheels]
            self.listing = self._work("assemble", finish, building, self.bundle, wheels, run.cache)

    def _wait_for_wheels(self) -> None:
        try:
            self._downloaded.result()
        except FetchError as error:
            # what else is missing is said in the same breath
            if isinstance(other := self._prepared.exception(), FetchError):
                error.notes = (*error.notes, f"and: {other.message}", *other.notes)
            raise

    @of_target
    def _build_wheels(self) -> Lock:
        """Build what has no wheel, with the interpreter's own headers; returns the lock with all wheels."""
        lock, target, run = self.locked.lock, self.target, self.run
        if not lock.to_build:
            return lock
        from pyrunenv.built import built_lock
        from pyrunenv.wheels.headers import headers_of
        from pyrunenv.wheels.interpreters import workshop

        prepared = self._prepared.result()
        run.check_running()
        run.reporter.step(target, "wheels")
        started = time.monotonic()
        version = target.environment.python_version
        headers = headers_of(prepared, target.platform, version, run.cache)
        shop = workshop(target.config, version, run.cache, run.fetcher)
        complete = built_lock(lock, target, shop, headers, run.builders)
        self._took("wheels", time.monotonic() - started)
        return complete

    @of_target
    def _download(self) -> None:
        from pyrunenv.fetch.download import Download

        self.run.check_running()
        wheels = self.locked.lock.wheels
        self.run.reporter.downloading(self.target, sum(wheel.size or 0 for wheel in wheels))
        self.run.reporter.step(self.target, "fetch")
        started = time.monotonic()
        self.run.fetcher.fetch_all([Download(w.url, w.sha256, w.size, w.filename) for w in wheels])
        self._took("fetch", time.monotonic() - started)

    @of_target
    def _prepare(self, chosen: LockedInterpreter) -> PreparedInterpreter:
        from pyrunenv.fetch.download import Download
        from pyrunenv.interpreters.choose import choose
        from pyrunenv.lock.resolver import root_file_name

        run, target = self.run, self.target
        run.check_running()
        override = run.options.python
        if override is not None and override != chosen.source:
            config = target.config.python.model_copy(update={"source": override})
            chosen = choose(config, target.environment.python_version, target.platform)
        prepared = self._prepare_with(chosen, None)
        if prepared is None and chosen.url is not None and chosen.sha256 is not None:
            download = Download(chosen.url, chosen.sha256, None, root_file_name(chosen.url))
            try:
                archive = run.fetcher.fetch(download)
            except FetchError as error:
                error.hint = _hint(error, chosen, target.platform)
                raise
            prepared = self._prepare_with(chosen, archive)
        assert prepared is not None
        for warning in prepared.warnings:
            run.warn(f"{target}: {warning}")
        return prepared

    def _prepare_with(self, chosen: LockedInterpreter, archive: Path | None) -> PreparedInterpreter | None:
        floors = self.target.config.floors
        return self._work(
            "interpreter", _prepare_interpreter, chosen, self.target.platform, archive,
            cache_root=self.run.cache.root, floors=Floors(floors.glibc, floors.macos),
            allow_other_patch=self.run.options.python == "local",
            python_version=self.target.environment.python_version,
        )  # fmt: skip

    def _work(self, name: str, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Let a worker do a step; its seconds are the worker's, without the time in the queue."""
        self.run.reporter.step(self.target, name)
        result, seconds = self.workers.run(function, *args, **kwargs)
        self._took(name, seconds)
        return result

    def _took(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        log.info("%s: %s took %.2f s", self.target, name, self.seconds[name])


def load_steps() -> None:
    """Import what workers need for their first steps."""
    import pyrunenv.bundle.assemble
    import pyrunenv.interpreters.finish
    import pyrunenv.interpreters.floors
    import pyrunenv.interpreters.prepare
    import pyrunenv.trees  # noqa: F401


def _hint(error: FetchError, chosen: LockedInterpreter, platform: Platform) -> str | None:
    """What to do where an interpreter's archive cannot be had."""
    if chosen.source == "archive" and isinstance(error, DigestMismatch):
        return f"correct python.archives.{platform}.sha256, or what its URL serves, and lock again"
    if chosen.source == "standalone" and error.hint is None:
        return "set python.mirror to a place that this machine reaches, or use python.source `archive` or `local`"
    return error.hint


class _Wanted(Exception):
    """The interpreter is not prepared yet, and its archive is needed for that."""


def _prepare_interpreter(
    chosen: LockedInterpreter, platform: Platform, archive: Path | None, **options: Any
) -> PreparedInterpreter | None:
    """Runs in a worker, which downloads nothing; None means that the archive is needed."""
    from pyrunenv.interpreters.prepare import prepare

    def fetch(*_: str) -> Path:
        if archive is None:
            raise _Wanted
        return archive

    try:
        return prepare(chosen, platform, fetch=fetch, **options)
    except _Wanted:
        return None
