"""The headers, and on Windows the import library, of a target's own interpreter, unpacked from its tar into the cache."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.errors import BuildFailed
from pyrunenv.platforms import Platform

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.interpreters.prepare import PreparedInterpreter


@dataclass(frozen=True)
class Headers:
    """``digest`` is that of the interpreter they come from."""

    include: Path
    libraries: Path | None
    digest: str


def headers_of(interpreter: PreparedInterpreter, platform: Platform, python_version: str, cache: Cache) -> Headers:
    """Return what C code for a prepared interpreter is compiled with. Safe for several processes."""
    with cache.made_once("headers", interpreter.tree_digest) as (folder, missing):
        if missing:
            with tarfile.open(interpreter.tar) as tar:
                for member in tar:
                    if member.isfile() and member.name.startswith(("include/", "libs/")):
                        tar.extract(member, folder, filter="data")
    include = folder / platform.layout.at(platform.layout.include, python_version)
    if not (include / "Python.h").exists():
        raise BuildFailed(
            f"the interpreter for {platform} has no headers, so nothing can be compiled for it",
            hint="take its archive from a source that has them, as python-build-standalone",
        )
    return Headers(include, folder / "libs" if platform.windows else None, interpreter.tree_digest)
