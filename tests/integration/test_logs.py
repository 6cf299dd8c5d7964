"""``build.enableLogging``: what the log of a target holds, and what it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.product import VERSION, World, make_world
from support.workspaces import write_json

KEYS = ("linux-x64", "windows-x64")
PASSWORD = "correct-horse"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two targets that want logs, and an index that demands a password."""
    config = {"packages": {"dependencies": ["chain"]}, "build": {"enableLogging": True}}
    with make_world(
        tmp_path, {VERSION: config}, platforms=KEYS, small=True, auth=("user", PASSWORD), metadata=False
    ) as made:
        shared = made.root / "shared-config.json"
        value = json.loads(shared.read_text(encoding="utf-8"))
        value["registries"]["default"] = made.index.url_with_login
        write_json(shared, value)
        yield made


def log_of(world: World, key: str) -> str:
    """The text of one target's log."""
    return (world.environment_folder() / "build" / f"{key}.log").read_text(encoding="utf-8")


def test_a_log_tells_the_story_of_its_target_and_of_no_other(world: World) -> None:
    """Every command, duration and decision of that target, no secret, and nothing of the target beside it."""
    result = world.run("build", "--all-platforms", "-vv")
    assert result.status == 0, result.stderr
    for key, other in (KEYS, KEYS[::-1]):
        text = log_of(world, key)
        for told in ("is built: ", "uv pip compile", "exit status 0", "lock took", "interpreter took", "fetch took",
                     "assemble took", "pack took", "pure-2.0-py3-none-any.whl"):  # fmt: skip
            assert told in text, (told, text)
        assert f"on {other}" not in text
        assert PASSWORD not in text
    assert "x86_64-pc-windows-msvc" in log_of(world, "windows-x64")
    assert "x86_64-pc-windows-msvc" not in log_of(world, "linux-x64")
    assert PASSWORD not in result.stderr + result.stdout


def test_a_log_is_written_anew_by_a_build_and_left_alone_by_none(world: World) -> None:
    """A run with nothing to do keeps the last build's log; a forced one replaces it."""
    assert world.run("build", "--all-platforms").status == 0
    first = log_of(world, "linux-x64")
    assert world.run("build", "--all-platforms").status == 0
    assert log_of(world, "linux-x64") == first
    assert world.run("build", "--all-platforms", "--force").status == 0
    assert log_of(world, "linux-x64") != first
    assert "that is asked for" in log_of(world, "linux-x64")
    assert "never" not in log_of(world, "linux-x64")


def test_the_usual_output_is_not_changed_by_logs(world: World) -> None:
    """Logs hold more than the terminal shows: without -v nothing of it is printed."""
    result = world.run("build", "--all-platforms")
    assert "took" not in result.stderr
    assert "uv pip compile" not in result.stderr


def test_a_failure_is_in_the_log(world: World) -> None:
    """The log of a target that failed ends with why."""
    assert world.run("lock").status == 0
    for path in world.index.folder.glob("pure-2.0*"):
        path.unlink()
    assert world.run("build", "--platform", "linux-x64").status == 1
    assert "error[fetch]: cannot download pure-2.0-py3-none-any.whl" in log_of(world, "linux-x64")


def test_without_the_setting_there_is_no_log(world: World) -> None:
    """Logs are for who asks for them."""
    world.configure(VERSION, {"packages": {"dependencies": ["chain"]}})
    assert world.run("build", "--all-platforms").status == 0
    assert list((world.environment_folder() / "build").glob("*.log")) == []
