"""A run that publishes: all archives of an environment, then its release, and at the very end the catalogue.

Whatever ends it in between, the catalogue that clients see is the old one and whole; running again does what is missing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyrunenv.errors import PublishError, PyrunenvError, StorageError
from pyrunenv.presence import present
from pyrunenv.publish.announce import Told, Waiting, announce_catalogue, announce_release, compose_catalogue
from pyrunenv.publish.sending import Outcome, Sender, Sent
from pyrunenv.publish.storage import Stopped
from pyrunenv.publish.stores import open_storage

if TYPE_CHECKING:
    from pyrunenv.config.package import Package, PackageRegistry
    from pyrunenv.config.workspace import Environment, Workspace
    from pyrunenv.publish.papers import Papers
    from pyrunenv.publish.parcel import Parcel
    from pyrunenv.publish.release import Release
    from pyrunenv.publish.storage import Storage

log = logging.getLogger(__name__)

_AT_A_TIME = 2  # archives on their way; each has several parts in memory
_THREADS = 8  # others meanwhile look at what is there


@dataclass
class PublishReport:
    """What a run came to. ``waiting`` says what the releases and the catalogue wait for."""

    sent: list[Sent] = field(default_factory=list)
    would: list[tuple[Parcel, Outcome]] = field(default_factory=list)
    releases: list[tuple[Release, Told]] = field(default_factory=list)
    catalogue: Told | None = None
    failures: list[tuple[str, PyrunenvError]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


class Storages:
    """The storage of each registry. ``given`` stands for all of them."""

    def __init__(self, given: str | None = None) -> None:
        self._given = given
        self._open: dict[str, Storage] = {}

    def of(self, registry: PackageRegistry) -> Storage:
        """Return a registry's storage, raises PublishError where nothing tells it."""
        url = self._given or registry.storage()
        if not url:
            raise PublishError(
                f"the storage of the registry `{registry.name}` is not known",
                hint=f"give --storage-url, set {registry.storage_variable}, or write `storageURL` into package.json",
            )
        if url not in self._open:
            self._open[url] = open_storage(url)
        return self._open[url]


@dataclass
class Publisher:
    """Publishes parcels. One object serves one run; its options are those of :class:`~.sending.Sender`."""

    storages: Storages
    papers: Papers
    force: bool = False
    verify: bool = False
    shared: bool = False
    on_bytes: Callable[[int], None] = lambda _: None

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._slots = threading.Semaphore(_AT_A_TIME)

    def look(self, parcels: Sequence[Parcel]) -> PublishReport:
        """Say what publishing would do, and change nothing."""
        report = PublishReport()
        for parcel in parcels:
            try:
                report.would.append((parcel, self._sender(parcel).look(parcel)))
            except PyrunenvError as error:
                report.failures.append((str(parcel.target), error))
        return report

    def run(
        self, workspace: Workspace, environments: Sequence[Environment], parcels: Sequence[Parcel]
    ) -> PublishReport:
        """Publish all parcels, and what they complete. One that fails does not stop the others."""
        # nobody removes meanwhile what builds left there
        with present(environment.folder for environment in environments):
            return self._run(workspace, environments, parcels)

    def _run(
        self, workspace: Workspace, environments: Sequence[Environment], parcels: Sequence[Parcel]
    ) -> PublishReport:
        report = PublishReport()
        # a storage that does not answer, or lets nobody in, is told once and not for each archive
        first = {id(s): (s, p) for p in parcels for s in [self.storages.of(p.package.registry)]}
        for storage, parcel in first.values():
            storage.size(parcel.address)
        with ThreadPoolExecutor(_THREADS, "publish") as threads:
            try:
                reserved = self._reserve(threads, parcels, report)
                if any(outcome != "there already" for outcome in reserved.values()):
                    for storage, _ in first.values():
                        _sweep(storage)
                futures = {threads.submit(self._send, parcel, outcome): parcel for parcel, outcome in reserved.items()}
                self._gather(futures, report)
            except BaseException:
                self._stopped.set()
                threads.shutdown(wait=True, cancel_futures=True)
                raise
        released = self._releases(environments, report)
        if not report.failures:
            self._catalogue(workspace, released, report)
        return report

    def _reserve(
        self, threads: ThreadPoolExecutor, parcels: Sequence[Parcel], report: PublishReport
    ) -> dict[Parcel, Outcome]:
        groups: dict[str, list[Parcel]] = {}
        for parcel in parcels:
            groups.setdefault(parcel.target.environment.full_version, []).append(parcel)
        futures = {name: threads.submit(self._sender(group[0]).reserve, group) for name, group in groups.items()}
        reserved: dict[Parcel, Outcome] = {}
        for name, future in futures.items():
            try:
                reserved.update(future.result())
            except PyrunenvError as error:
                report.failures.append((name, error))
        return reserved

    def _send(self, parcel: Parcel, outcome: Outcome) -> Sent:
        self._count(0)
        return self._sender(parcel).send(parcel, outcome)

    def _sender(self, parcel: Parcel) -> Sender:
        storage = self.storages.of(parcel.package.registry)
        return Sender(storage, self.papers, self._slots, self.force, self.verify, self.shared, self._count)

    def _count(self, number: int) -> None:
        if self._stopped.is_set():
            raise Stopped
        self.on_bytes(number)

    def _gather(self, futures: Mapping[Future[Sent], Parcel], report: PublishReport) -> None:
        for future in as_completed(futures):
            try:
                report.sent.append(future.result())
            except PyrunenvError as error:
                report.failures.append((str(futures[future].target), error))

    def _releases(self, environments: Sequence[Environment], report: PublishReport) -> dict[str, Release]:
        failed = {name.partition(" on ")[0] for name, _ in report.failures}
        released: dict[str, Release] = {}
        for environment in environments:
            package = environment.package
            sent = {s.parcel.target.platform.key: s.published for s in report.sent if s.parcel.package == package}
            if environment.full_version in failed:
                continue
            try:
                storage = self.storages.of(package.registry)
                release, told = announce_release(storage, environment, sent, force=self.force)
            except Waiting as waiting:
                report.waiting += waiting.reasons
            except PyrunenvError as error:
                report.failures.append((environment.full_version, error))
            else:
                released[package.name] = release
                report.releases.append((release, told))
        return released

    def _catalogue(self, workspace: Workspace, released: Mapping[str, Release], report: PublishReport) -> None:
        package = workspace.catalogue_package
        if package is None or report.waiting:
            return
        packages = [environment.package for environment in workspace.environments]
        try:
            storage = self._one_storage(packages)
            catalogue = compose_catalogue(storage, package, packages, released)
            report.catalogue = announce_catalogue(storage, catalogue, force=self.force, seal=self.papers.seal_catalogue)
        except Waiting as waiting:
            report.waiting += waiting.reasons
        except PyrunenvError as error:
            report.failures.append((f"the catalogue {package.name}", error))

    def _one_storage(self, packages: Sequence[Package]) -> Storage:
        found = {id(s): s for package in packages for s in [self.storages.of(package.registry)]}
        if len(found) > 1:
            places = ", ".join(sorted(storage.shown for storage in found.values()))
            raise PublishError(f"its environments are in several storages: {places}", hint="give one --storage-url")
        return next(iter(found.values()))


def _sweep(storage: Storage) -> None:
    try:
        if count := storage.sweep():
            log.info("%d temporary objects of earlier runs were removed from %s", count, storage.shown)
    except StorageError as error:  # who may write may not be allowed to list or remove
        log.info("%s: %s", error.message, "; ".join(error.notes))
