"""The compiler that builds are given: which words of a build reach zig, and which are another for the target."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyrunenv.platforms import PLATFORMS
from pyrunenv.wheels import _compiler
from pyrunenv.wheels._compiler import expand, kept_word, placed, translate
from pyrunenv.wheels.target import BuildTarget
from pyrunenv.wheels.toolchain import WITHOUT_ZIG, Toolchain

SYSTEMS = ("Linux", "Darwin", "Windows")
ROOM = "-Wl,-headerpad_max_install_names"
"""Said whenever something is linked for macOS: a library is given another name when it is taken into a wheel."""


def facts(system: str = "Linux", **more: Any) -> dict[str, Any]:
    """What the JSON file says, with little in it."""
    return {
        "target": "x86_64-linux-gnu.2.28", "gnu": "x86_64-linux-gnu", "system": system, "include": "/t/include",
        "defines": [], "link": [], "host_folders": ["/py/include", "/py/lib"], "site": ["/env/site"],
        "target_site": "/t/site", "prefix_maps": ["-ffile-prefix-map=/tree=."], "zig": "/zig", "without_zig": "no zig",
        **more,
    }  # fmt: skip


def kept(*words: str, system: str = "Linux", tool: str = "cc", **more: Any) -> list[str]:
    """The words that are left, without those that are put before them."""
    command = translate(tool, words, facts(system, **more))
    return command[command.index("-ffile-prefix-map=/tree=.") + 1 :]


# Words alone


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    "word",
    [
        "-march=native", "-mtune=native", "-mcpu=native", "-g", "-g3", "-ggdb", "-flto", "-flto=auto", "-flto=thin",
        "-mmacosx-version-min=10.9", "-stdlib=libc++", "-fuse-ld=lld", "--target=arm64-apple-macos", "-bind_at_load",
        "-Wl,-z,relro", "-Wl,-Bsymbolic-functions", "-Wl,--exclude-libs,ALL", "-Wl,--version-script=x.map",
        "-Wl,--build-id=sha1", "-Wl,-O1", "-Wl,--as-needed", "-fno-semantic-interposition",
    ],
)  # fmt: skip
def test_words_that_choose_a_machine_or_a_linker_are_dropped(word: str, system: str) -> None:
    """They would make the wheel depend on this machine, or stop zig."""
    assert kept_word(word, system) == []
    assert kept("-c", word, "a.c", system=system) == ["-c", "a.c"]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    "word",
    ["-O3", "-DX=1", "-Wall", "a.c", "-std=c++17", "-march=x86-64-v2", "-Wl,-soname,x"],
)
def test_other_words_are_left_alone(word: str, system: str) -> None:
    """A baseline that the package chose stays, as do its defines and its standard."""
    assert kept_word(word, system) == [word]


def test_macos_links_a_dylib_where_a_bundle_is_asked_for() -> None:
    """CPython loads either, and zig makes no bundle; what macOS has in libSystem is not named."""
    assert kept("-bundle", "-undefined", "dynamic_lookup", "a.o", "-o", "a.so", "-lrt", "-ldl", system="Darwin") == [
        "-shared", "-undefined", "dynamic_lookup", "a.o", "-o", "a.so", ROOM, "-s",
    ]  # fmt: skip
    assert kept_word("-Wl,-dylib", "Darwin") == ["-shared"]
    assert kept_word("-lm", "Darwin") == ["-lm"]
    assert kept_word("-bundle", "Linux") == ["-bundle"]


def test_windows_has_no_posix_libraries_and_no_rpath() -> None:
    """Nor position-independent code as a choice; the libraries of Windows stay."""
    words = ("-fPIC", "-pthread", "-lm", "-lpthread", "-ldl", "-lutil", "-lrt", "-Wl,-rpath,$ORIGIN", "-lws2_32", "x.c")
    assert kept("-c", *words, system="Windows") == ["-c", "-lws2_32", "x.c"]
    assert kept("-c", *words[:7], "x.c", system="Linux") == ["-c", *words[:7], "x.c"]


def test_what_setup_py_says_to_microsofts_compiler_is_translated() -> None:
    """Many setup.py look at sys.platform and write its words; elsewhere they are paths."""
    words = ("/EHsc", "/O2", "/bigobj", "/GL", "/LTCG", "/MP", "/nologo", "/utf-8", "/std:c++17")
    assert kept("-c", *words, "x.cpp", system="Windows") == ["-c", "-O2", "-std=c++17", "x.cpp"]
    assert kept("-c", *words, "x.cpp", system="Linux") == ["-c", *words, "x.cpp"]


# Words with a value


@pytest.mark.parametrize("option", ["-arch", "-isysroot", "-target"])
def test_an_option_that_chooses_a_target_is_dropped_with_its_value(option: str) -> None:
    """Also when its value is missing."""
    assert kept("-c", option, "arm64", "a.c") == ["-c", "a.c"]
    assert kept("-c", "a.c", option) == ["-c", "a.c"]


def test_words_for_the_linker_in_two_parts() -> None:
    """``-Xlinker X`` is ``-Wl,X``, and is dropped where that is."""
    assert kept("-Xlinker", "--as-needed", "-Xlinker", "-soname=x", "a.o") == ["-Wl,-soname=x", "a.o", "-s"]
    assert kept("-Xlinker", "-dylib", "a.o", system="Darwin") == ["-shared", "a.o", ROOM, "-s"]


@pytest.mark.parametrize("option", ["-I", "-L", "-isystem", "-idirafter", "-iquote"])
@pytest.mark.parametrize("joined", [False, True])
def test_this_machines_folders_are_dropped(option: str, joined: bool) -> None:
    """Its system's and its Python's, however they are spelled; the tree's own stay."""
    own = ("/usr/include", "/usr/lib/x86_64-linux-gnu", "/usr/local/lib", "/lib", "/py/include/python3.12", "/py/lib",
           "/usr/include/../include/x", "/opt/homebrew/lib")  # fmt: skip
    others = ("include", "../lib", "/tree/lib", "/usr/includes", "/python/lib", "/usr/share/x")

    def words(folders: tuple[str, ...]) -> list[str]:
        return [w for f in folders for w in ([option + f] if joined else [option, f])]

    assert kept("-c", *words(own), *words(others), "a.c") == ["-c", *words(others), "a.c"]


