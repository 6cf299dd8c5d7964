"""What a build is given: scripts, files for CMake, Meson and configure, and an environment of its own."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyrunenv.platforms import PLATFORMS
from pyrunenv.wheels.target import BuildTarget
from pyrunenv.wheels.toolchain import Toolchain, find_zig

pytestmark = pytest.mark.skipif(os.name == "nt", reason="builds run on Linux and macOS")

PYTHON = Path("/env/bin/python")


def toolchain(folder: Path, key: str = "linux-aarch64", *, zig: Path | None = Path("/zig")) -> Toolchain:
    """A toolchain that was written, in a folder whose name has a space and a quote."""
    libraries = folder / "libs" if key == "windows-x64" else None
    target = BuildTarget(PLATFORMS[key], "3.12.10", "2.28", "13.0", folder / "include", libraries)
    made = Toolchain(folder / "it's a toolchain", target, zig, folder / "zig")
    made.write(
        tree=folder / "tree", site=folder / "site", prefixes=[folder / "python", folder / "env"],
        target_site=folder / "there", python=PYTHON,
    )  # fmt: skip
    return made


@pytest.mark.parametrize("key", PLATFORMS)
def test_paths_with_a_space_are_quoted_where_shells_split_them(tmp_path: Path, key: str) -> None:
    """CC and the like are command lines: distutils, configure and make split them."""
    made = toolchain(tmp_path, key)
    for variable, tool in {"CC": "cc", "CXX": "c++", "AR": "ar", "RANLIB": "ranlib", "STRIP": "strip"}.items():
        assert shlex.split(made.compilers[variable]) == [str(made.folder / "bin" / tool)]
    facts = json.loads(made.shim_file.read_text(encoding="utf-8"))
    assert shlex.split(facts["variables"]["LDSHARED"])[0] == str(made.tool("cc"))


def test_all_scripts_can_be_run(tmp_path: Path) -> None:
    """Each is there under the name that builds look for, and a shell understands it."""
    made = toolchain(tmp_path)
    names = {path.name for path in (made.folder / "bin").iterdir()}
    assert {"cc", "c++", "ar", "ranlib", "strip", "objcopy", "windres", "dlltool", "lib", "install_name_tool"} <= names
    for path in (made.folder / "bin").iterdir():
        assert path.stat().st_mode & stat.S_IXUSR
        assert subprocess.run(["sh", "-n", path]).returncode == 0


@pytest.mark.parametrize("key", PLATFORMS)
def test_what_the_compiler_is_told(tmp_path: Path, key: str) -> None:
    """The target, its headers and import library; folders of this machine; paths that must not stand in what is built."""
    made = toolchain(tmp_path, key)
    told = json.loads((made.folder / "compiler.json").read_text(encoding="utf-8"))
    assert (told["target"], told["gnu"], told["system"]) == (made.target.zig, made.target.gnu, made.target.system)
    assert told["link"] == ([str(tmp_path / "libs" / "python312.lib")] if key == "windows-x64" else [])
    assert told["defines"] == (["-DMS_WIN64="] if key == "windows-x64" else [])
    assert str(tmp_path / "python" / "include") in told["host_folders"]
    assert str(tmp_path / "env" / "lib") in told["host_folders"]
    maps = [word.removeprefix("-ffile-prefix-map=").rpartition("=")[::2] for word in told["prefix_maps"]]
    assert {Path(root).name: name for root, name in maps} == {
        "tree": ".", "site": "site-packages", "there": "site-packages", "it's a toolchain": "toolchain",
        "include": "include", "python": "python", "env": "python",
    }  # fmt: skip
    lengths = [len(root) for root, _ in maps]
    assert lengths == sorted(lengths, reverse=True), "the first that fits is taken, and one root may lie in another"


@pytest.mark.parametrize("key", PLATFORMS)
def test_cmake_is_told_of_the_target(tmp_path: Path, key: str) -> None:
    """Every line sets one variable, and quotes it."""
    made = toolchain(tmp_path, key)
    text = (made.folder / "toolchain.cmake").read_text(encoding="utf-8")
    said = dict(re.findall(r'^set\((\w+) "([^"]*)"\)$', text, re.MULTILINE))
    assert len(said) == len(text.splitlines())
    assert said["CMAKE_SYSTEM_NAME"] == made.target.system
    assert said["CMAKE_SYSTEM_PROCESSOR"] == made.target.machine
    assert said["CMAKE_C_COMPILER"] == str(made.tool("cc"))
    assert said["CMAKE_CXX_COMPILER"] == str(made.tool("c++"))
    assert said["CMAKE_FIND_USE_CMAKE_SYSTEM_PATH"] == "FALSE", "this machine's libraries are not found"
    macos = PLATFORMS[key].system == "macosx"
    assert said.get("CMAKE_OSX_DEPLOYMENT_TARGET") == ("13.0" if macos else None)
    assert said.get("CMAKE_OSX_ARCHITECTURES") == (made.target.machine if macos else None)


@pytest.mark.parametrize("key", PLATFORMS)
def test_meson_is_told_of_the_target(tmp_path: Path, key: str) -> None:
    """In a cross file that its own reader would understand: every value is quoted as Meson wants it, or true."""
    made = toolchain(tmp_path, key)
    parser = configparser.RawConfigParser(delimiters=("=",))
    parser.read_string(made.meson_file.read_text(encoding="utf-8"))
    machine = {name: value.strip("'") for name, value in parser["host_machine"].items()}
    system = {"linux": "linux", "macosx": "darwin", "windows": "windows"}[PLATFORMS[key].system]
    cpu = "aarch64" if key.endswith("aarch64") else "x86_64"
    assert machine == {"system": system, "cpu_family": cpu, "cpu": cpu, "endian": "little"}
    for section in parser.sections():
        for value in parser[section].values():
            assert value == "true" or re.fullmatch(r"'(?:[^'\\]|\\.)*'", value), value
    assert parser["binaries"]["python"] == f"'{PYTHON}'"
    assert made.settings_for("mesonpy") == {"setup-args": [f"--cross-file={made.meson_file}"]}
    assert made.settings_for("setuptools.build_meta") == {}


def test_configure_is_told_of_the_target(tmp_path: Path) -> None:
    """A shell reads the file, and no value breaks it."""
    made = toolchain(tmp_path)
    done = subprocess.run(
        ["sh", "-c", '. "$1" && echo "$host_alias $cross_compiling"', "sh", made.folder / "config.site"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("aarch64-linux-gnu yes\n", "")


# The environment of a build

STEERING = {
    "CFLAGS": "-march=native", "CXXFLAGS": "-O0", "CPPFLAGS": "-I/x", "LDFLAGS": "-L/x", "LDSHARED": "gcc", "CPATH": "/x",
    "C_INCLUDE_PATH": "/x", "CPLUS_INCLUDE_PATH": "/x", "LIBRARY_PATH": "/x", "LD_LIBRARY_PATH": "/x", "LD_PRELOAD": "/x.so",
    "DYLD_LIBRARY_PATH": "/x", "PYTHONPATH": "/x", "PYTHONHOME": "/x", "PYTHONSTARTUP": "/x", "PYTHONINSPECT": "1",
    "PIP_INDEX_URL": "http://x", "UV_INDEX": "http://x", "PKG_CONFIG_SYSROOT_DIR": "/x", "PKG_CONFIG": "/x/pkg-config",
    "CMAKE_ARGS": "-DX=1", "CMAKE_PREFIX_PATH": "/x", "SKBUILD_CMAKE_ARGS": "-DX", "ARCHFLAGS": "-arch x86_64",
    "MAKEFLAGS": "-j99", "DISTUTILS_USE_SDK": "1", "SETUPTOOLS_SCM_PRETEND_VERSION": "9", "NPY_BLAS_ORDER": "mkl",
    "RUSTFLAGS": "-C target-cpu=native", "CARGO_BUILD_RUSTFLAGS": "x", "CONDA_PREFIX": "/conda", "MESONPY_EDITABLE_VERBOSE": "1",
    "_PYTHON_HOST_PLATFORM": "linux-riscv", "_PYTHON_SYSCONFIGDATA_NAME": "x", "GIT_DIR": "/x",
}  # fmt: skip
"""Variables that would make a build another one. None of them is passed on."""
REPLACED = {
    "CC": "gcc", "CXX": "g++", "AR": "gcc-ar", "RANLIB": "x", "STRIP": "x", "PKG_CONFIG_PATH": "/usr/lib/pkgconfig",
    "PKG_CONFIG_LIBDIR": "/usr/lib/pkgconfig", "CMAKE_TOOLCHAIN_FILE": "/x.cmake", "CMAKE_GENERATOR": "Unix Makefiles",
    "CONFIG_SITE": "/x", "MACOSX_DEPLOYMENT_TARGET": "26.0", "SOURCE_DATE_EPOCH": "1", "PYTHONHASHSEED": "random",
    "VIRTUAL_ENV": "/x", "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Tokyo", "PYRUNENV_TARGET": "/x.json",
    "ZIG_GLOBAL_CACHE_DIR": "/x", "CARGO_BUILD_TARGET": "x86_64-unknown-linux-musl", "PYO3_CROSS_PYTHON_VERSION": "3.7",
}  # fmt: skip
"""Variables that are the target's own."""


