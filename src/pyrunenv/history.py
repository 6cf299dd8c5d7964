"""What an environment held at some time: as locked now, at a git revision, at a version, or as a file tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrunenv import process
from pyrunenv.config.workspace import PACKAGE
from pyrunenv.errors import LockFormat, ProcessFailed, UsageError
from pyrunenv.lock import pylock
from pyrunenv.lock.difference import Held, held
from pyrunenv.platforms import PLATFORMS

if TYPE_CHECKING:
    from pyrunenv.config.workspace import Environment

NOW = "."
_WAYS = "a git revision, a version of the environment (1.4.0), a lock, a manifest, a folder with locks, or `.` for what lies there now"


def state(environment: Environment, word: str) -> Mapping[str, Held]:
    """Return what each platform held at what a word names, see ``_WAYS``; raises UsageError where it names nothing."""
    if word == NOW:
        return _folder(environment.folder)
    path = Path(word)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _file(path)
    commit = commit_of(environment.folder, word) or _commit_of_version(environment.folder, word)
    if commit is None:
        raise UsageError(f"`{word}` names no state of {environment.full_version}", hint=f"give {_WAYS}")
    return dict(_at(environment.folder, commit))


def _folder(folder: Path) -> dict[str, Held]:
    found = {key: held(lock) for key in PLATFORMS if (lock := pylock.read(folder, key)) is not None}
    if not found:
        raise UsageError(f"{folder} holds no lock", hint="run `pyrunenv lock`, or name another state")
    return found


def _file(path: Path) -> dict[str, Held]:
    """A lock, or a manifest of ours."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        manifest: dict[str, Any] = json.loads(text)
    except ValueError:
        lock = pylock.parse(text, path)
        return {lock.platform: held(lock)}
    try:
        wheels: dict[str, dict[str, tuple[int, str]]] = {}
        for wheel in manifest["wheels"]:
            wheels.setdefault(wheel["name"], {})[wheel["version"]] = (wheel["size"], wheel["sha256"])
        return {manifest["platform"]: wheels}
    except (KeyError, TypeError, AttributeError) as error:
        raise LockFormat(f"{path} is neither a lock nor a manifest", notes=[f"no key {error}"]) from None


def _at(folder: Path, commit: str) -> Iterator[tuple[str, Held]]:
    """The locks of a commit; one of another format is passed over by whoever reads it."""
    for key in PLATFORMS:
        name = f"pylock.{key}.toml"
        text = git(folder, "show", f"{commit}:./{name}")
        if text is not None:
            lock = pylock.parse(text, Path(f"{commit[:12]}:{name}"))
            yield key, held(lock)


def commit_of(folder: Path, word: str) -> str | None:
    """The commit of a revision as git takes it."""
    if word.startswith("-"):
        return None
    found = git(folder, "rev-parse", "--verify", "--quiet", f"{word}^{{commit}}")
    return found.strip() if found else None


def _commit_of_version(folder: Path, version: str) -> str | None:
    """The newest commit at which package.json had a version."""
    for commit in (git(folder, "log", "--format=%H", "--", PACKAGE) or "").split():
        try:
            package = json.loads(git(folder, "show", f"{commit}:./{PACKAGE}") or "null")
        except ValueError:
            continue
        if isinstance(package, dict) and package.get("version") == version:
            return _last_with(folder, commit)
    return None


def _last_with(folder: Path, commit: str) -> str:
    """The last commit before package.json changed again: locks may have been committed after the version."""
    later = (git(folder, "log", "--format=%H", "--reverse", f"{commit}..HEAD", "--", PACKAGE) or "").split()
    if not later:
        return "HEAD"
    parent = git(folder, "rev-parse", "--verify", "--quiet", f"{later[0]}^")
    return parent.strip() if parent else commit


def git(folder: Path, *words: str) -> str | None:
    """What git prints, or None where it refuses; raises UsageError without git."""
    try:
        done = process.run(["git", "-C", str(folder), *words], check=False)
    except ProcessFailed as error:
        raise UsageError("git is needed to look at revisions and versions", notes=[error.message]) from None
    return done.stdout if not done.status else None
