"""Files that configs name: ``copyFiles`` sources, ``buildWheel`` source folders and patches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyrunenv.bundle.copyfiles import problems_of
from pyrunenv.config.problems import KeyPath, Problem
from pyrunenv.config.schema import Config, CopyFile
from pyrunenv.config.workspace import OWN, SHARED, Environment, Workspace
from pyrunenv.errors import SourceError
from pyrunenv.lock.sources import find_named, find_source_dir
from pyrunenv.platforms import PLATFORMS


def errors(workspace: Workspace) -> Iterator[Problem]:
    """Yield what cannot be copied or built with, where it is said; of the shared file for the environments it fails in."""
    missing: dict[tuple[KeyPath, str], list[str]] = {}
    for environment in workspace.environments:
        for file, config in ((f"{environment.folder.name}/{OWN}", environment.own), (SHARED, workspace.shared)):
            written = workspace.findings.documents.get(file, {})
            for path, message in _of(config, environment, written) if config else ():
                if file == SHARED:
                    missing.setdefault((path, message), []).append(environment.folder.name)
                else:
                    yield Problem(file, path, message)
    for (path, message), folders in missing.items():
        yield Problem(SHARED, path, f"{message} (in {', '.join(dict.fromkeys(folders))})")


def _of(config: Config, environment: Environment, written: Any) -> Iterator[tuple[KeyPath, str]]:
    """Yield (key path, what is wrong) for what one file says, in one environment's folder; ``written`` is its JSON."""
    packages, listed = config.packages, environment.platforms()
    for item in packages.copy_files or ():
        told = dict.fromkeys(
            text
            for platform in listed
            for text in problems_of(item, environment.folder, platform, environment.python_version)
        )
        for text in told:
            yield _place(item, written, "packages", "copyFiles"), text
    for key, part in packages.platform_specific.items():
        for item in part.copy_files or ():
            for text in problems_of(item, environment.folder, PLATFORMS[key], environment.python_version):
                yield _place(item, written, "packages", "platformSpecific", key, "copyFiles"), text
    for name, by_platform in packages.build_wheel.items():
        if config is not environment.own and environment.own and name in environment.own.packages.build_wheel:
            continue
        for key, build in by_platform.items():
            path: KeyPath = ("packages", "buildWheel", name, key)
            named = [((*path, "sourceDir"), build.source_dir)] if build.source_dir else []
            named += [((*path, "patches", index), patch) for index, patch in enumerate(build.patches)]
            for place, name in named:
                try:
                    find_source_dir(name, environment.folder) if place[-1] == "sourceDir" else find_named(
                        name, environment.folder
                    )
                except SourceError as error:
                    yield place, "; ".join((error.message, *error.notes)).replace(f"{environment.folder.parent}/", "")


def _place(item: CopyFile, written: Any, *path: str) -> KeyPath:
    """Where an entry stands in its file, whose list may hold others that the schema refused."""
    for step in path:
        written = written[step]
    said = (item.source, item.to)
    return (*path, next(n for n, raw in enumerate(written) if _said(raw) == said))


def _said(raw: Any) -> tuple[Any, Any]:
    return (raw.get("from"), raw.get("to")) if isinstance(raw, dict) else (None, None)