def variables(made: Toolchain, given: Mapping[str, str], backend: str = "setuptools.build_meta") -> dict[str, str]:
    return made.variables(given, PYTHON, backend)


@pytest.mark.parametrize("key", PLATFORMS)
@pytest.mark.parametrize("backend", ["setuptools.build_meta", "mesonpy"])
def test_nothing_of_the_users_steers_a_build(tmp_path: Path, key: str, backend: str) -> None:
    """The environment is the same whatever the user's has, but for who it is and how the network is reached."""
    made = toolchain(tmp_path, key)
    plain = {"HOME": "/home/u", "PATH": "/usr/bin", "USER": "u"}
    found = variables(made, {**plain, **STEERING, **REPLACED}, backend)
    assert found == variables(made, plain, backend)
    assert not STEERING.keys() & found.keys()
    assert ("MACOSX_DEPLOYMENT_TARGET" in found) is (PLATFORMS[key].system == "macosx")
    assert ("CC" in found) is (backend != "mesonpy"), "Meson takes CC for this machine's compiler"


def test_how_the_network_is_reached_is_passed_on(tmp_path: Path) -> None:
    """A build may fetch what it vendors, through the user's proxy and with the user's certificates."""
    given = {"https_proxy": "http://p", "NO_PROXY": "x", "SSL_CERT_FILE": "/certs", "USER": "u", "HOME": "/home/u"}
    found = variables(toolchain(tmp_path), given)
    assert {name: found.get(name) for name in given if name != "HOME"} == {
        name: value for name, value in given.items() if name != "HOME"
    }
    assert "HOME" not in found


