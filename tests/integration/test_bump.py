"""``bump`` in real git repositories, with locks written by hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.released import ARTIFACT, LINUX, MAC, WINDOWS, Released, released
from support.workspaces import package_json, write_json

from pyrunenv import cli

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
A, B = "3.12.10", "3.12.10-b"
Bump = Callable[..., "Told"]


class Told:
    """What a run came to; ``rows`` maps what got a version to (from, to, why)."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err
        cells = [line.split(None, 3) for line in out.partition("\n\n")[0].splitlines()[1:]]
        self.rows = {row[0]: tuple(row[1:]) for row in cells}


@pytest.fixture
def world(tmp_path: Path) -> Released:
    return released(tmp_path / "w", A, B)


@pytest.fixture
def bump(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bump:
    """Run ``bump`` in a workspace, with a text and on a day of the test's own."""
    monkeypatch.setattr(cli, "_heed_signals", lambda: None)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    def run(world: Released, *words: str, text: str = "Text.") -> Told:
        capsys.readouterr()
        status = cli.run(["bump", "-C", str(world.root), "-m", text, *words])
        return Told(status, *capsys.readouterr())

    return run


def log(world: Released, name: str = f"python-{A}") -> str:
    return (world.root / name / "CHANGELOG.md").read_text(encoding="utf-8")


def test_nothing_changed(world: Released, bump: Bump) -> None:
    """It is said, is no failure, and no file is touched; nor by what changes no bundle."""
    (world.folder(A) / "README.md").write_text("other words")
    world.set(A, "description", to="other words")
    config = world.config(A) | {"$schema": "x", "build": {"timeout": 5}}
    write_json(world.folder(A) / "config.json", config)
    before = world.files()
    told = bump(world)
    assert (told.status, told.out, world.files()) == (0, "", before)
    assert "nothing changed: no version is to be raised" in told.err


def test_an_upgrade(world: Released, bump: Bump) -> None:
    """A minor version, told in both changelogs; the catalogue follows; JSON keeps its form, the other stays."""
    path = world.folder(A) / "package.json"
    text = json.dumps(world.package(A), indent=3).replace('"version": "1.0.0"', '"version"  :"1.0.0"') + "\r\n\n"
    path.write_text(text, newline="")
    world.commit("its form")
    world.lock(A, {"a": "2.0.0", "b": "1.0"}, {"deep": "1.1"}, b=WINDOWS)
    told = bump(world)
    assert told.rows == {
        A: ("1.0.0", "1.1.0", "upgraded root a 1.0 → 2.0.0 and 2 more"),
        "catalogue": ("1.0.0", "1.1.0", f"{A} 1.0.0 → 1.1.0"),
    }
    assert path.read_bytes().decode() == text.replace('"version"  :"1.0.0"', '"version"  :"1.1.0"')
    assert (world.version(B), world.version("catalogue")) == ("1.0.0", "1.1.0")
    assert list(world.package("catalogue")["dependencies"].values()) == ["1.1.0", "1.0.0"]
    assert not (world.folder(B) / "CHANGELOG.md").exists()
    assert log(world) == ENTRY
    assert "- 3.12.10 1.0.0 → 1.1.0\n" in log(world, "catalogue")


ENTRY = f"""# Changelog of 3.12.10

## 1.1.0 - 2023-11-14

Text.

<!-- what changed, by pyrunenv bump -->

Since 1.0.0:

- upgraded root a 1.0 → 2.0.0
- added root b on {LINUX}, {MAC}
- changed 1 package beside the roots

### Added

| package | version | platforms |
| --- | --- | --- |
| b | 1.0 | {LINUX}, {MAC} |

### Changed

| package | before | after | platforms |
| --- | --- | --- | --- |
| a | 1.0 | 2.0.0 | all |
| deep | 1.0 | 1.1 | all |

### Sizes

| platform | packages | bytes | growth |
| --- | ---: | ---: | ---: |
| {LINUX} | 3 | 11.0 kB | +5.0 kB |
| {MAC} | 3 | 11.0 kB | +5.0 kB |
| {WINDOWS} | 2 | 8.0 kB | +2.0 kB |

<!-- /what changed -->
"""


def test_twice_is_once_and_more_raises_the_part(world: Released, bump: Bump) -> None:
    """Before it is committed: the entry is written anew, whatever was written into it by hand stays."""
    world.lock(A, {"a": "1.0"}, {"deep": "1.1"})
    assert bump(world).rows[A] == ("1.0.0", "1.0.1", "changed 1 package beside the roots")
    before = world.files()
    told = bump(world)
    assert told.rows[A][:2] == ("1.0.0", "1.0.1")
    assert world.files() == before
    assert (
        "3.12.10 has 1.0.1 already, and 1.0.0 is what was published: its changelog's entry is written anew" in told.err
    )
    path = world.folder(A) / "CHANGELOG.md"
    path.write_text(path.read_text().replace("Text.", "By hand."))
    world.lock(A, {"a": "1.0", "b": "1.0"}, {"deep": "1.1"})
    told = bump(world, text="More.")
    assert told.rows[A] == ("1.0.0", "1.1.0", "added root b and 1 more")
    assert "3.12.10 has 1.0.1 already, and 1.0.0 is what was published: raised to 1.1.0" in told.err
    assert "the catalogue has 1.0.1 already, and 1.0.0 is what was published: raised to 1.1.0" in told.err
    assert (log(world).count("\n## "), log(world).count("1.0.1")) == (1, 0)
    assert "## 1.1.0 - 2023-11-14\n\nBy hand.\n\nMore.\n\n<!--" in log(world)
    world.commit("1.1.0")
    assert bump(world).out == ""


def test_taken_back_before_it_was_published(world: Released, bump: Bump) -> None:
    """Nothing changed any more, and the version is higher: it is said, and nobody's version goes down by itself."""
    world.lock(A, {"a": "2.0"}, {"deep": "1.0"})
    bump(world)
    world.lock(A, {"a": "1.0"}, {"deep": "1.0"})
    told = bump(world, A)
    assert "3.12.10 is as 1.0.0 was, and has the version 1.1.0: set it back, or name a `--part`" in told.err
    assert world.version(A) == "1.1.0"


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("envVars",), ["X=1"], "changed envVars: none → X=1"),
        (("binDir",), "other", "changed binDir: bin → other"),
        (("registry",), "another", "changed the registry: platforma-open at https://bin.pl-open.science/ → another"),
        (("archiveType",), "zip", "changed the archive's type: tgz → zip"),
    ],
)
def test_what_descriptors_say_is_a_patch(
    world: Released, bump: Bump, path: tuple[str, ...], value: object, why: str
) -> None:
    world.set(A, *ARTIFACT, *path, to=value)
    assert bump(world).rows[A] == ("1.0.0", "1.0.1", why)
    assert f"- {why}\n" in log(world)


