"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv import platforms
from pyrunenv.cli.console import Console, set_verbosity
from pyrunenv.errors import UsageError
from pyrunenv.lock.run import Target

if TYPE_CHECKING:
    from pyrunenv.config.workspace import Environment, Workspace


def environments_here(context: typer.Context, incomplete: str) -> list[str]:
    """What a shell completes ENV to: nothing where there is no sound workspace."""
    from pyrunenv.config.workspace import find_root, read_workspace

    try:
        root = find_root(context.params.get("folder") or Path())
        workspace = read_workspace(root)
    except Exception:
        return []
    found = () if workspace.findings.problems else workspace.environments
    return [name for environment in found if (name := environment.full_version).startswith(incomplete)]


def platform_keys(incomplete: str) -> list[str]:
    """What a shell completes --platform to."""
    return [key for key in platforms.PLATFORMS if key.startswith(incomplete)]


Environments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ENV]...",
        autocompletion=environments_here,
        help="A full version (3.12.10-atls), a folder, an npm name, or a glob of one. Default: this folder's, else all.",
    ),
]
OneEnvironment = Annotated[
    str | None,
    typer.Argument(
        metavar="[ENV]",
        autocompletion=environments_here,
        help="A full version, a folder, or an npm name. Default: this folder's.",
    ),
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(
        "--platform", metavar="P", autocompletion=platform_keys, help="A platform; may be repeated.", show_default=False
    ),
]
Folder = Annotated[
    Path | None, typer.Option("--workspace", "-C", metavar="DIR", help="Work as if started in this folder.")
]
Lenient = Annotated[bool, typer.Option("--lenient", help="Go on without a config file that cannot be read.")]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, show_default=False, help="Say more; -vv shows every program run.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors.")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, metavar="N", help="How many targets at once. Default: the CPUs.")
]


def open_workspace(
    folder: Path | None, console: Console, *, verbose: int, quiet: bool, lenient: bool = False
) -> tuple[Workspace, Path]:
    """Load the workspace around ``folder`` (default: the current one) and show its warnings."""
    from pyrunenv.config.workspace import find_root, load_workspace

    set_verbosity(verbose, quiet)
    start = (folder or Path()).resolve()
    workspace = load_workspace(find_root(start), lenient=lenient)
    for warning in workspace.warnings:
        console.warn(warning)
    return workspace, start


def only_one(workspace: Workspace, pattern: str | None, start: Path) -> Environment:
    """The one environment that is meant; raises UsageError where it could be several."""
    chosen = workspace.select([pattern] if pattern else [], start)
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(environment.full_version for environment in chosen)
    what = f"`{pattern}` names" if pattern else "it takes one environment, and here are"
    what = f"{what} {len(chosen)} environments"
    raise UsageError(what, notes=[f"environments here: {names}"] if names else [], hint="name one of them")


def named_platform(key: str) -> platforms.Platform:
    """The platform of a key; raises UsageError that says which may be meant, and lists the five."""
    from pyrunenv.config.fields import check_platform

    try:
        return platforms.PLATFORMS[check_platform(key)]
    except ValueError as error:
        raise UsageError(str(error), hint=f"one of: {', '.join(platforms.PLATFORMS)}") from None


def chosen_platforms(keys: Sequence[str] | None) -> tuple[platforms.Platform, ...]:
    """The platforms that were named, once each, in the table's order."""
    wanted = {named_platform(key) for key in keys or ()}
    return tuple(p for p in platforms.PLATFORMS.values() if p in wanted)


def targets_of(
    environments: Iterable[Environment], wanted: Sequence[platforms.Platform], console: Console
) -> list[Target]:
    """Pair environments with platforms; those that an environment does not list are passed over and named.

    ``wanted`` empty means every platform that an environment lists.
    """
    targets = []
    for environment in environments:
        listed = environment.platforms()
        targets += [Target(environment, p) for p in (wanted or listed) if p in listed]
        passed_over = [p.key for p in wanted if p not in listed]
        if passed_over:
            console.note(f"{environment.full_version} is not made for {', '.join(passed_over)}: passed over")
    return targets
