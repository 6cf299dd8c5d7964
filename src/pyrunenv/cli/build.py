"""``pyrunenv build``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv import platforms
from pyrunenv.build import Builder, BuildReport
from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.cli.lock import failures_of
from pyrunenv.cli.progress import bars, fetching
from pyrunenv.errors import ConfigError, UsageError
from pyrunenv.steps import BuildOptions
from pyrunenv.units import size

if TYPE_CHECKING:
    from pyrunenv.config.workspace import Workspace

CONNECTIONS = 16
SOURCES = ("standalone", "local", "archive")


def build(
    environments: options.Environments = None,
    platform: options.Platforms = None,
    all_platforms: Annotated[
        bool, typer.Option("--all-platforms", help="Every platform an environment lists.")
    ] = False,
    python: Annotated[
        str | None,
        typer.Option("--python", metavar="SOURCE", help="Take the interpreter from: standalone, local, archive."),
    ] = None,
    locked: Annotated[
        bool, typer.Option("--locked", help="Refuse to make a lock; fail where none is current.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Build again what is up to date.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Start nothing more after the first failure.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use what the cache holds; name all that is missing.")
    ] = False,
    jobs: options.Jobs = None,
    folder: options.Folder = None,
    lenient: options.Lenient = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Turn environments into packed bundles with their descriptors; without --platform for this host's platform."""
    if python is not None and python not in SOURCES:
        raise UsageError(f"unknown source `{python}` of the interpreter", hint=f"one of: {', '.join(SOURCES)}")
    if all_platforms and platform:
        raise UsageError("--all-platforms and --platform exclude each other", hint="leave one of them out")
    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet, lenient=lenient)
    wanted = () if all_platforms else options.chosen_platforms(platform) or (platforms.host(),)
    chosen = workspace.select(environments or (), start)
    targets = options.targets_of(chosen, wanted, console)
    if chosen and not targets:
        console.warn("nothing was built: name a platform that is in `roots` of package.json, or use --all-platforms")
    choices = BuildOptions(python, locked, force, fail_fast, jobs)
    rules = [target.config.build for target in targets]
    timeout = max((rule.timeout for rule in rules), default=60.0)
    connections = CONNECTIONS if all(rule.parallel_downloads for rule in rules) else 1
    with (
        bars(console) as shown,
        fetching(timeout=timeout, connections=connections, offline=offline, bars=shown) as (cache, fetcher),
    ):
        report = Builder(cache, fetcher, choices, shown).run(targets)
    _describe_catalogue(workspace, console)
    _summary(report, console)
    return 0 if report.ok else _failed(report, console)


def _describe_catalogue(workspace: Workspace, console: Console) -> None:
    """Write the catalogue's descriptors; what it refers to in vain is a warning until it is published."""
    from pyrunenv.publish.descriptors import write_catalogue

    if workspace.catalogue is None or workspace.catalogue_package is None:
        return
    versions = {e.package.name: e.python_version for e in workspace.environments}
    packages = [e.package for e in workspace.environments]
    try:
        write_catalogue(workspace.catalogue, workspace.catalogue_package, packages, versions)
    except ConfigError as error:
        console.warn(error.message, error.notes)


def _summary(report: BuildReport, console: Console) -> None:
    if console.quiet or not report.built:
        return
    rows = [
        (
            b.target.environment.full_version, b.target.platform.key, "up to date" if b.reused else "built",
            size(b.bundle_size), size(b.archive_size), str(b.archive),
        )
        for b in report.built
    ]  # fmt: skip
    console.table(("environment", "platform", "state", "bundle", "archive", "file"), rows, right=(3, 4))


def _failed(report: BuildReport, console: Console) -> int:
    for target in report.not_started:
        console.warn(f"{target} was not started")
    for error in failures_of(report.failures, report.missing):
        console.error(error)
    return 1
