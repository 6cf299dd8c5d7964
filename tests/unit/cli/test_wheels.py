"""``pyrunenv wheel``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.native import elf_library, flipped, macho_library
from support.wheels import make_wheel

from pyrunenv import cli

LONG = [f"libdependency-{n}.so.1" for n in range(4)]


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the signals to pytest."""
    monkeypatch.setattr(cli, "_heed_signals", lambda: None)


def linux_wheel(folder: Path, tag: str = "manylinux_2_17_x86_64") -> Path:
    files = {"a/m.so": elf_library(62, ["libc.so.6", *LONG], glibc="2.28"), **{f"a/{name}": b"" for name in LONG[1:]}}
    return make_wheel(folder, "a", "1.0", tag=f"cp312-cp312-{tag}", files=files)


def test_the_whole_report_of_a_wheel_with_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No line is wider than 80 columns unless one name is; the exit status is 1."""
    path = linux_wheel(tmp_path)
    assert cli.run(["wheel", "inspect", str(path)]) == 1
    assert (
        capsys.readouterr().out
        == f"""\
a-1.0-cp312-cp312-manylinux_2_17_x86_64.whl
  a 1.0, {path.stat().st_size / 1000:.1f} kB
  tags    cp312-cp312-manylinux_2_17_x86_64
  RECORD  whole
  native  1 file
    a/m.so
      elf x64, glibc 2.28
      needs libc.so.6, libdependency-0.so.1, libdependency-1.so.1,
            libdependency-2.so.1, libdependency-3.so.1
      missing libdependency-0.so.1
  2 problems
  - a/m.so needs libdependency-0.so.1, which is not in the wheel and not on the
    platform
  - a/m.so (GLIBC_2.28) needs glibc 2.28, more than the tag
    manylinux_2_17_x86_64 allows
"""
    )


def test_a_wheel_without_problems_is_status_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several wheels are parted by a line; one with a problem makes the status 1."""
    pure = make_wheel(tmp_path, "b", "2.0")
    assert cli.run(["wheel", "inspect", str(pure)]) == 0
    shown = capsys.readouterr().out
    assert shown.endswith("  RECORD  whole\n  native  no files\n  no problems\n")
    assert cli.run(["wheel", "inspect", str(pure), str(linux_wheel(tmp_path))]) == 1
    assert capsys.readouterr().out.startswith(f"{shown}\na-1.0-")


def test_json_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every fact by name; a broken signature and a broken RECORD are problems."""
    path = make_wheel(
        tmp_path, "a", "1.0", tag="cp312-cp312-macosx_11_0_arm64", files={"a/m.so": flipped(macho_library(), 5000)}
    )
    assert cli.run(["wheel", "inspect", "--json", str(path)]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {
            "filename": path.name, "name": "a", "version": "1.0", "size": path.stat().st_size,
            "tags": ["cp312-cp312-macosx_11_0_arm64"], "record": [],
            "native": [
                {
                    "path": "a/m.so", "format": "mach-o", "archs": ["aarch64"], "floors": {"aarch64": "11.0"},
                    "needs": [], "missing": [], "signature": "broken",
                }
            ],
            "problems": ["a/m.so was changed after it was signed: its code signature is broken"],
        }
    ]  # fmt: skip


def test_a_file_that_is_no_wheel_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is named with its kind of failure; the first one's status is the command's."""
    damaged = make_wheel(tmp_path / "damaged", "c", "1.0")
    damaged.write_bytes(b"PK")
    pure = make_wheel(tmp_path, "b", "2.0")
    absent = tmp_path / "d-1.0-py3-none-any.whl"
    assert cli.run(["wheel", "inspect", str(absent), str(pure), str(damaged)]) == 10
    out, err = capsys.readouterr()
    assert out.startswith(pure.name)
    assert f"error[wheel]: there is no file {absent}\n" in err
    assert f"error[unsafe-archive]: {damaged.name} is damaged or cut short\n" in err
    assert cli.run(["wheel", "inspect", str(damaged)]) == 6
