"""What builds left in a folder, and what lies among it that no build made. Looks, and changes nothing.

Links are never followed; :mod:`pyrunenv.traces` tells what is a build's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyrunenv import traces
from pyrunenv.files import is_abandoned
from pyrunenv.traces import Rules, is_folder

NEW = re.compile(r"\.python-.+\.[0-9a-f]{12}\.tmp")
"""What a killed ``new`` leaves at the workspace's root."""


@dataclass(frozen=True)
class Item:
    """Something to remove. ``identity`` is (device, inode) of a file, which has ``links`` names and ``size`` bytes."""

    path: Path
    folder: bool
    size: int = 0
    identity: tuple[int, int] = (0, 0)
    links: int = 1


@dataclass
class Leftovers:
    """``items`` in the order of their removal: what a folder holds before it, and stamps after what they tell of."""

    items: list[Item] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """What no build made, by path below the folder that was looked at; a whole folder of it ends in ``/``."""


def of_environment(folder: Path) -> Leftovers:
    """Find what builds left in an environment's folder; its configuration is not looked at. Raises OSError."""
    found = Leftovers()
    _below(folder, "pydist", traces.bundles(folder), found)
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names are wanted, not paths
        if name.startswith("pkg-"):
            _sort(folder, name, traces.archives(), found)
        elif traces.temporary(name):
            _sort(folder, name, traces.archives(), elsewhere := Leftovers())
            found.items += elsewhere.items  # what another program is writing now is no news
    _below(folder, "dist", traces.descriptions(), found)
    _below(folder, "build", traces.records(), found)
    return found


def of_catalogue(folder: Path) -> Leftovers:
    """Find what builds left in the catalogue's folder: its descriptors."""
    found = Leftovers()
    _below(folder, "dist", traces.catalogue_descriptions(), found)
    return found


def of_root(root: Path) -> Leftovers:
    """Find what killed runs of ``new`` left at the workspace's root."""
    found = Leftovers()
    for path in sorted(root.iterdir()):
        if NEW.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            found.items += _whole(path)
    return found


def _below(folder: Path, name: str, rules: Rules, found: Leftovers) -> None:
    """Sort what lies below one folder of a folder; a link, or something else of that name, is kept."""
    path = folder / name
    if not os.path.lexists(path):
        return
    if not is_folder(path):
        found.kept.append(name)
        return
    inner = Leftovers()
    empties = _sort_all(path, "", rules, inner)
    found.items += inner.items
    found.kept += [f"{name}/{kept}" for kept in inner.kept]
    if empties:
        found.items.append(Item(path, folder=True))


def _sort_all(top: Path, path: str, rules: Rules, found: Leftovers) -> bool:
    """Sort everything in a folder; returns whether nothing will be left of it. ``bin`` goes last: it tells of a bundle."""
    here = top / path if path else top
    with os.scandir(here) as entries:
        names = sorted((entry.name for entry in entries), key=lambda name: (name == "bin", name))
    prefix = f"{path}/" if path else ""
    goes = [_sort(top, prefix + name, rules, found) for name in names]
    return all(goes)


def _sort(top: Path, path: str, rules: Rules, found: Leftovers) -> bool:
    """Sort one thing; returns whether it goes."""
    place = top / path
    status = place.lstat()
    if not is_folder(place):
        ours = rules.file(path, status) and (not traces.temporary(path) or is_abandoned(place))
        if ours:
            found.items.append(_item(place, status))
        else:
            found.kept.append(path)
        return ours
    if rules.whole(path):
        found.items += _whole(place)
        return True
    inner = Leftovers()
    empties = _sort_all(top, path, rules, inner)
    if not inner.items and not rules.folder(path):
        found.kept.append(f"{path}/")
        return False
    found.items += inner.items
    found.kept += inner.kept
    if empties:
        found.items.append(Item(place, folder=True))
    return empties


def _item(path: Path, status: os.stat_result) -> Item:
    return Item(path, False, status.st_size, (status.st_dev, status.st_ino), status.st_nlink)


def _whole(path: Path) -> Iterator[Item]:
    if not is_folder(path):
        yield _item(path, path.lstat())
        return
    for inner in sorted(path.iterdir()):
        yield from _whole(inner)
    yield Item(path, folder=True)


def freed_by(items: Sequence[Item]) -> int:
    """The bytes that removing them frees: of a file with several names only where all of them go."""
    names: dict[tuple[int, int], int] = {}
    for item in items:
        if not item.folder:
            names[item.identity] = names.get(item.identity, 0) + 1
    counted: set[tuple[int, int]] = set()
    total = 0
    for item in items:
        if not item.folder and item.identity not in counted and names[item.identity] >= item.links:
            counted.add(item.identity)
            total += item.size
    return total
