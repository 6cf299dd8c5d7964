"""Which libraries a program or library names in its headers, in their order.

Read from the few bytes that hold them: ELF's dynamic section (System V gABI, chapter 5), Mach-O's load commands
(mach-o/loader.h), PE's import and delay import directories (Microsoft, "PE Format"). lief says the same
(``tests/e2e/wheels/test_inspect_pypi.py``), but takes 0.4 s to import.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

from pyrunenv.interpreters.formats import Format
from pyrunenv.wheels import macho

_SEGMENT, _LOAD, _DYNAMIC = struct.Struct("<IIQQQQQQ"), 1, 2
_DYNAMIC_ENTRY, _END, _NEEDED, _STRINGS = struct.Struct("<QQ"), 0, 1, 5
_DYLIBS = {0x0C, 0x80000018, 0x8000001F, 0x20, 0x80000023}
"""LC_LOAD_DYLIB, and its weak, re-exporting, lazy and upward kinds."""
_PE_32, _PE_64 = 0x10B, 0x20B
_SECTION, _IMPORT, _DELAYED = struct.Struct("<8x4I16x"), struct.Struct("<5I"), struct.Struct("<8I")
_IMPORTS_AT, _DELAYED_AT = 1, 13


def needed(content: bytes, kind: Format) -> tuple[str, ...]:
    """Return the libraries that a file needs, each once; raises ValueError or struct.error where it is damaged."""
    read = {"elf": _elf, "mach-o": _macho, "pe": _pe}[kind]
    return tuple(dict.fromkeys(name.decode(errors="replace") for name in read(content)))


def _elf(content: bytes) -> Iterator[bytes]:
    if content[4:6] != b"\2\1":  # 32 bits, or big-endian: of none of the platforms
        return
    segments = list(_segments(content))
    for kind, _, offset, _, _, size, _, _ in segments:
        if kind != _DYNAMIC:
            continue
        every = _DYNAMIC_ENTRY.iter_unpack(macho.part(content, offset, size))
        entries = list(itertools.takewhile(lambda entry: entry[0] != _END, every))
        names = [value for tag, value in entries if tag == _NEEDED]
        strings = next((value for tag, value in entries if tag == _STRINGS), 0)
        yield from (_string(content, _file_offset(segments, strings) + name) for name in names)


def _segments(content: bytes) -> Iterator[tuple[int, ...]]:
    (start,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for number in range(count):
        yield _SEGMENT.unpack_from(content, start + number * size)


def _file_offset(segments: list[tuple[int, ...]], address: int) -> int:
    """Return where in the file the loader finds an address."""
    for kind, _, offset, begin, _, size, _, _ in segments:
        if kind == _LOAD and begin <= address < begin + size:
            return address - begin + offset
    raise ValueError("a table lies in no segment")


def _macho(content: bytes) -> Iterator[bytes]:
    for program in macho.slices(content):
        for command in macho.commands(program):
            if command.kind in _DYLIBS:
                (start,) = struct.unpack_from("<I", command.content, 8)
                yield macho.part(command.content, start, len(command.content) - start).rstrip(b"\0")


def _pe(content: bytes) -> Iterator[bytes]:
    (header,) = struct.unpack_from("<I", content, 60)
    (sections,) = struct.unpack_from("<H", content, header + 6)
    (length,) = struct.unpack_from("<H", content, header + 20)
    optional = header + 24
    table = [_SECTION.unpack_from(content, optional + length + _SECTION.size * n) for n in range(sections)]
    (magic,) = struct.unpack_from("<H", content, optional)
    wide = {_PE_32: 0, _PE_64: 16}.get(magic)
    if wide is None:
        raise ValueError("neither PE32 nor PE32+")
    (directories,) = struct.unpack_from("<I", content, optional + 92 + wide)
    base = struct.unpack_from("<Q" if wide else "<I", content, optional + (24 if wide else 28))[0]
    for index, entry in ((_IMPORTS_AT, _IMPORT), (_DELAYED_AT, _DELAYED)):
        if index < directories:
            (place,) = struct.unpack_from("<I", content, optional + 96 + wide + 8 * index)
            yield from _imports(content, table, place, entry, base) if place else ()


def _imports(
    content: bytes, sections: list[tuple[int, ...]], place: int, entry: struct.Struct, base: int
) -> Iterator[bytes]:
    at = _pe_offset(sections, place)
    while any(fields := entry.unpack_from(content, at)):
        name = fields[3] if entry is _IMPORT else fields[1]
        if entry is _DELAYED and not fields[0] & 1:  # addresses, as Visual C++ 6 wrote them
            name -= base
        yield _string(content, _pe_offset(sections, name))
        at += entry.size


def _pe_offset(sections: list[tuple[int, ...]], address: int) -> int:
    for virtual_size, begin, size, offset in sections:
        if begin <= address < begin + max(virtual_size, size):
            return address - begin + offset
    raise ValueError("a table lies in no section")


def _string(content: bytes, start: int) -> bytes:
    return content[start : content.index(b"\0", start)]
