"""``pyrunenv bump``."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.errors import UsageError

if TYPE_CHECKING:
    from pyrunenv.bump.plan import Plan


class PartWord(StrEnum):
    """What ``--part`` takes."""

    patch = "patch"
    minor = "minor"
    major = "major"
    auto = "auto"


def bump(
    environments: options.Environments = None,
    message: Annotated[
        list[str] | None,
        typer.Option(
            "--message", "-m", metavar="TEXT", show_default=False, help="For the changelogs; a paragraph each."
        ),
    ] = None,
    part: Annotated[
        PartWord, typer.Option("--part", metavar="patch|minor|major|auto", help="What to raise.")
    ] = PartWord.auto,
    since: Annotated[
        str | None, typer.Option("--since", metavar="REV", help="Published last was this revision of git.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Give what changed since it was published a new version: package.json, CHANGELOG.md, the catalogue's entry.

    auto: major where a root or platform went or a root is older, minor where one came or is newer, else patch.
    """
    from pyrunenv.bump.changelog import check_paragraphs
    from pyrunenv.bump.committed import Committed
    from pyrunenv.bump.plan import Wish, plan
    from pyrunenv.bump.reasons import Part
    from pyrunenv.config.workspace import find_root
    from pyrunenv.files import replace_all
    from pyrunenv.presence import alone

    console = Console()
    wanted = None if part is PartWord.auto else Part[part.value]
    wish = Wish(check_paragraphs(message or ()), _day(), wanted, bool(environments))
    # Two at once would each write a catalogue without the other's version.
    with alone(find_root((folder or Path()).resolve()), wait=True):
        workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet)
        chosen = workspace.select(environments or (), start)
        made = plan(workspace, chosen, Committed(workspace.root, since), wish)
        if not dry_run:
            replace_all(made.replacements)
    _tell(made, console, dry_run=dry_run)
    return 0


def _tell(made: Plan, console: Console, *, dry_run: bool) -> None:
    from pyrunenv.bump.reasons import in_short

    for doubt in made.doubts:
        console.warn(doubt)
    for sentence in made.said:
        console.note(sentence)
    if made.bumps:
        rows = [(bump.name, bump.step.before, bump.step.after, in_short(bump.reasons)) for bump in made.bumps]
        console.table(("environment", "from", "to", "why"), rows)
    elif not made.changed:
        console.note("nothing changed: no version is to be raised")
    for path in made.changed:
        console.note(f"{'would change' if dry_run else 'changed'}  {path.parent.name}/{path.name}")
    if dry_run:
        for bump in made.bumps:
            console.result(f"\n{bump.name} {bump.step.after}\n\n{bump.entry}")
        console.note("nothing was written (--dry-run)")


def _day() -> str:
    """Today, as UTC has it; or the day that SOURCE_DATE_EPOCH names (https://reproducible-builds.org/specs/source-date-epoch/)."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.fromtimestamp(int(given), UTC) if given else datetime.now(UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"SOURCE_DATE_EPOCH is `{given}`, which is no number of seconds since 1970") from None
    return moment.strftime("%Y-%m-%d")
