"""What a backend made becomes what ships: right tags, nothing stray, a whole RECORD, the same bytes each time."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.hostile import add_to_zip
from support.native import ARM64, X64, elf_library, macho_library, pe_library
from support.wheels import make_wheel, zip_bytes

from pyrunenv.errors import BuildFailed, PyrunenvError, UnsafeArchive
from pyrunenv.platforms import PLATFORMS
from pyrunenv.wheels.check import check
from pyrunenv.wheels.finish import finish
from pyrunenv.wheels.inspect import inspect
from pyrunenv.wheels.target import BuildTarget

NATIVE = {
    "linux-x64": elf_library(62, ["libc.so.6"], glibc="2.28"),
    "linux-aarch64": elf_library(183, ["libc.so.6"], glibc="2.28"),
    "macosx-x64": macho_library(X64, signed=None, floor=(13, 0)),
    "macosx-aarch64": macho_library(ARM64, floor=(13, 0)),
    "windows-x64": pe_library(["python312.dll"]),
}
TAGS = {
    "linux-x64": "manylinux_2_28_x86_64", "linux-aarch64": "manylinux_2_28_aarch64", "macosx-x64": "macosx_13_0_x86_64",
    "macosx-aarch64": "macosx_13_0_arm64", "windows-x64": "win_amd64",
}  # fmt: skip


def target(key: str) -> BuildTarget:
    return BuildTarget(PLATFORMS[key], "3.12.10", "2.28", "13.0", Path("include"))


def finished(made: Path, key: str = "linux-x64", *roots: str, out: str = "out") -> Path:
    return finish(made, made.parent / out, target(key), roots)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("key", PLATFORMS)
@pytest.mark.parametrize("python", ["cp312-cp312", "cp39-abi3", "py3-none"])
def test_a_native_wheel_that_says_any_gets_the_targets_tag(tmp_path: Path, key: str, python: str) -> None:
    """As backends make it that write a library they built themselves; it fits the target then, and is not pure."""
    made = make_wheel(tmp_path, "a", "1.0", tag=f"{python}-any", files={"a/m.so": NATIVE[key]})
    wheel = finished(made, key)
    assert wheel.name == f"a-1.0-{python}-{TAGS[key]}.whl"
    found = inspect(wheel)
    assert (found.record, found.metadata_tags) == ((), None)
    assert check(found, PLATFORMS[key], "3.12.10", glibc="2.28", macos="13.0") == []
    assert b"Root-Is-Purelib: false\n" in contents(wheel)["a-1.0.dist-info/WHEEL"]


@pytest.mark.parametrize(
    ("tag", "key", "expected"),
    [
        ("cp312-cp312-linux_x86_64", "linux-x64", "cp312-cp312-manylinux_2_28_x86_64"),
        # a backend that asked this machine, and not its compiler
        ("cp312-cp312-linux_x86_64", "linux-aarch64", "cp312-cp312-manylinux_2_28_aarch64"),
        ("cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64", "linux-x64", "cp312-cp312-manylinux_2_28_x86_64"),
        ("py2.py3-none-linux_aarch64", "linux-aarch64", "py2.py3-none-manylinux_2_28_aarch64"),
        ("cp312-cp312-macosx_13_0_arm64", "macosx-aarch64", "cp312-cp312-macosx_13_0_arm64"),
        ("cp312-cp312-win_amd64", "windows-x64", "cp312-cp312-win_amd64"),
        ("py3-none-any", "linux-x64", "py3-none-any"),
    ],
)
def test_tags(tmp_path: Path, tag: str, key: str, expected: str) -> None:
    """Linux's become that of the floor; a pure wheel stays pure; file name and WHEEL agree."""
    files = {"a/m.so": NATIVE[key]} if not tag.endswith("-any") else None
    wheel = finished(make_wheel(tmp_path, "a", "1.0", tag=tag, files=files), key)
    assert wheel.name == f"a-1.0-{expected}.whl"
    assert inspect(wheel).metadata_tags is None


@pytest.mark.parametrize("tag", ["cp312-cp312-linux_x86_64", "cp312-cp312-musllinux_1_2_x86_64"])
def test_a_tag_of_another_system_is_left_to_the_check(tmp_path: Path, tag: str) -> None:
    """It is not made to look right."""
    wheel = finished(make_wheel(tmp_path, "a", "1.0", tag=tag, files={"a/m.so": NATIVE["linux-x64"]}), "windows-x64")
    assert wheel.name == f"a-1.0-{tag}.whl"
    assert check(inspect(wheel), PLATFORMS["windows-x64"], "3.12.10", glibc="2.28", macos="13.0")


