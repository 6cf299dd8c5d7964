"""``pyrunenv outdated``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console

if TYPE_CHECKING:
    from pyrunenv.lock.newer import Newer


def outdated(
    environments: options.Environments = None,
    platform: options.Platforms = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    folder: options.Folder = None,
    lenient: options.Lenient = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Show roots with newer versions, and on which platforms those have wheels.

    `everywhere` is the newest version with a wheel on all platforms of the root.
    """
    from pyrunenv.lock.newer import newer

    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet, lenient=lenient)
    chosen = workspace.select(environments or (), start)
    targets = options.targets_of(chosen, options.chosen_platforms(platform), console)
    outcome = newer(targets)
    for environment, requirement in outcome.unknown:
        console.note(
            f"{environment}: `{requirement}` names no version and is not locked: run `pyrunenv lock {environment}`"
        )
    for name in outcome.absent:
        console.warn(f"no registry has any file of `{name}`")
    if as_json:
        console.result(json.dumps([asdict(entry) for entry in outcome.newer], indent=2, default=str))
    elif outcome.newer:
        columns = ("environment", "root", "now", "newest", "everywhere", "newest has no wheel on")
        console.table(columns, [_row(entry) for entry in outcome.newer])
    elif targets and not (outcome.unknown or outcome.absent):
        console.note("every root has its newest version")
    return 0


def _row(entry: Newer) -> tuple[str, ...]:
    lacking = [f"{key} (source)" if how == "source" else key for key, how in entry.platforms.items() if how != "wheel"]
    everywhere = str(entry.everywhere or "-")
    versions = (str(entry.current), str(entry.newest), everywhere)
    return (entry.environment, entry.name, *versions, ", ".join(lacking) or "-")
