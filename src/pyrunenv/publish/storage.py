"""Object storage: S3 and its kin, Google's, Azure's, or a folder, each through one narrow door (obstore).

Whatever appears under an address appears whole, and nothing that is there is replaced unless that is asked for: small
objects are put on the condition that nothing is there, and so are large ones in S3; elsewhere these cannot be put in parts
on a condition, and go to a temporary address first, from where they are copied on that condition.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pyrunenv.errors import StorageError
from pyrunenv.secrets import mask

if TYPE_CHECKING:
    from obstore import UpdateVersion
    from obstore.store import ObjectStore

    from pyrunenv.publish.s3 import Bucket

_PART = 8 << 20
_PARALLEL = 8  # parts of one object under way: 64 MiB in memory
_TEMPORARY = "tmp/pyrunenv"
_ABANDONED = timedelta(days=1)
_DOCUMENT = 64 << 20


@dataclass(frozen=True)
class Found:
    """A small object, and the storage's tag for this state of it."""

    content: bytes
    tag: UpdateVersion


class Stopped(Exception):
    """An upload ended since the run was stopped."""


class Storage:
    """One storage. ``shown`` is its address without what may be secret; addresses of objects are below its top.

    All methods raise StorageError where it cannot be reached or refuses.
    """

    def __init__(
        self, store: ObjectStore, shown: str, *, folder: Path | None = None, bucket: Bucket | None = None
    ) -> None:
        self._store = store
        self._folder = folder
        self._bucket = bucket
        self.shown = shown

    def url(self, address: str) -> str:
        """An object's address as a person is told it."""
        return f"{self.shown.rstrip('/')}/{address}"

    def size(self, address: str) -> int | None:
        """Return an object's size in bytes, None where there is none."""
        import obstore

        with self._told("look at", address):
            try:
                return obstore.head(self._store, address)["size"]
            except FileNotFoundError:
                return None

    def read(self, address: str) -> Found | None:
        """Return a document, None where there is none."""
        import obstore

        with self._told("read", address):
            try:
                result = obstore.get(self._store, address)
            except FileNotFoundError:
                return None
            meta = result.meta
            if meta["size"] > _DOCUMENT:
                raise StorageError(f"{self.url(address)} has {meta['size']} bytes, which no document has")
            tag = {"e_tag": meta["e_tag"], "version": meta["version"]}
            return Found(bytes(result.bytes()), cast("UpdateVersion", {k: v for k, v in tag.items() if v is not None}))

    def chunks(self, address: str, start: int = 0) -> Iterator[memoryview]:
        """Yield an object's bytes from ``start`` on; raises StorageError where there is none."""
        import obstore

        with self._told("read", address):
            options: Any = {"range": {"offset": start}} if start else {}
            result = obstore.get(self._store, address, options=options)
            for chunk in result.stream(min_chunk_size=1 << 20):
                yield memoryview(chunk)

    def list(self, prefix: str) -> list[str]:
        """Return the addresses of all objects below a prefix."""
        import obstore

        with self._told("list", prefix):
            return [meta["path"] for page in obstore.list(self._store, prefix) for meta in page]

    def digest(self, address: str) -> str:
        """Return the sha256 of an object's bytes, all of which are read."""
        found = hashlib.sha256()
        for chunk in self.chunks(address):
            found.update(chunk)
        return found.hexdigest()

    def create(self, address: str, content: bytes) -> bool:
        """Put a document where none is; returns False, and changes nothing, where there is one."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._told("write", address):
            try:
                if self._folder is None:
                    obstore.put(self._store, address, content, mode="create", attributes=_attributes(address))
                else:
                    with self._temporary() as temporary:
                        obstore.put(self._store, temporary, content)
                        obstore.copy(self._store, temporary, address, overwrite=False)
            except AlreadyExistsError:
                return False
        return True

    def replace(self, address: str, content: bytes, before: Found | None) -> bool:
        """Put a document in place of the state of it that was read; returns False where that is another by now."""
        import obstore
        from obstore.exceptions import PreconditionError

        if before is None:
            return self.create(address, content)
        with self._told("write", address):
            if self._folder is not None:
                return self._replace_file(address, content, before)
            try:
                obstore.put(self._store, address, content, mode=before.tag, attributes=_attributes(address))
            except (PreconditionError, FileNotFoundError):
                return False
        return True

    def overwrite(self, address: str, content: bytes) -> None:
        """Put a document, whatever is there."""
        import obstore

        with self._told("write", address):
            if self._folder is None:
                obstore.put(self._store, address, content, attributes=_attributes(address))
                return
            with self._temporary() as temporary:
                obstore.put(self._store, temporary, content)
                obstore.rename(self._store, temporary, address)

    def upload(
        self, address: str, source: Path, sha256: str, *, overwrite: bool = False,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> bool:  # fmt: skip
        """Put a file; returns False where there is an object already, unless it is to be replaced.

        Raises StorageError, and leaves nothing behind, where the file has another sha256. ``on_bytes`` hears of bytes
        that are on their way; what it raises ends the upload.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        pieces = _pieces(source, sha256, on_bytes)
        with self._told("write", address):
            if self._bucket is not None:
                return self._bucket.put(address, pieces, overwrite=overwrite)
            with self._temporary() as temporary:
                obstore.put(self._store, temporary, pieces, chunk_size=_PART, max_concurrency=_PARALLEL)
                try:
                    obstore.copy(self._store, temporary, address, overwrite=overwrite)
                except AlreadyExistsError:
                    return False
        return True

    def delete(self, address: str) -> None:
        """Remove an object; one that is not there is none to remove."""
        import obstore

        with self._told("remove", address), suppress(FileNotFoundError):
            obstore.delete(self._store, address)

    def sweep(self, older: timedelta = _ABANDONED) -> int:
        """Remove what killed runs left under temporary addresses; returns how many there were."""
        import obstore

        limit = datetime.now(UTC) - older
        with self._told("sweep", _TEMPORARY):
            found = [
                meta["path"] for page in obstore.list(self._store, _TEMPORARY) for meta in page
                if meta["last_modified"] < limit
            ]  # fmt: skip
            for path in found:
                self.delete(path)
            count = len(found) + (self._bucket.sweep(older) if self._bucket else 0)
        return count + (_sweep_staged(self._folder / _TEMPORARY, limit) if self._folder else 0)

    @contextmanager
    def _temporary(self) -> Iterator[str]:
        """Give an address of this run's own, and remove what is there at the end."""
        address = f"{_TEMPORARY}/{secrets.token_hex(16)}"
        try:
            yield address
        finally:
            with suppress(StorageError):
                self.delete(address)

    def _replace_file(self, address: str, content: bytes, before: Found) -> bool:
        """A folder knows no conditional put: one process at a time looks and replaces."""
        import obstore
        from filelock import FileLock

        assert self._folder is not None
        lock = self._folder / _TEMPORARY / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            now = self.read(address)
            if now is None or now.content != before.content:
                return False
            with self._temporary() as temporary:
                obstore.put(self._store, temporary, content)
                obstore.rename(self._store, temporary, address)
        return True

    @contextmanager
    def _told(self, verb: str, address: str) -> Iterator[None]:
        """Tell what the library raises as an error of ours; what is expected is caught before it comes here."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        known: tuple[type[Exception], ...] = (BaseError, OSError, ValueError, *_of_boto3())
        try:
            yield
        except known as error:
            refused = isinstance(error, (PermissionDeniedError, UnauthenticatedError, PermissionError))
            hint = _hint(error)
            if refused or "AccessDenied" in str(error):
                hint = "check the credentials, and what they are allowed to do there"
            raise StorageError(f"cannot {verb} {self.url(address)}", notes=[_reason(error)], hint=hint) from error


def _attributes(address: str) -> dict[str, str]:
    """How the web serves a document; what changes must not be kept by caches on the way."""
    kind = {"json": "application/json", "sha256": "text/plain"}.get(
        address.rpartition(".")[2], "application/octet-stream"
    )
    stays = "no-cache" if address.endswith("/latest.json") else "public, max-age=3600"
    return {"Content-Type": kind, "Cache-Control": stays}


def _pieces(source: Path, sha256: str, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    """Yield a file in chunks; fails before the last one is taken as such where it is not the file that was promised."""
    found = hashlib.sha256()
    with source.open("rb", buffering=0) as stream:
        while chunk := stream.read(1 << 20):  # the library puts them together to parts
            found.update(chunk)
            on_bytes(len(chunk))
            yield chunk
    if found.hexdigest() != sha256:
        raise StorageError(
            f"{source} is not the archive that its manifest tells of",
            notes=[f"sha256: expected {sha256}", f"got {found.hexdigest()}"],
            hint="it was changed after it was built: build it again with `pyrunenv build --force`",
        )


def _sweep_staged(folder: Path, limit: datetime) -> int:
    """Remove what a killed process had begun to write below a folder, which the library does not list."""
    count = 0
    for path in folder.glob("*#*") if folder.is_dir() else ():
        with suppress(OSError):
            if path.stat().st_mtime < limit.timestamp():
                path.unlink()
                count += 1
    return count


def _of_boto3() -> tuple[type[Exception], ...]:
    """What the library for S3 raises, where it was used."""
    module = sys.modules.get("botocore.exceptions")
    return (module.BotoCoreError, module.ClientError) if module else ()


def _reason(error: BaseException) -> str:
    """What the server says, else the first sentence of what the library says, which goes on with its own state."""
    text = str(error).partition("\n\nDebug source")[0]
    said = [found[1] for tag in ("Code", "Message") if (found := re.search(f"<{tag}>([^<]+)</{tag}>", text))]
    if said:
        return mask(": ".join(said))
    return mask(" ".join(text.partition("<?xml")[0].split()).rstrip(": ") or type(error).__name__)


def _hint(error: BaseException) -> str:
    if isinstance(error, OSError) and not isinstance(error, (FileNotFoundError, ConnectionError)) and error.errno:
        return os.strerror(error.errno).lower()
    return "check its address, the network and the credentials, then run again: what is done is not done twice"