def test_floors_and_copied_files(world: Released, bump: Bump) -> None:
    """What is in a copied file counts, its name alone does not; a floor counts where it is one."""
    folder = world.folder(A)
    (folder / "bin").mkdir()
    (folder / "bin" / "tool").write_text("1\n")
    (world.root / ".gitattributes").write_text("tool text eol=crlf\n")
    write_json(folder / "config.json", world.config(A) | {"floors": {"glibc": "2.28"}})
    config = world.config(A)
    config["packages"]["copyFiles"] = [{"from": "bin", "to": "bin"}]
    write_json(folder / "config.json", config)
    world.set(A, "version", to="1.0.1")
    world.commit("1.0.1")
    # as git would give it to anybody
    (folder / "bin" / "tool").write_bytes(b"1\r\n")
    (folder / "bin").rename(folder / "tools")
    config["packages"]["copyFiles"] = [{"from": "tools", "to": "bin"}]
    write_json(folder / "config.json", config)
    assert A not in bump(world, "--dry-run").rows
    (folder / "tools" / "tool").write_bytes(b"2\r\n")
    assert bump(world, "--dry-run").rows[A] == ("1.0.1", "1.0.2", "changed copied files")
    write_json(folder / "config.json", config | {"floors": {"glibc": "2.34"}})
    world.lock(A, {"a": "1.0"}, {"deep": "1.0"})
    assert bump(world).rows[A][2] == f"changed the floor: glibc 2.28 → glibc 2.34 on {LINUX} and 1 more"


