"""A new environment: its folder with all that belongs into it, and its place in the catalogue, all at once or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pyrunenv.config.companions import companions, copied_by
from pyrunenv.config.document import Document
from pyrunenv.config.drafts import ARTIFACT, ENTRIES, config, copied_package, fresh_package, most, readme
from pyrunenv.config.naming import assumed_prefix, check_new, common_prefix, prefix_of
from pyrunenv.config.problems import KeyPath
from pyrunenv.config.workspace import CATALOGUE, OWN, PACKAGE, PREFIX, SHARED, natural
from pyrunenv.errors import UsageError, WriteError
from pyrunenv.files import remove_tree, write_atomic
from pyrunenv.platforms import PLATFORMS, Platform

if TYPE_CHECKING:
    from pyrunenv.config.workspace import Environment, Workspace

README = "README.md"
FIRST_VERSION = "0.1.0"

_LONGEST_NAME = 214  # https://docs.npmjs.com/cli/configuring-npm/package-json#name


@dataclass(frozen=True)
class Catalogue:
    """The catalogue's package.json, before and after."""

    path: Path
    before: bytes
    after: bytes

    def write(self) -> None:
        """Replace it; raises WriteError, also where it is another by now."""
        if self.path.read_bytes() != self.before:
            raise WriteError(f"{self.path} was changed by somebody else meanwhile", hint="nothing was made; try again")
        write_atomic(self.path, self.after)


@dataclass(frozen=True)
class Scaffold:
    """What is to be made. ``files`` and ``copies`` (contents, sources) go by posix path below ``folder``."""

    folder: Path
    full_version: str
    python_version: str
    name: str
    platforms: tuple[Platform, ...]
    files: Mapping[str, bytes]
    copies: Mapping[str, Path]
    catalogue: Catalogue | None
    said: tuple[str, ...]
    """What was assumed, and what is still to do, in sentences."""

    def write(self) -> None:
        """Make it; on any failure nothing of it is left. Raises WriteError.

        To be called where nobody else makes an environment at the same time.
        """
        for left in self.folder.parent.glob(f".{self.folder.name}.*.tmp"):
            remove_tree(left)
        building = self.folder.with_name(f".{self.folder.name}.{uuid4().hex[:12]}.tmp")
        try:
            self._fill(building)
            if os.path.lexists(self.folder):
                raise WriteError(
                    f"{self.folder} was made by somebody else meanwhile", hint="look at it; nothing was made"
                )
            building.rename(self.folder)
            try:
                if self.catalogue is not None:
                    self.catalogue.write()
            except BaseException:
                # by its old name first: half an environment must not look like one
                self.folder.rename(building)
                raise
        except OSError as error:
            remove_tree(building)
            raise WriteError(
                f"cannot make {self.folder}: {error.strerror or error}",
                notes=[str(error.filename)] if error.filename else [], hint="nothing of it was kept; try again",
            ) from error  # fmt: skip
        except BaseException:
            remove_tree(building)
            raise

    def _fill(self, building: Path) -> None:
        building.mkdir()
        for path, source in self.copies.items():
            place = building / path
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
            place.chmod(0o755 if source.stat().st_mode & 0o111 else 0o644)
        for path, content in self.files.items():
            write_atomic(building / path, content)


def plan(
    workspace: Workspace, full_version: str, source: Environment | None = None, platforms: Sequence[Platform] = ()
) -> Scaffold:
    """Say what a new environment consists of; nothing is written. Raises UsageError for one that cannot be.

    ``source`` is what it starts as a copy of. ``platforms`` are else the source's, or the ones that most others have.
    """
    python_version = check_new(full_version)
    said: list[str] = []
    name = _name(workspace, full_version, source, said)
    _check_free(workspace, full_version, name)
    chosen = tuple(platforms) or _platforms(workspace, source, said)
    package = (
        copied_package(source, full_version, python_version)
        if source is not None
        else fresh_package(workspace, full_version, said)
    )
    package = (
        package.set(("name",), name)
        .set(("version",), FIRST_VERSION)
        .set((*ARTIFACT, "python-version"), python_version)
        .set((*ARTIFACT, "roots"), {p.key: f"./pydist/{p.key}" for p in chosen})
    )
    copies = _copies(workspace, source, said)
    files = {PACKAGE: package.content, OWN: config(workspace, source, said, [p.key for p in chosen])}
    if README not in copies:
        files[README] = readme(full_version, package.value.get("description", "")).encode()
    catalogue = _catalogue(workspace, full_version, name, said)
    return Scaffold(
        workspace.root / f"{PREFIX}{full_version}", full_version, python_version, name, chosen, files,
        {path: place for path, place in copies.items() if path not in files}, catalogue, tuple(said),
    )  # fmt: skip


