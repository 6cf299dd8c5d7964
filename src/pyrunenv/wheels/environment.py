"""Where builds run: an interpreter of this machine, and venvs with exactly the locked build requirements, kept in the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv import process
from pyrunenv.errors import BuildFailed, ProcessFailed
from pyrunenv.files import digest_of
from pyrunenv.lock.model import LockedWheel

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher

_SHIM = Path(__file__).with_name("_shim.py")


@dataclass(frozen=True)
class BuildPython:
    """An interpreter of this machine that runs builds."""

    program: Path
    version: str
    prefix: Path


@dataclass(frozen=True)
class BuildEnvironment:
    """A venv with build requirements; ``site`` is its site-packages."""

    folder: Path
    base: BuildPython

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site(self) -> Path:
        minor = ".".join(self.base.version.split(".")[:2])
        return self.folder / "lib" / f"python{minor}" / "site-packages"


def find_build_python(python_version: str, uv_cache: Path, own: Callable[[], Path]) -> BuildPython:
    """Return an interpreter of the same minor version: the same release, another one, else ``own()``.

    ``own`` unpacks the bundle's own for this machine, and returns its program.
    """
    found = _installed(python_version, uv_cache)
    if found is not None:
        return found
    program = own()
    return BuildPython(program, python_version, program.parent.parent)


@cache
def _installed(python_version: str, uv_cache: Path) -> BuildPython | None:
    """Look once in a process: every interpreter there is has to be started for it."""
    from pyrunenv.interpreters.local import installed

    minor = ".".join(python_version.split(".")[:2])
    others: list[BuildPython] = []
    for program, facts in installed(minor, uv_cache):
        if facts["implementation"] != "cpython" or facts["debug"] or facts["threaded"] or not facts["final"]:
            continue
        found = BuildPython(program, facts["version"], Path(facts["prefix"]))
        if found.version == python_version:
            return found
        others.append(found)
    return max(others, key=lambda other: int(other.version.rpartition(".")[2]), default=None)


def build_environment(
    base: BuildPython, requires: Sequence[LockedWheel], cache: Cache, fetcher: Fetcher
) -> BuildEnvironment:
    """Return the venv with these wheels, made now where the cache has none. Safe for several processes."""
    from pyrunenv.fetch.download import Download

    digests = sorted(wheel.sha256 for wheel in requires)
    shim = hashlib.sha256(_SHIM.read_bytes()).hexdigest()
    key = digest_of([str(base.program), base.version, digests, shim])[:32]
    with cache.made_once("environment", key) as (folder, missing):
        environment = BuildEnvironment(folder / "venv", base)
        if missing:
            fetcher.fetch_all([Download(w.url, w.sha256, w.size, w.filename) for w in requires])
            _make(environment, requires, cache)
    return environment


def _make(environment: BuildEnvironment, requires: Sequence[LockedWheel], cache: Cache) -> None:
    from pyrunenv.lock.resolver import uv_program

    uv, variables = uv_program(), _variables()
    common = ["--quiet", "--no-config", "--no-cache", "--offline", "--color", "never"]
    try:
        process.run([uv, "venv", *common, "--python", environment.base.program, environment.folder], env=variables)
        with cache.temporary() as folder:
            folder.mkdir()
            for wheel in requires:
                cache.copy_to(wheel.sha256, folder / wheel.filename)
            files = sorted(folder.iterdir())
            if files:
                install = ["--no-deps", "--no-index", "--link-mode", "copy", "--python", str(environment.python)]
                process.run([uv, "pip", "install", *common, *install, *map(str, files)], env=variables)
    except ProcessFailed as error:
        raise BuildFailed(
            "the build requirements cannot be installed on this machine", notes=[error.message, *error.notes]
        ) from error
    (environment.site / "_pyrunenv_shim.py").write_bytes(_SHIM.read_bytes())
    (environment.site / "_pyrunenv_shim.pth").write_text("import _pyrunenv_shim\n", encoding="utf-8")


def _variables() -> dict[str, str]:
    foreign = ("UV_", "PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
