"""What the HTTP client itself promises: a reader sets the pace, connections are kept, proxies are no servers."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.faults import CutAfter, Gzipped, Raw, Redirect, Silence, Status
from support.fetching import clean_environment, download_of
from support.index import AUTHORITY, IndexServer
from support.tunnel import Tunnel

from pyrunenv.errors import FetchError
from pyrunenv.fetch.cache import Cache
from pyrunenv.fetch.client import Client
from pyrunenv.fetch.download import Fetcher
from pyrunenv.fetch.problem import Problem

NAME = "big.whl"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one large file, and an environment that steers nothing."""
    clean_environment(monkeypatch, tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / NAME).write_bytes(os.urandom(8_000_000))
    return tmp_path / "files"


@pytest.fixture
def server(files: Path) -> Iterator[IndexServer]:
    """A server of that folder."""
    with IndexServer(files, metadata=False) as made:
        yield made


@pytest.fixture
def client(files: Path) -> Iterator[Client]:
    """A client of that environment."""
    made = Client()
    yield made
    made.close()


def get(client: Client, url: str, *, pause: float = 0.0, size: int = 1 << 20) -> bytes:
    """Read a body in pieces, with a pause before each."""
    found, buffer = bytearray(), memoryview(bytearray(size))
    with client.get(url, {}, timeout=5) as exchange:
        assert exchange.status == 200
        time.sleep(pause)
        while count := exchange.readinto(buffer):
            assert count <= size
            found += buffer[:count]
            time.sleep(pause)
    return bytes(found)


@pytest.mark.parametrize(("pause", "size"), [(0.0, 1 << 20), (0.05, 1 << 20), (0.0, 1000)])
def test_a_reader_sets_the_pace(server: IndexServer, client: Client, pause: float, size: int) -> None:
    """However it reads, it gets every byte; the server waits for a slow one."""
    assert get(client, server.file_url(NAME), pause=pause, size=size) == (server.folder / NAME).read_bytes()


