"""Which processes of a test are still there."""

from __future__ import annotations

import os
import time
from pathlib import Path

_NAME = "PYRUNENV_TEST_WORLD"


def marker(folder: Path) -> dict[str, str]:
    """Return what goes into the environment of a process, so that it and its children can be found."""
    return {_NAME: str(folder)}


def alive_with(folder: Path, seconds: float = 2.0) -> list[str]:
    """Return the command lines of processes with that mark which are still there after so many seconds."""
    mark = f"{_NAME}={folder}".encode()
    until = time.monotonic() + seconds
    while (found := _with(mark)) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def _with(mark: bytes) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(f"{process.name}: {os.fsdecode((process / 'cmdline').read_bytes())}")
        except OSError:
            continue
    return found
