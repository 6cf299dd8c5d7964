"""``pyrunenv cleanup``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console, set_verbosity
from pyrunenv.errors import UsageError
from pyrunenv.units import size

if TYPE_CHECKING:
    from pyrunenv.cleanup import Cleaned

# What is kept in one place is named up to here, and all of it with -v.
_NAMED = 10


def cleanup(
    environments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ENV]...",
            autocompletion=options.environments_here,
            help="A full version, a folder, an npm name, or a glob. Default: this folder's.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All environments, and the catalogue's dist/.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Remove what builds left: pydist/, archives, dist/, build/, and what killed builds left half done.

    Locks, configs and the download cache stay, and so does every file that no build made; it is named.
    """
    from pyrunenv.cleanup import clean, places
    from pyrunenv.config.workspace import find_root

    console = Console()
    set_verbosity(verbose, quiet)
    if everything and environments:
        raise UsageError("--all and ENV exclude each other", hint="leave one of them out")
    start = (folder or Path()).resolve()
    results = []
    for place in places(find_root(start), environments or (), start, everything=everything):
        result = clean(place, dry_run=dry_run)
        results.append(result)
        _tell_kept(result, console, verbose)
    _table(results, console, dry_run)
    errors = [result.error for result in results if result.error is not None]
    for error in errors:
        console.error(error)
    if dry_run:
        console.note("nothing was removed (--dry-run)")
    return errors[-1].exit_status if errors else 0


def _tell_kept(result: Cleaned, console: Console, verbose: int) -> None:
    shown = result.kept if verbose else result.kept[:_NAMED]
    for path in shown:
        console.note(f"kept in {result.name}: {path} (no build made it)")
    if more := len(result.kept) - len(shown):
        console.note(f"kept in {result.name}: {more} more (-v names them)")


def _table(results: list[Cleaned], console: Console, dry_run: bool) -> None:
    done = [result for result in results if result.files]
    if not done and not any(result.error for result in results):
        console.note("there is nothing to remove")
    elif done and not console.quiet:
        rows = [(result.name, str(result.files), size(result.freed)) for result in done]
        if len(done) > 1:
            rows.append(("in all", str(sum(r.files for r in done)), size(sum(r.freed for r in done))))
        console.table(("environment", "files", "would free" if dry_run else "freed"), rows, right=(1, 2))
