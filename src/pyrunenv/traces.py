"""What tells a file that a build made: the stamp's listing, or a place and a name that builds write. Changes nothing.

A link is a build's only where the listing has a link.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.platforms import PLATFORMS

if TYPE_CHECKING:
    from pyrunenv.bundle.listing import Listing

_PLATFORM = f"(?:{'|'.join(map(re.escape, PLATFORMS))})"
_ARCHIVE = rf"pkg-software-[^/]+-main-\d+\.\d+\.\d+[^/]*-{_PLATFORM}\.(?:tgz|zip)"
_ARCHIVE_FILE = re.compile(_ARCHIVE)
_DIST = re.compile(
    rf"artifacts/main/archive_{_PLATFORM}\.json|tengo/software/main\.sw\.json|manifest/{_PLATFORM}\.json"
)
_DIST_FOLDERS = ("", "artifacts", "artifacts/main", "tengo", "tengo/software", "manifest")
_BUILD = re.compile(rf"{_PLATFORM}\.(?:json|log)")
_CATALOGUE = re.compile(r"tengo/software/[^/]+\.sw\.json")
# What others than builds write in an environment's folder, and may have been killed at.
_WRITTEN_BY_OTHERS = re.compile(rf"pylock\.{_PLATFORM}\.toml|config\.json|package\.json")
_TEMPORARY = re.compile(r"(?P<folder>(?:.*/)?)\.(?P<name>[^/]+)\.[a-z0-9_]{8}\.tmp")
_LOCK = re.compile(rf"\.{_PLATFORM}\.lock")
_BUILDING = re.compile(rf"\.{_PLATFORM}\.[0-9a-f]{{12}}(?:\.old)?\.tmp")
_BYTECODE = re.compile(r"(?P<folder>(?:.*/)?)__pycache__/(?P<name>[^/.]+)\.[^/]+\.pyc")
_PROGRAMS = ("bin/python.exe", "bin/python3", "bin/python")


@dataclass(frozen=True)
class Rules:
    """Which paths below a folder are a build's: files, folders, and folders with all that is in them."""

    file: Callable[[str, os.stat_result], bool]
    folder: Callable[[str], bool]
    whole: Callable[[str], bool] = lambda _: False


def archives() -> Rules:
    """Archives, and what was to become one, a lock or a config when its writer was killed."""
    return Rules(_named(_ARCHIVE_FILE, _WRITTEN_BY_OTHERS), lambda _: False)


def descriptions() -> Rules:
    """What of ``dist/`` is a build's."""
    return Rules(_named(_DIST), _DIST_FOLDERS.__contains__)


def records() -> Rules:
    """Stamps and logs in ``build/``."""
    return Rules(_named(_BUILD), lambda path: not path)


def catalogue_descriptions() -> Rules:
    """What of the catalogue's ``dist/`` is a build's."""
    return Rules(_named(_CATALOGUE), _DIST_FOLDERS.__contains__)


def temporary(path: str) -> bool:
    """Whether a path is named as what is written before it gets its name."""
    return _TEMPORARY.fullmatch(path) is not None


def bundles(folder: Path) -> Rules:
    """What of ``pydist/`` is a build's: bundles, their locks, and what killed builds left beside them."""
    rules = {key: _bundle_rules(folder, key) for key in PLATFORMS}

    def file(path: str, status: os.stat_result) -> bool:
        key, inside, rest = path.partition("/")
        if not inside:
            return _LOCK.fullmatch(path) is not None and stat.S_ISREG(status.st_mode)
        return key in rules and rules[key].file(rest, status)

    def known(path: str) -> bool:
        key, _, rest = path.partition("/")
        return not path or (key in rules and rules[key].folder(rest))

    return Rules(file, known, lambda path: _BUILDING.fullmatch(path) is not None)


