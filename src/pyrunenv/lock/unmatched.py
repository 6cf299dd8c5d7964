"""Entries of the configuration that a lock shows to match nothing: ``skip``, ``forceSource``, ``buildWheel``.

An environment's own entry is a warning where it matches on none of its platforms that were locked; one of the shared
file only where it matches in no environment of the workspace, and only if all of them are locked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pyrunenv.config.merge import root_name
from pyrunenv.config.workspace import SHARED
from pyrunenv.errors import PyrunenvError

if TYPE_CHECKING:
    from pyrunenv.config.schema import Config
    from pyrunenv.config.workspace import Environment
    from pyrunenv.lock.model import Lock
    from pyrunenv.lock.run import LockedTarget

_KEYS = {"skip": "skip", "forceSource": "force_source", "buildWheel": "build_wheel"}


def unmatched_own(locked: Iterable[LockedTarget]) -> list[str]:
    """Return the warnings about environments' own entries, for the targets that were locked now."""
    by_folder: dict[str, list[LockedTarget]] = {}
    for entry in locked:
        if entry.made:
            by_folder.setdefault(str(entry.target.environment.folder), []).append(entry)
    found = []
    for entries in by_folder.values():
        environment = entries[0].target.environment
        if environment.own is None:
            continue
        seen = {e.target.platform.key: names_of(environment, e.lock) for e in entries}
        for key, name in _dead(environment.own, seen):
            found.append(f"{environment.folder.name}/config.json: packages.{key}.{name} matches no package there")
    return found


def unmatched_shared(environments: Sequence[Environment], locked: Sequence[LockedTarget]) -> list[str]:
    """Return the warnings about the shared file; none as long as some target of the workspace has no lock."""
    made = {(str(e.target.environment.folder), e.target.platform.key): e.lock for e in locked}
    matched: set[tuple[str, str]] = set()
    entries: dict[tuple[str, str], None] = {}
    for environment in environments:
        seen = {}
        for platform in environment.platforms():
            lock = made.get((str(environment.folder), platform.key)) or _lock_on_disk(environment, platform.key)
            if lock is None:
                return []
            seen[platform.key] = names_of(environment, lock)
        dead = set(_dead(environment.config, seen, only_locked=False))
        for entry in _entries(environment.config):
            if environment.own is not None and entry[1] in getattr(environment.own.packages, _KEYS[entry[0]]):
                continue
            entries[entry] = None
            if entry not in dead:
                matched.add(entry)
    return [f"{SHARED}: packages.{key}.{name} matches no package of any environment" for key, name in entries
            if (key, name) not in matched]  # fmt: skip


def names_of(environment: Environment, lock: Lock) -> frozenset[str]:
    """Every name that a target has to do with: its roots, skipped or not, and all that is in its lock."""
    from pyrunenv.platforms import PLATFORMS

    config = environment.target(PLATFORMS[lock.platform])
    roots = {name for requirement in config.dependencies if (name := root_name(requirement))}
    return frozenset({*roots, *(p.name for p in lock.packages), *(m.name for m in lock.missing)})


def _entries(config: Config) -> Iterable[tuple[str, str]]:
    for key, attribute in _KEYS.items():
        for name, platforms in getattr(config.packages, attribute).items():
            if platforms:
                yield key, name


def _dead(config: Config, seen: Mapping[str, frozenset[str]], *, only_locked: bool = True) -> Iterable[tuple[str, str]]:
    """Yield entries that match on no platform that they name; those for platforms nobody looked at are not judged."""
    for key, name in _entries(config):
        named = set(getattr(config.packages, _KEYS[key])[name])
        looked_at = named & seen.keys()
        judged = looked_at == named if only_locked else True
        if judged and not any(name in seen[platform] for platform in looked_at):
            yield key, name


def _lock_on_disk(environment: Environment, platform: str) -> Lock | None:
    from pyrunenv.lock import pylock

    try:
        return pylock.read(environment.folder, platform)
    except PyrunenvError:
        return None