def _name(workspace: Workspace, full_version: str, source: Environment | None, said: list[str]) -> str:
    prefix = (prefix_of(source) if source is not None else None) or common_prefix(workspace.environments)
    if prefix is None:
        prefix = assumed_prefix(workspace.catalogue_package)
        where = "after the catalogue's" if workspace.catalogue_package else "since there is none to go by"
        said.append(f"the npm name is `{prefix}{full_version}`, {where}: change it in {PACKAGE} where that is wrong")
    name = f"{prefix}{full_version}"
    if len(name) > _LONGEST_NAME:
        raise UsageError(f"the npm name would have {len(name)} letters", hint=f"npm takes {_LONGEST_NAME}: shorten it")
    return name


def _check_free(workspace: Workspace, full_version: str, name: str) -> None:
    """Refuse to be in the way of what is there."""
    folder = workspace.root / f"{PREFIX}{full_version}"
    for environment in workspace.environments:
        if environment.full_version == full_version:
            raise UsageError(
                f"the environment {full_version} exists", notes=[str(folder)],
                hint=f"choose another name, or change it with `pyrunenv add {full_version} REQUIREMENT`",
            )  # fmt: skip
    if os.path.lexists(folder):
        raise UsageError(
            f"{folder} is in the way: it exists, and is no environment",
            hint="move or remove it; what builds left in it goes with `pyrunenv cleanup`",
        )
    for environment in workspace.environments:
        if environment.package.name == name:
            raise UsageError(
                f"`{name}` is the npm name of {environment.folder.name} already",
                hint=f"correct `name` in {environment.folder.name}/{PACKAGE}, or choose another full version",
            )
    catalogue = workspace.catalogue_package
    if catalogue is None:
        return
    shown = f"{CATALOGUE}/{PACKAGE}"
    if catalogue.name == name:
        raise UsageError(f"`{name}` is the catalogue's own npm name", hint="choose another full version")
    if full_version in catalogue.entrypoints:
        raise UsageError(
            f"{shown} has an entry point `{full_version}` already",
            notes=[f"it refers to {catalogue.entrypoints[full_version]}"],
            hint="take it out there first, or choose another full version",
        )
    if name in catalogue.dependencies:
        raise UsageError(
            f"{shown} depends on `{name}` already",
            notes=[f"at `{catalogue.dependencies[name]}`"],
            hint="take it out there first, or choose another full version",
        )


def _platforms(workspace: Workspace, source: Environment | None, said: list[str]) -> tuple[Platform, ...]:
    if source is not None:
        return source.platforms()
    found = most(environment.platforms() for environment in workspace.environments)
    if found is None:
        said.append("it is for all five platforms: take others out of `roots`, or begin again with `--platform`")
    return tuple(PLATFORMS.values()) if found is None else found


def _copies(workspace: Workspace, source: Environment | None, said: list[str]) -> Mapping[str, Path]:
    if source is None:
        needed = sorted(set(copied_by(workspace.shared)))
        if needed:
            said.append(f"still to be put into its folder, since {SHARED} copies them: {', '.join(needed)}")
        return {}
    found = companions(source, workspace.findings.documents.get(f"{source.folder.name}/{OWN}"))
    if found.absent:
        said.append(
            f"not copied, since they are not in {source.folder.name}, or links out of the workspace: {', '.join(found.absent)}"
        )
    return found.files


def _catalogue(workspace: Workspace, full_version: str, name: str, said: list[str]) -> Catalogue | None:
    """The catalogue's package.json with one more entry point and dependency, in order where the others are."""
    catalogue = workspace.catalogue_package
    if workspace.catalogue is None or catalogue is None:
        said.append(f"no catalogue lists it: there is no {CATALOGUE}/{PACKAGE}")
        return None
    path = workspace.catalogue / PACKAGE
    before = path.read_bytes()
    document = Document(before)
    reference = {"reference": f"{name}/dist/tengo/software/main.sw.json"}
    entries, dependencies = list(catalogue.entrypoints), list(catalogue.dependencies)
    after = [key for key in entries if natural(key) > natural(full_version)]
    document = _placed(
        document, (*ENTRIES, full_version), reference, after if entries == sorted(entries, key=natural) else []
    )
    after = [key for key in dependencies if key > name] if dependencies == sorted(dependencies) else []
    return Catalogue(path, before, _placed(document, ("dependencies", name), _range(workspace), after).content)


def _placed(document: Document, path: KeyPath, value: Any, after: Sequence[str]) -> Document:
    return document.insert(path, value, after[0]) if after else document.set(path, value)


def _range(workspace: Workspace) -> str:
    """How the catalogue depends on an environment: by its exact version, or as pnpm's workspaces do."""
    catalogue = workspace.catalogue_package
    given = catalogue.dependencies if catalogue is not None else {}
    found = most(given.get(e.package.name, FIRST_VERSION) for e in workspace.environments)
    return found if found in ("workspace:*", "workspace:^", "workspace:~") else FIRST_VERSION
