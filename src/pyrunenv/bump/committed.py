"""Published versions as git knows them: what was committed when a version came.

The base is the first commit at which package.json had the version of HEAD (and there were locks), not the last before the
next version: a version is published once, from the commit that brings it, and what came after it is what a new version is
for. Were a commit taken too early, a version would be raised once too often, which harms nobody; too late, and a change
would be published under a version that others have already, or never.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrunenv import process
from pyrunenv.bump.base import Base, CatalogueBase, entries_of, snapshot
from pyrunenv.bump.changelog import NAME, Changelog
from pyrunenv.config.load import Findings, Unreadable
from pyrunenv.config.package import load_catalogue
from pyrunenv.config.workspace import CATALOGUE, PACKAGE, PREFIX, SHARED, read_workspace
from pyrunenv.errors import LockFormat, ProcessFailed, PublishError, UsageError
from pyrunenv.history import commit_of, git

if TYPE_CHECKING:
    from pyrunenv.config.workspace import Environment, Workspace

_SINCE = "name the revision that was published last: --since REV"


class Committed:
    """Takes published versions from git: each from the commit that brought it, or all as of the revision ``since``."""

    def __init__(self, root: Path, since: str | None = None) -> None:
        self._root = root
        _check(root)
        self._since = commit_of(root, since) if since is not None else None
        if since is not None and self._since is None:
            raise UsageError(f"`{since}` is no revision of {root}", hint="name a commit, a tag or a branch of git")

    def environment(self, environment: Environment) -> Base | None:
        """See :class:`~pyrunenv.bump.base.Bases`; raises PublishError where git cannot tell what was published."""
        commit = self._commit(environment.folder, environment.package.version, locked=True)
        return self._environment_at(environment, commit) if commit is not None else None

    def catalogue(self, workspace: Workspace) -> CatalogueBase | None:
        """See :class:`~pyrunenv.bump.base.Bases`."""
        folder, package = workspace.catalogue, workspace.catalogue_package
        if folder is None or package is None:
            return None
        commit = self._commit(folder, package.version, locked=False)
        return self._catalogue_at(commit) if commit is not None else None

    def _commit(self, folder: Path, version: str, *, locked: bool) -> str | None:
        if self._since is not None:
            return self._since if _package(folder, self._since) is not None else None
        try:
            committed = _package(folder, "HEAD")
        except UsageError:
            committed = None  # no git on this machine
        found = _first(folder, str(committed.get("version")), locked=locked) if committed is not None else None
        log = folder / NAME
        if found is None and log.is_file() and Changelog(log.read_bytes()).has(version):
            raise PublishError(
                f"nothing tells what {folder.name} {version} was: git has no commit of it",
                notes=[f"{NAME} has an entry for {version}: it was published"], hint=_SINCE,
            )  # fmt: skip
        return found

    def _environment_at(self, environment: Environment, commit: str) -> Base:
        name, shown = environment.folder.name, commit[:8]
        with tempfile.TemporaryDirectory(prefix="pyrunenv-") as temporary:
            # without links in its own name (macOS has /tmp as one): what is copied must lie in the environment's folder
            there = self._checkout(commit, [SHARED, name], Path(temporary).resolve())
            found = read_workspace(there, lenient=True).environments
            if not found:
                raise PublishError(f"{name}/{PACKAGE} of commit {shown} cannot be read", hint=_SINCE)
            try:
                return snapshot(found[0], f"commit {shown}", lenient=True)
            except LockFormat as error:
                message = error.message.replace(f"{there}{os.sep}", f"{shown}:")
                raise LockFormat(message, notes=error.notes, hint=_SINCE) from None

    def _checkout(self, commit: str, names: list[str], to: Path) -> Path:
        """Write what a commit has of the workspace to a folder, as git would in a clone; returns the workspace there."""
        prefix = (git(self._root, "rev-parse", "--show-prefix") or "").strip()
        place = (git(self._root, "rev-parse", "--absolute-git-dir") or "").strip()
        there = [name for name in names if git(self._root, "cat-file", "-e", f"{commit}:./{name}") is not None]
        tree = to / "tree"
        tree.mkdir()
        command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.sparseCheckout=false", f"--git-dir={place}",
                   f"--work-tree={tree}"]  # fmt: skip
        env = {**os.environ, "GIT_INDEX_FILE": str(to / "index")}
        try:
            # all of it, since .gitattributes of any folder above may say how files are to be written
            process.run([*command, "read-tree", commit], cwd=tree, env=env)
            process.run([*command, "checkout", "--quiet", "--", *(f":(top,literal){prefix}{name}" for name in there)],
                        cwd=tree, env=env)  # fmt: skip
        except ProcessFailed as error:
            raise PublishError(f"git cannot give commit {commit[:8]}", notes=error.notes, hint=_SINCE) from None
        return tree / prefix

    def _catalogue_at(self, commit: str) -> CatalogueBase:
        names = (git(self._root, "ls-tree", "--name-only", "-z", commit) or "").split("\0")
        folders = [self._root / name for name in names if Path(name).name.startswith(PREFIX)]
        packages = [package for folder in folders if (package := self._package_at(folder.name, commit)) is not None]
        versions = {str(package.get("name")): str(package.get("version")) for package in packages}
        with tempfile.TemporaryDirectory(prefix="pyrunenv-") as temporary:
            place = self._checkout(commit, [f"{CATALOGUE}/{PACKAGE}"], Path(temporary).resolve())
            try:
                found = load_catalogue(place / CATALOGUE / PACKAGE, PACKAGE, Findings(lenient=True))
            except Unreadable:
                found = None
        if found is None:
            raise PublishError(f"{CATALOGUE}/{PACKAGE} of commit {commit[:8]} cannot be read", hint=_SINCE)
        return CatalogueBase(found.version, entries_of(found, versions))

    def _package_at(self, name: str, commit: str) -> dict[str, Any] | None:
        return _parsed(git(self._root, "show", f"{commit}:./{name}/{PACKAGE}"))


def _check(root: Path) -> None:
    """Raise PublishError where there is a repository, and git does not read it: it would look as if there was none."""
    try:
        done = process.run(
            ["git", "-C", str(root), "rev-parse", "--git-dir"], check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except ProcessFailed:
        return
    if done.status and "not a git repository" not in done.stderr:
        raise PublishError(f"git does not read the repository of {root}", notes=done.stderr.splitlines())


def _first(folder: Path, version: str, *, locked: bool) -> str | None:
    """The first commit at which package.json had a version, and with ``locked`` a lock beside it."""
    found = next((commit for commit in _candidates(folder, version) if _has(folder, commit, version)), None)
    if found is not None and _cut_off(folder, found):
        raise PublishError(
            f"git's history of {folder.name} is cut off before its version {version} came",
            hint=f"fetch all of it (`git fetch --unshallow`), or {_SINCE}",
        )
    if found is None or not locked or _locked(folder, found):
        return found
    later = (git(folder, "log", "--format=%H", "--reverse", f"{found}..HEAD", "--", "pylock.*") or "").split()
    return next((c for c in later if _has(folder, c, version) and _locked(folder, c)), None)


def _candidates(folder: Path, version: str) -> Iterator[str]:
    """Commits that changed how often package.json says the version, then all that changed it, each from the first on."""
    for narrow in (["-m", f"-S{json.dumps(version)}"], []):
        yield from (git(folder, "log", "--format=%H", "--reverse", *narrow, "--", PACKAGE) or "").split()


def _has(folder: Path, commit: str, version: str) -> bool:
    package = _package(folder, commit)
    return package is not None and package.get("version") == version


def _locked(folder: Path, commit: str) -> bool:
    names = (git(folder, "ls-tree", "--name-only", commit) or "").split()
    return any(Path(name).name.startswith("pylock.") for name in names)


def _cut_off(folder: Path, commit: str) -> bool:
    """Whether a commit is where a shallow clone ends: it has the version, and may not be the one that brought it."""
    shallow = (git(folder, "rev-parse", "--is-shallow-repository") or "").strip() == "true"
    return shallow and commit_of(folder, f"{commit}^") is None


def _package(folder: Path, commit: str) -> dict[str, Any] | None:
    return _parsed(git(folder, "show", f"{commit}:./{PACKAGE}"))


def _parsed(text: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads((text or "null").removeprefix("\ufeff"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
