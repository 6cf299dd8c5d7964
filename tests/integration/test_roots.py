"""``add`` and ``remove``, ``why``, ``tree`` and ``list``, as a person uses them, against a registry of our own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.locks import LINUX, LockWorld, entry, lock_world, versions
from support.product import VERSION, Result
from support.wheels import make_wheel

ALL = (LINUX, "macosx-x64", "macosx-aarch64")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LockWorld]:
    """A root with a chain of needs, locked for all three platforms, and packages to add."""
    with lock_world(tmp_path) as made:
        make_wheel(made.public.folder, "top", "1.0", requires=["middle"])
        make_wheel(made.public.folder, "middle", "1.0", requires=["deep"])
        for version in ("1.0", "2.0"):
            make_wheel(made.public.folder, "deep", version)
        make_wheel(made.public.folder, "picky", "1.0", requires=["deep<2"])
        make_wheel(made.public.folder, "linuxonly", "1.0", tag="cp312-cp312-manylinux_2_28_x86_64")
        make_wheel(made.public.folder, "linuxonly", "0.9")
        made.configure("top==1.0")
        made.lock(platforms=ALL)
        yield made


def config(world: LockWorld) -> str:
    return (world.world.environment_folder() / "config.json").read_text(encoding="utf-8")


def state(world: LockWorld) -> dict[str, bytes]:
    """Every file of the environment that a person keeps."""
    return {
        path.name: path.read_bytes() for path in sorted(world.world.environment_folder().iterdir()) if path.is_file()
    }


def run(world: LockWorld, *words: str) -> Result:
    return world.world.run(*words, env=world.env)


def test_what_is_added_is_pinned_locked_everywhere_and_shown(world: LockWorld) -> None:
    """One command from a name to a config and locks that go together."""
    result = run(world, "add", VERSION, "picky")
    assert result.status == 0, result.stderr
    assert json.loads(config(world))["packages"]["dependencies"] == ["top==1.0", "picky==1.0"]
    assert "pinned `picky` to 1.0, which all platforms have" in result.stderr
    assert [line.split()[:3] for line in result.stdout.splitlines() if line.startswith("picky ")] == [
        ["picky", "-", "1.0"]
    ]
    for platform in ALL:
        assert versions(world.read(platform))["picky"] == "1.0"
    assert run(world, "lock", "--check").status == 0


def test_unpinned_stays_as_it_is_written(world: LockWorld) -> None:
    """For those who want it so."""
    assert run(world, "add", VERSION, "picky", "--unpinned").status == 0
    assert json.loads(config(world))["packages"]["dependencies"] == ["top==1.0", "picky"]


def test_what_cannot_be_locked_leaves_everything_as_it_was(world: LockWorld) -> None:
    """Not one byte of config or locks, although it can be had on one platform; the error has the choices."""
    before = state(world)
    result = run(world, "add", VERSION, "linuxonly==1.0")
    assert result.status == 4
    assert state(world) == before
    assert "1 root cannot be had (2 pairs of root and platform)" in result.stderr
    assert "nearest version with a wheel there: 0.9" in result.stderr
    assert '"linuxonly": {' in result.stderr
    assert "nothing was changed" in result.stderr
    assert run(world, "lock", "--check").status == 0


def test_for_one_platform_the_others_stay(world: LockWorld) -> None:
    """Locks of the other platforms are not touched."""
    before = state(world)
    assert run(world, "add", VERSION, "linuxonly==1.0", "--platform", LINUX).status == 0
    now = state(world)
    assert {name for name in now if now[name] != before[name]} == {"config.json", f"pylock.{LINUX}.toml"}
    assert "linuxonly" in versions(world.read(LINUX))
    unknown = run(world, "add", VERSION, "picky", "--platform", "windows-x64")
    assert unknown.status == 2
    assert f"{VERSION} is not made for windows-x64" in unknown.stderr


def test_a_dry_run_shows_and_writes_nothing(world: LockWorld) -> None:
    """The difference is that of the real thing."""
    before = state(world)
    dry = run(world, "add", VERSION, "picky", "--dry-run")
    assert dry.status == 0
    assert state(world) == before
    assert "nothing was written" in dry.stderr
    assert dry.stdout == run(world, "add", VERSION, "picky").stdout


def test_remove_is_the_way_back(world: LockWorld) -> None:
    """Config and locks are what they were, byte for byte."""
    before = state(world)
    run(world, "add", VERSION, "picky")
    assert state(world) != before
    result = run(world, "remove", VERSION, "Picky")
    assert result.status == 0, result.stderr
    assert versions(world.read())["deep"] == "1.0", "versions stay where they still fit"
    assert config(world) == before["config.json"].decode()
    wrong = run(world, "remove", VERSION, "topp")
    assert wrong.status == 2
    assert "did you mean `top`?" in wrong.stderr


def test_no_lock_edits_the_config_alone(world: LockWorld) -> None:
    """The locks are stale then, and say so."""
    locks = {name: content for name, content in state(world).items() if name != "config.json"}
    assert run(world, "add", VERSION, "picky==1.0", "--no-lock").status == 0
    assert {name: content for name, content in state(world).items() if name != "config.json"} == locks
    assert {row["state"] for row in json.loads(run(world, "list", "--json").stdout)} == {"stale lock"}


def test_a_config_that_would_be_wrong_is_not_written(world: LockWorld) -> None:
    """What cannot be read as a requirement changes nothing."""
    before = state(world)
    result = run(world, "add", VERSION, "deep=1")
    assert result.status == 2
    assert "did you mean `deep==1`?" in result.stderr
    assert state(world) == before


def test_why_names_roots_ways_files_and_absences(world: LockWorld) -> None:
    """For something deep, something skipped, something unknown."""
    assert run(world, "add", VERSION, "linuxonly==1.0", "--platform", LINUX).status == 0
    deep = run(world, "why", "Deep", VERSION)
    assert deep.status == 0
    assert deep.stdout.splitlines()[:2] == ["deep 2.0", "  top==1.0 → middle 1.0 → deep 2.0"]
    assert [line.split()[:2] for line in deep.stdout.splitlines()[2:]] == [
        [p, "deep-2.0-py3-none-any.whl"] for p in ALL
    ]
    assert world.public.url in deep.stdout
    only = run(world, "why", "linuxonly", VERSION)
    assert "linuxonly==1.0  (a root)" in only.stdout
    assert "not on macosx-x64: nothing there needs it" in only.stdout
    unknown = run(world, "why", "deeep", VERSION)
    assert (unknown.status, "did you mean `deep`?" in unknown.stderr) == (2, True)
    found = json.loads(run(world, "why", "deep", VERSION, "--json", "--platform", LINUX).stdout)
    assert [chain["packages"] for chain in found[0]["chains"]] == [[["top", "1.0"], ["middle", "1.0"], ["deep", "2.0"]]]


def test_why_gives_the_reason_of_a_skip(world: LockWorld) -> None:
    """What is left out on purpose is no mystery."""
    world.configure("top==1.0", "picky", skip={"picky": {"macosx-x64": "not wanted there"}})
    world.lock(platforms=ALL)
    assert "not on macosx-x64: skipped: not wanted there" in run(world, "why", "picky", VERSION).stdout


def test_tree(world: LockWorld) -> None:
    """Lines as every such command draws them; what was shown is not shown again."""
    make_wheel(world.public.folder, "second", "1.0", requires=["middle", "deep"])
    assert run(world, "add", VERSION, "second").status == 0
    shown = run(world, "tree", VERSION, "--platform", LINUX).stdout.splitlines()
    assert shown == [
        f"{VERSION} on linux-x64: 2 roots, 4 packages",
        "top 1.0",
        "└── middle 1.0",
        "    └── deep 2.0",
        "second 1.0",
        "├── deep 2.0",
        "└── middle 1.0 (*)",
        "(*) what it needs is shown above",
    ]
    assert run(world, "tree", VERSION, "--platform", LINUX, "--depth", "0").stdout.splitlines()[1:] == [
        "top 1.0",
        "second 1.0",
    ]
    assert len(json.loads(run(world, "tree", VERSION, "--json", "--platform", LINUX).stdout)[0]["packages"]) == 4


def test_without_a_lock_there_is_nothing_to_walk(world: LockWorld) -> None:
    """The error says what to run; with some platforms locked the others are named."""
    folder = world.world.environment_folder()
    (folder / "pylock.macosx-x64.toml").unlink()
    partly = run(world, "why", "deep", VERSION)
    assert partly.status == 0
    assert f"{VERSION} on macosx-x64 is not locked: passed over" in partly.stderr
    for path in folder.glob("pylock.*"):
        path.unlink()
    nothing = run(world, "tree", VERSION)
    assert nothing.status == 4
    assert f"pyrunenv lock {VERSION}" in nothing.stderr
    assert {row["state"] for row in json.loads(run(world, "list", "--json").stdout)} == {"no lock"}


def test_list_tells_what_a_lock_holds(world: LockWorld) -> None:
    """Counts and bytes come from the lock; an unreadable one is a state, no failure."""
    row = json.loads(run(world, "list", "--json", "--platform", LINUX).stdout)[0]
    assert (row["state"], row["roots"], row["wheels"], row["to_build"]) == ("locked", 1, 3, 0)
    assert row["wheel_bytes"] == sum(package.file.size or 0 for package in world.read().packages)
    assert row["changed"].endswith("+00:00")
    path = world.world.environment_folder() / f"pylock.{LINUX}.toml"
    path.write_text("x = ", encoding="utf-8")
    os.utime(path, (0, 0))
    assert json.loads(run(world, "list", "--json", "--platform", LINUX).stdout)[0]["state"] == "unreadable lock"
    assert " d" in run(world, "list", "--platform", LINUX).stdout.splitlines()[1]
    assert entry(world.read("macosx-x64"), "deep").version == "2.0"
