"""What lies on disk below a folder, so that a bundle that was altered or lost a file is found without reading it.

Looked at for every target at every start: one ``scandir`` a folder and one ``lstat`` a file, and nothing else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Entry = tuple[int, int, int] | str
"""A file's size in bytes, modification time in nanoseconds and mode; or a link's target."""


@dataclass(frozen=True)
class Listing:
    """Every file and link below a folder: ``folders`` maps posix paths (the top's is empty) to their entries."""

    folders: Mapping[str, Mapping[str, Entry]]

    @cached_property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(e[0] for entries in self.folders.values() for e in entries.values() if not isinstance(e, str))

    def file_size(self, path: str) -> int | None:
        """The size of one file in bytes; None where there is none."""
        folder, _, name = path.rpartition("/")
        entry = self.folders.get(folder, {}).get(name)
        return None if entry is None or isinstance(entry, str) else entry[0]

    def differs(self, folder: Path, *, besides: Container[str] = ()) -> str | None:
        """Say what is the first difference to what lies in ``folder`` now; None where there is none.

        ``besides`` are names of files and folders that do not count.
        """
        if not folder.is_dir():
            return f"{folder.name} is gone"
        seen = 0
        for path, entries in _walk(folder, besides):
            before = self.folders.get(path)
            if before != entries:
                return _difference(path, before, entries)
            seen += 1
        if seen != len(self.folders):
            now = {path for path, _ in _walk(folder, besides)}
            return f"{min(path for path in self.folders if path not in now)}/ is gone"
        return None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON, columns of equal length a folder since that is quickest to read."""
        packed: dict[str, list[Any]] = {}
        for path, entries in self.folders.items():
            files = {name: entry for name, entry in entries.items() if not isinstance(entry, str)}
            columns = [list(column) for column in zip(*files.values(), strict=True)]
            packed[path] = ["/".join(files), *(columns or [[], [], []])]
            if links := {name: entry for name, entry in entries.items() if isinstance(entry, str)}:
                packed[path].append(links)
        return packed

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Listing:
        """Read what :meth:`to_json` wrote; raises ValueError for anything else."""
        folders: dict[str, dict[str, Entry]] = {}
        try:
            for path, (names, sizes, times, modes, *links) in value.items():
                files = zip(sizes, times, modes, strict=True)
                folders[path] = dict(zip(names.split("/"), files, strict=True)) if sizes else {}
                for more in links:
                    folders[path].update(more)
        except (AttributeError, TypeError) as error:
            raise ValueError(f"no listing: {error}") from error
        return cls(folders)


def scan(folder: Path) -> Listing:
    """List what lies below ``folder``; raises OSError where it cannot be read."""
    return Listing(dict(_walk(folder)))


def _walk(top: Path, besides: Container[str] = ()) -> Iterator[tuple[str, dict[str, Entry]]]:
    folders = [("", os.fspath(top))]
    lstat, is_link = os.lstat, stat.S_ISLNK
    while folders:
        path, place = folders.pop()
        prefix, base = path + "/" if path else "", place + os.sep
        entries: dict[str, Entry] = {}
        with os.scandir(place) as found:
            for item in found:
                name = item.name
                if name in besides:
                    continue
                if item.is_dir(follow_symlinks=False):
                    folders.append((prefix + name, base + name))
                    continue
                status = lstat(base + name)
                mode = status.st_mode
                entries[name] = (
                    os.readlink(base + name) if is_link(mode) else (status.st_size, status.st_mtime_ns, mode)  # noqa: PTH115
                )
        yield path, entries


def _difference(path: str, before: Mapping[str, Entry] | None, now: Mapping[str, Entry]) -> str:
    if before is None:
        return f"{path}/ is new"
    prefix = path + "/" if path else ""
    for name in sorted({*before, *now}):
        if name not in now:
            return f"{prefix}{name} is gone"
        if name not in before:
            return f"{prefix}{name} is new"
        if before[name] != now[name]:
            return f"{prefix}{name} was changed"
    raise AssertionError("two equal folders differ")
