"""The workspace on disk: finds it, reads all of it, tells all that is wrong in one go, and picks environments."""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pyrunenv.config.load import Findings, Unreadable, load_config
from pyrunenv.config.merge import for_platform, merge, root_names
from pyrunenv.config.package import CataloguePackage, Package, load_catalogue, load_package
from pyrunenv.config.problems import Problem
from pyrunenv.config.schema import Config, TargetConfig
from pyrunenv.errors import ConfigError, UsageError
from pyrunenv.platforms import PLATFORMS, Platform

SHARED = "shared-config.json"
OWN = "config.json"
PACKAGE = "package.json"
PREFIX = "python-"
CATALOGUE = "catalogue"
LOWEST_MINOR, HIGHEST_MINOR = 10, 14

_PYTHON_VERSION = re.compile(r"^3\.(\d+)\.(0|[1-9]\d*)$")
_FULL_VERSION = re.compile(r"^[0-9A-Za-z][0-9A-Za-z._+-]*$")


@dataclass(frozen=True)
class Environment:
    """One environment. ``folder`` is absolute, ``config`` is merged, ``python_version`` is the interpreter's."""

    folder: Path
    full_version: str
    python_version: str
    config: Config = field(repr=False, compare=False)
    package: Package = field(repr=False, compare=False)
    own: Config | None = field(default=None, repr=False, compare=False)
    """The environment's file alone, to tell its entries from the shared ones."""
    _targets: dict[str, TargetConfig] = field(default_factory=dict, repr=False, compare=False)

    def platforms(self) -> tuple[Platform, ...]:
        """Return the platforms that package.json lists in ``roots``, in its order."""
        return tuple(PLATFORMS[key] for key in self.package.platforms)

    def target(self, platform: Platform) -> TargetConfig:
        """Return what the config says for one platform; the second call is free."""
        if platform.key not in self._targets:
            self._targets[platform.key] = for_platform(self.config, platform)
        return self._targets[platform.key]


