"""Workspaces for tests of locking: registries in folders, one environment, its locks read back."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyrunenv.lock import pylock
from pyrunenv.lock.model import Lock
from support.index import IndexServer
from support.product import VERSION, Result, World, make_world

LINUX = "linux-x64"


@dataclass
class LockWorld:
    """A workspace whose registries are ``public`` and ``private``, each a folder to put wheels in."""

    world: World
    servers: Mapping[str, IndexServer]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def public(self) -> IndexServer:
        return self.servers["public"]

    @property
    def private(self) -> IndexServer:
        return self.servers["private"]

    def configure(self, *dependencies: str, registries: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Write the environment's config; ``more`` are keys of ``packages``, but for ``consumers`` and ``floors``."""
        whole = {key: more.pop(key) for key in ("consumers", "floors") if key in more}
        config: dict[str, Any] = {"packages": {"dependencies": list(dependencies), **more}, **whole}
        config["registries"] = {"default": self.public.url, **(registries or {})}
        self.world.configure(VERSION, config)

    def run(self, *words: str, platforms: Sequence[str] = (LINUX,)) -> Result:
        """Run ``pyrunenv lock``."""
        chosen = [word for platform in platforms for word in ("--platform", platform)]
        return self.world.run("lock", *chosen, *words, env=self.env)

    def lock(self, *words: str, platforms: Sequence[str] = (LINUX,)) -> Lock:
        """Run ``pyrunenv lock``, which must pass, and return the first platform's lock."""
        result = self.run(*words, platforms=platforms)
        assert result.status == 0, result.stderr
        return self.read(platforms[0])

    def read(self, platform: str = LINUX) -> Lock:
        found = pylock.read(self.world.environment_folder(), platform)
        assert found is not None
        return found

    def document(self, platform: str = LINUX) -> dict[str, Any]:
        """The lock as plain data."""
        return tomllib.loads(pylock.lock_path(self.world.environment_folder(), platform).read_text(encoding="utf-8"))


@contextmanager
def lock_world(folder: Path, **private: Any) -> Iterator[LockWorld]:
    """Serve two empty registries, and lay out a workspace; ``private`` are options of the private one."""
    servers = {}
    with ExitStack() as stack:
        for name, given in (("public", {}), ("private", private)):
            (folder / name).mkdir(parents=True)
            servers[name] = stack.enter_context(IndexServer(folder / name, **given))
        yield LockWorld(
            stack.enter_context(
                make_world(folder / "world", {VERSION: {}}, platforms=(LINUX, "macosx-x64", "macosx-aarch64"))
            ),
            servers,
        )


def versions(lock: Lock) -> dict[str, str]:
    """Name → version of a lock that has each name once."""
    found = {package.name: package.version for package in lock.packages}
    assert len(found) == len(lock.packages), "a name is there in two versions"
    return found


def entry(lock: Lock, name: str) -> Any:
    """The one entry of a name."""
    (found,) = [package for package in lock.packages if package.name == name]
    return found


def held(lock: Lock, group: str) -> dict[str, str]:
    """Name → version of what one group holds."""
    return {package.name: package.version for package in lock.packages if group in package.groups}
