"""A new environment in a workspace: planned as a whole, then written as a whole."""

from __future__ import annotations

import copy
import json
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyrunenv.config.document import Document
from pyrunenv.config.workspace import (
    CATALOGUE,
    HIGHEST_MINOR,
    LOWEST_MINOR,
    OWN,
    PACKAGE,
    PREFIX,
    Environment,
    Workspace,
    python_version,
)
from pyrunenv.errors import UsageError, WriteError
from pyrunenv.files import remove_tree, write_atomic
from pyrunenv.platforms import PLATFORMS, Platform

_FULL_VERSION = re.compile(r"^\d+\.\d+\.\d+(?:-[0-9a-z][0-9a-z._-]*)?$")
_FIRST_VERSION = "0.1.0"
_REGISTRY = "platforma-open"


@dataclass(frozen=True)
class Scaffold:
    """Everything that a new environment adds. ``files`` are texts, ``copies`` paths below the folder it is made from."""

    root: Path
    full_version: str
    python_version: str
    package_name: str
    platforms: tuple[Platform, ...]
    files: dict[str, str]
    source: Path | None = None
    copies: tuple[str, ...] = ()
    catalogue: bytes | None = None
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.root / f"{PREFIX}{self.full_version}"

    def write(self) -> None:
        """Write the folder in one step, then the catalogue; raises WriteError, and then nothing is left."""
        # a name that `cleanup` knows, should we be killed
        made = self.root / f".{self.folder.name}.{secrets.token_hex(6)}.tmp"
        try:
            made.mkdir()
            for name, text in self.files.items():
                (made / name).write_text(text, encoding="utf-8")
            for name in self.copies:
                assert self.source is not None
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                if (self.source / name).is_dir():
                    shutil.copytree(self.source / name, made / name, symlinks=True, dirs_exist_ok=True)
                else:
                    shutil.copy2(self.source / name, made / name)
            # a folder takes the place of an empty one alone, so that a race between two is lost by the second
            made.rename(self.folder)
            made = self.folder
            if self.catalogue is not None:
                write_atomic(self.root / CATALOGUE / PACKAGE, self.catalogue)
        except (OSError, shutil.Error) as error:
            remove_tree(made)
            reason = getattr(error, "strerror", None) or str(error)
            raise WriteError(f"{self.folder} cannot be made: {reason}", hint="nothing was changed") from None
        except BaseException:
            remove_tree(made)
            raise


def plan(
    workspace: Workspace, full_version: str, like: Environment | None = None, platforms: Sequence[Platform] = ()
) -> Scaffold:
    """Plan an environment; ``like`` is the one to start from. Raises UsageError where it cannot be, or is there already."""
    version = _checked(workspace, full_version)
    template = like or (workspace.environments[-1] if workspace.environments else None)
    said: list[str] = []
    name = _npm_name(workspace, full_version, said)
    for other in workspace.environments:
        if other.package.name == name:
            raise UsageError(
                f"{other.folder.name} has the npm name `{name}` already", hint="take another variant's name"
            )
    chosen = tuple(platforms) or (like.platforms() if like else tuple(PLATFORMS.values()))
    package = _package(template, like, full_version, version, name, chosen, said)
    catalogue = _catalogue(workspace, full_version, name, said)
    config = _config(workspace, like)
    files = {
        PACKAGE: _dump(package),
        "README.md": f"# Python {full_version}\n\n{package['description']}.\n",
        **({OWN: config} if config is not None else {}),
    }
    copies = _named_files(like, workspace) if like else ()
    return Scaffold(
        workspace.root,
        full_version,
        version,
        name,
        chosen,
        files,
        like.folder if like else None,
        copies,
        catalogue,
        said,
    )


def name_pattern(workspace: Workspace) -> str | None:
    """Return what most npm names of environments have before the full version."""
    found = Counter(
        e.package.name.removesuffix(e.full_version)
        for e in workspace.environments
        if e.package.name.endswith(f"-{e.full_version}")
    )
    return found.most_common(1)[0][0] if found else None


def _checked(workspace: Workspace, full_version: str) -> str:
    """Return the Python version of a full version that is not taken yet."""
    if not _FULL_VERSION.match(full_version):
        raise UsageError(
            f"`{full_version}` is not a full version",
            hint="write Python's version, then a variant's name in lower case if it has one: `3.12.10`, `3.12.10-cuda`",
        )
    version = full_version.partition("-")[0]
    if python_version(version) is None:
        raise UsageError(
            f"Python {version} cannot be built", hint=f"take one from 3.{LOWEST_MINOR} to 3.{HIGHEST_MINOR}, as X.Y.Z"
        )
    folder = workspace.root / f"{PREFIX}{full_version}"
    if os.path.lexists(folder):
        raise UsageError(f"{folder} is there already", hint="nothing was changed; take another variant's name")
    catalogue = workspace.catalogue_package
    if catalogue is not None and full_version in catalogue.entrypoints:
        raise UsageError(
            f"the catalogue has an entry `{full_version}` already",
            notes=[f"it is `{catalogue.entrypoints[full_version]}`"],
            hint=f"take it out of {CATALOGUE}/{PACKAGE} first, if the environment is gone",
        )
    return version


