"""Several whole programs at once: overlapping environments, one empty cache; and two builds of one target."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.faults import Slow
from support.fetching import only_sound_blobs
from support.product import World, make_world
from support.workspaces import make_workspace

from pyrunenv.fetch.cache import Cache

PLATFORMS = ("linux-x64", "windows-x64")
ENVIRONMENTS: dict[str, dict[str, Any] | None] = {
    "3.12.10-a": {"packages": {"dependencies": ["native", "chain", "pure==2.0"]}},
    "3.12.10-b": {"packages": {"dependencies": ["pure==1.0", "old-pure", "native"]}},
    "3.12.10-c": {"packages": {"dependencies": ["chain", "partial==1.0"]}},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Three environments that share packages, from a server that takes its time."""
    with make_world(tmp_path, ENVIRONMENTS, platforms=PLATFORMS, small=True) as made:
        for path in made.index.folder.glob("*.whl"):
            made.index.fault(path.name, Slow(chunk=200, pause=0.01), forever=True)
        yield made


def start(world: World, root: Path, *words: str) -> subprocess.Popen[str]:
    """Start the program in a workspace, and do not wait."""
    return subprocess.Popen(
        [sys.executable, "-m", "pyrunenv", *words],
        cwd=root, env=world.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def finish(processes: list[subprocess.Popen[str]]) -> None:
    """Wait for all; none may fail, or print a traceback."""
    for process in processes:
        _, said = process.communicate(timeout=180)
        assert process.returncode == 0, said
        assert "Traceback" not in said


def archives(root: Path) -> dict[str, bytes]:
    """All archives of a workspace."""
    return {path.name: path.read_bytes() for path in root.glob("python-*/pkg-*")}


def copy_of(world: World, folder: Path) -> Path:
    """Lay the same workspace out elsewhere."""
    root = make_workspace(folder, {}, ENVIRONMENTS, platforms=PLATFORMS)
    (root / "shared-config.json").write_bytes((world.root / "shared-config.json").read_bytes())
    return root


def wheel_requests(world: World) -> dict[str, int]:
    """How often each wheel was asked for, whole: uv asks for metadata on its own."""
    counted: dict[str, int] = {}
    for request in world.index.requests:
        path = request.path
        if path.startswith("/files/") and path.endswith(".whl") and request.method == "GET":
            asked = request.headers.get("Range")
            if asked is None:
                counted[path] = counted.get(path, 0) + 1
    return counted


def test_processes_with_overlapping_environments_fetch_each_url_once(
    world: World, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    """All succeed with identical results, the server was asked for each file once, and the cache is sound and tidy."""
    count = 8 if pytestconfig.getoption("--stress") else 4
    roots = [world.root, *(copy_of(world, tmp_path / f"copy {number}") for number in range(1, count))]
    finish([start(world, root, "build", "--all-platforms") for root in roots])
    assert set(wheel_requests(world).values()) == {1}
    expected = archives(world.root)
    assert len(expected) == 6
    for root in roots[1:]:
        found = archives(root)
        assert found.keys() == expected.keys()
        assert [name for name in expected if found[name] != expected[name]] == []
    cache = Cache(world.cache)
    only_sound_blobs(cache)
    cache.prune()
    assert [*cache.tmp.iterdir(), *cache.locks.iterdir()] == []


def test_builds_of_one_target_at_the_same_time(world: World) -> None:
    """Three processes build the same targets in one workspace: what is there in the end is whole, and known as such."""
    finish([start(world, world.root, "build", "--all-platforms", "--force") for _ in range(3)])
    expected = archives(world.root)
    last = world.run("build", "--all-platforms")
    assert last.status == 0, last.stderr
    assert archives(world.root) == expected
    assert [path for path in world.root.rglob("*") if path.name.endswith(".tmp")] == []
    assert world.run("build", "--all-platforms").stdout.count("up to date") == 6


def test_builds_of_one_target_from_two_configurations(world: World) -> None:
    """The config changes while a build runs: at the end bundle, archive, manifest and stamp tell of one and the same."""
    for number in range(3):
        config = {"packages": {"dependencies": ["native", "chain"] if number % 2 else ["pure==1.0"]}}
        world.configure("3.12.10-a", {"packages": {"dependencies": ["chain"]}})
        first = start(world, world.root, "build", "3.12.10-a", "--all-platforms", "--force")
        world.configure("3.12.10-a", config)
        finish([first, start(world, world.root, "build", "3.12.10-a", "--all-platforms", "--force")])
        again = world.run("build", "3.12.10-a", "--all-platforms")
        assert again.status == 0, again.stderr
        for platform in PLATFORMS:
            listed = {wheel["file"] for wheel in world.manifest(platform, "3.12.10-a")["wheels"]}
            assert listed == world.wheels(platform, "3.12.10-a")
            assert {name.split("-")[0] for name in listed} >= ({"native", "chain"} if number % 2 else {"pure"})
