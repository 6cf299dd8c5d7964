"""``pyrunenv config``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.errors import UsageError

app = typer.Typer(help="Look at the configuration.", no_args_is_help=True)


@app.command("show")
def show(
    environment: Annotated[str, typer.Argument(metavar="ENV", help="A full version, a folder, or an npm name.")],
    platform: options.Platforms = None,
    folder: options.Folder = None,
    lenient: options.Lenient = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Print the merged configuration as JSON: what a build of one environment really uses."""
    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet, lenient=lenient)
    chosen = workspace.select([environment], start)
    if len(chosen) != 1:
        names = ", ".join(e.full_version for e in chosen)
        raise UsageError(f"`{environment}` names {len(chosen)} environments", notes=[names], hint="name one of them")
    wanted = options.chosen_platforms(platform)
    if not wanted:
        console.result(json.dumps(chosen[0].config.to_json(), indent=2, ensure_ascii=False))
        return 0
    shown = {t.platform.key: t.config.to_json() for t in options.targets_of(chosen, wanted, console)}
    if not shown:
        raise UsageError(f"{chosen[0].full_version} is not made for {', '.join(p.key for p in wanted)}")
    result = shown if len(wanted) > 1 else next(iter(shown.values()))
    console.result(json.dumps(result, indent=2, ensure_ascii=False))
    return 0
