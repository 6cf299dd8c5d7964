"""What a program or library loads and where it looks for it: whether an interpreter that came as an archive can be moved.

Read from the few bytes that hold it (System V gABI, chapter 5, "Dynamic Section"; Apple's mach-o/loader.h), for the reason
that :mod:`pyrunenv.interpreters.needs` gives. lief says the same (``tests/unit/interpreters/test_loads.py``).
"""

from __future__ import annotations

import posixpath
import struct
from collections.abc import Iterator

from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters.layout import Layout
from pyrunenv.interpreters.needs import MACHO, sections, starts, text_at
from pyrunenv.interpreters.tree import Tree

_DYNAMIC = 6
_ENTRY = struct.Struct("<QQ")
_NEEDED, _RPATH, _RUNPATH = 1, 15, 29
# LC_LOAD_DYLIB, LC_LOAD_WEAK_DYLIB, LC_REEXPORT_DYLIB
_LOAD_COMMANDS = {0xC, 0x80000018, 0x8000001F}
_OF_MACOS = ("/usr/lib/", "/System/")
_ORIGIN = ("$ORIGIN", "${ORIGIN}")


def check(tree: Tree, layout: Layout, name: str) -> None:
    """Refuse an interpreter that finds its own libraries only where it was installed. Raises InterpreterError.

    A path in a macOS file cannot be changed without breaking the signature that arm64 demands.
    """
    if layout.platform.system == "linux":
        _check_linux(tree, layout.python, name)
    elif layout.platform.system == "macosx":
        for path in tree.files():
            for library in macho(tree.read(path)) if tree.read(path, 4) in MACHO else ():
                if library.startswith("/") and not library.startswith(_OF_MACOS):
                    remedy = "use one that finds its libraries from where it lies, such as python-build-standalone's"
                    raise _cannot_move(name, path, f"loads `{library}`", remedy)


def _check_linux(tree: Tree, python: str, name: str) -> None:
    needed, searched = elf(tree.read(python))
    for library in needed:
        own = "/" in library or library.startswith("libpython") or tree.names(f"lib/{library}")
        places = [library] if "/" in library else [f"{folder}/{library}" for folder in searched]
        if own and not any(tree.names(place) for place in _within(places, posixpath.dirname(python))):
            where = f", looked for in {':'.join(searched) or 'no folder of its own'}" if "/" not in library else ""
            raise _cannot_move(
                name, python, f"needs `{library}`{where}",
                f"pack it again after `patchelf --set-rpath '$ORIGIN/../lib' {python}`, or use python.source `local`, which "
                "makes an installed interpreter portable",
            )  # fmt: skip


def _within(places: list[str], folder: str) -> Iterator[str]:
    """Yield the places that are relative to a program in ``folder``, as paths in the tree."""
    for place in places:
        origin, _, below = place.partition("/")
        if origin in _ORIGIN:
            yield posixpath.normpath(posixpath.join(folder, below))


def _cannot_move(name: str, path: str, what: str, remedy: str) -> InterpreterError:
    return InterpreterError(
        f"the interpreter in {name} runs only where it was installed: `{path}` {what}",
        hint=remedy,
    )


def elf(content: bytes) -> tuple[list[str], list[str]]:
    """Return the names that a little-endian ELF64 file needs, and the folders that it names to search for them."""
    needed: list[str] = []
    searched: list[str] = []
    if content[:6] != b"\x7fELF\x02\x01":
        return needed, searched
    try:
        every = list(sections(content))
        for section in every:
            if section.kind != _DYNAMIC:
                continue
            table = content[section.offset : section.offset + section.size - section.size % _ENTRY.size]
            for tag, value in _ENTRY.iter_unpack(table):
                if tag == _NEEDED:
                    needed.append(text_at(content, every[section.link], value).decode(errors="replace"))
                elif tag in (_RPATH, _RUNPATH):
                    searched += text_at(content, every[section.link], value).decode(errors="replace").split(":")
    except (struct.error, IndexError, ValueError):  # tables that reach beyond the file
        pass
    return needed, searched


def macho(content: bytes) -> list[str]:
    """Return the names that a Mach-O file loads, of a universal one all; nothing of what is another, or damaged."""
    try:
        return [name for start in starts(content) for name in _macho(content, start)]
    except (struct.error, ValueError):
        return []


def _macho(content: bytes, start: int) -> Iterator[str]:
    if content[start : start + 4] != MACHO[0]:
        return
    (count,) = struct.unpack_from("<I", content, start + 16)
    at = start + 32
    for _ in range(count):
        command, size = struct.unpack_from("<II", content, at)
        if command in _LOAD_COMMANDS:
            (offset,) = struct.unpack_from("<I", content, at + 8)
            yield content[at + offset : at + size].partition(b"\0")[0].decode(errors="replace")
        at += size
