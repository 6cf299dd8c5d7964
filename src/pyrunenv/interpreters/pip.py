"""Puts pip (and setuptools, where ensurepip has it) into a tree, from the wheels that ensurepip carries.

As pip itself would install them: RECORD and INSTALLER after the standard "Recording installed projects", without
bytecode, and with scripts that find the python beside them.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock

from pyrunenv.archives import read_archive
from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters.layout import Layout
from pyrunenv.interpreters.tree import Tree

_RECORD = re.compile(r"[^/]+\.dist-info/RECORD")
_unpacking = Lock()  # who comes second waits for what the first unpacks
_BUNDLED = re.compile(r"ensurepip/_bundled/(pip|setuptools)-[^/]+\.whl$")

# sh runs the second line, python takes it for a string: no path is in it, and spaces do no harm.
_SCRIPT = """\
#!/bin/sh
\'\'\'exec' "$(dirname -- "$(realpath -- "$0")")/{python}" "$0" "$@"
' \'\'\'
import sys

from pip._internal.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
"""


def install_pip(tree: Tree, layout: Layout, folder: Path) -> None:
    """Add pip to the tree, using ``folder`` for scratch files; raises InterpreterError where ensurepip carries none."""
    wheels = {found[1]: path for path in tree.files() if (found := _BUNDLED.search(path))}
    if "pip" not in wheels:
        raise InterpreterError(
            f"this CPython {layout.python_version} carries no pip",
            notes=[
                f"{layout.stdlib}/ensurepip/_bundled is empty or missing",
                "Debian and its like take it out; `python -m venv` would not work in a bundle",
            ],
            hint="use a CPython as python.org or python-build-standalone release it",
        )
    for name, path in sorted(wheels.items()):
        scripts: dict[str, bytes] = {}
        if name == "pip" and not layout.platform.windows:
            script = _SCRIPT.format(python=f"python{layout.minor}").encode()
            scripts = {f"bin/{alias}": script for alias in ("pip", "pip3", f"pip{layout.minor}")}
        _install(tree, layout, path, scripts, folder)


def _install(tree: Tree, layout: Layout, wheel: str, scripts: dict[str, bytes], folder: Path) -> None:
    site = layout.site_packages
    with _unpacking:
        unpacked = _unpack(tree.read(wheel), posixpath.basename(wheel), folder)
    record = next(filter(_RECORD.fullmatch, unpacked), None)
    if record is None:
        raise InterpreterError(f"`{wheel}` of the interpreter has no RECORD")
    rows = [row for _, row in unpacked.values()]
    for path, content in scripts.items():
        rows.append(_row(posixpath.relpath(path, site), content))
        tree.add(path, content, executable=True)
    for path, (content, _) in unpacked.items():
        tree.add(f"{site}/{path}", content if path != record else "".join(sorted(rows)).encode())


@lru_cache(maxsize=2)
def _unpack(wheel: bytes, name: str, folder: Path) -> Mapping[str, tuple[bytes, str]]:
    """Return what a wheel installs into site-packages: contents and rows of RECORD by path, RECORD's own content empty.

    Kept, since one run makes the interpreters of several platforms portable, and all of a version carry the same pip:
    unpacking it takes 0.1 s of processor time.
    """
    unpacked: dict[str, tuple[bytes, str]] = {}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pip-", suffix=".tmp") as scratch:
        copy = Path(scratch, name)
        copy.write_bytes(wheel)
        for entry in read_archive(copy):
            if _RECORD.fullmatch(entry.path):
                unpacked[entry.path] = (b"", f"{entry.path},,\n")
                installer = posixpath.join(posixpath.dirname(entry.path), "INSTALLER")
                unpacked[installer] = (b"pip\n", _row(installer, b"pip\n"))
            elif entry.kind == "file" and "__pycache__" not in entry.path:
                unpacked[entry.path] = (entry.content, _row(entry.path, entry.content))
    return unpacked


def _row(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    quoted = f'"{path}"' if "," in path else path
    return f"{quoted},sha256={digest},{len(content)}\n"
