"""Offline builds, and a cache that was damaged on disk between two builds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fetching import only_sound_blobs
from support.interpreters import asset_name
from support.product import VERSION, World, make_world
from support.workspaces import write_json

from pyrunenv.fetch.cache import Cache
from pyrunenv.platforms import PLATFORMS

KEYS = ("linux-x64", "windows-x64")
WHEELS = {"chain-1.0-py3-none-any.whl", "pure-2.0-py3-none-any.whl"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A small world whose interpreters too come from the server."""
    config = {"packages": {"dependencies": ["chain"]}}
    with make_world(tmp_path, {VERSION: config}, platforms=KEYS, small=True) as made:
        archives = {}
        for key, (path, sha256) in made.archives.items():
            shutil.copyfile(path, made.index.folder / path.name)
            archives[key] = {"url": made.index.file_url(path.name), "sha256": sha256}
        shared = {"registries": {"default": made.index.url}, "python": {"source": "archive", "archives": archives}}
        write_json(made.root / "shared-config.json", shared)
        yield made


def blob_of(world: World, name: str) -> Path:
    """Where the cache keeps a file that the server has."""
    return next(Cache(world.cache).blob(served.sha256) for served in world.index.served() if served.filename == name)


def test_offline_works_where_lock_and_cache_are_complete(world: World) -> None:
    """After one build, another from nothing but lock and cache asks the server for nothing and gives the same bytes."""
    assert world.run("build", "--all-platforms").status == 0
    expected, asked = world.archives_built(), len(world.index.requests)
    shutil.rmtree(world.environment_folder() / "pydist")
    again = world.run("build", "--all-platforms", "--offline", "--locked")
    assert again.status == 0, again.stderr
    assert world.archives_built() == expected
    assert len(world.index.requests) == asked


def test_offline_names_everything_that_is_missing_at_once(world: World) -> None:
    """Wheels of all targets and interpreters of all targets are in one run's message."""
    assert world.run("lock").status == 0
    shutil.rmtree(world.cache)
    failed = world.run("build", "--all-platforms", "--offline")
    assert failed.status == 1
    for name in (*WHEELS, "winonly-1.0-py3-none-any.whl", *(asset_name(VERSION, PLATFORMS[key]) for key in KEYS)):
        assert name in failed.stderr, failed.stderr
    assert "--offline" in failed.stderr
    assert "error[internal]" not in failed.stderr
    assert world.run("build", "--all-platforms").status == 0


def test_offline_without_a_lock_says_so(world: World) -> None:
    """Where there is neither lock nor cache, the message says what to do, and nothing is asked of any server."""
    failed = world.run("build", "--all-platforms", "--offline")
    assert failed.status == 1
    assert "error[stale-lock]: 3.12.10 on linux-x64 is not locked" in failed.stderr
    assert "3.12.10 on windows-x64 is not locked" in failed.stderr
    assert not world.index.requests


def a_flipped_bit(path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    rewrite(path, bytes(content))


def a_lost_end(path: Path, _: Path) -> None:
    rewrite(path, path.read_bytes()[:-100])


def another_blob(path: Path, other: Path) -> None:
    rewrite(path, other.read_bytes())


def nothing_left(path: Path, _: Path) -> None:
    rewrite(path, b"")


def rewrite(path: Path, content: bytes) -> None:
    """Change a file as a failing disk does: its time stays what it was."""
    status = path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("damage", [a_flipped_bit, a_lost_end, another_blob, nothing_left])
def test_damage_is_healed_online_and_named_offline(world: World, damage: Callable[[Path, Path], None]) -> None:
    """A wheel and an interpreter's archive are damaged: offline both are named, online both are fetched again."""
    assert world.run("build", "--platform", "linux-x64").status == 0
    expected = world.archives_built()
    wheel, interpreter = "pure-2.0-py3-none-any.whl", asset_name(VERSION, PLATFORMS["linux-x64"])
    other = blob_of(world, "chain-1.0-py3-none-any.whl")
    damage(blob_of(world, wheel), other)
    archive = next(
        path for path in Cache(world.cache).blobs.rglob("*") if path.is_file() and path.stat().st_size > 9000
    )
    damage(archive, other)
    for path in (world.cache / "interpreters").iterdir():
        path.unlink()
    offline = world.run("build", "--platform", "linux-x64", "--force", "--offline")
    assert offline.status == 1
    assert world.archives_built() == expected
    assert "error[internal]" not in offline.stderr
    assert wheel in offline.stderr, offline.stderr
    assert interpreter in offline.stderr, offline.stderr
    assert "run once without --offline" in offline.stderr
    online = world.run("build", "--platform", "linux-x64", "--force")
    assert online.status == 0, online.stderr
    assert world.archives_built() == expected
    only_sound_blobs(Cache(world.cache))


def test_a_damaged_interpreter_tree_is_made_again(world: World) -> None:
    """What lies prepared in the cache is checked too before it becomes part of a bundle."""
    assert world.run("build", "--platform", "linux-x64").status == 0
    expected = world.archives_built()
    tar = next((world.cache / "interpreters").glob("*.tar"))
    content = bytearray(tar.read_bytes())
    content[len(content) // 2] ^= 1
    tar.write_bytes(bytes(content))
    assert world.run("build", "--platform", "linux-x64", "--force").status == 0
    assert world.archives_built() == expected


def test_verify_tells_of_damage_and_removes_it(world: World) -> None:
    """`cache verify` exits 1 and names the entry once; after that the cache is whole, and the next build heals it."""
    assert world.run("build", "--platform", "linux-x64").status == 0
    damaged = blob_of(world, "pure-2.0-py3-none-any.whl")
    a_flipped_bit(damaged, damaged)
    found = world.run("cache", "verify")
    assert (found.status, found.stderr.count(str(damaged))) == (1, 1)
    assert world.run("cache", "verify").status == 0
    assert world.run("build", "--platform", "linux-x64", "--force").status == 0
