"""The source ``local``: a CPython that is installed on this machine, as files of a portable tree.

Checked for real: installations made by pyenv (``--enable-shared``) on Debian for x86_64, CPython 3.10 to 3.13. Written
after the documentation and not run: macOS (only trees that need nothing outside the system, such as uv's) and Windows
(python.org's layout). Refused: Debian's own Python and others that carry no ensurepip or install to ``dist-packages``,
framework builds, debug and free-threaded builds, musl. A venv stands for the interpreter that made it.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrunenv.errors import InterpreterError, ProcessFailed
from pyrunenv.files import digest_of
from pyrunenv.interpreters.layout import Layout
from pyrunenv.interpreters.tree import Tree
from pyrunenv.process import run

# Asked of each interpreter that is found; -I keeps the user's own files and variables out of the answer.
_QUESTION = """
import glob, json, os, sys, sysconfig
stdlib = os.path.dirname(os.__file__)
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": "%d.%d.%d" % sys.version_info[:3],
    "final": sys.version_info[3] == "final",
    "prefix": os.path.realpath(sys.base_prefix),
    "named": sys.base_prefix,
    "stdlib": os.path.realpath(stdlib),
    "debug": hasattr(sys, "gettotalrefcount"),
    "threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "framework": sysconfig.get_config_var("PYTHONFRAMEWORK") or "",
    "abi": str(sysconfig.get_config_var("SOABI") or ""),
    "dist": "dist-packages" in sysconfig.get_paths()["purelib"],
    "pip": bool(glob.glob(os.path.join(glob.escape(stdlib), "ensurepip", "_bundled", "pip-*.whl"))),
}))
"""


@dataclass(frozen=True)
class Installation:
    """An installed CPython that can be made portable. ``named`` is its prefix as it calls it itself."""

    version: str
    prefix: Path
    named: str

    def fingerprint(self, layout: Layout) -> str:
        """Digest names, sizes, times and modes of everything that would be taken."""
        rows = []
        for path, source in self.files(layout):
            status = source.stat()
            rows.append([path, status.st_size, status.st_mtime_ns, stat.S_IMODE(status.st_mode)])
        return digest_of([self.version, str(self.prefix), rows])

    def fill(self, tree: Tree, layout: Layout) -> None:
        """Copy what belongs to a bundle into the tree; links within the prefix stay links."""
        for path, source in self.files(layout):
            place = layout.place(path)
            if place is None:
                continue
            target = str(source.readlink()) if source.is_symlink() else ""
            if target and not target.startswith("/") and ".." not in target.split("/"):
                tree.link(place, target)
            else:
                executable = bool(source.stat().st_mode & 0o111)
                tree.add(place, source.read_bytes(), executable=layout.executable(place, executable))

    def files(self, layout: Layout) -> Iterator[tuple[str, Path]]:
        """Yield (path below the prefix, place) of the files and links that a bundle takes, in a stable order."""
        tops = ("Lib", "DLLs", "include", "libs") if layout.platform.windows else (
            f"lib/python{layout.minor}", "lib/pkgconfig", f"include/python{layout.minor}")  # fmt: skip
        flat = ("",) if layout.platform.windows else ("bin", "lib")
        for folder in flat:
            for path, source in _walk(self.prefix, folder, layout, deep=False):
                if folder != "lib" or layout.platform.system == "macosx" or "/libpython" in path:
                    yield path, source
        for folder in tops:
            yield from _walk(self.prefix, folder, layout, deep=True)


def _walk(prefix: Path, folder: str, layout: Layout, *, deep: bool) -> Iterator[tuple[str, Path]]:
    try:
        with os.scandir(prefix / folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        path = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir():
            # a file by any name stands for the folder: whole folders are left out by their names
            if (deep and layout.place(f"{path}/x.py")) or (deep and path.startswith("libs")):
                yield from _walk(prefix, path, layout, deep=True)
        elif layout.place(path) is not None and entry.is_file():
            yield path, Path(entry.path)


def find(
    python_version: str, layout: Layout, *, allow_other_patch: bool, uv_cache: Path
) -> tuple[Installation, list[str]]:
    """Return an installation of this version that can be made portable, and warnings.

    With ``allow_other_patch`` another patch release of the same minor version will do where there is no such. Raises
    InterpreterError that names everything found and why it will not do.
    """
    refused: list[str] = []
    others: list[Installation] = []
    for _, facts in installed(layout.minor, uv_cache):
        if reason := _unfit(facts, layout):
            note = f"{facts['prefix']} ({facts['version']}): {reason}"
            refused += [note] if note not in refused else []
            continue
        installation = Installation(facts["version"], Path(facts["prefix"]), facts["named"])
        if installation.version == python_version:
            return installation, []
        others.append(installation)
    if others and allow_other_patch:
        best = max(others, key=lambda other: int(other.version.rpartition(".")[2]))
        stands_in = f"CPython {best.version} stands in for {python_version}, which is not installed"
        return best, [f"{stands_in}: this bundle is for a try on the spot and cannot be published"]
    raise _none(python_version, refused, others)


def _none(version: str, refused: list[str], others: list[Installation]) -> InterpreterError:
    found = sorted({f"{other.prefix} ({other.version})": None for other in others})
    return InterpreterError(
        f"no installed CPython {version} can be made portable",
        notes=[*refused, *(f"{other}: another patch release" for other in found)]
        or [f"no CPython {version} was found, neither the one that runs this program nor through uv and pyenv"],
        hint="install it (`uv python install`, pyenv), or use python.source `standalone`",
    )


def installed(minor: str, uv_cache: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield each Python of a minor version on this machine with what it says of itself, as ``_QUESTION`` asks it."""
    for python in _candidates(minor, uv_cache):
        facts = _ask(python)
        if facts and facts["version"].rpartition(".")[0] == minor:
            yield python, facts


