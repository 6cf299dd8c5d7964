"""``pyrunenv new``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.errors import InterpreterError

if TYPE_CHECKING:
    from pyrunenv.config.workspace import Workspace


def new(
    full_version: Annotated[
        str, typer.Argument(metavar="VERSION", help="Python's version, and a variant's name: 3.13.0, 3.12.10-cuda.")
    ],
    like: Annotated[
        str | None, typer.Option("--from", metavar="ENV", help="Start with this environment's config and files.")
    ] = None,
    platform: options.Platforms = None,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Make an environment: folder, config.json, package.json, README and catalogue entry, in one step.

    Nothing that is there is overwritten. Platforms are those of --from, else all five.
    """
    from pyrunenv.config.scaffold import plan
    from pyrunenv.config.workspace import load_workspace

    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet)
    start_from = options.only_one(workspace, like, start) if like else None
    made = plan(workspace, full_version, start_from, options.chosen_platforms(platform))
    made.write()
    for sentence in made.said:
        console.warn(sentence)
    _warn_of_interpreters(made.full_version, load_workspace(made.root), console)
    console.result(str(made.folder))
    for path in sorted([*made.files, *made.copies]):
        console.note(f"  {path}")
    if made.catalogue is not None:
        console.note(f"  and its entry in {workspace.root.name}/catalogue/package.json")
    console.note(
        f"next: `pyrunenv add {full_version} REQUIREMENT…`, or edit config.json and run `pyrunenv lock {full_version}`"
    )
    return 0


def _warn_of_interpreters(full_version: str, workspace: Workspace, console: Console) -> None:
    """Say for which platforms the workspace's source has no such Python, and what is near."""
    from pyrunenv.interpreters import choose

    (environment,) = workspace.select([full_version], workspace.root)
    told: dict[tuple[str, ...], str] = {}
    for platform in environment.platforms():
        try:
            choose(environment.target(platform).python, environment.python_version, platform)
        except InterpreterError as error:
            told.setdefault(error.notes, error.message)
    for notes, message in told.items():
        console.warn(message, notes)
