"""The cache: what enters, what leaves, and what is said when the file system refuses."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest
from support.fetching import damage, put

from pyrunenv.errors import CacheError
from pyrunenv.fetch.cache import Cache, DamagedBlob


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "cache")


def test_environment_variable_names_the_folder(tmp_path: Path) -> None:
    """PYRUNENV_CACHE wins over the platform's cache folder, and nothing is made before it is needed."""
    cache = Cache.from_environment({"PYRUNENV_CACHE": str(tmp_path / "elsewhere")})
    assert cache.root == tmp_path / "elsewhere"
    assert not cache.root.exists()
    assert Cache.from_environment({}).root.name == "pyrunenv"


def test_adopted_blob_lies_under_its_digest_and_is_read_only(cache: Cache) -> None:
    """A blob is found by digest, has its content, and cannot be written to."""
    sha256 = put(cache, b"wheel")
    assert cache.blob(sha256) == cache.root / "blobs" / "sha256" / sha256[:2] / sha256
    assert cache.blob(sha256).read_bytes() == b"wheel"
    assert cache.blob(sha256).stat().st_mode & 0o777 == 0o444
    assert cache.has(sha256)
    assert cache.has(sha256, 5)
    assert not cache.has(sha256, 6)
    assert list(cache.tmp.iterdir()) == []


@pytest.mark.parametrize("digest", ["", "abc", "../../etc/passwd", "A" * 64, "a" * 63 + "/"])
def test_what_is_no_digest_names_no_blob(cache: Cache, digest: str) -> None:
    """Only 64 lower-case hexadecimal digits become a path."""
    with pytest.raises(CacheError):
        cache.blob(digest)


def test_copy_shares_no_inode_with_the_cache(cache: Cache, tmp_path: Path) -> None:
    """A copy that is edited leaves the cache as it was."""
    sha256 = put(cache, b"wheel")
    target = tmp_path / "a.whl"
    cache.copy_to(sha256, target)
    assert target.stat().st_mode & 0o777 == 0o644
    assert target.stat().st_ino != cache.blob(sha256).stat().st_ino
    target.write_bytes(b"edited")
    assert cache.blob(sha256).read_bytes() == b"wheel"


def test_copy_replaces_a_link_and_not_what_it_leads_to(cache: Cache, tmp_path: Path) -> None:
    """Where a symlink stands at the target, its destination is not written to."""
    sha256 = put(cache, b"wheel")
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    target = tmp_path / "a.whl"
    target.symlink_to(outside)
    cache.copy_to(sha256, target)
    assert outside.read_bytes() == b"mine"
    assert not target.is_symlink()


