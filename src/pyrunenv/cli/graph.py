"""``pyrunenv why`` and ``pyrunenv tree``: what brings a package in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from pyrunenv import platforms
from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.errors import PyrunenvError, UsageError
from pyrunenv.lock.graph import Chain, Graph
from pyrunenv.lock.inputs import combined
from pyrunenv.lock.model import Lock, LockedPackage, LockedRoot
from pyrunenv.lock.run import Target, stale
from pyrunenv.platforms import Platform
from pyrunenv.units import size

_Locked = list[tuple[Target, Lock]]


def why(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A package, however it is spelled.")],
    environment: options.OneEnvironment = None,
    platform: options.Platforms = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    folder: options.Folder = None,
    lenient: options.Lenient = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Say which roots bring a package in and how, which version and file were chosen, and from which index."""
    from packaging.utils import canonicalize_name

    console = Console()
    locks = _locks(environment, platform, folder, console, verbose=verbose, quiet=quiet, lenient=lenient)
    wanted = canonicalize_name(name)
    entries = [entry for target, lock in locks for entry in _entries(target, lock, wanted)]
    if not entries and not any(_absence(lock, wanted) for _, lock in locks):
        raise _unknown(name, wanted, locks)
    if as_json:
        console.result(json.dumps([_json(*entry) for entry in entries], indent=2))
        return 0
    alike: dict[tuple[object, ...], list[tuple[Target, LockedPackage, list[Chain]]]] = {}
    for entry in entries:
        _, package, chains = entry
        alike.setdefault((package.version, package.groups, *map(_line, chains)), []).append(entry)
    for group in alike.values():
        _, package, chains = group[0]
        console.result(f"{package.name} {package.version}")
        for chain in chains:
            console.result(f"  {_line(chain)}")
        if not chains:
            console.result("  a consumer asks for it")
        for target, package, _ in group:
            console.result(f"    {target.platform.key:15} {_file(package)}")
    for target, lock in locks:
        if reason := _absence(lock, wanted):
            console.result(f"not on {target.platform}: {reason}")
        elif not any(entry[0] is target for entry in entries):
            console.result(f"not on {target.platform}: nothing there needs it")
    return 0


