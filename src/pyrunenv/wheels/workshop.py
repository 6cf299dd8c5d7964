"""Builds wheels from source for any target: plans what a build needs, computes metadata, builds, checks, keeps the result.

Locking asks for :meth:`Workshop.plan` and :meth:`Workshop.metadata`, building for :meth:`Workshop.build`. What is built is
kept in the cache under a digest of all that went into it, so that every environment of the machine shares it.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from pyrunenv import platforms
from pyrunenv.errors import BuildFailed, ProcessFailed, SourceError
from pyrunenv.files import digest_of, sha256_file, write_atomic, write_json
from pyrunenv.lock.model import Floors, LockedBuild, LockedSource, LockedWheel
from pyrunenv.platforms import Platform
from pyrunenv.wheels.environment import BuildPython, build_environment, find_build_python
from pyrunenv.wheels.headers import Headers
from pyrunenv.wheels.hooks import Hooks
from pyrunenv.wheels.source import BuildSystem, read_build_system, static_metadata
from pyrunenv.wheels.target import BuildTarget
from pyrunenv.wheels.toolchain import Toolchain, find_zig
from pyrunenv.wheels.trees import source_tree

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher

log = logging.getLogger(__name__)

RECIPE = 2
"""Raised whenever the same inputs make another wheel, or other metadata."""
_BROUGHT = {
    "mesonpy": ("ninja",),
    "scikit_build_core.build": ("cmake", "ninja"),
    "scikit_build_core.setuptools.build_meta": ("cmake", "ninja"),
}
"""What backends look for on the machine first, and ask for only where it is not there: a lock must not depend on that."""

_OF_EVERY_MACHINE = ("/usr", "/usr/local")
"""Prefixes of Pythons that name no machine, and stand in what is built for macOS and in scripts."""

Resolve = Callable[[Sequence[str], Mapping[str, str]], "tuple[LockedWheel, ...]"]
"""Resolves requirements for the machine that builds, near to some versions; raises BuildFailed."""
Counterparts = Callable[[Sequence[LockedWheel]], "tuple[LockedWheel, ...]"]
"""Returns the target's own wheels of the same versions, of those that have any."""


@dataclass(frozen=True)
class BuildSettings:
    """What `buildWheel` says of one package on one platform; paths are absolute."""

    requires: tuple[str, ...] = ()
    config_settings: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    patches: tuple[Path, ...] = ()

    def digest(self, base: Path) -> str:
        """A digest of it all; ``base``, the environment's folder, is not part of it."""
        patches = [sha256_file(path) for path in self.patches]
        plain = json.dumps([self.requires, dict(self.config_settings), dict(self.env)], default=list)
        return digest_of([plain.replace(json.dumps(str(base))[1:-1], "{packageRoot}"), patches])


@dataclass(frozen=True)
class Order:
    """One package to be built for one target; ``base`` is the environment's folder."""

    name: str
    version: str
    source: LockedSource
    platform: Platform
    python_version: str
    floors: Floors
    base: Path = Path()
    settings: BuildSettings = BuildSettings()

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name

    @property
    def key(self) -> str:
        """What tells one order from others, apart from what is built with."""
        source, settings = self.source, self.settings.digest(self.base)
        floor = {"linux": self.floors.glibc, "macosx": self.floors.macos}.get(self.platform.system)
        return digest_of([RECIPE, self.name, source.kind, source.identity, settings, self.platform.key,
                          self.python_version, floor])  # fmt: skip


@dataclass(frozen=True)
class BuiltWheel:
    """A wheel that was built: its blob in the cache, and what it is called. ``size`` is in bytes."""

    path: Path
    filename: str
    sha256: str
    size: int
    seconds: float = 0.0
    """0 where it was in the cache."""


