"""Where published things are read from: a registry's download address, its storage, or a folder."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit

from pyrunenv.errors import DigestMismatch, FetchError, PullError, StorageError
from pyrunenv.fetch.cache import discard
from pyrunenv.files import CHUNK
from pyrunenv.publish.descriptors import ENTRY_POINT
from pyrunenv.secrets import mask

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.publish.release import PublishedFile
    from pyrunenv.publish.storage import Storage


class Source(Protocol):
    """Objects by their address below one top."""

    def shown(self, address: str) -> str:
        """An address as a person is told it."""
        ...

    def read(self, address: str) -> bytes:
        """Return a document; raises PullError where it cannot be had."""
        ...

    def download(self, file: PublishedFile, path: Path) -> None:
        """Bring a file to ``path``, whole and verified, going on from what lies there; raises FetchError."""
        ...

    def catalogues(self) -> list[str]:
        """Return the npm names of the catalogues here, as far as that can be told."""
        ...

    def releases(self) -> list[tuple[str, str]]:
        """Return the npm names and versions that are released here, as far as that can be told."""
        ...


@dataclass(frozen=True)
class Web:
    """What lies below a URL (http, https or file)."""

    base: str
    fetcher: Fetcher

    def shown(self, address: str) -> str:
        return mask(self._url(address))

    def read(self, address: str) -> bytes:
        try:
            return self.fetcher.content(self._url(address))
        except FetchError as error:
            raise PullError(f"{self.shown(address)} cannot be read", notes=error.notes, hint=error.hint) from error

    def download(self, file: PublishedFile, path: Path) -> None:
        self.fetcher.transfer(self._url(file.address), path, sha256=file.sha256, size=file.size).run()

    def catalogues(self) -> list[str]:
        return []  # the web lists nothing

    def releases(self) -> list[tuple[str, str]]:
        return []

    def _url(self, address: str) -> str:
        return f"{self.base.rstrip('/')}/{quote(address)}"


@dataclass(frozen=True)
class Stored:
    """What lies in an object storage."""

    storage: Storage
    cache: Cache

    def shown(self, address: str) -> str:
        return self.storage.url(address)

    def read(self, address: str) -> bytes:
        try:
            found = self.storage.read(address)
        except StorageError as error:
            raise PullError(f"{self.shown(address)} cannot be read", notes=error.notes, hint=error.hint) from error
        if found is None:
            raise PullError(f"{self.shown(address)} is not there")
        return found.content

    def download(self, file: PublishedFile, path: Path) -> None:
        resumed, digest, received = self._receive(file, path)
        if resumed and digest != file.sha256:  # what lay there was of something else
            discard(path)
            _, digest, received = self._receive(file, path)
        if digest != file.sha256:
            discard(path)
            raise DigestMismatch(
                f"{self.shown(file.address)} is not what was promised",
                notes=[f"expected sha256 {file.sha256}, {file.size} bytes", f"got {digest}, {received} bytes"],
                hint="it was replaced or damaged in the storage: tell who published it",
            )

    def _receive(self, file: PublishedFile, path: Path) -> tuple[bool, str, int]:
        """Go on from what lies at ``path``; returns whether anything did, the digest of all, and how many bytes."""
        digest, received = hashlib.sha256(), 0
        with self.cache.guarded("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a+b") as out:
                out.seek(0)
                while chunk := out.read(CHUNK):
                    digest.update(chunk)
                    received += len(chunk)
                before = received
                for piece in self.storage.chunks(file.address, before) if before < file.size else ():
                    digest.update(piece)
                    out.write(piece)
                    received += len(piece)
        return before > 0, digest.hexdigest(), received

    def catalogues(self) -> list[str]:
        with suppress(StorageError):
            found = self.storage.list("catalogue")
            names = [
                a.removeprefix("catalogue/").removesuffix("/latest.json") for a in found if a.endswith("/latest.json")
            ]
            return sorted(f"@{name}" if "/" in name else name for name in names)
        return []

    def releases(self) -> list[tuple[str, str]]:
        with suppress(StorageError):
            found = [match for address in self.storage.list("software") if (match := _RELEASE.fullmatch(address))]
            return [(f"@{match[1]}" if "/" in match[1] else match[1], match[2]) for match in found]
        return []


_RELEASE = re.compile(rf"software/(.+)/{ENTRY_POINT}/(\d+\.\d+\.\d+[^/]*)\.json")


def open_source(url: str, cache: Cache, fetcher: Fetcher) -> Source:
    """Return the source that a URL names: a storage's, or where files are downloaded from; raises StorageError."""
    if urlsplit(url).scheme in ("http", "https"):
        return Web(url, fetcher)
    from pyrunenv.publish.stores import open_storage

    return Stored(open_storage(url, create=False), cache)