@dataclass(frozen=True)
class Workspace:
    """A workspace as read. ``catalogue`` is the folder, ``shared`` what shared-config.json says."""

    root: Path
    environments: tuple[Environment, ...]
    shared: Config = field(default=Config(), repr=False)
    catalogue: Path | None = None
    catalogue_package: CataloguePackage | None = field(default=None, repr=False)
    findings: Findings = field(default_factory=Findings, repr=False)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences to show once."""
        return tuple(dict.fromkeys(map(str, self.findings.warnings)))

    def select(self, patterns: Sequence[str], cwd: Path) -> tuple[Environment, ...]:
        """Return the environments that any pattern names, in the workspace's order.

        A pattern is a full version, a folder, an npm name, or a glob of one. Without any: the environment whose
        folder ``cwd`` is in, else all. Raises UsageError for a pattern that names none.
        """
        here = cwd.resolve()
        if not patterns:
            around = [e for e in self.environments if here.is_relative_to(e.folder.resolve())]
            return tuple(around) or self.environments
        chosen: set[str] = set()
        for pattern in patterns:
            found = [e.full_version for e in self.environments if _matches(e, pattern, here)]
            if not found:
                raise self._unknown(pattern)
            chosen.update(found)
        return tuple(e for e in self.environments if e.full_version in chosen)

    def _unknown(self, pattern: str) -> UsageError:
        names = [e.full_version for e in self.environments]
        words = names + [e.folder.name for e in self.environments] + [e.package.name for e in self.environments]
        close = difflib.get_close_matches(pattern, words, n=1, cutoff=0.6)
        hint = (
            f"did you mean `{close[0]}`?" if close else "name a full version, a folder, an npm name, or a glob of one"
        )
        listed = f"environments here: {', '.join(names)}" if names else f"no environment in {self.root}"
        return UsageError(f"no environment is named `{pattern}`", notes=[listed], hint=hint)


def find_root(start: Path) -> Path:
    """Return the nearest folder at or above ``start`` that holds shared-config.json; raises UsageError."""
    folder = Path(os.path.abspath(start))  # noqa: PTH100 - a link to an environment stays in the workspace it is in
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", hint="name a folder of a workspace")
    for candidate in (folder, *folder.parents):
        if (candidate / SHARED).is_file():
            return candidate
    hint = f"run it in a workspace or below one; its root is the folder with {SHARED}, in which `{{}}` is enough"
    raise UsageError(f"no workspace here: no {SHARED} in {folder} or any folder above it", hint=hint)


def load_workspace(root: Path, *, lenient: bool = False) -> Workspace:
    """Read a whole workspace; raises one ConfigError whose notes hold every problem in it.

    With ``lenient`` a file that cannot be read or parsed is left out with a warning, and with it what stands on it:
    without its package.json an environment is left out.
    """
    workspace = read_workspace(root, lenient=lenient)
    if workspace.findings.problems:
        raise _error(workspace.findings)
    return workspace


def read_workspace(root: Path, *, lenient: bool = False) -> Workspace:
    """Read a whole workspace, whatever is wrong with it, which its ``findings`` say; what is wrong is left out."""
    root = Path(os.path.abspath(root))  # noqa: PTH100 - see find_root
    findings = Findings(lenient)
    shared = load_config(root / SHARED, SHARED, findings)
    found = [
        environment for folder in _folders(root, findings) if (environment := _environment(folder, shared, findings))
    ]
    catalogue, listed = _catalogue(root, findings)
    findings.problems.extend(_shared_names(found))
    if not findings.problems:
        findings.warnings.extend(_unmatched_shared(shared, found))
    broken = {problem.file for problem in findings.problems}
    for environment in found:
        if not broken & {SHARED, f"{environment.folder.name}/{OWN}"}:
            findings.warnings.extend(_unmatched_own(environment, shared))
    return Workspace(root, tuple(found), shared, catalogue, listed, findings)


def with_config(workspace: Workspace, environment: Environment, content: bytes) -> Environment:
    """Return an environment as it would be with another config.json; raises ConfigError."""
    findings = Findings()
    own = load_config(environment.folder / OWN, f"{environment.folder.name}/{OWN}", findings, content)
    if findings.problems:
        raise _error(findings)
    return replace(environment, config=merge(workspace.shared, own), own=own, _targets={})


def _matches(environment: Environment, pattern: str, here: Path) -> bool:
    folder = environment.folder
    names = (environment.full_version, folder.name, environment.package.name)
    if pattern in names or any(fnmatch.fnmatchcase(name, pattern) for name in names):
        return True
    # a path, absolute or from here, which may be a glob too
    place = os.path.normpath(here / pattern)
    return fnmatch.fnmatchcase(str(folder.resolve()), place) or fnmatch.fnmatchcase(str(folder), place)


def _folders(root: Path, findings: Findings) -> Iterator[Path]:
    """Yield the environments' folders, sorted naturally by version."""
    try:
        folders = [path for path in root.glob(f"{PREFIX}*") if path.is_dir()]
    except OSError as error:
        findings.problems.append(Problem(str(root), (), f"cannot be read: {(error.strerror or str(error)).lower()}"))
        return
    for folder in sorted(folders, key=lambda path: natural(path.name)):
        if (folder / OWN).exists() or (folder / PACKAGE).exists():
            yield folder
        else:
            # what a build left in it stays behind when another branch without the environment is checked out
            text = f"is no environment: it holds neither {OWN} nor {PACKAGE}"
            findings.warnings.append(Problem(folder.name, (), text))


