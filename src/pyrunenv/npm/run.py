"""Publishing to npm: first everything is looked at, then the environments are put, then the catalogue that names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import semver

from pyrunenv.errors import NpmError, PublishError, UsageError
from pyrunenv.npm.contents import ManifestOf, Refused, catalogue_tarball, environment_tarball
from pyrunenv.npm.tarball import Tarball, integrity, unpack
from pyrunenv.publish.descriptors import exact_version

if TYPE_CHECKING:
    from pyrunenv.config.package import Package
    from pyrunenv.config.workspace import Environment, Workspace
    from pyrunenv.npm.documents import Packument, Version
    from pyrunenv.npm.registry import Registry

CheckPublished = Callable[["Package"], Sequence[str]]
"""Returns why the archives of a package are not all in storage; nothing where they are."""
State = Literal["to publish", "published", "there already"]

_THREADS = 8
_SHOWN = 8  # files that differ


@dataclass(frozen=True)
class Planned:
    """One package, where it goes, under which tag, and how far that is."""

    tarball: Tarball
    registry: Registry
    tag: str
    state: State


@dataclass
class NpmReport:
    """What a run came to: all that was planned, and what ended it early."""

    packages: list[Planned] = field(default_factory=list)
    failure: NpmError | None = None


def chosen(workspace: Workspace, patterns: Sequence[str], start: Path) -> tuple[tuple[Environment, ...], bool]:
    """Return the environments that are meant, and whether the catalogue is: with all of them, or by its own name."""
    folder, catalogue = workspace.catalogue, workspace.catalogue_package
    if folder is None or catalogue is None:
        return workspace.select(patterns, start), False
    names = {catalogue.name, folder.name}
    others = [pattern for pattern in patterns if pattern.rstrip("/") not in names]
    if len(others) < len(patterns) or (not patterns and start.resolve().is_relative_to(folder.resolve())):
        return workspace.select(others, start) if others else (), True
    found = workspace.select(patterns, start)
    return found, not patterns and len(found) == len(workspace.environments)


def tarballs(
    workspace: Workspace, environments: Sequence[Environment], *, catalogue: bool,
    manifest_of: ManifestOf, check_published: CheckPublished = lambda _: (),
) -> list[Tarball]:  # fmt: skip
    """Return the packages of environments, and then the catalogue's if wanted.

    Raises PublishError with every reason why one of them cannot be published.
    """
    packages = [environment.package for environment in workspace.environments]

    def made(environment: Environment) -> Tarball | list[str]:
        missing = list(check_published(environment.package))
        try:
            tarball = environment_tarball(environment, packages, manifest_of)
        except Refused as refused:
            return [*refused.reasons, *missing]
        return missing or tarball

    with ThreadPoolExecutor(_THREADS, "npm") as threads:
        found = list(threads.map(made, environments))
    if catalogue and workspace.catalogue and workspace.catalogue_package:
        versions = {e.package.name: e.python_version for e in workspace.environments}
        try:
            found.append(catalogue_tarball(workspace.catalogue, workspace.catalogue_package, packages, versions))
        except Refused as refused:
            found.append(list(refused.reasons))
    if refused_for := [reason for reasons in found if isinstance(reasons, list) for reason in reasons]:
        raise PublishError(
            "there are packages that cannot be published as they are", notes=refused_for,
            hint="`pyrunenv build --locked`, then `pyrunenv publish`; nothing was sent to npm",
        )  # fmt: skip
    return [tarball for tarball in found if isinstance(tarball, Tarball)]


def plan(
    tarballs: Sequence[Tarball], registry_of: Callable[[str, Mapping[str, object]], Registry], *, tag: str | None = None
) -> list[Planned]:
    """Compare packages with what registries have; raises NpmError with every one that must not be published.

    ``registry_of`` takes a package's name and its ``publishConfig``. What a package depends on must be in the registry,
    or stand before it.
    """
    _check_tag(tag)
    planned: list[Planned] = []
    problems: list[NpmError] = []
    for tarball in tarballs:
        config = _publish_config(tarball)
        registry = registry_of(tarball.name, config)
        packument = registry.packument(tarball.name)
        try:
            there = is_there(registry, tarball, packument)
            own = tag or config.get("tag")
            if not there:
                _check_newest(tarball, packument, own)
                _check_dependencies(tarball, planned, registry_of)
        except NpmError as error:
            problems.append(error)
        else:
            planned.append(Planned(tarball, registry, str(own or "latest"), "there already" if there else "to publish"))
    if len(problems) > 1:
        notes = [line for p in problems for line in (p.message, *(f"  {note}" for note in p.notes))]
        hints = dict.fromkeys(p.hint for p in problems if p.hint)
        raise NpmError("there are packages that must not be published", notes=notes, hint="; ".join(hints) or None)
    if problems:
        raise problems[0]
    return planned


def publish(planned: Sequence[Planned], *, access: str | None = None) -> NpmReport:
    """Put what is to be put, in that order; the first failure ends it, and so the catalogue is put after all others."""
    report = NpmReport()
    try:
        for registry in {p.registry.url: p.registry for p in planned if p.state == "to publish"}.values():
            registry.require_login()
        for package in planned:
            report.packages.append(_publish(package, access))
    except NpmError as error:
        report.failure = error
        report.packages += planned[len(report.packages) :]
    return report


def is_there(registry: Registry, tarball: Tarball, packument: Packument) -> bool:
    """Whether a registry has this version; raises NpmError where it has it with other content."""
    version = packument.versions.get(tarball.version)
    if version is None:
        return False
    if tarball.integrity in version.integrity.split():
        return True
    content = registry.tarball(tarball.name, version)
    _check_digest(content, version, tarball, registry)
    files = unpack(content, f"{tarball} of {registry.url}")
    if files == tarball.files:  # packed by another program
        return True
    raise NpmError(
        f"{tarball} is in {registry.url} already, with other content",
        notes=[f"there: {version.integrity or version.shasum}", f"here: {tarball.integrity}",
               *_differences(files, tarball.files)],
        hint="a published version never changes: bump the version in package.json",
    )  # fmt: skip


def _publish(package: Planned, access: str | None) -> Planned:
    tarball, registry = package.tarball, package.registry
    if package.state == "there already":
        return package
    asked = access or _publish_config(tarball).get("access")
    if asked == "restricted" and not tarball.name.startswith("@"):
        raise NpmError(f"{tarball.name} has no scope, and only packages with one can be restricted")
    ours = registry.publish(
        tarball, tag=package.tag, access=str(asked) if asked else None,
        is_there=lambda: is_there(registry, tarball, registry.packument(tarball.name)),
    )  # fmt: skip
    return replace(package, state="published" if ours else "there already")


def _publish_config(tarball: Tarball) -> Mapping[str, object]:
    config = tarball.manifest.get("publishConfig")
    return config if isinstance(config, dict) else {}


def _check_tag(tag: str | None) -> None:
    """npm takes what looks like a version for one: such a tag could never be asked for."""
    if tag is not None and (not re.fullmatch(r"[A-Za-z][\w.~-]*", tag) or re.fullmatch(r"[vV]\d.*|[xX]", tag)):
        raise UsageError(f"`{tag}` is no tag", hint="a tag is a word like `next`, and nothing that reads as a version")


def _check_newest(tarball: Tarball, packument: Packument, tag: object) -> None:
    """Without a tag a version becomes `latest`, which must not go back; as in npm 11."""
    if tag is not None:
        return
    version = semver.Version.parse(tarball.version)
    if version.prerelease:
        raise NpmError(f"{tarball} is a pre-release, which must not become `latest`", hint="give --tag next")
    released = [semver.Version.parse(text) for text, known in packument.versions.items()
                if semver.Version.is_valid(text) and not known.deprecated]  # fmt: skip
    newest = max((found for found in released if not found.prerelease), default=None)
    if newest is not None and newest > version:
        raise NpmError(
            f"{tarball} would become `latest`, and {newest} is published already",
            hint="bump the version, or give --tag with another tag",
        )


def _check_dependencies(
    tarball: Tarball, before: Sequence[Planned], registry_of: Callable[[str, Mapping[str, object]], Registry]
) -> None:
    known = {(p.tarball.name, p.tarball.version) for p in before}
    missing = []
    for name, given in (tarball.manifest.get("dependencies") or {}).items():
        version = exact_version(str(given), None)
        if version is None or (name, version) in known:
            continue
        registry = registry_of(name, _publish_config(tarball))
        if version not in registry.packument(name).versions:
            missing.append(f"{name} {version} is not in {registry.url}")
    if missing:
        raise NpmError(
            f"{tarball} depends on what is not published", notes=missing,
            hint="publish them first; without arguments `pyrunenv npm publish` does all in order",
        )  # fmt: skip


def _check_digest(content: bytes, version: Version, tarball: Tarball, registry: Registry) -> None:
    sri = next((word for word in version.integrity.split() if word.startswith("sha512-")), None)
    if sri is not None and integrity(content) != sri:
        raise NpmError(
            f"the tarball of {tarball} that {registry.url} sends is not the one that it tells of",
            notes=[f"told: {sri}", f"sent: {integrity(content)}"],
            hint="run again; if it stays so, ask who runs the registry",
        )


def _differences(there: Mapping[str, bytes], here: Mapping[str, bytes]) -> list[str]:
    found = [
        f"{path}: {'only there' if path not in here else 'only here' if path not in there else 'differs'}"
        for path in sorted({*there, *here}) if there.get(path) != here.get(path)
    ]  # fmt: skip
    return found[:_SHOWN] + ([f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else [])
