"""Makes small ELF, Mach-O and PE libraries that need others, with floors and code signatures, and alters wheels."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import lief

from pyrunenv.interpreters.formats import Format
from support.wheels import zip_bytes

X64, ARM64 = 0x01000007, 0x0100000C
"""Mach-O's numbers of the two processors."""
_ADDRESS = 0x10000
"""Where an ELF library is loaded, so that addresses are no offsets."""
_HASHES = {1: ("sha1", 20), 2: ("sha256", 32), 3: ("sha256", 20), 4: ("sha384", 48), 9: ("md5", 16)}


class _Strings:
    def __init__(self) -> None:
        self.content = b"\0"

    def add(self, text: str) -> int:
        self.content += text.encode() + b"\0"
        return len(self.content) - len(text) - 1


def elf_library(machine: int = 62, needs: Sequence[str] = (), *, glibc: str | None = None) -> bytes:
    """Return an ELF64 library with a dynamic section, and with a need of ``GLIBC_<glibc>``."""
    strings = _Strings()
    entries = [(1, strings.add(name)) for name in needs]
    library, version = strings.add("libc.so.6"), strings.add(f"GLIBC_{glibc}")
    strings_at = 64 + 2 * 56
    dynamic_at = -(-(strings_at + len(strings.content)) // 8) * 8
    entries = [*entries, (5, strings_at + _ADDRESS), (0, 0), (1, 0)]  # what follows the end is no entry
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    versions_at = dynamic_at + len(dynamic)
    versions = struct.pack("<HHIIIIHHII", 1, 1, library, 16, 0, 0, 0, 2, version, 0)
    sections_at = versions_at + len(versions)
    sections = [(0, 0, 0, 0, 0), (3, strings_at, len(strings.content), 0, 0)]
    sections += [(0x6FFFFFFE, versions_at, len(versions), 1, 1)] if glibc else []
    table = b"".join(struct.pack("<IIQQQQIIQQ", 0, kind, 0, 0, at, size, link, info, 1, 0)
                     for kind, at, size, link, info in sections)  # fmt: skip
    size = sections_at + len(table)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 3, machine, 1, 0, 64, sections_at, 0, 64, 56, 2, 64,
                         len(sections), 0)  # fmt: skip
    header += struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, 4096)
    header += struct.pack("<IIQQQQQQ", 2, 6, dynamic_at, dynamic_at + _ADDRESS, 0, len(dynamic), len(dynamic), 8)
    return (header + strings.content).ljust(dynamic_at, b"\0") + dynamic + versions + table


def macho_library(
    cpu: int = ARM64,
    needs: Sequence[str | tuple[int, str]] = (),
    *,
    floor: tuple[int, int] = (11, 0),
    signed: Sequence[int] | None = (2,),
    kind: int = 6,
    code: bytes = bytes(range(256)) * 40,
) -> bytes:
    """Return a Mach-O library. ``needs`` may say the load command; ``signed`` lists hash types, None is no signature."""
    packed = floor[0] << 16 | floor[1] << 8
    parts = [struct.pack("<IIIIII", 0x32, 24, 1, packed, packed, 0), _dylib(0x0D, "@rpath/itself.dylib")]
    parts += [_dylib(*(need if isinstance(need, tuple) else (0x0C, need))) for need in needs]
    length = sum(map(len, parts)) + (16 if signed is not None else 0)
    start = 32 + length
    program = struct.pack("<IIIIIIII", 0xFEEDFACF, cpu, 0, kind, len(parts) + (signed is not None), length, 0, 0)
    if signed is None:
        return program + b"".join(parts) + code
    limit = start + len(code)
    blob = signature(b"\0" * limit, signed)
    parts.append(struct.pack("<IIII", 0x1D, 16, limit, len(blob)))
    program += b"".join(parts) + code
    return program + signature(program, signed)


def _dylib(command: int, name: str) -> bytes:
    text = name.encode() + b"\0"
    text += bytes(-len(text) % 8)
    return struct.pack("<IIIIII", command, 24 + len(text), 24, 2, 0x10000, 0x10000) + text


def signature(
    program: bytes, hash_types: Sequence[int] = (2,), *, page_bits: int = 12, limit: int | None = None
) -> bytes:
    """Return an ad-hoc signature of a program's bytes: a code directory for each hash type, and empty requirements."""
    limit = len(program) if limit is None else limit
    blobs = [_directory(program, kind, page_bits, limit) for kind in hash_types]
    slots = [0, *range(0x1000, 0x1006)][: len(blobs)]
    blobs.append(struct.pack(">III", 0xFADE0C01, 12, 0))
    slots.append(2)
    at, index = 12 + 8 * len(blobs), b""
    for slot, blob in zip(slots, blobs, strict=True):
        index += struct.pack(">II", slot, at)
        at += len(blob)
    return struct.pack(">III", 0xFADE0CC0, at, len(blobs)) + index + b"".join(blobs)