def test_little_is_held_for_a_reader_that_does_not_come(
    server: IndexServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who never reads leaves most of a large body on the other side."""
    (server.folder / NAME).write_bytes(bytes(100_000_000))
    sent = []
    write = socket.socket.sendall
    monkeypatch.setattr(socket.socket, "sendall", lambda self, data: (write(self, data), sent.append(len(data)))[0])
    with client.get(server.file_url(NAME), {}, timeout=5) as exchange:
        time.sleep(1)
        assert exchange._size < 4_000_000
        assert sum(sent) < 100_000_000


def test_time_that_a_reader_takes_is_not_the_servers(server: IndexServer, client: Client) -> None:
    """A pause of the reader's is no silence of the server's."""
    found, buffer = 0, memoryview(bytearray(1 << 20))
    with client.get(server.file_url(NAME), {}, timeout=0.3) as exchange:
        while count := exchange.readinto(buffer):
            found += count
            time.sleep(0.4)
    assert found == 8_000_000


def test_connections_are_kept(server: IndexServer, client: Client) -> None:
    """What is read one after another comes by one connection."""
    for _ in range(5):
        get(client, server.file_url(NAME))
    assert server.connected == 1


def test_what_is_not_wanted_ends_with_its_connection(server: IndexServer, client: Client) -> None:
    """Whoever leaves a body unread gets the next one whole."""
    for _ in range(3):
        with client.get(server.file_url(NAME), {}, timeout=5) as exchange:
            exchange.readinto(memoryview(bytearray(10)))
    assert get(client, server.file_url(NAME)) == (server.folder / NAME).read_bytes()


def test_many_at_once(server: IndexServer, client: Client) -> None:
    """The first request to a host goes ahead; all of them end, where the host is there and where it is not."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    results: list[bytes | Problem] = []

    def work(url: str) -> None:
        try:
            results.append(get(client, url))
        except Problem as problem:
            results.append(problem)

    for url in (server.file_url(NAME), f"http://127.0.0.1:{port}/x.whl"):
        results.clear()
        threads = [threading.Thread(target=work, args=(url,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(results) == 16
    assert {problem.reason for problem in results if isinstance(problem, Problem)} == {"connection refused"}


def test_an_odd_address_is_encoded(server: IndexServer, client: Client) -> None:
    """Spaces and letters beyond ASCII travel as they must, what is encoded already stays as it is."""
    (server.folder / "ä b+c.whl").write_bytes(b"content")
    for path in ("ä b+c.whl", "%C3%A4%20b+c.whl", "%C3%A4 b%2Bc.whl#fragment"):
        assert get(client, f"{server.origin}/files/{path}") == b"content"
    server.fault("moved.whl", Redirect("/files/ä b+c.whl".encode().decode("latin-1")))
    assert get(client, server.file_url("moved.whl")) == b"content"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://[::1/x", "http://127.0.0.1:port/x", "x.whl"])
def test_an_address_that_is_none_is_refused(client: Client, url: str) -> None:
    """Nothing is tried again that cannot become right."""
    with pytest.raises(Problem) as caught, client.get(url, {}, timeout=5):
        pass
    assert not caught.value.again


def test_a_closed_client_refuses(server: IndexServer) -> None:
    """Also where it is closed while a reader waits."""
    client = Client()
    closing = threading.Timer(0.2, client.close)
    closing.start()
    with pytest.raises(Problem, match="closed"):
        get(client, server.file_url(NAME), pause=0.3)
    closing.join()
    with pytest.raises(Problem, match="closed"), client.get(server.url, {}, timeout=5):
        pass
    client.close()


def test_a_tunnel_through_a_proxy(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """https goes through the proxy unread, whose own reply is not taken for the server's; NO_PROXY goes around it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with IndexServer(files, tls=True) as server, Tunnel() as tunnel:
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        download = download_of(server.file_url(NAME), files / NAME)
        with Fetcher(Cache(tmp_path / "cache")) as fetcher:
            assert fetcher.fetch(download).read_bytes() == (files / NAME).read_bytes()
        assert tunnel.asked == [f"CONNECT {server.origin.removeprefix('https://')} HTTP/1.1"]
        monkeypatch.setenv("NO_PROXY", "localhost")
        with Fetcher(Cache(tmp_path / "other")) as fetcher:
            fetcher.fetch(download)
        assert len(tunnel.asked) == 1


def test_a_proxy_is_not_taken_for_the_server(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where libcurl comes to it a second time by itself, since a connection that was kept has gone."""
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with IndexServer(files, tls=True) as server, Tunnel() as tunnel:
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        (files / "small.whl").write_bytes(b"small")
        server.fault("small.whl", Raw(), Status(503, after=0.2))
        with Fetcher(Cache(tmp_path / "cache"), backoff=0.01) as fetcher:
            fetcher.fetch(download_of(server.file_url(NAME), files / NAME))
            small = fetcher.fetch(download_of(server.file_url("small.whl"), files / "small.whl"))
    assert small.read_bytes() == b"small"
    assert [request.status for request in server.seen("small.whl")] == [0, 503, 200]


def test_a_proxy_with_tls_is_trusted_as_servers_are(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An organisation's own certificate serves both."""
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with IndexServer(files, tls=True) as proxy:
        monkeypatch.setenv("http_proxy", proxy.origin)
        client = Client()
        assert get(client, f"http://registry.invalid/files/{NAME}") == (files / NAME).read_bytes()
        client.close()


@pytest.mark.parametrize("proxy", ["http://[::1", "127.0.0.1:port", "http://me:secret@pröxy:99999"])
def test_a_proxys_address_that_is_none_is_named(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """Its user is told which address is meant and how to correct it, without the password."""
    monkeypatch.setenv("https_proxy", proxy)
    with Fetcher(Cache(tmp_path / "cache")) as fetcher, pytest.raises(FetchError) as caught:
        fetcher.fetch(download_of("https://registry.invalid/big.whl", files / NAME))
    [note] = caught.value.notes
    assert note.startswith("the proxy's address `")
    assert "secret" not in note
    assert "HTTPS_PROXY" in (caught.value.hint or "")


def test_a_port_may_be_reached_without_the_proxy(
    server: IndexServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """no_proxy may name host and port."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", server.origin.removeprefix("http://"))
    assert get(client, server.file_url(NAME)) == (server.folder / NAME).read_bytes()


@pytest.mark.network
def test_a_folder_of_certificates_is_all_that_is_trusted(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libcurl comes with a bundle of its own, which does not count."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    client = Client()
    with pytest.raises(Problem, match="certificate is not trusted"):
        get(client, "https://pypi.org/simple/six/")
    client.close()


@pytest.mark.parametrize(("status", "times"), [(407, 1), (403, 1), (502, 2)])
def test_a_proxy_that_refuses_is_named(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch, status: int, times: int
) -> None:
    """It is not taken for the server; what its user can do about it is said, and not tried again."""
    with Tunnel(status) as tunnel:
        monkeypatch.setenv("https_proxy", tunnel.url)
        download = download_of("https://registry.invalid/big.whl", files / NAME)
        with (
            Fetcher(Cache(tmp_path / "cache"), retries=1, backoff=0.01) as fetcher,
            pytest.raises(FetchError) as caught,
        ):
            fetcher.fetch(download)
    assert f"the proxy failed: it replied {status}" in caught.value.notes[0]
    assert len(tunnel.asked) == times
    assert (times == 1) == ("proxy" in (caught.value.hint or ""))


def test_a_document_may_travel_compressed(tmp_path: Path, server: IndexServer) -> None:
    """It arrives as it is, from its beginning after a cut; where nobody asked for it nothing is decoded."""
    (server.folder / "page").write_bytes(b"text " * 10_000)
    url = server.file_url("page")
    with Fetcher(Cache(tmp_path / "cache"), backoff=0.01) as fetcher:
        server.fault("page", Gzipped(cut=50), Gzipped(), CutAfter(100))
        assert fetcher.content(url, compressed=True) == b"text " * 10_000
        assert fetcher.content(url, compressed=True) == b"text " * 10_000
        assert [request.status for request in server.seen("page")] == [200] * 4
        assert "gzip" in server.seen("page")[0].headers["Accept-Encoding"]
        server.fault("page", Gzipped())
        assert fetcher.content(url)[:2] == b"\x1f\x8b"
        assert server.seen("page")[-1].headers["Accept-Encoding"] == "identity"


def test_a_damaged_document_harms_nothing_else(tmp_path: Path, server: IndexServer) -> None:
    """What cannot be decoded fails alone, also where a reader was slower than the server."""
    (server.folder / "page").write_bytes(b"text" * 10_000_000)
    server.fault("page", Gzipped(damaged=True), forever=True)
    failures: list[FetchError] = []

    def read() -> None:
        try:
            fetcher.content(server.file_url("page"), compressed=True)
        except FetchError as error:
            failures.append(error)

    with Fetcher(Cache(tmp_path / "cache"), retries=1, backoff=0.01) as fetcher:
        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        download = download_of(server.file_url(NAME), server.folder / NAME)
        assert fetcher.fetch(download).read_bytes() == (server.folder / NAME).read_bytes()
        for thread in threads:
            thread.join(20)
        assert get(fetcher._get_client(), server.file_url(NAME))
    assert len(failures) == 3
    assert all("cannot be understood" in failure.notes[0] for failure in failures)


_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1\t200\tOK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200x OK\r\nContent-Length: 2\r\n\r\nhi",
        _OK + b"HTTP/foo: bar\r\n\r\nhi",
        b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + b"\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nHTTP/x: 404\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\n\r\nhi",
    ],
)
def test_an_odd_reply_is_read_all_the_same(
    tmp_path: Path, server: IndexServer, reply: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """What can be understood is, and nothing is printed."""
    (server.folder / "odd.whl").write_bytes(b"hi")
    server.fault("odd.whl", Raw(reply), forever=True)
    with Fetcher(Cache(tmp_path / "cache"), retries=0) as fetcher:
        assert fetcher.fetch(download_of(server.file_url("odd.whl"), server.folder / "odd.whl")).read_bytes() == b"hi"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 abc\r\n\r\n",
        b"hi",
        _OK + b"no colon\r\n\r\nhi",
        _OK + b"X: " + b"a" * 1_000_000 + b"\r\n\r\nhi",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:99999/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 -0900\r\n\r\n",
    ],
)
def test_a_reply_that_is_none_is_a_failure_with_a_reason(
    tmp_path: Path, server: IndexServer, reply: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """And no traceback."""
    server.fault(NAME, Raw(reply), forever=True)
    with Fetcher(Cache(tmp_path / "cache"), retries=0) as fetcher, pytest.raises(FetchError) as caught:
        fetcher.fetch(download_of(server.file_url(NAME), server.folder / NAME))
    assert len(caught.value.notes[0]) > 20
    assert capfd.readouterr().err == ""


def test_a_stop_is_heard_by_what_is_about_to_begin(
    tmp_path: Path, server: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However near it was: nothing waits for a server that says nothing."""
    server.fault(NAME, Silence(), forever=True)
    fetcher = Fetcher(Cache(tmp_path / "cache"), timeout=30)
    request = Client._request

    def stopped_meanwhile(*arguments: Any) -> Any:
        fetcher.stop()
        return request(*arguments)

    monkeypatch.setattr(Client, "_request", stopped_meanwhile)
    started = time.monotonic()
    with fetcher, pytest.raises(FetchError) as caught:
        fetcher.fetch(download_of(server.file_url(NAME), server.folder / NAME))
    assert caught.value.notes == ("downloading was stopped",)
    assert time.monotonic() - started < 10