def test_a_run_path_of_this_machine_is_dropped() -> None:
    """One that names the library's own folder stays."""
    assert kept("-Wl,-rpath,/usr/lib", "-Wl,-rpath=/py/lib", "-Wl,-rpath,$ORIGIN/x", "-Wl,-rpath", "a.o")[:3] == [
        "-Wl,-rpath,$ORIGIN/x", "-Wl,-rpath", "a.o",
    ]  # fmt: skip


def test_headers_of_a_build_requirement_are_the_targets_own(tmp_path: Path) -> None:
    """numpy's config.h of this machine would be wrong; what has no counterpart, as pybind11, is taken from here."""
    site, target = tmp_path / "env/site", tmp_path / "target"
    (target / "numpy/_core/include").mkdir(parents=True)
    told = facts(site=[str(site)], target_site=str(target))
    assert placed(f"{site}/numpy/_core/include", told) == f"{target}/numpy/_core/include"
    assert placed(f"{site}/pybind11/include", told) == f"{site}/pybind11/include"
    assert placed(f"{site}-packages/x", told) == f"{site}-packages/x"
    inside = facts(site=[str(site)], target_site=str(target), host_folders=[str(tmp_path / "env")])
    assert placed(f"{site}/numpy/_core/include", inside) == f"{target}/numpy/_core/include"
    command = translate("cc", ["-c", f"-I{site}/numpy/_core/include", "-I", f"{site}/numpy/_core/include", "a.c"], told)
    assert command[-5:] == ["-c", f"-I{target}/numpy/_core/include", "-I", f"{target}/numpy/_core/include", "a.c"]


def test_a_response_file_is_read(tmp_path: Path) -> None:
    """What is in it is translated like the rest; ``@rpath/x`` and the like are no files."""
    response = tmp_path / "words with a space.rsp"
    response.write_text("-march=native '-DNAME=\"a b\"'\n-I/usr/include\na\\ b.c -O2\n", encoding="utf-8")
    assert list(expand(["-c", f"@{response}", "-install_name", "@rpath/x.so"])) == [
        "-c", "-march=native", '-DNAME="a b"', "-I/usr/include", "a b.c", "-O2", "-install_name", "@rpath/x.so",
    ]  # fmt: skip
    assert kept("-c", f"@{response}") == ["-c", '-DNAME="a b"', "a b.c", "-O2"]


# What is put around them


def test_a_compilation_gets_the_targets_headers_and_no_word_for_the_linker() -> None:
    """The target comes first, its headers before the build's, and paths of this machine are mapped."""
    command = translate(
        "c++", ["-c", "a.cpp", "-o", "a.o", "-shared"], facts(defines=["-DMS_WIN64="], link=["/t/x.lib"])
    )
    assert command[:3] == ["c++", "-target", "x86_64-linux-gnu.2.28"]
    assert {"-I/t/include", "-DMS_WIN64=", "-ffile-prefix-map=/tree=."} <= set(command)
    assert "-s" not in command
    assert command.index("-I/t/include") < command.index("a.cpp")


