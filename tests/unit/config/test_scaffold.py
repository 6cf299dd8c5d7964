"""A new environment: all of it or nothing, and sound as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.workspaces import make_workspace, write_json

from pyrunenv import cli
from pyrunenv.checks import check_workspace
from pyrunenv.config import scaffold
from pyrunenv.config.scaffold import plan
from pyrunenv.config.workspace import load_workspace
from pyrunenv.errors import UsageError, WriteError
from pyrunenv.platforms import PLATFORMS


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def workspace(root: Path, **more: Any) -> Path:
    own = {"packages": {"dependencies": ["a==1"], "copyFiles": [{"from": "bin/tool", "to": "bin/tool"}]}}
    make_workspace(
        root, {}, {"3.12.10": own, "3.12.10-sc": {}}, platforms=("linux-x64", "macosx-x64"), catalogue=True, **more
    )
    (root / "python-3.12.10" / "bin").mkdir()
    (root / "python-3.12.10" / "bin" / "tool").write_text("#!/bin/sh\n")
    (root / "python-3.12.10" / "bin" / "tool").chmod(0o755)
    (root / "python-3.12.10" / "pylock.linux-x64.toml").write_text("x")
    return root


def make(root: Path, full: str, like: str | None = None, *platforms: str) -> scaffold.Scaffold:
    loaded = load_workspace(root)
    source = loaded.select([like], root)[0] if like else None
    made = plan(loaded, full, source, [PLATFORMS[key] for key in platforms])
    made.write()
    return made


@pytest.mark.parametrize(("full", "like"), [("3.13.0", None), ("3.13.0-cuda", "3.12.10"), ("3.12.10-x", "3.12.10-sc")])
def test_what_is_made_has_no_finding(tmp_path: Path, full: str, like: str | None) -> None:
    """Neither in its own files nor in the catalogue."""
    workspace(tmp_path)
    make(tmp_path, full, like)
    assert [str(finding) for finding in check_workspace(tmp_path)] == []
    (found,) = load_workspace(tmp_path).select([full], tmp_path)
    assert found.package.name == f"@test/test.runenv-python-{full}"
    assert (found.package.version, found.python_version) == ("0.1.0", full.partition("-")[0])
    catalogue = json.loads((tmp_path / "catalogue" / "package.json").read_text())
    assert catalogue["dependencies"][found.package.name] == "0.1.0"
    assert list(catalogue["block-software"]["entrypoints"]) == ["3.12.10", "3.12.10-sc", full]


def test_from_brings_the_config_as_it_is_written_and_the_files_that_it_names(tmp_path: Path) -> None:
    """Run bits too; no locks, and platforms are the other's unless given."""
    workspace(tmp_path)
    text = '{"packages":\n\t{"dependencies": ["a==1"],  "copyFiles": [{"from": "bin", "to": "bin"}]}}'
    (tmp_path / "python-3.12.10" / "config.json").write_text(text)
    make(tmp_path, "3.13.0", "3.12.10")
    folder = tmp_path / "python-3.13.0"
    assert (folder / "config.json").read_text() == text
    assert (folder / "bin" / "tool").stat().st_mode & 0o111
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "bin", "config.json", "package.json"]
    assert load_workspace(tmp_path).select(["3.13.0"], tmp_path)[0].package.platforms == ("linux-x64", "macosx-x64")
    make(tmp_path, "3.13.0-w", "3.12.10", "windows-x64")
    assert load_workspace(tmp_path).select(["3.13.0-w"], tmp_path)[0].package.platforms == ("windows-x64",)


def test_the_registry_and_npms_keys_come_from_the_others(tmp_path: Path) -> None:
    """Whatever else their package.json has."""
    registry = {"name": "lab", "downloadURL": "https://d.example/", "storageURL": "s3://bucket/x"}
    workspace(tmp_path, registry=registry)
    path = tmp_path / "python-3.12.10" / "package.json"
    write_json(path, {**json.loads(path.read_text()), "license": "MIT"})
    make(tmp_path, "3.13.0", "3.12.10")
    (found,) = load_workspace(tmp_path).select(["3.13.0"], tmp_path)
    assert found.package.registry.name == "lab"
    assert found.package.raw["license"] == "MIT"
    assert "3.13.0" in found.package.description
    assert "3.12.10" not in found.package.description


