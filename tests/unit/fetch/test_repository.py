"""Git repositories in the cache, asked of real ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pyrunenv.errors import SourceError
from pyrunenv.fetch.cache import Cache
from pyrunenv.fetch.repository import Repository

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


def git(folder: Path, *words: str) -> str:
    settings = ["-c", "user.name=t", "-c", "user.email=t@t.test", "-c", "commit.gpgsign=false"]
    command = ["git", *settings, *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / "file").write_text(text, encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", f"--message={text}")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    folder = tmp_path / "origin"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "first")
    return folder


@pytest.fixture
def repository(origin: Path, tmp_path: Path) -> Repository:
    return Repository(origin.as_uri(), Cache(tmp_path / "cache"))


def test_references_become_commits(origin: Path, repository: Repository) -> None:
    """A branch, an annotated tag, the first digits; a tag goes before a branch of its name; None for what is not there."""
    first = git(origin, "rev-parse", "HEAD")
    git(origin, "tag", "--annotate", "v1", "--message=x")
    second = commit(origin, "second")
    git(origin, "branch", "v1", second)
    assert repository.commit("main") == second
    assert repository.commit("v1") == first
    assert repository.commit(first[:8]) == first
    assert repository.commit("nothing") is None
    assert repository.commit("0123456") is None


def test_a_commit_is_fetched_once(origin: Path, repository: Repository, tmp_path: Path) -> None:
    """Checked out again without the repository; a tree may be written to without harm to the next."""
    first = git(origin, "rev-parse", "HEAD")
    repository.check_out(first, tmp_path / "one")
    (tmp_path / "one" / "file").write_text("changed", encoding="utf-8")
    origin.rename(tmp_path / "away")
    repository.check_out(first, tmp_path / "two")
    assert (tmp_path / "two" / "file").read_text(encoding="utf-8") == "first"
    assert git(tmp_path / "two", "remote", "get-url", "origin") == repository.url


def test_a_commit_that_no_branch_has_any_more(origin: Path, repository: Repository, tmp_path: Path) -> None:
    """After a forced push it is still there for who locked it, and the branch is the new one."""
    first = git(origin, "rev-parse", "HEAD")
    repository.check_out(first, tmp_path / "one")
    git(origin, "commit", "--quiet", "--amend", "--message=other")
    assert repository.commit("main") == git(origin, "rev-parse", "HEAD") != first
    repository.check_out(first, tmp_path / "two")
    assert (tmp_path / "two" / "file").exists()


def test_a_branch_that_became_a_folder_of_branches(origin: Path, repository: Repository) -> None:
    """`topic` was deleted, and `topic/one` made: both cannot be in one place."""
    git(origin, "branch", "topic")
    assert repository.commit("topic") is not None
    git(origin, "branch", "--move", "topic", "topic/one")
    assert repository.commit("topic/one") is not None
    assert repository.commit("topic") is None


@pytest.mark.parametrize("left", ["refs/heads/main.lock", "packed-refs.lock", "HEAD.lock", "config.lock"])
def test_what_a_killed_git_left_does_not_stop_the_next(
    origin: Path, repository: Repository, tmp_path: Path, left: str
) -> None:
    """Its lock files stay for ever, and nobody else writes to the cache's repository."""
    assert repository.commit("main") is not None
    (store,) = (path.parent for path in (tmp_path / "cache").rglob("HEAD") if (path.parent / "objects").exists())
    (store / left).touch()
    git(origin, "pack-refs", "--all")
    second = commit(origin, "second")
    git(origin, "branch", "another")
    assert repository.commit("main") == second


def test_what_cannot_be_had_is_an_error(origin: Path, repository: Repository, tmp_path: Path) -> None:
    """A commit that is nowhere, and a repository that is not there; with git's own words."""
    with pytest.raises(SourceError, match=f"cannot check out {'0' * 40} of {repository.url}") as failure:
        repository.check_out("0" * 40, tmp_path / "one")
    assert failure.value.notes
    assert "git must be installed" in str(failure.value.hint)
    with pytest.raises(SourceError):
        Repository((tmp_path / "none").as_uri(), Cache(tmp_path / "cache")).check_out("0" * 40, tmp_path / "two")


def test_variables_of_the_users_git_do_not_lead_elsewhere(
    origin: Path, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook, where GIT_DIR is set."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    found = Repository(repository.url, Cache(tmp_path / "other"))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    first = git(origin, "rev-parse", "HEAD")
    assert found.commit("main") == first
    found.check_out(first, tmp_path / "tree")
    assert (tmp_path / "tree" / "file").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_submodules_are_checked_out(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C libraries often are."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text('[protocol "file"]\n\tallow = always\n', encoding="utf-8")
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet", "--initial-branch=main")
    git(outer, "submodule", "--quiet", "add", origin.as_uri(), "vendor/inner")
    wanted = commit(outer, "with a submodule")
    Repository(outer.as_uri(), Cache(tmp_path / "cache")).check_out(wanted, tmp_path / "tree")
    assert (tmp_path / "tree" / "vendor" / "inner" / "file").read_text(encoding="utf-8") == "first"
