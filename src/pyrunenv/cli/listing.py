"""``pyrunenv list``."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console, size
from pyrunenv.errors import LockFormat
from pyrunenv.lock.inputs import combined
from pyrunenv.lock.run import Target
from pyrunenv.stamp import Stamp


def list_environments(
    environments: options.Environments = None,
    platform: options.Platforms = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    folder: options.Folder = None,
    lenient: options.Lenient = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Show environments by platforms: locked, built, packed, and how big."""
    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet, lenient=lenient)
    chosen = workspace.select(environments or (), start)
    rows = [_row(target) for target in options.targets_of(chosen, options.chosen_platforms(platform), console)]
    if as_json:
        console.result(json.dumps(rows, indent=2))
        return 0
    table = [
        (
            row["environment"], row["platform"], row["locked"], str(row["wheels"] or "-"), row["built"], row["packed"],
            *(size(row[key]) if row[key] is not None else "-" for key in ("bundle_bytes", "archive_bytes")),
        )
        for row in rows
    ]  # fmt: skip
    console.table(
        ("environment", "platform", "locked", "wheels", "built", "packed", "bundle", "archive"), table, right=(3, 6, 7)
    )
    return 0


def _row(target: Target) -> dict[str, Any]:
    locked, wheels = "no", None
    try:
        lock = target.read_lock()
    except LockFormat:
        lock, locked = None, "unreadable"
    if lock is not None:
        locked, wheels = "yes" if lock.digest == combined(target.inputs()) else "stale", len(lock.packages)
    stamp = Stamp.read(target.environment.folder, target.platform.key)
    row = {"environment": target.environment.full_version, "platform": target.platform.key, "locked": locked,
           "wheels": wheels, "built": "no", "packed": "no", "bundle_bytes": None, "archive_bytes": None}  # fmt: skip
    bundle = target.environment.folder / "pydist" / target.platform.key
    if stamp is None:
        return row
    if bundle.is_dir():
        altered = stamp.listing.differs(bundle) is not None
        row.update(built="altered" if altered else "yes", bundle_bytes=stamp.bundle_size)
    if (target.environment.folder / stamp.archive[0]).is_file():
        row.update(packed="yes", archive_bytes=stamp.archive[1])
    return row
