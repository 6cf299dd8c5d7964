"""Files whose index names no digest: hashed when they are locked, and downloaded again only where they changed."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyrunenv.errors import FetchError
from pyrunenv.files import write_json
from pyrunenv.secrets import mask, strip_credentials

if TYPE_CHECKING:
    from pyrunenv.fetch.download import Fetcher

_ZIP = b"PK\x03\x04"


def fetch_unhashed(fetcher: Fetcher, url: str) -> tuple[str, int]:
    """Return the sha256 and size of what a URL serves now; it is then in the cache.

    A note of the last time (``metadata/urls/``) lets the server answer that nothing has changed, and serves offline.
    """
    cache = fetcher.cache
    bare = strip_credentials(url)
    key = hashlib.sha256(bare.encode()).hexdigest()
    note = cache.metadata / "urls" / f"{key}.json"
    asked = time.time()
    remote = urlsplit(url).scheme != "file"
    try:
        with cache.lock(f"url-{key}", fetcher.cancelled):
            known = _read(note, bare)
            held = known is not None and cache.check(known["sha256"], known["size"])
            if known is not None and held and remote and (fetcher.offline or note.stat().st_mtime > asked):
                return known["sha256"], known["size"]
            if fetcher.offline and remote:
                raise FetchError(
                    f"cannot download {mask(url)} offline: its index gives no sha256", hint="run once without --offline"
                )
            return _ask(fetcher, url, note, known if held and remote else None)
    except InterruptedError as error:
        raise FetchError(f"cannot download {mask(url)}", notes=["downloading was stopped"]) from error


def _ask(fetcher: Fetcher, url: str, note: Path, known: dict[str, Any] | None) -> tuple[str, int]:
    headers = {}
    if known is not None:
        asks = {"If-None-Match": known.get("etag"), "If-Modified-Since": known.get("last-modified")}
        headers = {name: value for name, value in asks.items() if value}
    cache = fetcher.cache
    with cache.temporary(".part") as path:
        transfer = fetcher.transfer(url, path, headers=headers)
        transfer.run()
        if known is not None and transfer.reply.status == 304:
            return known["sha256"], known["size"]
        with cache.guarded("read", path), path.open("rb") as stream:
            if transfer.name.endswith(".whl") and stream.read(len(_ZIP)) != _ZIP:
                raise FetchError(f"what {mask(url)} serves is not a wheel: it is no zip file")
        cache.adopt(path, transfer.digest)
    found = {"url": strip_credentials(url), "sha256": transfer.digest, "size": transfer.received,
             "etag": transfer.reply.etag, "last-modified": transfer.reply.last_modified}  # fmt: skip
    with cache.guarded("write", note):
        write_json(note, found)
    return transfer.digest, transfer.received


def _read(note: Path, url: str) -> dict[str, Any] | None:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(content, dict) and {"url", "sha256", "size"} <= content.keys()
    return content if whole and content["url"] == url else None
