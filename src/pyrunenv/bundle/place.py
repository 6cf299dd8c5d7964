"""A bundle's place on disk: who may write there, and what a killed process left beside it."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyrunenv.errors import AssembleError
from pyrunenv.files import NO_ROOM, remove_tree


@contextmanager
def written(message: str) -> Iterator[None]:
    """Turn an OSError in the block into an AssembleError with this message."""
    try:
        yield
    except OSError as error:
        raise AssembleError(
            f"{message}: {error.strerror or error}",
            notes=[str(error.filename)] if error.filename else [],
            hint="make room, and build again" if error.errno in NO_ROOM else None,
        ) from error


@contextmanager
def place_lock(bundle: Path) -> Iterator[None]:
    """Keep other processes and threads from writing the bundle, or packing it, while the block runs."""
    # imported late: a run with nothing to do never needs it
    from filelock import FileLock

    bundle.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(bundle.parent / f".{bundle.name}.lock", thread_local=False):
        yield


def temporary_sibling(path: Path, suffix: str) -> Path:
    """Return a name beside ``path`` that nothing has and that :func:`remove_stale` finds."""
    # imported late, as above: random is large
    from uuid import uuid4

    return path.with_name(f".{path.name}.{uuid4().hex[:12]}{suffix}.tmp")


def remove_stale(path: Path) -> None:
    """Remove what a dead process left beside ``path``; only to be called under the lock, when no live one writes."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        remove_tree(left)