def test_what_was_copied_and_is_not_in_git(world: Released, bump: Bump) -> None:
    """It cannot be compared, and that is said."""
    config = world.config(A)
    config["packages"]["copyFiles"] = [{"from": "made.bin", "to": "x"}]
    write_json(world.folder(A) / "config.json", config)
    (world.root / ".gitignore").write_text("made.bin\n")
    (world.folder(A) / "made.bin").write_text("1")
    world.commit()
    world.lock(A, {"a": "1.1"}, {"deep": "1.0"})
    told = bump(world, "--since", "HEAD")
    assert "warning: 3.12.10: what was copied at commit" in told.err
    assert told.rows[A][1] == "1.1.0"
    (world.folder(A) / "made.bin").unlink()
    told = bump(world)
    assert (told.status, "`from` made.bin does not exist" in told.err) == (8, True)


def test_roots_and_platforms_that_go_are_major(world: Released, bump: Bump) -> None:
    """A root that is skipped now is gone there."""
    world.lock(A, {"a": "1.0"}, {"deep": "1.0"}, a=WINDOWS)
    world.set(B, *ARTIFACT, "roots", to={key: f"./pydist/{key}" for key in (LINUX, MAC, "linux-aarch64")})
    world.lock(B, {"a": "1.0"}, {"deep": "1.0"})
    assert bump(world).rows == {
        A: ("1.0.0", "2.0.0", f"removed root a on {WINDOWS}"),
        B: ("1.0.0", "2.0.0", f"dropped the platform {WINDOWS} and 1 more"),
        "catalogue": ("1.0.0", "2.0.0", f"{A} 1.0.0 → 2.0.0 and 1 more"),
    }
    entry = log(world, f"python-{B}")
    assert "- added the platform linux-aarch64\n" in entry
    assert "### Added" not in entry
    assert "| linux-aarch64 | 2 | 6.0 kB | new |" in entry


def test_the_base_is_the_first_commit_of_the_version(world: Released, bump: Bump) -> None:
    """What was committed after the version came is what changed since; also where a commit took the version back."""
    world.lock(A, {"a": "1.1"}, {"deep": "1.0"})
    world.commit("locks")
    assert bump(world).rows[A] == ("1.0.0", "1.1.0", "upgraded root a 1.0 → 1.1")
    world.commit("1.1.0")
    assert bump(world).out == ""
    world.set(A, "version", to="1.0.0")
    world.commit("back to 1.0.0, with the newer locks")
    assert bump(world).rows[A] == ("1.0.0", "1.1.0", "upgraded root a 1.0 → 1.1")


def test_a_version_without_locks_is_no_base(tmp_path: Path, bump: Bump) -> None:
    """An environment that was committed before it was locked is compared with its first locks."""
    world = released(tmp_path / "w", A, catalogue=False)
    for path in world.folder(A).glob("pylock.*"):
        path.unlink()
    world.set(A, "version", to="2.0.0")
    world.commit("no lock")
    assert "3.12.10 was never published: 2.0.0 needs no bump" in bump(world).err
    world.lock(A, {"a": "5.0"}, {"deep": "1.0"})
    world.commit("locked")
    assert bump(world).out == ""
    world.lock(A, {"a": "5.1"}, {"deep": "1.0"})
    assert bump(world).rows == {A: ("2.0.0", "2.1.0", "upgraded root a 5.0 → 5.1")}


