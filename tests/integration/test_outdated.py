"""``outdated`` against registries of our own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.locks import LINUX, LockWorld, lock_world
from support.product import VERSION
from support.wheels import make_sdist, make_wheel

PLATFORMS = (LINUX, "macosx-x64", "macosx-aarch64")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LockWorld]:
    """Versions of several kinds."""
    with lock_world(tmp_path) as made:
        for version in ("1.0", "1.1", "2.0rc1"):
            make_wheel(made.public.folder, "plain", version)
        make_wheel(made.public.folder, "native", "1.0")
        make_wheel(made.public.folder, "native", "1.5")
        make_wheel(made.public.folder, "native", "2.0", tag="cp312-cp312-manylinux_2_28_x86_64")
        make_wheel(made.public.folder, "native", "2.0", tag="cp312-cp312-macosx_13_0_arm64")
        make_wheel(made.public.folder, "native", "3.0", tag="cp311-cp311-manylinux_2_28_x86_64")
        make_wheel(made.public.folder, "native", "3.1", tag="cp312-cp312-manylinux_2_40_x86_64")
        yield made


def found(world: LockWorld, *words: str) -> dict[str, Any]:
    result = world.world.run("outdated", VERSION, "--json", *words, env=world.env)
    assert result.status == 0, result.stderr
    return {entry["requirement"]: entry for entry in json.loads(result.stdout)}


def test_newest_everywhere_and_where_the_newest_has_no_wheel(world: LockWorld) -> None:
    """Tags, Python and floors are the target's; pre-releases count only for who has one."""
    world.configure("plain==1.0", "native==1.0")
    entries = found(world)
    assert (entries["plain==1.0"]["newest"], entries["plain==1.0"]["everywhere"]) == ("1.1", "1.1")
    native = entries["native==1.0"]
    assert (native["newest"], native["everywhere"]) == ("2.0", "1.5")
    assert native["platforms"] == {LINUX: "wheel", "macosx-x64": "nothing", "macosx-aarch64": "wheel"}
    world.configure("plain==2.0b1", "native==2.0")
    assert {name: entry["newest"] for name, entry in found(world).items()} == {"plain==2.0b1": "2.0rc1"}


def test_a_newest_version_may_be_built(world: LockWorld) -> None:
    """An sdist is told where there is no wheel."""
    make_sdist(world.public.folder, "native", "4.0")
    world.configure("native==2.0")
    entry = found(world)["native==2.0"]
    assert (entry["newest"], entry["everywhere"], set(entry["platforms"].values())) == ("4.0", None, {"source"})
    shown = world.world.run("outdated", VERSION, env=world.env).stdout
    assert "linux-x64 (source), macosx-x64 (source)" in shown


def test_only_platforms_that_have_the_root_count(world: LockWorld) -> None:
    """Neither those that skip it, nor those that its marker leaves out, nor those not asked for."""
    world.configure("native==1.5", skip={"native": {"macosx-x64": "no wheel there"}})
    assert found(world)["native==1.5"]["everywhere"] == "2.0"
    world.configure("native==1.5; platform_machine != 'x86_64' or sys_platform == 'linux'")
    assert [e["everywhere"] for e in found(world).values()] == ["2.0"]
    world.configure("native==1.5")
    assert found(world, "--platform", LINUX)["native==1.5"]["platforms"] == {LINUX: "wheel"}


def test_an_unpinned_root_is_as_old_as_its_lock(world: LockWorld) -> None:
    """Without a lock nothing can be said of it."""
    world.configure("plain<1.1")
    assert found(world) == {}
    world.lock(platforms=PLATFORMS)
    assert found(world)["plain<1.1"]["current"] == "1.0"


def test_nothing_to_tell(world: LockWorld) -> None:
    """Said in words, and each page is asked for once for all platforms."""
    world.configure("plain==1.1")
    before = len(world.public.requests)
    result = world.world.run("outdated", VERSION, env=world.env)
    assert (result.status, result.stdout) == (0, "")
    assert "every root has its newest version" in result.stderr
    assert len(world.public.requests) == before + 1


def test_a_registry_that_gives_no_answer_is_an_error(world: LockWorld) -> None:
    """Named once, with the reason; to say "nothing newer" would be a lie."""
    world.configure("plain==1.0", "native==1.0", registries={"additional": ["http://127.0.0.1:9/simple"]})
    result = world.world.run("outdated", VERSION, env=world.env)
    assert result.status == 4
    assert "error[resolver]: a registry gives no answer: http://127.0.0.1:9/simple" in result.stderr
    assert "refused" in result.stderr
    assert result.stdout == ""
