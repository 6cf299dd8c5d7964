"""The config's ``copyFiles``, turned into a list of single files with their places in the bundle.

Every problem is reported at once. What depends on the interpreter's own files is looked at when a bundle is assembled.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pyrunenv.errors import AssembleError
from pyrunenv.files import digest_of, sha256_file
from pyrunenv.platforms import Platform

_LEFT_OUT = {"__pycache__", ".DS_Store"}
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_NO_WINDOWS_NAME = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?$|.*[<>:\"|?*]|.*[. ]$")


class CopyFile(Protocol):
    """One entry of ``copyFiles``: a path below the environment's folder, and its place in the bundle."""

    @property
    def source(self) -> str: ...
    @property
    def to(self) -> str: ...


@dataclass(frozen=True)
class PlannedCopy:
    """One file to copy. ``destination`` is a posix path below the bundle's root."""

    source: Path
    destination: str
    executable: bool


def plan(
    copy_files: Iterable[CopyFile], environment_folder: Path, platform: Platform, python_version: str
) -> tuple[PlannedCopy, ...]:
    """Return every file that ``copyFiles`` puts into a target's bundle, sorted by destination.

    A folder's content goes to ``to``; where that ends in ``/``, the file or folder itself goes into it. Links are
    followed, and what they lead to is copied. ``{site-packages}`` is the target's. Raises AssembleError with every
    problem in its notes.
    """
    planner = _Planner(environment_folder, platform, python_version)
    for item in copy_files:
        planner.add(item)
    copies = planner.without_repeats()
    planner.problems += _clashes([copy.destination for copy in copies])
    if planner.problems:
        raise AssembleError(
            f"{environment_folder.name}: what copyFiles asks for on {platform} cannot be copied",
            notes=planner.problems,
            hint="correct `copyFiles` in config.json or shared-config.json, or the files",
        )  # fmt: skip
    return copies


def problems_of(item: CopyFile, environment_folder: Path, platform: Platform, python_version: str) -> list[str]:
    """Return what is wrong with one entry of ``copyFiles``, alone."""
    planner = _Planner(environment_folder, platform, python_version)
    planner.add(item)
    return planner.problems


def digest(copies: Iterable[PlannedCopy]) -> str:
    """Return one sha256 over destinations, contents and run bits; where the files come from does not count."""
    return digest_of(sorted([copy.destination, sha256_file(copy.source), copy.executable] for copy in copies))


