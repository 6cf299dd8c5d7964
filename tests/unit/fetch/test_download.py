"""What a fetcher does without any network: file URLs, refusals, offline runs, several callers."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fetching import clean_environment, damage, download_of, only_sound_blobs

from pyrunenv.errors import DigestMismatch, FetchError
from pyrunenv.fetch.cache import Cache
from pyrunenv.fetch.download import Download, Fetcher
from pyrunenv.fetch.urls import file_name


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clean_environment(monkeypatch, tmp_path)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "cache")


@pytest.fixture
def fetcher(cache: Cache) -> Iterator[Fetcher]:
    """A fetcher that is in a hurry."""
    with Fetcher(cache, backoff=0.01, timeout=2) as made:
        yield made


def a_file(folder: Path, name: str = "a file.whl", content: bytes = b"content" * 1000) -> Path:
    """Write a file to fetch; the space in its name is to be encoded in its URL."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path


def test_file_url_enters_the_cache(fetcher: Fetcher, cache: Cache, tmp_path: Path) -> None:
    """A file URL is read, verified and cached; nothing temporary stays."""
    path = a_file(tmp_path / "files")
    download = download_of(path.as_uri(), path)
    assert fetcher.fetch(download).read_bytes() == path.read_bytes()
    assert only_sound_blobs(cache) == [download.sha256]
    assert list(cache.tmp.iterdir()) == []


@pytest.mark.parametrize("sized", [True, False])
def test_wrong_digest_is_shown_and_never_cached(fetcher: Fetcher, cache: Cache, tmp_path: Path, sized: bool) -> None:
    """Expected and got stand in the message."""
    path = a_file(tmp_path / "files")
    download = Download(path.as_uri(), "a" * 64, path.stat().st_size if sized else None, path.name)
    with pytest.raises(DigestMismatch) as caught:
        fetcher.fetch(download)
    notes = "\n".join(caught.value.notes)
    assert "a" * 64 in notes
    assert hashlib.sha256(path.read_bytes()).hexdigest() in notes
    assert only_sound_blobs(cache) == []
    assert list(cache.tmp.iterdir()) == []


@pytest.mark.parametrize("size", [1, 6999, 7001])
def test_wrong_size_is_refused(fetcher: Fetcher, cache: Cache, tmp_path: Path, size: int) -> None:
    """A file of another size is not read to its end, and both sizes are named."""
    path = a_file(tmp_path / "files")
    download = Download(path.as_uri(), download_of(path.as_uri(), path).sha256, size, path.name)
    with pytest.raises(DigestMismatch, match="is not what was promised") as caught:
        fetcher.fetch(download)
    assert f"expected {size} bytes" in caught.value.notes[0]
    assert "7000" in caught.value.notes[0]


@pytest.mark.parametrize("digest", ["", "abc", "sha256:" + "a" * 64, "../../../../etc/passwd"])
def test_absent_or_malformed_digest_is_refused(fetcher: Fetcher, tmp_path: Path, digest: str) -> None:
    """Nothing is downloaded that nothing could be compared with."""
    path = a_file(tmp_path / "files")
    with pytest.raises(FetchError, match="without a digest"):
        fetcher.fetch(Download(path.as_uri(), digest, None, "a.whl"))


def test_upper_case_digest_is_the_same_digest(fetcher: Fetcher, tmp_path: Path) -> None:
    """Hexadecimal digits have no case."""
    path = a_file(tmp_path / "files")
    download = download_of(path.as_uri(), path)
    upper = Download(download.url, download.sha256.upper(), download.size, download.name)
    assert fetcher.fetch(upper).name == download.sha256


def test_everything_that_fails_is_named_at_once(fetcher: Fetcher, cache: Cache, tmp_path: Path) -> None:
    """One error for all failures; what can be had is had."""
    good = a_file(tmp_path / "files")
    gone = [Download((tmp_path / f"gone{n}.whl").as_uri(), str(n) * 64, None, f"gone{n}.whl") for n in range(3)]
    with pytest.raises(FetchError, match="3 of 4 files cannot be downloaded") as caught:
        fetcher.fetch_all([*gone, download_of(good.as_uri(), good)])
    assert [note.split(":")[0] for note in sorted(caught.value.notes)] == ["gone0.whl", "gone1.whl", "gone2.whl"]
    assert all("no such file" in note for note in caught.value.notes)
    assert len(only_sound_blobs(cache)) == 1


