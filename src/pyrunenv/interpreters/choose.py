"""Chooses an interpreter for a lock: its version, and where a URL is known, that and its sha256. Asks no network."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from pyrunenv import platforms
from pyrunenv.errors import InterpreterError, UsageError
from pyrunenv.lock.model import LockedInterpreter
from pyrunenv.platforms import Platform
from pyrunenv.secrets import strip_credentials

_DATE = re.compile(r"/(\d{8})/")
_INSTALL_ONLY = re.compile(r"-install_only(_stripped)?\.tar\.gz$")


class _Archive(Protocol):
    @property
    def url(self) -> str: ...
    @property
    def sha256(self) -> str: ...


class PythonSource(Protocol):
    """What :class:`pyrunenv.config.schema.PythonConfig` says; ``archives`` go by platform key."""

    @property
    def source(self) -> str: ...
    @property
    def build(self) -> str | None: ...
    @property
    def mirror(self) -> str | None: ...
    @property
    def archives(self) -> Mapping[str, _Archive]: ...


def choose(python: PythonSource, python_version: str, platform: Platform) -> LockedInterpreter:
    """Return the interpreter of a target, its URL without a login; raises InterpreterError that says what there is instead.

    :func:`pyrunenv.fetch.credentials.learn` remembers the logins for the download.
    """
    if python.source == "archive":
        return _archive(python, python_version, platform)
    if python.source == "local":
        return _local(python_version, platform)
    return _standalone(python, python_version, platform)


def _archive(python: PythonSource, version: str, platform: Platform) -> LockedInterpreter:
    found = python.archives.get(platform.key)
    if found is None:
        raise InterpreterError(
            f"no archive with CPython {version} is named for {platform}",
            notes=[f"python.source is `archive`, and python.archives.{platform} is missing"],
            hint=f"add python.archives.{platform} with `url` and `sha256`",
        )
    return LockedInterpreter("archive", version, url=strip_credentials(found.url), sha256=found.sha256)


def _local(version: str, platform: Platform) -> LockedInterpreter:
    try:
        here = platforms.host().key
    except UsageError as error:
        here = error.message
    if here != platform.key:
        raise InterpreterError(
            f"the interpreter for {platform} cannot come from this machine",
            notes=[f"python.source is `local`, and this is {here}"],
            hint=f"use python.source `standalone` or `archive` for {platform}",
        )
    return LockedInterpreter("local", version)


def _standalone(python: PythonSource, version: str, platform: Platform) -> LockedInterpreter:
    key = tuple(int(part) for part in version.split("."))
    known = _releases(platform)
    if key not in known:
        near = ", ".join(".".join(map(str, other)) for other in _nearest(key, known))
        raise InterpreterError(
            f"python-build-standalone has no CPython {version} for {platform}",
            notes=[f"nearest that it has: {near}" if near else f"it has nothing for {platform}",
                   "as the installed pbs-installer lists it"],
            hint="take one of those, a newer pbs-installer, or python.source `archive` or `local`",
        )  # fmt: skip
    url, sha256 = known[key]
    found = _DATE.search(url)
    build = found[1] if found else None
    if python.build is not None and python.build != build:
        raise InterpreterError(
            f"the digest of python-build-standalone's build {python.build} of CPython {version} for {platform} "
            "is not known here",
            notes=[f"the installed pbs-installer knows build {build}"],
            hint=f"set python.build to {build}, install the pbs-installer that knows {python.build}, or use "
            "python.source `archive` with that build's URL and sha256",
        )
    if sha256 is None:
        raise InterpreterError(
            f"python-build-standalone published CPython {version} for {platform} without a digest",
            hint="use python.source `archive` with a sha256 that you trust",
        )
    if python.mirror and found:
        # the convention of UV_PYTHON_INSTALL_MIRROR: everything before /<date>/ is replaced
        url = strip_credentials(python.mirror).rstrip("/") + url[found.start() :]
    return LockedInterpreter("standalone", version, build, url, sha256)


def known_versions(platform: Platform) -> tuple[str, ...]:
    """Return the CPython versions that python-build-standalone has for a platform, the oldest first."""
    return tuple(".".join(map(str, key)) for key in sorted(_releases(platform)))


def _releases(platform: Platform) -> dict[tuple[int, ...], tuple[str, str | None]]:
    """Return URL and sha256 of each CPython's newest install_only build; the stripped one where both are listed."""
    versions = _table()
    arch = "aarch64" if platform.arch == "aarch64" else "x86_64"
    releases: dict[tuple[int, ...], tuple[str, str | None]] = {}
    for version, files in versions.items():
        if version.implementation != "cpython" or getattr(version, "freethreaded", False):
            continue
        urls = [entry for key, entry in files.items() if key[0] == platform.pbs_os and key[1] == arch]
        urls = sorted((entry for entry in urls if _INSTALL_ONLY.search(entry[0])), key=lambda entry: entry[0])
        if urls:
            releases[version.major, version.minor, version.micro] = urls[-1]
    return releases


@lru_cache(maxsize=1)
def _table() -> Any:
    """Return pbs-installer's table, without the mirror that PBS_INSTALLER_BASE_URL would put into a lock.

    Older releases of it have the table alone. It reads its data by a function that Python 3.11 calls deprecated.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from pbs_installer import _versions as data

        read = getattr(data, "get_python_versions", None)
        return read(None) if read else data.PYTHON_VERSIONS


def _nearest(key: tuple[int, ...], known: Mapping[tuple[int, ...], object]) -> list[tuple[int, ...]]:
    """Up to four versions: those of the same minor by their distance, else the newest of the nearest minors."""
    same = sorted((k for k in known if k[:2] == key[:2]), key=lambda k: abs(k[2] - key[2]))
    if not same:
        newest = {k[:2]: k for k in sorted(known)}
        same = sorted(newest.values(), key=lambda k: abs(k[0] - key[0]) * 100 + abs(k[1] - key[1]))
    return sorted(same[:4])
