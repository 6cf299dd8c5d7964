"""``new`` as a person uses it: from nothing to an archive, two at once, and what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.interpreters import archive_config
from support.product import VERSION, World, make_world
from support.workspaces import write_json

from pyrunenv.config.workspace import load_workspace

PLATFORMS = ("linux-x64", "windows-x64")
CONFIG: dict[str, Any] = {
    "packages": {"dependencies": ["native"], "copyFiles": [{"from": "note.txt", "to": "share/note.txt"}]}
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One environment, and a catalogue."""
    with make_world(tmp_path, {VERSION: CONFIG}, platforms=PLATFORMS, small=True, catalogue=True) as made:
        (made.environment_folder() / "note.txt").write_text("note\n", encoding="utf-8")
        yield made


def test_a_copy_is_built_to_an_archive_of_the_same_content(world: World) -> None:
    """The whole way: new, validate, lock, build; the catalogue's descriptor names it."""
    result = world.run("new", f"{VERSION}-sc", "--from", VERSION)
    assert result.status == 0, result.stderr
    folder = f"python-{VERSION}-sc"
    assert result.stdout.splitlines() == [
        *(f"made     {folder}/{name}" for name in ("README.md", "config.json", "note.txt", "package.json")),
        "changed  catalogue/package.json",
    ]
    after = f"for linux-x64, windows-x64, begun as a copy of {VERSION}"
    assert result.stderr.splitlines() == [
        f"{VERSION}-sc is `@test/test.runenv-python-{VERSION}-sc`, {after}",
        f"next: pyrunenv lock {VERSION}-sc",
    ]
    assert load_workspace(world.root).warnings == ()
    assert world.run("config", "validate", "--strict").status == 0
    assert world.run("lock", f"{VERSION}-sc").status == 0
    built = world.run("build", "--all-platforms")
    assert built.status == 0, built.stderr
    one, other = world.archives_built(), world.archives_built(f"{VERSION}-sc")
    assert sorted(one.values()) == sorted(other.values())
    assert (world.root / f"catalogue/dist/tengo/software/{VERSION}-sc.sw.json").is_file()


def test_one_from_nothing_takes_roots_and_is_built(world: World) -> None:
    """`new`, `add`, `build`, in a workspace without environment and catalogue."""
    root = world.folder / "empty"
    archives = archive_config(world.archives)
    python = {"source": "archive", "archives": archives}
    write_json(root / "shared-config.json", {"registries": {"default": world.index.url}, "python": python})
    result = world.run("new", VERSION, "--platform", "windows-x64", "--platform", "linux-x64", cwd=root)
    assert result.status == 0, result.stderr
    assert result.stderr.endswith(f"next: pyrunenv add {VERSION} REQUIREMENT…, or pyrunenv lock {VERSION} as it is\n")
    assert world.run("config", "validate", "--strict", cwd=root).status == 0
    assert world.run("build", "--all-platforms", cwd=root).status == 0
    assert world.run("add", VERSION, "native", cwd=root).status == 0
    assert world.run("build", "--all-platforms", "--locked", cwd=root).status == 0
    assert len(list((root / f"python-{VERSION}").glob("pkg-software-runenv-python-*.tgz"))) == 2


def test_two_at_once_both_stand_in_the_catalogue(world: World) -> None:
    """However many are made side by side, no entry is lost."""
    names = [f"{VERSION}-{letter}" for letter in "abcdefgh"]
    words = [sys.executable, "-m", "pyrunenv", "new", "--quiet"]
    running = [
        subprocess.Popen([*words, name], cwd=world.root, env=world.environment(), stderr=subprocess.PIPE, text=True)
        for name in names
    ]
    for process in running:
        _, said = process.communicate(timeout=120)
        assert (process.returncode, said) == (0, ""), said
    catalogue = json.loads((world.root / "catalogue/package.json").read_text(encoding="utf-8"))
    assert list(catalogue["block-software"]["entrypoints"]) == [VERSION, *names]
    assert load_workspace(world.root).warnings == ()


def test_a_version_that_no_source_has_is_made_with_a_warning(world: World) -> None:
    """The archives of the shared file are of another; nothing stops a person who knows better."""
    result = world.run("new", "3.13.0")
    assert result.status == 0
    assert f"is named for CPython {VERSION}, and not for 3.13.0" in result.stderr
    assert (world.root / "python-3.13.0/config.json").is_file()


def test_what_is_refused_says_so_and_makes_nothing(world: World) -> None:
    """A usage error each, with what to do."""
    before = sorted(world.root.rglob("*"))
    for words, said in (
        ((VERSION,), f"the environment {VERSION} exists"),
        (("3.12",), "`3.12` is not the full version of a new environment"),
        (("3.12.1", "--from", "3.12.11"), f"did you mean `{VERSION}`?"),
        (("3.12.1", "--platform", "linux"), "unknown platform `linux`"),
    ):
        result = world.run("new", *words)
        assert (result.status, result.stdout) == (2, "")
        assert said in result.stderr
        assert "\nhint: " in result.stderr
    assert sorted(world.root.rglob("*")) == before
