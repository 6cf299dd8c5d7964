"""A server that misbehaves in every way it can: each ends in the right bytes or in the right message."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.faults import (
    CutAfter,
    Fault,
    Html,
    IgnoreRange,
    NoLength,
    Redirect,
    Silence,
    Slow,
    StallAfter,
    Status,
    WrongBytes,
    WrongLength,
    WrongRange,
)
from support.fetching import clean_environment, download_of, only_sound_blobs
from support.index import IndexServer

from pyrunenv.errors import DigestMismatch, FetchError
from pyrunenv.fetch.cache import Cache
from pyrunenv.fetch.download import Download, Fetcher

NAME = "big-1-py3-none-any.whl"
SIZE = 700_000


@dataclass
class Place:
    """A server with one file, an empty cache, and a way to fetch the one into the other."""

    server: IndexServer
    cache: Cache
    path: Path

    def download(self, **changes: Any) -> Download:
        """Describe the file as a lock does."""
        described = download_of(self.server.file_url(NAME), self.path)
        return Download(**{**described.__dict__, **changes})

    def fetch(self, download: Download | None = None, **patience: Any) -> bytes:
        """Fetch the file with little patience and return the blob's bytes."""
        with Fetcher(self.cache, **{"backoff": 0.01, "timeout": 1.0, "retries": 3, **patience}) as fetcher:
            return fetcher.fetch(download or self.download()).read_bytes()

    def statuses(self) -> list[int]:
        """The server's replies for the file, in order."""
        return [request.status for request in self.server.seen(NAME)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A server, a file, a cache."""
    clean_environment(monkeypatch, tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    path = folder / NAME
    path.write_bytes(b"PK\x03\x04" + os.urandom(SIZE - 4))
    with IndexServer(folder, metadata=False) as server:
        yield Place(server, Cache(tmp_path / "cache"), path)


HEALED: dict[str, tuple[list[Fault], list[int]]] = {
    "outage": ([Status(503), Status(500), Status(502)], [503, 500, 502, 200]),
    "gateway time-out, then cut": ([Status(504), CutAfter(100_000)], [504, 200, 206]),
    "cut before a byte": ([CutAfter(0), CutAfter(0)], [200, 200, 200]),
    "cut in the middle": ([CutAfter(300_000)], [200, 206]),
    "cut at the last byte": ([CutAfter(SIZE - 1)], [200, 206]),
    "more cuts than retries, each further": ([CutAfter(60_000)] * 10, [200] + [206] * 10),
    "stalled body": ([StallAfter(300_000)], [200, 206]),
    "no reply at all": ([Silence()], [0, 200]),
    "range ignored": ([CutAfter(300_000), IgnoreRange()], [200, 200]),
    "range ignored and cut, then honoured": ([CutAfter(300_000), IgnoreRange(cut=400_000)], [200, 200, 206]),
    "range too early": ([CutAfter(300_000), WrongRange(-1000)], [200, 206, 200]),
    "range too late": ([CutAfter(300_000), WrongRange(1000)], [200, 206, 200]),
    "range that lies": ([CutAfter(300_000), WrongRange(-1000, honest=False)], [200, 206, 200]),
    "range not satisfiable": ([CutAfter(300_000), Status(416)], [200, 416, 200]),
    "range of a range that was not asked for": ([WrongRange(0)], [206, 200]),
    "no length": ([NoLength()], [200]),
    "no length and cut": ([NoLength(cut=300_000)], [200, 206]),
    "longer than it says, and cut": ([CutAfter(10), Status(503), CutAfter(300_000)], [200, 503, 206, 206]),
    "slow": ([Slow(chunk=SIZE // 4)], [200]),
    "many requests": ([Status(429, {"Retry-After": "0"})], [429, 200]),
    "request time-out": ([Status(408)], [408, 200]),
}


@pytest.mark.parametrize("case", HEALED)
def test_passing_faults_end_in_the_right_bytes(place: Place, case: str) -> None:
    """What may pass is tried again; a cut body is resumed where it was cut."""
    faults, statuses = HEALED[case]
    place.server.fault(NAME, *faults)
    assert place.fetch() == place.path.read_bytes()
    assert place.statuses() == statuses
    assert len(only_sound_blobs(place.cache)) == 1
    assert list(place.cache.tmp.iterdir()) == []


FINAL: dict[str, tuple[Fault, int, str]] = {
    "not found": (Status(404), 1, "404 Not Found"),
    "gone": (Status(410), 1, "410 Gone"),
    "forbidden": (Status(403), 1, "403 Forbidden"),
    "teapot": (Status(418), 1, "418"),
    "not implemented": (Status(501), 1, "501 Not Implemented"),
    "outage without end": (Status(503), 4, "503 Service Unavailable (4 times in a row)"),
    "cut at the same place each time": (CutAfter(0), 4, "the connection was cut (4 times in a row)"),
    "ignores ranges and cuts": (IgnoreRange(cut=1000), 4, "the connection was cut"),
    "redirect loop": (Redirect(f"/files/{NAME}"), 31, "30 redirects"),
    "redirect to a file": (Redirect("file:///etc/hostname"), 1, "neither http nor https"),
}


@pytest.mark.parametrize("case", FINAL)
def test_lasting_faults_end_in_the_right_message(place: Place, case: str) -> None:
    """4xx is asked once, an outage as often as told; the reason is named, and nothing is in the cache."""
    fault, times, said = FINAL[case]
    place.server.fault(NAME, fault, forever=True)
    with pytest.raises(FetchError, match=f"cannot download {NAME} from {place.server.origin}") as caught:
        place.fetch()
    assert said in "\n".join(caught.value.notes)
    assert len(place.statuses()) == times
    assert only_sound_blobs(place.cache) == []


WRONG: dict[str, tuple[Fault, str]] = {
    "last byte changed": (WrongBytes(), "sha256: expected"),
    "other bytes, shorter": (WrongBytes(b"other"), f"expected {SIZE} bytes, the server has 5"),
    "longer than promised": (WrongBytes(b"x" * (SIZE + 1)), f"expected {SIZE} bytes, the server has {SIZE + 1}"),
    "empty": (WrongBytes(b""), f"expected {SIZE} bytes"),
    "length too large": (WrongLength(100), f"the server has {SIZE + 100}"),
    "length too small": (WrongLength(-100), f"the server has {SIZE - 100}"),
    "a login page": (Html(), "the server sent an HTML page (`Sign in`)"),
    "a login page that calls itself a file": (Html(content_type="application/zip"), "an HTML page (`Sign in`)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_file_is_refused_at_once(place: Place, case: str) -> None:
    """What is not what was promised is not tried again, not cached, and the message shows both sides."""
    fault, said = WRONG[case]
    place.server.fault(NAME, fault, forever=True)
    with pytest.raises(DigestMismatch, match="is not what was promised") as caught:
        place.fetch()
    assert said in "\n".join(caught.value.notes)
    assert len(place.statuses()) == 1
    assert only_sound_blobs(place.cache) == []
    assert list(place.cache.tmp.iterdir()) == []


def test_wrong_digest_shows_expected_and_got(place: Place) -> None:
    """Both digests stand in the notes."""
    right = place.download()
    with pytest.raises(DigestMismatch) as caught:
        place.fetch(place.download(sha256="b" * 64))
    assert f"sha256: expected {'b' * 64}" in caught.value.notes
    assert f"got {right.sha256}" in caught.value.notes


def test_endless_body_stops_at_the_promised_size(place: Place) -> None:
    """A body without a length that is larger than promised is not read to its end."""
    place.path.write_bytes(b"x" * 8_000_000)
    download = place.download(size=1000)
    place.server.fault(NAME, NoLength(), forever=True)
    with pytest.raises(DigestMismatch, match="is not what was promised") as caught:
        place.fetch(download)
    assert "size: expected 1000 bytes, got more" in caught.value.notes
    assert only_sound_blobs(place.cache) == []


def test_page_without_a_known_size_is_told_too(place: Place) -> None:
    """A lock without sizes gets the same words for a page in place of a wheel."""
    place.server.fault(NAME, Html())
    with pytest.raises(DigestMismatch) as caught:
        place.fetch(place.download(size=None))
    assert "the server sent an HTML page (`Sign in`)" in caught.value.notes


def test_file_replaced_between_two_pieces_is_not_mixed(place: Place) -> None:
    """If-Range: where the file changed after a cut, the server sends all of the new one."""
    place.server.fault(NAME, CutAfter(300_000))
    old = place.path.read_bytes()
    download = download_of(place.server.file_url(NAME), place.path)
    place.path.write_bytes(b"new" + old[3:])
    new = download_of(download.url, place.path)
    place.path.write_bytes(old)
    with Fetcher(place.cache, backoff=0.5, timeout=1) as fetcher:
        thread = threading.Timer(0.1, place.path.write_bytes, (b"new" + old[3:],))
        thread.start()
        assert fetcher.fetch(new).read_bytes().startswith(b"new")
        thread.join()
    assert place.statuses() == [200, 200]
    assert "If-Range" in place.server.seen(NAME)[1].headers


def test_without_a_validator_pieces_are_checked_by_digest(place: Place) -> None:
    """A server without ETags may mix two files; the digest tells, and the file is fetched whole."""
    place.server.etags = False
    place.cache.tmp.mkdir(parents=True)
    place.cache.part(place.download().sha256).write_bytes(b"of another file")
    assert place.fetch() == place.path.read_bytes()
    assert place.statuses() == [206, 200]


def test_interrupted_download_goes_on_in_the_next_run(place: Place) -> None:
    """What one run could not finish, the next one resumes."""
    place.server.fault(NAME, CutAfter(400_000), *[Status(503)] * 2)
    with pytest.raises(FetchError):
        place.fetch(retries=1)
    assert only_sound_blobs(place.cache) == []
    assert place.fetch() == place.path.read_bytes()
    assert place.statuses() == [200, 503, 503, 206]
    assert place.server.seen(NAME)[-1].headers["Range"] == "bytes=400000-"


def test_retry_after_is_obeyed(place: Place) -> None:
    """The server's wish is longer than our own wait, and is kept."""
    place.server.fault(NAME, Status(429, {"Retry-After": "1"}))
    started = time.monotonic()
    place.fetch()
    assert 1.0 <= time.monotonic() - started < 5


def test_time_out_is_counted_without_a_byte(place: Place) -> None:
    """A download may take longer than the time-out as long as bytes come; one that stalls is named with the time."""
    place.server.fault(NAME, Slow(chunk=SIZE // 8, pause=0.1))
    assert place.fetch(timeout=0.4, retries=0) == place.path.read_bytes()
    other = place.path.with_name("other.whl")
    other.write_bytes(b"other")
    place.server.fault("other.whl", Silence(), forever=True)
    with pytest.raises(FetchError) as caught:
        place.fetch(download_of(place.server.file_url("other.whl"), other), timeout=0.2, retries=0)
    assert "no byte came for 0.2 s" in caught.value.notes[0]


def test_refused_connection_is_named(place: Place) -> None:
    """A registry that is down is told in words, with its address."""
    download = place.download(url="http://127.0.0.1:9/x.whl")
    with pytest.raises(FetchError, match=r"from http://127\.0\.0\.1:9/x\.whl") as caught:
        place.fetch(download, retries=1)
    assert caught.value.notes == ("connection refused (2 times in a row)",)


def test_one_bad_file_among_many_stops_no_other(place: Place) -> None:
    """All files are fetched, and one error names the bad ones."""
    others = []
    for number in range(20):
        path = place.path.with_name(f"p{number}-1-py3-none-any.whl")
        path.write_bytes(os.urandom(2000))
        others.append(download_of(place.server.file_url(path.name), path))
    place.server.fault(others[3].name, Status(404), forever=True)
    place.server.fault(others[7].name, WrongBytes(), forever=True)
    with (
        Fetcher(place.cache, backoff=0.01) as fetcher,
        pytest.raises(FetchError, match="2 of 20 files cannot be downloaded") as caught,
    ):
        fetcher.fetch_all(others)
    assert len(only_sound_blobs(place.cache)) == 18
    assert sorted(note.split(":")[0] for note in caught.value.notes) == [others[3].name, others[7].name]


def test_closing_ends_a_stalled_download_promptly(place: Place) -> None:
    """Who is interrupted does not wait for a server that stalls."""
    place.server.fault(NAME, StallAfter(1000), forever=True)
    fetcher = Fetcher(place.cache, timeout=60)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            fetcher.fetch(place.download())
        except FetchError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not place.server.seen(NAME) and not (place.cache.part(place.download().sha256)).exists():
        time.sleep(0.01)
    time.sleep(0.1)
    started = time.monotonic()
    fetcher.close()
    thread.join(5)
    assert time.monotonic() - started < 2
    assert "stopped" in str(errors[0].notes)  # type: ignore[attr-defined]


def test_no_more_connections_than_told(place: Place) -> None:
    """``connections=1`` means one at a time."""
    downloads = []
    for number in range(4):
        path = place.path.with_name(f"p{number}.whl")
        path.write_bytes(os.urandom(2000))
        downloads.append(download_of(place.server.file_url(path.name), path))
        place.server.fault(path.name, Slow(chunk=500, pause=0.02))
    with Fetcher(place.cache, connections=1) as fetcher:
        before = threading.active_count()
        fetcher.fetch_all(downloads)
        names = [request.path for request in place.server.requests]
        assert len(names) == 4
        assert len([thread for thread in threading.enumerate() if thread.name.startswith("fetch-")]) == 1
        assert threading.active_count() >= before


class TestWithoutDigest:
    """Files whose index names no digest."""

    def test_hashed_once_and_cached(self, place: Place) -> None:
        """The digest is that of what came; the file is then in the cache, and is asked for once a run."""
        url = place.server.file_url(NAME)
        with Fetcher(place.cache) as fetcher:
            first = fetcher.fetch_unhashed(url)
            assert first == (place.download().sha256, SIZE)
            assert fetcher.fetch_unhashed(url) == first
        assert place.statuses() == [200]
        assert place.fetch() == place.path.read_bytes()

    def test_a_later_run_asks_whether_it_changed(self, place: Place) -> None:
        """An unchanged file is not sent again, a changed one is; offline the last answer stands."""
        url = place.server.file_url(NAME)
        for _ in range(2):
            with Fetcher(place.cache) as fetcher:
                old = fetcher.fetch_unhashed(url)
        place.path.write_bytes(b"PK\x03\x04 changed")
        with Fetcher(place.cache) as fetcher:
            new = fetcher.fetch_unhashed(url)
        assert new != old
        assert place.statuses() == [200, 304, 200]
        with Fetcher(place.cache, offline=True) as fetcher:
            assert fetcher.fetch_unhashed(url) == new
        assert len(place.statuses()) == 3

    @pytest.mark.parametrize("fault", [Html(), Html(content_type="application/zip"), WrongBytes(b"no zip at all")])
    def test_what_is_no_wheel_is_refused(self, place: Place, fault: Fault) -> None:
        """With nothing to compare with, a page or other rubbish must still not become the wheel's digest."""
        place.server.fault(NAME, fault)
        with Fetcher(place.cache) as fetcher, pytest.raises(FetchError):
            fetcher.fetch_unhashed(place.server.file_url(NAME))
        assert only_sound_blobs(place.cache) == []

    def test_cut_body_is_completed(self, place: Place) -> None:
        """A cut is resumed here too."""
        place.server.fault(NAME, CutAfter(300_000), Status(503))
        with Fetcher(place.cache, backoff=0.01) as fetcher:
            assert fetcher.fetch_unhashed(place.server.file_url(NAME))[0] == place.download().sha256
        assert place.statuses() == [200, 503, 206]


def test_text_is_fetched_and_verified(place: Place) -> None:
    """Small documents come as text; one with a digest is compared with it and cached."""
    path = place.path.with_name("x.txt")
    path.write_text("Name: ä\n", encoding="utf-8")
    url = place.server.file_url("x.txt")
    with Fetcher(place.cache, backoff=0.01) as fetcher:
        assert fetcher.text(url, {"X-Test": "1"}) == "Name: ä\n"
        assert place.server.seen("x.txt")[0].headers["X-Test"] == "1"
        sha256 = download_of(url, path).sha256
        assert fetcher.text(url, sha256=sha256) == "Name: ä\n"
        assert fetcher.text(url, sha256=sha256) == "Name: ä\n"
        assert len(place.server.seen("x.txt")) == 2
        with pytest.raises(DigestMismatch):
            fetcher.text(url, sha256="c" * 64)
