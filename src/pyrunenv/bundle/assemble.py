"""Puts a bundle together: the interpreter, the wheelhouse, the copied files. It appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.bundle.copyfiles import PlannedCopy, folded, same_bytes
from pyrunenv.bundle.listing import Listing, scan
from pyrunenv.bundle.place import place_lock, remove_stale, replace_folder, temporary_sibling, written
from pyrunenv.errors import AssembleError, UnsafeArchive
from pyrunenv.files import remove_tree

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.interpreters.prepare import PreparedInterpreter

_checked: set[str] = set()


def assemble(
    target_dir: Path,
    *,
    interpreter: PreparedInterpreter,
    wheels: Sequence[tuple[str, str]],
    cache: Cache,
    copies: Sequence[PlannedCopy],
) -> Listing:
    """Make the bundle ``target_dir`` (``pydist/<platform>``) anew and return what lies in it.

    ``wheels`` are pairs of file name and sha256, all of them in the cache. A bundle that was there is replaced by a
    rename, and stays as it is when this fails. Raises AssembleError.
    """
    with building_place(target_dir) as building:
        unpack(building, interpreter, copies)
        return finish(building, target_dir, wheels, cache)


@contextmanager
def building_place(target_dir: Path) -> Iterator[Path]:
    """Give a name beside ``target_dir`` to build at; while the block runs nobody else writes that bundle.

    An OSError in the block becomes an AssembleError, and what was built is removed.
    """
    with written(f"cannot put {target_dir.parent.name}/{target_dir.name} together"), place_lock(target_dir):
        remove_stale(target_dir)
        building = temporary_sibling(target_dir, "")
        try:
            yield building
        except BaseException:
            remove_tree(building)
            raise


def unpack(building: Path, interpreter: PreparedInterpreter, copies: Sequence[PlannedCopy]) -> None:
    """Lay out all of a bundle but its wheels, which may still be on their way."""
    from pyrunenv.trees import extract_tree

    building.mkdir()
    extract_tree(interpreter.tar, building)
    (building / "packages").mkdir(exist_ok=True)
    copy_all(copies, building)


def finish(building: Path, target_dir: Path, wheels: Sequence[tuple[str, str]], cache: Cache) -> Listing:
    """Add the wheels, put the bundle in its place, and return what lies in it."""
    for name, sha256 in sorted(_distinct(wheels).items()):
        cache.link_to(sha256, building / "packages" / name)
        _check_wheel(building / "packages" / name, sha256)
    listing = scan(building)
    replace_folder(building, target_dir)
    return listing


def _distinct(wheels: Sequence[tuple[str, str]]) -> dict[str, str]:
    wanted: dict[str, str] = {}
    problems = []
    for name, sha256 in wheels:
        if not name.endswith(".whl") or "/" in name or "\\" in name:
            problems.append(f"`{name}` is not the name of a wheel")
        elif wanted.setdefault(name, sha256) != sha256:
            problems.append(f"{name} is there with sha256 {wanted[name]} and with {sha256}")
    if problems:
        raise AssembleError(
            "the lock's wheels cannot lie in one folder",
            notes=problems,
            hint="let one registry alone serve these packages",
        )
    return wanted


def _check_wheel(path: Path, sha256: str) -> None:
    """Refuse a wheel that could write outside of where it is installed; each is looked into once in a process."""
    from pyrunenv.archives import check_wheel_members

    if sha256 in _checked:
        return
    try:
        check_wheel_members(path)
    except UnsafeArchive as error:
        hint = "name another version in `overrides`, or leave it out with `skip`"
        raise UnsafeArchive(error.message, notes=error.notes, hint=hint) from error
    _checked.add(sha256)


def copy_all(copies: Sequence[PlannedCopy], root: Path) -> None:
    """Copy planned files into a bundle; raises AssembleError with all that is in their way, before the first copy."""
    tree = _Tree(root)
    problems = [problem for copy in copies if (problem := tree.obstacle(copy))]
    if problems:
        raise AssembleError(
            "copied files would replace the interpreter's", notes=problems, hint="give them another `to` in copyFiles"
        )
    for copy in copies:
        place = root / copy.destination
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copyfile(copy.source, place)
            place.chmod(place.stat().st_mode & 0o666 | (0o111 if copy.executable else 0))


class _Tree:
    """The names below a folder as a file system sees them that ignores case."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Path, dict[str, str]] = {}

    def obstacle(self, copy: PlannedCopy) -> str | None:
        """Say what of the tree is in a copy's way; an equal file is not."""
        here, parts = self._root, copy.destination.split("/")
        for depth, part in enumerate(parts, start=1):
            there = self._in(here).get(folded(part))
            if there is None:
                return None
            here = here / there
            shown = here.relative_to(self._root).as_posix()
            if there != part:
                return f"{copy.destination} and the interpreter's {shown} are one path where case does not count"
            if here.is_symlink():
                return f"{copy.destination} goes through the interpreter's link {shown}"
            if depth < len(parts) and not here.is_dir():
                return f"{copy.destination} needs a folder where the interpreter has the file {shown}"
        if here.is_dir():
            return f"{copy.destination} is a folder of the interpreter; end it with / to copy into that"
        same_mode = os.name == "nt" or bool(here.stat().st_mode & 0o111) == copy.executable
        if same_mode and same_bytes(here, copy.source):
            return None
        return f"{copy.destination} is a file of the interpreter, with other content or another run bit"

    def _in(self, folder: Path) -> dict[str, str]:
        if folder not in self._names:
            self._names[folder] = {folded(name): name for name in os.listdir(folder)}  # noqa: PTH208
        return self._names[folder]