def _npm_name(workspace: Workspace, full_version: str, said: list[str]) -> str:
    pattern = name_pattern(workspace)
    if pattern is None:
        catalogue = workspace.catalogue_package
        base = re.sub(r"-\d+$", "", catalogue.name) if catalogue else f"{_slug(workspace.root.name)}.runenv-python"
        pattern = f"{base}-"
        said.append(
            f"no environment here to take the npm name from: `{pattern}{full_version}` is a guess, see {PACKAGE}"
        )
    return f"{pattern}{full_version}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9~._-]+", "-", text.lower()).strip("-._") or "workspace"


def _package(
    template: Environment | None, like: Environment | None, full: str, version: str, name: str,
    platforms: Iterable[Platform], said: list[str],
) -> dict[str, Any]:  # fmt: skip
    """The package.json: the template's keys in their order, and the new environment's values."""
    if template is None:
        said.append(f"no environment here to take the binary registry from: `{_REGISTRY}` is a guess, see {PACKAGE}")
    raw: dict[str, Any] = copy.deepcopy(dict(template.package.raw)) if template else {"files": ["dist/"]}
    description = f"Python {full} run environment for Platforma Backend"
    if template and template.full_version in template.package.description:
        described = template.package.description.replace(template.full_version, full)
        description = described if like else f"Python {full} run environment"
    top = {"name": name, "version": _FIRST_VERSION, "description": description}
    raw = {**top, **{key: value for key, value in raw.items() if key not in top}}
    artifact = raw.setdefault("block-software", {}).setdefault("entrypoints", {}).setdefault("main", {})
    artifact = artifact.setdefault("environment", {}).setdefault("artifact", {})
    if template is None:
        artifact.update({"type": "environment", "runtime": "python", "registry": _REGISTRY})
    artifact["python-version"] = version
    artifact["roots"] = {platform.key: f"./pydist/{platform.key}" for platform in platforms}
    artifact.setdefault("binDir", "bin")
    return raw


def _config(workspace: Workspace, like: Environment | None) -> str | None:
    if like is not None:
        path = like.folder / OWN
        return path.read_text(encoding="utf-8") if path.exists() else None
    config: dict[str, Any] = {}
    schema = workspace.shared.schema_uri
    if schema:
        config["$schema"] = schema if re.match(r"^[a-z]+:|^/", schema) else f"../{schema}"
    # without a list of its own it has the shared roots
    config["packages"] = {} if workspace.shared.packages.dependencies else {"dependencies": []}
    return _dump(config)


def _named_files(like: Environment, workspace: Workspace) -> tuple[str, ...]:
    """What the config of an environment names below its folder, as far as it is there."""
    named: list[str] = []
    for config in (like.own, workspace.shared):
        if config is None:
            continue
        packages = config.packages
        lists = [packages.copy_files, *(part.copy_files for part in packages.platform_specific.values())]
        named += [item.source for copies in lists for item in copies or ()]
        for by_platform in packages.build_wheel.values():
            for build in by_platform.values():
                named += [*build.patches, *([build.source_dir] if build.source_dir else [])]
    document = workspace.findings.documents.get(f"{like.folder.name}/{OWN}", {})
    for consumer in document.get("consumers", {}).values():
        given = consumer.get("requirements") if isinstance(consumer, dict) else consumer
        named += [given] if isinstance(given, str) else []
    inside = [name.rstrip("/") for name in dict.fromkeys(named) if ".." not in name.split("/")]
    return tuple(name for name in inside if (like.folder / name).exists())


def _catalogue(workspace: Workspace, full_version: str, name: str, said: list[str]) -> bytes | None:
    if workspace.catalogue is None:
        said.append(f"the workspace has no {CATALOGUE}/{PACKAGE}: no entry was made")
        return None
    document = Document((workspace.catalogue / PACKAGE).read_bytes())
    reference = {"reference": f"{name}/dist/tengo/software/main.sw.json"}
    document = document.set(("block-software", "entrypoints", full_version), reference)
    return document.set(("dependencies", name), _FIRST_VERSION).content


def _dump(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