def _directory(program: bytes, hash_type: int, page_bits: int, limit: int) -> bytes:
    name, size = _HASHES[hash_type]
    page = 1 << page_bits if page_bits else limit
    pages = [program[at : min(at + page, limit)] for at in range(0, limit, page)]
    hashes = b"".join(hashlib.new(name, one).digest()[:size] for one in pages)
    identifier = b"a.test\0"
    names_at = 44 + 16 + 4  # fixed fields up to codeLimit64 of version 0x20300
    hashes_at = names_at + len(identifier)
    header = struct.pack(">9I4B", 0xFADE0C02, hashes_at + len(hashes), 0x20300, 2, hashes_at, names_at, 0, len(pages), limit,
                         size, hash_type, 0, page_bits)  # fmt: skip
    return header + bytes(names_at - len(header)) + identifier + hashes


def universal(*programs: bytes) -> bytes:
    """Return a universal Mach-O of these, each at a page of its own."""
    places, at = [], 4096
    for program in programs:
        places.append(at)
        at += -(-len(program) // 4096) * 4096
    content = struct.pack(">II", 0xCAFEBABE, len(programs))
    for place, program in zip(places, programs, strict=True):
        content += struct.pack(">IIIII", struct.unpack_from("<I", program, 4)[0], 0, place, len(program), 12)
    for place, program in zip(places, programs, strict=True):
        content = content.ljust(place, b"\0") + program
    return content


def pe_library(
    needs: Sequence[str] = (),
    delayed: Sequence[str] = (),
    *,
    machine: int = 0x8664,
    wide: bool = True,
    base: int = 0x10000000,
) -> bytes:
    """Return a DLL with an import and a delay import directory, as PE32+ or (not ``wide``) as PE32."""
    begin, size = 0x1000, 0x1000
    delayed_at = 20 * (len(needs) + 1)
    names_at = delayed_at + 32 * (len(delayed) + 1)
    names, places = b"", {}
    for name in (*needs, *delayed):
        places[name] = begin + names_at + len(names)
        names += name.encode() + b"\0"
    thunks = begin + size - 16  # zeros: nothing is imported by name
    body = b"".join(struct.pack("<5I", thunks, 0, 0, places[name], thunks) for name in needs) + bytes(20)
    body += b"".join(struct.pack("<8I", 1, places[name], thunks, thunks, thunks, 0, 0, 0) for name in delayed) + bytes(
        32
    )
    directories = [(0, 0)] * 16
    directories[1] = (begin, delayed_at)
    directories[13] = (begin + delayed_at, names_at - delayed_at) if delayed else (0, 0)
    optional = struct.pack("<HBBIIIII", 0x20B if wide else 0x10B, 14, 0, 0, size, 0, 0, begin)
    optional += struct.pack("<Q", base) if wide else struct.pack("<II", 0, base)
    optional += struct.pack("<IIHHHHHHIIIIHH", 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0, 0x2000, 0x400, 0, 2, 0)
    optional += struct.pack("<4QII" if wide else "<4III", 0, 0, 0, 0, 0, 16)
    optional += b"".join(struct.pack("<II", *one) for one in directories)
    coff = struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, len(optional), 0x2022 if wide else 0x2102)
    section = struct.pack("<8sIIIIIIHHI", b".rdata", size, begin, size, 0x400, 0, 0, 0, 0, 0x40000040)
    head = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + coff + optional + section
    return head.ljust(0x400, b"\0") + (body + names).ljust(size, b"\0")


def flipped(content: bytes, at: int) -> bytes:
    """Return the content with one bit changed."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def altered(wheel: Path, changes: Mapping[str, bytes | None]) -> Path:
    """Write a wheel anew in place, some members with another content, added, or (None) left out; RECORD stays."""
    with zipfile.ZipFile(wheel) as archive:
        members: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    members.update(changes)
    wheel.write_bytes(zip_bytes({name: content for name, content in members.items() if content is not None}))
    return wheel


def needed_by_lief(content: bytes, kind: Format) -> tuple[str, ...]:
    """Return the libraries that lief says a file needs, each once."""
    lief.logging.disable()
    stream = io.BytesIO(content)
    if kind == "elf":
        names = list(lief.ELF.parse(stream).libraries)
    elif kind == "mach-o":
        parsed, own = lief.MachO.parse(stream), lief.MachO.LoadCommand.TYPE.ID_DYLIB
        names = [library.name for one in parsed for library in one.libraries if library.command != own]
    else:
        binary = lief.PE.parse(stream)
        names = [*(each.name for each in binary.imports), *(each.name for each in binary.delay_imports)]
    return tuple(dict.fromkeys(names))
