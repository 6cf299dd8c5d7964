"""``pyrunenv diff``, and how differences look."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.lock.difference import Difference
from pyrunenv.units import signed


class Format(StrEnum):
    """How a difference is printed."""

    table = "table"
    markdown = "markdown"
    json = "json"


def diff(
    environment: Annotated[
        str,
        typer.Argument(
            metavar="ENV", autocompletion=options.environments_here, help="A full version, a folder, a name."
        ),
    ],
    before: Annotated[str, typer.Argument(metavar="[A]", help="The older state. Default: the last commit.")] = "HEAD",
    after: Annotated[str, typer.Argument(metavar="[B]", help="The newer state. Default: what lies there now.")] = ".",
    form: Annotated[
        Format, typer.Option("--format", metavar="table|markdown|json", help="How to print it.")
    ] = Format.table,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Show what changed between two states of an environment: packages, versions, bytes on each platform.

    A state is a git revision, a version of the environment (1.4.0), a lock, a manifest, or a folder with locks.
    """
    from pyrunenv.history import state
    from pyrunenv.lock.difference import compare

    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet)
    chosen = options.only_one(workspace, environment, start)
    found = compare(chosen.full_version, state(chosen, before), state(chosen, after))
    if form is Format.json:
        console.result(json.dumps(asdict(found), indent=2))
    elif not found.changes:
        console.note(f"nothing changed in {chosen.full_version}")
    elif form is Format.markdown:
        console.result(markdown(found))
    else:
        show(found, console)
    return 0


def show(difference: Difference, console: Console) -> None:
    """Print a difference as a table, with the growth on each platform."""
    console.result(f"changed in {difference.environment}:")
    columns, rows = _cells(difference)
    console.table(columns, rows, right=range(3, len(columns)))


def markdown(difference: Difference) -> str:
    """Return a difference as a table in Markdown."""
    columns, rows = _cells(difference)
    dashes = ["---"] * 3 + ["---:"] * (len(columns) - 3)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, dashes, *rows))


def _cells(difference: Difference) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    platforms = list(difference.bytes)
    rows = [
        (c.name, ", ".join(c.before) or "-", ", ".join(c.after) or "-",
         *(signed(c.bytes[key]) if key in c.bytes else "" for key in platforms))
        for c in difference.changes
    ]  # fmt: skip
    rows.append(("in all", "", "", *(signed(difference.bytes[key]) for key in platforms)))
    return ("package", "before", "after", *platforms), rows