def test_since_a_revision(world: Released, bump: Bump) -> None:
    """One for all; what is newer than it is new, and versions that are higher already stay."""
    world.git("tag", "published")
    world.lock(A, {"a": "1.1"}, {"deep": "1.0"})
    bump(world)
    world.commit("1.1.0")
    write_json(world.folder("3.13.1") / "package.json", package_json("3.13.1", version="0.1.0"))
    assert A not in bump(world).rows
    told = bump(world, "--since", "published")
    assert told.rows[A] == ("1.0.0", "1.1.0", "upgraded root a 1.0 → 1.1")
    assert "3.13.1 was never published: 0.1.0 needs no bump" in told.err
    told = bump(world, "--since", "nonsense")
    assert (told.status, "`nonsense` is no revision" in told.err) == (2, True)


def test_without_git(world: Released, bump: Bump) -> None:
    """Without an entry in its changelog nothing was published; with one, somebody has to say from what."""
    shutil.rmtree(world.root / ".git")
    world.lock(A, {"a": "1.1"}, {"deep": "1.0"})
    told = bump(world)
    assert (told.status, told.out) == (0, "")
    assert "3.12.10 was never published: 1.0.0 needs no bump" in told.err
    (world.folder(A) / "CHANGELOG.md").write_text("## 1.0.0\n")
    before = world.files()
    told = bump(world)
    assert told.status == 11
    assert "nothing tells what python-3.12.10 1.0.0 was" in told.err
    assert "hint: name the revision that was published last: --since REV" in told.err
    assert world.files() == before


def test_a_shallow_clone_is_not_believed(world: Released, bump: Bump, tmp_path: Path) -> None:
    """Its oldest commit looks as if it had brought every version."""
    world.lock(A, {"a": "1.1"}, {"deep": "1.0"})
    world.commit("locks")
    subprocess.run(["git", "clone", "--quiet", "--depth=1", world.root.as_uri(), "s"], cwd=tmp_path, check=True)
    told = bump(Released(tmp_path / "s"))
    assert told.status == 11
    assert "git's history of python-3.12.10 is cut off before its version 1.0.0 came" in told.err
    assert "git fetch --unshallow" in told.err


def test_a_version_that_came_by_a_merge(world: Released, bump: Bump) -> None:
    """The commit that brought it counts, and not the merge, which has what was done beside it."""
    world.git("checkout", "--quiet", "-b", "side")
    world.lock(B, {"a": "7.0"}, {"deep": "1.0"})
    world.commit("a lock of B")
    world.git("checkout", "--quiet", "main")
    world.set(B, "version", to="1.0.1")
    world.commit("1.0.1")
    world.git("checkout", "--quiet", "side")
    world.git("merge", "--quiet", "--message", "merged", "main")
    assert bump(world).rows[B] == ("1.0.1", "1.1.0", "upgraded root a 1.0 → 7.0")


