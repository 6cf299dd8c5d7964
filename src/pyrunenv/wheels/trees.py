"""Gets the source that a lock names: an sdist or archive, a commit of a git repository, a folder beside the config."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.errors import SourceError
from pyrunenv.lock.model import LockedSource
from pyrunenv.wheels.patches import apply_patches
from pyrunenv.wheels.source import folder_digest, unpack

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher


@contextmanager
def source_tree(
    source: LockedSource, patches: Sequence[Path], base: Path, cache: Cache, fetcher: Fetcher
) -> Iterator[Path]:
    """Give a fresh tree that a build may write to; ``base`` is what a folder's path is relative to.

    Raises SourceError, FetchError or UnsafeArchive.
    """
    with cache.temporary() as place:
        with cache.guarded("write", place):
            tree = _laid_out(source, place, base, cache, fetcher)
            below = tree / source.subdirectory if source.subdirectory else tree
        if not below.is_dir():
            raise SourceError(f"{source.url} has no folder `{source.subdirectory}`")
        apply_patches(below, patches)
        yield below


def _laid_out(source: LockedSource, place: Path, base: Path, cache: Cache, fetcher: Fetcher) -> Path:
    if source.kind == "git":
        from pyrunenv.fetch.repository import Repository

        assert source.commit is not None
        tree = place / "git"
        place.mkdir(parents=True)
        Repository(source.url, cache, offline=fetcher.offline).check_out(source.commit, tree)
        return tree
    if source.kind == "folder":
        folder = base / source.url
        if folder_digest(folder) != source.sha256:
            raise SourceError(f"{folder} changed since it was locked", hint="run `pyrunenv lock` again")
        return Path(shutil.copytree(folder, place / folder.name, symlinks=True))
    from pyrunenv.fetch.download import Download

    assert source.sha256 is not None
    archive = fetcher.fetch(Download(source.url, source.sha256, source.size, source.filename))
    return unpack(archive, source.filename, place / "sdist")
