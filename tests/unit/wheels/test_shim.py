"""The shim in interpreters of this machine: who hears of the target, and who of the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyrunenv.platforms import PLATFORMS
from pyrunenv.wheels import _shim
from pyrunenv.wheels.target import BuildTarget
from pyrunenv.wheels.toolchain import Toolchain

pytestmark = pytest.mark.skipif(os.name == "nt", reason="builds run on Linux and macOS")

PYTHONS = ("this one", "3.10", "3.11", "3.12", "3.13")

ASKS = """
import os, platform, sys
from sys import platform as imported
answers = {
    "sys.platform": sys.platform, "imported": imported, "got": getattr(sys, "platform"), "os.name": os.name,
    "system": platform.system(), "machine": platform.machine(), "uname": list(platform.uname())[::4],
    "os.uname": [os.uname().sysname, os.uname().machine],
}
"""
# What the interpreter is asked, by a file that is neither in the source tree nor in a package that is told.
QUESTIONS = """
import importlib, json, os, platform, subprocess, sys, sysconfig
tree, stdlib = sys.argv[1], sys.argv[2:]
sys.path.insert(0, tree)
found = {"in the tree": importlib.import_module("asks").answers}
for name in ("setuptools", "meson", "setuptools_other", "numpy"):
    found[name] = importlib.import_module(name).answers
code = open(os.path.join(tree, "asks.py")).read()
for name in ("<string>", "setup.py"):
    held = {}
    exec(compile(code, name, "exec"), held)
    found[name] = held["answers"]
held = {}
exec(code, held)
found["a text"] = held["answers"]
exec(compile(code, __file__, "exec"), held)
found["this file"] = held["answers"]
found["sysconfig"] = {
    "platform": sysconfig.get_platform(), "suffix": sysconfig.get_config_var("EXT_SUFFIX"),
    "include": sysconfig.get_paths()["include"], "platinclude": sysconfig.get_path("platinclude"),
    "of a scheme": sysconfig.get_path("include", "posix_prefix"), "purelib": sysconfig.get_path("purelib"),
    "config.h": sysconfig.get_config_h_filename(), "variables": sysconfig.get_config_vars(),
}
build_ext = importlib.import_module("setuptools.command.build_ext")
found["build_ext"] = build_ext.get_abi3_suffix()
try:
    from distutils import sysconfig as distutils, util
    found["distutils"] = [distutils.get_python_inc(), distutils.get_config_h_filename(), util.get_platform()]
except ImportError:
    found["distutils"] = None
import shutil, tempfile
for name in stdlib:
    importlib.import_module(name)
