"""The gate's server: an HTTP proxy (RFC 9110) that knows the registries' pages and files, and passes the rest on."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from pyrunenv.fetch import credentials
from pyrunenv.fetch.problem import Problem
from pyrunenv.fetch.reasons import CONNECT_TIMEOUT, from_status
from pyrunenv.fetch.session_failures import from_error
from pyrunenv.lock.gate import HOST, Entrance, Held, Silence, file_address, file_url, shelf_place
from pyrunenv.lock.pages import ACCEPT, JSON, rewrite
from pyrunenv.secrets import mask

if TYPE_CHECKING:
    from datetime import datetime

    from pyrunenv.lock.gate import Gate

log = logging.getLogger(__name__)

_PASSED_UP = ("Accept", "Range", "If-None-Match", "If-Modified-Since", "If-Range")
_PASSED_DOWN = ("Content-Type", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified", "Cache-Control", "Content-Encoding")  # fmt: skip
_CHUNK = 1 << 16
# uv asks again after any reply of 5xx; what the gate could not get, it has tried often enough.
_FAILED = 400


class Server(ThreadingHTTPServer):
    """Listens on a port of the loopback interface until it is closed."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, gate: Gate) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.gate = gate
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="gate", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self.server_port

    def close(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A resolver that goes away has its answer."""
        log.debug("the gate lost a connection", exc_info=True)


class _Exchange(BaseHTTPRequestHandler):
    """One connection of the resolver."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        gate = self.server.gate
        if self.headers.get("Proxy-Authorization") != gate.authorization:
            self._send(407, headers={"Proxy-Authenticate": "Basic"})
            return
        with suppress(BrokenPipeError, ConnectionResetError):
            if urlsplit(self.path).hostname != HOST:
                self._pass_on(self.path)
            elif (url := file_url(self.path)) is not None:
                self._pass_on(url)
            elif (place := shelf_place(self.path)) is not None:
                self._from_shelf(gate, *place)
            else:
                self._page(gate)

    do_HEAD = do_GET  # noqa: N815

    def _page(self, gate: Gate) -> None:
        address, _, project = self.path.rstrip("/").rpartition("/")
        entrance, before = gate.entrances.get(address, (None, None))
        if entrance is None or not entrance.serves(project):
            self._send(404)
            return
        answer = _ask(gate, entrance, project, before, self.headers.get("If-None-Match"))
        self._send(answer.status, answer.content, answer.headers)

    def _from_shelf(self, gate: Gate, address: str, kind: str, name: str) -> None:
        """Show a page of a shelf, or the metadata of one of its wheels, which may have to be computed first."""
        shelf = gate.shelves.get(address)
        content = None
        if shelf is not None and kind == "simple":
            content = shelf.page(name)
        elif shelf is not None and kind == "files":
            plain = name.removesuffix(".metadata")
            content = shelf.metadata(plain) if plain != name else shelf.wheel(name)
        headers = {"Content-Type": JSON if kind == "simple" else "application/octet-stream"}
        self._send(404 if content is None else 200, content or b"", headers)

    def _pass_on(self, url: str) -> None:
        """Pass a file, or a part of one, as its server sends it."""
        gate = self.server.gate
        if urlsplit(url).scheme == "file" and not any(e.url.startswith("file:") for e, _ in gate.entrances.values()):
            self._send(403)
            return
        asked = {name: self.headers[name] for name in _PASSED_UP if name in self.headers}
        try:
            reply = gate.session.request(
                self.command, url, headers={**asked, "Accept-Encoding": "identity"}, stream=True,
                timeout=(CONNECT_TIMEOUT, gate.timeout), allow_redirects=True,
            )  # fmt: skip
        except requests.RequestException as error:
            log.info("%s", mask(f"{url}: {from_error(error, gate.timeout).reason}"))
            self._send(502)
            return
        with reply:
            self.send_response(reply.status_code)
            length = reply.headers.get("Content-Length")
            for name in _PASSED_DOWN:
                if name in reply.headers:
                    self.send_header(name, reply.headers[name])
            if length is not None:
                self.send_header("Content-Length", length)
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command == "GET" and reply.status_code not in (204, 304):
                self._body(reply)

    def _body(self, reply: requests.Response) -> None:
        try:
            while chunk := reply.raw.read(_CHUNK):
                self.wfile.write(chunk)
        except Exception as error:
            # What began cannot be taken back: a cut body tells the resolver to ask again.
            log.debug("a file was cut: %s", mask(str(error)))
            self.close_connection = True

    def _send(self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what matters is in the answers."""


class _Answer:
    def __init__(self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.status, self.content, self.headers = status, content, headers or {}


def page_of(gate: Gate, entrance: Entrance, project: str, before: datetime | None) -> bytes | None:
    """Return a registry's page of a project as the resolver would see it; None where it has none.

    Raises ResolverFailed where it does not answer.
    """
    from pyrunenv.lock.resolver import unanswered

    if not entrance.serves(project):
        return None
    answer = _ask(gate, entrance, project, before, None)
    if answer.status == _FAILED:
        raise unanswered([gate.silences[entrance.url]])
    return answer.content if answer.status == 200 else None


def _ask(gate: Gate, entrance: Entrance, project: str, before: datetime | None, known: str | None) -> _Answer:
    """Get a page of a registry, or the news that what the resolver has of it is still right."""
    key = (entrance.address, project)
    with gate.asking(key):
        found = gate.silences.get(entrance.url) or gate.held.get(key) or _asked(gate, entrance, project, before, known)
        if isinstance(found, Held):
            if key not in gate.held:
                gate.hold(key, found)
            if found.tag and found.content is None and known != found.tag:
                # Another resolver has it in the cache, this one not, and it is no longer in memory.
                found = _asked(gate, entrance, project, before, None)
    if isinstance(found, Silence):
        return _failed(found)
    if not found.tag:
        return _Answer(404)
    if known == found.tag:
        return _Answer(304, headers=_page_headers(found.tag))
    return _Answer(200, found.content or b"", _page_headers(found.tag))


def _asked(gate: Gate, entrance: Entrance, project: str, before: datetime | None, known: str | None) -> Held | Silence:
    """Ask a registry for a page. That it does not answer is remembered for the rest of the run."""
    url = f"{entrance.url.rstrip('/')}/{project}/"
    try:
        return _fetch(gate, url, project, before, known)
    except Problem as problem:
        silence = Silence(entrance.url, url, problem.reason, gate.attempts if problem.again else 1, problem.hint)
    except (ValueError, KeyError, TypeError, LookupError) as error:
        silence = Silence(entrance.url, url, f"what it sent cannot be read: {error}", 1)
    gate.silences[entrance.url] = silence
    log.info("%s", mask(f"{silence.url}: {silence.reason}"))
    return silence


def _fetch(gate: Gate, url: str, project: str, before: datetime | None, known: str | None) -> Held:
    """Ask a registry. ``known`` is the tag of what the resolver has. Raises Problem, or ValueError for no page."""
    facts = _read_tag(known)
    reply = _get(gate, url, {"Accept": ACCEPT, **({"If-None-Match": facts["etag"]} if facts and facts["etag"] else {})})
    if reply.status_code in (404, 410) or denies_what_it_lacks(reply.status_code, reply.url):
        return Held("", None, True)
    if reply.status_code == 304 and facts and known:
        return Held(known, None, facts["dated"])
    if reply.status_code != 200:
        raise from_status(reply.status_code, reply.headers)
    digest = hashlib.sha256(reply.content).hexdigest()[:32]
    if facts and known and facts["digest"] == digest:
        return Held(known, None, facts["dated"])
    content_type = reply.headers.get("Content-Type", "")
    page = rewrite(reply.content, content_type, reply.url, project, before=before, place=_Placer())
    return Held(_tag(reply.headers.get("ETag"), digest, page.dated), page.content, page.dated)


def _get(gate: Gate, url: str, headers: Mapping[str, str]) -> requests.Response:
    """Ask until there is a reply that asking again would not change. Raises Problem."""
    for attempt in range(gate.attempts):
        last = attempt + 1 == gate.attempts
        try:
            reply = gate.session.get(url, headers=dict(headers), timeout=(CONNECT_TIMEOUT, gate.timeout))
            problem = from_status(reply.status_code, reply.headers)
            if not problem.again or reply.status_code == 206:
                return reply
        except requests.RequestException as error:
            problem = from_error(error, gate.timeout)
        if last or not problem.again:
            raise problem
        time.sleep(problem.after if problem.after is not None else gate.backoff * 2**attempt)
    raise AssertionError("a gate asks at least once")


class _Placer:
    """Lets files that want a login, or lie in a folder, come through the gate; all others straight from their server."""

    def __init__(self) -> None:
        self._hidden: dict[str, bool] = {}

    def __call__(self, url: str) -> str:
        # A page may have thousands of files, of one origin or two.
        scheme, _, rest = url.partition("://")
        origin = f"{scheme}://{rest.partition('/')[0]}"
        if "@" in origin or origin not in self._hidden:
            self._hidden[origin] = scheme == "file" or credentials.known.find(url) is not None
        return file_address(url) if self._hidden[origin] else url


def denies_what_it_lacks(status: int, url: str) -> bool:
    """PyTorch's registry replies 403 for names that it does not have, since its storage may not be listed."""
    host = urlsplit(url).hostname or ""
    return status == 403 and (host == "pytorch.org" or host.endswith(".pytorch.org"))


def _failed(silence: Silence) -> _Answer:
    return _Answer(_FAILED, f"{silence.url}: {silence.reason}\n".encode(), {"Content-Type": "text/plain"})


def _page_headers(tag: str) -> dict[str, str]:
    # Asked again each time, which costs little: the gate must know in every run who has what.
    headers = {"Content-Type": JSON, "Cache-Control": "max-age=0, must-revalidate"}
    return {**headers, "ETag": tag}


def _tag(upstream: str | None, digest: str, dated: bool) -> str:
    """Keep in the resolver's cache what the gate must know of a page: the registry's own tag, and whether it has times."""
    facts = json.dumps({"etag": upstream, "digest": digest, "dated": dated}).encode()
    return f'"{base64.urlsafe_b64encode(facts).decode()}"'


def _read_tag(tag: str | None) -> dict[str, Any] | None:
    if not tag:
        return None
    try:
        facts = json.loads(base64.urlsafe_b64decode(tag.strip('"')))
    except ValueError:
        return None
    return facts if isinstance(facts, dict) and facts.keys() == {"etag", "digest", "dated"} else None
