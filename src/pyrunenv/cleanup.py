"""Removes what builds left. Works by folders, so that a configuration that cannot be read is no obstacle."""

from __future__ import annotations

import difflib
import fnmatch
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pyrunenv import leftovers
from pyrunenv.config.workspace import CATALOGUE, OWN, PACKAGE, PREFIX, natural
from pyrunenv.errors import Busy, PyrunenvError, UsageError, WriteError
from pyrunenv.leftovers import Item, Leftovers, freed_by
from pyrunenv.platforms import PLATFORMS
from pyrunenv.presence import alone
from pyrunenv.traces import is_folder


@dataclass(frozen=True)
class Place:
    """A folder in which builds left something. ``name`` is what it is called in the workspace."""

    name: str
    folder: Path
    look: Callable[[Path], Leftovers]


@dataclass(frozen=True)
class Cleaned:
    """What one place came to: files and bytes that are gone (or would be), and what was kept, by path."""

    name: str
    files: int
    freed: int
    kept: tuple[str, ...]
    error: PyrunenvError | None = None


def places(root: Path, patterns: Sequence[str], start: Path, *, everything: bool) -> list[Place]:
    """Return where to clean up: the environments that are named, or around ``start``; or all, and the catalogue.

    A pattern is one as everywhere else. Folders of environments that are gone count too. Raises UsageError for a pattern
    that names none, and where nothing says which are meant.
    """
    folders = sorted((path for path in root.glob(f"{PREFIX}*") if path.is_dir()), key=lambda path: natural(path.name))
    if everything:
        chosen = [_environment(folder) for folder in folders]
        if is_folder(root / CATALOGUE):
            chosen.append(Place(CATALOGUE, root / CATALOGUE, leftovers.of_catalogue))
        return [*chosen, Place("workspace", root, leftovers.of_root)]
    if patterns:
        found: set[Path] = set()
        for pattern in patterns:
            matching = [folder for folder in folders if _matches(folder, pattern, start)]
            if not matching:
                raise _unknown(pattern, folders, root)
            found.update(matching)
        return [_environment(folder) for folder in folders if folder in found]
    around = [folder for folder in folders if start.is_relative_to(folder.resolve())]
    if around:
        return [_environment(folder) for folder in around]
    names = ", ".join(folder.name.removeprefix(PREFIX) for folder in folders)
    raise UsageError(
        "no environment is named, and this is none's folder",
        notes=[f"environments here: {names}"] if names else [f"no environment in {root}"],
        hint="name some, or clean up after all of them with `--all`",
    )


def clean(place: Place, *, dry_run: bool = False) -> Cleaned:
    """Remove what builds left in one place; with ``dry_run`` only tell. What fails is in the result's ``error``.

    While it works no build begins there. One that is under way is not disturbed: then nothing is removed.
    """
    if place.folder.is_symlink() and not place.folder.resolve().is_relative_to(place.folder.parent.resolve()):
        target = place.folder.resolve()
        error = UsageError(
            f"{place.folder} is a link out of the workspace, to {target}", hint="links are not followed: clean up there"
        )
        return Cleaned(place.name, 0, 0, (), error)
    try:
        if dry_run:
            found = place.look(place.folder)
            return Cleaned(place.name, _files(found.items), freed_by(found.items), tuple(found.kept))
        with alone(place.folder), _bundles_alone(place.folder), _Remover() as remover:
            found = remover.looking(place)
            gone = remover.remove(found.items)
            failures = remover.failures
        if gone:
            _remove_empty(place.folder)
    except Busy as error:
        return Cleaned(place.name, 0, 0, (), error)
    except OSError as error:
        return Cleaned(place.name, 0, 0, (), _failed(place, [f"{error.filename}: {error.strerror or error}"]))
    return Cleaned(
        place.name, _files(gone), freed_by(gone), tuple(found.kept), _failed(place, failures) if failures else None
    )


def _files(items: Sequence[Item]) -> int:
    return sum(not item.folder for item in items)


def _failed(place: Place, notes: Sequence[str]) -> WriteError:
    return WriteError(
        f"not everything could be removed in {place.folder}", notes=notes, hint="see to the rights there, and run again"
    )