found["the standard library"] = {
    "which": shutil.which("sh"), "ran": subprocess.run(["sh", "-c", "exit 3"]).returncode,
    "written": tempfile.TemporaryFile("w").write("x"), "joined": os.path.join("a", "b"),
    "child": subprocess.run([sys.executable, "-m", "asks_main"], capture_output=True, text=True, cwd=tree).stdout,
}
print(json.dumps(found, default=str))
"""
STDLIB = ("asyncio", "concurrent.futures", "ctypes.util", "getpass", "locale", "mimetypes", "multiprocessing", "pathlib",
          "selectors", "signal", "socket", "ssl", "tarfile", "uuid", "venv", "webbrowser", "zipfile")  # fmt: skip
"""Modules that look at the platform when they are imported."""


def program(version: str) -> Path:
    """A Python of this machine; skips the test where there is none."""
    if version == "this one":
        return Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    if not found:
        pytest.skip(f"no Python {version} of pyenv here")
    return found[-1]


@pytest.fixture(scope="module", params=PYTHONS)
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the shim in it, as builds have it, and packages that tell what they hear."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([program(request.param), "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in ("setuptools", "setuptools_other", "meson", "numpy"):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(ASKS, encoding="utf-8")
    (site / "setuptools/command").mkdir()
    (site / "setuptools/command/__init__.py").touch()
    (site / "setuptools/command/build_ext.py").write_text("def get_abi3_suffix(): return '.host'\n", encoding="utf-8")
    (site / "_pyrunenv_shim.py").write_bytes(Path(_shim.__file__).read_bytes())
    (site / "_pyrunenv_shim.pth").write_text("import _pyrunenv_shim\n", encoding="utf-8")
    return folder / "bin" / "python"


def run(python: Path, *words: str | Path, target: object = None) -> subprocess.CompletedProcess[str]:
    more = {} if target is None else {"PYRUNENV_TARGET": str(target)}
    environment = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1", **more}
    return subprocess.run([python, *words], capture_output=True, text=True, env=environment)


def laid_out(folder: Path, key: str) -> Toolchain:
    """What a build of ``folder/tree`` is given."""
    tree = folder / "tree"
    tree.mkdir(parents=True)
    (tree / "asks.py").write_text(ASKS, encoding="utf-8")
    (tree / "asks_main.py").write_text(ASKS + "print(answers['sys.platform'])\n", encoding="utf-8")
    (folder / "questions.py").write_text(QUESTIONS, encoding="utf-8")
    target = BuildTarget(PLATFORMS[key], "3.12.10", "2.28", "13.0", folder / "include")
    made = Toolchain(folder / "toolchain", target, None, folder / "zig")
    made.write(tree=tree, site=folder / "site", prefixes=[], target_site=folder / "there", python=Path("python"))
    return made


@dataclass(frozen=True)
class Asked:
    """What the interpreter said under the target's file."""

    key: str
    folder: Path
    prefix: Path
    found: dict[str, Any]


