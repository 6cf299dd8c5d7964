"""Wheels of pinned roots, on their way into the cache while the resolver works.

Resolving waits for the network much more than it uses it. What a root pins is what its group will hold, so that its wheel
can be chosen without the resolver, from the registry's page (PEP 691): a guess, which the lock confirms by the digest. Where
it is wrong, or cannot be made, nothing is lost but bytes.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urljoin

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from pyrunenv.errors import PyrunenvError
from pyrunenv.fetch.download import Download, Fetcher
from pyrunenv.fetch.pool import Pool
from pyrunenv.lock.answers import most_specific
from pyrunenv.lock.catalogue import pinned_version
from pyrunenv.lock.pages import JSON
from pyrunenv.lock.roots import wanted_roots
from pyrunenv.lock.sources import forced_names
from pyrunenv.wheels.tags import supported_tags

if TYPE_CHECKING:
    from packaging.tags import Tag

    from pyrunenv.lock.run import Target

log = logging.getLogger(__name__)

_PAGES_AT_ONCE = 8


class Ahead:
    """Begins downloads for the targets of one run. Safe for several threads."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._pool = Pool(_PAGES_AT_ONCE, "ahead")
        self._lock = threading.Lock()
        self._stopped = False
        self._wheels: dict[tuple[str, Version], Future[list[dict[str, Any]]]] = {}

    def begin(self, target: Target) -> None:
        """Begin to download the wheels of a target's pinned roots. Returns at once.

        Where several registries have a say, which of them serves a name is left to the resolver.
        """
        config = target.config
        if config.registries.additional:
            return
        index = config.registries.default.rstrip("/")
        forced = forced_names(config)
        for root in wanted_roots(config, target.platform, target.environment.python_version):
            name, version = pinned_version(root.requirement)
            if version is not None and name not in forced:
                self._pool.submit(partial(self._begin, target, f"{index}/{name}/", version))

    def stop(self) -> None:
        """Look for no further wheels; downloads that were begun go on until the fetcher is stopped."""
        self._stopped = True
        self._pool.close(patience=0)

    def _begin(self, target: Target, page: str, version: Version) -> None:
        if self._stopped:
            return
        try:
            wheel = _fitting(self._wheels_of(page, version), target)
            if wheel is not None:
                name, sha256 = wheel["filename"], wheel["hashes"]["sha256"]
                self._fetcher.begin(Download(wheel["url"], sha256, wheel.get("size"), name))
        except (PyrunenvError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.debug("no wheel of %s %s for %s is fetched ahead: %r", page, version, target, error)

    def _wheels_of(self, page: str, version: Version) -> list[dict[str, Any]]:
        with self._lock:
            known = self._wheels.get((page, version))
            future = known or self._wheels.setdefault((page, version), Future())
        if known is None:
            try:
                content = self._fetcher.content(page, {"Accept": JSON}, compressed=True)
                future.set_result(_wheels(content, page, version))
            except Exception as error:
                future.set_exception(error)
        return future.result()


def _wheels(content: bytes, page: str, version: Version) -> list[dict[str, Any]]:
    """Read the wheels of a version out of a page, their URLs absolute."""
    found = []
    for file in json.loads(content)["files"]:
        parts = file["filename"].split("-", 2)
        if len(parts) == 3 and parts[2].endswith(".whl") and _version(parts[1]) == version:
            found.append({**file, "name": file["filename"], "url": urldefrag(urljoin(page, file["url"])).url})
    return found


@lru_cache(maxsize=1 << 12)
def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _fitting(wheels: list[dict[str, Any]], target: Target) -> dict[str, Any] | None:
    """The wheel that the lock will name, by the same rule."""
    floors = target.config.floors
    ranks = _ranks(target.platform, target.environment.python_version, floors.glibc, floors.macos)
    fitting = [wheel for wheel in wheels if not _tags(wheel["filename"]).isdisjoint(ranks)]
    return dict(most_specific(fitting, ranks)) if fitting else None


@lru_cache(maxsize=32)
def _ranks(*target: Any) -> Mapping[Tag, int]:
    return {tag: rank for rank, tag in enumerate(supported_tags(*target))}


def _tags(filename: str) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(filename)[3]
    except InvalidWheelFilename:
        return frozenset()