def test_copy_works_where_the_kernel_cannot_copy(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without copy_file_range gets a plain copy, not a half one."""
    content = os.urandom(300_000)
    sha256 = put(cache, content)

    def refuse(source: int, target: int, *_: object) -> int:
        os.write(target, b"half of it")
        raise OSError(errno.EXDEV, "cross-device")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    cache.copy_to(sha256, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


def test_a_blob_gets_a_second_name_and_no_third(cache: Cache, tmp_path: Path) -> None:
    """The first bundle's wheel is the blob itself, those of others are copies until that is gone; all look alike."""
    sha256 = put(cache, b"wheel")
    names = [tmp_path / name for name in ("first", "second", "third")]
    for name in names[:2]:
        cache.link_to(sha256, name)
    names[0].unlink()
    cache.link_to(sha256, names[2])
    same = [name.exists() and name.samefile(cache.blob(sha256)) for name in names]
    assert same == [False, False, True]
    assert {(name.read_bytes(), name.stat().st_mode & 0o777) for name in names[1:]} == {(b"wheel", 0o644)}


def test_names_that_two_processes_give_at_once_are_not_both_kept(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and linking there is no moment in which another could come: the links are counted afterwards."""
    sha256 = put(cache, b"wheel")
    real = os.link

    def meanwhile(source: str, target: str, **options: bool) -> None:
        real(source, tmp_path / "theirs")
        real(source, target, **options)

    monkeypatch.setattr(os, "link", meanwhile)
    cache.link_to(sha256, tmp_path / "ours")
    assert not (tmp_path / "ours").samefile(tmp_path / "theirs")
    assert (tmp_path / "ours").read_bytes() == b"wheel"


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_where_no_link_can_be_there_is_a_copy(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Another disk, a file system without links, or somebody else's file."""
    sha256 = put(cache, b"wheel")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "a.whl"
    target.write_bytes(b"what was there")
    cache.link_to(sha256, target)
    assert not target.samefile(cache.blob(sha256))
    assert target.read_bytes() == b"wheel"


def test_a_blob_that_was_written_into_through_its_second_name(cache: Cache, tmp_path: Path) -> None:
    """It enters no other bundle: whoever wants it next finds it damaged."""
    sha256 = put(cache, b"wheel")
    cache.link_to(sha256, tmp_path / "first")
    with (tmp_path / "first").open("r+b") as stream:
        stream.write(b"W")
    for other in (cache, Cache(cache.root)):
        with pytest.raises(DamagedBlob):
            other.link_to(sha256, tmp_path / "second")
    assert not (tmp_path / "second").exists()
    assert (tmp_path / "first").read_bytes() == b"Wheel"


def test_using_a_blob_does_not_date_what_is_linked_to_it(cache: Cache, tmp_path: Path) -> None:
    """A bundle is known by its files' times: they stay, while the cache goes on counting uses."""
    sha256 = put(cache, b"wheel")
    cache.link_to(sha256, tmp_path / "first")
    os.utime(tmp_path / "first", (1000, 1000))
    cache.copy_to(sha256, tmp_path / "second")
    status = (tmp_path / "first").stat()
    assert status.st_mtime == 1000 < status.st_atime


@pytest.mark.parametrize("content", [b"whEEl", b"", b"wheel and more"])
def test_damaged_blob_is_removed_and_not_copied(cache: Cache, tmp_path: Path, content: bytes) -> None:
    """A blob that was changed, even in place and at the same size, is refused by a process that has not seen it."""
    sha256 = put(cache, b"wheel")
    damage(cache, sha256, content)
    with pytest.raises(DamagedBlob) as caught:
        Cache(cache.root).copy_to(sha256, tmp_path / "a.whl")
    assert caught.value.sha256 == sha256
    assert not cache.has(sha256)
    assert not (tmp_path / "a.whl").exists()


def test_blob_damaged_after_it_was_verified_is_noticed(cache: Cache, tmp_path: Path) -> None:
    """What this process verified is verified again once the file has another time or size."""
    sha256 = put(cache, b"wheel")
    cache.copy_to(sha256, tmp_path / "first")
    damage(cache, sha256, b"whEEl")
    with pytest.raises(DamagedBlob):
        cache.copy_to(sha256, tmp_path / "second")


def test_verified_blob_is_hashed_once(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that goes on using a blob does not hash it each time."""
    sha256 = put(cache, b"wheel")
    fresh = Cache(cache.root)
    hashed = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: hashed.append(1) or real(*a))
    for number in range(3):
        fresh.copy_to(sha256, tmp_path / str(number))
    assert len(hashed) == 1


def test_missing_blob_is_said_to_be_missing(cache: Cache, tmp_path: Path) -> None:
    """A blob that another process pruned is an error that asks for a download, not a traceback."""
    with pytest.raises(DamagedBlob, match="a" * 64):
        cache.copy_to("a" * 64, tmp_path / "a.whl")


def test_check_removes_what_is_damaged(cache: Cache) -> None:
    """A damaged blob is as good as none, so that it is downloaded again."""
    sha256 = put(cache, b"wheel")
    assert cache.check(sha256, 5)
    damage(cache, sha256, b"whEEl")
    assert not cache.check(sha256, 5)
    assert not cache.blob(sha256).exists()


def test_lock_excludes_other_threads(cache: Cache) -> None:
    """Two holders of one lock never overlap."""
    inside, worst = 0, 0

    def work() -> None:
        nonlocal inside, worst
        for _ in range(5):
            with cache.lock("name/with odd:characters"):
                inside += 1
                worst = max(worst, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == 1


def test_waiting_for_a_lock_can_be_cancelled(cache: Cache) -> None:
    """A thread that waits for a lock ends when its run is interrupted."""
    with cache.lock("one"), pytest.raises(InterruptedError), cache.lock("one", lambda: True):
        pytest.fail("the lock was held")


def test_temporary_is_removed_whatever_happens(cache: Cache) -> None:
    """A temporary file or folder goes with its block, and so does its lock."""

    def fail() -> None:
        with cache.temporary("folder") as path:
            path.mkdir()
            (path / "file").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(cache.tmp.iterdir()) == []
    assert list(cache.locks.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "said", "hint"),
    [
        (errno.ENOSPC, "no space is left on the disk", "pyrunenv cache prune"),
        (errno.EDQUOT, "no space is left on the disk", "pyrunenv cache prune"),
        (errno.EACCES, "permission is denied", "PYRUNENV_CACHE"),
        (errno.EROFS, "permission is denied", "PYRUNENV_CACHE"),
        (errno.EIO, "input/output error", "PYRUNENV_CACHE"),
    ],
)
def test_refusals_of_the_file_system_say_what_to_do(cache: Cache, code: int, said: str, hint: str) -> None:
    """Each kind of refusal is a CacheError that names the path and the remedy."""
    with pytest.raises(CacheError) as caught, cache.guarded("write", cache.root / "x"):
        raise OSError(code, os.strerror(code))
    assert said in caught.value.message.lower()
    assert str(cache.root / "x") in caught.value.message
    assert hint in (caught.value.hint or "")


def test_root_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    """PYRUNENV_CACHE on a file ends in a message, not in a traceback."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(CacheError, match="cache"), Cache(tmp_path / "cache").temporary():
        pytest.fail("there is no such folder")


def test_full_disk_at_the_target_names_the_target(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a bundle's disk is full, nothing half-copied stays and the message names the file, not the cache."""
    sha256 = put(cache, b"wheel")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "copy_file_range", full, raising=False)
    with pytest.raises(CacheError, match=r"a\.whl cannot be written: no space is left"):
        cache.copy_to(sha256, tmp_path / "a.whl")
    assert not (tmp_path / "a.whl").exists()
    assert cache.has(sha256)