def folded(path: str) -> str:
    """Return how a file system that ignores case, or the form of accents, sees a path (macOS, Windows)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


class _Planner:
    def __init__(self, folder: Path, platform: Platform, python_version: str) -> None:
        self._folder, self._platform = folder, platform
        self._root = folder.resolve()
        self._site_packages = platform.layout.at(platform.layout.site_packages, python_version)
        self._copies: list[PlannedCopy] = []
        self.problems: list[str] = []

    def add(self, item: CopyFile) -> None:
        """Plan one entry of ``copyFiles``, or note what is wrong with it."""
        source = self._folder / item.source
        found = len(self.problems)
        where = self._inside(source, f"`from` {item.source}")
        base = self._destination(item)
        if where is None or base is None or len(self.problems) > found:
            return
        if where == self._root or where.is_relative_to(self._root / "pydist"):
            self.problems.append(
                f"`from` {item.source} holds the bundles themselves; name a file or a folder of your own"
            )
        elif where.is_dir():
            files = list(self._files(source, f"{base}/" if base else "", (where,)))
            if not files and len(self.problems) == found:
                self.problems.append(f"`from` {item.source} is a folder without a file")
            self._copies += files
        elif not base:
            self.problems.append(f"`to` {item.to} is the bundle's root; give {item.source} a name there")
        else:
            self._copies += self._file(source, base)

    def without_repeats(self) -> tuple[PlannedCopy, ...]:
        """Return the copies sorted, each destination once; two sources that differ for one are a problem."""
        kept: dict[str, PlannedCopy] = {}
        for copy in self._copies:
            other = kept.setdefault(copy.destination, copy)
            if other is not copy and (other.executable != copy.executable or not same_bytes(other.source, copy.source)):
                pair = " and ".join(str(c.source.relative_to(self._folder)) for c in (other, copy))
                self.problems.append(f"`to` {copy.destination} has two different sources: {pair}")
        return tuple(kept[destination] for destination in sorted(kept))

    def _destination(self, item: CopyFile) -> str | None:
        """Return the place of an entry below the bundle, ``""`` for its root; None with a problem noted."""
        to = item.to.replace("{site-packages}", self._site_packages)
        if problem := self._misplaced(to):
            self.problems.append(f"`to` {item.to} {problem}")
            return None
        parts = [part for part in to.split("/") if part not in ("", ".")]
        if to.endswith("/"):
            parts.append(Path(item.source).name)
        if parts and folded(parts[0]) == "packages":
            self.problems.append(
                f"`to` {item.to} is inside packages/, whose wheels are the lock's; make it a dependency"
            )
            return None
        if self._platform.windows and (bad := [part for part in parts if _NO_WINDOWS_NAME.match(part)]):
            self.problems.append(f"`to` {item.to}: Windows cannot name a file `{bad[0]}`")
            return None
        return "/".join(parts)

    @staticmethod
    def _misplaced(to: str) -> str | None:
        if not to.strip() or any(ord(letter) < 32 for letter in to):
            return "is no path"
        if "\\" in to:
            return "holds a backslash; write paths with /"
        if to.startswith("/") or re.match(r"[A-Za-z]:", to) or ".." in to.split("/"):
            return "is outside the bundle"
        if unknown := _PLACEHOLDER.findall(to):
            return f"holds {unknown[0]}, and only {{site-packages}} stands for something"
        return None

    def _inside(self, path: Path, shown: str) -> Path | None:
        """Return where a path leads; None, and a problem, if that is nowhere or outside the environment's folder."""
        try:
            resolved = path.resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
            self.problems.append(f"{shown} {'is a link that leads nowhere' if path.is_symlink() else 'does not exist'}")
            return None
        if resolved != self._root and self._root not in resolved.parents:
            self.problems.append(f"{shown} leads to {resolved}, outside the environment's folder")
            return None
        return resolved

    def _files(self, folder: Path, prefix: str, within: tuple[Path, ...]) -> Iterator[PlannedCopy]:
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names are wanted, not paths
            if name in _LEFT_OUT:
                continue
            path = folder / name
            where = self._inside(path, str(path.relative_to(self._folder)))
            if where is None:
                continue
            if not where.is_dir():
                yield from self._file(path, prefix + name)
            elif where in within:
                self.problems.append(f"{path.relative_to(self._folder)} is a link to a folder that holds it")
            else:
                yield from self._files(path, f"{prefix}{name}/", (*within, where))

    def _file(self, path: Path, destination: str) -> Iterator[PlannedCopy]:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            yield PlannedCopy(path, destination, bool(mode & 0o111))
        else:
            self.problems.append(f"{path.relative_to(self._folder)} is neither a file nor a folder")


def same_bytes(one: Path, other: Path) -> bool:
    """Return whether two files hold the same bytes."""
    return one.stat().st_size == other.stat().st_size and sha256_file(one) == sha256_file(other)


def _clashes(destinations: Iterable[str]) -> Iterator[str]:
    """Yield what is a file and a folder at once, and paths that differ by case alone."""
    files, folders = set(destinations), set[str]()
    spelled: dict[str, str] = {}
    for destination in sorted(files):
        parts = destination.split("/")
        for length in range(1, len(parts) + 1):
            path = "/".join(parts[:length])
            if length < len(parts):
                folders.add(path)
            other = spelled.setdefault(folded(path), path)
            if other != path:
                yield f"`to` {path} and {other} are one path where case does not count"
                break
    for path in sorted(files & folders):
        yield f"`to` {path} is a file and a folder at once"
