"""Entries of the configuration that match nothing in the locks: ``skip``, ``forceSource``, ``buildWheel``.

An environment's own entry matches nothing where no package of any platform that it names has its name; one of the shared
file only where that is so in every environment. Entries are judged only where all locks that they concern are known.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pyrunenv.config.merge import root_name

if TYPE_CHECKING:
    from pyrunenv.config.schema import Config
    from pyrunenv.config.workspace import Environment
    from pyrunenv.lock.model import Lock
    from pyrunenv.platforms import Platform

Entry = tuple[str, str]
"""The key below ``packages``, and the package's name (normalised)."""
Names = Callable[["Environment", "Platform"], Container[str] | None]
"""What gives every name that a target has to do with, or None where it is not locked."""

_KEYS = {"skip": "skip", "forceSource": "force_source", "buildWheel": "build_wheel"}


def unmatched_own(environment: Environment, seen: Mapping[str, Container[str] | None]) -> list[Entry]:
    """Return the entries of an environment's own file that match nothing; ``seen`` has the names of each platform."""
    own = environment.own
    if own is None:
        return []
    here = {platform.key: seen.get(platform.key) for platform in environment.platforms()}
    matching = set(_matching(own, here))
    return [entry for entry in entries(own) if entry not in matching and _named(own, entry) & here.keys()]


def unmatched_shared(environments: Sequence[Environment], names: Names) -> list[Entry]:
    """Return the entries of the shared file that match nothing in any of all environments."""
    matched: set[Entry] = set()
    all_of_them: dict[Entry, None] = {}
    for environment in environments:
        own = environment.own
        here = [e for e in entries(environment.config) if own is None or e[1] not in getattr(own.packages, _KEYS[e[0]])]
        if not here:
            continue
        all_of_them.update(dict.fromkeys(here))
        seen = {platform.key: names(environment, platform) for platform in environment.platforms()}
        if None in seen.values():
            return []
        matched.update(_matching(environment.config, seen))
    return [entry for entry in all_of_them if entry not in matched]


def names_in(environment: Environment, lock: Lock) -> frozenset[str]:
    """Every name that a target has to do with: its roots, skipped or not, and all that is in its lock."""
    from pyrunenv.platforms import PLATFORMS

    locked = (*(p.name for p in lock.packages), *(m.name for m in lock.missing))
    return frozenset(locked) | root_names_of(environment, PLATFORMS[lock.platform])


def root_names_of(environment: Environment, platform: Platform) -> frozenset[str]:
    """The names of a target's roots, skipped or not."""
    return frozenset(name for root in environment.target(platform).dependencies if (name := root_name(root)))


def entries(config: Config) -> Iterator[Entry]:
    """Yield the entries of a config that name some platform."""
    for key, attribute in _KEYS.items():
        for name, platforms in getattr(config.packages, attribute).items():
            if platforms:
                yield key, name


def _named(config: Config, entry: Entry) -> set[str]:
    key, name = entry
    return set(getattr(config.packages, _KEYS[key])[name])


def _matching(config: Config, seen: Mapping[str, Container[str] | None]) -> Iterator[Entry]:
    """Yield entries that match on a platform that they name, or may match there."""
    for entry in entries(config):
        known = [seen[platform] for platform in _named(config, entry) & seen.keys()]
        if any(names is None or entry[1] in names for names in known):
            yield entry
