"""``cache info``, ``verify`` and ``prune``."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from support.fetching import damage, put

from pyrunenv.errors import CacheError
from pyrunenv.fetch.cache import Cache


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "cache")


def test_info_counts_by_kind(cache: Cache) -> None:
    """Counts and bytes stand for each kind; an unused cache is empty."""
    assert cache.info().bytes == 0
    put(cache, b"12345")
    put(cache, b"1234567")
    tree = cache.interpreters / "one" / "bin"
    tree.mkdir(parents=True)
    (tree / "python").write_bytes(b"123")
    info = cache.info()
    assert (info.kinds["blobs"].count, info.kinds["blobs"].bytes) == (2, 12)
    assert (info.kinds["interpreters"].count, info.kinds["interpreters"].bytes) == (1, 3)
    assert info.bytes == 15


def test_verify_removes_exactly_what_is_damaged(cache: Cache) -> None:
    """A changed blob, a blob under a wrong name and one in a wrong folder are found; a sound one stays."""
    good, bad = put(cache, b"good"), put(cache, b"bad!")
    damage(cache, bad, b"BAD!")
    misnamed = cache.blobs / "ab" / "leftover"
    misnamed.parent.mkdir(exist_ok=True)
    misnamed.write_bytes(b"good")
    misplaced = cache.blobs / "zz" / good
    misplaced.parent.mkdir()
    misplaced.write_bytes(b"good")
    assert cache.verify() == sorted([cache.blob(bad), misnamed, misplaced])
    assert cache.has(good)
    assert not cache.has(bad)
    assert not misnamed.exists()
    assert cache.verify() == []


def test_prune_takes_the_least_recently_used_first(cache: Cache, tmp_path: Path) -> None:
    """Using a blob saves it: what was used longest ago goes until the rest fits."""
    blobs = [put(cache, bytes([65 + number]) * 100) for number in range(3)]
    for age, sha256 in enumerate(blobs):
        os.utime(cache.blob(sha256), (1000 + age, 1000 + age))
    cache.copy_to(blobs[0], tmp_path / "used")
    assert cache.prune(250) == 100
    assert [cache.has(sha256) for sha256 in blobs] == [True, False, True]
    assert cache.prune(250) == 0
    assert cache.prune(0) == 200
    assert cache.info().bytes == 0


def test_prune_says_so_where_it_may_not_lock(cache: Cache) -> None:
    """Nothing is called removed where nothing can be."""
    put(cache, b"x" * 100)
    shutil.rmtree(cache.locks, ignore_errors=True)
    cache.locks.write_bytes(b"")
    with pytest.raises(CacheError, match="the cache cannot lock"):
        cache.prune(0)


def test_prune_without_a_size_keeps_all_blobs(cache: Cache) -> None:
    """Plain ``prune`` removes leftovers only."""
    sha256 = put(cache, b"wheel")
    assert cache.prune() == 0
    assert cache.has(sha256)


def test_prune_removes_what_the_dead_left_and_nothing_of_the_living(cache: Cache) -> None:
    """A temporary whose owner holds its lock stays; one without an owner goes, and so do stale locks."""
    with cache.temporary(".part") as living, cache.lock("b" * 64):
        living.write_bytes(b"living")
        beginning = cache.part("b" * 64)
        beginning.write_bytes(b"beginning")
        orphan = cache.tmp / "t0123456789abcdef.part"
        orphan.write_bytes(b"orphan")
        (cache.tmp / "tffff" / "deep").mkdir(parents=True)
        (cache.tmp / "tffff" / "deep" / "file").write_bytes(b"tree")
        (cache.locks / "stale.lock").write_bytes(b"")
        assert cache.prune() == len(b"orphan") + len(b"tree")
        assert living.exists()
        assert beginning.exists()
        assert len(list(cache.locks.iterdir())) == 2
    assert cache.prune() == len(b"beginning")
    assert list(cache.tmp.iterdir()) == []
    assert list(cache.locks.iterdir()) == []


def test_prune_passes_over_what_is_in_use(cache: Cache) -> None:
    """A blob or interpreter whose lock somebody holds is not pruned."""
    sha256 = put(cache, b"wheel")
    tar = cache.interpreters / "0123.tar"
    tar.parent.mkdir(parents=True)
    tar.write_bytes(b"123")
    tar.with_suffix(".json").write_bytes(b"{}")
    with cache.lock(sha256), FileLock(tar.with_suffix(".lock")):
        assert cache.prune(0) == 0
    assert cache.prune(0) == 10
    assert cache.info().bytes == 0


def test_an_unused_cache_needs_no_upkeep(cache: Cache) -> None:
    """Nothing is an error where there is no cache yet."""
    assert cache.verify() == []
    assert cache.prune(0) == 0


def leftovers(cache: Cache) -> list[Path]:
    """Lay out what killed processes leave beside interpreters and in the resolver's cache, and what is no leftover."""
    made = [
        cache.interpreters / ".0123.tar.abcdefgh.tmp",
        cache.interpreters / ".pip-x.tmp" / "pip.whl",
        cache.uv / ".tmpAbCdEf" / "file",
        cache.uv / "simple-v28" / "index" / ".tmpQqQqQq",
    ]
    for path in (*made, cache.interpreters / "0123.lock", cache.uv / ".lock", cache.uv / "archive-v0" / "x" / ".tmp_y"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    return made


def test_prune_removes_what_the_dead_left_elsewhere(cache: Cache) -> None:
    """Beginnings of interpreters and of the resolver's files go; what lies in an unpacked wheel does not."""
    made = leftovers(cache)
    assert cache.prune() == 4 * len(made)
    assert [path for path in made if path.exists()] == []
    assert (cache.uv / "archive-v0" / "x" / ".tmp_y").exists()


def test_prune_leaves_the_beginnings_of_the_living(cache: Cache) -> None:
    """While an interpreter is prepared, or uv runs, their temporaries stay."""
    from filelock import FileLock

    made = leftovers(cache)
    with FileLock(cache.interpreters / "0123.lock"), FileLock(cache.uv / ".lock"):
        assert cache.prune() == 0
    assert all(path.exists() for path in made)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_prune_leaves_folders_that_a_process_works_in(cache: Cache) -> None:
    """What is made once, or filled by many, stays as long as its user lives; then it goes like the rest."""
    user = Cache(cache.root)
    with user.made_once("environment", "k") as (folder, missing):
        assert missing
        (folder / "python").write_bytes(b"x" * 100)
    compiled = user.shared(cache.build / "zig")
    (compiled / "o").write_bytes(b"x" * 50)
    with Cache(cache.root).made_once("headers", "h") as (other, _):
        (other / "Python.h").write_bytes(b"x" * 10)
    assert cache.prune(0) == 10
    assert folder.exists()
    assert compiled.exists()
    del user
    gc.collect()
    assert cache.prune(0) == 150
    assert not folder.exists()
