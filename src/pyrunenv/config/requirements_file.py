"""Reads ``requirements.txt`` of a consumer: the part of pip's format that names packages, and nothing else of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pyrunenv.config.requirements import parse_root

_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_INCLUDE = re.compile(r"^(?:-r|--requirement)(?:\s*=\s*|\s+)?(?P<path>\S.*)$")
_LINE_OPTION = re.compile(r"\s(--[a-zA-Z][\w-]*)")


class RequirementsFileError(ValueError):
    """A requirements file that cannot be used; ``problems`` holds one sentence for each fault, with file and line."""

    def __init__(self, problems: list[str], *, unreadable: bool = False) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.unreadable = unreadable


def read_requirements(path: Path) -> tuple[str, ...]:
    """Return the requirements of a file in order, its ``-r`` includes in place; raises RequirementsFileError.

    An include is relative to the file that names it. Options other than ``-r`` are refused: they would change what
    the consumer's pip does in a way that the wheelhouse cannot follow.
    """
    problems: list[str] = []
    found = tuple(dict.fromkeys(_read(path, (), problems)))
    if problems:
        raise RequirementsFileError(problems)
    return found


def included(path: Path) -> Iterator[Path]:
    """Yield a requirements file and those that it includes, each once, whatever else is wrong with them."""
    pending, seen = [path], set[Path]()
    while pending:
        file = pending.pop()
        if file in seen:
            continue
        seen.add(file)
        yield file
        try:
            lines = list(_logical_lines(file.read_text(encoding="utf-8-sig")))
        except (OSError, ValueError):
            continue
        found = [include["path"].strip() for _, line in lines if (include := _INCLUDE.match(line))]
        pending += [Path(os.path.normpath(file.parent / name)) for name in found]


def _read(path: Path, including: tuple[Path, ...], problems: list[str]) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        chain = (*including, path.resolve())
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RequirementsFileError([f"{path.name} cannot be read: {reason.lower()}"], unreadable=True) from None
    if chain[-1] in including:
        problems.append(f"{path.name} includes itself, by way of {including[-1].name}")
        return
    for number, line in _logical_lines(text):
        where = f"{path.name}, line {number}"
        if include := _INCLUDE.match(line):
            yield from _read(path.parent / include["path"].strip(), chain, problems)
        elif line.startswith("-"):
            problems.append(f"{where}: option `{line.split()[0].partition('=')[0]}` is not supported, only `-r` is")
        else:
            yield from _requirement(line, where, problems)


def _requirement(line: str, where: str, problems: list[str]) -> Iterator[str]:
    option = _LINE_OPTION.search(line)
    if option:
        problems.append(f"{where}: option `{option[1]}` is not supported, only `-r` is")
        return
    try:
        yield parse_root(line).text
    except ValueError as error:
        problems.append(f"{where}: {error}")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of the first line, text) with continuations joined and comments gone, as pip does it."""
    pending, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        first = first or number
        comment = re.match(r"^\s*#", line)
        if line.endswith("\\") and not comment:
            pending += line[:-1]
            continue
        # a comment line ends a continuation, and must not run into the text before it
        joined = _COMMENT.sub("", pending + (" " + line if comment else line)).strip()
        if joined:
            yield first, joined
        pending, first = "", 0
    if last := _COMMENT.sub("", pending).strip():
        yield first, last
