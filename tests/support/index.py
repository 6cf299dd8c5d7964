"""A package index for tests: PEP 503 and 691 over a folder of files, with logins, counting and faults on demand."""

from __future__ import annotations

import base64
import email
import hashlib
import html
import json
import re
import socket
import ssl
import tarfile
import threading
import zipfile
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from support.faults import Cut, Fault

TLS = Path(__file__).parent / "tls"
AUTHORITY = TLS / "authority.pem"
"""The certificate to trust for ``IndexServer(tls=True)``. Its key is nowhere; the server's is beside it."""

_DISTRIBUTIONS = (".whl", ".tar.gz", ".zip")
_JSON = "application/vnd.pypi.simple.v1+json"
_HTML = "application/vnd.pypi.simple.v1+html"


@dataclass
class Request:
    """One request that came, and the status of the reply (0: none was sent, or not yet)."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int = 0


@dataclass(frozen=True)
class Served:
    """One file of the folder and what the index says of it."""

    path: Path
    filename: str
    sha256: str
    size: int
    metadata: bytes | None

    @property
    def project(self) -> str:
        """The normalised name of the project that it belongs to (PEP 503)."""
        stem = self.filename.partition("-")[0]
        if not self.filename.endswith(".whl"):
            stem = re.sub(r"-[0-9][^-]*$", "", self.filename.removesuffix(".tar.gz").removesuffix(".zip"))
        return normalise(stem)

    @property
    def version(self) -> str:
        """The version in the file's name."""
        if self.filename.endswith(".whl"):
            return self.filename.split("-")[1]
        return self.filename.removesuffix(".tar.gz").removesuffix(".zip").rpartition("-")[2]


