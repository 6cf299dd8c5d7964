"""Gets an environment as it was published: resolved, downloaded, verified, unpacked; what is there is not fetched again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.fetch.cache import discard
from pyrunenv.pull.parts import missing, parts_of, put_together
from pyrunenv.pull.store import Record, place, stored_at, unpack

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.pull.resolve import Chosen

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pulled:
    """An environment on this machine; ``reused`` tells that it was there."""

    folder: Path
    record: Record
    reused: bool


def pull(chosen: Chosen, cache: Cache, to: Path | None, *, force: bool = False) -> Pulled:
    """Bring an archive's content to ``to``, or into this machine's store.

    Raises FetchError, DigestMismatch, UnsafeArchive, PullError or AssembleError; what was there then stays.
    """
    record = Record.of(chosen)
    folder = to or stored_at(record)
    with place(folder, record, force=force) as building:
        if building is None:
            return Pulled(folder, record, reused=True)
        if not _from_parts(chosen, cache, building):
            _whole(chosen, cache, building)
    return Pulled(folder, record, reused=False)


def _from_parts(chosen: Chosen, cache: Cache, building: Path) -> bool:
    """Put it together from parts, where they are published and that spares something."""
    if chosen.alone or cache.has(chosen.archive.sha256, chosen.archive.size) or (parts := parts_of(chosen)) is None:
        return False
    lacking = missing(parts, cache)
    log.info("%s: %d of %d bytes are here already", chosen, parts.size - lacking, parts.size)
    return put_together(chosen, parts, cache, building)


def _whole(chosen: Chosen, cache: Cache, building: Path) -> None:
    sha256 = chosen.archive.sha256
    with cache.lock(sha256):
        if cache.check(sha256, chosen.archive.size):
            unpack(cache.blob(sha256), building, chosen.platform, str(chosen))
            return
        # not kept in the cache: it would take its room twice
        part = cache.part(sha256)
        chosen.source.download(chosen.archive, part)
        unpack(part, building, chosen.platform, str(chosen))
        discard(part)
