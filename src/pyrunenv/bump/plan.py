"""What a bump does to a workspace: which versions go where and why, and every file as it will be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.bump.base import Base, Bases, entries_of, snapshot
from pyrunenv.bump.changelog import NAME, Changelog
from pyrunenv.bump.entry import environment_entry, in_words
from pyrunenv.bump.reasons import Part, Reason, entries_between, greatest, reasons_between
from pyrunenv.bump.versions import Step, step
from pyrunenv.config.document import Document
from pyrunenv.config.workspace import CATALOGUE, PACKAGE
from pyrunenv.errors import StaleLock
from pyrunenv.files import Replacement
from pyrunenv.lock.run import Target, check
from pyrunenv.platforms import PLATFORMS

if TYPE_CHECKING:
    from pyrunenv.config.package import CataloguePackage
    from pyrunenv.config.workspace import Environment, Workspace


@dataclass(frozen=True)
class Wish:
    """What was asked for. ``part`` None: as what changed asks for; ``named``: by name, and not all."""

    paragraphs: Sequence[str]
    day: str
    part: Part | None = None
    named: bool = False


@dataclass(frozen=True)
class Bump:
    """One environment, or the catalogue, that gets a version. ``entry`` is what the changelog says of the changes."""

    name: str
    folder: Path
    step: Step
    reasons: tuple[Reason, ...]
    entry: str


@dataclass
class Plan:
    """All bumps of a run, sentences to be said, and ``versions``: those of the packages that were looked at, afterwards."""

    bumps: list[Bump] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    replacements: list[Replacement] = field(default_factory=list)
    """In the order in which they are to be put: a version comes after all that tells of it. Some are as they were."""

    @property
    def changed(self) -> list[Path]:
        """The files that are to be others."""
        return [each.path for each in self.replacements if each.before != each.after]


def plan(workspace: Workspace, chosen: Sequence[Environment], bases: Bases, wish: Wish) -> Plan:
    """Say what is to be done; nothing is written.

    Raises StaleLock where a lock is not what the config asks for, ConfigError for versions that cannot be raised.
    """
    made = Plan(versions={e.package.name: e.package.version for e in chosen})
    published = [(e, base) for e in chosen if (base := bases.environment(e)) is not None]
    _check_locks(environment for environment, _ in published)
    for environment in chosen:
        if all(environment is not other for other, _ in published):
            present = environment.package.version
            made.said.append(f"{environment.full_version} was never published: {present} needs no bump")
    for environment, base in published:
        bump = _of_environment(environment, base, wish, made)
        if bump is not None:
            made.bumps.append(bump)
            made.versions[environment.package.name] = bump.step.after
    catalogue, dependencies = _of_catalogue(workspace, bases, wish, made)
    logs = [_log(bump, wish) for bump in [*made.bumps, *([catalogue] if catalogue else [])]]
    made.replacements = [*logs, *(_package(bump.folder, bump.step.after) for bump in made.bumps)]
    if workspace.catalogue is not None and (catalogue or dependencies):
        version = catalogue.step.after if catalogue else None
        made.replacements.append(_package(workspace.catalogue, version, dependencies))
    made.bumps += [catalogue] if catalogue else []
    return made


def _check_locks(environments: Iterable[Environment]) -> None:
    found = check(Target(environment, platform) for environment in environments for platform in environment.platforms())
    if len(found) > 1:
        raise StaleLock(
            f"{len(found)} locks are not current", notes=[error.message for error in found], hint="run `pyrunenv lock`"
        )
    if found:
        raise found[0]


def _of_environment(environment: Environment, base: Base, wish: Wish, made: Plan) -> Bump | None:
    now = snapshot(environment)
    reasons = reasons_between(base, now)
    name, present = environment.full_version, environment.package.version
    common = [key for key in now.held if key in base.held]
    if any(environment.target(PLATFORMS[key]).copy_files and key not in base.files for key in common):
        made.doubts.append(f"{name}: what was copied at {base.where} cannot be told, so it is not compared")
    if not reasons and not (wish.part and wish.named):
        if present != base.version:
            made.said.append(
                f"{name} is as {base.version} was, and has the version {present}: set it back, or name a `--part`"
            )
        return None
    needed = greatest(reasons)
    if wish.part and reasons and wish.part < needed:
        made.doubts.append(
            f"{name}: a {wish.part.name} version, though it has {reasons[0]}: by the rule it is {needed.name}"
        )
    taken = step(base.version, present, wish.part or needed, f"{environment.folder.name}/{PACKAGE}")
    made.said += _of_pending(name, taken)
    return Bump(name, environment.folder, taken, tuple(reasons), environment_entry(base, now, reasons))


def _of_pending(name: str, taken: Step) -> list[str]:
    if taken.pending is None:
        return []
    what = "its changelog's entry is written anew" if taken.after == taken.pending else f"raised to {taken.after}"
    return [f"{name} has {taken.pending} already, and {taken.before} is what was published: {what}"]


def _of_catalogue(workspace: Workspace, bases: Bases, wish: Wish, made: Plan) -> tuple[Bump | None, Mapping[str, str]]:
    """The catalogue's own bump, and the dependencies that change in it."""
    package = workspace.catalogue_package
    if workspace.catalogue is None or package is None:
        return None, {}
    dependencies = _dependencies(package, made.versions)
    base = bases.catalogue(workspace)
    if base is None:
        made.said.append(f"the catalogue was never published: {package.version} needs no bump")
        return None, dependencies
    present = {e.package.name: e.package.version for e in workspace.environments} | made.versions
    after = replace(package, dependencies={**package.dependencies, **dependencies})
    reasons = entries_between(base.entries, entries_of(after, present))
    if not reasons:
        return None, dependencies
    taken = step(base.version, package.version, greatest(reasons), f"{CATALOGUE}/{PACKAGE}")
    if not made.bumps and taken.after == package.version and not dependencies:
        return None, {}
    made.said += _of_pending("the catalogue", taken)
    bump = Bump(CATALOGUE, workspace.catalogue, taken, tuple(reasons), in_words(base.version, reasons))
    return bump, dependencies


def _dependencies(package: CataloguePackage, versions: Mapping[str, str]) -> dict[str, str]:
    """The dependencies that change; a range of pnpm's workspaces stands for whatever version there is."""
    changed = {}
    for name, given in package.dependencies.items():
        ranged = given.startswith("workspace:") and not given.removeprefix("workspace:")[:1].isdigit()
        if name in versions and not ranged:
            changed[name] = f"workspace:{versions[name]}" if given.startswith("workspace:") else versions[name]
    return {name: wanted for name, wanted in changed.items() if wanted != package.dependencies[name]}


def _log(bump: Bump, wish: Wish) -> Replacement:
    path = bump.folder / NAME
    before = path.read_bytes() if path.is_file() else None
    title = f"Changelog of the {CATALOGUE}" if bump.name == CATALOGUE else f"Changelog of {bump.name}"
    log = Changelog(before, title)
    after = log.with_entry(bump.step.after, wish.day, wish.paragraphs, bump.entry, bump.step.before)
    return Replacement(path, before, after)


def _package(folder: Path, version: str | None, dependencies: Mapping[str, str] | None = None) -> Replacement:
    path = folder / PACKAGE
    before = path.read_bytes()
    document = Document(before)
    if version is not None:
        document = document.set(("version",), version)
    for name, wanted in (dependencies or {}).items():
        document = document.set(("dependencies", name), wanted)
    return Replacement(path, before, document.content)
