"""What one target may build from source: which versions there are, what they need, and how each is built."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename, parse_wheel_filename

from pyrunenv import platforms
from pyrunenv.errors import BuildFailed, PyrunenvError, SourceError
from pyrunenv.lock.answers import Refusal, root_file_name
from pyrunenv.lock.catalogue import offer_of, project_files
from pyrunenv.lock.model import Floors, LockedBuild, LockedSource, LockedWheel
from pyrunenv.lock.resolver import Resolver
from pyrunenv.lock.roots import Root
from pyrunenv.lock.shelf import Candidate, Shelf, name_and_version
from pyrunenv.lock.vcs import git_source, with_commit
from pyrunenv.secrets import strip_credentials
from pyrunenv.wheels.source import folder_digest

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

    from pyrunenv.config.schema import BuildWheel, TargetConfig
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.lock.gate import Gate
    from pyrunenv.lock.model import Lock
    from pyrunenv.platforms import Platform
    from pyrunenv.wheels.headers import Headers
    from pyrunenv.wheels.workshop import BuildSettings, Order, Workshop

PACKAGE_ROOT = "{packageRoot}"
"""Stands in a config for the environment's folder."""
_ARCHIVE = re.compile(r"\.(tar\.gz|tgz|tar\.bz2|tar\.xz|zip)$")


def forced_names(config: TargetConfig) -> frozenset[str]:
    """Return names that must be built although they have wheels: by policy, or because their source lies in a folder."""
    listed = (*config.resolution.force_no_binary_list, *config.force_source)
    folders = (name for name, build in config.build_wheel.items() if build.source_dir)
    return frozenset(canonicalize_name(name) for name in (*listed, *folders)) - config.skip.keys()


