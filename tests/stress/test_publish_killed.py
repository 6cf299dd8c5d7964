"""SIGKILL while publishing: clients see the old catalogue or the new one, whole; the next run finishes."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import publish_killer
from support.product import VERSION, World, make_world
from support.storages import LOGIN, S3, newest, storage, temporaries, unsound
from support.workspaces import write_json

CATALOGUE = "@test/test.runenv-python-3"
FULL = (VERSION, f"{VERSION}-a", f"{VERSION}-b")


@dataclass(frozen=True)
class Versions:
    """Two workspaces, of the old and the new version of everything, and how many calls publishing the new one makes."""

    old: World
    new: World
    calls: int


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versions]:
    """Three environments for five platforms, at two versions with different archives."""
    folder = tmp_path_factory.mktemp("publish-killed")
    configs: dict[str, Any] = {full: {"packages": {"dependencies": []}} for full in FULL}
    with make_world(folder, configs, catalogue=True, small=True) as old:
        assert old.run("build", "--all-platforms").status == 0
        shutil.copytree(old.root, folder / "new", symlinks=True)
        new = World(folder, old.index, folder / "new", old.cache, old.archives)
        raise_versions(new.root)
        assert new.run("build", "--all-platforms", env={"SOURCE_DATE_EPOCH": "1700000000"}).status == 0
        url = (folder / "count").as_uri()
        assert old.run("publish", "--storage-url", url).status == 0
        counter = folder / "counter"
        assert killed(new, counter, 0, "none", 0.0, url) == 0
        yield Versions(old, new, int(counter.read_text(encoding="ascii")))


def raise_versions(root: Path) -> None:
    """Give every package and the catalogue the version 1.1.0."""
    for path in root.glob("*/package.json"):
        value = json.loads(path.read_text(encoding="utf-8"))
        value["version"] = "1.1.0"
        value["dependencies"] = dict.fromkeys(value.get("dependencies", {}), "1.1.0")
        write_json(path, value)


def killed(world: World, counter: Path, number: int, when: str, delay: float, url: str) -> int:
    """Publish in a process group of its own, to be killed at a call; returns the exit status."""
    words = [sys.executable, "-m", "support.publish_killer", str(counter), str(number), when, str(delay)]
    process = subprocess.run(
        [*words, "publish", "--storage-url", url],
        cwd=world.root, env=world.environment({"PYTHONPATH": str(Path(publish_killer.__file__).parents[1]), **LOGIN}),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert process.returncode <= 0, process.stderr
    return process.returncode


@pytest.mark.parametrize("kind", ["file", "s3"])
@pytest.mark.seeds(10, 100)
def test_a_killed_publisher_leaves_a_whole_catalogue(
    versions: Versions, s3: S3, tmp_path: Path, kind: str, seed: int
) -> None:
    """After any kill the newest catalogue is all old or all new, what it names is there, and the next run finishes."""
    url = s3.url(f"killed-{seed}") if kind == "s3" else (tmp_path / "storage").as_uri()
    held = storage(url)
    chance = random.Random(f"{kind} {seed}")
    if chance.random() < 0.7:
        assert versions.old.run("publish", "--storage-url", url, env=LOGIN).status == 0
    before = newest(held, CATALOGUE)
    # every third near the end, where releases and the catalogue are put
    number = versions.calls - chance.randrange(16) if seed % 3 == 0 else chance.randrange(1, versions.calls + 1)
    when, delay = chance.choice(("before", "after", "within")), chance.random() * 0.005
    killed(versions.new, tmp_path / "counter", number, when, delay, url)
    after = newest(held, CATALOGUE)
    assert after == before or (after is not None and after["version"] == "1.1.0")
    if after is not None:
        assert {release["version"] for release in after["entrypoints"].values()} == {after["version"]}
        assert unsound(held, after) == []
    again = versions.new.run("publish", "--storage-url", url, env=LOGIN)
    assert again.status == 0, again.stderr
    finished = newest(held, CATALOGUE)
    assert finished is not None
    assert (finished["version"], unsound(held, finished)) == ("1.1.0", [])
    held.sweep(timedelta(0))
    assert temporaries(held) == []