def test_a_build_tag_is_kept(tmp_path: Path) -> None:
    """PEP 427's, between version and Python tag."""
    made = make_wheel(
        tmp_path, "a", "1.0", tag="cp312-cp312-linux_x86_64", files={"a/m.so": NATIVE["linux-x64"]}, build="7"
    )
    wheel = finished(made)
    assert wheel.name == "a-1.0-7-cp312-cp312-manylinux_2_28_x86_64.whl"
    assert b"Build: 7\n" in contents(wheel)["a-1.0.dist-info/WHEEL"]


@pytest.mark.parametrize("key", PLATFORMS)
def test_launchers_for_windows_do_not_tie_a_wheel_to_a_platform(tmp_path: Path, key: str) -> None:
    """setuptools, pip and distlib bring them for every processor, and are pure."""
    files = {"a/t64.exe": NATIVE["windows-x64"], "a/t32.exe": pe_library([], machine=0x14C), "a/__init__.py": b""}
    wheel = finished(make_wheel(tmp_path, "a", "1.0", files=files), key)
    assert wheel.name == "a-1.0-py3-none-any.whl"
    assert check(inspect(wheel), PLATFORMS[key], "3.12.10", glibc="2.28", macos="13.0") == []


# What is in it

STRAY = ("a/__pycache__/m.cpython-312.pyc", "a/old.pyc", "a/older.pyo", "a/m.pdb", ".DS_Store", "a/.DS_Store",
         "a-1.0.data/scripts/__pycache__/run.cpython-312.pyc")  # fmt: skip


def test_stray_files_are_gone(tmp_path: Path) -> None:
    """Bytecode, debug information, what macOS leaves behind; all others are there, unchanged."""
    kept = {
        "a/__init__.py": b"x = 1\n",
        "a/data.bin": bytes(range(256)),
        "a-1.0.data/scripts/run": b"#!python\n",
        "a/pdb": b"",
    }
    wheel = finished(make_wheel(tmp_path, "a", "1.0", files={**dict.fromkeys(STRAY, b"stray"), **kept}))
    found = contents(wheel)
    assert found.keys() == kept.keys() | {f"a-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")}
    assert {name: found[name] for name in kept} == kept
    assert inspect(wheel).record == ()


@pytest.mark.parametrize("record", [b"", b"wrong,sha256=x,1\n", None])
def test_the_record_is_made_anew(tmp_path: Path, record: bytes | None) -> None:
    """Whatever stood there: each file once, RECORD itself without digest; names with commas and quotes as CSV has them."""
    made = make_wheel(tmp_path, "a", "1.0", files={'a/odd, "name".txt': b"x", "a/__init__.py": b""})
    members = contents(made)
    members.pop("a-1.0.dist-info/RECORD")
    if record is not None:
        members["a-1.0.dist-info/RECORD"] = record
    made.write_bytes(zip_bytes(members))
    wheel = finished(made)
    text = contents(wheel)["a-1.0.dist-info/RECORD"].decode()
    assert text.splitlines()[-1] == "a-1.0.dist-info/RECORD,,"
    assert len(text.splitlines()) == 5
    assert '"a/odd, ""name"".txt",sha256=' in text


@pytest.mark.parametrize("signature", ["RECORD.jws", "RECORD.p7s"])
def test_signatures_of_the_old_record_do_not_stay(tmp_path: Path, signature: str) -> None:
    """They would be wrong; PEP 427 has them beside it, without a line in it."""
    made = make_wheel(tmp_path, "a", "1.0")
    made.write_bytes(zip_bytes({**contents(made), f"a-1.0.dist-info/{signature}": b"x"}))
    wheel = finished(made)
    assert inspect(wheel).record == ()


def test_metadata_comes_last(tmp_path: Path) -> None:
    """And RECORD at the very end, as the format wants it."""
    names = list(contents(finished(make_wheel(tmp_path, "a", "1.0", files={"z/z.py": b"", "a.dist-infos/x": b""}))))
    assert names[-1] == "a-1.0.dist-info/RECORD"
    assert [".dist-info/" in name for name in names] == [False, False, True, True, True]


