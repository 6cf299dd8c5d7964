"""Puts an archive's content together from parts, of which only those are fetched that this machine lacks."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrunenv.errors import PullError
from pyrunenv.files import remove_tree, sha256_bytes
from pyrunenv.publish.parts import Part, Parts
from pyrunenv.publish.release import PublishedFile, beside, content_address
from pyrunenv.pull.store import unpack

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.pull.resolve import Chosen

log = logging.getLogger(__name__)

_AT_A_TIME = 8


def parts_of(chosen: Chosen) -> Parts | None:
    """Return the parts that an archive can be put together from; None where they are not published."""
    address = beside(chosen.archive.address)["parts.json"]
    try:
        return Parts.parse(chosen.source.read(address), chosen.source.shown(address))
    except PullError as error:
        log.debug("no parts of %s: %s", chosen, error.message)
        return None


def missing(parts: Parts, cache: Cache) -> int:
    """Return how many bytes of an archive's parts this machine lacks."""
    return sum(part.size for part in (parts.rest, *parts.wheels) if not cache.has(part.sha256, part.size))


def put_together(chosen: Chosen, parts: Parts, cache: Cache, building: Path) -> bool:
    """Fill ``building`` from parts; returns False, and leaves nothing there, where that is not what the archive holds.

    Raises FetchError or DigestMismatch where a part cannot be had.
    """
    tar = _tar_digest(chosen)
    if tar is None:
        return False
    with ThreadPoolExecutor(_AT_A_TIME, "parts") as threads:
        list(
            threads.map(
                lambda part: _obtain(chosen, part, cache), {p.sha256: p for p in (*parts.wheels, parts.rest)}.values()
            )
        )
    unpack(cache.blob(parts.rest.sha256), building, chosen.platform, f"the rest of {chosen}")
    wheelhouse = building / "packages"
    for wheel in parts.wheels:
        cache.copy_to(wheel.sha256, wheelhouse / wheel.file)
    from pyrunenv.bundle.pack import tar_digest

    if tar_digest(building, mtime=parts.mtime) == tar:
        return True
    log.warning("the parts of %s do not make its archive, which is fetched whole", chosen)
    remove_tree(building)
    return False


def _obtain(chosen: Chosen, part: Part, cache: Cache) -> None:
    with cache.lock(part.sha256):
        if not cache.check(part.sha256, part.size):
            path = cache.part(part.sha256)
            file = PublishedFile(address=content_address(part.sha256), size=part.size, sha256=part.sha256)
            chosen.source.download(file, path)
            cache.adopt(path, part.sha256)


def _tar_digest(chosen: Chosen) -> str | None:
    """The digest of the archive's tar, from its manifest, whose own digest the release tells."""
    manifest = chosen.archive.manifest
    if manifest is None:
        return None
    content = chosen.source.read(manifest.address)
    if sha256_bytes(content) != manifest.sha256:
        raise PullError(f"{chosen.source.shown(manifest.address)} is not the manifest that the release tells of")
    value: Any = json.loads(content)
    found = value.get("archive", {}).get("tar", {}).get("sha256")
    return found if isinstance(found, str) else None
