"""Can this machine do it? Looks at everything that a build of some targets will need, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pyrunenv.config.requirements import parse_root
from pyrunenv.doctor import machine, network, storage
from pyrunenv.doctor.asking import Check, together
from pyrunenv.doctor.result import Result, Status
from pyrunenv.errors import InterpreterError, LockFormat
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    import requests

    from pyrunenv.config.workspace import Workspace
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.lock.model import Lock, LockedWheel
    from pyrunenv.lock.run import Target

__all__ = ["Result", "Status", "examine"]

_PATIENCE = 60.0
"""Seconds for everything; each question has its own, shorter limit (:mod:`pyrunenv.doctor.asking`)."""
_FREE_CACHE = "free some space (`pyrunenv cache prune --max-size SIZE`), or set PYRUNENV_CACHE to a folder elsewhere"
_FREE_WORKSPACE = "free some space (`pyrunenv cleanup`), or build fewer targets"


def examine(workspace: Workspace, targets: Sequence[Target], cache: Cache) -> list[Result]:
    """Return one result for each thing that matters to the targets, whatever servers and disks do."""
    from pyrunenv.fetch.credentials import learn
    from pyrunenv.fetch.session import make_session

    for target in targets:
        learn(target.config)
    locks = [lock for target in targets if (lock := _lock(target)) is not None]
    with make_session() as session:
        checks = [
            *_disks(workspace, targets, locks, cache),
            *_programs(targets, locks),
            *_registries(targets, session),
            *_interpreters(targets, cache, session),
            *_storages(targets, session),
        ]
        return together(checks, _PATIENCE)


def _late(subject: str, what: str, status: Status = "error") -> Result:
    return Result(subject, status, what, f"no answer in {_PATIENCE:.0f} s", "ask who runs it, or try again later")


def _lock(target: Target) -> Lock | None:
    try:
        return target.read_lock()
    except LockFormat:
        return None


def _disks(workspace: Workspace, targets: Sequence[Target], locks: Sequence[Lock], cache: Cache) -> Iterator[Check]:
    """Room for what the locks still have to download, and for the bundles: wheels, and archives as big as they."""
    packages = [package for lock in locks for package in lock.packages]
    missing = {p.file.url: p.file.size or 0 for p in packages if not (p.wheel and _held(p.wheel, cache))}
    downloads, bundles = sum(missing.values()), 2 * sum(p.file.size or 0 for p in packages)
    if machine.device(cache.root) == machine.device(workspace.root):
        downloads = bundles = downloads + bundles
    told = bool(locks) or not targets
    yield (
        _late("disk", "cache"),
        partial(machine.room, cache.root, "cache", downloads if told else None, _FREE_CACHE),
    )
    yield (
        _late("disk", "workspace"),
        partial(machine.room, workspace.root, "workspace", bundles if told else None, _FREE_WORKSPACE),
    )


def _held(wheel: LockedWheel, cache: Cache) -> bool:
    return cache.has(wheel.sha256, wheel.size)


def _programs(targets: Sequence[Target], locks: Sequence[Lock]) -> Iterator[Check]:
    """uv, and what is needed only where a lock builds something that wants it."""
    builds = [package.build for lock in locks for package in lock.to_build if package.build]
    compiled = any(build.compiler for build in builds)
    perhaps = sorted({package.name for lock in locks for package in lock.to_build})
    local = any(target.config.python.source == "local" for target in targets)
    tools = [wheel.filename for build in builds for wheel in build.requires]
    needed = {
        "git": any("git+" in root for target in targets for root in target.config.dependencies),
        "cargo": any(name.startswith(("maturin", "setuptools_rust")) for name in tools),
    }
    yield _late("program", "uv"), machine.uv
    yield (
        _late("program", "zig", "error" if compiled else "warning"),
        partial(machine.compiler, needed=compiled, perhaps=perhaps),
    )
    yield _late("program", "patchelf", "error" if local else "warning"), partial(machine.patchelf, needed=local)
    for entry in machine.TOOLS:
        wanted = needed.get(entry.names[0], False)
        late = _late("program", entry.names[0], "error" if wanted else "warning")
        yield late, partial(machine.tool, entry, needed=wanted)


def _registries(targets: Sequence[Target], session: requests.Session) -> Iterator[Check]:
    """Each registry once, asked for a project that the config wants from it."""
    from pyrunenv.lock.gate import Entrance, entrances_of

    rules: dict[str, Sequence[Entrance]] = {}
    asked: dict[str, tuple[str, bool] | None] = {}
    named: dict[str, str] = {}
    for target in targets:
        registries = target.config.registries
        key = registries.model_dump_json()
        named.setdefault(strip_credentials(registries.default), "default")
        named.update({strip_credentials(r.url): r.name for r in registries.additional if r.name})
        if key not in rules:
            rules[key] = entrances_of(registries)
        roots = [parse_root(text) for text in target.config.dependencies]
        names = [root.name for root in roots if root.name and not root.url]
        for entrance in rules[key]:
            if asked.get(entrance.url) is None:
                name = next((name for name in names if entrance.serves(name)), None)
                alone = name is not None and [e for e in rules[key] if e.serves(name)] == [entrance]
                own = min(entrance.only) if entrance.only else None
                asked[entrance.url] = (name, alone) if name else (own, True) if own else None
    for url, question in asked.items():
        project, alone = question or ("pip", False)
        yield _late("registry", url), partial(network.registry, session, url, project, named.get(url), alone=alone)


def _interpreters(targets: Sequence[Target], cache: Cache, session: requests.Session) -> Iterator[Check]:
    """Each version for each platform once for each way to get it."""
    seen: set[tuple[str, str]] = set()
    for target in targets:
        python = target.config.python
        what = f"CPython {target.environment.python_version} for {target.platform}"
        if (what, python.model_dump_json()) not in seen:
            seen.add((what, python.model_dump_json()))
            yield _late("interpreter", what), partial(_interpreter, target, what, cache, session)


def _interpreter(target: Target, what: str, cache: Cache, session: requests.Session) -> Result:
    from pyrunenv.interpreters import local
    from pyrunenv.interpreters.choose import choose
    from pyrunenv.interpreters.layout import Layout

    version, python = target.environment.python_version, target.config.python
    try:
        chosen = choose(python, version, target.platform)
        if chosen.url is None:
            layout = Layout(target.platform, version)
            found, _ = local.find(version, layout, allow_other_patch=False, uv_cache=cache.root / "uv")
            return Result("interpreter", "ok", what, "installed here", where=str(found.prefix))
    except InterpreterError as error:
        return Result("interpreter", "error", what, "; ".join((error.message, *error.notes)), error.hint or "")
    if chosen.sha256 and cache.has(chosen.sha256):
        return Result("interpreter", "ok", what, f"{chosen.source}: in the cache", where=chosen.url)
    remedy = f"correct `python.archives.{target.platform}.url`, or make it reachable"
    if chosen.source == "standalone":
        remedy = "set `python.mirror` to a place that this machine reaches, or use `python.source` `archive` or `local`"
    return network.interpreter(session, chosen.url, what, remedy)


def _storages(targets: Sequence[Target], session: requests.Session) -> Iterator[Check]:
    """Both addresses of each package.json's registry."""
    seen: set[tuple[str, str]] = set()
    for target in targets:
        registry = target.environment.package.registry
        late = _late("storage", registry.name, "warning")
        if registry.download_url and ("down", registry.download_url) not in seen:
            seen.add(("down", registry.download_url))
            yield late, partial(storage.download, session, registry.download_url, registry.name)
        if (storage_url := registry.storage()) and ("up", storage_url) not in seen:
            seen.add(("up", storage_url))
            yield late, partial(storage.upload, storage_url, registry.name)