@dataclass
class Sources:
    """The sources of one target. ``resolver`` is the target's, ``headers`` gives those of its interpreter.

    Where nothing is built from source the workshop is never opened, and what it takes is not loaded.

    ``base`` is the environment's folder. Safe for the threads of one run.
    """

    config: TargetConfig
    platform: Platform
    python_version: str
    base: Path
    resolver: Resolver
    open_workshop: Callable[[], Workshop]
    fetcher: Fetcher
    gate: Gate
    headers: Callable[[], Headers]
    kept: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By package: the versions of its build requirements that the lock before had."""

    def __post_init__(self) -> None:
        self._plans: dict[str, LockedBuild] = {}
        self._shelves: dict[frozenset[str], Shelf] = {}
        self._direct: dict[str, Root | Refusal] = {}
        self._commits: dict[str, str] = {}
        self.failures: dict[str, PyrunenvError] = {}
        """Why something cannot be built, by its order's key."""
        self.broken: dict[str, PyrunenvError] = {}
        """Why a folder tells no metadata, by the name that the config gives it."""
        self._planning = threading.RLock()

    @cached_property
    def workshop(self) -> Workshop:
        """Where things are built."""
        return self.open_workshop()

    @cached_property
    def forced(self) -> frozenset[str]:
        """See :func:`forced_names`."""
        return forced_names(self.config)

    def may_build(self, name: str) -> bool:
        """Whether policy lets what has no wheel be built."""
        policy = self.config.resolution
        if name in policy.only_binary_list or name in self.config.skip:
            return False
        return name in self.forced or policy.allow_source_all or name in policy.allow_source_list

    def shelf(self, names: Iterable[str]) -> Shelf | None:
        """Put what may be built of these names, and of those that must be, on a shelf; None where there is nothing."""
        wanted = frozenset({*names, *self.forced})
        if not wanted:
            return None
        if wanted not in self._shelves:
            found = [candidate for name in sorted(wanted) for candidate in self._candidates(name)]
            self._shelves[wanted] = Shelf.of(found, self._scope, self.metadata, self.gate)
        return self._shelves[wanted]

    def direct(self, root: Root) -> Root | Refusal:
        """Return a root that names a source (git, an archive) with what the resolver is asked for in its place."""
        if root.requirement not in self._direct:
            try:
                self._direct[root.requirement] = self._placed(root)
            except (BuildFailed, SourceError) as error:
                self._direct[root.requirement] = Refusal(error.message, root.name, error)
        return self._direct[root.requirement]

    def pinned(self, requirement: str) -> str:
        """Return a root's requirement with the commit that was taken, if it names a repository."""
        commit = self._commits.get(requirement)
        return with_commit(requirement, commit) if commit else requirement

    def metadata(self, candidate: Candidate) -> bytes:
        """Core metadata of a candidate, as the target will see it; raises BuildFailed, SourceError or FetchError."""
        order = self.order(candidate)
        if (failure := self.failures.get(order.key)) is not None:
            raise failure
        return self.workshop.metadata(order, lambda: self.plan(candidate), self.headers)

    def plan(self, candidate: Candidate) -> LockedBuild:
        """How a candidate is built; found out once."""
        order = self.order(candidate)
        with self._planning:
            if order.key not in self._plans:
                kept = self.kept.get(candidate.name, {})
                try:
                    plan = self.workshop.plan(order, self._resolve_tools, self._counterparts, kept)
                except (BuildFailed, SourceError) as error:
                    self.failures[order.key] = error
                    self._shelves.clear()
                    self._direct.clear()
                    raise
                self._plans[order.key] = plan
            return self._plans[order.key]

    def order(self, candidate: Candidate) -> Order:
        """What the workshop is asked to build."""
        from pyrunenv.wheels.workshop import Order

        floors = Floors(self.config.floors.glibc, self.config.floors.macos)
        settings = settings_of(self.config.build_wheel.get(candidate.name), self.base)
        return Order(candidate.name, candidate.version, candidate.source, self.platform, self.python_version, floors,
                     self.base, settings)  # fmt: skip

    @property
    def _scope(self) -> list[object]:
        from pyrunenv.wheels.workshop import RECIPE

        settings = [
            [n, settings_of(b, self.base).digest(self.base)] for n, b in sorted(self.config.build_wheel.items())
        ]
        floors = self.config.floors
        target = [self.platform.key, self.python_version, floors.glibc, floors.macos]
        return [RECIPE, *target, settings, sorted(self.failures)]

    def _candidates(self, name: str) -> list[Candidate]:
        """Versions of a name that could be built: from its folder alone, else those with an sdist and no wheel that fits."""
        build = self.config.build_wheel.get(name)
        if build and build.source_dir:
            try:
                return [self._from_folder(name, build.source_dir)]
            except (BuildFailed, SourceError) as error:
                self.broken[name] = error
                return []
        files = project_files(name, self.resolver)
        wheels = () if name in self.forced else offer_of((file for _, file in files), self.resolver).with_wheel
        found: dict[str, Candidate] = {}
        for index, file in files:
            candidate = _candidate(name, index, file)
            if candidate and str(candidate.version) not in map(str, wheels):
                found.setdefault(candidate.version, candidate)
        return list(found.values())

    def _from_folder(self, name: str, source_dir: str) -> Candidate:
        folder = find_source_dir(source_dir, self.base)
        path = Path(os.path.relpath(folder, self.base)).as_posix()
        source = LockedSource("folder", path, sha256=folder_digest(folder))
        return self._named(Candidate(name, "", source), name)

    def _placed(self, root: Root) -> Root:
        requirement: Requirement | None
        try:
            requirement = Requirement(root.requirement)
        except InvalidRequirement:  # a bare git URL
            requirement = None
        name = canonicalize_name(requirement.name) if requirement else ""
        url = requirement.url or "" if requirement else root.requirement
        if "git+" in url:
            source = git_source(url, self.workshop.cache)
            self._commits[root.requirement] = source.commit or ""
        else:
            sha256, size = self._digest(url)
            source = LockedSource("archive", strip_credentials(url), root_file_name(url), sha256, size)
        candidate = self._named(Candidate(name, "", source), name)
        shelf = Shelf.of([candidate], self._scope, self.metadata, self.gate)
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement and requirement.extras else ""
        marker = f" ; {requirement.marker}" if requirement and requirement.marker else ""
        return replace(root, name=candidate.name, asked=f"{candidate.name}{extras} @ {shelf.url(candidate)}{marker}")

    def _digest(self, url: str) -> tuple[str, int | None]:
        if found := re.search(r"[#&]sha256=([0-9a-f]{64})", url):
            return found[1], None
        return self.fetcher.fetch_unhashed(url.partition("#")[0])

    def _named(self, candidate: Candidate, name: str) -> Candidate:
        """Read a candidate's name and version out of its metadata."""
        found, version = name_and_version(self.metadata(candidate))
        if name and found != name:
            raise SourceError(
                f"{candidate.source.url} holds `{found}`, not `{name}`", hint="name it as it calls itself"
            )
        return replace(candidate, name=found, version=version)

    def _resolve_tools(self, requirements: Sequence[str], kept: Mapping[str, str]) -> tuple[LockedWheel, ...]:
        """Resolve build requirements for this machine: wheels alone, under the target's Python version."""
        here = platforms.host()
        resolver = replace(self.resolver, platform=here, unavailable=(), shelf=None)
        answer = resolver.resolve(list(requirements), kept) if requirements else None
        if isinstance(answer, Refusal):
            raise BuildFailed(
                f"the build requirements cannot be had for this machine ({here})",
                notes=[f"needed: {', '.join(requirements)}", answer.sentence],
                hint="name others in `buildWheel` (`buildRequires`), or patch the pyproject.toml (`patches`)",
            )
        found = sorted(answer.packages.items()) if answer else []
        return tuple(self._locked_wheel(p.filename, p.url, p.sha256, p.size) for _, p in found)

    def _counterparts(self, wheels: Sequence[LockedWheel]) -> tuple[LockedWheel, ...]:
        """The target's own of some wheels, where it has them."""
        found = []
        resolver = replace(self.resolver, unavailable=(), shelf=None)
        for wheel in wheels if self.platform != platforms.host() else ():
            name, version, _, _ = parse_wheel_filename(wheel.filename)
            answer = resolver.resolve([f"{name}=={version}"], no_deps=True)
            if not isinstance(answer, Refusal):
                p = answer.packages[name]
                found.append(self._locked_wheel(p.filename, p.url, p.sha256, p.size))
        return tuple(found)

    def _locked_wheel(self, filename: str, url: str, sha256: str | None, size: int | None) -> LockedWheel:
        if sha256 is None:
            sha256, size = self.fetcher.fetch_unhashed(url)
        return LockedWheel(filename, strip_credentials(url), sha256, size)