def natural(text: str) -> list[str | int]:
    """What sorts names with versions by number."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)]


def _environment(folder: Path, shared: Config, findings: Findings) -> Environment | None:
    """Return an environment, or None with the reason in ``findings``."""
    own = None
    shown = f"{folder.name}/{OWN}"
    if os.path.lexists(folder / OWN):
        own = load_config(folder / OWN, shown, findings)
    else:
        findings.warnings.append(Problem(shown, (), "is not there, the shared one serves alone"))
    shown = f"{folder.name}/{PACKAGE}"
    try:
        package = load_package(folder / PACKAGE, shown, findings)
    except Unreadable as error:
        findings.unreadable(error.problem)
        package = None
    full = folder.name.removeprefix(PREFIX)
    version = _python_version(folder, full, package, findings)
    if package is None or version is None:
        return None
    return Environment(folder, full, version, merge(shared, own), package, own)


def _python_version(folder: Path, full: str, package: Package | None, findings: Findings) -> str | None:
    """The interpreter's version: what package.json says, else what stands before the folder's first ``-``."""
    given = package.python_version if package else None
    if not _FULL_VERSION.match(full):
        message = f"`{full}` is not a full version, expected a folder like `python-3.12.10-name`"
        findings.problems.append(Problem(folder.name, (), message))
        return None
    version = given or full.partition("-")[0]
    if python_version(version) is not None:
        return version
    expected = f"expected X.Y.Z with X.Y from 3.{LOWEST_MINOR} to 3.{HIGHEST_MINOR}"
    where = Problem(f"{folder.name}/{PACKAGE}" if given else folder.name, (), "")
    path = ("block-software", "entrypoints", "main", "environment", "artifact", "python-version") if given else ()
    findings.problems.append(
        Problem(where.file, path, f"`{version}` is not a Python version that can be built, {expected}")
    )
    return None


def python_version(text: str) -> str | None:
    """Return the version of an interpreter that can be built, or None."""
    match = _PYTHON_VERSION.match(text)
    return text if match and LOWEST_MINOR <= int(match[1]) <= HIGHEST_MINOR else None


def _catalogue(root: Path, findings: Findings) -> tuple[Path | None, CataloguePackage | None]:
    folder = root / CATALOGUE
    if not (folder / PACKAGE).is_file():
        return None, None
    try:
        return folder, load_catalogue(folder / PACKAGE, f"{CATALOGUE}/{PACKAGE}", findings)
    except Unreadable as error:
        findings.unreadable(error.problem)
        return None, None


def _shared_names(found: Sequence[Environment]) -> Iterator[Problem]:
    """Two environments of one npm name would overwrite each other's archives."""
    first: dict[str, str] = {}
    for environment in found:
        folder = environment.folder.name
        other = first.setdefault(environment.package.name, folder)
        if other != folder:
            message = f"`{environment.package.name}` is the name of {other} too"
            yield Problem(f"{folder}/{PACKAGE}", ("name",), message)


def _error(findings: Findings) -> ConfigError:
    notes = list(dict.fromkeys(map(str, findings.problems)))
    count = "1 problem" if len(notes) == 1 else f"{len(notes)} problems"
    return ConfigError(
        f"the workspace's configuration has {count}",
        notes=notes,
        hint="`pyrunenv config validate` shows the lines; `pyrunenv config schema` describes every key",
    )


def _unmatched_own(environment: Environment, shared: Config) -> Iterator[Problem]:
    """Names in an environment's file that match no root of it, or take back what nobody gave."""
    own = environment.own
    if own is None:
        return
    roots, shown = root_names(environment.config), f"{environment.folder.name}/{OWN}"
    for path, name in _root_keys(own):
        if name not in roots:
            yield Problem(shown, path, "matches no root of this environment")
    for key in ("skip", "forceSource", "buildWheel"):
        attribute = {"forceSource": "force_source", "buildWheel": "build_wheel"}.get(key, key)
        for name, platforms in getattr(own.packages, attribute).items():
            if not platforms and name not in getattr(shared.packages, attribute):
                yield Problem(shown, ("packages", key, name), f"takes back nothing: {SHARED} has no such entry")


def _unmatched_shared(shared: Config, environments: Sequence[Environment]) -> Iterator[Problem]:
    """Names in the shared file that match a root in no environment."""
    keys = list(_root_keys(shared))
    if not keys or not environments:
        return
    roots = frozenset[str]().union(*(root_names(environment.config) for environment in environments))
    for path, name in keys:
        if name not in roots:
            yield Problem(SHARED, path, "matches no root of any environment")


def _root_keys(config: Config) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield (key path, name) of what can only mean roots; skips and builds may mean something in a closure."""
    for name in config.packages.overrides:
        yield ("packages", "overrides", name), name
    for index, name in enumerate(config.packages.no_deps or ()):
        yield ("packages", "noDeps", index), name
