"""Whether wheels keep their promises, and fit targets."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.interpreters import elf, macho
from support.native import ARM64, X64, altered, elf_library, flipped, macho_library, pe_library, universal
from support.wheels import make_wheel

from pyrunenv.platforms import PLATFORMS
from pyrunenv.wheels.check import check, problems
from pyrunenv.wheels.inspect import inspect

BUILT = {
    "linux-x64": ("manylinux_2_28_x86_64", elf_library(62, ["libc.so.6"], glibc="2.28")),
    "linux-aarch64": ("manylinux_2_28_aarch64", elf_library(183, ["libc.so.6"], glibc="2.28")),
    "macosx-x64": ("macosx_13_0_x86_64", macho_library(X64, signed=None, floor=(13, 0))),
    "macosx-aarch64": ("macosx_13_0_arm64", macho_library(ARM64, floor=(13, 0))),
    "windows-x64": ("win_amd64", pe_library(["python312.dll"])),
}


def wheel(folder: Path, platform_tag: str, content: bytes, python: str = "cp312-cp312") -> Path:
    return make_wheel(folder, "a", "1", tag=f"{python}-{platform_tag}", files={"a/m": content})


def fit(path: Path, key: str, *, glibc: str = "2.28", macos: str = "13.0", texts: tuple[str, ...] = ()) -> list[str]:
    return check(inspect(path, texts=texts), PLATFORMS[key], "3.12.10", glibc=glibc, macos=macos)


@pytest.mark.parametrize("key", PLATFORMS)
def test_a_wheel_fits_the_platform_that_it_is_for_and_no_other(tmp_path: Path, key: str) -> None:
    """At the floors exactly, nothing is wrong; elsewhere the tags are."""
    path = wheel(tmp_path, *BUILT[key])
    assert problems(inspect(path)) == []
    fitting = [other for other in PLATFORMS if not fit(path, other)]
    assert fitting == [key]
    for other in set(PLATFORMS) - {key}:
        assert fit(path, other)[0].startswith(f"no tag fits CPython 3.12.10 on {other}")


@pytest.mark.parametrize("key", PLATFORMS)
@pytest.mark.parametrize("inside", PLATFORMS)
def test_a_file_for_another_platform_is_found_whatever_the_tag(tmp_path: Path, key: str, inside: str) -> None:
    """Format and processor both count, for the wheel's own tag and for the target."""
    path = wheel(tmp_path, BUILT[key][0], BUILT[inside][1])
    assert [text for text in problems(inspect(path)) if "is made for" in text] == fit(path, key)
    assert bool(fit(path, key)) is (key != inside)


def test_what_is_said_of_another_platforms_file(tmp_path: Path) -> None:
    """Both sides are named, and a processor that is none of ours is another one."""
    path = wheel(tmp_path, "manylinux_2_28_x86_64", macho_library(ARM64))
    assert problems(inspect(path)) == ["a/m is made for macOS on aarch64, not for Linux on x64"]
    path = wheel(tmp_path, "manylinux_2_28_x86_64", elf(40))
    assert fit(path, "linux-x64") == ["a/m is made for Linux on another processor, not for Linux on x64"]


@pytest.mark.parametrize("tag", ["linux_x86_64", "musllinux_1_2_x86_64", "manylinux_2_29_x86_64"])
def test_a_tag_that_promises_too_little_does_not_fit(tmp_path: Path, tag: str) -> None:
    """Nor does a bare ``linux_x86_64``; the wheel itself is whole."""
    path = wheel(tmp_path, tag, elf_library(62))
    assert problems(inspect(path)) == []
    assert fit(path, "linux-x64") == [f"no tag fits CPython 3.12.10 on linux-x64 with glibc 2.28: cp312-cp312-{tag}"]


FLOORS = [
    ("manylinux_2_17_x86_64", elf_library(62, glibc="2.17"), None),
    ("manylinux_2_17_x86_64", elf_library(62, glibc="2.18"), "glibc 2.18"),
    ("manylinux_2_28_x86_64.manylinux_2_17_x86_64", elf_library(62, glibc="2.28"), "glibc 2.28"),
    ("manylinux2014_x86_64", elf_library(62, glibc="2.28"), "glibc 2.28"),
    ("manylinux2010_x86_64", elf_library(62, glibc="2.12"), None),
    ("manylinux2010_x86_64", elf_library(62, glibc="2.13"), "glibc 2.13"),
    ("linux_x86_64.manylinux_2_17_x86_64", elf_library(62, glibc="2.28"), "glibc 2.28"),
    ("manylinux1_x86_64", elf_library(62, glibc="2.6"), "glibc 2.6"),
    ("manylinux2014_aarch64", elf_library(183, glibc="2.18"), None),
    ("manylinux2014_aarch64", elf_library(183, glibc="2.19"), "glibc 2.19"),
    ("linux_x86_64", elf_library(62, glibc="2.40"), None),
    ("macosx_11_0_arm64", macho_library(ARM64, floor=(13, 0)), "macOS 13.0"),
    ("macosx_13_0_arm64", macho_library(ARM64, floor=(13, 3)), None),
    ("macosx_10_13_x86_64", macho_library(X64, floor=(10, 15)), "macOS 10.15"),
    ("macosx_10_9_universal2", universal(macho_library(X64, floor=(10, 9)), macho_library(floor=(11, 0))), None),
    ("macosx_10_9_universal2", universal(macho_library(X64, floor=(10, 9)), macho_library(floor=(12, 0))), "macOS 12.0"),
    ("macosx_10_9_universal2", universal(macho_library(X64, floor=(10, 13)), macho_library()), "macOS 10.13"),
    ("macosx_10_9_intel", macho_library(X64, floor=(10, 13)), "macOS 10.13"),
]  # fmt: skip