@dataclass
class IndexServer:
    """Serves ``folder`` (also what is put there later) at ``url``; a context manager.

    ``hashes``, ``sizes`` and ``metadata`` (PEP 658) tell what the index says of its files; ``upload_times`` maps file
    names to RFC 3339 times, ``yanked`` file names to reasons. ``auth`` is (user, password), demanded for everything.
    ``formats`` are the forms of its pages: "json", "html". ``tls`` serves https with the certificate of AUTHORITY.
    """

    folder: Path
    hashes: bool = True
    sizes: bool = True
    metadata: bool = True
    upload_times: Mapping[str, str] = field(default_factory=dict)
    yanked: Mapping[str, str] = field(default_factory=dict)
    auth: tuple[str, str] | None = None
    formats: tuple[str, ...] = ("json", "html")
    etags: bool = True
    tls: bool = False
    files_url: str | None = None
    """Where the index says that its files are, if on another server: the ``url`` of that one, without ``/simple``."""

    def __post_init__(self) -> None:
        self.requests: list[Request] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._faults: dict[str, deque[Fault]] = {}
        self._always: dict[str, Fault] = {}
        self.connected = 0
        """How many connections were made."""
        self._connections: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler, self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        self.ended.set()
        self._server.shutdown()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        assert self._server is not None
        host, scheme = ("localhost", "https") if self.tls else ("127.0.0.1", "http")
        return f"{scheme}://{host}:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The index's address, without a login."""
        return f"{self.origin}/simple"

    @property
    def url_with_login(self) -> str:
        """The index's address with the user and password that it demands."""
        assert self.auth is not None
        user, password = (quote(part, safe="") for part in self.auth)
        return self.url.replace("://", f"://{user}:{password}@", 1)

    def file_url(self, filename: str) -> str:
        """The address of one file."""
        return f"{self.files_url or self.origin}/files/{quote(filename)}"

    def fault(self, path: str, *faults: Fault, forever: bool = False) -> None:
        """Answer requests for a path (``/files/…``, ``/simple/…/``; a bare file name is one of ``/files/``) wrongly.

        The faults are used up one a request; with ``forever`` the last one stays.
        """
        path = path if path.startswith("/") else f"/files/{quote(path)}"
        with self._lock:
            self._faults.setdefault(path, deque()).extend(faults[:-1] if forever else faults)
            if forever:
                self._always[path] = faults[-1]

    def next_fault(self, path: str) -> Fault | None:
        """Take the next fault of a path."""
        with self._lock:
            if self._faults.get(path):
                return self._faults[path].popleft()
            return self._always.get(path)

    def counts(self, prefix: str = "/files/") -> Counter[str]:
        """How many requests came for each path that begins so."""
        with self._lock:
            return Counter(request.path for request in self.requests if request.path.startswith(prefix))

    def seen(self, path: str) -> list[Request]:
        """The requests for one path (or file name), in their order."""
        path = path if path.startswith("/") else f"/files/{quote(path)}"
        with self._lock:
            return [request for request in self.requests if request.path == path]

    def note(self, request: Request) -> None:
        """Remember a request."""
        with self._lock:
            self.requests.append(request)

    def track(self, connection: socket.socket, open_: bool) -> None:
        """Remember a connection, so that the end of the server ends it too."""
        with self._lock:
            (self._connections.add if open_ else self._connections.discard)(connection)

    def served(self) -> list[Served]:
        """What the folder holds now."""
        return [_served(path) for path in sorted(self.folder.iterdir()) if path.name.endswith(_DISTRIBUTIONS)]


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: Any, index: IndexServer) -> None:
        super().__init__(address, handler)
        self.index = index
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if index.tls else None
        if self._context:
            self._context.load_cert_chain(TLS / "localhost.pem")

    def process_request(self, request: Any, client_address: Any) -> None:
        self.index.connected += 1
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a client that breaks off its handshake must not stop the server.
        self.index.track(request, True)
        try:
            if self._context is None:
                super().finish_request(request, client_address)
                return
            with self._context.wrap_socket(request.dup(), server_side=True) as secured:
                self.index.track(secured, True)
                try:
                    super().finish_request(secured, client_address)
                finally:
                    self.index.track(secured, False)
        finally:
            self.index.track(request, False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what these tests are about."""


class Exchange(BaseHTTPRequestHandler):
    """One request and its reply, as :class:`support.faults.Fault` sees it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    body = b""
    start = 0
    stop: int | None = None
    ranged = False
    request_noted: Request
    etag: str | None = None
    content_type = "application/octet-stream"

    @property
    def index(self) -> IndexServer:
        index: IndexServer = self.server.index  # type: ignore[attr-defined]
        return index

    def send(self, status: int, body: bytes, headers: Mapping[str, str | None]) -> None:
        """Send a reply; a header whose value is None is left out."""
        self.request_noted.status = status
        self.send_response(status)
        every: dict[str, str | None] = {"Content-Type": self.content_type, "Content-Length": str(len(body)), **headers}
        if every["Content-Length"] is None:
            every["Connection"] = "close"
        for name, value in every.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.write(body)

    def send_file(self, only: int | None = None) -> None:
        """Send the file as it was asked for, with the right headers; ``only`` so many bytes of it."""
        part = self.body[self.start : self.stop]
        headers: dict[str, str | None] = {"Content-Length": str(len(part)), "Accept-Ranges": "bytes", "ETag": self.etag}
        if self.ranged:
            headers["Content-Range"] = f"bytes {self.start}-{self.start + len(part) - 1}/{len(self.body)}"
        self.send(206 if self.ranged else 200, part[:only], headers)

    def write(self, body: bytes) -> None:
        """Send bytes of a body (of a GET)."""
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests print what they want to see."""


class _Handler(Exchange):
    def do_GET(self) -> None:
        index = self.index
        path = urlsplit(self.path).path
        self.request_noted = Request(self.command, path, dict(self.headers.items()))
        index.note(self.request_noted)
        try:
            self._answer(index, path)
        except (Cut, OSError):
            self.close_connection = True

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, index: IndexServer, path: str) -> None:
        self.content_type = "text/plain"
        if index.auth is not None and self.headers.get("Authorization") != _basic(*index.auth):
            self.send(401, b"who are you\n", {"WWW-Authenticate": 'Basic realm="tests"'})
            return
        found = self._page(index, path) if path.startswith("/simple") else self._file(index, path)
        fault = index.next_fault(path)
        if fault is not None:
            fault.reply(self)
        elif not found:
            self.send(404, b"not here\n", {})
        elif self.etag is not None and self.headers.get("If-None-Match") == self.etag:
            self.send(304, b"", {"ETag": self.etag, "Content-Length": None})
        else:
            self.send_file()

    def _file(self, index: IndexServer, path: str) -> bool:
        self.body, self.start, self.stop, self.ranged, self.etag = b"", 0, None, False, None
        name = unquote(path.removeprefix("/files/"))
        found = index.folder / name.removesuffix(".metadata")
        if ".." in name or not found.is_file():
            return False
        served = _served(found)
        if name.endswith(".metadata") and (served.metadata is None or not index.metadata):
            return False
        self.body = (served.metadata or b"") if name.endswith(".metadata") else found.read_bytes()
        self.content_type = "application/octet-stream"
        self.etag = f'"{served.sha256[:16]}"' if index.etags else None
        self._narrow()
        return True

    def _narrow(self) -> None:
        """Obey Range: an open end is a download resumed; uv asks for the end of a wheel to find its metadata."""
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None or self.headers.get("If-Range") not in (None, self.etag):
            return
        if asked[1]:
            start, stop = int(asked[1]), int(asked[2]) + 1 if asked[2] else len(self.body)
        else:
            start, stop = max(0, len(self.body) - int(asked[2] or 0)), len(self.body)
        if start < min(stop, len(self.body)):
            self.start, self.stop, self.ranged = start, min(stop, len(self.body)), True

    def _page(self, index: IndexServer, path: str) -> bool:
        self.body, self.start, self.stop, self.ranged, self.etag = b"", 0, None, False, None
        project = path.removeprefix("/simple").strip("/")
        files = [file for file in index.served() if not project or file.project == normalise(project)]
        if project and not files:
            return False
        accepted = self.headers.get("Accept", "")
        as_json = "json" in index.formats and (_JSON in accepted or "html" not in index.formats)
        if as_json:
            self.content_type = _JSON
            self.body = _json_page(index, project, files)
        else:
            self.content_type = _HTML if _HTML in accepted else "text/html"
            self.body = _html_page(index, project, files)
        self.etag = f'"{_sha256(self.body)[:16]}"' if index.etags else None
        return True


def normalise(name: str) -> str:
    """Normalise a project's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _json_page(index: IndexServer, project: str, files: list[Served]) -> bytes:
    meta = {"api-version": "1.1"}
    if not project:
        names = sorted({file.project for file in files})
        return json.dumps({"meta": meta, "projects": [{"name": name} for name in names]}).encode()
    entries = []
    for file in files:
        entry: dict[str, Any] = {
            "filename": file.filename,
            "url": index.file_url(file.filename),
            "hashes": {"sha256": file.sha256} if index.hashes else {},
            "yanked": index.yanked.get(file.filename, False),
            "size": file.size if index.sizes else None,
            "upload-time": index.upload_times.get(file.filename),
            "requires-python": _requires_python(file),
            "core-metadata": {"sha256": _sha256(file.metadata)} if index.metadata and file.metadata else None,
        }
        entries.append({key: value for key, value in entry.items() if value is not None})
    page = {"meta": meta, "name": normalise(project), "files": entries}
    page["versions"] = sorted({file.version for file in files})
    return json.dumps(page).encode()


def _html_page(index: IndexServer, project: str, files: list[Served]) -> bytes:
    if not project:
        names = sorted({file.project for file in files})
        links = [f'<a href="/simple/{name}/">{name}</a>' for name in names]
    else:
        links = [_html_link(index, file) for file in files]
    head = '<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.0"></head>'
    body = "<br>\n".join(links)
    return f"{head}<body>\n{body}\n</body></html>".encode()


def _html_link(index: IndexServer, file: Served) -> str:
    fragment = f"#sha256={file.sha256}" if index.hashes else ""
    attributes = {"href": index.file_url(file.filename) + fragment}
    if file.filename in index.yanked:
        attributes["data-yanked"] = index.yanked[file.filename]
    if requires := _requires_python(file):
        attributes["data-requires-python"] = requires
    if index.metadata and file.metadata:
        attributes["data-core-metadata"] = f"sha256={_sha256(file.metadata)}"
    text = " ".join(f'{key}="{html.escape(value)}"' for key, value in attributes.items())
    return f"<a {text}>{file.filename}</a>"


def _requires_python(file: Served) -> str | None:
    parsed = email.message_from_bytes(file.metadata) if file.metadata else _sdist_metadata(file.path, file.sha256)
    return parsed["Requires-Python"] if parsed is not None else None


@lru_cache(maxsize=256)
def _sdist_metadata(path: Path, sha256: str) -> email.message.Message | None:
    with suppress(tarfile.TarError, OSError), tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.endswith("/PKG-INFO") else None
            if stream is not None:
                return email.message_from_bytes(stream.read())
    return None


def _served(path: Path) -> Served:
    status = path.stat()
    return _describe(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _describe(path: Path, size: int, modified: int) -> Served:
    return Served(path, path.name, _sha256(path.read_bytes()), size, _wheel_metadata(path))


def _wheel_metadata(path: Path) -> bytes | None:
    if path.suffix != ".whl":
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            return archive.read(names[0]) if names else None
    except zipfile.BadZipFile:
        return None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