def _candidates(minor: str, uv_cache: Path) -> Iterator[Path]:
    """Yield programs to ask: what runs us, then what uv finds, pyenv's versions included."""
    yielded = set()
    if sys.version_info[:2] == tuple(int(part) for part in minor.split(".")):
        yielded.add(Path(sys.executable))
        yield Path(sys.executable)
    for path in _listed_by_uv(minor, uv_cache):
        if path not in yielded:
            yielded.add(path)
            yield path


def _listed_by_uv(minor: str, uv_cache: Path) -> list[Path]:
    from uv import find_uv_bin

    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = sorted(str(folder) for folder in pyenv.glob(f"versions/{minor}.*/bin"))
    environment = dict(_clean_environment(), PATH=os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)]))
    command = [find_uv_bin(), "python", "list", minor, "--only-installed", "--output-format", "json", "--offline",
               "--no-config", "--cache-dir", str(uv_cache)]  # fmt: skip
    done = run(command, env=environment, check=False)
    try:
        listed = json.loads(done.stdout or "[]")
    except ValueError:
        listed = None
    if done.status != 0 or listed is None:
        raise InterpreterError(
            "the Pythons that are installed here cannot be looked for",
            notes=["`uv python list` says:", *(done.stderr or done.stdout).strip().splitlines()[-3:]],
            hint=f"uv writes to {uv_cache}: take the right to write there, or set PYRUNENV_CACHE to another folder",
        )
    return [
        Path(entry["path"])
        for entry in listed
        if entry.get("path") and entry.get("implementation") == "cpython" and entry.get("variant") in (None, "default")
    ]


def _clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "__PYVENV_LAUNCHER__"}


def _ask(python: Path) -> Mapping[str, Any] | None:
    try:
        answer = run([python, "-I", "-B", "-c", _QUESTION], env=_clean_environment(), check=False)
        facts = json.loads(answer.stdout) if answer.status == 0 else None
    except (ProcessFailed, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _unfit(facts: Mapping[str, Any], layout: Layout) -> str | None:
    """Why an installation cannot be made portable; None where it can."""
    if facts["implementation"] != "cpython" or not facts["final"]:
        return "not a release of CPython"
    if facts["debug"] or facts["threaded"]:
        return "a debug or free-threaded build, whose wheels are others"
    if "musl" in facts["abi"]:
        return "built for musl, and bundles are for glibc"
    if facts["framework"]:
        return "a framework build, which holds the path it was installed to"
    if facts["dist"] or not facts["pip"]:
        return "changed by its distributor: it has no ensurepip with a pip of its own, or installs to dist-packages"
    if Path(facts["stdlib"]) != (Path(facts["prefix"]) / layout.stdlib).resolve():
        return f"its standard library is not in {layout.stdlib}"
    return None