def test_run_bits_are_kept_and_nothing_else_of_a_mode(tmp_path: Path) -> None:
    """A script is run; a file that only its owner may read is not."""
    made = make_wheel(tmp_path, "a", "1.0")
    add_to_zip(made, ("a/run", b"#!/bin/sh\n", 0o100700), ("a/secret", b"x", 0o100600))
    with zipfile.ZipFile(finished(made)) as archive:
        modes = {info.filename: info.external_attr >> 16 & 0o7777 for info in archive.infolist()}
    assert (modes["a/run"], modes["a/secret"], modes["a/__init__.py"]) == (0o755, 0o644, 0o644)


def test_paths_of_this_machine_are_scrubbed_from_text(tmp_path: Path) -> None:
    """The longest first, as one root lies in another; what is no text is left to the check."""
    binary = b"\0/home/u/cache/tree/x.c\0"
    files = {"a/config.py": b"prefix = '/home/u/cache/tree/lib'\nother = '/home/u/cache/env'\n", "a/blob": binary,
             "a/x.pc": b"libdir=/home/u/cache/env/lib\n"}  # fmt: skip
    roots = ("/home/u/cache", "/home/u/cache/tree", "/home/u/cache/env")
    wheel = finished(make_wheel(tmp_path, "a", "1.0", files=files), "linux-x64", *roots)
    found = contents(wheel)
    assert found["a/config.py"] == b"prefix = '/build/lib'\nother = '/build'\n"
    assert found["a/x.pc"] == b"libdir=/build/lib\n"
    assert found["a/blob"] == binary
    inspection = inspect(wheel, texts=roots)
    assert {member for member, _ in inspection.texts} == {"a/blob"}
    assert inspection.record == ()
    wrong = check(inspection, PLATFORMS["linux-x64"], "3.12.10", glibc="2.28", macos="13.0")
    assert any(text.startswith("a/blob holds `/home/u/cache") for text in wrong)


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    """Whatever the order, the times and the compression of what the backend wrote, and the mask of the process."""
    made = make_wheel(
        tmp_path, "a", "1.0", tag="cp312-cp312-linux_x86_64", files={"b/m.so": NATIVE["linux-x64"], "a/x.py": b""}
    )
    first = finished(made).read_bytes()
    members = contents(made)
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in reversed(members):
            archive.writestr(zipfile.ZipInfo(name, time.localtime()[:6]), members[name])
    before = os.umask(0o077)
    try:
        second = finished(made, out="again").read_bytes()
    finally:
        os.umask(before)
    assert first == second
    with zipfile.ZipFile(finished(made, out="third")) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_what_the_backend_made_is_left_as_it_is(tmp_path: Path) -> None:
    """A second attempt may want it."""
    made = make_wheel(tmp_path, "a", "1.0", files={"a/x.pyc": b""})
    before = made.read_bytes()
    finished(made)
    assert made.read_bytes() == before


# What is no wheel

INFO = "a-1.0.dist-info"
NO_WHEELS: Mapping[str, dict[str, bytes]] = {
    "no information": {"a/__init__.py": b""},
    "no WHEEL": {f"{INFO}/METADATA": b""},
    "two of them": {f"{INFO}/WHEEL": b"", "b-1.0.dist-info/WHEEL": b""},
}


@pytest.mark.parametrize("what", NO_WHEELS)
def test_what_is_no_wheel_is_refused(tmp_path: Path, what: str) -> None:
    """As a failure of the build, not as one of ours."""
    made = tmp_path / "a-1.0-py3-none-any.whl"
    made.write_bytes(zip_bytes(NO_WHEELS[what]))
    with pytest.raises(BuildFailed, match=r"\.dist-info"):
        finished(made)


@pytest.mark.parametrize("name", ["a-1.0.tar.gz", "a.whl", "a-one-py3-none-any.whl", "a-1.0-py3-any.whl"])
def test_a_file_that_is_not_named_as_a_wheel_is_refused(tmp_path: Path, name: str) -> None:
    """Its name is in the message."""
    made = make_wheel(tmp_path / "made", "a", "1.0").rename(tmp_path / name)
    with pytest.raises(BuildFailed, match=f"no wheel: {name}"):
        finished(made)


def test_a_member_that_leads_out_is_refused(tmp_path: Path) -> None:
    """Before anything is written there."""
    made = add_to_zip(make_wheel(tmp_path, "a", "1.0"), ("../../evil.py", b"x", 0o100644))
    with pytest.raises(UnsafeArchive):
        finished(made)
    assert not list(tmp_path.parent.glob("evil.py")) + list(tmp_path.glob("evil.py"))


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    """As one of the errors that are told to a person."""
    made = tmp_path / "a-1.0-py3-none-any.whl"
    made.write_bytes(b"not a zip")
    with pytest.raises(PyrunenvError):
        finished(made)
