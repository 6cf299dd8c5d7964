"""What is found in a wheel."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from support.interpreters import pe
from support.native import ARM64, X64, altered, elf_library, flipped, macho_library, pe_library, universal
from support.wheels import make_wheel, zip_bytes

from pyrunenv.errors import UnsafeArchive, WheelError
from pyrunenv.interpreters.floors import Floor
from pyrunenv.wheels.inspect import NativeFile, inspect

LINUX = "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64"


def wheel(folder: Path, tag: str = LINUX, **files: bytes) -> Path:
    return make_wheel(folder, "A.b", "1.0", tag=tag, files={f"a_b/{name}": content for name, content in files.items()})


def test_a_linux_wheel(tmp_path: Path) -> None:
    """Name, version, tags and size; a library with its floor, its needs, and the one that is nowhere."""
    module = elf_library(62, ["libdep-1a.so.2", "libc.so.6", "libgone.so.1"], glibc="2.14")
    path = make_wheel(
        tmp_path, "A.b", "1.0", tag=LINUX,
        files={"a_b/m.so": module, "a_b.libs/libdep-1a.so.2": elf_library(62), "a_b/notes.so": b"no library"},
    )  # fmt: skip
    found = inspect(path)
    assert (found.filename, found.name, found.version, found.size) == (path.name, "a-b", "1.0", path.stat().st_size)
    assert found.tags == ("cp312-cp312-manylinux2014_x86_64", "cp312-cp312-manylinux_2_17_x86_64")
    assert (found.metadata_tags, found.record) == (None, ())
    assert found.native == (
        NativeFile(
            "a_b/m.so", "elf", ("x64",), (("x64", Floor("2.14", "a_b/m.so (GLIBC_2.14)")),),
            ("libdep-1a.so.2", "libc.so.6", "libgone.so.1"), ("libgone.so.1",),
        ),
        NativeFile("a_b.libs/libdep-1a.so.2", "elf", ("x64",)),
    )  # fmt: skip


def test_a_universal_wheel(tmp_path: Path) -> None:
    """Each architecture has its own floor; the name says nothing of what a file is; the arm64 part is signed."""
    both = universal(macho_library(X64, floor=(10, 13), signed=None), macho_library(ARM64, ["@rpath/x.dylib"]))
    (file,) = inspect(wheel(tmp_path, "cp312-cp312-macosx_10_13_universal2", data=both)).native
    assert (file.path, file.format, file.archs) == ("a_b/data", "mach-o", ("x64", "aarch64"))
    assert file.floors == (("x64", Floor("10.13", "a_b/data")), ("aarch64", Floor("11.0", "a_b/data")))
    assert file.floor == Floor("11.0", "a_b/data")
    assert (file.needs, file.missing, file.signature) == (("@rpath/x.dylib",), ("@rpath/x.dylib",), "valid")


def test_the_highest_floor_is_the_highest_number() -> None:
    """11.0 is above 9.9."""
    floors = (("x64", Floor("9.9", "m")), ("aarch64", Floor("11.0", "m")))
    assert NativeFile("m", "mach-o", ("x64", "aarch64"), floors).floor == Floor("11.0", "m")


SIGNED, UNSIGNED = macho_library(ARM64), macho_library(ARM64, signed=None)
SIGNATURES = {
    "valid": (SIGNED, "valid"),
    "none": (UNSIGNED, "none"),
    "broken": (flipped(SIGNED, 5000), "broken"),
    "the arm64 part counts": (universal(macho_library(X64), UNSIGNED), "none"),
    "a broken part counts anywhere": (universal(flipped(macho_library(X64), 5000), SIGNED), "broken"),
    "an object file": (macho_library(ARM64, signed=None, kind=1), None),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_signatures(tmp_path: Path, case: str) -> None:
    """Of one architecture and of two."""
    content, expected = SIGNATURES[case]
    (file,) = inspect(wheel(tmp_path, "cp312-cp312-macosx_11_0_arm64", m=content)).native
    assert file.signature == expected


def test_a_windows_wheel_finds_libraries_in_any_case(tmp_path: Path) -> None:
    """Windows' file names differ by more than case."""
    files = {"m.pyd": pe_library(["DEP-1A.dll", "GONE.dll"], ["python312.dll"]), "dep-1a.DLL": pe_library()}
    module, _ = inspect(wheel(tmp_path, "cp312-cp312-win_amd64", **files)).native
    assert (module.format, module.archs, module.floor, module.signature) == ("pe", ("x64",), None, None)
    assert (module.needs, module.missing) == (("DEP-1A.dll", "GONE.dll", "python312.dll"), ("GONE.dll",))


def test_a_library_whose_headers_lie_is_damaged(tmp_path: Path) -> None:
    """Cut short, load commands without end, and an MZ stub with nothing behind it."""
    endless = bytearray(macho_library())
    struct.pack_into("<II", endless, 32, 0x32, 0)
    struct.pack_into("<I", endless, 16, 0xFFFFFFFF)
    files = {"elf": elf_library(62, ["libc.so.6"])[:200], "macho": bytes(endless), "pe": pe(0x8664, b"")}
    found = inspect(wheel(tmp_path, **files)).native
    assert [(file.format, file.damaged) for file in found] == [("elf", True), ("mach-o", True), ("pe", True)]