def _environment(folder: Path) -> Place:
    return Place(folder.name.removeprefix(PREFIX), folder, leftovers.of_environment)


def _matches(folder: Path, pattern: str, start: Path) -> bool:
    names = [folder.name, folder.name.removeprefix(PREFIX), *_npm_name(folder)]
    place = os.path.normpath(start / pattern)
    return any(
        fnmatch.fnmatchcase(name, wanted)
        for name, wanted in [*((name, pattern) for name in names), (str(folder), place), (str(folder.resolve()), place)]
    )


def _npm_name(folder: Path) -> Iterator[str]:
    with suppress(OSError, ValueError, KeyError, TypeError):
        yield str(json.loads((folder / PACKAGE).read_bytes())["name"])


def _unknown(pattern: str, folders: Sequence[Path], root: Path) -> UsageError:
    names = [folder.name.removeprefix(PREFIX) for folder in folders]
    close = difflib.get_close_matches(pattern, [*names, *(folder.name for folder in folders)], n=1, cutoff=0.6)
    listed = f"environments here: {', '.join(names)}" if names else f"no environment in {root}"
    other = "name a full version, a folder, an npm name, or a glob of one"
    return UsageError(
        f"no environment is named `{pattern}`", notes=[listed], hint=f"did you mean `{close[0]}`?" if close else other
    )


@contextmanager
def _bundles_alone(folder: Path) -> Iterator[None]:
    """Hold the locks of bundles, which keep builds out of them where the folder has no lock; raises Busy."""
    from filelock import FileLock, Timeout

    with ExitStack() as stack:
        for key in PLATFORMS if is_folder(folder / "pydist") else ():
            path = folder / "pydist" / f".{key}.lock"
            if path.is_symlink() or not path.is_file():
                continue
            try:
                with suppress(PermissionError):
                    stack.enter_context(FileLock(path, thread_local=False).acquire(timeout=0))
            except Timeout:
                raise Busy(
                    f"another run builds or packs {folder.name} on {key}",
                    hint="wait until it is done, and run this again",
                ) from None
        yield


class _Remover:
    """Removes files and empty folders, also from folders that may not be written to; those that stay get their modes back."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._modes: dict[Path, int] = {}

    def __enter__(self) -> _Remover:
        return self

    def __exit__(self, *_: object) -> None:
        for folder in sorted(self._modes, key=lambda folder: len(folder.parts), reverse=True):
            with suppress(OSError):
                folder.chmod(self._modes[folder])

    def looking(self, place: Place) -> Leftovers:
        """Look at a place; folders that may not be read are made readable first."""
        seen: set[str] = set()
        while True:
            try:
                return place.look(place.folder)
            except PermissionError as error:
                if error.filename is None or error.filename in seen:
                    raise
                seen.add(error.filename)
                path = Path(error.filename)
                self._open(path if is_folder(path) else path.parent)

    def remove(self, items: Sequence[Item]) -> list[Item]:
        """Remove things in order; returns those that are gone now."""
        gone = []
        for item in items:
            remove = item.path.rmdir if item.folder else item.path.unlink
            try:
                try:
                    remove()
                except PermissionError:
                    self._open(item.path.parent)
                    remove()
            except FileNotFoundError:
                continue
            except OSError as error:
                # on Windows a lock that is held cannot be removed, and a folder that it lies in neither
                if not (sys.platform == "win32" and (item.path.name.endswith(".lock") or item.folder)):
                    self.failures.append(f"{item.path}: {error.strerror or error}")
            else:
                gone.append(item)
        return gone

    def _open(self, folder: Path) -> None:
        mode = stat.S_IMODE(folder.stat().st_mode)
        folder.chmod(mode | stat.S_IRWXU)
        self._modes.setdefault(folder, mode)


def _remove_empty(folder: Path) -> None:
    """Remove a folder that only builds had kept: its environment is gone, as with another branch."""
    if folder.name.startswith(PREFIX) and not any(os.path.lexists(folder / name) for name in (OWN, PACKAGE)):
        with suppress(OSError):
            folder.rmdir()
