"""Runs Python code for a platform, on this machine or in its emulator, with wheels that were built for it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

from pyrunenv.platforms import PLATFORMS, host
from support.foreign import ForeignPython, install_wheels, unpack_arm64, unpack_windows
from support.targets import MINOR, host_python

Run = Callable[[str], "subprocess.CompletedProcess[str]"]
RUNNABLE = ("linux-x64", "linux-aarch64", "windows-x64")
"""What there is a runner for; nothing runs macOS's programs."""


def runner(platform_key: str, folder: Path, wheels: Iterable[Path] = (), requirements: Iterable[str] = ()) -> Run:
    """Return what runs a snippet with a platform's Python 3.11, which sees its standard library, the wheel files and
    PyPI's wheels of the pinned ``requirements``, and nothing more: their dependencies are not looked for.

    The Python lies in ``folder`` and is the same for all calls that name the folder: arm64's takes 5 s to make, Windows'
    13. Raises CalledProcessError where pip refuses a wheel for that platform; skips the test where the platform cannot
    be run.
    """
    python = _python(platform_key, folder)
    site = Path(tempfile.mkdtemp(prefix="site-", dir=folder))
    if what := [*map(os.fspath, wheels), *requirements]:
        install_wheels(site, python.platform, python.minor, *what)
    env = {"PATH": "/usr/bin:/bin", "HOME": os.fspath(folder), "TMPDIR": os.fspath(folder), "LANG": "C.UTF-8",
           "PYTHONPATH": python.path(site), "PYTHONIOENCODING": "utf-8"}  # fmt: skip
    # -P: not the current folder; -S: not what is installed beside that Python
    return lambda code: python.run(["-P", "-S", "-c", code], env, site)


@cache
def _python(platform_key: str, folder: Path) -> ForeignPython:
    if platform_key not in RUNNABLE:
        pytest.skip(f"nothing here runs programs for {platform_key}")
    folder.mkdir(parents=True, exist_ok=True)
    if platform_key == "windows-x64":
        return unpack_windows(folder / "windows")
    if platform_key == "linux-aarch64":
        python = unpack_arm64(folder / "arm64")
    else:
        if host() is not PLATFORMS[platform_key]:
            pytest.skip(f"this machine, {host()}, runs no programs for {platform_key}")
        python = ForeignPython(host(), MINOR, (os.fspath(host_python()),))
    if python.minor != MINOR:
        pytest.skip(f"the Python for {platform_key} that apt-get finds here is {python.minor}, not {MINOR}")
    return python
