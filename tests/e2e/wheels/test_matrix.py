"""Projects of PyPI, built from source for all platforms by the program itself, checked, and used where they can be run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support.places import GLIBC, MACOS, TAGS, Archives, Place, make_place, share
from support.runners import RUNNABLE, runner
from support.targets import host_python

from pyrunenv.platforms import PLATFORMS
from pyrunenv.wheels.check import check
from pyrunenv.wheels.inspect import inspect

pytestmark = [pytest.mark.network, pytest.mark.slow]

NUMPY = "numpy==1.26.4"
"""Wine 8 lacks a function of Windows' C library that numpy 2 calls."""


@dataclass(frozen=True)
class Project:
    """A requirement; a snippet that uses what was compiled, and fails where it is wrong; what that needs beside it."""

    requirement: str
    snippet: str
    needs: tuple[str, ...] = ()
    platforms: tuple[str, ...] = tuple(TAGS)
    """Those that it is built for in CI, as a build of it takes most of a minute; under ``--stress`` it is for all."""
    quick: Mapping[str, Any] | None = None
    """What ``buildWheel`` says of it in CI: not to optimise."""

    @property
    def name(self) -> str:
        return self.requirement.partition("==")[0]


PROJECTS = [
    # meson-python, Cython, the stable ABI
    Project("fabio==2026.6.0", """
import numpy
from fabio.ext import _agi_bitfield, _cif, byte_offset, cf_io, dense, mar345_IO
data = numpy.array([1, 2, 3, 70000, -5, 4], dtype="int32")
packed = bytes(byte_offset.comp_cbf32(data))
assert numpy.array_equal(byte_offset.dec_cbf32(packed, size=6), data), packed
""", (NUMPY,), ("linux-aarch64",), {"configSettings": {"setup-args": ["-Doptimization=0"]}}),
    # setuptools, Cython, the headers of numpy. Its __init__ imports scikit-learn, whose wheels need a C++ library that
    # the Python for arm64 does not have: what is used is what was compiled, alone.
    Project("hdbscan==0.8.44", """
import importlib.util, sys, types
import numpy
package = types.ModuleType("hdbscan")
package.__path__ = importlib.util.find_spec("hdbscan").submodule_search_locations
sys.modules["hdbscan"] = package
from hdbscan import _hdbscan_linkage, _hdbscan_tree, dist_metrics
points = numpy.array([[0, 0], [0, 1], [1, 0], [9, 9], [9, 8], [8, 9.]])
distances = dist_metrics.DistanceMetric.get_metric("euclidean").pairwise(points)
edges = _hdbscan_linkage.mst_linkage_core(distances)
tree = _hdbscan_tree.condense_tree(_hdbscan_linkage.label(edges[numpy.argsort(edges[:, 2])]), 3)
labels = list(_hdbscan_tree.get_clusters(tree, _hdbscan_tree.compute_stability(tree))[0])
assert labels in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]), labels
""", (NUMPY,), ("linux-aarch64",), {"env": {"CFLAGS": "-O0"}}),
    # scikit-build-core; the extension needs a library that lies beside it
    Project("spglib==2.6.0", """
import spglib
lattice, atoms = [[4, 0, 0], [0, 4, 0], [0, 0, 4]], [[0, 0, 0], [0, .5, .5], [.5, 0, .5], [.5, .5, 0]]
found = spglib.get_spacegroup((lattice, atoms, [13] * 4))
assert found == "Fm-3m (225)", found
""", (NUMPY, "typing-extensions==4.12.2"), ("windows-x64", "linux-aarch64", "macosx-aarch64")),
    # setuptools, and a library in C that is compiled with the module
    Project("freesasa==2.2.1", """
import freesasa, math
area, exact = freesasa.calcCoord([0, 0, 0], [2.0]).totalArea(), 4 * math.pi * (2.0 + 1.4) ** 2
assert math.isclose(area, exact, rel_tol=1e-3), (area, exact)
"""),
    # setuptools, and modules that may be left out where they cannot be compiled
    Project("MarkupSafe==3.0.2", """
import markupsafe, markupsafe._speedups as compiled
assert compiled._escape_inner("<a & b>") == "&lt;a &amp; b&gt;"
assert markupsafe.escape("'") == "&#39;"
"""),
    Project("wrapt==1.17.2", """
import wrapt, wrapt._wrappers as compiled
assert wrapt.ObjectProxy is compiled.ObjectProxy
twice = wrapt.decorator(lambda wrapped, instance, args, kwargs: 2 * wrapped(*args, **kwargs))
assert twice(lambda a, b: a + b)(3, b=4) == 14
"""),
]  # fmt: skip
BY_NAME = {project.name: project for project in PROJECTS}
AGAIN = {"MarkupSafe": ("linux-aarch64", "windows-x64"), "wrapt": ("linux-aarch64", "windows-x64")}
"""What is built once more elsewhere, and in an environment that wants something else."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the tests of one wheel the projects and their platforms."""
    if {"name", "key"} <= set(metafunc.fixturenames):
        stress, runs = metafunc.config.getoption("--stress"), "machines" in metafunc.fixturenames
        every = [(p.name, key) for p in PROJECTS for key in (TAGS if stress else p.platforms)]
        metafunc.parametrize(("name", "key"), [(name, key) for name, key in every if key in RUNNABLE or not runs])


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory, targets: Archives, zig_cache: Path, pytestconfig: pytest.Config
) -> Place:
    """Where all wheels are built, so that zig's own libraries are compiled once a platform."""
    folder = tmp_path_factory.mktemp("matrix")
    share(zig_cache, folder / "cache")
    quick = {p.name.lower(): dict.fromkeys(TAGS, p.quick) for p in PROJECTS if p.quick}
    built = None if pytestconfig.getoption("--stress") else quick
    return make_place(folder / "workspace", folder / "cache", targets, built=built)


