"""``pyrunenv new``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console

if TYPE_CHECKING:
    from pyrunenv.config.scaffold import Scaffold
    from pyrunenv.config.workspace import Environment


def new(
    full_version: Annotated[
        str, typer.Argument(metavar="FULL_VERSION", help="Python's version, and a name: 3.13.0 or 3.13.0-sc.")
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="ENV",
            autocompletion=options.environments_here,
            help="Begin with a copy of this environment.",
        ),
    ] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option(
            "--platform",
            metavar="P",
            autocompletion=options.platform_keys,
            help="For this platform; may be repeated. Default: as the others.",
        ),
    ] = None,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Make an environment: its folder, config.json, package.json, README.md, and its entry in the catalogue.

    With --from also the files that the other's configuration names. All of it, or nothing.
    """
    from pyrunenv.config.naming import check_new
    from pyrunenv.config.scaffold import plan
    from pyrunenv.config.workspace import find_root
    from pyrunenv.presence import alone

    console = Console()
    check_new(full_version)
    wanted = options.chosen_platforms(platform)
    # Two at once would each write a catalogue without the other's entry.
    with alone(find_root((folder or Path()).resolve()), wait=True):
        workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet)
        chosen = options.only_one(workspace, source, start) if source is not None else None
        scaffold = plan(workspace, full_version, chosen, wanted)
        scaffold.write()
    _tell(scaffold, chosen, console)
    _doubt(scaffold, folder, console)
    console.note(_next(scaffold, chosen))
    return 0


def _tell(scaffold: Scaffold, source: Environment | None, console: Console) -> None:
    """Print what was made to standard output, one path a line; say the rest."""
    for path in sorted([*scaffold.files, *scaffold.copies]) if not console.quiet else ():
        console.result(f"made     {scaffold.folder.name}/{path}")
    if scaffold.catalogue is not None and not console.quiet:
        console.result(f"changed  {scaffold.catalogue.path.parent.name}/{scaffold.catalogue.path.name}")
    keys = ", ".join(platform.key for platform in scaffold.platforms)
    after = f", begun as a copy of {source.full_version}" if source is not None else ""
    console.note(f"{scaffold.full_version} is `{scaffold.name}`, for {keys}{after}")
    for sentence in scaffold.said:
        console.note(f"note: {sentence}")


def _doubt(scaffold: Scaffold, folder: Path | None, console: Console) -> None:
    """Warn where no interpreter of the version is to be had, as the configuration stands now."""
    from pyrunenv.config.workspace import find_root, load_workspace
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.interpreters.doubts import doubts

    made = load_workspace(find_root((folder or Path()).resolve())).select([scaffold.full_version], scaffold.folder)[0]
    targets = [(platform, made.target(platform)) for platform in made.platforms()]
    for error in doubts(targets, made.python_version, Cache.from_environment().root):
        console.warn(error.message, [*error.notes, *([error.hint] if error.hint else [])])


def _next(scaffold: Scaffold, source: Environment | None) -> str:
    full = scaffold.full_version
    if source is not None:
        return f"next: pyrunenv lock {full}"
    return f"next: pyrunenv add {full} REQUIREMENT…, or pyrunenv lock {full} as it is"
