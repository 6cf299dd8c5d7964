"""What libraries need, compared with what lief reads; real ones are in ``tests/e2e/wheels``."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from support.interpreters import elf
from support.native import ARM64, X64, elf_library, macho_library, needed_by_lief, pe_library, universal

from pyrunenv.interpreters.formats import Format
from pyrunenv.wheels.linked import needed

WEAK, REEXPORT, LAZY, UPWARD = 0x80000018, 0x8000001F, 0x20, 0x80000023
KINDS = [(WEAK, "@rpath/w.dylib"), (REEXPORT, "@rpath/r.dylib"), (LAZY, "@rpath/l.dylib"), (UPWARD, "@rpath/u.dylib")]


CASES: dict[str, tuple[Format, bytes, tuple[str, ...]]] = {
    "elf": ("elf", elf_library(62, ["libc.so.6", "libfoo-1a.so.3"], glibc="2.17"), ("libc.so.6", "libfoo-1a.so.3")),
    "elf arm": ("elf", elf_library(183, ["libm.so.6"]), ("libm.so.6",)),
    "elf alone": ("elf", elf_library(62), ()),
    "mach-o": ("mach-o", macho_library(ARM64, ["/usr/lib/libSystem.B.dylib"]), ("/usr/lib/libSystem.B.dylib",)),
    "mach-o of all kinds": ("mach-o", macho_library(X64, KINDS), tuple(name for _, name in KINDS)),
    "universal": ("mach-o", universal(macho_library(X64, ["a", "b"]), macho_library(ARM64, ["b", "c"])), ("a", "b", "c")),
    "pe": ("pe", pe_library(["KERNEL32.dll", "python312.dll"]), ("KERNEL32.dll", "python312.dll")),
    "pe delayed": ("pe", pe_library(["KERNEL32.dll"], ["WS2_32.dll"]), ("KERNEL32.dll", "WS2_32.dll")),
    "pe of 32 bits": ("pe", pe_library(["a.dll"], ["b.dll"], machine=0x14C, wide=False), ("a.dll", "b.dll")),
    "pe alone": ("pe", pe_library(), ()),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_a_library_needs_is_what_lief_says(case: str) -> None:
    """Every format; names in the headers' order, the library's own name and what follows the end left out."""
    kind, content, expected = CASES[case]
    assert needed(content, kind) == expected == needed_by_lief(content, kind)


def test_libraries_of_32_bits_and_static_ones_need_nothing() -> None:
    """ELF32, an ELF64 header alone, and a universal file of static libraries."""
    assert needed(elf_library(3, ["libc.so.6"]).replace(b"\x7fELF\2", b"\x7fELF\1"), "elf") == ()
    assert needed(elf(62), "elf") == ()
    assert needed(universal(b"!<arch>\n".ljust(64)), "mach-o") == ()


@pytest.mark.parametrize("case", ["elf", "mach-o", "universal", "pe delayed"])
def test_a_cut_library_is_damaged_and_never_needs_less(case: str) -> None:
    """At every length it raises one of two exceptions, or says the same as the whole."""
    kind, content, expected = CASES[case]
    raised = 0
    for size in range(64, len(content), 5):
        try:
            assert needed(content[:size], kind) == expected
        except (ValueError, struct.error):
            raised += 1
    assert raised > 10


@pytest.mark.parametrize("wide", [True, False])
def test_old_delay_imports_hold_addresses(wide: bool) -> None:
    """Visual C++ 6 counted from 0; the library's base address is taken off."""
    content = pe_library(["a.dll"], ["b.dll"], wide=wide, base=0x10000000)
    place = 0x400 + 2 * 20
    attributes, name = struct.unpack_from("<II", content, place)
    old = content[:place] + struct.pack("<II", attributes & ~1, name + 0x10000000) + content[place + 8 :]
    assert needed(old, "pe") == ("a.dll", "b.dll")
    with pytest.raises(ValueError, match="no section"):
        needed(content[:place] + struct.pack("<II", 1, name + 0x10000000) + content[place + 8 :], "pe")


ENDLESS: dict[str, Callable[[bytearray], None]] = {
    "no length": lambda content: struct.pack_into("<I", content, 36, 0),
    "too many": lambda content: struct.pack_into("<I", content, 16, 0xFFFFFFFF),
}


@pytest.mark.parametrize("how", ENDLESS)
def test_load_commands_do_not_go_on_for_ever(how: str) -> None:
    """A command of no length, and four thousand million commands, are damage."""
    content = bytearray(macho_library())
    ENDLESS[how](content)
    with pytest.raises((ValueError, struct.error)):
        needed(bytes(content), "mach-o")


def test_an_address_outside_every_segment_is_damage() -> None:
    """The strings of ELF and the names of PE must lie in the file."""
    content = elf_library(62, ["libc.so.6"])
    with pytest.raises(ValueError, match="no segment"):
        needed(content.replace(struct.pack("<QQ", 5, 0x10000 + 176), struct.pack("<QQ", 5, 0x99999)), "elf")
    with pytest.raises(ValueError, match="no section"):
        needed(pe_library(["a.dll"]).replace(struct.pack("<I", 0x1000 + 72), struct.pack("<I", 0x9000)), "pe")