@pytest.mark.parametrize("word", ["-c", "-E", "-S", "-M", "-MM", "--version", "-dumpversion", "-fsyntax-only"])
def test_what_does_not_link_gets_no_libraries(word: str) -> None:
    """``--version`` alone is how a build finds out which compiler this is."""
    assert kept(word, "a.c") == [word, "a.c"]
    assert kept(word) == [word]


def test_a_library_is_stripped_and_gets_pythons_import_library_at_the_end() -> None:
    """On Windows, where alone there is one; a program gets none."""
    link = ["/t/libs/python312.lib"]
    assert kept("-shared", "a.o", "-o", "a.pyd", system="Windows", link=link) == [
        "-shared", "a.o", "-o", "a.pyd", *link, "-s",
    ]  # fmt: skip
    assert kept("a.o", "-o", "a.exe", system="Windows", link=link) == ["a.o", "-o", "a.exe", "-s"]
    assert kept("-shared", "a.o", "-o", "a.so") == ["-shared", "a.o", "-o", "a.so", "-s"]


@pytest.mark.parametrize("tool", ["ar", "ranlib", "dlltool", "rc", "lib", "objcopy"])
def test_other_tools_get_their_words_as_they_are(tool: str) -> None:
    """They know no target."""
    assert translate(tool, ["rcs", "x.a", "-g", "-I/usr/include"], facts()) == [
        tool,
        "rcs",
        "x.a",
        "-g",
        "-I/usr/include",
    ]


# The scripts


def toolchain(folder: Path, zig: Path | None, key: str = "macosx-aarch64") -> Toolchain:
    target = BuildTarget(PLATFORMS[key], "3.12.10", "2.28", "13.0", folder / "include")
    made = Toolchain(folder / "tool chain", target, zig, folder / "zig-cache")
    made.write(
        tree=folder / "tree", site=folder / "site", prefixes=[], target_site=folder / "target", python=Path("python")
    )
    return made


def fake_zig(folder: Path) -> Path:
    path = folder / "a zig"
    path.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv))\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, env={"PATH": os.defpath})


def test_the_scripts_become_zig(tmp_path: Path) -> None:
    """Through shell, JSON and exec every word arrives as it was, spaces and quotes too; zig's status is the script's."""
    tools = toolchain(tmp_path, fake_zig(tmp_path))
    done = run(tools.tool("cc"), "-c", "-g", '-DX="a b"', "a $b.c")
    assert done.returncode == 0, done.stderr
    words = json.loads(done.stdout)
    assert words[0] == str(tmp_path / "a zig")
    assert words[1:4] == ["cc", "-target", "aarch64-macos.13.0"]
    assert words[-3:] == ["-c", '-DX="a b"', "a $b.c"]
    for script, tool in {"c++": "c++", "ar": "ar", "windres": "rc", "ranlib": "ranlib"}.items():
        assert json.loads(run(tools.tool(script), "x").stdout)[1] == tool
    for script in ("strip", "install_name_tool"):
        done = run(tools.tool(script), "-x", "nowhere.so")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_status_of_zig_is_that_of_the_script(tmp_path: Path) -> None:
    """A compilation that failed must not look like one that did not."""
    path = fake_zig(tmp_path)
    path.write_text("#!/bin/sh\necho wrong >&2\nexit 3\n", encoding="utf-8")
    done = run(toolchain(tmp_path, path).tool("cc"), "-c", "a.c")
    assert (done.returncode, done.stderr) == (3, "wrong\n")


def test_without_zig_it_is_said_what_to_install(tmp_path: Path) -> None:
    """In one sentence, with a status that stops the build; which machine it is for can be asked all the same."""
    tools = toolchain(tmp_path, None)
    done = run(tools.tool("cc"), "-c", "a.c")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{WITHOUT_ZIG}\n")
    assert "pip install ziglang==" in done.stderr
    for script in ("cc", "c++"):
        asked = run(tools.tool(script), "-dumpmachine")
        assert (asked.returncode, asked.stdout) == (0, "aarch64-apple-darwin\n")


def test_the_script_needs_nothing_but_the_standard_library() -> None:
    """It is started for every file that is compiled, without site-packages."""
    code = f"import runpy; runpy.run_path({_compiler.__file__!r})"
    done = run(sys.executable, "-I", "-S", "-E", "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
