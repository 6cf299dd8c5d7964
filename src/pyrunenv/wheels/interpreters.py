"""The interpreters of builds: the target's, whose headers are compiled with, and one of this machine, which runs builds."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv import platforms
from pyrunenv.errors import BuildFailed, InterpreterError
from pyrunenv.lock.model import Floors, LockedInterpreter
from pyrunenv.platforms import Platform
from pyrunenv.wheels.headers import Headers, headers_of
from pyrunenv.wheels.workshop import Workshop

if TYPE_CHECKING:
    from pyrunenv.config.schema import TargetConfig
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.interpreters.prepare import PreparedInterpreter


def workshop(config: TargetConfig, python_version: str, cache: Cache, fetcher: Fetcher) -> Workshop:
    """Return the workshop for one environment's Python."""
    return Workshop(cache, fetcher, python_version, lambda: _own_python(config, python_version, cache, fetcher))


def target_headers(
    chosen: LockedInterpreter,
    platform: Platform,
    config: TargetConfig,
    python_version: str,
    cache: Cache,
    fetcher: Fetcher,
) -> Headers:
    """Return the headers of a target's interpreter, which is downloaded and prepared if need be."""
    prepared = _prepared(chosen, platform, config, python_version, cache, fetcher)
    return headers_of(prepared, platform, python_version, cache)


def _prepared(
    chosen: LockedInterpreter,
    platform: Platform,
    config: TargetConfig,
    python_version: str,
    cache: Cache,
    fetcher: Fetcher,
) -> PreparedInterpreter:
    from pyrunenv.fetch.download import Download
    from pyrunenv.interpreters.prepare import prepare
    from pyrunenv.lock.answers import root_file_name

    return prepare(
        chosen, platform, cache_root=cache.root,
        fetch=lambda url, sha256: fetcher.fetch(Download(url, sha256, None, root_file_name(url))),
        floors=Floors(config.floors.glibc, config.floors.macos), python_version=python_version,
    )  # fmt: skip


def _own_python(config: TargetConfig, python_version: str, cache: Cache, fetcher: Fetcher) -> Path:
    """Unpack the bundle's interpreter for this machine into the cache; returns its program."""
    from pyrunenv.interpreters.choose import choose

    here = platforms.host()
    try:
        prepared = _prepared(choose(config.python, python_version, here), here, config, python_version, cache, fetcher)
    except InterpreterError as error:
        minor = ".".join(python_version.split(".")[:2])
        raise BuildFailed(
            f"nothing here can run builds for CPython {minor}: none is installed, and the bundle's own cannot be had",
            notes=[error.message, *error.notes], hint=f"install CPython {minor}, as with `uv python install {minor}`",
        ) from error  # fmt: skip
    with cache.made_once("python", prepared.tree_digest) as (folder, missing):
        if missing:
            with tarfile.open(prepared.tar) as tar:
                tar.extractall(folder, filter="data")
    return folder / here.layout.at(here.layout.python, python_version)