def test_without_anything_to_go_by_the_guesses_are_told(tmp_path: Path) -> None:
    """An empty workspace, with and without a catalogue."""
    write_json(
        tmp_path / "My Envs" / "shared-config.json", {"$schema": "docs/s.json", "packages": {"dependencies": ["a"]}}
    )
    made = make(tmp_path / "My Envs", "3.12.4")
    assert made.package_name == "my-envs.runenv-python-3.12.4"
    assert [sentence.partition(":")[0] for sentence in made.said] == [
        "no environment here to take the npm name from",
        "no environment here to take the binary registry from",
        "the workspace has no catalogue/package.json",
    ]
    assert json.loads(made.files["config.json"]) == {"$schema": "../docs/s.json", "packages": {}}
    assert load_workspace(tmp_path / "My Envs").environments[0].target(PLATFORMS["linux-x64"]).dependencies == ("a",)


@pytest.mark.parametrize(
    ("full", "said"),
    [
        ("3.12.10-sc", "is there already"),
        ("3.13", "is not a full version"),
        ("3.13.0-", "is not a full version"),
        ("3.13.0_x", "is not a full version"),
        ("3.13.0-CUDA", "is not a full version"),
        ("../3.13.0", "is not a full version"),
        ("3.13.0-a/b", "is not a full version"),
        ("3.9.1", "cannot be built"),
        ("3.12.01", "cannot be built"),
        ("3.12.10-gone", "the catalogue has an entry `3.12.10-gone` already"),
        ("3.12.10-file", "is there already"),
    ],
)
def test_what_cannot_be_made_changes_nothing(tmp_path: Path, full: str, said: str) -> None:
    """Each has its own message."""
    workspace(tmp_path)
    path = tmp_path / "catalogue" / "package.json"
    catalogue = json.loads(path.read_text())
    catalogue["block-software"]["entrypoints"]["3.12.10-gone"] = {"reference": "x/dist/y"}
    write_json(path, catalogue)
    (tmp_path / "python-3.12.10-file").write_text("")
    before = tree(tmp_path)
    with pytest.raises(UsageError, match=said):
        make(tmp_path, full)
    assert tree(tmp_path) == before


def test_a_name_that_another_environment_has_is_refused(tmp_path: Path) -> None:
    """Archives of the two would overwrite each other."""
    workspace(tmp_path)
    path = tmp_path / "python-3.12.10-sc" / "package.json"
    write_json(path, {**json.loads(path.read_text()), "name": "@test/test.runenv-python-3.13.0"})
    with pytest.raises(UsageError, match=r"python-3\.12\.10-sc has the npm name"):
        make(tmp_path, "3.13.0")


@pytest.mark.parametrize("failing", ["write_atomic", "shutil.copy2"])
def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """Neither a folder nor half a catalogue, whether a file or the catalogue cannot be written."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    workspace(tmp_path)
    before = tree(tmp_path)
    monkeypatch.setattr(f"pyrunenv.config.scaffold.{failing}", full)
    with pytest.raises(WriteError, match="No space left on device"):
        make(tmp_path, "3.13.0", "3.12.10")
    assert tree(tmp_path) == before
    assert not list(tmp_path.glob(".python-*"))


def test_two_at_once_have_one_winner(tmp_path: Path) -> None:
    """The second finds the place taken when it comes to it."""
    workspace(tmp_path)
    loaded = load_workspace(tmp_path)
    first, second = plan(loaded, "3.13.0"), plan(loaded, "3.13.0")
    first.write()
    before = tree(tmp_path)
    with pytest.raises(WriteError, match="cannot be made"):
        second.write()
    assert tree(tmp_path) == before


def test_a_python_that_nobody_has_is_a_warning_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The environment is made all the same: the source may be configured later."""
    workspace(tmp_path)
    assert cli.run(["new", "3.12.99", "-C", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "python-3.12.99")
    assert "warning: python-build-standalone has no CPython 3.12.99" in err
    assert "nearest that it has: 3.12." in err
    assert "next: `pyrunenv add 3.12.99" in err
