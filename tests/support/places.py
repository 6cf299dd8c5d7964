"""Workspaces in which wheels are built from source for the five platforms, with the headers of ``support.targets``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.interpreters import archive_config
from support.targets import host_python
from support.workspaces import make_workspace

Archives = tuple[str, dict[str, tuple[Path, str]]]

GLIBC, MACOS = "2.28", "13.0"
TAGS = {
    "windows-x64": "win_amd64", "linux-aarch64": "manylinux_2_28_aarch64", "macosx-aarch64": "macosx_13_0_arm64",
    "linux-x64": "manylinux_2_28_x86_64", "macosx-x64": "macosx_13_0_x86_64",
}  # fmt: skip
"""The platform tag of a wheel at the floors; what zig takes longest for is first."""


@dataclass(frozen=True)
class Place:
    """A workspace and a cache."""

    workspace: Path
    cache: Path

    def build(self, requirement: str, *keys: str, into: Path, **variables: str) -> dict[str, Path]:
        """Run the program once; returns the wheels by platform."""
        command = [sys.executable, "-I", "-m", "pyrunenv", "wheel", "build", requirement, "--to", os.fspath(into)]
        for key in keys:
            command += ["--platform", key]
        foreign = ("PIP_", "UV_", "PYTHON", "PYRUNENV_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        path = os.pathsep.join([os.fspath(host_python().parent), kept.get("PATH", os.defpath)])
        env = {**kept, "PATH": path, **variables, "PYRUNENV_CACHE": os.fspath(self.cache)}
        done = subprocess.run(command, cwd=self.workspace, env=env, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        made = [Path(line) for line in done.stdout.splitlines()]
        assert [path.parent for path in made] == [into] * len(keys), done.stdout
        by_tag = {path.stem.rpartition("-")[2]: path for path in made}
        return {key: by_tag[TAGS[key]] for key in keys}


def make_place(folder: Path, cache: Path, targets: Archives, *, built: Mapping[str, Any] | None = None) -> Place:
    """Make a workspace with one environment, and no root; ``built`` is what ``buildWheel`` says."""
    version, archives = targets
    shared = {
        "python": {"source": "archive", "archives": archive_config(archives)},
        "floors": {"glibc": GLIBC, "macos": MACOS},
        "packages": {"dependencies": [], "buildWheel": dict(built or {})},
    }
    return Place(make_workspace(folder, shared, {version: {}}) / f"python-{version}", cache)


def share(zig_cache: Path, cache: Path) -> None:
    """Let a new cache use what zig compiled before of its own libraries, which takes it a minute a platform."""
    (cache / "build").mkdir(parents=True)
    (cache / "build" / "zig").symlink_to(zig_cache)