@pytest.mark.parametrize(("tag", "content", "needs"), FLOORS)
def test_a_floor_above_what_the_tag_promises(tmp_path: Path, tag: str, content: bytes, needs: str | None) -> None:
    """The lowest of several tags counts; minor versions of macOS 11 and later do not stand in tags."""
    found = problems(inspect(wheel(tmp_path, tag, content)))
    assert len(found) == (needs is not None)
    assert all(f"needs {needs}, more than the tag " in text for text in found)


def test_a_floor_above_the_targets(tmp_path: Path) -> None:
    """By number, against the target's floor or the tag's promise, whichever is lower."""
    path = wheel(tmp_path, "manylinux_2_17_x86_64", elf_library(62, glibc="2.9"))
    assert fit(path, "linux-x64") == []
    path = wheel(tmp_path, "manylinux_2_17_x86_64", elf_library(62, glibc="2.28"))
    said = "a/m (GLIBC_2.28) needs glibc 2.28, more than the tag manylinux_2_17_x86_64 allows"
    assert fit(path, "linux-x64") == [said]
    path = wheel(tmp_path, "macosx_13_0_arm64", macho_library(floor=(13, 3)))
    assert fit(path, "macosx-aarch64") == ["a/m needs macOS 13.3, more than the floor of 13.0 allows"]
    assert fit(path, "macosx-aarch64", macos="13.3") == []
    both = universal(macho_library(X64, floor=(10, 13)), macho_library(floor=(14, 0)))
    path = wheel(tmp_path, "macosx_10_13_universal2", both)
    assert fit(path, "macosx-x64") == []
    assert len(fit(path, "macosx-aarch64")) == 1


def test_a_universal_wheel_needs_both_processors(tmp_path: Path) -> None:
    """Its tag promises two; for one target the part for it is enough."""
    path = wheel(tmp_path, "macosx_11_0_universal2", macho(X64, (11, 0)))
    assert problems(inspect(path)) == ["a/m is made for macOS on x64, not for macOS on aarch64"]
    assert fit(path, "macosx-x64") == []


def test_signatures_count_on_arm64_and_broken_ones_everywhere(tmp_path: Path) -> None:
    """Unsigned code runs on x86_64 alone."""
    unsigned = wheel(tmp_path, "macosx_11_0_arm64", macho_library(signed=None))
    said = ["a/m is not signed, and macOS on aarch64 runs nothing unsigned"]
    assert problems(inspect(unsigned)) == fit(unsigned, "macosx-aarch64") == said
    for key, cpu, tag in (("macosx-x64", X64, "x86_64"), ("macosx-aarch64", ARM64, "arm64")):
        broken = wheel(tmp_path, f"macosx_11_0_{tag}", flipped(macho_library(cpu), 5000))
        said = ["a/m was changed after it was signed: its code signature is broken"]
        assert problems(inspect(broken)) == fit(broken, key) == said


def test_libraries_damage_record_and_tags_are_problems_anywhere(tmp_path: Path) -> None:
    """Each is a sentence, and all are said at once."""
    path = wheel(tmp_path, "manylinux_2_28_x86_64", elf_library(62, ["libgone.so.1", "libpython3.12.so.1.0"]))
    altered(path, {"a/cut": elf_library(62)[:180]})
    path = path.rename(tmp_path / "a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl")
    expected = [
        "WHEEL and the file name have different tags: cp312-cp312-manylinux_2_17_x86_64 only in the file name",
        "RECORD: a/cut is not listed",
        "a/m needs libgone.so.1, which is not in the wheel and not on the platform",
        "a/m needs libpython3.12.so.1.0, which is not in the wheel and not on the platform",
        "a/cut is damaged or cut short",
    ]
    assert fit(path, "linux-x64") == problems(inspect(path)) == expected


def test_another_pythons_library_does_not_fit(tmp_path: Path) -> None:
    """The stable ABI's does, and this Python's."""
    path = wheel(tmp_path, "win_amd64", pe_library(["python3.dll", "python311.dll", "python312.dll"]))
    assert fit(path, "windows-x64") == ["a/m needs python311.dll, and the target has CPython 3.12"]
    assert problems(inspect(path)) == []


def test_a_pure_wheel_may_hold_launchers_for_windows_and_no_other_foreign_files(tmp_path: Path) -> None:
    """setuptools' do; a library for Linux that slipped in is found on every other platform."""
    files = {"a/arm64.exe": pe_library(machine=0xAA64), "a/32.exe": pe_library(machine=0x14C, wide=False)}
    launchers = make_wheel(tmp_path, "a", "1", files=files)
    assert [fit(launchers, key) for key in PLATFORMS] == [[]] * 5
    slipped = wheel(tmp_path, "any", elf_library(62), python="py3-none")
    assert [key for key in PLATFORMS if not fit(slipped, key)] == ["linux-x64"]
    assert problems(inspect(slipped)) == []


def test_texts_that_must_not_ship_are_named_with_their_member(tmp_path: Path) -> None:
    """Paths of the build machine; the wheel's own promises do not speak of them."""
    path = wheel(tmp_path, "manylinux_2_28_x86_64", elf_library(62) + b"/home/me/build/m.c")
    assert fit(path, "linux-x64", texts=("/home/me", "/root")) == ["a/m holds `/home/me`, which must not ship"]
    assert problems(inspect(path, texts=("/home/me",))) == []
