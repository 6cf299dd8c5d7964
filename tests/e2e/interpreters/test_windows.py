"""A real Windows CPython, from PyPI, built into an environment here; the Backend's steps on it where there is Wine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.foreign import WINDOWS_VERSION, WINE, windows_zip
from support.workspaces import make_workspace

REPLAY = Path(__file__).parents[2] / "contract" / "backend_replay.py"
pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment built for Windows, from CPython's whole tree."""
    scratch = tmp_path_factory.mktemp("windows")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
    archive = windows_zip()
    locked = {"url": archive.as_uri(), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
    shared = {"python": {"source": "archive", "archives": {"windows-x64": locked}}}
    # numpy 2 calls a function of ucrt that Wine 8 lacks
    config = {"packages": {"dependencies": ["numpy==1.26.4", "humanize==4.12.3"]}}
    make_workspace(scratch / "workspace", shared, {WINDOWS_VERSION: config}, platforms=("windows-x64",))
    folder = scratch / "workspace" / f"python-{WINDOWS_VERSION}"
    command = [sys.executable, "-m", "pyrunenv", "build", "--all-platforms"]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_real_windows_tree_has_the_contracts_layout(environment: Path) -> None:
    """Programs and their DLLs in bin/, the rest beside it; no Tk, no tests, pip with a right RECORD."""
    bundle = environment / "pydist" / "windows-x64"
    for name in (
        "bin/python.exe",
        "bin/python3.exe",
        "bin/python311.dll",
        "bin/vcruntime140_1.dll",
        "Lib/os.py",
        "DLLs/_ssl.pyd",
        "libs/python311.lib",
        "include/Python.h",
        "Lib/venv/scripts/nt/python.exe",
        "Lib/site-packages/pip/__init__.py",
    ):
        assert (bundle / name).is_file(), name
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*")}
    assert not [
        n for n in names if n.lower().startswith(("tcl", "scripts", "dlls/tcl", "dlls/_tk", "lib/test", "lib/idlelib"))
    ]
    assert not [n for n in names if n.endswith((".pyc", ".pdb"))]


@pytest.mark.skipif(WINE is None, reason="no Wine here: install Debian's wine64 to run the Windows bundle")
def test_the_backend_can_use_the_archive_under_wine(environment: Path) -> None:
    """From the archive, moved: venv, offline pip install, modules with DLLs, numpy's native code."""
    assert WINE is not None
    archive = next(environment.glob("pkg-*.tgz"))
    command = [sys.executable, REPLAY, archive, "--wine", WINE, "--json", "-p", "numpy", "-p", "humanize"]
    command += ["-i", "humanize", "-i", "ssl", "-i", "sqlite3", "-i", "ctypes"]
    command += ["-c", "import numpy; assert numpy.linalg.inv(numpy.eye(3)).sum() == 3"]
    done = subprocess.run(command, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert [step for step in report["steps"] if not step["ok"]] == []
    assert done.returncode == 0
