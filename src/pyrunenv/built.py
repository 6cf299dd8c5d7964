"""Builds what a lock has no wheel of: the step between the downloads and the bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pyrunenv.errors import BuildFailed, PyrunenvError
from pyrunenv.lock.model import Lock, LockedPackage, LockedWheel
from pyrunenv.platforms import marker_environment

if TYPE_CHECKING:
    from pyrunenv.lock.run import Target
    from pyrunenv.wheels.headers import Headers
    from pyrunenv.wheels.workshop import BuiltWheel, Order, Workshop


def built_lock(lock: Lock, target: Target, workshop: Workshop, headers: Headers, threads: Executor) -> Lock:
    """Return the lock with a wheel for each package, those without one built now, as many at a time as threads allow.

    Raises one BuildFailed for all that cannot be built; each has its own log.
    """
    futures: dict[LockedPackage, Future[BuiltWheel]] = {
        package: threads.submit(workshop.build, order_of(package, target), package.build, headers)
        for package in lock.to_build
        if package.build is not None
    }
    failures: list[PyrunenvError] = []
    found: dict[LockedPackage, LockedWheel] = {}
    for package, future in futures.items():
        try:
            made = future.result()
            check_requirements(made, package, lock)
            found[package] = LockedWheel(made.filename, made.path.as_uri(), made.sha256, made.size)
        except PyrunenvError as error:
            failures.append(error)
    if failures:
        raise _together(failures, target)
    packages = tuple(replace(p, wheel=found[p]) if p in found else p for p in lock.packages)
    return replace(lock, packages=packages)


def order_of(package: LockedPackage, target: Target) -> Order:
    """What the workshop is asked for to build a locked package."""
    from pyrunenv.lock.model import Floors
    from pyrunenv.lock.sources import settings_of
    from pyrunenv.wheels.workshop import Order

    environment, config = target.environment, target.config
    assert package.source is not None
    settings = settings_of(config.build_wheel.get(package.name), environment.folder)
    return Order(
        package.name, package.version, package.source, target.platform, environment.python_version,
        Floors(config.floors.glibc, config.floors.macos), environment.folder, settings,
    )  # fmt: skip


def check_requirements(made: BuiltWheel, package: LockedPackage, lock: Lock) -> None:
    """Refuse a wheel that needs what the lock does not know of: its metadata came out otherwise than it was locked."""
    held = {name for name, _ in package.dependencies}
    lacking = sorted(set(_needs(made, lock)) - held - lock.skipped.keys() - {package.name})
    bare = any(root.name == package.name and root.no_deps for root in lock.roots)
    if lacking and not bare:
        raise BuildFailed(
            f"the wheel of {package.name} {package.version} that was built needs {', '.join(f'`{n}`' for n in lacking)}, "
            "which its metadata did not say when it was locked",
            hint="its build decides by what it finds: pin its build requirements (`buildWheel`), or patch it",
        )


def _needs(made: BuiltWheel, lock: Lock) -> Iterator[str]:
    from pyrunenv.platforms import PLATFORMS
    from pyrunenv.wheels.metadata import read_metadata

    environment = {**marker_environment(PLATFORMS[lock.platform], lock.python_version), "extra": ""}
    fields = read_metadata(made.path)
    for text in fields.get_all("Requires-Dist", ()):
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            yield canonicalize_name(requirement.name)


def _together(failures: Sequence[PyrunenvError], target: Target) -> PyrunenvError:
    if len(failures) == 1:
        return failures[0]
    notes = [line for error in failures for line in (f"{error.message}:", *error.notes)]
    return BuildFailed(
        f"{len(failures)} wheels cannot be built for {target.platform}", notes=notes, hint=failures[0].hint
    )
