"""Downloads, many at a time, each verified before it enters the cache: what a run asks of :mod:`pyrunenv.fetch`."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from pyrunenv.errors import CacheError, DigestMismatch, FetchError
from pyrunenv.fetch.cache import Cache
from pyrunenv.fetch.pool import Pool
from pyrunenv.fetch.problem import Problem
from pyrunenv.fetch.urls import file_name
from pyrunenv.secrets import mask

if TYPE_CHECKING:
    from pyrunenv.fetch.client import Client
    from pyrunenv.fetch.credentials import Credentials
    from pyrunenv.fetch.transfer import Transfer

log = logging.getLogger(__name__)

# No document of an index is larger than this, in bytes.
_LARGEST_TEXT = 64 << 20
_ONLINE = "run once without --offline"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Download:
    """A file to have: ``sha256`` in hexadecimal, ``size`` in bytes where known, ``name`` as a person calls it."""

    url: str
    sha256: str
    size: int | None
    name: str


_Hear = Callable[[Download, int], None]


def _nobody_hears(_download: Download, _count: int) -> None:
    pass


class Fetcher:
    """Downloads into a cache with ``connections`` at a time, for all threads of a process.

    ``timeout`` is in seconds without a byte; ``retries`` counts further attempts that bring nothing new, ``backoff`` is
    the first wait between them, in seconds. ``on_progress`` hears, from any thread, of bytes that are there now: those
    that came, those that the cache had, and a negative number where a file has to begin again.
    """

    def __init__(
        self, cache: Cache, *, connections: int = 16, timeout: float = 60.0, retries: int = 4, backoff: float = 0.5,
        offline: bool = False, credentials: Credentials | None = None,
        on_progress: _Hear | None = None,
    ) -> None:  # fmt: skip
        self.cache = cache
        self.offline = offline
        self._connections = connections
        self._patience = (timeout, retries, backoff)
        self._credentials = credentials
        self._on_progress = on_progress or _nobody_hears
        self._pool = Pool(connections, "fetch")
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._client: Client | None = None
        self._getting_ready = False
        self._pending: dict[str, Future[Path]] = {}
        self._unhashed: dict[str, Future[tuple[str, int]]] = {}
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop what is under way and close all connections."""
        self.stop()
        self._pool.close(patience=1.0 / self._connections)
        with self._connecting:
            if self._client is not None:
                self._client.close()
                self._client = None

    def stop(self) -> None:
        """Make every download end at once with a FetchError; to be called when a run is interrupted."""
        self._stopped.set()
        with self._connecting:
            if self._client is not None:
                self._client.close(patience=0)

    def fetch(self, download: Download) -> Path:
        """Return the blob of one file, downloaded if need be. Raises FetchError, DigestMismatch or CacheError."""
        return self.fetch_all([download])[download.sha256.lower()]

    def fetch_all(self, downloads: Iterable[Download]) -> dict[str, Path]:
        """Return the blob of each digest, downloading what the cache lacks; a damaged blob is downloaded again.

        Each digest is fetched once, however many threads and processes ask for it. Whatever fails, the rest is fetched;
        then one error names everything that failed.
        """
        wanted = _distinct(downloads)
        held = {download.sha256 for download in wanted if self.cache.has(download.sha256, download.size)}
        futures = {download: self._submit(download) for download in wanted}
        try:
            wait(futures.values())
        except BaseException:
            self.stop()
            raise
        failures = [(d, error) for d, future in futures.items() if (error := future.exception()) is not None]
        if failures:
            raise _together(failures, len(futures))
        for download in wanted:
            where = "was in the cache" if download.sha256 in held else f"was downloaded from {mask(download.url)}"
            log.debug("%s %s", mask(download.name), where)
        return {download.sha256: future.result() for download, future in futures.items()}

    def begin(self, download: Download) -> None:
        """Begin to download what is likely to be wanted. Nobody hears of it, or of its failure, who does not fetch it."""
        [distinct] = _distinct([download])
        self._submit(distinct, heard=False)

    def missing(self, downloads: Iterable[Download]) -> list[Download]:
        """Return what the cache lacks and only the network has, each digest once."""
        return [
            d for d in _distinct(downloads)
            if not self.cache.has(d.sha256, d.size) and urlsplit(d.url).scheme != "file"
        ]  # fmt: skip

    def fetch_unhashed(self, url: str) -> tuple[str, int]:
        """Download a file whose index gives no digest; returns its sha256 and size. Each URL is fetched once."""
        from pyrunenv.fetch.unhashed import fetch_unhashed

        with self._lock:
            future = self._unhashed.get(url)
            mine = future is None
            if future is None:
                future = self._unhashed[url] = Future()
        if mine:
            try:
                future.set_result(fetch_unhashed(self, url))
            except BaseException as error:
                with self._lock:
                    del self._unhashed[url]
                future.set_exception(error)
        return future.result()

    def text(self, url: str, headers: Mapping[str, str] | None = None, sha256: str | None = None) -> str:
        """Return a small document (UTF-8), such as a ``.metadata`` file. One with a digest is verified and cached."""
        if sha256 is not None:
            return self.fetch(Download(url, sha256, None, file_name(url))).read_text(encoding="utf-8")
        return self.content(url, headers).decode("utf-8", "replace")

    def content(self, url: str, headers: Mapping[str, str] | None = None, *, compressed: bool = False) -> bytes:
        """Return a small file, which is not cached: a signature, or a document byte by byte as it was signed.

        With ``compressed`` it may travel so, where nobody counts its bytes.
        """
        if self.offline and urlsplit(url).scheme != "file":
            raise FetchError(f"cannot download {mask(url)} offline", hint=_ONLINE)
        with self.cache.temporary(".text") as path:
            transfer = self.transfer(
                url, path, limit=_LARGEST_TEXT, headers=headers or {}, document=True, compressed=compressed
            )
            transfer.run()
            return path.read_bytes()

    def transfer(self, url: str, path: Path, *, name: str | None = None, **more: Any) -> Transfer:
        """Return a transfer of one URL to a path, with this fetcher's patience and connections."""
        from pyrunenv.fetch.transfer import Policy, Transfer

        return Transfer(
            url, name or file_name(url), path, self.cache, self._get_client, Policy(*self._patience), self._stopped, **more
        )  # fmt: skip

    def cancelled(self) -> bool:
        """Whether this fetcher was told to stop."""
        return self._stopped.is_set()

    def _submit(self, download: Download, *, heard: bool = True) -> Future[Path]:
        hear = self._on_progress if heard else _nobody_hears
        with self._lock:
            pending = self._pending.get(download.sha256)
            if pending is None:
                future = self._pending[download.sha256] = self._pool.submit(lambda: self._obtain(download, hear))
                return future
        # Somebody else in this process fetches the same: for this caller all its bytes come when it is there.
        if heard:
            pending.add_done_callback(lambda done: self._report(download, done))
        return pending

    def _report(self, download: Download, done: Future[Path]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._on_progress(download, done.result().stat().st_size if download.size is None else download.size)

    def _obtain(self, download: Download, hear: _Hear) -> Path:
        try:
            if (path := self._from_cache(download, hear)) is not None:
                return path
            if self.offline and urlsplit(download.url).scheme != "file":
                raise _not_held([f"{mask(download.name)}: {mask(download.url)}"])
            return self._from_network(download, hear)
        except InterruptedError as error:
            raise FetchError(f"cannot download {download.name}", notes=["downloading was stopped"]) from error
        finally:
            with self._lock:
                self._pending.pop(download.sha256, None)

    def _from_cache(self, download: Download, hear: _Hear) -> Path | None:
        if not self.cache.check(download.sha256, download.size):
            return None
        path = self.cache.blob(download.sha256)
        hear(download, path.stat().st_size)
        return path

    def _from_network(self, download: Download, hear: _Hear) -> Path:
        with self.cache.lock(download.sha256, self.cancelled):
            # Whoever held the lock until now may have fetched it.
            if (path := self._from_cache(download, hear)) is not None:
                return path
            if urlsplit(download.url).scheme == "file":
                self._get_ready()
            part = self.cache.part(download.sha256)
            self.transfer(
                download.url, part, name=download.name, sha256=download.sha256, size=download.size,
                on_bytes=lambda count: hear(download, count),
            ).run()  # fmt: skip
            return self.cache.adopt(part, download.sha256)

    def _get_ready(self) -> None:
        """Load the HTTP client beside what needs none: that takes 0.1 s, for which later downloads would wait."""
        with self._lock:
            if self.offline or self._getting_ready or self.cancelled():
                return
            self._getting_ready = True
        self._pool.submit(self._get_client)

    def _get_client(self) -> Client:
        with self._connecting:
            if self._stopped.is_set():
                raise Problem("downloading was stopped", again=False)
            if self._client is None:
                from pyrunenv.fetch.client import Client

                self._client = Client(self._credentials)
            return self._client


def _distinct(downloads: Iterable[Download]) -> list[Download]:
    """Each digest once, large files first, so that none is left to run alone at the end. Refuses what has no digest."""
    found: dict[str, Download] = {}
    refused = []
    for download in downloads:
        sha256 = download.sha256.lower() if download.sha256 else ""
        if _DIGEST.fullmatch(sha256):
            found.setdefault(sha256, replace(download, sha256=sha256))
        else:
            refused.append(f"{mask(download.name)}: {f'`{sha256}` is no sha256' if sha256 else 'no sha256'}")
    if refused:
        raise FetchError(
            "files without a digest are not downloaded", notes=refused, hint="lock again: `pyrunenv lock` hashes them"
        )
    return sorted(found.values(), key=lambda download: -(download.size or 0))


class _NotHeld(FetchError):
    """The cache has no sound copy of files, and the run is offline."""


def _not_held(lines: Sequence[str]) -> _NotHeld:
    count = "1 file is" if len(lines) == 1 else f"{len(lines)} files are"
    return _NotHeld(f"{count} not in the cache, and this run is offline", notes=lines, hint=_ONLINE)


def _together(failures: list[tuple[Download, BaseException]], total: int) -> BaseException:
    """One error for all that failed. A fault of the cache stands for the rest, which it most likely caused."""
    errors = [error for _, error in failures]
    for error in errors:
        if isinstance(error, CacheError) or not isinstance(error, FetchError):
            return error
    if len(failures) == 1:
        return errors[0]
    if all(isinstance(error, _NotHeld) for error in errors):
        return _not_held([line for error in errors if isinstance(error, FetchError) for line in error.notes])
    kind = DigestMismatch if all(isinstance(error, DigestMismatch) for error in errors) else FetchError
    lines = [
        f"{mask(download.name)}: {'; '.join(error.notes)} ({mask(download.url)})"
        for download, error in failures if isinstance(error, FetchError)
    ]  # fmt: skip
    hints = dict.fromkeys(error.hint for error in errors if isinstance(error, FetchError) and error.hint)
    return kind(f"{len(failures)} of {total} files cannot be downloaded", notes=lines, hint="; ".join(hints) or None)
