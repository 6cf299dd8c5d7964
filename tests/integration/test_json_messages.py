"""``--log-format json`` around whole runs: every line on standard error is an object, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.locks import LINUX, LockWorld, lock_world
from support.product import VERSION
from support.wheels import make_wheel


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LockWorld]:
    """A private registry with a login, and one root in it."""
    with lock_world(tmp_path, auth=("me", "sesame-99")) as made:
        make_wheel(made.private.folder, "root", "1.0")
        login = made.private.url.replace("http://", "http://me:sesame-99@")
        made.configure("root==1.0", registries={"default": login})
        yield made


def said(world: LockWorld, status: int, *words: str) -> list[dict[str, Any]]:
    """Run a command and return its messages; each has its time, level and text, and none the password."""
    result = world.world.run("--log-format", "json", *words, env=world.env)
    assert result.status == status, result.stderr
    assert "sesame-99" not in result.stdout + result.stderr
    messages = [json.loads(line) for line in result.stderr.splitlines()]
    for message in messages:
        assert datetime.fromisoformat(message["time"]).tzinfo is not None
        assert message["level"] in ("debug", "info", "warning", "error")
        assert message["message"]
    return messages


@pytest.mark.parametrize("verbosity", [(), ("-v",), ("-vv",), ("-q",)], ids=" ".join)
def test_every_line_of_runs_that_pass(world: LockWorld, verbosity: tuple[str, ...]) -> None:
    """Locks and builds, from silence to every program that is run; steps are messages with fields."""
    locked = said(world, 0, "lock", VERSION, "--platform", LINUX, *verbosity)
    built = said(world, 0, "build", VERSION, "--platform", LINUX, *verbosity)
    loggers = {message["logger"] for message in locked + built if "logger" in message}
    assert ("pyrunenv.process" in loggers) == (verbosity == ("-vv",))
    steps = [message for message in built if message.get("step")]
    finished = [message for message in built if message.get("state") == "built"]
    if verbosity == ("-q",):
        assert {message["level"] for message in locked + built} <= {"warning"}
        return
    assert {(step["environment"], step["platform"]) for step in steps} == {(VERSION, LINUX)}
    (done,) = finished
    assert (done["platform"], done["bytes"] > 0) == (LINUX, True)


@pytest.mark.parametrize("verbosity", [(), ("-vv",)], ids=" ".join)
def test_every_line_of_runs_that_fail(world: LockWorld, verbosity: tuple[str, ...]) -> None:
    """A root that cannot be had, a lock that is not there, a config that is none: errors with their parts."""
    world.configure("absent==1.0", registries={"default": world.private.url.replace("http://", "http://me:sesame-99@")})
    for status, words in ((4, ("lock", "--platform", LINUX)), (1, ("build", "--platform", LINUX, "--locked"))):
        errors = [m for m in said(world, status, *words, *verbosity) if m["level"] == "error"]
        assert errors, words
        assert all(error["code"] and error["hint"] and "notes" in error for error in errors), words
    (world.world.root / "shared-config.json").write_text(
        '{"registries": {"default": "http://me:sesame-99@x/"}, "no": 1}'
    )
    (error,) = (m for m in said(world, 3, "list", *verbosity) if m["level"] == "error")
    assert error["code"] == "config"
    assert "shared-config.json: no: " in " ".join([error["message"], *error["notes"]])
