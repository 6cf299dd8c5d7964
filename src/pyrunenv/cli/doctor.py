"""``pyrunenv doctor``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console


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
    failed = any(result.status == "error" for result in results)
    if as_json:
        console.result(json.dumps([result.to_json() for result in results], indent=2, ensure_ascii=False))
        return 1 if failed else 0
    shown = [result for result in results if not quiet or result.status in ("warning", "error")]
    for result, following in zip(shown, [*shown[1:], None], strict=True):
        console.result(f"{result.status:8} {result.subject:12} {result.what}: {result.detail}")
        last = following is None or following.remedy != result.remedy
        if result.remedy and result.status != "ok" and last:  # once for all that have the same
            console.result(f"{'':22}{result.remedy}")
    errors = sum(result.status == "error" for result in results)
    console.note("a build would fail" if errors else "everything that a build needs is here")
    return 1 if failed else 0