def test_a_repository_that_git_refuses(world: Released, bump: Bump, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not look like one where nothing was published."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    told = bump(world)
    assert told.status == 11
    assert "git does not read the repository" in told.err
    assert "safe.directory" in told.err


def test_without_the_program(world: Released, bump: Bump, monkeypatch: pytest.MonkeyPatch) -> None:
    """As without a repository; a revision cannot be looked up then."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert "3.12.10 was never published: 1.0.0 needs no bump" in bump(world).err
    told = bump(world, "--since", "HEAD")
    assert (told.status, "git is needed" in told.err) == (2, True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (f"pylock.{LINUX}.toml", "nonsense", f":python-{A}/pylock.{LINUX}.toml cannot be read as a lock"),
        ("package.json", '{"version": "1.0.0"}', f"python-{A}/package.json of commit"),
    ],
)
def test_a_base_that_cannot_be_read(tmp_path: Path, bump: Bump, name: str, text: str, message: str) -> None:
    """Files of an older form, say: another revision has to be named."""
    world = released(tmp_path / "w", A, catalogue=False)
    path = world.folder(A) / name
    good = path.read_text()
    path.write_text(text)
    world.git("commit", "--quiet", "--all", "--amend", "--message", "published")
    path.write_text(good)
    world.commit("good")
    told = bump(world)
    assert told.status in (4, 11)
    assert message in told.err
    assert "hint: name the revision that was published last: --since REV" in told.err
    assert str(tmp_path) not in told.err
    assert bump(world, "--since", "HEAD").status == 0


def test_stale_locks_come_first(world: Released, bump: Bump) -> None:
    """They would tell of what is no more; nothing is written."""
    write_json(world.folder(A) / "config.json", {"packages": {"dependencies": ["a", "b"]}})
    before = world.files()
    told = bump(world)
    assert (told.status, world.files()) == (4, before)
    assert "error[stale-lock]: 3 locks are not current" in told.err
    assert "hint: run `pyrunenv lock`" in told.err
    assert bump(world, B).status == 0


def test_a_part_that_is_asked_for(world: Released, bump: Bump) -> None:
    """Without a name it is for what changed alone, with a name for what did not change too, once; less than due is said."""
    world.lock(A, {}, {"deep": "1.0"})
    told = bump(world, "--part", "minor")
    assert {name: row[1] for name, row in told.rows.items()} == {A: "1.1.0", "catalogue": "1.1.0"}
    assert "a minor version, though it has removed root a: by the rule it is major" in told.err
    for _ in range(2):
        assert bump(world, B, "--part", "major").rows[B] == ("1.0.0", "2.0.0", "asked for")
    assert (world.version(A), world.version(B), world.version("catalogue")) == ("1.1.0", "2.0.0", "2.0.0")
    assert bump(world, B, "--part", "none").status == 2


def test_prereleases_and_versions_that_fell(world: Released, bump: Bump) -> None:
    world.set(A, "version", to="1.1.0-rc.1")
    world.commit("a candidate")
    world.lock(A, {"a": "1.1"}, {"deep": "1.0"})
    assert bump(world, "--dry-run").rows[A][:2] == ("1.1.0-rc.1", "1.1.0")
    world.set(A, "version", to="1.1.0-rc.2")
    assert bump(world, "--dry-run").rows[A][:2] == ("1.1.0-rc.1", "1.1.0-rc.2")
    world.set(A, "version", to="1.0.9")
    told = bump(world)
    assert told.status == 3
    assert "python-3.12.10/package.json has the version 1.0.9, and 1.1.0-rc.1 was published already" in told.err


def test_the_catalogue_of_a_pnpm_workspace(world: Released, bump: Bump) -> None:
    """Ranges stay, and the versions that they stand for count."""
    names = list(world.package("catalogue")["dependencies"])
    world.set("catalogue", "dependencies", to={names[0]: "workspace:*", names[1]: "workspace:1.0.0"})
    world.set("catalogue", "version", to="3.0.0")
    world.commit("pnpm")
    for full in (A, B):
        world.lock(full, {"a": "1.1"}, {"deep": "1.0"})
    assert bump(world).rows["catalogue"] == ("3.0.0", "3.1.0", f"{A} 1.0.0 → 1.1.0 and 1 more")
    assert list(world.package("catalogue")["dependencies"].values()) == ["workspace:*", "workspace:1.1.0"]


def test_the_catalogue_follows_what_others_did(world: Released, bump: Bump) -> None:
    """Bumps and entries that were committed without it, though nothing is bumped now; once."""
    world.set(A, "version", to="1.0.1")
    catalogue = world.package("catalogue")
    entries = catalogue["block-software"]["entrypoints"]
    entries["old"] = entries.pop(B)
    write_json(world.root / "catalogue" / "package.json", catalogue)
    world.commit("by hand")
    assert bump(world).rows == {"catalogue": ("1.0.0", "2.0.0", f"removed the entry {B} and 2 more")}
    before = world.files()
    told = bump(world)
    assert (told.out, world.files()) == ("", before)
    world.commit("2.0.0")
    assert bump(world).out == ""


def test_in_a_folder_of_a_repository(tmp_path: Path, bump: Bump) -> None:
    """Nothing of the user's repository is touched: no hook runs, the index stays as it is."""
    world = released(tmp_path / "w", A)
    top = Released(tmp_path)
    shutil.rmtree(world.root / ".git")
    top.git("init", "--quiet")
    top.commit("all")
    hook = tmp_path / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    world.lock(A, {"a": "1.1"}, {"deep": "1.0"})
    top.git("add", "w/python-3.12.10/config.json")
    staged = top.git("status", "--porcelain")
    assert bump(world, "--dry-run").rows[A] == ("1.0.0", "1.1.0", "upgraded root a 1.0 → 1.1")
    assert top.git("status", "--porcelain") == staged
    assert not (tmp_path / "hooked").exists()


def test_a_dry_run_writes_nothing(world: Released, bump: Bump) -> None:
    """And shows the entries."""
    world.lock(A, {"a": "1.1"}, {"deep": "1.0"})
    before = world.files()
    told = bump(world, "--dry-run")
    assert world.files() == before
    assert "| a | 1.0 | 1.1 | all |" in told.out
    assert "would change  catalogue/package.json" in told.err
    assert "nothing was written (--dry-run)" in told.err


@pytest.mark.parametrize("words", [[], ["-m", " "], ["-m", "x", "-m", ""], ["-m", "## 2.0.0"]])
def test_a_text_is_asked_for(world: Released, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_heed_signals", lambda: None)
    assert cli.run(["bump", "-C", str(world.root), *words]) == 2


def test_a_day_that_is_none(world: Released, bump: Bump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    told = bump(world)
    assert (told.status, "SOURCE_DATE_EPOCH is `yesterday`" in told.err) == (2, True)


def changed(world: Released) -> None:
    """What the next two tests bump: two environments and the catalogue, six files."""
    (world.folder(A) / "CHANGELOG.md").write_text("# Mine\n\n## 1.0.0\n\nOld.\n")
    for full in (A, B):
        world.lock(full, {"a": "1.1"}, {"deep": "1.0"})


@pytest.mark.parametrize("count", range(6))
def test_a_failing_write_leaves_all_as_it_was(
    world: Released, bump: Bump, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Whichever of the files cannot be replaced."""
    changed(world)
    before = world.files()
    real, done = Path.replace, []

    def failing(path: Path, target: Path) -> Path:
        done.append(target)
        if len(done) == count + 1:
            raise OSError(28, "No space left on device", str(target))
        return real(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    told = bump(world)
    assert told.status == 8
    assert "No space left on device" in told.err
    assert world.files() == before


@pytest.mark.parametrize("count", range(6))
def test_after_a_kill_the_next_run_finishes(world: Released, bump: Bump, tmp_path: Path, count: int) -> None:
    """Whichever of the files was the last: the same run again ends as if nothing had happened."""
    changed(world)
    other = Released(Path(shutil.copytree(world.root, tmp_path / "other")))
    code = f"""
import os, pathlib
real, done = pathlib.Path.replace, []
def replace(path, target):
    done.append(target)
    if len(done) == {count + 1}:
        os._exit(137)
    return real(path, target)
pathlib.Path.replace = replace
from pyrunenv import cli
cli.run(["bump", "-m", "Text."])
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=world.root, env=dict(os.environ), capture_output=True)
    assert killed.returncode == 137
    assert world.version("catalogue") == "1.0.0"
    bump(world)
    bump(other)
    assert world.files() == other.files()
    assert (world.version(A), world.version(B), world.version("catalogue")) == ("1.1.0", "1.1.0", "1.1.0")


def test_a_kill_before_a_greater_change(world: Released, bump: Bump) -> None:
    """What a killed run wrote of a version that never came becomes the entry of the one that does."""
    world.lock(A, {"a": "1.0"}, {"deep": "1.1"})
    bump(world)
    world.git("checkout", "--quiet", f"python-{A}/package.json", "catalogue/package.json")
    world.lock(A, {}, {"deep": "1.1"})
    assert bump(world).rows[A][:2] == ("1.0.0", "2.0.0")
    assert [line for line in log(world).splitlines() if line.startswith("## ")] == ["## 2.0.0 - 2023-11-14"]
