"""``pyrunenv lock``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console, size
from pyrunenv.errors import PyrunenvError, TargetsFailed
from pyrunenv.lock.run import LockReport, LockRun, Target, check

if TYPE_CHECKING:
    from pyrunenv.lock.missing import Missing


def lock(
    environments: options.Environments = None,
    platform: options.Platforms = None,
    checking: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 where a lock is not current, and say why.")
    ] = False,
    jobs: options.Jobs = None,
    folder: options.Folder = None,
    lenient: options.Lenient = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Write pylock.<platform>.toml for every platform of every environment, from any host."""
    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet, lenient=lenient)
    chosen = workspace.select(environments or (), start)
    targets = options.targets_of(chosen, options.chosen_platforms(platform), console)
    if checking:
        return _check(targets, console)
    from pyrunenv.cli.progress import fetching

    with fetching() as (cache, fetcher):
        report = LockRun(cache, fetcher, jobs or max(5, os.cpu_count() or 1)).lock_all(targets)
    _show(report, console)
    errors = failures_of(report.failures, report.missing)
    for error in errors:
        console.error(error)
    return errors[-1].exit_status if errors else 0


def _check(targets: list[Target], console: Console) -> int:
    stale = check(targets)
    for error in stale:
        console.error(error)
    if not stale:
        console.note(f"{len(targets)} locks are current")
    return 1 if stale else 0


def _show(report: LockReport, console: Console) -> None:
    for warning in report.warnings:
        console.warn(warning)
    if console.quiet:
        return
    for locked in report.locked:
        entry = locked.lock
        total = sum(p.wheel.size or 0 for p in entry.packages)
        groups = f", {len(entry.groups)} groups" if len(entry.groups) > 1 else ""
        state = "locked" if locked.made else "current"
        console.result(f"{state:8}{locked.target}: {len(entry.packages)} packages, {size(total)}{groups}")
        if locked.made:
            for root in entry.roots:
                for eviction in root.evictions[:1]:
                    console.note(
                        f"  `{root.requirement}` is in {', '.join(root.groups)}, not in {eviction.group}: {eviction.reason}"
                    )


def failures_of(failures: Sequence[tuple[Target, PyrunenvError]], missing: Sequence[Missing]) -> list[PyrunenvError]:
    """The errors of a run, the roots that cannot be had as one of them; the last sums up where there are several."""
    from pyrunenv.lock.missing import error as missing_error

    errors = [error for _, error in failures] + ([missing_error(missing)] if missing else [])
    if len(errors) > 1:
        lines = [f"{target}: {error.message}" for target, error in failures]
        lines += [f"{m.environment} on {m.platform}: `{m.requirement}` cannot be had" for m in missing]
        errors.append(TargetsFailed(f"{len(lines)} failures", notes=lines))
    return errors
