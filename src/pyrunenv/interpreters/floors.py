"""Measures the oldest glibc (ELF version needs) or macOS (LC_BUILD_VERSION, LC_VERSION_MIN_MACOSX) a tree runs on."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pyrunenv.interpreters.formats import ENOUGH, FORMATS, identify
from pyrunenv.interpreters.tree import Tree
from pyrunenv.platforms import Platform

_GLIBC = re.compile(rb"GLIBC_(\d+)\.(\d+)")
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
    version, symbol = _glibc(content) if found[0] == "elf" else (_macos(content), None)
    if version is None:
        return None
    return Floor(".".join(map(str, version[:2])), f"{name} ({symbol})" if symbol else name)


def tree_floor(tree: Tree, platform: Platform) -> Floor | None:
    """Return the highest floor of a tree's programs and libraries; None on Windows."""
    if platform.windows:
        return None
    native = [path for path in tree.files() if (found := identify(tree.read(path, ENOUGH))) and
              found[0] == FORMATS[platform.system]]  # fmt: skip
    # What a file's bytes mention bounds what it needs: most files need not be parsed.
    bounds = sorted(
        ((_bound(tree.read(path), platform), path) for path in native), key=lambda b: (_negated(b[0]), b[1])
    )
    best: Floor | None = None
    for bound, path in bounds:
        if best is not None and bound <= parse(best.version):
            break
        floor = measure(tree.read(path), path)
        if floor is not None and (best is None or parse(floor.version) > parse(best.version)):
            best = floor
    return best


def _bound(content: bytes, platform: Platform) -> Version:
    if platform.system != "linux":
        return (1000,)
    return max(((int(major), int(minor)) for major, minor in _GLIBC.findall(content)), default=(0,))


def _negated(version: Version) -> Version:
    return tuple(-part for part in version)


def _glibc(content: bytes) -> tuple[Version | None, str | None]:
    import lief

    lief.logging.disable()
    config = lief.ELF.ParserConfig()
    config.parse_relocations = config.parse_symtab_symbols = config.parse_overlay = config.parse_notes = False
    binary = lief.ELF.parse(io.BytesIO(content), config)
    if binary is None:
        return None, None
    needs: set[Version] = set()
    for requirement in binary.symbols_version_requirement:
        for need in requirement.get_auxiliary_symbols():
            if found := re.fullmatch(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?", str(need.name)):
                needs.add((int(found[1]), int(found[2])))
    if not needs:
        return None, None
    highest = max(needs)
    return highest, _symbol(binary.dynamic_symbols, f"GLIBC_{highest[0]}.{highest[1]}")


def _symbol(symbols: Iterable[Any], version: str) -> str | None:
    names = []
    for symbol in symbols:
        if symbol.has_version and symbol.symbol_version.has_auxiliary_version:
            name = str(symbol.symbol_version.symbol_version_auxiliary.name)
            if name == version or name.startswith(version + "."):
                names.append(str(symbol.name))
    return f"{min(names)}@{version}" if names else version


def _macos(content: bytes) -> Version | None:
    import lief

    lief.logging.disable()
    fat = lief.MachO.parse(io.BytesIO(content), lief.MachO.ParserConfig.quick)
    versions: list[Version] = []
    for binary in fat or ():
        command: Any = binary.build_version if binary.has_build_version else binary.version_min
        if command is not None:
            versions.append(tuple(command.minos if binary.has_build_version else command.version))
    return max(versions, default=None)


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