def tools_of(lock: Lock | None) -> dict[str, dict[str, str]]:
    """The versions of the build requirements of a lock's packages, by package."""
    found: dict[str, dict[str, str]] = {}
    for package in lock.packages if lock else ():
        if package.build is not None:
            parsed = [parse_wheel_filename(wheel.filename) for wheel in package.build.requires]
            found[package.name] = {str(name): str(version) for name, version, _, _ in parsed}
    return found


def is_source(requirement: str) -> bool:
    """Whether a requirement names a source: a git repository, or an archive that is no wheel."""
    try:
        url = Requirement(requirement).url
    except InvalidRequirement:
        return "git+" in requirement
    return bool(url) and ("git+" in str(url) or bool(_ARCHIVE.search(root_file_name(str(url)))))


def settings_of(build: BuildWheel | None, base: Path) -> BuildSettings:
    """What the config says of a build, with ``{packageRoot}`` replaced; raises SourceError for a patch that is not there."""
    from pyrunenv.wheels.workshop import BuildSettings

    if build is None:
        return BuildSettings()

    def placed(text: str) -> str:
        return text.replace(PACKAGE_ROOT, str(base))

    settings = {
        key: placed(value) if isinstance(value, str) else tuple(placed(item) for item in value)
        for key, value in build.config_settings.items()
    }
    env = {name: placed(value) for name, value in build.env.items()}
    patches = tuple(find_named(path, base) for path in build.patches)
    return BuildSettings(build.build_requires, settings, env, patches)


def find_source_dir(source_dir: str, base: Path) -> Path:
    """Return the folder that a config's `sourceDir` names; raises SourceError where there is none."""
    found = find_named(source_dir.replace(PACKAGE_ROOT + "/", ""), base)
    if not found.is_dir():
        raise SourceError(f"`sourceDir` names {found}, which is no folder")
    return found


def find_named(path: str, base: Path) -> Path:
    """Return a path that a config names, from the environment's folder or else from the workspace's root; raises SourceError."""
    for root in (base, base.parent):
        if (root / path).exists():
            return (root / path).resolve()
    raise SourceError(
        f"`{path}` is not there", notes=[f"looked for in {base} and {base.parent}"],
        hint="name it from the environment's folder, or from the workspace's root",
    )  # fmt: skip


def _candidate(name: str, index: str, file: DistributionPackage) -> Candidate | None:
    if file.package_type != "sdist" and not file.filename.endswith((".tar.gz", ".zip")):
        return None
    try:
        found, version = parse_sdist_filename(file.filename)
    except InvalidSdistFilename:
        return None
    sha256 = (file.digests or {}).get("sha256")
    if found != name or sha256 is None:
        return None
    uploaded = file.upload_time.isoformat().replace("+00:00", "Z") if file.upload_time else None
    source = LockedSource("sdist", strip_credentials(_real_url(file.url)), file.filename, sha256, file.size, uploaded)
    yanked: str | bool = (file.yanked_reason or True) if file.is_yanked else False
    return Candidate(name, str(version), source, index, file.requires_python, yanked)


def _real_url(url: str) -> str:
    from pyrunenv.lock.gate import file_url

    return (file_url(url) or url).partition("#")[0]
