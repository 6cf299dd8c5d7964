"""How findings look: lines as compilers write them, JSON, annotations of a pull request."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv.cli.console import Console

if TYPE_CHECKING:
    from pyrunenv.checks import Finding


class Format(StrEnum):
    """How findings are printed."""

    text = "text"
    json = "json"
    github = "github"


Form = Annotated[
    Format,
    typer.Option("--format", metavar="text|json|github", help="`github` annotates lines of a pull request."),
]


def show_findings(
    found: Sequence[Finding], root: Path, start: Path, form: Format, console: Console, *, strict: bool = False
) -> int:
    """Print findings and return the exit status: 1 for errors, with ``strict`` for warnings too."""
    if form is Format.json:
        console.result(json.dumps([finding.to_json() for finding in found], indent=2, ensure_ascii=False))
    for finding in found if form is not Format.json else ():
        if form is Format.github:
            # from the top of the repository, which is where its runners look for files
            top = Path(os.environ.get("GITHUB_WORKSPACE") or start)
            console.result(finding.to_github(_relative(root / finding.file, top)))
        else:
            console.result(finding.text(_relative(root / finding.file, start)))
    errors = sum(finding.level == "error" for finding in found)
    if found:
        console.note(f"{_count(errors, 'error')}, {_count(len(found) - errors, 'warning')}")
    else:
        console.note("no problem found")
    return 1 if errors or (strict and found) else 0


def _relative(path: Path, start: Path) -> str:
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
