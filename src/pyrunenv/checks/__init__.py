"""Everything that is wrong in a workspace's files, at once: what loading them finds, and what only a second look shows.

Nothing is downloaded, nothing is written, and a lock is only read for names.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from pathlib import Path

from pyrunenv.checks import catalogue, environments, files, locks, written
from pyrunenv.checks.finding import Finding, Level, located
from pyrunenv.config.problems import Problem
from pyrunenv.config.workspace import CATALOGUE, PREFIX, SHARED, Workspace, read_workspace
from pyrunenv.errors import UsageError

__all__ = ["Finding", "Level", "check_catalogue", "check_workspace"]


def check_workspace(root: Path, patterns: Sequence[str] = (), start: Path | None = None) -> list[Finding]:
    """Return what is wrong in a workspace, sorted by file and place: errors and warnings.

    ``patterns`` name environments as everywhere else, broken ones included: then only their files are told about, and
    what they share. Raises UsageError for a pattern that names none.
    """
    workspace = read_workspace(root)
    folders = _chosen(workspace, patterns, start or root)
    found = workspace.findings
    errors = [*found.problems, *files.errors(workspace), *environments.errors(workspace)]
    broken = {problem.file for problem in errors}
    warnings = [*found.warnings, *written.warnings(found.documents), *environments.warnings(workspace)]
    if not broken:
        warnings += locks.warnings(workspace)
        warnings += catalogue.warnings(workspace)
    told = {(problem.file, problem.path) for problem in errors}
    findings: list[tuple[Level, Problem]] = [("error", problem) for problem in errors]
    for problem in warnings:
        # one finding a place: what is wrong there first, then what was noticed first
        if (problem.file, problem.path) not in told or not problem.path:
            told.add((problem.file, problem.path))
            findings.append(("warning", problem))
    wanted = (item for item in dict.fromkeys(findings) if folders is None or item[1].file.partition("/")[0] in folders)
    return located(workspace.root, wanted)


def check_catalogue(workspace: Workspace) -> list[Finding]:
    """Return where the catalogue and the environments disagree, all of it as errors: it must not be published so."""
    return located(workspace.root, (("error", problem) for problem in catalogue.warnings(workspace)))


def _chosen(workspace: Workspace, patterns: Sequence[str], start: Path) -> set[str] | None:
    """Return the folders to tell about, the shared file and the catalogue among them; None for all."""
    common = {SHARED, CATALOGUE}
    sound = {environment.folder.name for environment in workspace.environments}
    broken = {folder.name for folder in workspace.root.glob(f"{PREFIX}*") if folder.is_dir()} - sound
    if not patterns:
        around = [name for name in sound | broken if start.is_relative_to((workspace.root / name).resolve())]
        return {*around, *common} if around else None
    chosen: set[str] = set()
    for pattern in patterns:
        word = os.path.basename(pattern.rstrip("/"))  # noqa: PTH119 - a pattern, not a path
        names = {name for name in broken if fnmatch.fnmatchcase(name, word) or fnmatch.fnmatchcase(name, PREFIX + word)}
        try:
            names |= {environment.folder.name for environment in workspace.select([pattern], start)}
        except UsageError:
            if not names:
                raise
        chosen |= names
    return chosen | common