def tree(
    environment: options.OneEnvironment = None,
    platform: options.Platforms = None,
    depth: Annotated[
        int | None, typer.Option("--depth", min=0, metavar="N", help="Show so many levels below the roots.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: every package with what it needs.")] = False,
    folder: options.Folder = None,
    lenient: options.Lenient = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Show what each root needs, as one platform has it (by default this host's, else the first)."""
    console = Console()
    locks = _locks(environment, platform, folder, console, verbose=verbose, quiet=quiet, lenient=lenient)
    if not platform:
        locks = [entry for entry in locks if entry[0].platform == _host()] or locks[:1]
    if as_json:
        console.result(json.dumps([_tree_json(*entry) for entry in locks], indent=2))
        return 0
    for target, lock in locks:
        console.result(f"{target}: {len(lock.roots)} roots, {len(lock.packages)} packages")
        for line in _tree(Graph(lock), depth):
            console.result(line)
        for name, reason in lock.skipped.items():
            console.result(f"skipped: {name}: {reason}")
    return 0


def _locks(
    environment: str | None, platform: Sequence[str] | None, folder: Any, console: Console, *,
    verbose: int, quiet: bool, lenient: bool,
) -> _Locked:  # fmt: skip
    """The locks of one environment; one that is not current is told. Raises StaleLock where there is none."""
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet, lenient=lenient)
    chosen = options.only_one(workspace, environment, start)
    found: _Locked = []
    missing = []
    for target in options.targets_of([chosen], options.chosen_platforms(platform), console):
        lock = target.read_lock()
        if lock is None:
            missing.append(target)
            continue
        found.append((target, lock))
        if lock.digest != combined(target.inputs()):
            console.warn(f"the lock of {target} is not current: this is what it says, and not what the config asks for")
    if missing and not found:
        raise stale(missing[0], None, {})
    for target in missing:
        console.note(f"{target} is not locked: passed over")
    return found


def _host() -> Platform | None:
    try:
        return platforms.host()
    except PyrunenvError:
        return None


def _entries(target: Target, lock: Lock, name: str) -> Iterator[tuple[Target, LockedPackage, list[Chain]]]:
    packages = [package for package in lock.packages if package.name == name]
    chains = Graph(lock).chains(name) if packages else []
    for package in packages:
        yield target, package, [chain for chain in chains if chain.packages[-1].version == package.version]


def _absence(lock: Lock, name: str) -> str | None:
    """Why a name that somebody asked for is not there."""
    if name in lock.skipped:
        return f"skipped: {lock.skipped[name]}"
    return next((f"cannot be had: {root.reason}" for root in lock.missing if root.name == name), None)


def _unknown(name: str, wanted: str, locks: _Locked) -> UsageError:
    from pyrunenv.config.fields import did_you_mean

    known = sorted({package.name for _, lock in locks for package in lock.packages})
    close = did_you_mean(wanted, known)
    hint = close.removeprefix(", ") if close.startswith(", did") else "`pyrunenv tree` shows all that there is"
    return UsageError(f"nothing named `{name}` is in {locks[0][0].environment.full_version}", hint=hint)


def _line(chain: Chain) -> str:
    """`scanpy==1.11.5 → anndata 0.12.6 → zarr 3.4.2 → numcodecs 0.16.3`; the root as it is written."""
    steps = [chain.root.requirement, *(f"{package.name} {package.version}" for package in chain.packages[1:])]
    if len(steps) == 1:
        return f"{steps[0]}  (a root)"
    return " → ".join(steps)


def _file(package: LockedPackage) -> str:
    built = "" if package.wheel else "built from "
    file = package.file
    name = file.filename or file.url
    return f"{built}{name}  {size(file.size) if file.size else ''}  {package.index or ''}".rstrip()


def _json(target: Target, package: LockedPackage, chains: list[Chain]) -> dict[str, Any]:
    file = package.file
    return {
        "platform": target.platform.key,
        "name": package.name,
        "version": package.version,
        "groups": list(package.groups),
        "file": file.filename or file.url,
        "built": package.wheel is None,
        "size": file.size,
        "index": package.index,
        "chains": [{"root": c.root.requirement, "packages": [[p.name, p.version] for p in c.packages]} for c in chains],
    }


def _tree(graph: Graph, depth: int | None) -> Iterator[str]:
    """Yield the lines; what was shown already with all that it needs is marked and not shown again."""
    shown: set[tuple[str, str]] = set()
    repeated = False
    several = len(graph.lock.groups) > 1
    for root in graph.lock.roots:
        group = root.groups[0] if root.groups else ""
        package = graph.package(group, root.name)
        if package is None:
            continue
        where = f"  [{', '.join(root.groups)}]" if several else ""
        no_deps = "  (without what it needs)" if root.no_deps else ""
        mark = _again(package, graph, group, shown)
        repeated |= bool(mark)
        yield f"{_label(package)}{where}{no_deps}{mark}"
        if not root.no_deps and not mark:
            for line in _below(graph, package, group, "", depth, shown):
                repeated |= line.endswith("(*)")
                yield line
    if repeated:
        yield "(*) what it needs is shown above"


def _below(
    graph: Graph, package: LockedPackage, group: str, indent: str, depth: int | None, shown: set[tuple[str, str]]
) -> Iterator[str]:
    shown.add((package.name, package.version))
    if depth == 0:
        return
    needs = graph.needs(package, group)
    for needed in needs:
        last = needed is needs[-1]
        mark = _again(needed, graph, group, shown)
        yield f"{indent}{'└── ' if last else '├── '}{_label(needed)}{mark}"
        if not mark:
            below = None if depth is None else depth - 1
            yield from _below(graph, needed, group, indent + ("    " if last else "│   "), below, shown)


def _again(package: LockedPackage, graph: Graph, group: str, shown: set[tuple[str, str]]) -> str:
    known = (package.name, package.version) in shown
    return " (*)" if known and graph.needs(package, group) else ""


def _label(package: LockedPackage) -> str:
    return f"{package.name} {package.version}" + ("" if package.wheel else "  (built from source)")


def _tree_json(target: Target, lock: Lock) -> dict[str, Any]:
    def root_json(root: LockedRoot) -> dict[str, Any]:
        return {"requirement": root.requirement, "name": root.name, "groups": list(root.groups)}

    return {
        "platform": target.platform.key,
        "roots": [root_json(root) for root in lock.roots],
        "packages": [
            {
                "name": package.name,
                "version": package.version,
                "groups": list(package.groups),
                "size": package.file.size,
                "built": package.wheel is None,
                "needs": [list(pair) for pair in package.dependencies],
            }
            for package in lock.packages
        ],
        "skipped": dict(lock.skipped),
    }
