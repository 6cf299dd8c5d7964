"""Runs the program and kills its whole process group at one chosen operation on a file, a socket or a program.

``python -m support.killer STATE PHASE NUMBER DELAY WORDS…`` counts the operations of each phase in the file STATE, which
all processes share, and sends SIGKILL when it comes to the one with this NUMBER, or DELAY seconds later: in the midst of
what followed. With NUMBER 0 nothing is killed, and STATE tells how many there are.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

PHASES = ("lock", "fetch", "interpreter", "assemble", "pack")

# What a path holds tells to which phase an operation belongs; the first that fits.
_SIGNS = (
    ("interpreter", "/cache/interpreters"), ("lock", "/cache/uv"), ("fetch", "/cache/"), ("lock", "pylock."),
    ("assemble", "/pydist/"), ("pack", "/pkg-"), ("pack", "/.pkg-"), ("pack", "/dist/"), ("pack", "/build/"),
    ("lock", "pyrunenv-"), ("lock", "/uv"),
)  # fmt: skip
_EVENTS = {
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.utime", "os.link", "os.symlink", "os.truncate",
    "tempfile.mkstemp", "subprocess.Popen",
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def new_state(path: Path) -> Path:
    """Make a file of counters, all of them zero."""
    path.write_bytes(bytes(8 * len(PHASES)))
    return path


def counts(path: Path) -> dict[str, int]:
    """Return how many operations of each phase were begun."""
    return dict(zip(PHASES, struct.unpack(f"{len(PHASES)}q", path.read_bytes()), strict=True))


def phase_of(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Tell to which phase an audit event belongs; None where it changes nothing on disk or in other processes."""
    if event == "socket.connect":
        return "fetch" if isinstance(arguments[1], tuple) else None
    if event == "open":
        if not isinstance(arguments[2], int) or not arguments[2] & _WRITING:
            return None
    elif event not in _EVENTS:
        return None
    path = arguments[0]
    text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
    return next((phase for phase, sign in _SIGNS if sign in text), None)


def arm(state: Path, phase: str, number: int, delay: float) -> None:
    """Install the hook in this process and those that are forked from it."""
    with state.open("r+b") as stream:
        shared = mmap.mmap(stream.fileno(), 0)
    busy = threading.local()

    def kill() -> None:
        time.sleep(delay)
        os.killpg(0, signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if getattr(busy, "now", False):
            return
        busy.now = True
        try:
            found = phase_of(event, arguments)
            if found is None:
                return
            at = 8 * PHASES.index(found)
            (count,) = struct.unpack_from("q", shared, at)
            struct.pack_into("q", shared, at, count + 1)
            if found == phase and count + 1 == number:
                if delay:
                    threading.Thread(target=kill, daemon=True).start()
                else:
                    os.killpg(0, signal.SIGKILL)
        finally:
            busy.now = False

    sys.addaudithook(hook)


def main() -> None:
    """Arm, then be the program."""
    state, phase, number, delay, *words = sys.argv[1:]
    sys.argv[1:] = words
    arm(Path(state), phase, int(number), float(delay))
    from pyrunenv.__main__ import main as program

    program()


if __name__ == "__main__":
    main()
