"""What headers say that a program needs, compared with what lief reads."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from support.interpreters import elf, macho

from pyrunenv.interpreters import needs


def lief_glibc(content: bytes) -> tuple[tuple[int, int], str] | None:
    """The same question, answered by lief."""
    lief = pytest.importorskip("lief")
    binary = lief.ELF.parse(io.BytesIO(content))
    found = {
        (int(match[1]), int(match[2]))
        for requirement in binary.symbols_version_requirement
        for need in requirement.get_auxiliary_symbols()
        if (match := re.fullmatch(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?", str(need.name)))
    }
    if not found:
        return None
    version = f"GLIBC_{max(found)[0]}.{max(found)[1]}"
    names = []
    for symbol in binary.dynamic_symbols:
        if symbol.has_version and symbol.symbol_version.has_auxiliary_version:
            name = str(symbol.symbol_version.symbol_version_auxiliary.name)
            if name == version or name.startswith(version + "."):
                names.append(str(symbol.name))
    return max(found), f"{min(names)}@{version}" if names else version


def programs() -> list[Path]:
    folders = [Path(sys.base_prefix, "bin"), Path(sys.base_prefix, "lib"), Path(os.__file__).parent / "lib-dynload"]
    found = [
        path for folder in folders for path in sorted(folder.glob("*")) if path.is_file() and not path.is_symlink()
    ]
    with_magic = []
    for path in found:
        with path.open("rb") as stream:
            if stream.read(4) == b"\x7fELF":
                with_magic.append(path)
    return sorted(with_magic, key=lambda path: path.stat().st_size)[:40]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux programs")
def test_a_programs_glibc_is_what_lief_says() -> None:
    """The running Python's own modules and libraries: version and symbol agree."""
    found = programs()
    assert len(found) > 3
    results = {path.name: needs.glibc(path.read_bytes()) for path in found}
    assert results == {path.name: lief_glibc(path.read_bytes()) for path in found}
    assert any(results.values())


@pytest.mark.skipif(sys.platform != "linux", reason="looks at a Linux program")
def test_a_program_that_is_cut_anywhere_needs_nothing_or_the_same() -> None:
    """Tables beyond the file's end are no exception of Python's."""
    content = programs()[0].read_bytes()
    whole = needs.glibc(content)
    for size in range(0, len(content), max(1, len(content) // 100)):
        assert needs.glibc(content[:size]) in (None, whole)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", elf(62), elf(62, b""), b"\x7fELF\x01" + bytes(100)])
def test_what_needs_no_glibc_has_none(content: bytes) -> None:
    """Files without sections, of 32 bits, or of nothing but a header."""
    assert needs.glibc(content) is None


def commands(*parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack("<IIIIIIII", 0xFEEDFACF, 0x0100000C, 0, 6, len(parts), len(body), 0, 0) + body


def build_version(platform: int, version: int) -> bytes:
    return struct.pack("<IIIIII", 0x32, 24, platform, version, version, 0)


def universal(*programs: bytes) -> bytes:
    """Two architectures, each at a page of its own."""
    places = [4096 * (n + 1) for n in range(len(programs))]
    kinds = (0x01000007, 0x0100000C)
    content = struct.pack(">II", 0xCAFEBABE, len(programs))
    for kind, place, program in zip(kinds, places, programs, strict=True):
        content += struct.pack(">IIIII", kind, 0, place, len(program), 12)
    for place, program in zip(places, programs, strict=True):
        content = content.ljust(place, b"\0") + program
    return content


VERSION_MIN = struct.pack("<IIII", 0x24, 16, 10 << 16 | 9 << 8 | 2, 0)
UUID = struct.pack("<II16s", 0x1B, 24, b"u" * 16)
MACHOS: dict[str, tuple[bytes, Any]] = {
    "build version": (macho(0x0100000C, (11, 0)), (11, 0, 0)),
    "old command": (commands(UUID, VERSION_MIN), (10, 9, 2)),
    "both": (commands(VERSION_MIN, UUID, build_version(1, 12 << 16 | 3 << 8 | 1)), (12, 3, 1)),
    "neither": (commands(UUID), None),
    "universal": (universal(macho(0x01000007, (10, 9), b""), macho(0x0100000C, (11, 0), b"")), (11, 0, 0)),
}


@pytest.mark.parametrize("case", MACHOS)
def test_the_macos_of_a_program_is_what_its_commands_say(case: str) -> None:
    """Both commands, none, and several architectures; lief says the same."""
    content, expected = MACHOS[case]
    assert needs.macos(content) == expected
    lief = pytest.importorskip("lief")
    lief.logging.disable()
    said = []
    parsed = lief.MachO.parse(io.BytesIO(content))  # kept: lief's iterators do not keep what they go over
    for binary in parsed or ():
        if binary.has_build_version:
            said.append(tuple(binary.build_version.minos))
        elif binary.version_min is not None:
            said.append(tuple(binary.version_min.version))
    assert max(said, default=None) == expected


def test_another_systems_build_version_is_no_macos() -> None:
    """Platform 6 is Mac Catalyst, which numbers its versions otherwise."""
    assert needs.macos(commands(build_version(6, 14 << 16), build_version(1, 11 << 16))) == (11, 0, 0)
    assert needs.macos(commands(build_version(6, 14 << 16))) is None


def test_damaged_machos_and_java_classes_need_nothing() -> None:
    """A class file begins like a universal program; a cut header is none."""
    assert needs.macos(b"\xca\xfe\xba\xbe\0\0\0\x41" + bytes(1000)) is None
    content = MACHOS["universal"][0]
    for size in range(0, len(content), 7):
        assert needs.macos(content[:size]) in (None, (10, 9, 0), (11, 0, 0))
