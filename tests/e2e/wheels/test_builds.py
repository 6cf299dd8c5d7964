"""Builds that do something unusual: a library beside the module that needs it, a program written in Rust."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.places import TAGS, Archives, Place, make_place, share
from support.runners import RUNNABLE, runner

from pyrunenv.wheels.inspect import inspect

pytestmark = [pytest.mark.network, pytest.mark.slow]

SETUP = """
import os, shlex, subprocess, sys
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NAME = {"win32": "tiny.dll", "darwin": "libtiny.dylib"}.get(sys.platform, "libtiny.so")
WORDS = {"win32": ["-Wl,--out-implib=made/libtiny.a"], "darwin": ["-install_name", "@rpath/libtiny.dylib"]}

class WithLibrary(build_ext):
    def run(self):
        os.makedirs("made")
        words = WORDS.get(sys.platform, ["-Wl,-soname,libtiny.so"])
        compiler = shlex.split(os.environ["CC"])
        subprocess.check_call([*compiler, "-shared", "-fPIC", "tiny.c", "-o", "made/" + NAME, *words])
        super().run()

setup(cmdclass={"build_ext": WithLibrary},
      ext_modules=[Extension("tinyext", ["ext.c"], library_dirs=["made"], libraries=["tiny"])])
"""
PROJECT = """
[build-system]
requires = ["{requires}"]
build-backend = "{backend}"
[project]
name = "{name}"
version = "1.0"
"""
TINY = {
    "pyproject.toml": PROJECT.format(requires="setuptools==80.9.0", backend="setuptools.build_meta", name="tinylib"),
    "setup.py": SETUP,
    "tiny.c": "#ifdef _WIN32\n__declspec(dllexport)\n#endif\nint tiny(void) { return 42; }\n",
    "ext.c": """
#include <Python.h>
int tiny(void);
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(tiny()); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "tinyext", 0, -1, methods};
PyMODINIT_FUNC PyInit_tinyext(void) { return PyModule_Create(&module); }
""",
}
RUST = {
    "pyproject.toml": PROJECT.format(requires="maturin==1.9.6", backend="maturin", name="hellobin")
    + '[tool.maturin]\nbindings = "bin"\n',
    "Cargo.toml": '[package]\nname = "hellobin"\nversion = "1.0.0"\nedition = "2021"\n',
    "Cargo.lock": 'version = 3\n\n[[package]]\nname = "hellobin"\nversion = "1.0.0"\n',
    "src/main.rs": 'fn main() { println!("hello"); }\n',
}


@pytest.fixture(scope="module")
def workshop(zig_cache: Path, targets: Archives, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A workspace with two folders of sources."""
    folder = tmp_path_factory.mktemp("builds")
    share(zig_cache, folder / "cache")
    for name, files in {"tinylib": TINY, "hellobin": RUST}.items():
        for path, text in files.items():
            (folder / "workspace" / name / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "workspace" / name / path).write_text(text, encoding="utf-8")
    built = {name: {key: {"sourceDir": name} for key in TAGS} for name in ("tinylib", "hellobin")}
    return make_place(folder / "workspace", folder / "cache", targets, built=built)


@pytest.mark.parametrize("key", TAGS)
def test_a_library_that_a_build_leaves_outside_is_taken_into_the_wheel(
    key: str, workshop: Place, tmp_path: Path, machines: Path
) -> None:
    """It is found from there, and what was rewritten for that on macOS has a signature that holds."""
    path = workshop.build("tinylib", key, into=tmp_path)[key]
    found = inspect(path)
    assert len(found.native) == 2
    assert not [library for file in found.native for library in file.missing]
    if key == "macosx-aarch64":
        assert [file.signature for file in found.native] == ["valid", "valid"]
    if key in RUNNABLE:
        done = runner(key, machines, [path], ())("import tinyext; assert tinyext.answer() == 42")
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("cargo") is None, reason="no cargo here: Rust's own compiler is not on PyPI")
def test_rust_is_linked_at_the_floor(workshop: Place, tmp_path: Path) -> None:
    """For this machine's platform; the standard libraries of the others are rarely installed."""
    path = workshop.build("hellobin", "linux-x64", into=tmp_path)["linux-x64"]
    assert path.name == f"hellobin-1.0-py3-none-{TAGS['linux-x64']}.whl"
    assert [file.archs for file in inspect(path).native] == [("x64",)]