def test_offline_names_everything_missing_and_uses_what_is_there(cache: Cache, tmp_path: Path) -> None:
    """Offline, the cache and file URLs serve; all that only the network has is listed, and nothing is asked."""
    path = a_file(tmp_path / "files")
    here = download_of(path.as_uri(), path)
    away = [Download(f"http://me:password@127.0.0.1:9/{n}.whl", str(n) * 64, 5, f"{n}.whl") for n in range(2)]
    with Fetcher(cache, offline=True) as fetcher:
        with pytest.raises(FetchError, match="2 files are not in the cache") as caught:
            fetcher.fetch_all([here, *away])
        assert len(caught.value.notes) == 2
        assert "password" not in str(caught.value.notes)
        assert "--offline" in (caught.value.hint or "")
        fetcher.fetch(here)
        path.unlink()
        assert fetcher.fetch(here).exists()
        with pytest.raises(FetchError, match="offline"):
            fetcher.fetch_unhashed("http://127.0.0.1:9/x.whl")
        with pytest.raises(FetchError, match="offline"):
            fetcher.text("http://127.0.0.1:9/x.whl.metadata")


def test_damaged_blob_is_fetched_again(cache: Cache, tmp_path: Path) -> None:
    """A later process finds what a power cut did to a blob, and replaces it."""
    path = a_file(tmp_path / "files")
    download = download_of(path.as_uri(), path)
    with Fetcher(cache) as fetcher:
        fetcher.fetch(download)
    damage(cache, download.sha256, b"\0" * path.stat().st_size)
    with Fetcher(Cache(cache.root)) as fetcher:
        assert fetcher.fetch(download).read_bytes() == path.read_bytes()


def test_progress_adds_up_for_every_caller(cache: Cache, tmp_path: Path) -> None:
    """Each caller hears of all its bytes: fetched, cached, or fetched by another caller meanwhile."""
    path = a_file(tmp_path / "files", content=b"x" * 1_000_000)
    download = download_of(path.as_uri(), path)
    heard = []
    lock = threading.Lock()

    def hear(_: Download, count: int) -> None:
        with lock:
            heard.append(count)

    with Fetcher(cache, on_progress=hear) as fetcher:
        threads = [threading.Thread(target=fetcher.fetch_all, args=([download, download],)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(heard) == 5_000_000
        fetcher.fetch(download)
        assert sum(heard) == 6_000_000


def test_left_over_beginning_is_completed_or_replaced(fetcher: Fetcher, cache: Cache, tmp_path: Path) -> None:
    """What an earlier run left is used where it is right, and does no harm where it is wrong, short or long."""
    for number, left in enumerate([b"content" * 10, b"rubbish", b"content" * 1000, b"content" * 2000, b""]):
        path = a_file(tmp_path / "files", f"{number}.whl", b"content" * 1000 + bytes([number]))
        download = download_of(path.as_uri(), path)
        cache.tmp.mkdir(parents=True, exist_ok=True)
        cache.part(download.sha256).write_bytes(left)
        assert fetcher.fetch(download).read_bytes() == path.read_bytes()


def test_complete_left_over_needs_no_download(cache: Cache) -> None:
    """A run that was killed between the last byte and the rename left everything: the network is not asked."""
    content = b"whole" * 100
    sha256 = hashlib.sha256(content).hexdigest()
    cache.tmp.mkdir(parents=True)
    cache.part(sha256).write_bytes(content)
    with Fetcher(cache, retries=0) as fetcher:
        assert fetcher.fetch(Download("http://127.0.0.1:9/x", sha256, len(content), "x")).read_bytes() == content


def test_stopped_fetcher_refuses(cache: Cache, tmp_path: Path) -> None:
    """After stop() every download ends with an error and nothing is left half-written."""
    path = a_file(tmp_path / "files")
    with Fetcher(cache) as fetcher:
        fetcher.stop()
        with pytest.raises(FetchError) as caught:
            fetcher.fetch(download_of(path.as_uri(), path))
    assert "stopped" in str(caught.value.notes)
    assert only_sound_blobs(cache) == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/b%20c.whl?x=1#sha256=2", "b c.whl"),
        ("https://h/a/", "a"),
        ("https://me:password@h", "h"),
    ],
)
def test_file_name_of_a_url(url: str, name: str) -> None:
    """A URL's last segment, decoded, without query and fragment."""
    assert file_name(url) == name


@pytest.mark.parametrize(("offline", "loaded"), [(True, False), (False, True)])
def test_a_file_url_needs_no_http_client(tmp_path: Path, offline: bool, loaded: bool) -> None:
    """Offline it is never loaded; else it is, beside the file, for the downloads that follow."""
    path = tmp_path / "a.whl"
    path.write_bytes(b"content")
    program = f"""
import sys, time
from pathlib import Path
from pyrunenv.fetch.cache import Cache
from pyrunenv.fetch.download import Download, Fetcher
with Fetcher(Cache(Path({str(tmp_path / "cache")!r})), offline={offline}) as fetcher:
    fetcher.fetch(Download({path.as_uri()!r}, {hashlib.sha256(b"content").hexdigest()!r}, None, "a.whl"))
    until = time.monotonic() + 30
    while {loaded} and fetcher._client is None and time.monotonic() < until:
        time.sleep(0.01)
print("pycurl" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{loaded}\n"
