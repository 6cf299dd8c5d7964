"""A disk that is full at each step: it is said in words, nothing half-written counts, and with room the run finishes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.fetching import only_sound_blobs
from support.product import VERSION, Result, World, make_world
from support.wheels import make_wheel

from pyrunenv.fetch.cache import Cache

PLATFORM = "linux-x64"
CONFIG = {"packages": {"dependencies": ["native", "chain", "large"]}}


@contextmanager
def disk(folder: Path, kilobytes: int) -> Iterator[Callable[[int], None]]:
    """Mount a file system of so many kB, and give a function that changes its size."""
    folder.mkdir(parents=True)
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")

    def command(options: str) -> list[str]:
        return [mount, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]

    if subprocess.run(command(f"size={kilobytes}k"), capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield lambda size: subprocess.run(command(f"remount,size={size}k"), check=True) and None
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A small world with one wheel of a megabyte."""
    with make_world(tmp_path, {VERSION: CONFIG}, platforms=(PLATFORM,), small=True) as made:
        noise = random.Random(1).randbytes(1 << 20)
        make_wheel(tmp_path / "files", "large", "1.0", files={"large/data.bin": noise})
        yield made


_expected: dict[str, bytes] = {}


def expected_of(world: World) -> dict[str, bytes]:
    """Return the archives of a build with all the room there is; they are the same for all of these worlds."""
    if not _expected:
        assert world.run("build", "--platform", PLATFORM).status == 0
        _expected.update(world.archives_built())
        folder = world.environment_folder()
        for name in ("pydist", "dist", "build"):
            shutil.rmtree(folder / name)
        for path in [*folder.glob("pylock.*"), *folder.glob("pkg-*")]:
            path.unlink()
        shutil.rmtree(world.cache)
    return _expected


def check_message(result: Result, statuses: set[int]) -> None:
    """It failed with an error of its class that says what is the matter; never with a defect."""
    assert result.status in statuses, (result.status, result.stderr)
    assert "error[internal]" not in result.stderr
    assert "error[" in result.stderr
    assert "o space left on device" in result.stderr or "no space is left" in result.stderr, result.stderr
    assert "hint: make room" in result.stderr or "hint: free some space" in result.stderr, result.stderr


@pytest.mark.parametrize("kilobytes", [8, 64, 200, 500, 900, 1300])
def test_full_cache(world: World, tmp_path: Path, kilobytes: int) -> None:
    """The cache's disk ends during lock, fetch or the interpreter, depending on its size."""
    expected = expected_of(world)
    with disk(tmp_path / "small", kilobytes) as resize:
        world.cache = tmp_path / "small" / "cache"
        failed = world.run("build", "--platform", PLATFORM)
        check_message(failed, {1})
        assert not world.archives_built()
        only_sound_blobs(Cache(world.cache))
        resize(40_000)
        again = world.run("build", "--platform", PLATFORM)
        assert again.status == 0, again.stderr
        assert world.archives_built() == expected
        assert Cache(world.cache).verify() == []


def test_full_cache_while_locking(world: World, tmp_path: Path) -> None:
    """`lock` alone says so too, with the status of its class, and leaves no lock."""
    with disk(tmp_path / "small", 8) as resize:
        world.cache = tmp_path / "small" / "cache"
        check_message(world.run("lock"), {4, 5})
        assert list(world.environment_folder().glob("*pylock.*")) == []
        resize(40_000)
        assert world.run("lock").status == 0


@pytest.mark.parametrize("kilobytes", [12, 100, 700, 1250, 1700, 2000])
def test_full_workspace(world: World, tmp_path: Path, kilobytes: int) -> None:
    """The workspace's disk ends while the lock is written, the bundle put together, or packed."""
    expected = expected_of(world)
    with disk(tmp_path / "small", kilobytes) as resize:
        shutil.copytree(world.root, tmp_path / "small" / "workspace")
        world.root = tmp_path / "small" / "workspace"
        failed = world.run("build", "--platform", PLATFORM)
        check_message(failed, {1})
        assert not world.archives_built()
        assert [path for path in world.root.rglob("*") if path.name.endswith(".tmp")] == []
        resize(40_000)
        again = world.run("build", "--platform", PLATFORM)
        assert again.status == 0, again.stderr
        assert world.archives_built() == expected
        assert world.run("build", "--platform", PLATFORM).stdout.count("up to date") == 1


def test_a_full_disk_leaves_the_last_good_build_alone(world: World, tmp_path: Path) -> None:
    """Where a rebuild has no room, the archive that was there stays as it was."""
    with disk(tmp_path / "small", 40_000) as resize:
        shutil.copytree(world.root, tmp_path / "small" / "workspace")
        world.root = tmp_path / "small" / "workspace"
        assert world.run("build", "--platform", PLATFORM).status == 0
        before = world.archives_built()
        used = int(
            subprocess.run(["du", "-sk", world.root], capture_output=True, text=True, check=True).stdout.split()[0]
        )
        resize(used + 100)
        failed = world.run("build", "--platform", PLATFORM, "--force")
        check_message(failed, {1})
        assert world.archives_built() == before
        resize(40_000)
        again = world.run("build", "--platform", PLATFORM)
        assert again.status == 0, again.stderr
        assert world.archives_built() == before
