"""Runs the product as a user does, and a small world for it: an index, interpreters for five platforms, a workspace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.index import IndexServer
from support.interpreters import archive_config, make_interpreter_archives
from support.wheels import make_sdist, make_wheel
from support.workspaces import ALL_PLATFORMS, make_workspace, write_json

VERSION = "3.12.10"
NATIVE_TAGS = {
    "linux-x64": "manylinux_2_17_x86_64",
    "linux-aarch64": "manylinux_2_17_aarch64",
    "macosx-x64": "macosx_10_13_x86_64",
    "macosx-aarch64": "macosx_11_0_arm64",
    "windows-x64": "win_amd64",
}


@dataclass(frozen=True)
class Result:
    """What one run of the program came to."""

    status: int
    stdout: str
    stderr: str


@dataclass
class World:
    """Everything that a test of the whole program needs, in one folder."""

    folder: Path
    index: IndexServer
    root: Path
    cache: Path
    archives: Mapping[str, tuple[Path, str]]
    env: dict[str, str] = field(default_factory=dict)

    def run(
        self, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> Result:
        """Run ``pyrunenv`` in the workspace, with an environment of its own, for ``timeout`` seconds at most."""
        done = subprocess.run(
            [sys.executable, "-m", "pyrunenv", *words],
            cwd=cwd or self.root,
            env=self.environment(env),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}
        return {**kept, "PYRUNENV_CACHE": str(self.cache), "NO_PROXY": "*", **self.env, **(more or {})}

    def configure(self, full_version: str, config: Mapping[str, Any]) -> Path:
        """Write an environment's config.json anew."""
        return write_json(self.root / f"python-{full_version}" / "config.json", config)

    def environment_folder(self, full_version: str = VERSION) -> Path:
        return self.root / f"python-{full_version}"

    def manifest(self, platform: str, full_version: str = VERSION) -> dict[str, Any]:
        path = self.environment_folder(full_version) / "dist" / "manifest" / f"{platform}.json"
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return value

    def wheels(self, platform: str, full_version: str = VERSION) -> set[str]:
        """The file names in a wheelhouse."""
        return {p.name for p in (self.environment_folder(full_version) / "pydist" / platform / "packages").iterdir()}

    def archives_built(self, full_version: str = VERSION) -> dict[str, bytes]:
        """The bytes of every archive of an environment, by file name."""
        return {path.name: path.read_bytes() for path in self.environment_folder(full_version).glob("pkg-*")}


def publish(folder: Path) -> None:
    """Fill an index: pure and native packages, a chain, a conflict, something without a wheel."""
    make_wheel(folder, "pure", "1.0")
    make_wheel(folder, "pure", "2.0")
    make_wheel(folder, "chain", "1.0", requires=["pure>=1", "winonly; sys_platform == 'win32'"])
    make_wheel(folder, "winonly", "1.0")
    make_wheel(folder, "old-pure", "1.0", requires=["pure<2"])
    for tag in NATIVE_TAGS.values():
        make_wheel(folder, "native", "1.0", tag=f"cp312-cp312-{tag}", requires=["pure"])
    for platform, tag in NATIVE_TAGS.items():
        make_wheel(folder, "partial", "1.0", tag=f"cp312-cp312-{tag}")
        if platform != "macosx-x64":
            make_wheel(folder, "partial", "1.1", tag=f"cp312-cp312-{tag}")
    make_sdist(folder, "partial", "1.1")
    make_sdist(folder, "source-only", "1.0")


@contextmanager
def make_world(
    folder: Path,
    environments: Mapping[str, dict[str, Any] | None],
    *,
    shared: Mapping[str, Any] | None = None,
    platforms: Sequence[str] = ALL_PLATFORMS,
    catalogue: bool = False,
    small: bool = False,
    **index: Any,
) -> Iterator[World]:
    """Serve an index and lay out a workspace whose interpreters are test-made archives, ``small`` ones if wanted."""
    files = folder / "files"
    files.mkdir(parents=True)
    publish(files)
    archives = make_interpreter_archives(folder / "interpreters", VERSION, platforms=platforms, small=small)
    with IndexServer(files, **index) as server:
        base: dict[str, Any] = {
            "registries": {"default": server.url},
            "python": {"source": "archive", "archives": archive_config(archives)},
        }
        root = make_workspace(
            folder / "workspace", {**base, **(shared or {})}, environments, platforms=platforms, catalogue=catalogue
        )
        yield World(folder, server, root, folder / "cache", archives)
