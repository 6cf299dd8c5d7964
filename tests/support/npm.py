"""What tests of npm need: environments that look built, a storage that holds them, a registry in Python."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from pyrunenv.config.package import Package
from pyrunenv.config.workspace import Environment, Workspace, load_workspace
from pyrunenv.platforms import PLATFORMS
from pyrunenv.publish import descriptors
from pyrunenv.publish.release import beside
from support.workspaces import make_workspace, write_json

FULL, VARIANT = "3.12.10", "3.12.10-atls"
TOKEN = "npm_tok-0123456789abcdef"


def make_built(root: Path, full_versions: Iterable[str] = (FULL, VARIANT)) -> Workspace:
    """A workspace with a catalogue, whose environments look built for all platforms."""
    make_workspace(root, {}, {full: {} for full in full_versions}, catalogue=True)
    return pretend_built(root)


def pretend_built(root: Path) -> Workspace:
    """Write what builds write into dist/, for all environments and the catalogue."""
    workspace = load_workspace(root)
    for environment in workspace.environments:
        descriptors.write(environment.folder, environment.package, environment.platforms(), environment.python_version)
        for platform in environment.package.platforms:
            write_json(environment.folder / f"dist/manifest/{platform}.json", manifest(environment.package, platform))
    if workspace.catalogue and workspace.catalogue_package:
        packages = [e.package for e in workspace.environments]
        descriptors.write_catalogue(workspace.catalogue, workspace.catalogue_package, packages)
    return workspace


def archive(package: Package, platform: str) -> bytes:
    """The bytes of an archive that was never packed."""
    return f"{package.name} {package.version} {platform}".encode()


def manifest(package: Package, platform: str, /, **other: Any) -> dict[str, Any]:
    """What of a manifest decides whether its archive may be published."""
    content = archive(package, platform)
    return {
        "format": 1, "package": {"name": package.name, "version": package.version}, "platform": platform,
        "publishable": True, "unpublishableBecause": [],
        "archive": {"size": len(content), "sha256": sha256(content).hexdigest()}, **other,
    }  # fmt: skip


def store(storage: Path, environments: Iterable[Environment]) -> None:
    """Lay archives and their manifests into a folder, as `pyrunenv publish` does."""
    for environment in environments:
        for platform in environment.package.platforms:
            address = descriptors.upload_path(environment.package, PLATFORMS[platform])
            content = (environment.folder / f"dist/manifest/{platform}.json").read_bytes()
            for name, data in (
                (address, archive(environment.package, platform)), (beside(address)["manifest.json"], content)
            ):  # fmt: skip
                (storage / name).parent.mkdir(parents=True, exist_ok=True)
                (storage / name).write_bytes(data)


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """One reply. ``late``: what was asked for is done all the same, as when the reply to it is lost."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    late: bool = False


@dataclass
class FakeRegistry:
    """A registry at ``url``; a context manager. ``token`` is demanded to publish, ``faults`` are replies to the next PUTs.

    ``before_put`` is called before a PUT is answered: somebody else is faster.
    """

    token: str = TOKEN
    packages: dict[str, dict[str, Any]] = field(default_factory=dict)
    tarballs: dict[str, bytes] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    faults: list[Reply] = field(default_factory=list)
    get_faults: list[Reply] = field(default_factory=list)
    before_put: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                registry._answer(self, b"")

            def do_PUT(self) -> None:
                registry._answer(self, self.rfile.read(int(self.headers["Content-Length"])))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def puts(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.method == "PUT"]

    def versions(self, name: str) -> set[str]:
        return set(self.packages.get(name, {}).get("versions", {}))

    def take(self, document: Mapping[str, Any]) -> Reply:
        """Publish what a client puts."""
        name = document["_id"]
        known = self.packages.setdefault(name, {"name": name, "versions": {}, "dist-tags": {}})
        if set(document["versions"]) & set(known["versions"]):
            return Reply(409, {"error": "this package is already present"})
        for file, attachment in document["_attachments"].items():
            self.tarballs[f"{name}/-/{file}"] = base64.b64decode(attachment["data"])
        known["versions"].update(document["versions"])
        known["dist-tags"].update(document["dist-tags"])
        return Reply(201, {"ok": True})

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        path = unquote(urlsplit(handler.path).path).removeprefix("/")
        self.asked.append(Asked(handler.command, handler.path, dict(handler.headers), body))
        if handler.command == "PUT" and self.before_put is not None:
            before, self.before_put = self.before_put, None
            before()
        faults = self.faults if handler.command == "PUT" else self.get_faults
        reply = faults.pop(0) if faults else None
        if reply is None or reply.late:
            done = self._put(handler, body) if handler.command == "PUT" else self._get(path)
            reply = reply or done
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        handler.send_response(reply.status)
        for key, value in {"Content-Length": str(len(content)), **reply.headers}.items():
            handler.send_header(key, value)
        handler.end_headers()
        handler.wfile.write(content)

    def _put(self, handler: BaseHTTPRequestHandler, body: bytes) -> Reply:
        if handler.headers.get("Authorization") != f"Bearer {self.token}":
            return Reply(401, {"error": "unregistered users are not allowed to publish"})
        return self.take(json.loads(body))

    def _get(self, path: str) -> Reply:
        if path in self.tarballs:
            return Reply(200, self.tarballs[path])
        return Reply(200, self.packages[path]) if path in self.packages else Reply(404, {"error": "not found"})
