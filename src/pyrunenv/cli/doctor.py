"""``pyrunenv doctor``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console

if TYPE_CHECKING:
    from pyrunenv.doctor import Result

_TITLES = {
    "disk": "Disks",
    "program": "Programs",
    "registry": "Registries",
    "interpreter": "Interpreters",
    "storage": "Storage",
}


def doctor(
    environments: options.Environments = None,
    platform: options.Platforms = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    folder: options.Folder = None,
    lenient: options.Lenient = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Look whether this machine can build: servers, disks, programs, interpreters; each finding with a remedy.

    Nothing is changed. Exit status 1 when a build would fail.
    """
    from pyrunenv.doctor import examine
    from pyrunenv.fetch.cache import Cache

    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet, lenient=lenient)
    chosen = workspace.select(environments or (), start)
    targets = options.targets_of(chosen, options.chosen_platforms(platform), console)
    results = examine(workspace, targets, Cache.from_environment())
    errors = sum(result.status == "error" for result in results)
    warnings = sum(result.status == "warning" for result in results)
    if as_json:
        console.result(json.dumps([result.to_json() for result in results], indent=2, ensure_ascii=False))
        return 1 if errors else 0
    shown = [result for result in results if not quiet or result.status != "ok"]
    if shown:
        console.result("\n".join(_lines(shown, everything=verbose > 0)))
    told = f", {warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""
    if errors:
        console.note(f"a build would fail: {errors} error{'s' if errors > 1 else ''}{told}")
    else:
        console.note(f"everything that a build needs is here{told}")
    return 1 if errors else 0


def _lines(results: Sequence[Result], *, everything: bool) -> Iterator[str]:
    """A table for each subject; where a finding is not ok also the place, and once for all of a kind the remedy."""
    for subject, grouped in groupby(results, key=lambda result: result.subject):
        group = list(grouped)
        width = max(len(result.what) for result in group)
        yield _TITLES[subject]
        for at, result in enumerate(group):
            yield f"  {result.status:7}  {result.what:{width}}  {result.detail}".rstrip()
            if result.where != result.what and result.where and (everything or result.status != "ok"):
                yield f"  {'':7}  {result.where}"
            following = group[at + 1] if at + 1 < len(group) else None
            if result.remedy and result.status != "ok" and (following is None or following.remedy != result.remedy):
                yield f"  {'':7}  hint: {result.remedy}"
