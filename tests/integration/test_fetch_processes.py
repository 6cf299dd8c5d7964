"""Several processes on one cache; processes that are killed or interrupted; a disk that is full."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.faults import Slow, StallAfter
from support.fetching import clean_environment, download_of, only_sound_blobs
from support.index import IndexServer

from pyrunenv.errors import CacheError
from pyrunenv.fetch.cache import Cache
from pyrunenv.fetch.download import Download, Fetcher

FETCH = """
import json, signal, sys
from pathlib import Path
# a shell that starts the tests in the background leaves SIGINT ignored, and Python leaves it so
signal.signal(signal.SIGINT, signal.default_int_handler)
from pyrunenv.errors import PyrunenvError
from pyrunenv.fetch.cache import Cache
from pyrunenv.fetch.download import Download, Fetcher
downloads = [Download(*fields) for fields in json.loads(sys.argv[2])]
print("begun", flush=True)
with Fetcher(Cache(Path(sys.argv[1])), timeout=30, backoff=0.01) as fetcher:
    try:
        fetcher.fetch_all(downloads)
    except PyrunenvError as error:
        sys.exit(f"{error.code}: {error.message} {error.notes}")
"""


def start(cache: Path, downloads: Sequence[Download]) -> subprocess.Popen[str]:
    """Start a process that fetches into a cache."""
    fields = json.dumps([[d.url, d.sha256, d.size, d.name] for d in downloads])
    words = [sys.executable, "-c", FETCH, str(cache), fields]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], seconds: float = 60) -> tuple[int, str]:
    """Wait for a process; returns its exit status and what it said on stderr."""
    _, said = process.communicate(timeout=seconds)
    return process.returncode, said


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IndexServer]:
    """A server with twelve files."""
    clean_environment(monkeypatch, tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(12):
        (folder / f"p{number}-1-py3-none-any.whl").write_bytes(random.Random(number).randbytes(400_000 + number))
    with IndexServer(folder) as made:
        yield made


def everything(server: IndexServer) -> list[Download]:
    """Describe all of a server's files."""
    return [download_of(server.file_url(path.name), path) for path in sorted(server.folder.iterdir())]


def test_processes_share_a_cache_and_fetch_each_url_once(server: IndexServer, tmp_path: Path) -> None:
    """Three processes with overlapping lists: each URL is asked for once, and all of them have everything."""
    downloads = everything(server)
    for download in downloads:
        server.fault(download.name, Slow(chunk=100_000, pause=0.03))
    lists = [downloads, downloads[::-1], downloads[3:9]]
    processes = [start(tmp_path / "cache", wanted) for wanted in lists]
    assert [finish(process) for process in processes] == [(0, "")] * 3
    assert set(server.counts().values()) == {1}
    cache = Cache(tmp_path / "cache")
    assert only_sound_blobs(cache) == sorted(download.sha256 for download in downloads)
    cache.prune()
    assert list(cache.tmp.iterdir()) == []
    assert list(cache.locks.iterdir()) == []


@pytest.mark.parametrize("seed", range(5))
def test_killed_at_any_moment_the_next_run_finishes(server: IndexServer, tmp_path: Path, seed: int) -> None:
    """SIGKILL leaves nothing that is taken for whole; the next run completes, and prune removes what is left over."""
    downloads = everything(server)
    for download in downloads:
        server.fault(download.name, Slow(chunk=20_000, pause=0.03))
    process = start(tmp_path / "cache", downloads)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(random.Random(seed).uniform(0.0, 0.5))
    process.kill()
    assert finish(process)[0] == -signal.SIGKILL
    cache = Cache(tmp_path / "cache")
    before = set(only_sound_blobs(cache))
    assert finish(start(cache.root, downloads)) == (0, "")
    assert set(only_sound_blobs(cache)) == {d.sha256 for d in downloads} >= before
    assert cache.verify() == []
    cache.prune()
    assert list(cache.tmp.iterdir()) == []
    assert list(cache.locks.iterdir()) == []


def test_what_a_killed_process_left_is_pruned(server: IndexServer, tmp_path: Path) -> None:
    """While a process lives its beginnings stay; once it is dead they go."""
    downloads = everything(server)[:2]
    for download in downloads:
        server.fault(download.name, StallAfter(300_000), forever=True)
    process = start(tmp_path / "cache", downloads)
    cache = Cache(tmp_path / "cache")
    parts = [cache.part(download.sha256) for download in downloads]
    while not all(part.exists() and part.stat().st_size >= 200_000 for part in parts):
        time.sleep(0.02)
    assert cache.prune() == 0
    assert all(part.exists() for part in parts)
    process.kill()
    finish(process)
    assert cache.prune() >= 400_000
    assert list(cache.tmp.iterdir()) == []


def test_interrupt_ends_a_stalled_download_at_once(server: IndexServer, tmp_path: Path) -> None:
    """Ctrl-C does not wait for a time-out, which is 30 s."""
    downloads = everything(server)
    for download in downloads:
        server.fault(download.name, StallAfter(100), forever=True)
    process = start(tmp_path / "cache", downloads)
    while len(server.requests) < 12:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    status, said = finish(process, 15)
    assert status == -signal.SIGINT
    assert "KeyboardInterrupt" in said
    assert only_sound_blobs(Cache(tmp_path / "cache")) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_is_named_and_leaves_nothing(server: IndexServer, small_disk: Path) -> None:
    """A cache that fills up says so and what to do; what was finished is sound, and with room the next run finishes."""
    cache = Cache(small_disk / "cache")
    with Fetcher(cache) as fetcher, pytest.raises(CacheError, match="no space is left on the disk") as caught:
        fetcher.fetch_all(everything(server))
    assert "pyrunenv cache prune" in (caught.value.hint or "")
    only_sound_blobs(cache)
    assert [path for path in cache.tmp.iterdir() if path.stat().st_size] == []
    cache.prune(0)
    with Fetcher(cache) as fetcher:
        fetcher.fetch_all(everything(server)[:3])
    assert len(only_sound_blobs(cache)) == 3
