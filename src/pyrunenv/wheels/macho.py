"""Mach-O files taken apart: the programs of a universal file, and a program's load commands.

Source: Apple's mach-o/fat.h and mach-o/loader.h. What reaches beyond the file raises ValueError or struct.error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_UNIVERSAL = b"\xca\xfe\xba\xbe"
_HEADERS = {b"\xcf\xfa\xed\xfe": 32, b"\xce\xfa\xed\xfe": 28}
"""Sizes of the header by its first bytes: 64 and 32 bits, little-endian."""
_NOT_LOADED = {1, 9, 10}
"""MH_OBJECT, MH_DYLIB_STUB, MH_DSYM."""


class Command(NamedTuple):
    """A load command, its eight leading bytes included."""

    kind: int
    content: bytes


def slices(content: bytes) -> Iterator[bytes]:
    """Yield the programs in a file: itself, or one for each architecture of a universal file, in its order."""
    if content[:4] != _UNIVERSAL:
        yield content
        return
    (count,) = struct.unpack_from(">I", content, 4)
    for number in range(count):
        offset, size = struct.unpack_from(">II", content, 16 + 20 * number)
        yield part(content, offset, size)


def loaded(program: bytes) -> bool:
    """Whether a program's code can be run; not so of object files, debug symbols, and static libraries."""
    return program[:4] in _HEADERS and struct.unpack_from("<I", program, 12)[0] not in _NOT_LOADED


def commands(program: bytes) -> Iterator[Command]:
    """Yield one program's load commands; none of what is no Mach-O, as the static libraries in universal files."""
    start = _HEADERS.get(program[:4])
    if start is None:
        return
    count, size = struct.unpack_from("<II", program, 16)
    block, at = part(program, start, size), 0
    for _ in range(count):
        kind, length = struct.unpack_from("<II", block, at)
        if length < 8:  # would be read again and again
            raise ValueError("a load command without a length")
        yield Command(kind, part(block, at, length))
        at += length


def part(content: bytes, offset: int, size: int) -> bytes:
    """Return ``size`` bytes from ``offset``; raises ValueError where there are fewer."""
    if offset + size > len(content):
        raise ValueError("a table reaches beyond the file")
    return content if size == len(content) else content[offset : offset + size]
