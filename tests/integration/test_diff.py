"""``diff`` between revisions, versions, locks, manifests and folders."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.locks import LINUX, LockWorld, lock_world
from support.product import VERSION, Result
from support.wheels import make_wheel

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(world: LockWorld, *words: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *who, *words], cwd=world.world.root, check=True, capture_output=True)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LockWorld]:
    """Three commits: version 1.0.0 with a 1.0; a 2.0 and b, still 1.0.0; then version 1.1.0."""
    with lock_world(tmp_path) as made:
        for version in ("1.0", "2.0"):
            make_wheel(made.public.folder, "a", version, files={"a.py": "x = 1\n" * int(float(version) * 1000)})
        make_wheel(made.public.folder, "b", "1.0")
        git(made, "init", "--quiet")
        made.configure("a==1.0")
        made.lock(platforms=(LINUX, "macosx-x64"))
        commit(made, "first")
        made.configure("a==2.0", "b")
        made.lock(platforms=(LINUX, "macosx-x64"))
        commit(made, "second")
        path = made.world.environment_folder() / "package.json"
        path.write_text(path.read_text().replace('"version": "1.0.0"', '"version": "1.1.0"'))
        commit(made, "third")
        yield made


def commit(world: LockWorld, message: str) -> None:
    git(world, "add", "--all")
    git(world, "commit", "--quiet", "--message", message)


def diff(world: LockWorld, *words: str) -> Result:
    return world.world.run("diff", VERSION, *words, env=world.env)


def moves(world: LockWorld, *words: str) -> dict[str, Any]:
    result = diff(world, *words, "--format", "json")
    assert result.status == 0, result.stderr
    return {c["name"]: (c["before"], c["after"]) for c in json.loads(result.stdout)["changes"]}


UP = {"a": (["1.0"], ["2.0"]), "b": ([], ["1.0"])}
DOWN = {"a": (["2.0"], ["1.0"]), "b": (["1.0"], [])}


def test_revisions_and_what_lies_there(world: LockWorld) -> None:
    """By default since the last commit; each platform with its growth."""
    assert moves(world) == {}
    assert "nothing changed" in diff(world).stderr
    assert moves(world, "HEAD~2") == UP
    assert moves(world, "HEAD~1", "HEAD~2") == DOWN
    world.configure("a==1.0")
    world.lock()
    found = json.loads(diff(world, "--format", "json").stdout)
    assert [(c["name"], list(c["bytes"])) for c in found["changes"]] == [("a", [LINUX]), ("b", [LINUX])]
    assert found["bytes"][LINUX] < 0 == found["bytes"]["macosx-x64"]


def test_a_version_is_the_last_that_was_committed_under_it(world: LockWorld) -> None:
    """Locks that came after the version was set count to it."""
    assert moves(world, "1.0.0") == {}
    assert moves(world, "HEAD~2", "1.0.0") == UP
    assert moves(world, "1.1.0", "HEAD~2") == DOWN


def test_files_and_folders(world: LockWorld, tmp_path: Path) -> None:
    """A lock, a folder of them, a manifest; of one platform that one is compared with all."""
    old = tmp_path / "old"
    shutil.copytree(world.world.environment_folder(), old)
    world.configure("a==1.0")
    world.lock(platforms=(LINUX, "macosx-x64"))
    assert moves(world, str(old)) == DOWN
    here = world.world.environment_folder() / f"pylock.{LINUX}.toml"
    assert moves(world, str(old / here.name), str(here)) == DOWN
    manifest = {"platform": LINUX, "wheels": [{"name": "a", "version": "0.5", "size": 10, "sha256": "0"}]}
    (tmp_path / "m.json").write_text(json.dumps(manifest))
    assert moves(world, str(tmp_path / "m.json"), str(here)) == {"a": (["0.5"], ["1.0"])}


def test_forms(world: LockWorld) -> None:
    """A table for people, one for a pull request."""
    lines = diff(world, "HEAD~2").stdout.splitlines()
    assert lines[0] == f"changed in {VERSION}:"
    assert lines[1].split() == ["package", "before", "after", LINUX, "macosx-x64"]
    assert lines[-1].startswith("in all")
    rows = diff(world, "HEAD~2", "--format", "markdown").stdout.splitlines()
    assert rows[0] == f"| package | before | after | {LINUX} | macosx-x64 |"
    assert rows[1] == "| --- | --- | --- | ---: | ---: |"
    assert rows[2].startswith("| a | 1.0 | 2.0 | +")


@pytest.mark.parametrize("word", ["nonsense", "9.9.9", "--help-me", "HEAD~99"])
def test_what_names_nothing_is_a_usage_error(world: LockWorld, word: str) -> None:
    """With all that could have been meant."""
    result = world.world.run("diff", VERSION, "--", word, env=world.env)
    assert result.status == 2
    assert f"`{word}` names no state of {VERSION}" in result.stderr
    assert "a git revision, a version" in result.stderr


def test_other_failures(world: LockWorld, tmp_path: Path) -> None:
    """A file that is neither, a folder without locks, a workspace that is in no repository."""
    (tmp_path / "x.json").write_text('{"a": 1}')
    assert "is neither a lock nor a manifest" in diff(world, str(tmp_path / "x.json")).stderr
    (tmp_path / "empty").mkdir()
    assert "holds no lock" in diff(world, str(tmp_path / "empty")).stderr
    shutil.rmtree(world.world.root / ".git")
    assert "`HEAD` names no state" in diff(world).stderr
