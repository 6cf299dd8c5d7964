"""What the HTTP client itself promises: a reader sets the pace, connections are kept, proxies are no servers."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.faults import CutAfter, Gzipped, Redirect
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
    with client.get(url, {}, timeout=5, on_open=lambda _: None) as exchange:
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
    with client.get(server.file_url(NAME), {}, timeout=5, on_open=lambda _: None) as exchange:
        time.sleep(1)
        assert exchange._size < 4_000_000
        assert sum(sent) < 100_000_000


def test_time_that_a_reader_takes_is_not_the_servers(server: IndexServer, client: Client) -> None:
    """A pause of the reader's is no silence of the server's."""
    found, buffer = 0, memoryview(bytearray(1 << 20))
    with client.get(server.file_url(NAME), {}, timeout=0.3, on_open=lambda _: None) as exchange:
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
        with client.get(server.file_url(NAME), {}, timeout=5, on_open=lambda _: None) as exchange:
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
    with pytest.raises(Problem) as caught, client.get(url, {}, timeout=5, on_open=lambda _: None):
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
    with pytest.raises(Problem, match="closed"), client.get(server.url, {}, timeout=5, on_open=lambda _: None):
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
