"""What an environment holds, or held when its version was published, as far as it makes archives and descriptors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pyrunenv.errors import AssembleError, SourceError
from pyrunenv.files import digest_of
from pyrunenv.lock.difference import Held, held
from pyrunenv.lock.run import Target

if TYPE_CHECKING:
    from pyrunenv.config.package import CataloguePackage
    from pyrunenv.config.workspace import Environment, Workspace
    from pyrunenv.lock.model import Lock

Roots = Mapping[str, tuple[str, ...]]
"""Root → its locked versions, on one platform; what is skipped or missing there is not among them."""
Entries = Mapping[str, tuple[str, str]]
"""Public name → the npm package that it refers to, and that package's version."""


@dataclass(frozen=True)
class Base:
    """One version of an environment. Its platforms are those of ``held``; all maps go by platform.

    ``facts`` are what else makes the bundle or its descriptors, name → text, and ``files`` the digest of what is copied
    (:func:`pyrunenv.bundle.copyfiles.digest`). A fact, or a platform's files, that is not known is left out: only what
    both sides know is compared.
    """

    version: str
    where: str
    """What tells it, for people: ``commit 1a2b3c4d``."""
    held: Mapping[str, Held]
    roots: Mapping[str, Roots]
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CatalogueBase:
    """One version of the catalogue."""

    version: str
    entries: Entries


class Bases(Protocol):
    """Where published versions can be looked up. None: nothing is known to be published."""

    def environment(self, environment: Environment) -> Base | None:
        """Return the last published version of an environment."""
        ...

    def catalogue(self, workspace: Workspace) -> CatalogueBase | None:
        """Return the last published version of a workspace's catalogue."""
        ...


def snapshot(environment: Environment, where: str = "the workspace", *, lenient: bool = False) -> Base:
    """Return what an environment's folder holds; a platform without a lock is left out.

    Files to be copied that are not there are an AssembleError; with ``lenient`` the platform's files are not known.
    """
    locks = {}
    for platform in environment.platforms():
        target = Target(environment, platform)
        lock = target.read_lock()
        if lock is not None:
            locks[platform.key] = target, lock
    files = {key: _files(target, lenient) for key, (target, _) in locks.items()}
    return Base(
        environment.package.version,
        where,
        {key: held(lock) for key, (_, lock) in locks.items()},
        {key: roots_of(lock) for key, (_, lock) in locks.items()},
        {key: dict(_facts(target, lock)) for key, (target, lock) in locks.items()},
        {key: digest for key, digest in files.items() if digest is not None},
    )


def roots_of(lock: Lock) -> Roots:
    """Return the roots of a lock, each with the versions that its groups hold."""
    found: dict[str, set[str]] = {}
    for root in lock.roots:
        versions = {p.version for p in lock.packages if p.name == root.name and set(p.groups) & set(root.groups)}
        found.setdefault(root.name, set()).update(versions)
    return {name: tuple(sorted(versions)) for name, versions in found.items()}


def entries_of(catalogue: CataloguePackage, versions: Mapping[str, str]) -> Entries:
    """Return a catalogue's entries. ``versions`` are the packages' own, which a range of pnpm's workspaces stands for."""
    found = {}
    for public, reference in catalogue.entrypoints.items():
        name = reference.partition("/dist/")[0]
        given = catalogue.dependencies.get(name, "")
        found[public] = name, versions.get(name, "") if given.startswith("workspace:") else given
    return found


def _files(target: Target, lenient: bool) -> str | None:
    from pyrunenv.bundle import copyfiles
    from pyrunenv.steps import copies_of

    try:
        return copyfiles.digest(copies_of(target))
    except AssembleError:
        if not lenient:
            raise
        return None


def _facts(target: Target, lock: Lock) -> Iterator[tuple[str, str]]:
    package, interpreter = target.environment.package, lock.interpreter
    yield "Python", interpreter.version
    if interpreter.source == "local" or interpreter.build or interpreter.sha256:
        # a build's date stands for its archives, which are others on each platform
        which = interpreter.build or (interpreter.sha256 or "")[:12]
        yield "the interpreter's build", f"{interpreter.source} {which}".strip()
    floor = {"linux": f"glibc {lock.floors.glibc}", "macosx": f"macOS {lock.floors.macos}"}
    yield "the floor", floor.get(target.platform.system, "none")
    yield "the npm name", package.name
    yield "envVars", " ".join(package.env_vars) or "none"
    yield "binDir", package.bin_dir
    yield "the registry", " at ".join(filter(None, (package.registry.name, package.registry.download_url)))
    yield "the archive's type", package.archive_type
    for locked in lock.to_build:
        try:
            yield f"how {locked.name} is built", _how_built(target, lock, locked.name)
        except SourceError:
            continue


def _how_built(target: Target, lock: Lock, name: str) -> str:
    """A digest of how a package is built from source: of its settings and tools."""
    from pyrunenv.lock.sources import settings_of

    folder = target.environment.folder
    settings = settings_of(target.config.build_wheel.get(name), folder).digest(folder)
    builds = [package.build for package in lock.to_build if package.name == name and package.build]
    tools = [[b.compiler, sorted(w.sha256 for w in (*b.requires, *b.headers))] for b in builds]
    return digest_of([settings, tools])[:12]