@pytest.mark.parametrize("machine", [190, 224, 247])
def test_what_runs_on_no_processor_is_no_native_file(tmp_path: Path, machine: int) -> None:
    """CUDA, AMD GPUs and BPF use ELF too."""
    assert inspect(wheel(tmp_path, kernel=elf_library(machine))).native == ()


def test_a_record_that_does_not_fit_is_named_file_by_file(tmp_path: Path) -> None:
    """One byte changed, a member added, one removed, and the RECORD itself removed."""
    path = altered(wheel(tmp_path, x=b"x", y=b"y"), {"a_b/x": b"z", "a_b/y": None, "a_b/new": b""})
    assert inspect(path).record == (
        "a_b/x has another sha256 digest",
        "a_b/new is not listed",
        "a_b/y is listed and not there",
    )
    assert inspect(altered(path, {"A_b-1.0.dist-info/RECORD": None, "a_b-1.0.dist-info/RECORD": None})).record == (
        "there is none",
    )


def test_tags_that_differ_are_named_on_their_side(tmp_path: Path) -> None:
    """A wheel renamed, and WHEEL's tags unreadable."""
    path = wheel(tmp_path, "py3-none-any")
    renamed = path.rename(tmp_path / "a_b-1.0-py2.py3-none-any.whl")
    assert inspect(renamed).metadata_tags == "py2-none-any only in the file name"
    altered(renamed, {"a_b-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\nTag: nonsense\n"})
    assert inspect(renamed).metadata_tags == "py2-none-any only in the file name; nonsense-- only in WHEEL"


def test_texts_are_found_in_every_member(tmp_path: Path) -> None:
    """In native files and in metadata; each with the member and the text."""
    path = make_wheel(
        tmp_path, "a", "1", files={"a/m.so": elf_library(62) + b"/home/me/x.c", "a/t.py": "# /home/me, /tmp/b\n"}
    )
    texts = ("/home/me", "/tmp/b", "/nowhere", "made by a test")
    assert inspect(path, texts=texts).texts == (
        ("a/m.so", "/home/me"), ("a/t.py", "/home/me"), ("a/t.py", "/tmp/b"),
        ("a-1.dist-info/METADATA", "made by a test"),
    )  # fmt: skip
    assert inspect(path).texts == ()


@pytest.mark.parametrize(
    ("name", "contents", "said"),
    [
        ("a.zip", {}, "not named as a wheel"),
        ("a-1.0.whl", {}, "not named as a wheel"),
        ("a-1.0-py3-none-any.whl", {"a.py": b""}, "holds no a-1.0.dist-info/WHEEL"),
        ("a-1.0-py3-none-any.whl", {"b-1.0.dist-info/WHEEL": b""}, "no wheel of a 1.0"),
        ("a-1.0-py3-none-any.whl", {"a-2.0.dist-info/WHEEL": b""}, "no wheel of a 1.0"),
        ("a-1.0-py3-none-any.whl", {"a-1.0.dist-info/RECORD": b""}, "holds no a-1.0.dist-info/WHEEL"),
        ("a-1.0-py3-none-any.whl", {"x/a-1.0.dist-info/WHEEL": b""}, "holds no a-1.0.dist-info/WHEEL"),
    ],
)
def test_what_is_no_wheel_is_refused(tmp_path: Path, name: str, contents: dict[str, bytes], said: str) -> None:
    """By its name, or for want of the folder that belongs to the name."""
    path = tmp_path / name
    path.write_bytes(zip_bytes(contents or {"a.py": b""}))
    with pytest.raises(WheelError, match=said):
        inspect(path)


def test_a_dist_info_may_be_spelled_otherwise(tmp_path: Path) -> None:
    """Names and versions compare normalised."""
    path = tmp_path / "a_b-1.0-py3-none-any.whl"
    path.write_bytes(zip_bytes({"A.B-1.0.0.dist-info/WHEEL": b"Tag: py3-none-any\n"}))
    assert inspect(path).record == ("there is none",)


def test_a_damaged_or_hostile_file_is_an_unsafe_archive(tmp_path: Path) -> None:
    """No zip, a zip cut short or longer than it says, and a member that would be written elsewhere; none at all is no wheel."""
    path = wheel(tmp_path, x=b"x" * 1000)
    whole = path.read_bytes()
    for content in (
        b"",
        b"no zip",
        whole[:-30],
        whole + b"more",
        zip_bytes({"../x": b"", "a_b-1.0.dist-info/WHEEL": b""}),
    ):
        path.write_bytes(content)
        with pytest.raises(UnsafeArchive):
            inspect(path)
    path.unlink()
    with pytest.raises(WheelError, match="there is no file"):
        inspect(path)
