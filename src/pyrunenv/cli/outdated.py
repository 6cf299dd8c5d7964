"""``pyrunenv outdated``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console


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
    found = newer(options.targets_of(chosen, options.chosen_platforms(platform), console))
    if as_json:
        console.result(json.dumps([asdict(entry) for entry in found], indent=2, default=str))
        return 0
    rows = []
    for entry in found:
        lacking = [
            f"{key} (source)" if how == "source" else key for key, how in entry.platforms.items() if how != "wheel"
        ]
        everywhere = str(entry.everywhere) if entry.everywhere else "-"
        rows.append(
            (
                entry.environment,
                entry.name,
                str(entry.current),
                str(entry.newest),
                everywhere,
                ", ".join(lacking) or "-",
            )
        )
    if rows:
        console.table(("environment", "root", "now", "newest", "everywhere", "newest has no wheel on"), rows)
    else:
        console.note("every root has its newest version")
    return 0
