"""A Python for another processor, run by qemu's user mode: Debian's own, unpacked into a folder without installing it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


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
    emulator = qemu("aarch64")
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip("no apt-get here, which downloads an arm64 Python")
    root, site = folder / "root", folder / "site"
    for place in ("state/lists/partial", "cache/archives/partial", "root"):
        (folder / place).mkdir(parents=True)
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
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder,
        "--platform", "manylinux2014_aarch64", "--python-version", python.name.removeprefix("python"), *requirements,
    ]  # fmt: skip
    subprocess.run(command, check=True)
    for wheel in folder.glob("*.whl"):
        shutil.unpack_archive(wheel, site, "zip")
    return ["env", f"PYTHONPATH={site}", emulator, "-L", os.fspath(root), os.fspath(python)]
