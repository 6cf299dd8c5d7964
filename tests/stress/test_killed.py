"""SIGKILL at seeded moments: after each the next run finishes, to the same bytes, and nothing is left over."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import killer
from support.faults import Slow
from support.fetching import only_sound_blobs
from support.processes import alive_with, marker
from support.product import VERSION, World, make_world
from support.wheels import make_wheel

from pyrunenv.fetch.cache import Cache

PLATFORMS = ("linux-x64", "windows-x64")
CONFIG: dict[str, Any] = {
    "packages": {
        "dependencies": ["native", "chain", "large"],
        "copyFiles": [{"from": "note.txt", "to": "share/note.txt"}],
    }
}
OTHER = {"packages": {"dependencies": ["native", "pure<2"]}}


@dataclass(frozen=True)
class Undisturbed:
    """What a run without an interruption leaves: archives, names in the workspace, operations by phase."""

    archives: dict[str, bytes]
    names: set[str]
    counts: dict[str, int]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A small world with one wheel of a megabyte that comes slowly."""
    folder = tmp_path_factory.mktemp("killed")
    with make_world(folder, {VERSION: CONFIG}, platforms=PLATFORMS, small=True) as made:
        noise = random.Random(1).randbytes(1 << 20)
        path = make_wheel(folder / "files", "large", "1.0", files={"large/data.bin": noise})
        made.index.fault(path.name, Slow(chunk=1 << 16, pause=0.004), forever=True)
        (made.environment_folder() / "note.txt").write_text("note\n", encoding="utf-8")
        made.env["TMPDIR"] = str(folder / "tmp")
        (folder / "tmp").mkdir()
        yield made


@pytest.fixture(scope="module")
def undisturbed(world: World) -> Undisturbed:
    """What is expected of every run."""
    state = killer.new_state(world.folder / "state")
    assert run(world, state, "none", 0, 0.0) == 0
    return Undisturbed(world.archives_built(), names(world), killer.counts(state))


def run(world: World, state: Path, phase: str, number: int, delay: float) -> int:
    """Run a whole build in a process group of its own, to be killed where the hook says; returns its exit status."""
    words = [sys.executable, "-m", "support.killer", str(state), phase, str(number), str(delay)]
    process = subprocess.Popen(
        [*words, "build", "--all-platforms", "--jobs", "2"],
        cwd=world.root,
        env=world.environment({"PYTHONPATH": str(Path(killer.__file__).parents[1]), **marker(world.folder)}),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, text=True,
    )  # fmt: skip
    _, said = process.communicate(timeout=120)
    assert process.returncode <= 0, said
    return process.returncode


def names(world: World) -> set[str]:
    """Everything in the workspace; what may be there or not are the files that stand for locks."""
    return {
        path.relative_to(world.root).as_posix() for path in world.root.rglob("*") if not path.name.endswith(".lock")
    }


def begin_anew(world: World, *, rebuild: bool) -> None:
    """Empty cache and workspace; or leave another state of the workspace there, and a cache that has most of it."""
    folder = world.environment_folder()
    for path in (world.folder / "tmp").iterdir():
        shutil.rmtree(path)
    for name in ("pydist", "dist", "build"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in [*folder.glob("pylock.*"), *folder.glob("*pkg-*")]:
        path.unlink()
    if rebuild:
        world.configure(VERSION, OTHER)
        assert world.run("build", "--all-platforms").status == 0
        world.configure(VERSION, CONFIG)
        for path in [*folder.glob("pylock.*")]:
            path.unlink()
    else:
        shutil.rmtree(world.cache, ignore_errors=True)


@pytest.mark.seeds(30, 300)
def test_killed_at_any_moment_the_next_run_finishes(world: World, undisturbed: Undisturbed, seed: int) -> None:
    """The next run gives the undisturbed bytes; cache and workspace hold nothing wrong and nothing temporary."""
    dice = random.Random(seed)
    phase = killer.PHASES[seed % len(killer.PHASES)]
    number = dice.randint(1, undisturbed.counts[phase])
    delay = dice.choice([0.0, dice.uniform(0.0, 0.1)])
    begin_anew(world, rebuild=dice.random() < 0.3)
    state = killer.new_state(world.folder / "state")
    moment = f"seed {seed}: {phase} {number} of {undisturbed.counts[phase]}, {delay:.3f} s later"
    status = run(world, state, phase, number, delay)
    assert status in (-9, 0), moment
    assert alive_with(world.folder) == [], moment
    cache = Cache(world.cache)
    only_sound_blobs(cache)
    built = world.archives_built()
    again = world.run("build", "--all-platforms")
    assert again.status == 0, f"{moment}\n{again.stderr}"
    assert world.archives_built() == undisturbed.archives, moment
    assert cache.verify() == [], moment
    cache.prune()
    assert [path for path in world.cache.rglob("*") if ".tmp" in path.name or ".part" in path.name] == [], moment
    assert [*cache.tmp.iterdir(), *cache.locks.iterdir()] == [], moment
    assert list((world.folder / "tmp").iterdir()) == [], moment
    assert names(world) == undisturbed.names, moment
    if seed % 5 == 0:
        assert world.run("build", "--all-platforms").stdout.count("up to date") == 2, moment
    for name in built.keys() & undisturbed.archives.keys():
        # An archive that was there right after the kill is a whole one: of this state, or of the state before.
        assert built[name][-8:] == undisturbed.archives[name][-8:] or len(built[name]) > 1000, moment


def test_the_moments_cover_every_phase(undisturbed: Undisturbed) -> None:
    """Each phase has operations enough to choose from: the hook sees what the program does."""
    assert all(count >= 5 for count in undisturbed.counts.values()), undisturbed.counts
    assert os.name == "posix"
