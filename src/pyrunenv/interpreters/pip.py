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
from pathlib import Path

from pyrunenv.archives import read_archive
from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters.layout import Layout
from pyrunenv.interpreters.tree import Tree

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
    installed: dict[str, bytes] = dict(scripts)
    record = ""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pip-", suffix=".tmp") as scratch:
        copy = Path(scratch, posixpath.basename(wheel))
        copy.write_bytes(tree.read(wheel))
        for entry in read_archive(copy):
            if entry.path.endswith(".dist-info/RECORD"):
                record = f"{site}/{entry.path}"
            elif entry.kind == "file" and "__pycache__" not in entry.path:
                installed[f"{site}/{entry.path}"] = entry.content
    if not record:
        raise InterpreterError(f"`{wheel}` of the interpreter has no RECORD")
    installed[posixpath.join(posixpath.dirname(record), "INSTALLER")] = b"pip\n"
    rows = [_row(posixpath.relpath(path, site), content) for path, content in installed.items()]
    installed[record] = "".join(sorted([*rows, f"{posixpath.relpath(record, site)},,\n"])).encode()
    for path, content in installed.items():
        tree.add(path, content, executable=path in scripts)


def _row(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    quoted = f'"{path}"' if "," in path else path
    return f"{quoted},sha256={digest},{len(content)}\n"