@dataclass
class Workshop:
    """Builds for one environment's Python. ``own_python`` gives the bundle's own for this machine, as a last resort."""

    cache: Cache
    fetcher: Fetcher
    python_version: str
    own_python: Callable[[], Path]

    def plan(self, order: Order, resolve: Resolve, counterparts: Counterparts, kept: Mapping[str, str]) -> LockedBuild:
        """Find out what a build needs: what the tree and the config ask for, then what the backend asks for."""
        log.info("%s: finding out what its build for %s needs", order.title, order.platform)
        with self._tree(order) as tree:
            system = read_build_system(tree)
            wanted = [*system.requires, *_BROUGHT.get(system.backend, ()), *order.settings.requires]
            first = resolve(wanted, kept)
            self._check_rust(order, first)
            more = self._asked_beside(order, tree, system, first)
            requires = resolve([*wanted, *more], {**kept, **_versions(first)}) if _beyond(more, first) else first
        zig = find_zig()
        headers = counterparts(self._with_headers(requires))
        return LockedBuild(platforms.host().key, requires, headers, zig and zig[1])

    def _asked_beside(
        self, order: Order, tree: Path, system: BuildSystem, requires: Sequence[LockedWheel]
    ) -> list[str]:
        """What the backend asks for beside; kept, since some translate all their Cython before they tell."""
        base = [platforms.host().key, sorted(wheel.sha256 for wheel in requires)]
        path = self.cache.build / "requires" / f"{digest_of([order.key, base])[:32]}.json"
        if order.source.kind != "folder" and path.exists():
            with suppress(OSError, ValueError):
                return [str(item) for item in json.loads(path.read_bytes())]
        with self._hooks(order, tree, system, requires, None, ()) as hooks:
            more = hooks.requires()
        write_json(path, more)
        return more

    def metadata(self, order: Order, build: Callable[[], LockedBuild], headers: Callable[[], Headers]) -> bytes:
        """Return the core metadata that the wheel will have: the sdist's own where that holds, else the backend's."""
        path = self.cache.build / "metadata" / f"{order.key}.txt"
        if order.source.kind != "folder" and path.exists():
            return path.read_bytes()
        with self._tree(order) as tree:
            edited = bool(order.settings.patches) or order.source.kind == "folder"
            content = static_metadata(tree, edited=edited)
        if content is None:
            plan = build()
            try:
                content = self._computed(order, plan, None)
            except BuildFailed:
                # Few backends compile to tell what a wheel will need; only for those the interpreter is worth its download.
                content = self._computed(order, plan, headers())
        write_atomic(path, content)
        return content

    def _computed(self, order: Order, plan: LockedBuild, headers: Headers | None) -> bytes:
        with (
            self._tree(order) as tree,
            self._hooks(order, tree, read_build_system(tree), plan.requires, headers, plan.headers) as hooks,
        ):
            return hooks.metadata(hooks.toolchain.folder / "metadata")

    def _tree(self, order: Order) -> AbstractContextManager[Path]:
        return source_tree(order.source, order.settings.patches, order.base, self.cache, self.fetcher)

    def build(self, order: Order, build: LockedBuild, headers: Headers) -> BuiltWheel:
        """Return the wheel, built now where the cache does not have it. Safe for several processes.

        Raises BuildFailed with the end of the build's output, or what is wrong with the wheel that came out.
        """
        key = self._key(order, build, headers)
        notes = self.cache.build / "wheels" / f"{key}.json"
        with self.cache.lock(f"wheel-{key}"):
            found = self._kept(notes)
            if found is None:
                started = time.monotonic()
                found = self._build(order, build, headers, key)
                facts = {"filename": found.filename, "sha256": found.sha256, "size": found.size}
                write_json(notes, facts)
                log.info("%s was built for %s in %.1f s", order.title, order.platform, time.monotonic() - started)
                return BuiltWheel(found.path, found.filename, found.sha256, found.size, time.monotonic() - started)
            os.utime(notes)  # used now: what was not for longest is pruned first
        return found

    def _key(self, order: Order, build: LockedBuild, headers: Headers) -> str:
        zig = find_zig()
        tools = sorted(wheel.sha256 for wheel in (*build.requires, *build.headers))
        return digest_of([order.key, order.version, tools, headers.digest, zig and zig[1]])[:32]

    def _kept(self, notes: Path) -> BuiltWheel | None:
        try:
            facts = json.loads(notes.read_bytes())
            found = BuiltWheel(self.cache.blob(facts["sha256"]), facts["filename"], facts["sha256"], facts["size"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if self.cache.check(found.sha256, found.size) else None

    def _build(self, order: Order, build: LockedBuild, headers: Headers, key: str) -> BuiltWheel:
        from pyrunenv.wheels.finish import finish
        from pyrunenv.wheels.repair import repair

        if build.host != platforms.host().key:
            raise BuildFailed(
                f"{order.title} is locked to be built on {build.host}, and this is {platforms.host()}",
                hint="build there, or lock on this machine with `pyrunenv lock`",
            )
        zig = find_zig()
        if zig and build.compiler and zig[1] != build.compiler:
            raise BuildFailed(
                f"{order.title} is locked to be compiled by ziglang {build.compiler}, and {zig[1]} is installed",
                hint=f"run `pip install ziglang=={build.compiler}`, or lock again with `pyrunenv lock --upgrade`",
            )
        with self._tree(order) as tree:
            system = read_build_system(tree)
            with self._hooks(order, tree, system, build.requires, headers, build.headers, key) as hooks:
                folder, environment = hooks.toolchain.folder, hooks.environment
                made = hooks.wheel(folder / "out")
                try:
                    made = repair(made, tree, folder / "repaired")
                except ProcessFailed as error:
                    reason = "a library that it made cannot be taken into its wheel"
                    raise hooks.failure(reason, [error.message, *error.notes]) from error
                machine = tree, environment.folder, self.cache.root, environment.base.prefix
                roots = [str(path) for path in machine if str(path) not in _OF_EVERY_MACHINE]
                finished = finish(made, folder / "finished", hooks.toolchain.target, roots)
                self._check(order, hooks, finished, roots)
                sha256, size = sha256_file(finished), finished.stat().st_size
                return BuiltWheel(self.cache.adopt(finished, sha256), finished.name, sha256, size)

    def _check(self, order: Order, hooks: Hooks, wheel: Path, roots: Sequence[str]) -> None:
        """Refuse a wheel that is not what was asked for, not fit for the target, or that holds paths of this machine."""
        from pyrunenv.wheels.check import check
        from pyrunenv.wheels.inspect import inspect

        name, version, _, _ = parse_wheel_filename(wheel.name)
        if name != canonicalize_name(order.name) or (order.version and str(version) != str(_version(order.version))):
            raise hooks.failure(f"it made {wheel.name}", [f"asked for {order.title}"])
        found = inspect(wheel, texts=roots)
        floors = order.floors
        wrong = check(found, order.platform, order.python_version, glibc=floors.glibc, macos=floors.macos)
        if wrong:
            raise hooks.failure("the wheel that was made does not fit", wrong)

    def _check_rust(self, order: Order, requires: Sequence[LockedWheel]) -> None:
        from pyrunenv.wheels.rust import missing_rust, needs_rust

        if needs_rust(_versions(requires)) and (lacking := missing_rust(self._target(order, None), os.environ)):
            raise BuildFailed(f"{order.title} is written in Rust, which cannot be compiled here", hint=lacking)

    def _with_headers(self, requires: Sequence[LockedWheel]) -> list[LockedWheel]:
        """Those that are made for one platform and bring headers: the target's own must be compiled with."""
        native = [wheel for wheel in requires if not wheel.filename.endswith("-any.whl")]
        blobs = self._fetched(native)
        return [wheel for wheel in native if _brings_headers(blobs[wheel.sha256])]

    def _fetched(self, wheels: Sequence[LockedWheel]) -> dict[str, Path]:
        from pyrunenv.fetch.download import Download

        return self.fetcher.fetch_all([Download(w.url, w.sha256, w.size, w.filename) for w in wheels])

    def _target(self, order: Order, headers: Headers | None) -> BuildTarget:
        include = headers.include if headers else Path("no-headers")
        libraries = headers.libraries if headers else None
        floors = order.floors
        return BuildTarget(order.platform, order.python_version, floors.glibc, floors.macos, include, libraries)

    def _base(self) -> BuildPython:
        if os.name == "nt":
            raise SourceError("wheels are built from source on Linux and macOS, and this is Windows")
        return find_build_python(self.python_version, self.cache.uv, self.own_python)

    @contextmanager
    def _hooks(
        self, order: Order, tree: Path, system: BuildSystem, requires: Sequence[LockedWheel], headers: Headers | None,
        counterparts: Sequence[LockedWheel], key: str | None = None,
    ) -> Iterator[Hooks]:  # fmt: skip
        environment = build_environment(self._base(), requires, self.cache, self.fetcher)
        zig = find_zig()
        with self.cache.temporary() as folder:
            folder.mkdir(parents=True)
            target_site = self._target_site(counterparts)
            toolchain = Toolchain(
                folder, self._target(order, headers), zig and zig[0], self.cache.shared(self.cache.build / "zig")
            )
            toolchain.write(
                tree=tree, site=environment.site, prefixes=[environment.base.prefix, environment.folder],
                target_site=target_site, python=environment.python,
            )  # fmt: skip
            log_file = self.cache.build / "logs" / f"{order.name}-{order.platform}-{(key or order.key)[:12]}.log"
            log_file.unlink(missing_ok=True)
            yield Hooks(order.title, tree, system, environment, toolchain, log_file, order.settings.config_settings,
                        order.settings.env)  # fmt: skip

    def _target_site(self, counterparts: Sequence[LockedWheel]) -> Path:
        """Unpack headers and libraries of the target's own build requirements; once, in the cache."""
        from pyrunenv.archives import read_archive

        key = digest_of(sorted(wheel.sha256 for wheel in counterparts))[:32]
        with self.cache.made_once("site", key) as (folder, missing):
            blobs = self._fetched(counterparts) if missing else {}
            for wheel in counterparts if missing else ():
                for entry in read_archive(blobs[wheel.sha256], name=wheel.filename, wanted=_to_compile_with):
                    if entry.kind == "file":
                        (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
                        (folder / entry.path).write_bytes(entry.content)
        return folder


def _to_compile_with(path: str) -> bool:
    return path.endswith((".h", ".hpp", ".hxx", ".hh", ".inc", ".ipp", ".a", ".lib"))


def _brings_headers(wheel: Path) -> bool:
    with zipfile.ZipFile(wheel) as archive:
        return any("/include/" in name and name.endswith((".h", ".hpp")) for name in archive.namelist())


def _versions(wheels: Sequence[LockedWheel]) -> dict[str, str]:
    parsed = [parse_wheel_filename(wheel.filename) for wheel in wheels]
    return {str(name): str(version) for name, version, _, _ in parsed}


def _beyond(requirements: Sequence[str], wheels: Sequence[LockedWheel]) -> bool:
    """Whether requirements ask for something that these wheels are not."""
    held = _versions(wheels)
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            return True
        version = held.get(canonicalize_name(requirement.name))
        if version is None or requirement.extras or version not in requirement.specifier:
            return True
    return False


def _version(text: str) -> object:
    from packaging.version import Version

    return Version(text)
