"""``pyrunenv add`` and ``pyrunenv remove``: roots in config.json, and the locks that go with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv.cli import lock as locking
from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.config.edit import Edit
from pyrunenv.errors import UsageError, WriteError
from pyrunenv.files import write_atomic
from pyrunenv.lock.run import LockReport, LockRun, Target, write_lock

if TYPE_CHECKING:
    from pyrunenv.config.workspace import Environment, Workspace

_Requirements = Annotated[list[str], typer.Argument(metavar="REQUIREMENT...", help="As in a requirements file.")]
_Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="A root's name, or the whole requirement.")]
_Environment = Annotated[
    str,
    typer.Argument(
        metavar="ENV", autocompletion=options.environments_here, help="A full version, a folder, or an npm name."
    ),
]
_Only = Annotated[
    list[str] | None,
    typer.Option(
        "--platform",
        metavar="P",
        autocompletion=options.platform_keys,
        help="For this platform alone; may be repeated.",
        show_default=False,
    ),
]
_NoLock = Annotated[bool, typer.Option("--no-lock", help="Edit config.json alone.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Lock and show what would change, and write nothing.")]


def add(
    environment: _Environment,
    requirements: _Requirements,
    platform: _Only = None,
    beside: Annotated[bool, typer.Option("--beside", help="Keep other pins of the same name.")] = False,
    unpinned: Annotated[bool, typer.Option("--unpinned", help="Do not pin what has no version.")] = False,
    no_lock: _NoLock = False,
    dry_run: _DryRun = False,
    jobs: options.Jobs = None,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Add roots to an environment, or move their versions, and lock all its platforms.

    What has no version is pinned to the one that was locked. Where it cannot be locked, everything stays as it was.
    """

    def change(edit: Edit) -> None:
        for requirement in requirements:
            edit.add(requirement, platform or (), beside=beside)

    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet)
    chosen = options.only_one(workspace, environment, start)
    return _Change(workspace, chosen, console, jobs, dry_run).run(
        change, platform or (), lock=not no_lock, pinned=() if unpinned else requirements
    )


def remove(
    environment: _Environment,
    names: _Names,
    platform: _Only = None,
    no_lock: _NoLock = False,
    dry_run: _DryRun = False,
    jobs: options.Jobs = None,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Take roots out of an environment, and lock all its platforms."""

    def change(edit: Edit) -> None:
        for name in names:
            edit.remove(name, platform or ())

    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet)
    chosen = options.only_one(workspace, environment, start)
    return _Change(workspace, chosen, console, jobs, dry_run).run(change, platform or (), lock=not no_lock)


def _by_platform(report: LockReport, name: str) -> str:
    """Which version each platform has."""
    found: dict[str, list[str]] = {}
    for entry in report.locked:
        versions = sorted({package.version for package in entry.lock.packages if package.name == name})
        if versions:
            found.setdefault(", ".join(versions), []).append(entry.lock.platform)
    return "; ".join(f"{version} on {', '.join(platforms)}" for version, platforms in found.items())


class _Change:
    """One change of one environment's config: in memory, locked, and only then written."""

    def __init__(
        self, workspace: Workspace, environment: Environment, console: Console, jobs: int | None, dry_run: bool
    ) -> None:
        from pyrunenv.config.document import Document
        from pyrunenv.config.workspace import OWN

        self._workspace, self._environment, self._console = workspace, environment, console
        self._jobs, self._dry_run = jobs, dry_run
        self._path = environment.folder / OWN
        self._before = self._path.read_bytes() if self._path.exists() else None
        inherited = workspace.shared.packages.dependencies or ()
        self._edit = Edit(Document(self._before or b"{\n}\n"), inherited)

    def run(
        self, change: Callable[[Edit], None], platforms: Sequence[str], *, lock: bool, pinned: Sequence[str] = ()
    ) -> int:
        listed = [platform.key for platform in self._environment.platforms()]
        for key in (platform.key for platform in options.chosen_platforms(platforms)):
            if key not in listed:
                raise UsageError(
                    f"{self._environment.full_version} is not made for {key}", notes=[f"it lists {', '.join(listed)}"]
                )
        change(self._edit)
        if not self._changed and not lock:
            self._tell()
            return 0
        report = self._lock() if lock else None
        if report is not None and report.ok and self._pin(report, pinned):
            report = self._lock()
        if report is not None and not report.ok:
            return self._refuse(report)
        self._tell()
        if report is not None:
            locking.show(report, self._console)
        if self._dry_run:
            self._console.note("nothing was written (--dry-run)")
            return 0
        self._write(report)
        return 0

    @property
    def _changed(self) -> bool:
        return self._edit.document.content != (self._before or b"{\n}\n")

    def _after(self) -> Environment:
        """The environment as it would be; raises ConfigError."""
        from pyrunenv.config.workspace import with_config

        return with_config(self._workspace, self._environment, self._edit.document.content)

    def _lock(self) -> LockReport:
        from pyrunenv.cli.progress import fetching

        after = self._after()
        targets = [Target(after, platform) for platform in after.platforms()]
        with fetching(timeout=max(target.config.build.timeout for target in targets)) as (cache, fetcher):
            run = LockRun(cache, fetcher, self._jobs or max(5, os.cpu_count() or 1), writes=False)
            return run.lock_all(targets)

    def _pin(self, report: LockReport, requirements: Sequence[str]) -> bool:
        """Pin what was added without a version, where all platforms have the same; returns whether something was."""
        from pyrunenv.config.requirements import parse_root

        before = self._edit.document.content
        for requirement in requirements:
            root = parse_root(requirement)
            if root.name is None or root.specifier or root.url:
                continue
            versions = {
                package.version
                for entry in report.locked
                for package in entry.lock.packages
                if package.name == root.name
            }
            if len(versions) == 1:
                self._edit.pin(root.name, versions.pop())
            elif versions:
                self._edit.said.append(f"`{root.name}` stays unpinned: {_by_platform(report, root.name)}")
        return self._edit.document.content != before

    def _refuse(self, report: LockReport) -> int:
        for warning in report.warnings:
            self._console.warn(warning)
        errors = locking.failures_of(report.failures, report.missing)
        for error in errors:
            self._console.error(error)
        self._console.note(f"nothing was changed: {self._path.parent.name} cannot be locked so")
        return errors[-1].exit_status

    def _tell(self) -> None:
        for sentence in self._edit.said:
            self._console.note(sentence)

    def _write(self, report: LockReport | None) -> None:
        now = self._path.read_bytes() if self._path.exists() else None
        if now != self._before:
            raise WriteError(
                f"{self._path} was changed by somebody else meanwhile", hint="nothing was written; try again"
            )
        write_atomic(self._path, self._edit.document.content)
        for entry in report.locked if report is not None else ():
            if entry.made:
                write_lock(entry)
