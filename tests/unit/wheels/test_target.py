"""The names and versions of targets, against what packaging says, and what a CPython says of itself."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from dataclasses import fields
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from packaging.tags import parse_tag

from pyrunenv.platforms import PLATFORMS, Platform, host
from pyrunenv.wheels.tags import supported_tags
from pyrunenv.wheels.target import BuildTarget

COMPILERS = {"CC": "'/a b/cc'", "CXX": "'/a b/c++'", "AR": "/t/ar", "RANLIB": "/t/ranlib", "STRIP": "/t/strip"}
GLIBC = ("2.17", "2.28", "2.34", "2.39")
MACOS = ("10.13", "10.15", "11.0", "12.3", "13.0", "14.2", "26.0")


def target(key: str, *, version: str = "3.12.10", glibc: str = "2.28", macos: str = "13.0") -> BuildTarget:
    return BuildTarget(PLATFORMS[key], version, glibc, macos, Path("/h/include/python3.12"))


@pytest.mark.parametrize("key", PLATFORMS)
@pytest.mark.parametrize("version", ["3.10.0", "3.12.10", "3.14.1"])
def test_the_targets_python_takes_wheels_with_its_tag(key: str, version: str) -> None:
    """At every floor, also one with a minor version of macOS, which does not stand in tags; and no older system does."""
    nodot = "".join(version.split(".")[:2])
    floors = MACOS if PLATFORMS[key].system == "macosx" else GLIBC
    for number, floor in enumerate(floors):
        if key == "macosx-aarch64" and floor.startswith("10."):
            continue  # there is no such system
        made = target(key, version=version, glibc=floor, macos=floor)
        (tag,) = parse_tag(f"cp{nodot}-cp{nodot}-{made.wheel_platform}")
        assert tag in supported_tags(made.platform, version, floor, floor)
        if number and not made.platform.windows and not floors[number - 1].startswith("10.1"):
            older = floors[number - 1]
            assert tag not in supported_tags(made.platform, version, older, older)


NAMES = {
    "linux-x64": ("Linux", "x86_64", "linux", "x86_64-linux-gnu.2.28", "x86_64-linux-gnu", "x86_64-unknown-linux-gnu"),
    "linux-aarch64": (
        "Linux", "aarch64", "linux", "aarch64-linux-gnu.2.28", "aarch64-linux-gnu", "aarch64-unknown-linux-gnu",
    ),
    "macosx-x64": ("Darwin", "x86_64", "darwin", "x86_64-macos.13.0", "x86_64-apple-darwin", "x86_64-apple-darwin"),
    "macosx-aarch64": ("Darwin", "arm64", "darwin", "aarch64-macos.13.0", "aarch64-apple-darwin", "aarch64-apple-darwin"),
    "windows-x64": (
        "Windows", "AMD64", "win32", "x86_64-windows-gnu", "x86_64-w64-mingw32", "x86_64-pc-windows-gnu",
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", PLATFORMS)
def test_the_names_of_a_target(key: str) -> None:
    """As Python's platform module, zig, configure and Rust spell it; those of markers (PEP 508) are the same."""
    made, markers = target(key), PLATFORMS[key].markers
    assert (made.system, made.machine, made.sys_platform, made.zig, made.gnu, made.rust) == NAMES[key]
    assert (made.system, made.machine) == (markers["platform_system"], markers["platform_machine"])
    assert made.sys_platform == markers["sys_platform"]
    assert (made.minor, made.nodot) == ("3.12", "312")
    assert (target(key, version="3.9.1").nodot, target(key, macos="11.0").darwin_release) == ("39", "20.0.0")


@pytest.mark.parametrize("key", PLATFORMS)
def test_suffixes_of_extension_modules(key: str) -> None:
    """As CPython's own on each platform (PEP 3149), and python-build-standalone's PYTHON.json has them."""
    suffixes = {
        "linux-x64": ".cpython-312-x86_64-linux-gnu.so", "linux-aarch64": ".cpython-312-aarch64-linux-gnu.so",
        "macosx-x64": ".cpython-312-darwin.so", "macosx-aarch64": ".cpython-312-darwin.so",
        "windows-x64": ".cp312-win_amd64.pyd",
    }  # fmt: skip
    assert target(key).extension_suffix == suffixes[key]


