"""Branches and tags become full commits, asked of a real repository."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyrunenv.errors import ResolverFailed
from pyrunenv.lock.vcs import pin_commit, without_login

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("repository")

    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t.test", "-c", "commit.gpgsign=false", *words]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "--message=first")
    git("tag", "--annotate", "v1", "--message=tagged")
    git("commit", "--quiet", "--allow-empty", "--message=second")
    return folder, git("rev-parse", "v1^{commit}")


def test_an_annotated_tag_is_the_commit_it_points_to(repository: tuple[Path, str]) -> None:
    """The tag object's own digest is not what gets locked."""
    folder, tagged = repository
    pinned = pin_commit(f"x @ git+{folder.as_uri()}@v1#subdirectory=a")
    assert pinned == f"x @ git+{folder.as_uri()}@{tagged}#subdirectory=a"


@pytest.mark.parametrize("reference", ["@main", ""])
def test_a_branch_and_no_reference_are_the_newest_commit(repository: tuple[Path, str], reference: str) -> None:
    """A bare git URL without a name is pinned as well."""
    folder, tagged = repository
    before, _, commit = pin_commit(f"git+{folder.as_uri()}{reference}").rpartition("@")
    assert before == f"git+{folder.as_uri()}"
    assert len(commit) == 40
    assert commit != tagged


def test_a_full_commit_asks_nobody() -> None:
    """Forty digits are taken as they are, even of a host that does not exist."""
    requirement = f"x @ git+https://nowhere.invalid/x.git@{'a1' * 20}"
    assert pin_commit(requirement) == requirement


def test_other_requirements_are_left_alone() -> None:
    """Only git references are touched."""
    assert pin_commit("numpy==2.2.6; python_version > '3.10'") == "numpy==2.2.6; python_version > '3.10'"


def test_a_user_in_the_url_is_not_taken_for_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """`git+ssh://git@host/path@ref` has one reference, behind the path."""
    asked: list[list[str]] = []

    def run(command: list[str], env: Mapping[str, str]) -> object:
        asked.append(command)
        return type("Done", (), {"stdout": f"{'c' * 40}\trefs/heads/dev\n"})

    monkeypatch.setattr("pyrunenv.lock.vcs.process.run", run)
    assert pin_commit("x @ git+ssh://git@h.test/x.git@dev") == f"x @ git+ssh://git@h.test/x.git@{'c' * 40}"
    assert asked[0][2:4] == ["ssh://git@h.test/x.git", "dev"]


def test_an_unknown_reference_is_an_error(repository: tuple[Path, str]) -> None:
    """A short commit or a branch that is not there cannot be locked, and the message says what can."""
    with pytest.raises(ResolverFailed) as failure:
        pin_commit(f"x @ git+{repository[0].as_uri()}@{repository[1][:7]}")
    assert "40 digits" in str(failure.value.hint)


def test_a_repository_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    """The message names the requirement; git's own words are its notes."""
    with pytest.raises(ResolverFailed) as failure:
        pin_commit(f"x @ git+{(tmp_path / 'none').as_uri()}@main")
    assert failure.value.notes


def test_a_password_is_told_to_git_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the command nor the requirement that a lock holds has it."""
    seen: list[tuple[list[str], Mapping[str, str]]] = []

    def run(command: list[str], env: Mapping[str, str]) -> object:
        seen.append((command, env))
        return type("Done", (), {"stdout": f"{'c' * 40}\trefs/heads/dev\n"})

    monkeypatch.setattr("pyrunenv.lock.vcs.process.run", run)
    pinned = pin_commit("x @ git+https://me:open-sesame@h.test/x.git@dev")
    command, env = seen[0]
    assert "open-sesame" not in " ".join(command)
    assert env["GIT_CONFIG_KEY_0"] == "http.https://h.test/x.git.extraHeader"
    assert without_login(pinned) == f"x @ git+https://h.test/x.git@{'c' * 40}"
    assert without_login("x @ git+ssh://git@h.test/x.git@dev") == "x @ git+ssh://git@h.test/x.git@dev"
