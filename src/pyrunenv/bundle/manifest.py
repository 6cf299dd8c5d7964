"""``dist/manifest/<platform>.json``: what an archive holds, where that comes from and why it is there.

Everything in it follows from the inputs: no times, no paths of the machine that built it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyrunenv.bundle.pack import Packed
from pyrunenv.files import write_json
from pyrunenv.lock.graph import Graph, Key
from pyrunenv.lock.model import Lock, LockedRoot, LockedSource
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    from pyrunenv.config.package import Package
    from pyrunenv.interpreters.prepare import PreparedInterpreter

FORMAT = 1
"""Raised whenever a reader of older manifests would misread a new one."""


def manifest_path(environment_folder: Path, platform: str) -> Path:
    """Return where a platform's manifest lies."""
    return environment_folder / "dist" / "manifest" / f"{platform}.json"


def write(
    environment_folder: Path,
    lock: Lock,
    package: Package,
    *,
    interpreter: PreparedInterpreter,
    copies_digest: str,
    packed: Packed,
    recipe: int = 1,
    unpublishable: Sequence[str] = (),
) -> Path:
    """Write the manifest of a target whose bundle and archive are there, and return its path."""
    wheelhouse = environment_folder / "pydist" / lock.platform / "packages"
    sizes = {p.file.filename: (wheelhouse / p.file.filename).stat().st_size for p in lock.packages}
    path = manifest_path(environment_folder, lock.platform)
    write_json(
        path,
        build(lock, package, interpreter=interpreter, copies_digest=copies_digest, packed=packed, wheel_sizes=sizes,
              recipe=recipe, unpublishable=unpublishable),
    )  # fmt: skip
    return path


def build(
    lock: Lock,
    package: Package,
    *,
    interpreter: PreparedInterpreter,
    copies_digest: str,
    packed: Packed,
    wheel_sizes: Mapping[str, int],
    recipe: int = 1,
    unpublishable: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the manifest as plain data.

    ``wheel_sizes`` maps file names to bytes, ``recipe`` counts the changes to how bundles are made, ``unpublishable``
    are reasons, besides the interpreter's, for which this archive must stay at home.
    """
    reasons = list(unpublishable)
    if not interpreter.publishable:
        reasons.insert(
            0, f"the interpreter is a {interpreter.source} CPython {interpreter.version}, made for a try on the spot"
        )
    return {
        "format": FORMAT,
        "environment": lock.environment,
        "platform": lock.platform,
        "package": {"name": package.name, "version": package.version},
        "publishable": not reasons,
        "unpublishableBecause": reasons,
        "inputs": {
            "lock": lock.digest,
            **dict(sorted(lock.inputs.items())),
            "copyFiles": copies_digest,
            "recipe": recipe,
        },
        "interpreter": _interpreter(interpreter, lock),
        "floors": asdict(lock.floors),
        "groups": list(lock.groups),
        "roots": [_root(root) for root in lock.roots],
        "skipped": dict(sorted(lock.skipped.items())),
        "missing": [asdict(root) for root in lock.missing],
        "wheels": list(_wheels(lock, wheel_sizes)),
        "archive": _archive(packed),
    }


def _interpreter(interpreter: PreparedInterpreter, lock: Lock) -> dict[str, Any]:
    return {
        "source": interpreter.source,
        "version": interpreter.version,
        "build": lock.interpreter.build if lock.interpreter.source == interpreter.source else None,
        "url": public_url(interpreter.url),
        "sha256": interpreter.sha256,
        "tree": interpreter.tree_digest,
        "floor": interpreter.floor,
        "floorCause": interpreter.floor_cause,
    }


def _root(root: LockedRoot) -> dict[str, Any]:
    return {
        "requirement": _public_requirement(root.requirement),
        "name": root.name,
        "groups": list(root.groups),
        "evictions": [asdict(eviction) for eviction in root.evictions],
        "noDeps": root.no_deps,
        "needsNoDeps": root.needs_no_deps,
    }


def _archive(packed: Packed) -> dict[str, Any]:
    result: dict[str, Any] = {"sha256": packed.sha256, "size": packed.size}
    if packed.tar_sha256 is not None:
        result["tar"] = {"sha256": packed.tar_sha256, "size": packed.tar_size}
    return result


def _wheels(lock: Lock, sizes: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    why = reasons_for(lock)
    for package in sorted(lock.packages, key=lambda p: (p.name, p.version, p.file.filename)):
        wheel = package.wheel
        assert wheel is not None
        chains = why.get((package.name, package.version), [])
        yield {
            "name": package.name,
            "version": package.version,
            "file": wheel.filename,
            "size": sizes[wheel.filename],
            "sha256": wheel.sha256,
            **({"builtFrom": _source(package.source)} if package.source else {}),
            "index": public_url(package.index),
            "groups": list(package.groups),
            "roots": [chain[0] for chain in chains],
            "why": min(chains, key=len, default=[]),
        }


def _source(source: LockedSource) -> dict[str, Any]:
    if source.kind == "git":
        return {"kind": "git", "url": public_url(source.url), "commit": source.commit}
    return {"kind": source.kind, "url": public_url(source.url), "sha256": source.sha256}


def reasons_for(lock: Lock) -> dict[Key, list[list[str]]]:
    """Map each package to why it is there: for each root that pulls it, the shortest way from the root to it.

    A way begins with the root's requirement and goes on with ``name version`` of each package, its own included.
    """
    graph = Graph(lock)
    found: dict[Key, list[list[str]]] = {}
    for root in lock.roots:
        for key, way in graph.ways(root).items():
            chain = [_public_requirement(root.requirement), *(f"{step.name} {step.version}" for step in way)]
            found.setdefault(key, []).append(chain)
    return found


def public_url(url: str | None) -> str | None:
    """Return a URL without credentials; of a file on this machine, the name alone."""
    if url is None:
        return None
    if urlsplit(url).scheme == "file":
        return "file:" + url.rstrip("/").rpartition("/")[2]
    return strip_credentials(url)


def _public_requirement(requirement: str) -> str:
    name, at, url = requirement.partition("@")
    if not at or "://" not in url:
        return requirement
    address, semicolon, marker = url.strip().partition(" ;")
    return f"{name.strip()} @ {public_url(address)}{semicolon}{marker}"
