"""Wheels of pinned roots come while the resolver works: the right ones, once, and nobody suffers from a wrong guess."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.faults import Html, Silence, Status
from support.fetching import clean_environment
from support.product import NATIVE_TAGS, VERSION, World, make_world
from support.wheels import make_wheel

from pyrunenv.config.workspace import load_workspace
from pyrunenv.fetch.cache import Cache
from pyrunenv.fetch.download import Fetcher
from pyrunenv.lock.ahead import Ahead
from pyrunenv.lock.run import Target
from pyrunenv.platforms import PLATFORMS

PINNED = {"packages": {"dependencies": ["native==1.0", "chain==1.0", "pure"]}}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A workspace with two pinned roots and one that is not."""
    clean_environment(monkeypatch, tmp_path)
    with make_world(tmp_path, {VERSION: PINNED}, small=True) as made:
        yield made


@pytest.fixture
def fetched(world: World) -> Iterator[Callable[[str], set[str]]]:
    """Begins the downloads for a platform; returns the files of the index that the cache holds when all is quiet."""

    def fetch(platform: str) -> set[str]:
        (environment,) = load_workspace(world.root).environments
        ahead = Ahead(fetcher)
        ahead.begin(Target(environment, PLATFORMS[platform]))
        ahead._pool.close(patience=10)
        until = time.monotonic() + 10
        while fetcher._pending and time.monotonic() < until:
            time.sleep(0.01)
        return {path.name for path in world.index.folder.iterdir() if cache.has(_sha256(path), None)}

    cache = Cache(world.cache)
    with Fetcher(cache, backoff=0.01) as fetcher:
        yield fetch


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _native(platform: str, version: str = "1.0") -> str:
    return f"native-{version}-cp312-cp312-{NATIVE_TAGS[platform]}.whl"


@pytest.mark.parametrize("platform", NATIVE_TAGS)
def test_what_a_platform_pins_comes_and_nothing_else(world: World, fetched: Any, platform: str) -> None:
    """The wheels are the platform's; what is not pinned is the resolver's to choose."""
    assert fetched(platform) == {_native(platform), "chain-1.0-py3-none-any.whl"}


def test_the_best_tag_is_taken_below_the_floor(world: World, fetched: Any) -> None:
    """As the lock will: what needs a newer system than the floor does not count, the most specific of the rest does."""
    better = make_wheel(world.index.folder, "native", "1.0", tag="cp312-cp312-manylinux_2_28_x86_64", requires=["pure"])
    make_wheel(world.index.folder, "native", "1.0", tag="cp312-cp312-manylinux_2_39_x86_64", requires=["pure"])
    assert fetched("linux-x64") == {better.name, "chain-1.0-py3-none-any.whl"}


@pytest.mark.parametrize(
    "packages",
    [
        {"dependencies": ["native==1.0"], "skip": {"native": {"linux-x64": "a reason"}}},
        {"dependencies": ["native==1.0"], "forceSource": {"native": {"linux-x64": "a reason"}}},
        {"dependencies": ["native==1.0; sys_platform == 'win32'"]},
        {"dependencies": ["native==9.9", "source-only==1.0", "nowhere==1.0"]},
    ],
)
def test_what_will_not_be_wanted_is_not_fetched(world: World, fetched: Any, packages: dict[str, Any]) -> None:
    """Skipped, built by policy, for another platform, without a wheel."""
    world.configure(VERSION, {"packages": {**packages, "dependencies": [*packages["dependencies"], "pure==2.0"]}})
    assert fetched("linux-x64") == {"pure-2.0-py3-none-any.whl"}


def test_where_several_registries_have_a_say_nothing_is_guessed(world: World, fetched: Any) -> None:
    """Which one serves a name is for the resolver to tell."""
    world.configure(VERSION, {**PINNED, "registries": {"additional": [world.index.url + "/"]}})
    assert fetched("linux-x64") == set()
    assert not world.index.requests


@pytest.mark.parametrize("fault", [Html(), Status(500), Status(404)])
def test_a_page_that_cannot_be_read_is_no_failure(world: World, fetched: Any, fault: Any) -> None:
    """The other roots come all the same."""
    world.index.fault("/simple/native/", fault, forever=True)
    assert fetched("linux-x64") == {"chain-1.0-py3-none-any.whl"}


def test_a_build_fetches_each_wheel_once(world: World) -> None:
    """What is on its way already is waited for, on all platforms, and what came ahead was what the lock names."""
    result = world.run("build", "--all-platforms")
    assert result.status == 0, result.stderr
    wheels = {name: count for name, count in world.index.counts().items() if name.endswith(".whl")}
    assert set(wheels.values()) == {1}
    assert len(wheels) == len(NATIVE_TAGS) + 3


def test_a_build_that_cannot_be_locked_ends_at_once(world: World) -> None:
    """A wheel that never comes is no reason to stay."""
    world.configure(VERSION, {"packages": {"dependencies": ["native==1.0", "nowhere==1.0"]}})
    world.index.fault(_native("linux-x64"), Silence(), forever=True)
    started = time.monotonic()
    result = world.run("build", "--platform", "linux-x64")
    assert result.status == 1
    assert "nowhere==1.0" in result.stderr
    assert time.monotonic() - started < 20
