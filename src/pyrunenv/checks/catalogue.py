"""The catalogue against the environments: entries, references, versions."""

from __future__ import annotations

from collections.abc import Iterator

from pyrunenv.config.problems import KeyPath, Problem
from pyrunenv.config.workspace import CATALOGUE, PACKAGE, Workspace
from pyrunenv.publish.descriptors import depended_version

_ENTRIES: KeyPath = ("block-software", "entrypoints")
_FILE = f"{CATALOGUE}/{PACKAGE}"


def warnings(workspace: Workspace) -> Iterator[Problem]:
    """Yield where the two disagree; nothing where the workspace has no catalogue."""
    catalogue = workspace.catalogue_package
    if catalogue is None:
        return
    by_version = {environment.full_version: environment.package for environment in workspace.environments}
    for full, package in by_version.items():
        expected = f"{package.name}/dist/tengo/software/main.sw.json"
        path = (*_ENTRIES, full)
        if full not in catalogue.entrypoints:
            yield Problem(_FILE, path, f"is missing, expected the reference `{expected}`")
        elif catalogue.entrypoints[full] != expected:
            found = catalogue.entrypoints[full]
            yield Problem(_FILE, (*path, "reference"), f"is `{found}`, and the environment's is `{expected}`")
        version = catalogue.dependencies.get(package.name)
        if depended_version(catalogue, package) != package.version and full in catalogue.entrypoints:
            said = f"is `{version}`" if version else "is missing"
            yield Problem(
                _FILE, ("dependencies", package.name), f"{said}, and {full} has the version `{package.version}`"
            )
    names = {package.name for package in by_version.values()}
    for public, reference in catalogue.entrypoints.items():
        if public in by_version:
            continue
        package_name = reference.partition("/dist/")[0]
        if package_name in names:
            continue
        yield Problem(_FILE, (*_ENTRIES, public), "is no environment of this workspace")
    referenced = {reference.partition("/dist/")[0] for reference in catalogue.entrypoints.values()}
    for name in catalogue.dependencies:
        if name not in referenced:
            yield Problem(_FILE, ("dependencies", name), "is no entry point's package")
