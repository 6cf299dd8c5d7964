"""Logins, redirects, proxies and certificates: who gets what, and that no password is ever shown."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.faults import Html, Redirect, Status, WrongBytes
from support.fetching import clean_environment, download_of
from support.index import AUTHORITY, IndexServer
from support.wheels import make_wheel

from pyrunenv.config.schema import Registries, Registry
from pyrunenv.errors import FetchError
from pyrunenv.fetch.cache import Cache
from pyrunenv.fetch.credentials import Credentials
from pyrunenv.fetch.download import Fetcher

USER, PASSWORD = "reader", "s3cret/p@ss"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, and an environment that steers nothing."""
    clean_environment(monkeypatch, tmp_path)
    make_wheel(tmp_path / "files", "one", "1.0")
    return tmp_path / "files"


@pytest.fixture
def private(files: Path) -> Iterator[IndexServer]:
    """A server that wants a login."""
    with IndexServer(files, auth=(USER, PASSWORD)) as server:
        yield server


@pytest.fixture
def public(files: Path) -> Iterator[IndexServer]:
    """A server that wants none."""
    with IndexServer(files) as server:
        yield server


def fetch(tmp_path: Path, server: IndexServer, known: Credentials | None = None, url: str | None = None) -> bytes:
    """Fetch the wheel with these logins."""
    path = next(server.folder.iterdir())
    download = download_of(url or server.file_url(path.name), path)
    with Fetcher(Cache(tmp_path / "cache"), credentials=known, backoff=0.01, retries=1, timeout=5) as fetcher:
        return fetcher.fetch(download).read_bytes()


def logins(server: IndexServer) -> list[bool]:
    """Whether each request came with a login."""
    return ["Authorization" in request.headers for request in server.requests]


def knowing(*registries: Registry, default: str = "https://pypi.org/simple", **env: str) -> Credentials:
    """Return the logins of registries."""
    credentials = Credentials({"NETRC": "/nowhere", **env})
    credentials.learn(Registries(default=default, additional=registries))
    return credentials


def test_login_from_the_registry_url(tmp_path: Path, private: IndexServer) -> None:
    """The files of a registry get the login of its URL, at the first request."""
    assert fetch(tmp_path, private, knowing(default=private.url_with_login))
    assert [request.status for request in private.requests] == [200]


def test_login_from_the_environment(tmp_path: Path, private: IndexServer) -> None:
    """UV_INDEX_<NAME>_USERNAME and _PASSWORD serve the registry of that name."""
    env = {"UV_INDEX_MY_OWN_USERNAME": USER, "UV_INDEX_MY_OWN_PASSWORD": PASSWORD}
    assert fetch(tmp_path, private, knowing(Registry(url=private.url, name="my-own"), **env))


def test_login_from_netrc(tmp_path: Path, private: IndexServer) -> None:
    """The file that NETRC names serves its hosts."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    netrc.chmod(0o600)
    assert fetch(tmp_path, private, Credentials({"NETRC": str(netrc)}))


def test_login_from_the_file_url(tmp_path: Path, private: IndexServer) -> None:
    """A direct URL brings its own."""
    url = private.url_with_login.replace("/simple", "/files/one-1.0-py3-none-any.whl")
    assert fetch(tmp_path, private, knowing(), url)


def test_without_a_login_the_message_says_how_to_give_one(tmp_path: Path, private: IndexServer) -> None:
    """401 is asked once and explained."""
    with pytest.raises(FetchError) as caught:
        fetch(tmp_path, private, knowing())
    assert "401" in caught.value.notes[0]
    assert "UV_INDEX_<NAME>_USERNAME" in (caught.value.hint or "")
    assert len(private.requests) == 1


def test_redirect_to_another_host_loses_the_login(tmp_path: Path, private: IndexServer, public: IndexServer) -> None:
    """The file host that a registry redirects to never sees the registry's password."""
    private.fault("one-1.0-py3-none-any.whl", Redirect(public.file_url("one-1.0-py3-none-any.whl")))
    assert fetch(tmp_path, private, knowing(default=private.url_with_login))
    assert logins(private) == [True]
    assert logins(public) == [False]


def test_redirect_within_the_host_keeps_the_login(tmp_path: Path, private: IndexServer) -> None:
    """A registry that redirects to itself is asked with the login again."""
    private.fault("moved.whl", Redirect("/files/one-1.0-py3-none-any.whl"))
    assert fetch(tmp_path, private, knowing(default=private.url_with_login), f"{private.origin}/files/moved.whl")
    assert logins(private) == [True, True]


