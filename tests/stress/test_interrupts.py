"""Ctrl-C, a killed parent and a reader that goes away: the program ends soon, in words, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.faults import Silence, StallAfter
from support.fetching import only_sound_blobs
from support.processes import alive_with, marker
from support.product import VERSION, World, make_world

from pyrunenv.fetch.cache import Cache

WHEEL = "chain-1.0-py3-none-any.whl"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A small world for two platforms."""
    config = {"packages": {"dependencies": ["chain"]}}
    with make_world(tmp_path, {VERSION: config}, platforms=("linux-x64", "windows-x64"), small=True) as made:
        yield made


def start(world: World, *words: str) -> subprocess.Popen[str]:
    """Start the program in a process group of its own, as a shell does."""
    return subprocess.Popen(
        [sys.executable, "-m", "pyrunenv", *words],
        cwd=world.root, env=world.environment(marker(world.folder)), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True,
    )  # fmt: skip


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something is true."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def a_stalled_download(world: World) -> Callable[[], object]:
    world.index.fault(WHEEL, StallAfter(100), forever=True)
    return lambda: world.index.seen(WHEEL)


def a_stalled_index(world: World) -> Callable[[], object]:
    world.index.fault("/simple/chain/", Silence(), forever=True)
    return lambda: world.index.seen("/simple/chain/")


def stalled_metadata(world: World) -> Callable[[], object]:
    world.index.fault(f"{WHEEL}.metadata", StallAfter(10), forever=True)
    return lambda: world.index.seen(f"{WHEEL}.metadata")


def to_the_group(process: subprocess.Popen[str]) -> None:
    """What a terminal does."""
    os.killpg(process.pid, signal.SIGINT)


def to_the_program(process: subprocess.Popen[str]) -> None:
    """What `kill -INT` does."""
    process.send_signal(signal.SIGINT)


@pytest.mark.parametrize("whom", [to_the_group, to_the_program])
@pytest.mark.parametrize("stall", [a_stalled_download, a_stalled_index, stalled_metadata])
@pytest.mark.parametrize("command", ["build", "lock"])
def test_ctrl_c_ends_the_run_soon(
    world: World, command: str, stall: Callable[[World], Callable[[], object]], whom: Callable[..., None]
) -> None:
    """Within two seconds, with status 130, a word on what is next, no traceback and no process left."""
    if command == "lock" and stall is a_stalled_download:
        pytest.skip("locking downloads no wheel")
    stalled = stall(world)
    process = start(world, command, *(["--all-platforms"] if command == "build" else []))
    wait_for(stalled)
    time.sleep(0.3)
    begun = time.monotonic()
    whom(process)
    _, said = process.communicate(timeout=30)
    took = time.monotonic() - begun
    assert process.returncode == 130, said
    assert said.endswith("interrupted; what was finished is kept, and the next run goes on from there\n"), said
    assert "Traceback" not in said
    assert "error[" not in said
    assert took < 2.0
    assert alive_with(world.folder) == []
    only_sound_blobs(Cache(world.cache))


def test_killed_alone_it_leaves_no_orphans(world: World) -> None:
    """SIGKILL of the program and not of its workers: they see that they wait for nobody, and end."""
    stalled = a_stalled_download(world)
    process = start(world, "build", "--all-platforms")
    wait_for(stalled)
    process.kill()
    process.communicate()
    assert alive_with(world.folder, 5.0) == []


@pytest.mark.parametrize("group", [False, True])
def test_terminated_is_like_interrupted(world: World, group: bool) -> None:
    """SIGTERM, which a CI system sends first, leaves no process behind either."""
    stalled = a_stalled_index(world)
    process = start(world, "build", "--all-platforms")
    wait_for(stalled)
    (os.killpg if group else os.kill)(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130, said
    assert said.startswith("interrupted; what was finished is kept")
    assert alive_with(world.folder, 5.0) == []


def test_a_reader_that_goes_away(world: World) -> None:
    """`pyrunenv list | head -1` prints one line, and nothing about a broken pipe."""
    command = f"{sys.executable} -m pyrunenv list | head -c 5"
    done = subprocess.run(
        ["sh", "-c", command], cwd=world.root, env=world.environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("envir", "")
