"""Can this machine do it? Looks at everything that a build of some targets will need, and changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyrunenv.config.requirements import parse_root
from pyrunenv.doctor import machine, network
from pyrunenv.doctor.result import Result, Status
from pyrunenv.errors import InterpreterError, LockFormat
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    import requests

    from pyrunenv.config.workspace import Workspace
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.lock.model import Lock
    from pyrunenv.lock.run import Target

__all__ = ["Result", "Status", "examine"]

_PATIENCE = 45.0
_Check = tuple[Result, Callable[[], Result]]


def examine(workspace: Workspace, targets: Sequence[Target], cache: Cache) -> list[Result]:
    """Return one result for each thing that matters to the targets, whatever servers and disks do."""
    from pyrunenv.fetch.session import make_session

    locks = {target: lock for target in targets if (lock := _lock(target)) is not None}
    results = list(_machine(workspace, targets, locks, cache))
    with make_session() as session:
        checks = [*_registries(targets, session), *_interpreters(targets, cache, session), *_storages(targets, session)]
        return results + network.together(checks, _PATIENCE)


def _lock(target: Target) -> Lock | None:
    try:
        return target.read_lock()
    except LockFormat:
        return None


def _machine(
    workspace: Workspace, targets: Sequence[Target], locks: dict[Target, Lock], cache: Cache
) -> Iterator[Result]:
    wheels = {p.file.url: p.file.size or 0 for lock in locks.values() for p in lock.packages}
    bundles = sum(2 * sum(p.file.size or 0 for p in lock.packages) for lock in locks.values())
    remedy = (
        "free some space (`pyrunenv cache prune --max-size SIZE`), or set PYRUNENV_CACHE to a folder on another disk"
    )
    yield machine.room(cache.root, "cache", sum(wheels.values()), remedy)
    yield machine.room(
        workspace.root, "workspace", bundles, "free some space (`pyrunenv cleanup`), or build fewer targets"
    )
    yield machine.uv()
    to_build = [package for lock in locks.values() for package in lock.to_build]
    yield machine.compiler(needed=any(package.build and package.build.compiler for package in to_build))
    yield machine.patchelf(needed=any(target.config.python.source == "local" for target in targets))
    git = any("git+" in root for target in targets for root in target.config.dependencies)
    rust = any(
        "maturin" in w.filename or "setuptools_rust" in w.filename
        for p in to_build
        if p.build
        for w in p.build.requires
    )
    yield from machine.all_tools(git=git, cargo=rust)


def _registries(targets: Sequence[Target], session: requests.Session) -> Iterator[_Check]:
    """Each registry once, asked for a project that the config wants from it."""
    from pyrunenv.fetch.credentials import named_registries, registries_for

    asked: dict[str, str] = {}
    named: dict[str, str] = {}
    for target in targets:
        registries = target.config.registries
        named.update({strip_credentials(r.url): r.name for r in registries.additional if r.name})
        names = [name for root in target.config.dependencies if (name := parse_root(root).name)]
        for _, url in named_registries(registries):
            served = next((name for name in names if url in registries_for(registries, name)), None)
            own = next(
                (r.packages[0] for r in registries.additional if r.packages and r.url.rstrip("/") in url.rstrip("/")),
                None,
            )
            if served or url not in asked:
                asked[url] = served or own or "pip"
    for url, project in asked.items():
        yield network.late("registry", url), _call(network.registry, session, url, project, named.get(url))


def _interpreters(targets: Sequence[Target], cache: Cache, session: requests.Session) -> Iterator[_Check]:
    from pyrunenv.fetch.credentials import learn
    from pyrunenv.interpreters import choose

    seen: dict[str, None] = {}
    for target in targets:
        learn(target.config)
        version = target.environment.python_version
        what = f"CPython {version} for {target.platform}"
        if what in seen:
            continue
        seen[what] = None
        try:
            chosen = choose(target.config.python, version, target.platform)
        except InterpreterError as error:
            found = Result("interpreter", "error", what, "; ".join((error.message, *error.notes)), error.hint or "")
            yield found, _call(replace, found)
            continue
        if chosen.url is None:
            yield network.late("interpreter", what), _call(_local, version, target, what, cache)
        elif chosen.sha256 and cache.has(chosen.sha256):
            found = Result("interpreter", "ok", what, f"{chosen.source}: in the cache")
            yield found, _call(replace, found)
        else:
            yield network.late("interpreter", what), _call(network.archive, session, chosen.url, what)


def _local(version: str, target: Target, what: str, cache: Cache) -> Result:
    from pyrunenv.interpreters import local
    from pyrunenv.interpreters.layout import Layout

    try:
        layout = Layout(target.platform, version)
        found, _ = local.find(version, layout, allow_other_patch=False, uv_cache=cache.root / "uv")
    except InterpreterError as error:
        return Result("interpreter", "error", what, "; ".join((error.message, *error.notes)), error.hint or "")
    return Result("interpreter", "ok", what, f"local: {found.prefix}")


def _storages(targets: Sequence[Target], session: requests.Session) -> Iterator[_Check]:
    seen: set[tuple[str, str | None]] = set()
    for target in targets:
        registry = target.environment.package.registry
        if registry.download_url and (registry.name, registry.download_url) not in seen:
            seen.add((registry.name, registry.download_url))
            late = replace(network.late("storage", registry.name), status="warning")
            yield late, _call(network.download, session, registry.download_url, registry.name)
        if registry.storage_url and (registry.name, registry.storage_url) not in seen:
            seen.add((registry.name, registry.storage_url))
            yield (
                network.late("storage", registry.name),
                _call(network.storage, registry.storage_url, registry.name, os.environ),
            )


def _call(function: Callable[..., Result], *arguments: object) -> Callable[[], Result]:
    return lambda: function(*arguments)