@pytest.mark.skipif(os.name == "nt" or sys.implementation.name != "cpython", reason="compares with a CPython like ours")
def test_the_target_that_this_machine_is() -> None:
    """What the running CPython says of itself is what a target like it says."""
    floor = platform.mac_ver()[0] if sys.platform == "darwin" else "13.0"
    made = target(host().key, version=platform.python_version(), macos=floor)
    assert (made.system, made.machine, made.sys_platform) == (platform.system(), platform.machine(), sys.platform)
    assert made.extension_suffix == EXTENSION_SUFFIXES[0] == sysconfig.get_config_var("EXT_SUFFIX")
    if sys.platform == "linux":
        assert made.sysconfig_platform == sysconfig.get_platform()
    said = made.variables(COMPILERS)
    for name in ("EXT_SUFFIX", "SOABI", "SHLIB_SUFFIX", "MACHDEP", "VERSION", "py_version", "py_version_short",
                 "py_version_nodot", "SIZEOF_VOID_P", "SIZEOF_LONG", "ABIFLAGS"):  # fmt: skip
        assert said[name] == sysconfig.get_config_var(name), name


ASKED = (
    # setuptools' and distutils' customize_compiler, build_ext, bdist_wheel; meson, CMake's FindPython, cffi, pybind11
    "CC", "CXX", "CFLAGS", "CCSHARED", "LDSHARED", "LDCXXSHARED", "SHLIB_SUFFIX", "AR", "ARFLAGS", "RANLIB", "OPT", "BASECFLAGS",
    "EXT_SUFFIX", "SOABI", "LIBDIR", "LIBPL", "INCLUDEPY", "CONFINCLUDEPY", "LDLIBRARY", "LIBRARY", "Py_ENABLE_SHARED",
    "MULTIARCH", "PYTHONFRAMEWORK", "LDFLAGS", "CPPFLAGS", "BLDSHARED", "LINKCC", "LIBS", "SYSLIBS", "VERSION",
    "py_version_nodot", "py_version_short", "py_version", "abiflags",
)  # fmt: skip


@pytest.mark.parametrize("key", PLATFORMS)
def test_variables_hold_all_that_builds_ask_for(key: str) -> None:
    """None of them is left as this machine's Python has it, and all can be written as JSON."""
    said = target(key).variables(COMPILERS)
    assert not set(ASKED) - said.keys()
    assert {type(value) for value in said.values()} <= {str, int}
    assert said["CC"] == COMPILERS["CC"]
    assert said["LDSHARED"].startswith("'/a b/cc' ")
    assert said["LDCXXSHARED"].startswith("'/a b/c++' ")
    assert ("-bundle" in said["LDSHARED"]) is (PLATFORMS[key].system == "macosx")
    assert ("MACOSX_DEPLOYMENT_TARGET" in said) is (PLATFORMS[key].system == "macosx")
    assert said["SIZEOF_LONG"] == (4 if key == "windows-x64" else 8)
    assert said["VERSION"] == ("312" if key == "windows-x64" else "3.12")


@pytest.mark.skipif(os.name == "nt", reason="on Windows sysconfig has no such variables")
@pytest.mark.parametrize("key", PLATFORMS)
def test_no_path_of_this_pythons_installation_is_among_compilers_and_flags(key: str) -> None:
    """What sysconfig says after the target's variables were laid over this machine's."""
    said = {**sysconfig.get_config_vars(), **target(key).variables(COMPILERS)}
    steering = [
        name
        for name in said
        if name.endswith(("FLAGS", "SHARED")) or name in ("CC", "CXX", "LIBDIR", "LIBPL", "INCLUDEPY")
    ]
    prefix = str(Path(sys.base_prefix))
    known = set(target(key).variables(COMPILERS))
    assert [name for name in steering if name in known and prefix in str(said[name])] == []


def test_a_target_is_a_value() -> None:
    """Two of the same platform and floors are equal; every field counts."""
    first = target("linux-x64")
    assert first == target("linux-x64")
    assert first != target("linux-x64", glibc="2.17")
    assert {field.name for field in fields(first)} == {
        "platform", "python_version", "glibc", "macos", "include", "libraries",
    }  # fmt: skip
    assert isinstance(first.platform, Platform)
