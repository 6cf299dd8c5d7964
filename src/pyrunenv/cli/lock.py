"""``pyrunenv lock``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.cli.difference import show as show_difference
from pyrunenv.errors import PyrunenvError, TargetsFailed, UsageError
from pyrunenv.lock.difference import differences
from pyrunenv.lock.run import LockReport, LockRun, Target, check, unmatched_in_shared
from pyrunenv.units import counted, size
from pyrunenv.wheels.toolchain import INSTALL_ZIG, find_zig

if TYPE_CHECKING:
    from pyrunenv.lock.locker import Upgrade
    from pyrunenv.lock.missing import Missing


def lock(
    environments: options.Environments = None,
    platform: options.Platforms = None,
    checking: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 where a lock is not current, and say why.")
    ] = False,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", "-U", help="Let every package move to its newest version.")
    ] = False,
    upgrade_package: Annotated[
        list[str] | None,
        typer.Option("--upgrade-package", "-P", metavar="NAME", help="Let one package move; may be repeated."),
    ] = None,
    exclude_newer: Annotated[
        str | None,
        typer.Option(
            "--exclude-newer",
            metavar="DATE",
            help="As registries were at the end of a day (UTC), or at an RFC 3339 time.",
        ),
    ] = None,
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
        if upgrade or upgrade_package or exclude_newer:
            raise UsageError("--check changes nothing: it goes with no option that does", hint="leave one of them out")
        return _check(targets, console)
    from pyrunenv.cli.progress import fetching
    from pyrunenv.lock.pages import moment

    if exclude_newer is not None:
        moment(exclude_newer)
    moves = _upgrade(upgrade, upgrade_package or (), targets)
    timeout = max((target.config.build.timeout for target in targets), default=60.0)
    with fetching(timeout=timeout) as (cache, fetcher):
        run = LockRun(cache, fetcher, jobs or max(5, os.cpu_count() or 1), upgrade=moves, exclude_newer=exclude_newer)
        report = run.lock_all(targets)
    if any(locked.made for locked in report.locked):
        report.warnings += unmatched_in_shared(workspace.environments, report.locked)
    show(report, console)
    errors = failures_of(report.failures, report.missing)
    for error in errors:
        console.error(error)
    return errors[-1].exit_status if errors else 0


def _upgrade(everything: bool, names: Sequence[str], targets: Sequence[Target]) -> Upgrade:
    """What may move. Raises UsageError for a name that no lock has."""
    from packaging.utils import canonicalize_name

    from pyrunenv.lock.locker import Upgrade

    wanted = frozenset(canonicalize_name(name) for name in names)
    if wanted:
        locks = [lock for target in targets if (lock := target.read_lock()) is not None]
        known = {package.name for lock in locks for package in lock.packages}
        if unknown := sorted(wanted - known):
            raise UsageError(
                f"nothing here is locked that is named {', '.join(f'`{name}`' for name in unknown)}",
                hint="`--upgrade-package` takes names of packages that a lock holds",
            )
    return Upgrade(everything, wanted)


def _check(targets: list[Target], console: Console) -> int:
    stale = check(targets)
    for error in stale:
        console.error(error)
    if not stale:
        console.note("1 lock is current" if len(targets) == 1 else f"{len(targets)} locks are current")
    return 1 if stale else 0


def show(report: LockReport, console: Console) -> None:
    """Print what was locked, what changed, and what should be known."""
    for warning in report.warnings:
        console.warn(warning)
    if console.quiet:
        return
    for locked in report.locked:
        entry = locked.lock
        total = sum(p.file.size or 0 for p in entry.packages)
        groups = f", {len(entry.groups)} groups" if len(entry.groups) > 1 else ""
        state = "locked" if locked.made else "current"
        made = [package.name for package in entry.to_build]
        built = f", built from source: {', '.join(made)}" if made else ""
        console.result(
            f"{state:8}{locked.target}: {counted(len(entry.packages), 'package')}, {size(total)}{groups}{built}"
        )
        if locked.made:
            for root in entry.roots:
                for eviction in root.evictions[:1]:
                    console.note(
                        f"  `{root.requirement}` is in {', '.join(root.groups)}, not in {eviction.group}: {eviction.reason}"
                    )
    if find_zig() is None and any(entry.made and entry.lock.to_build for entry in report.locked):
        console.warn(f"what has C or C++ to compile needs a compiler, which is not installed: {INSTALL_ZIG}")
    for difference in differences(report.locked):
        show_difference(difference, console)
    _show_servers(report, console)


def _show_servers(report: LockReport, console: Console) -> None:
    """Name once what several registries have: any of them could have served it."""
    found = {name: urls for locked in report.locked for name, urls in locked.lock.served_by.items()}
    if found:
        console.note("served by several registries:")
        for name, urls in sorted(found.items()):
            console.note(f"  {name}: {', '.join(urls)}")


def failures_of(failures: Sequence[tuple[Target, PyrunenvError]], missing: Sequence[Missing]) -> list[PyrunenvError]:
    """The errors of a run, the roots that cannot be had as one of them; the last sums up where there are several."""
    from pyrunenv.lock.missing import error as missing_error

    alike: dict[tuple[object, ...], list[tuple[Target, PyrunenvError]]] = {}
    for target, error in failures:
        alike.setdefault((type(error), error.message, error.notes), []).append((target, error))
    errors = [_one_of(found) for found in alike.values()] + ([missing_error(missing)] if missing else [])
    if len(errors) > 1:
        lines = [f"{target}: {error.message}" for target, error in failures]
        lines += [f"{m.environment} on {m.platform}: `{m.requirement}` cannot be had" for m in missing]
        errors.append(TargetsFailed(f"{len(lines)} failures", notes=lines))
    return errors


def _one_of(found: Sequence[tuple[Target, PyrunenvError]]) -> PyrunenvError:
    """One failure for all targets that it is the same for (a registry is down, say)."""
    error = found[0][1]
    if len(found) > 1:
        error.notes = (*error.notes, f"for {', '.join(str(target) for target, _ in found)}")
    return error
