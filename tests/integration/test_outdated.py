"""``outdated`` against registries of our own."""

from __future__ import annotations

import json
import shutil
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
    """Without a lock nothing can be said of it, and that is said."""
    world.configure("plain<1.1")
    shown = world.world.run("outdated", VERSION, env=world.env)
    assert (shown.status, shown.stdout) == (0, "")
    assert "`plain<1.1` names no version and is not locked: run `pyrunenv lock 3.12.10`" in shown.stderr
    assert "newest" not in shown.stderr
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
    assert result.stderr.count("error[resolver]: the registry http://127.0.0.1:9/simple does not answer") == 1
    assert "refused" in result.stderr
    assert result.stdout == ""


def test_what_no_registry_has_is_told(world: LockWorld) -> None:
    """A name without any file is no root that has its newest version."""
    world.configure("plain==1.1", "nowhere==1.0")
    result = world.world.run("outdated", VERSION, env=world.env)
    assert (result.status, result.stdout) == (0, "")
    assert result.stderr == "warning: no registry has any file of `nowhere`\n"


def test_what_may_not_be_installed_is_no_news(world: LockWorld) -> None:
    """Neither yanked versions nor those that want another Python; nor a wheel of a skipped platform."""
    make_wheel(world.public.folder, "plain", "3.0")
    make_wheel(world.public.folder, "plain", "4.0", requires_python=">=3.13")
    world.public.yanked["plain-3.0-py3-none-any.whl"] = "broken"
    world.configure("plain==1.0")
    assert found(world)["plain==1.0"]["newest"] == "1.1"


@pytest.mark.parametrize(
    ("more", "newest"),
    [
        ({"additional": ["PRIVATE"]}, "9.0"),
        ({"additional": ["PRIVATE"], "strategy": "first-index"}, "1.1"),
        ({"additional": [{"url": "PRIVATE", "packages": ["other"]}]}, "1.1"),
        ({"additional": [{"url": "PRIVATE", "packages": ["Plain"]}]}, "9.0"),
    ],
)
def test_the_registries_rules_hold(world: LockWorld, more: dict[str, Any], newest: str) -> None:
    """The better version of any registry; the first that has the name; those that a name is pinned to."""
    make_wheel(world.private.folder, "plain", "9.0")
    text = json.dumps(more).replace("PRIVATE", world.private.url)
    world.configure("plain==1.0", registries=json.loads(text))
    assert found(world)["plain==1.0"]["newest"] == newest
    asked = [request.path for request in world.public.requests if "plain" in request.path]
    assert asked == ([] if "Plain" in text else ["/simple/plain/"])


def test_each_page_is_asked_for_once_for_all_environments(world: LockWorld) -> None:
    """Also where their registries differ."""
    world.configure("plain==1.0")
    other = world.world.root / "python-3.12.10-b"
    shutil.copytree(world.world.environment_folder(), other)
    package = json.loads((other / "package.json").read_text())
    (other / "package.json").write_text(json.dumps({**package, "name": "@x/runenv-python-3.12.10-b"}))
    config = json.loads((other / "config.json").read_text())
    config["registries"]["additional"] = [world.private.url]
    (other / "config.json").write_text(json.dumps(config))
    result = world.world.run("outdated", "--json", env=world.env)
    assert [entry["environment"] for entry in json.loads(result.stdout)] == [VERSION, "3.12.10-b"], result.stderr
    assert [request.path for request in world.public.requests] == ["/simple/plain/"]
    assert [request.path for request in world.private.requests] == ["/simple/plain/"]
