"""pip from ensurepip's wheel, unpacked once for all platforms."""

from __future__ import annotations

import csv
import io
import posixpath
import zipfile
from pathlib import Path

import pytest
from support.wheels import make_wheel

from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters import pip
from pyrunenv.interpreters.layout import Layout
from pyrunenv.interpreters.tree import Tree
from pyrunenv.platforms import PLATFORMS


def installed(key: str, wheel: Path, folder: Path) -> dict[str, bytes]:
    """Install a wheel as ensurepip's pip; returns what is new in the tree."""
    layout = Layout(PLATFORMS[key], "3.12.10")
    bundled = f"{layout.stdlib}/ensurepip/_bundled/{wheel.name}"
    with Tree(folder) as tree:
        tree.add(bundled, wheel.read_bytes())
        pip.install_pip(tree, layout, folder)
        return {path: tree.read(path) for path in tree.files() if path != bundled}


def test_a_kept_wheel_gives_the_same_files_as_one_unpacked_anew(tmp_path: Path) -> None:
    """Whatever platforms came before, RECORD names what lies there; nothing of the first tree is in the second."""
    wheel = make_wheel(tmp_path, "pip", "25.0")
    pip._unpack.cache_clear()
    alone = {key: (pip._unpack.cache_clear(), installed(key, wheel, tmp_path))[1] for key in PLATFORMS}
    pip._unpack.cache_clear()
    assert {key: installed(key, wheel, tmp_path) for key in PLATFORMS} == alone
    assert pip._unpack.cache_info().misses == 1
    for key, files in alone.items():
        record = next(path for path in files if path.endswith(".dist-info/RECORD"))
        site = posixpath.dirname(posixpath.dirname(record))
        rows = [row[0] for row in csv.reader(io.StringIO(files[record].decode()))]
        assert sorted(posixpath.normpath(posixpath.join(site, row)) for row in rows) == sorted(files)
        assert len([row for row in rows if row.startswith("../")]) == (0 if key == "windows-x64" else 3)


def test_another_wheel_is_not_taken_for_the_kept_one(tmp_path: Path) -> None:
    """The wheel's bytes decide, not its name."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = make_wheel(tmp_path / "a", "pip", "25.0")
    other = make_wheel(tmp_path / "b", "pip", "25.0", files={"pip/__init__.py": "another = True\n"})
    assert one.name == other.name
    assert "lib/python3.12/site-packages/pip/__init__.py" in installed("linux-x64", one, tmp_path)
    files = installed("linux-x64", other, tmp_path)
    assert files["lib/python3.12/site-packages/pip/__init__.py"] == b"another = True\n"


def test_a_wheel_without_a_record_is_an_error(tmp_path: Path) -> None:
    """A RECORD deeper in the wheel is that of something it carries along."""
    path = tmp_path / "pip-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pip/_vendor/x.dist-info/RECORD", "")
    with pytest.raises(InterpreterError, match="has no RECORD"):
        installed("linux-x64", path, tmp_path)
