"""``catalogue build`` and ``catalogue check``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.workspaces import make_workspace, write_json

from pyrunenv import cli


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_heed_signals", lambda: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_workspace(tmp_path, {}, {"3.12.10": {}, "3.12.10-sc": {}}, catalogue=True)


def change(root: Path, *path: str, to: object) -> None:
    file = root / "catalogue" / "package.json"
    document = json.loads(file.read_text())
    here = document
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = to
    write_json(file, document)


def test_build_writes_each_entrys_descriptor_and_removes_the_others(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the version that the catalogue depends on, and not at that of the folder."""
    software = root / "catalogue" / "dist" / "tengo" / "software"
    software.mkdir(parents=True)
    (software / "3.9.9.sw.json").write_text("{}")
    change(root, "dependencies", "@test/test.runenv-python-3.12.10", to="0.9.0")
    assert cli.run(["catalogue", "build", "-C", str(root)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines() == [str(software / "3.12.10.sw.json"), str(software / "3.12.10-sc.sw.json")]
    assert sorted(path.name for path in software.iterdir()) == ["3.12.10-sc.sw.json", "3.12.10.sw.json"]
    assert "/0.9.0-{os}-{arch}.tgz" in (software / "3.12.10.sw.json").read_text()


def test_build_refuses_what_leads_nowhere(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written then."""
    change(
        root, "block-software", "entrypoints", "3.1.1", to={"reference": "@test/gone/dist/tengo/software/main.sw.json"}
    )
    assert cli.run(["catalogue", "build", "-C", str(root)]) == 3
    assert "3.1.1: `@test/gone/dist/tengo/software/main.sw.json` names no environment" in capsys.readouterr().err
    assert not (root / "catalogue" / "dist").exists()


def test_check_finds_all_three_kinds_at_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As errors, with their lines; agreement is exit 0."""
    assert cli.run(["catalogue", "check", "-C", str(root)]) == 0
    assert capsys.readouterr() == ("", "no problem found\n")
    entries = {"3.1.1": {"reference": "@test/gone/dist/tengo/software/main.sw.json"}}
    entries["3.12.10"] = {"reference": "@test/test.runenv-python-3.12.10/dist/tengo/software/main.sw.json"}
    change(root, "block-software", "entrypoints", to=entries)
    change(root, "dependencies", "@test/test.runenv-python-3.12.10", to="0.9.0")
    assert cli.run(["catalogue", "check", "-C", str(root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("catalogue/package.json:") and ": error: " in line for line in lines)
    told = "\n".join(lines)
    assert 'entrypoints."3.1.1": is no environment of this workspace' in told
    assert 'entrypoints."3.12.10-sc": is missing' in told
    assert "is `0.9.0`, and 3.12.10 has the version `1.0.0`" in told


def test_a_workspace_ranges_version_is_the_packages_own(root: Path) -> None:
    """As pnpm has it."""
    change(root, "dependencies", "@test/test.runenv-python-3.12.10", to="workspace:*")
    assert cli.run(["catalogue", "check", "-C", str(root)]) == 0


def test_without_a_catalogue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error that says what one is."""
    make_workspace(tmp_path, {}, {"3.12.10": {}})
    for word in ("build", "check"):
        assert cli.run(["catalogue", word, "-C", str(tmp_path)]) == 2
        assert "has no catalogue" in capsys.readouterr().err