@pytest.fixture(scope="module")
def wheel(request: pytest.FixtureRequest, home: Place) -> Iterator[Callable[[str, str], Path]]:
    """Give a project's wheel for a platform; those of the tests that were selected are built two at a time."""

    def build(name: str, key: str) -> Path:
        return home.build(BY_NAME[name].requirement, key, into=home.workspace / "wheels")[key]

    mine = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    params = [item.callspec.params for item in mine]
    with ThreadPoolExecutor(2) as pool:
        started: dict[tuple[str, str], Future[Path]] = {}

        def get(name: str, key: str) -> Future[Path]:
            return started.get((name, key)) or started.setdefault((name, key), pool.submit(build, name, key))

        for each in params:
            if "key" in each:
                get(each["name"], each["key"])
        yield lambda name, key: get(name, key).result()
        pool.shutdown(cancel_futures=True)


def test_a_project_is_built_for_a_platform(
    name: str, key: str, wheel: Callable[[str, str], Path], home: Place, targets: Archives
) -> None:
    """It has the tag of the floors, native files that are fit for the target, and no path of this machine."""
    path = wheel(name, key)
    here = [home.cache, home.workspace.parent, Path.home(), Path(sys.prefix), host_python().parents[1]]
    found = inspect(path, texts=sorted({f"{folder}/" for folder in here if folder != Path("/usr")}))
    assert path.name.endswith(f"-cp311-cp311-{TAGS[key]}.whl")
    assert check(found, PLATFORMS[key], targets[0], glibc=GLIBC, macos=MACOS) == []
    assert found.native
    signed = {"macosx-aarch64": "valid", "macosx-x64": "none"}.get(key)
    assert {file.signature for file in found.native} == {signed}


def test_a_built_wheel_is_imported_and_computes(
    name: str, key: str, wheel: Callable[[str, str], Path], machines: Path
) -> None:
    """What was compiled is loaded by that platform's Python, and gives the right answer."""
    project = BY_NAME[name]
    done = runner(key, machines, [wheel(name, key)], project.needs)(project.snippet)
    assert done.returncode == 0, done.stderr


def poison(folder: Path) -> dict[str, str]:
    """Return variables that would fail or alter a build for the host, and write the files they point to."""
    header, module = folder / "include" / "Python.h", folder / "python"
    (module / "setuptools").mkdir(parents=True)
    (module / "sitecustomize.py").write_text("raise SystemExit('poison')\n")
    (module / "setuptools" / "__init__.py").write_text("raise SystemExit('poison')\n")
    header.parent.mkdir()
    header.write_text("#error poison\n")
    (folder / ".pydistutils.cfg").write_text(f"[build_ext]\ninclude_dirs = {header.parent}\nlibraries = poison\n")
    (folder / "poison.pc").write_text("Name: python\nCflags: -DPOISON\n")
    flags = f"-DPOISON -I/poison -I{header.parent}"
    return {
        "CFLAGS": flags, "CPPFLAGS": flags, "CXXFLAGS": flags, "LDFLAGS": "-lpoison", "CC": "/bin/false",
        "CXX": "/bin/false", "LDSHARED": "/bin/false", "AR": "/bin/false", "ARCHFLAGS": "-arch poison",
        "PYTHONPATH": os.fspath(module), "PKG_CONFIG_PATH": os.fspath(folder), "HOME": os.fspath(folder),
        "CPATH": os.fspath(header.parent), "C_INCLUDE_PATH": os.fspath(header.parent),
        "CPLUS_INCLUDE_PATH": os.fspath(header.parent), "LIBRARY_PATH": os.fspath(folder), "LD_RUN_PATH": "/poison",
        "DISTUTILS_USE_SDK": "1", "DISTUTILS_DEBUG": "1", "SETUPTOOLS_USE_DISTUTILS": "stdlib",
        "SOURCE_DATE_EPOCH": "1", "MACOSX_DEPLOYMENT_TARGET": "99.0",
    }  # fmt: skip


@pytest.fixture(scope="module", params=["another path", "a poisoned environment"])
def elsewhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, targets: Archives, zig_cache: Path
) -> tuple[Place, dict[str, str]]:
    """A place at another path, with zig's own libraries from the first, and variables for builds there."""
    folder = tmp_path_factory.mktemp("else where")
    place = make_place(folder / "a work space", folder / "deep" / "a cache", targets)
    share(zig_cache, place.cache)
    if request.param == "another path":
        return place, {}
    (folder / "home").mkdir()
    return place, poison(folder / "home")


@pytest.mark.parametrize("name", AGAIN)
def test_a_wheel_is_the_same_wherever_it_is_built(
    name: str, elsewhere: tuple[Place, dict[str, str]], wheel: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """Neither the paths of cache and workspace nor the environment's compilers, flags and modules change a byte."""
    place, variables = elsewhere
    first = {key: wheel(name, key) for key in AGAIN[name]}
    again = place.build(BY_NAME[name].requirement, *first, into=tmp_path, **variables)
    assert {key: (path.name, digest(path)) for key, path in again.items()} == {
        key: (path.name, digest(path)) for key, path in first.items()
    }


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
