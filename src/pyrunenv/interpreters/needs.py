"""What the headers of a program or library say that it needs: versions of glibc's symbols, or a version of macOS.

Read from the few bytes that hold it (System V gABI, chapter 4; LSB 5.0, "Symbol Versioning"; Apple's mach-o/loader.h).
lief says the same (``tests/unit/interpreters/test_needs.py``), but importing it takes each process 0.4 s of processor
time, and it parses a file whole: 756 libraries of wheels for four platforms in 4.8 s, which take 0.09 s here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

Version = tuple[int, ...]

_SECTION = struct.Struct("<IIQQQQIIQQ")
_NEED, _NEEDED_NAME, _SYMBOL = struct.Struct("<HHIII"), struct.Struct("<IHHII"), struct.Struct("<IBBHQQ")
_DYNSYM, _VERSIONS_NEEDED, _VERSION_OF_SYMBOL = 11, 0x6FFFFFFE, 0x6FFFFFFF
_GLIBC = re.compile(rb"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
_HIDDEN = 0x8000

MACHO = (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How a Mach-O file begins: one for 64 bits, and a universal one."""
_BUILD_VERSION, _PLATFORM_MACOS, _VERSION_MIN_MACOSX = 0x32, 1, 0x24


class Section(NamedTuple):
    """One section: its kind (sh_type), where it lies, and the section that it refers to."""

    kind: int
    offset: int
    size: int
    link: int
    info: int


def glibc(content: bytes) -> tuple[Version, str] | None:
    """Return the newest glibc that a little-endian ELF64 file needs, and the first symbol that needs it.

    The symbol stands as ``name@GLIBC_2.34``, or without a name where the file needs the version for none. None where
    nothing of glibc is needed, or the file is another, or damaged.
    """
    try:
        return _glibc(content)
    except (struct.error, IndexError, ValueError):  # tables that reach beyond the file
        return None


def _glibc(content: bytes) -> tuple[Version, str] | None:
    if content[:6] != b"\x7fELF\x02\x01":
        return None
    every = list(sections(content))
    needed: dict[int, Version] = {}
    for section in every:
        if section.kind == _VERSIONS_NEEDED:
            for index, name in _needed(content, section, every[section.link]):
                if found := _GLIBC.fullmatch(name):
                    needed[index] = (int(found[1]), int(found[2]))
    if not needed:
        return None
    highest = max(needed.values())
    version = f"GLIBC_{highest[0]}.{highest[1]}"
    names = list(_symbols(content, every, {index for index in needed if needed[index] == highest}))
    return highest, f"{min(names)}@{version}" if names else version


def sections(content: bytes) -> Iterator[Section]:
    """Yield the sections of an ELF64 file. Raises struct.error where it is damaged."""
    (start,) = struct.unpack_from("<Q", content, 40)
    size, count = struct.unpack_from("<HH", content, 58)
    for number in range(count if size == _SECTION.size else 0):
        _, kind, _, _, offset, length, link, info, _, _ = _SECTION.unpack_from(content, start + number * size)
        yield Section(kind, offset, length, link, info)


def _needed(content: bytes, section: Section, strings: Section) -> Iterator[tuple[int, bytes]]:
    """Yield (index, name) of each version that is needed of some library."""
    at = section.offset
    for _ in range(section.info):
        _, count, _, first, following = _NEED.unpack_from(content, at)
        place = at + first
        for _ in range(count):
            _, _, index, name, step = _NEEDED_NAME.unpack_from(content, place)
            yield index, text_at(content, strings, name)
            place += step
            if not step:  # the end of the chain, whatever the count says
                break
        at += following
        if not following:
            break


def _symbols(content: bytes, every: list[Section], indices: set[int]) -> Iterator[str]:
    """Yield the names of the dynamic symbols that have one of these versions."""
    for section in every:
        if section.kind == _VERSION_OF_SYMBOL:
            table = every[section.link]
            strings = every[table.link]
            for number, (version,) in enumerate(struct.iter_unpack("<H", _bytes(content, section))):
                if version & ~_HIDDEN in indices:
                    name = _SYMBOL.unpack_from(content, table.offset + number * _SYMBOL.size)[0]
                    yield text_at(content, strings, name).decode(errors="replace")


def _bytes(content: bytes, section: Section) -> bytes:
    return content[section.offset : section.offset + section.size]


def text_at(content: bytes, strings: Section, offset: int) -> bytes:
    """Return a string of a table of an ELF file's. Raises ValueError where it has no end."""
    start = strings.offset + offset
    return content[start : content.index(b"\0", start)]


def macos(content: bytes) -> Version | None:
    """Return the oldest macOS that a Mach-O file runs on, as (major, minor, patch); of a universal file, the newest such.

    None where it names none, or the file is another, or damaged.
    """
    try:
        versions = [version for start in starts(content) for version in _macos(content, start)]
    except struct.error:
        return None
    return max(versions, default=None)


def starts(content: bytes) -> Iterator[int]:
    """Yield where the programs in a file begin: one, or one for each architecture of a universal file."""
    if content[:4] != MACHO[1]:
        yield 0
        return
    (count,) = struct.unpack_from(">I", content, 4)
    for number in range(count if count < 32 else 0):  # Java's class files begin alike, and have a version here
        yield struct.unpack_from(">I", content, 16 + 20 * number)[0]


def _macos(content: bytes, start: int) -> Iterator[Version]:
    if content[start : start + 4] != MACHO[0]:
        return
    (count,) = struct.unpack_from("<I", content, start + 16)
    found: dict[int, int] = {}
    at = start + 32
    for _ in range(count):
        command, size, first, second = struct.unpack_from("<IIII", content, at)
        if command == _BUILD_VERSION and first == _PLATFORM_MACOS:
            found[command] = second
        elif command == _VERSION_MIN_MACOSX:
            found[command] = first
        at += size
    packed = found.get(_BUILD_VERSION, found.get(_VERSION_MIN_MACOSX))
    if packed is not None:
        yield packed >> 16, packed >> 8 & 0xFF, packed & 0xFF
