"""``pyrunenv list``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.state import TargetState, state_of
from pyrunenv.units import size


def list_environments(
    environments: options.Environments = None,
    platform: options.Platforms = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    folder: options.Folder = None,
    lenient: options.Lenient = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Show environments by platforms: how far they are, what they hold, how big, how old.

    States: no lock, stale lock, locked, built, packed; an outdated build is of another lock, an altered bundle was changed by hand.
    """
    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet, lenient=lenient)
    chosen = workspace.select(environments or (), start)
    states = [state_of(target) for target in options.targets_of(chosen, options.chosen_platforms(platform), console)]
    if as_json:
        console.result(json.dumps([state.to_json() for state in states], indent=2))
        return 0
    now = datetime.now(UTC)
    rows = [_row(state, now) for state in states]
    columns = ("environment", "platform", "state", "roots", "wheels", "download", "bundle", "archive", "age")
    console.table(columns, rows, right=range(3, 9))
    return 0


def _row(state: TargetState, now: datetime) -> tuple[str, ...]:
    contents = state.contents
    counts = (contents.roots, contents.wheels) if contents else (None, None)
    sizes = (contents.wheel_bytes if contents else None, state.bundle_bytes, state.archive_bytes)
    return (
        state.environment,
        state.platform,
        state.state,
        *("-" if count is None else str(count) for count in counts),
        *("-" if number is None else size(number) for number in sizes),
        age((now - state.changed).total_seconds()) if state.changed else "-",
    )


def age(seconds: float) -> str:
    """Return a time that has passed as a person reads it: its largest unit alone."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "now"