def test_compilers_of_the_target_come_first(tmp_path: Path) -> None:
    """Then the build environment's programs, the user's Rust, the system; nothing else of the user's PATH."""
    cargo = tmp_path / "rust" / "bin" / "cargo"
    cargo.parent.mkdir(parents=True)
    cargo.write_text("#!/bin/sh\n", encoding="utf-8")
    cargo.chmod(0o755)
    made = toolchain(tmp_path)
    path = variables(made, {"PATH": f"/opt/own/bin:{cargo.parent}", "HOME": "/home/u"})["PATH"].split(os.pathsep)
    assert path[:3] == [str(made.folder / "bin"), "/env/bin", str(cargo.parent)]
    assert "/opt/own/bin" not in path
    assert str(cargo.parent) not in variables(made, {"PATH": "/nowhere", "HOME": "/home/u"})["PATH"]


def test_rust_is_told_of_the_target(tmp_path: Path) -> None:
    """cargo, maturin and PyO3 read variables; the C compiler links."""
    found = variables(toolchain(tmp_path, "macosx-aarch64"), {"HOME": "/home/u", "CARGO_HOME": "/cargo"})
    assert found["CARGO_BUILD_TARGET"] == "aarch64-apple-darwin"
    assert found["CARGO_TARGET_AARCH64_APPLE_DARWIN_LINKER"].endswith("/bin/cc")
    assert (found["CARGO_HOME"], found["RUSTUP_HOME"]) == ("/cargo", "/home/u/.rustup")
    assert found["PYO3_CROSS_PYTHON_VERSION"] == "3.12"


def test_zig_is_found_where_its_package_is() -> None:
    """A program that runs, and the package's version, which is part of what a wheel is kept under."""
    pytest.importorskip("ziglang")
    found = find_zig()
    assert found is not None
    assert os.access(found[0], os.X_OK)
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.post\d+)?", found[1])
