"""What a changelog's entry says of the changes, in Markdown: all reasons in words, then packages and sizes as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pyrunenv.bump.reasons import Reason, packages_between
from pyrunenv.units import signed, size

if TYPE_CHECKING:
    from pyrunenv.bump.base import Base
    from pyrunenv.lock.difference import Change, Held


def in_words(since: str, reasons: Sequence[Reason]) -> str:
    """Return all reasons as a list."""
    rows = [str(reason) for reason in reasons] or ["nothing that is in the bundles"]
    return "\n".join([f"Since {since}:", "", *(f"- {row}" for row in rows)])


def environment_entry(before: Base, after: Base, reasons: Sequence[Reason]) -> str:
    """Return what changed between two versions of an environment."""
    found = packages_between("", before, after)
    everywhere = set(found.bytes)
    kinds: dict[str, list[Change]] = {"Added": [], "Removed": [], "Changed": []}
    for change in found.changes:
        kinds["Changed" if change.before and change.after else "Added" if change.after else "Removed"].append(change)
    parts = [in_words(before.version, reasons)]
    for title, changes in kinds.items():
        if changes:
            parts += [f"### {title}", _table(*_packages(title, changes, everywhere))]
    parts += [
        "### Sizes",
        _table(("platform", "packages", "bytes", "growth"), list(_sizes(after, found.bytes)), right=3),
    ]
    return "\n\n".join(parts)


def _packages(
    title: str, changes: Sequence[Change], everywhere: set[str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    def where(change: Change) -> str:
        return "all" if set(change.bytes) == everywhere else ", ".join(change.bytes)

    def after(change: Change) -> str:
        return "another file" if change.after == change.before else ", ".join(change.after)

    if title == "Changed":
        columns = ("package", "before", "after", "platforms")
        return columns, [(c.name, ", ".join(c.before), after(c), where(c)) for c in changes]
    return ("package", "version", "platforms"), [(c.name, ", ".join(c.after or c.before), where(c)) for c in changes]


def _sizes(after: Base, grown: Mapping[str, int]) -> Iterator[tuple[str, ...]]:
    for key, held in after.held.items():
        growth = signed(grown[key]) if key in grown else "new"
        yield key, str(sum(len(versions) for versions in held.values())), size(_bytes(held)), growth


def _bytes(held: Held) -> int:
    return sum(count for versions in held.values() for count, _ in versions.values())


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: int = 0) -> str:
    """A table whose last ``right`` columns hold numbers."""
    dashes = ["---"] * (len(columns) - right) + ["---:"] * right
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, dashes, *rows))