def test_redirect_to_another_known_registry_gets_its_login(
    tmp_path: Path, private: IndexServer, public: IndexServer
) -> None:
    """Each origin gets its own login, whoever sent us there."""
    public.fault("one-1.0-py3-none-any.whl", Redirect(private.file_url("one-1.0-py3-none-any.whl"), 307))
    assert fetch(tmp_path, public, knowing(default=private.url_with_login))
    assert logins(public) == [False]
    assert logins(private) == [True]


def test_redirect_with_a_login_in_its_target(tmp_path: Path, private: IndexServer, public: IndexServer) -> None:
    """A redirect may bring the login of where it leads."""
    target = private.url_with_login.replace("/simple", "/files/one-1.0-py3-none-any.whl")
    public.fault("one-1.0-py3-none-any.whl", Redirect(target))
    assert fetch(tmp_path, public, knowing())


@pytest.mark.parametrize("fault", [Status(404), Status(503), WrongBytes(), Html(), Redirect("file:///x")])
def test_no_failure_shows_a_password(
    tmp_path: Path, private: IndexServer, caplog: pytest.LogCaptureFixture, fault: object
) -> None:
    """Neither messages, notes and hints nor the log at its most verbose hold the password, plain or encoded."""
    caplog.set_level(logging.DEBUG)
    url = private.url_with_login.replace("/simple", "/files/one-1.0-py3-none-any.whl")
    private.fault("one-1.0-py3-none-any.whl", fault, forever=True)  # type: ignore[arg-type]
    with pytest.raises(FetchError) as caught:
        fetch(tmp_path, private, knowing(default=private.url_with_login), url)
    error = caught.value
    shown = "\n".join([error.message, *error.notes, error.hint or "", caplog.text])
    assert "s3cret" not in shown
    assert "127.0.0.1" in shown


def test_unhashed_file_leaves_no_password_in_the_cache(tmp_path: Path, private: IndexServer) -> None:
    """The note of a file without a digest holds its URL without the login."""
    url = private.url_with_login.replace("/simple", "/files/one-1.0-py3-none-any.whl")
    cache = Cache(tmp_path / "cache")
    with Fetcher(cache, credentials=knowing()) as fetcher:
        fetcher.fetch_unhashed(url)
    notes = [path.read_text() for path in cache.metadata.rglob("*.json")]
    assert len(notes) == 1
    assert "s3cret" not in notes[0]


def test_custom_certificates(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private authority is trusted where a variable names it, and nowhere else; then the hint names the variable."""
    with IndexServer(files, tls=True) as server:
        with pytest.raises(FetchError, match="https://localhost") as caught:
            fetch(tmp_path, server)
        assert "certificate is not trusted" in caught.value.notes[0]
        assert "SSL_CERT_FILE" in (caught.value.hint or "")
        for number, variable in enumerate(["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]):
            with monkeypatch.context() as patch:
                patch.setenv(variable, str(AUTHORITY))
                assert fetch(tmp_path / str(number), server)


def test_certificate_of_another_name_is_refused(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trusting an authority is not trusting any host: the name is compared."""
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with IndexServer(files, tls=True) as server:
        url = server.file_url("one-1.0-py3-none-any.whl").replace("localhost", "other.localhost")
        with pytest.raises(FetchError) as caught:
            fetch(tmp_path, server, url=url)
        assert "certificate is not trusted" in caught.value.notes[0]
        assert server.requests == []


def test_certificates_that_cannot_be_read(tmp_path: Path, public: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that names no file is named itself."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    with pytest.raises(FetchError, match=r"nowhere\.pem") as caught:
        fetch(tmp_path, public)
    assert "SSL_CERT_FILE" in (caught.value.hint or "")


def test_proxy_from_the_environment(tmp_path: Path, public: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is used, NO_PROXY obeyed, and a proxy that is down is told apart from a server that is."""
    path = next(public.folder.iterdir())
    monkeypatch.setenv("http_proxy", public.origin)
    download = download_of(f"http://registry.invalid/files/{path.name}", path)
    with Fetcher(Cache(tmp_path / "cache"), retries=0) as fetcher:
        assert fetcher.fetch(download).exists()
    assert [request.headers["Host"] for request in public.requests] == ["registry.invalid"]
    monkeypatch.setenv("http_proxy", "http://proxyuser:proxypass@127.0.0.1:9")
    with (
        Fetcher(Cache(tmp_path / "other"), retries=0) as fetcher,
        pytest.raises(FetchError, match=r"registry\.invalid") as caught,
    ):
        fetcher.fetch(download)
    assert "the proxy failed: connection refused" in caught.value.notes[0]
    assert "proxypass" not in str(caught.value.notes)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with contextlib.closing(Fetcher(Cache(tmp_path / "third"), retries=0)) as fetcher:
        assert fetcher.fetch(download_of(public.file_url(path.name), path)).exists()