@pytest.fixture(scope="module", params=PLATFORMS)
def asked(python: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """All questions at once, for each Python and platform."""
    folder = tmp_path_factory.mktemp("build")
    tools = laid_out(folder, request.param)
    done = run(python, folder / "questions.py", folder / "tree", *STDLIB, target=tools.shim_file)
    assert (done.returncode, done.stderr) == (0, "")
    return Asked(request.param, folder, python.parent.parent, json.loads(done.stdout))


def answers(markers: Mapping[str, str]) -> dict[str, Any]:
    system, machine = markers["platform_system"], markers["platform_machine"]
    return {
        "sys.platform": markers["sys_platform"], "imported": markers["sys_platform"], "got": markers["sys_platform"],
        "os.name": markers["os_name"], "system": system, "machine": machine, "uname": [system, machine],
        "os.uname": [system, machine],
    }  # fmt: skip


HERE = answers({
    "sys_platform": sys.platform, "os_name": os.name, "platform_system": platform.system(),
    "platform_machine": platform.machine(),
})  # fmt: skip


def test_who_hears_of_the_target(asked: Asked) -> None:
    """The tree, setup.py however it is run, build tools but on Windows; nobody else, and no part of the library."""
    found, there = asked.found, answers(PLATFORMS[asked.key].markers)
    told = ["in the tree", "<string>", "setup.py", "a text"]
    not_told = ["this file", "meson", "setuptools_other"]
    (not_told if asked.key == "windows-x64" else told).extend(["setuptools", "numpy"])
    assert {name: found[name] for name in told} == dict.fromkeys(told, there)
    assert {name: found[name] for name in not_told} == dict.fromkeys(not_told, HERE)
    library = found["the standard library"]
    assert library["which"].endswith("/sh")
    assert (library["ran"], library["written"], library["joined"]) == (3, 1, "a/b")
    assert library["child"] == f"{there['sys.platform']}\n", "a program that the build starts hears it as well"


SYSCONFIG = {
    "linux-x64": ("linux-x86_64", ".cpython-312-x86_64-linux-gnu.so", ".abi3.so"),
    "linux-aarch64": ("linux-aarch64", ".cpython-312-aarch64-linux-gnu.so", ".abi3.so"),
    "macosx-x64": ("macosx-13.0-x86_64", ".cpython-312-darwin.so", ".abi3.so"),
    "macosx-aarch64": ("macosx-13.0-arm64", ".cpython-312-darwin.so", ".abi3.so"),
    "windows-x64": ("win-amd64", ".cp312-win_amd64.pyd", ".pyd"),
}


def test_sysconfig_is_the_targets_for_everybody(asked: Asked) -> None:
    """Platform, suffixes, headers, compilers; where things are installed to stays."""
    found, said, include = asked.found, asked.found["sysconfig"], str(asked.folder / "include")
    assert (said["platform"], said["suffix"], found["build_ext"]) == SYSCONFIG[asked.key]
    assert {said[name] for name in ("include", "platinclude", "of a scheme")} == {include}
    assert said["config.h"] == f"{include}/pyconfig.h"
    assert said["purelib"].startswith(str(asked.prefix))
    compiler = f"{asked.folder}/toolchain/bin/cc"
    assert said["variables"]["CC"] == compiler
    assert said["variables"]["LDSHARED"].startswith(compiler + " ")
    assert said["variables"]["INCLUDEPY"] == include
    if found["distutils"] is not None:
        assert found["distutils"] == [include, f"{include}/pyconfig.h", SYSCONFIG[asked.key][0]]


@pytest.mark.parametrize(
    "content",
    ["{", "", "[]", "{}", '{"tree": "/t", "packages": []}', "\xff"],
    ids=["cut", "empty", "list", "no keys", "few keys", "text"],
)
def test_a_shim_that_cannot_do_its_work_ends_the_interpreter(python: Path, tmp_path: Path, content: str) -> None:
    """A build must not go on for the host."""
    path = tmp_path / "target.json"
    path.write_bytes(content.encode("latin-1"))
    done = run(python, "-c", "print('went on')", target=path)
    assert (done.returncode, done.stdout) == (97, "")
    assert "Traceback" in done.stderr


def test_a_file_that_is_not_there_ends_the_interpreter(python: Path, tmp_path: Path) -> None:
    """As after a build's folder was removed."""
    assert run(python, "-c", "print('went on')", target=tmp_path / "none.json").returncode == 97


@pytest.mark.parametrize("variable", [None, ""])
def test_without_the_variable_nothing_changes(python: Path, variable: str | None) -> None:
    """The environment's Python is then like any other."""
    code = (
        "import os, platform, sys, sysconfig, _pyrunenv_shim as shim; print(sys.platform, os.name, platform.machine(), "
        "sysconfig.get_platform(), type(sys).__name__, any(isinstance(f, shim.Patches) for f in sys.meta_path))"
    )
    done = run(python, "-c", code, target=variable)
    here = (sys.platform, os.name, platform.machine(), sysconfig.get_platform(), "module", False)
    assert done.stdout.split() == [str(part) for part in here], done.stderr


def test_a_source_tree_behind_a_link_is_the_source_tree(python: Path, tmp_path: Path) -> None:
    """macOS's /tmp is one; and a file that a link in the tree leads to elsewhere is not in it."""
    tools = laid_out(tmp_path / "real", "windows-x64")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    facts = json.loads(tools.shim_file.read_text(encoding="utf-8"))
    facts["tree"] = str(tmp_path / "link" / "tree")
    tools.shim_file.write_text(json.dumps(facts), encoding="utf-8")
    for tree in ("link/tree", "real/tree"):
        done = run(python, tmp_path / tree / "asks_main.py", target=tools.shim_file)
        assert done.stdout == "win32\n", done.stderr
    outside = tmp_path / "real" / "tree_other" / "asks_main.py"
    outside.parent.mkdir()
    outside.write_text((tmp_path / "real/tree/asks_main.py").read_text(encoding="utf-8"), encoding="utf-8")
    assert run(python, outside, target=tools.shim_file).stdout == f"{sys.platform}\n"