def _bundle_rules(folder: Path, platform: str) -> Rules:
    """Of a finished bundle the stamp tells every file; what a killed build put in place has its signs."""
    from pyrunenv.stamp import listing_of

    listing = listing_of(folder, platform)
    bundle = folder / "pydist" / platform
    unfinished = _unfinished(folder, platform, listing) if is_folder(bundle) else None

    def file(path: str, status: os.stat_result) -> bool:
        if listing is not None and _lists(listing, path, status):
            return True
        if unfinished is not None and unfinished(path, status):
            return True
        # what Python left of our files, where somebody ran it
        bytecode = _BYTECODE.fullmatch(path)
        if bytecode is None or not stat.S_ISREG(status.st_mode):
            return False
        source = f"{bytecode['folder']}{bytecode['name']}.py"
        if listing is not None and listing.file_size(source) is not None:
            return True
        try:
            return unfinished is not None and unfinished(source, (bundle / source).lstat())
        except OSError:
            return False

    def known(path: str) -> bool:
        return not path or unfinished is not None or (listing is not None and path in listing.folders)

    return Rules(file, known)


def _lists(listing: Listing, path: str, status: os.stat_result) -> bool:
    folder, _, name = path.rpartition("/")
    entry = listing.folders.get(folder, {}).get(name)
    if entry is None:
        return False
    return stat.S_ISLNK(status.st_mode) if isinstance(entry, str) else stat.S_ISREG(status.st_mode)


def _unfinished(folder: Path, platform: str, listing: Listing | None) -> Callable[[str, os.stat_result], bool] | None:
    """What tells the files of a bundle that has no stamp of its own: the time of an interpreter's, the lock's wheels.

    None where the listing is the bundle's, or no interpreter lies there: then nothing is guessed.
    """
    from pyrunenv.interpreters.prepare import MTIME

    bundle = folder / "pydist" / platform

    def dated(status: os.stat_result) -> bool:
        return status.st_mtime_ns == MTIME * 10**9

    if not any(dated(s) for name in _PROGRAMS if (s := status_of(bundle / name)) is not None):
        return None
    if listing is not None and not _replaced(listing, bundle, MTIME):
        return None
    wheels = _locked_wheels(folder, platform)

    def ours(path: str, status: os.stat_result) -> bool:
        top, _, name = path.rpartition("/")
        if top == "packages":
            return stat.S_ISREG(status.st_mode) and _wheel(name) in wheels
        return dated(status)

    return ours


def _replaced(listing: Listing, bundle: Path, mtime: int) -> bool:
    """Whether a file that is made anew with each bundle is another than the listing's; one that is gone says nothing."""
    for top, entries in listing.folders.items():
        for name, entry in entries.items():
            if isinstance(entry, str) or entry[1] == mtime * 10**9:
                continue
            status = status_of(bundle / top / name)
            if status is not None and (status.st_size, status.st_mtime_ns) != entry[:2]:
                return True
    return False


def _locked_wheels(folder: Path, platform: str) -> set[tuple[str, str] | None]:
    from pyrunenv.errors import LockFormat
    from pyrunenv.lock import pylock

    try:
        lock = pylock.read(folder, platform)
    except (LockFormat, OSError):
        return set()
    return {(package.name, package.version) for package in lock.packages} if lock is not None else set()


def _wheel(name: str) -> tuple[str, str] | None:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        found, version, _, _ = parse_wheel_filename(name)
    except InvalidWheelFilename:
        return "", ""
    return found, str(version)


def _named(*patterns: re.Pattern[str]) -> Callable[[str, os.stat_result], bool]:
    """Whether a regular file's path is one of those, or a temporary of one whose writer is dead."""

    def ours(path: str, status: os.stat_result) -> bool:
        unnamed = _TEMPORARY.fullmatch(path)
        final = unnamed["folder"] + unnamed["name"] if unnamed else path
        return stat.S_ISREG(status.st_mode) and any(pattern.fullmatch(final) for pattern in patterns)

    return ours


def status_of(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def is_folder(path: Path) -> bool:
    status = status_of(path)
    return status is not None and stat.S_ISDIR(status.st_mode) and not _is_junction(path)


def _is_junction(path: Path) -> bool:
    """Whether it is one of Windows' links to a folder, which only Python 3.12 can tell from folders."""
    return bool(getattr(os.path, "isjunction", lambda _: False)(path))
