"""Turns a locked interpreter into one tar of a bundle's layout, kept in the cache.

The tar holds everything of a bundle but ``packages/``, as files and links sorted by path. It depends on the archive (or
the installation) and :data:`RECIPE` alone. Temporary files are named ``.*.tmp`` and lie beside it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pyrunenv.errors import CacheError, InterpreterError
from pyrunenv.files import CHUNK, atomic_path, digest_of, sha256_file, write_json
from pyrunenv.interpreters.layout import Layout
from pyrunenv.lock.model import Floors, LockedInterpreter
from pyrunenv.platforms import Platform

RECIPE = 3
"""Raised whenever the same source makes another tree, or is refused."""

MTIME = 315_532_800
"""1980-01-01, the time of every file, and the oldest that a zip can hold."""

Fetch = Callable[[str, str], Path]


@dataclass(frozen=True)
class PreparedInterpreter:
    """An interpreter, ready to be unpacked. ``tree_digest`` is the sha256 of ``tar``.

    ``version`` is the full one; ``floor`` is the measured glibc or macOS as ``major.minor`` (None on Windows), which
    ``floor_cause`` (a file, and a symbol where known) raises to that. ``url`` and ``sha256`` are those of the lock.
    """

    tar: Path
    tree_digest: str
    version: str
    floor: str | None
    floor_cause: str | None
    warnings: tuple[str, ...]
    publishable: bool
    source: str
    url: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class _Facts:
    """What is kept beside a tar. ``host_files`` are libraries of this machine that are in it: (size, time in ns)."""

    tree_digest: str
    version: str
    floor: str | None
    floor_cause: str | None
    warnings: tuple[str, ...] = ()
    host_files: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> _Facts | None:
        try:
            value = json.loads(path.read_bytes())
            host_files = {name: (int(size), int(time)) for name, (size, time) in value.pop("host_files").items()}
            return cls(**dict(value, warnings=tuple(value["warnings"]), host_files=host_files))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def holds(self, tar: Path) -> bool:
        """Whether the tar is whole and the libraries in it are still the ones that this machine has."""
        try:
            for name, known in self.host_files.items():
                status = Path(name).stat()
                if (status.st_size, status.st_mtime_ns) != known:
                    return False
            return sha256_file(tar) == self.tree_digest
        except OSError:
            return False


def prepare(
    locked: LockedInterpreter,
    platform: Platform,
    *,
    cache_root: Path,
    fetch: Fetch,
    floors: Floors,
    allow_other_patch: bool = False,
    python_version: str,
) -> PreparedInterpreter:
    """Return the interpreter as a tar in the cache, made now where it is not there yet.

    ``fetch`` returns the verified file of a URL and sha256. ``allow_other_patch`` lets another patch release of the
    same minor version stand in, which makes the bundle one that cannot be published. Raises InterpreterError,
    UnsafeArchive or CacheError; safe for several processes at once.
    """
    from filelock import FileLock

    layout = Layout(platform, python_version)
    folder = cache_root / "interpreters"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        source = _source(locked, layout, folder, fetch, allow_other_patch)
        key = digest_of([RECIPE, platform.key, python_version, source.identity])[:32]
        tar, notes = folder / f"{key}.tar", folder / f"{key}.json"
        with FileLock(folder / f"{key}.lock"):
            facts = _Facts.read(notes)
            if facts is None or not facts.holds(tar):
                notes.unlink(missing_ok=True)
                facts = source.make(tar)
                write_json(notes, asdict(facts))
            os.utime(tar)  # used now: `cache prune` removes what was not for longest
    except OSError as error:
        raise CacheError(
            f"cannot prepare the interpreter in {folder}: {error.strerror or error}",
            notes=[str(error.filename)] if error.filename else [],
            hint="make room there, or set PYRUNENV_CACHE",
        ) from error
    return _prepared(facts, tar, locked, source, layout, floors)


def _prepared(
    facts: _Facts, tar: Path, locked: LockedInterpreter, source: _Source, layout: Layout, floors: Floors
) -> PreparedInterpreter:
    from pyrunenv.interpreters.floors import Floor, warning

    floor = Floor(facts.floor, facts.floor_cause or "") if facts.floor else None
    raised = warning(floor, layout.platform, glibc=floors.glibc, macos=floors.macos)
    warnings = [*source.warnings, *facts.warnings, *([raised] if raised else [])]
    publishable = facts.version == layout.python_version
    return PreparedInterpreter(
        tar, facts.tree_digest, facts.version, facts.floor, facts.floor_cause, tuple(warnings), publishable,
        locked.source, locked.url, locked.sha256,
    )  # fmt: skip


@dataclass(frozen=True)
class _Source:
    """Where the tree comes from: ``identity`` is all that tells it from others, ``make`` writes the tar."""

    identity: str
    make: Callable[[Path], _Facts]
    warnings: tuple[str, ...] = ()


def _source(locked: LockedInterpreter, layout: Layout, folder: Path, fetch: Fetch, allow_other_patch: bool) -> _Source:
    if locked.source == "local":
        from pyrunenv.interpreters.local import find

        found, warnings = find(
            layout.python_version, layout, allow_other_patch=allow_other_patch, uv_cache=folder.parent / "uv"
        )
        return _Source(found.fingerprint(layout), lambda tar: _from_installation(found, layout, tar), tuple(warnings))
    if locked.url is None or locked.sha256 is None:
        raise InterpreterError(
            f"the lock names no file for the interpreter of {layout.platform}", hint="run `pyrunenv lock` again"
        )
    url, sha256 = locked.url, locked.sha256
    return _Source(sha256, lambda tar: _from_archive(fetch(url, sha256), url, layout, tar, allow_other_patch))


def _from_archive(archive: Path, url: str, layout: Layout, tar: Path, allow_other_patch: bool) -> _Facts:
    from pyrunenv.archives import stream_archive
    from pyrunenv.interpreters import loads
    from pyrunenv.interpreters.finish import settle_python
    from pyrunenv.interpreters.layout import Root
    from pyrunenv.interpreters.tree import Tree

    name = url.partition("?")[0].rstrip("/").rpartition("/")[2].replace("%2B", "+")
    with Tree(tar.parent) as tree:
        root = Root(name)

        @cache
        def placed(path: str) -> str | None:
            below = root.below(path)
            return None if below is None else layout.place(below)

        for entry, content in stream_archive(
            archive, wanted=lambda path: placed(path) is not None, name=name, windows=layout.platform.windows
        ):
            place = placed(entry.path)
            if place is None or entry.kind == "folder":
                continue
            if entry.kind == "link":
                tree.link(place, entry.target)
            else:
                tree.add(place, b"".join(content), executable=layout.executable(place, entry.executable))
        settle_python(tree, layout, name)
        loads.check(tree, layout, name)
        return _finish(tree, layout, tar, name, prefixes=["/install"], allow_other_patch=allow_other_patch)


def _from_installation(found: Any, layout: Layout, tar: Path) -> _Facts:
    from pyrunenv.interpreters import loads
    from pyrunenv.interpreters.finish import settle_python, strip_all
    from pyrunenv.interpreters.relocate import relocate
    from pyrunenv.interpreters.tree import Tree

    with Tree(tar.parent) as tree:
        found.fill(tree, layout)
        settle_python(tree, layout, str(found.prefix))
        host_files: Mapping[str, tuple[int, int]] = {}
        warnings: list[str] = []
        if layout.platform.system == "linux":
            strip_all(tree)
            relocated = relocate(tree, layout, found.prefix, tar.parent)
            host_files, warnings = relocated.host_files, relocated.warnings
        else:
            loads.check(tree, layout, str(found.prefix))
        prefixes = [str(found.prefix), found.named]
        return _finish(tree, layout, tar, str(found.prefix), prefixes=prefixes, allow_other_patch=True,
                       warnings=warnings, host_files=host_files)  # fmt: skip


def _finish(
    tree: Any, layout: Layout, tar: Path, name: str, *, prefixes: list[str], allow_other_patch: bool,
    warnings: list[str] | None = None, host_files: Mapping[str, tuple[int, int]] | None = None,
) -> _Facts:  # fmt: skip
    from pyrunenv.interpreters.finish import finish
    from pyrunenv.interpreters.floors import tree_floor
    from pyrunenv.trees import write_tar

    finish(tree, layout, prefixes=prefixes, folder=tar.parent)
    version = _version(tree, layout, name, allow_other_patch)
    floor = tree_floor(tree, layout.platform)
    with atomic_path(tar) as temporary:
        with temporary.open("wb", buffering=CHUNK) as out:
            digest = write_tar(tree.entries(), out, MTIME)
        temporary.chmod(0o644)
    return _Facts(
        digest,
        version,
        floor.version if floor else None,
        floor.cause if floor else None,
        tuple(warnings or ()),
        host_files or {},
    )


def _version(tree: Any, layout: Layout, name: str, allow_other_patch: bool) -> str:
    header = "include/patchlevel.h" if layout.platform.windows else f"include/python{layout.minor}/patchlevel.h"
    found = re.search(rb'#define\s+PY_VERSION\s+"([\w.+]+)"', tree.read(header)) if header in tree else None
    if found is None:
        raise InterpreterError(f"{name} does not say which CPython it holds: `{header}` is missing")
    version = str(found[1].decode()).rstrip("+")
    if version != layout.python_version and not allow_other_patch:
        raise InterpreterError(
            f"{name} holds CPython {version}, where {layout.python_version} was expected",
            hint="name the archive of the right version",
        )
    return version
