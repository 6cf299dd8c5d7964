"""A workspace in git whose locks are written by hand, for tests of what was published and what comes next."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrunenv.config.workspace import load_workspace
from pyrunenv.files import sha256_bytes
from pyrunenv.lock import pylock
from pyrunenv.lock.inputs import combined
from pyrunenv.lock.model import Floors, Lock, LockedInterpreter, LockedPackage, LockedRoot, LockedWheel
from pyrunenv.lock.run import Target
from support.workspaces import make_workspace, write_json

LINUX, MAC, WINDOWS = "linux-x64", "macosx-aarch64", "windows-x64"
PLATFORMS = (LINUX, MAC, WINDOWS)
ARTIFACT = ("block-software", "entrypoints", "main", "environment", "artifact")
Versions = Mapping[str, str]


@dataclass
class Released:
    """A workspace below ``root``, a git repository."""

    root: Path

    def folder(self, full: str) -> Path:
        return self.root / f"python-{full}"

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
        done = subprocess.run(["git", *who, *words], cwd=self.root, check=True, capture_output=True, encoding="utf-8")
        return done.stdout.strip()

    def commit(self, message: str = "more") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def lock(self, full: str, roots: Versions, needs: Versions | None = None, **skipped: str) -> None:
        """Configure roots, and lock them on all platforms, with what they need; ``skipped``: root → the platform."""
        platforms = self.package(full)["block-software"]["entrypoints"]["main"]["environment"]["artifact"]["roots"]
        config = self.config(full)
        config["packages"] = {
            **config.get("packages", {}), "dependencies": list(roots),
            "skip": {name: {platform: "cannot be had"} for name, platform in skipped.items()},
        }  # fmt: skip
        write_json(self.folder(full) / "config.json", config)
        for platform in platforms:
            here = {name: version for name, version in roots.items() if skipped.get(name) != platform}
            self.lock_one(full, platform, here, {**(needs or {}), **here})

    def lock_one(self, full: str, platform: str, roots: Versions, packages: Versions) -> None:
        """Write one platform's lock, current by the config as it is."""
        (environment,) = load_workspace(self.root).select([full], self.root)
        (target,) = [Target(environment, p) for p in environment.platforms() if p.key == platform]
        inputs = target.inputs()
        lock = Lock(
            full, platform, environment.python_version, combined(inputs), inputs,
            Floors(target.config.floors.glibc, target.config.floors.macos),
            LockedInterpreter("standalone", environment.python_version, "20250612", "https://x.invalid/p.tgz", "0" * 64),
            ("default",),
            tuple(_package(name, version, platform) for name, version in sorted(packages.items())),
            tuple(LockedRoot(name, name, ("default",)) for name in roots),
            skipped=target.config.skip,
        )  # fmt: skip
        pylock.lock_path(self.folder(full), platform).write_text(pylock.render(lock))

    def config(self, full: str) -> dict[str, Any]:
        path = self.folder(full) / "config.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def package(self, name: str) -> dict[str, Any]:
        """The package.json of an environment, or of the catalogue."""
        folder = self.root / name if name == "catalogue" else self.folder(name)
        found: dict[str, Any] = json.loads((folder / "package.json").read_text())
        return found

    def set(self, name: str, *path: str, to: Any) -> None:
        """Change one value of a package.json."""
        document = here = self.package(name)
        for step in path[:-1]:
            here = here[step]
        here[path[-1]] = to
        folder = self.root / name if name == "catalogue" else self.folder(name)
        write_json(folder / "package.json", document)

    def version(self, name: str) -> str:
        return str(self.package(name)["version"])

    def files(self) -> dict[str, bytes]:
        """Every file but git's own, by its path."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(self.root).parts
        }


def released(root: Path, *environments: str, catalogue: bool = True) -> Released:
    """Lay out environments, all at 1.0.0 and with the root ``a`` 1.0, which needs ``deep``, and commit them."""
    made = Released(
        make_workspace(root, {}, {full: {} for full in environments}, platforms=PLATFORMS, catalogue=catalogue)
    )
    made.git("init", "--quiet")
    for full in environments:
        made.lock(full, {"a": "1.0"}, {"deep": "1.0"})
    made.commit("published")
    return made


def _package(name: str, version: str, platform: str) -> LockedPackage:
    file = f"{name}-{version}-py3-none-any.whl"
    # longer versions are bigger, so that growth is to be seen
    wheel = LockedWheel(
        file, f"https://x.invalid/{file}", sha256_bytes(f"{file} {platform}".encode()), 1000 * len(version)
    )
    return LockedPackage(name, version, wheel, "https://x.invalid/simple", groups=("default",))
