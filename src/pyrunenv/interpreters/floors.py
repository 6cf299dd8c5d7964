"""Measures the oldest glibc (ELF version needs) or macOS (LC_BUILD_VERSION, LC_VERSION_MIN_MACOSX) a tree runs on."""

from __future__ import annotations

from dataclasses import dataclass

from pyrunenv.interpreters import needs
from pyrunenv.interpreters.formats import ENOUGH, FORMATS, identify
from pyrunenv.interpreters.tree import Tree
from pyrunenv.platforms import Platform

Version = tuple[int, ...]


@dataclass(frozen=True)
class Floor:
    """A version as ``major.minor``, and the file (with a symbol, where one is known) that needs it."""

    version: str
    cause: str


def parse(version: str) -> Version:
    """Return ``2.28`` as (2, 28)."""
    return tuple(int(part) for part in version.split("."))


def measure(content: bytes, name: str) -> Floor | None:
    """Return the floor of one ELF or Mach-O file; None where it has none, or is neither."""
    found = identify(content[:ENOUGH])
    if found is None or found[0] == "pe":
        return None
    if found[0] == "elf":
        need = needs.glibc(content)
        return Floor(_text(need[0]), f"{name} ({need[1]})") if need else None
    version = needs.macos(content)
    return Floor(_text(version), name) if version else None


def _text(version: Version) -> str:
    return ".".join(map(str, version[:2]))


def tree_floor(tree: Tree, platform: Platform) -> Floor | None:
    """Return the highest floor of a tree's programs and libraries; None on Windows."""
    if platform.windows:
        return None
    best: Floor | None = None
    for path in tree.files():
        head = identify(tree.read(path, ENOUGH))
        if head is None or head[0] != FORMATS[platform.system]:
            continue
        floor = measure(tree.read(path), path)
        if floor is not None and (best is None or parse(floor.version) > parse(best.version)):
            best = floor
    return best


def warning(floor: Floor | None, platform: Platform, *, glibc: str, macos: str) -> str | None:
    """Say that a tree's floor is above the workspace's, and what raises it; None where it is not."""
    if floor is None or platform.windows:
        return None
    system, allowed = ("glibc", glibc) if platform.system == "linux" else ("macOS", macos)
    if parse(floor.version) <= parse(allowed):
        return None
    return (
        f"the interpreter needs {system} {floor.version}, above the workspace's floor of {allowed}: "
        f"{floor.cause} raises it"
    )
