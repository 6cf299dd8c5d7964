"""Formats and floors of programs, told from their bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.interpreters import elf, macho, pe, program

from pyrunenv.interpreters.floors import Floor, measure, tree_floor, warning
from pyrunenv.interpreters.formats import identify, made_for
from pyrunenv.interpreters.tree import Tree
from pyrunenv.platforms import PLATFORMS

MACOS = PLATFORMS["macosx-aarch64"]


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF", b"MZ", b"MZ" + b"\xff" * 80, b"\xca\xfe\xba\xbe\0\0\0\x02", b"#!/bin/sh"]
)
def test_what_is_no_program_is_not_taken_for_one(content: bytes) -> None:
    """Headers cut short and Java's class files (whose magic a universal Mach-O shares) are none."""
    assert not any(made_for(content, platform) for platform in PLATFORMS.values())


def test_each_platforms_programs_are_for_it_alone() -> None:
    """Format and architecture both count."""
    for platform in PLATFORMS.values():
        fits = [other.key for other in PLATFORMS.values() if made_for(program(platform), other)]
        assert fits == [platform.key]
    assert identify(elf(40)) == ("elf", ("other",))
    assert identify(pe(0x14C)) == ("pe", ("other",))


def test_a_trees_macos_floor_is_the_highest_with_its_cause(tmp_path: Path) -> None:
    """The maximum by number (11.0 is above 9.9), and the file that needs it."""
    with Tree(tmp_path) as tree:
        tree.add("bin/python3.12", macho(0x0100000C, (9, 9)))
        tree.add("lib/x.so", macho(0x0100000C, (11, 0)))
        tree.add("lib/y.py", b"print()")
        assert tree_floor(tree, MACOS) == Floor("11.0", "lib/x.so")
        assert tree_floor(tree, PLATFORMS["windows-x64"]) is None


@pytest.mark.skipif(sys.platform != "linux", reason="looks at a Linux program")
def test_the_glibc_floor_names_a_symbol() -> None:
    """A real program's floor is a glibc version, and the cause names a symbol of that version."""
    floor = measure(Path(sys.executable).resolve().read_bytes(), "bin/python")
    assert floor is not None
    assert floor.version.startswith("2.")
    assert floor.cause.startswith("bin/python (")
    assert f"@GLIBC_{floor.version}" in floor.cause


def test_a_floor_above_the_workspaces_is_a_warning_that_says_why() -> None:
    """Compared by number; at the floor there is nothing to say."""
    assert warning(Floor("2.9", "x"), PLATFORMS["linux-x64"], glibc="2.28", macos="13.0") is None
    assert warning(Floor("13.0", "x"), MACOS, glibc="2.28", macos="13.0") is None
    text = warning(Floor("2.36", "lib/x.so (f@GLIBC_2.36)"), PLATFORMS["linux-x64"], glibc="2.28", macos="13.0")
    assert text is not None
    assert all(part in text for part in ("2.36", "2.28", "lib/x.so (f@GLIBC_2.36)"))
