"""Strips ELF programs and libraries without binutils: whatever the loader does not map is dropped.

Debug information, symbol tables of the linker and compilers' names (``.comment``) lie in sections that are not
allocated, after all that are; nothing else refers to them. (System V gABI, chapters 4 and 5.)
"""

from __future__ import annotations

import struct

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_ALLOCATED, _NO_BITS = 2, 8
_MAPPED_OR_NOTED = {1, 2, 3, 4, 6, 7}  # PT_LOAD, DYNAMIC, INTERP, NOTE, PHDR, TLS


def strip(content: bytes) -> bytes:
    """Return a little-endian ELF64 file without what is not loaded; what is none, or laid out unusually, as it is."""
    if content[:6] != b"\x7fELF\x02\x01" or len(content) < _EHDR.size:
        return content
    try:
        return _strip(content)
    except (struct.error, OverflowError, ValueError):  # tables that reach beyond the file
        return content


def _strip(content: bytes) -> bytes:
    header = list(_EHDR.unpack_from(content))
    kind, phoff, shoff = header[1], header[5], header[6]
    phentsize, phnum, shentsize, shnum, shstrndx = header[9:14]
    if kind not in (2, 3) or shentsize != _SHDR.size or phentsize != _PHDR.size or not 0 < shstrndx < shnum:
        return content
    sections = [list(_SHDR.unpack_from(content, shoff + n * _SHDR.size)) for n in range(shnum)]
    count = next((n for n in range(1, shnum) if not sections[n][2] & _ALLOCATED), shnum)
    if count == shnum or any(section[2] & _ALLOCATED for section in sections[count:]):
        return content
    kept = sections[:count]
    if any(section[6] >= count for section in kept):  # a link to a section that would go
        return content
    segments = [_PHDR.unpack_from(content, phoff + n * _PHDR.size) for n in range(phnum)]
    ends = [s[2] + s[5] for s in segments if s[0] in _MAPPED_OR_NOTED and s[5]]
    ends += [s[4] + s[5] for s in kept[1:] if s[1] != _NO_BITS]
    end = max([phoff + phnum * _PHDR.size, *ends])
    if end > len(content) or shoff < end:
        return content
    return _rebuild(content, header, kept, end, sections[shstrndx])


def _rebuild(content: bytes, header: list[int], kept: list[list[int]], end: int, names: list[int]) -> bytes:
    old = content[names[4] : names[4] + names[5]]
    table = bytearray(b"\0")
    for section in kept[1:]:
        name = old[section[0] : old.index(b"\0", section[0]) + 1]
        section[0] = len(table)
        table += name
    own_name = len(table)
    table += b".shstrtab\0"
    result = bytearray(content[:end]) + table
    result += bytes(-len(result) % 8)
    # index 0 holds what does not fit into the file header, which is nothing now
    kept.append([own_name, 3, 0, 0, end, len(table), 0, 0, 1, 0])
    header[6], header[12], header[13] = len(result), len(kept), len(kept) - 1
    result[: _EHDR.size] = _EHDR.pack(*header)
    return bytes(result) + b"".join(_SHDR.pack(*section) for section in kept)
