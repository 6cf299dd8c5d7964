"""Archives: their form, and that nothing but the tree decides their bytes."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bundles import make_bundle, noise, text

from pyrunenv.bundle import pack as module
from pyrunenv.bundle.pack import Packed, pack
from pyrunenv.errors import AssembleError
from pyrunenv.packing import tree, zipped

EPOCH = 315_532_800


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "linux-x64")


@pytest.fixture(scope="module")
def tgz(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Packed]:
    path = tmp_path_factory.mktemp("archives") / "pkg.tgz"
    return path, pack(bundle, path, mtime=EPOCH, jobs=2)


def members(path: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(path) as archive:
        return archive.getmembers()


def test_the_content_comes_back(tgz: tuple[Path, Packed], bundle: Path, tmp_path: Path) -> None:
    """Unpacking gives the bundle's files, links and empty folders, without a leading folder."""
    with tarfile.open(tgz[0]) as archive:
        archive.extractall(tmp_path, filter="tar")
    for folder, folders, files in os.walk(bundle):
        there = tmp_path / Path(folder).relative_to(bundle)
        assert sorted(p.name for p in there.iterdir()) == sorted(folders + files)
        for name in files:
            one, other = Path(folder, name), there / name
            assert one.is_symlink() == other.is_symlink()
            assert one.is_symlink() or one.read_bytes() == other.read_bytes()
    assert (tmp_path / "bin/python").readlink() == Path("python3.12")
    assert (tmp_path / "lib/python3.12/empty").is_dir()


def test_entries_are_sorted_and_anonymous(tgz: tuple[Path, Packed]) -> None:
    """Names ascend bytewise; owner, time and mode are the same for all builders."""
    found = members(tgz[0])
    names = [m.name.encode() for m in found]
    assert names == sorted(names)
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in found} == {(0, 0, "", "", EPOCH)}
    modes = {m.name: m.mode for m in found}
    assert modes["bin/python3.12"] == modes["bin"] == 0o755
    assert modes["lib/python3.12/os.py"] == 0o644


def test_it_is_one_gzip_member_without_a_trace(tgz: tuple[Path, Packed]) -> None:
    """A reader that knows one member alone reads all of it; the header holds no time, name or system."""
    content = tgz[0].read_bytes()
    assert content[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    reader = zlib.decompressobj(31)
    tar = reader.decompress(content)
    assert reader.eof
    assert not reader.unused_data
    assert len(tar) % 10240 == 0


def test_digests_and_sizes_are_those_of_the_archive_and_its_tar(tgz: tuple[Path, Packed]) -> None:
    """What is reported while writing is what lies on disk."""
    content = tgz[0].read_bytes()
    tar = gzip.decompress(content)
    sha256 = [hashlib.sha256(data).hexdigest() for data in (content, tar)]
    assert tgz[1] == Packed(sha256[0], len(content), sha256[1], len(tar))


def test_wheels_are_stored_but_for_those_that_shrink(tgz: tuple[Path, Packed], bundle: Path) -> None:
    """A compressed wheel stands in the archive as it is; one whose files are not compressed shrinks."""
    content = tgz[0].read_bytes()
    assert (bundle / "packages/big-1-py3-none-any.whl").read_bytes()[70_000:130_000] in content
    loose = (bundle / "packages/loose-1-py3-none-any.whl").read_bytes()
    assert loose[70_000:100_000] not in content


def test_the_bytes_are_pinned(tgz: tuple[Path, Packed]) -> None:
    """Another compressor, tar writer or block size shows here, and calls for a new recipe number."""
    assert tgz[1].sha256 == "37e5081d76b6e82dd803a06a7627e1b1ffca5d495b59a340ef012f24e6ebcfe2"


def test_a_bundle_of_wheels_is_packed_quickly_and_its_bytes_are_pinned(bundle: Path, tmp_path: Path) -> None:
    """Where plain data is at most a fifth, it takes a lower level; the tar inside is what it would be anyway."""
    copy = shutil.copytree(bundle, tmp_path / "copy", symlinks=True)
    assert not module._is_mostly_compressed(tree.members(copy))
    (copy / "packages/more-1-py3-none-any.whl").write_bytes(noise(3_000_000, 4) + text(50_000, 5))
    assert module._is_mostly_compressed(tree.members(copy))
    packed = pack(copy, tmp_path / "a.tgz", mtime=EPOCH, jobs=2)
    assert packed.sha256 == "a415266ff7203b0540836029063bc0c0c5686d67f6c1e60046db0bd3ba747076"
    assert gzip.decompress((tmp_path / "a.tgz").read_bytes()) == b"".join(
        data for data, _ in module._tar_stream(tree.members(copy), EPOCH)
    )


def test_headers_are_those_that_tarfile_makes(bundle: Path, tmp_path: Path) -> None:
    """A tar of the same members by the standard library is the same, byte for byte."""
    expected = io.BytesIO()
    with tarfile.open(fileobj=expected, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in tree.members(bundle):
            info = tarfile.TarInfo(member.name)
            info.mode, info.mtime, info.size, info.linkname = member.mode, EPOCH, member.size, member.target
            info.type = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}[member.kind]
            archive.addfile(info, io.BytesIO(b"".join(member.chunks(1000))))
    assert b"".join(data for data, _ in module._tar_stream(tree.members(bundle), EPOCH)) == expected.getvalue()


@pytest.mark.parametrize("suffix", ["tgz", "zip"])
def test_nothing_but_the_tree_decides_the_bytes(suffix: str, bundle: Path, tmp_path: Path) -> None:
    """Another folder, order of creation, time, umask, write bits and number of jobs change nothing."""
    first = pack(bundle, tmp_path / f"one.{suffix}", mtime=EPOCH, jobs=1)
    copy = tmp_path / "ünï code" / "linux-x64"
    before = os.umask(0o077)
    try:
        copy.mkdir(parents=True)
        for path in sorted(bundle.rglob("*"), key=lambda p: (len(p.parts), p.name[::-1])):
            there = copy / path.relative_to(bundle)
            if path.is_symlink():
                there.symlink_to(path.readlink())
            elif path.is_dir():
                there.mkdir()
            else:
                shutil.copyfile(path, there)
                there.chmod(0o700 if path.stat().st_mode & stat.S_IXUSR else 0o400)
                os.utime(there, (time.time(), time.time()))
        second = pack(copy, tmp_path / f"two.{suffix}", mtime=EPOCH, jobs=5)
    finally:
        os.umask(before)
    assert first == second
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()
    assert stat.S_IMODE((tmp_path / f"two.{suffix}").stat().st_mode) == 0o644


def test_the_time_is_in_the_bytes(bundle: Path, tmp_path: Path) -> None:
    """SOURCE_DATE_EPOCH reaches every entry."""
    pack(bundle, tmp_path / "a.tgz", mtime=1_700_000_000, jobs=2)
    assert {m.mtime for m in members(tmp_path / "a.tgz")} == {1_700_000_000}


def test_one_changed_byte_changes_the_archive(bundle: Path, tmp_path: Path, tgz: tuple[Path, Packed]) -> None:
    """The digest of an archive stands for its content."""
    copy = shutil.copytree(bundle, tmp_path / "copy", symlinks=True)
    with (copy / "lib/python3.12/os.py").open("r+b") as stream:
        stream.write(b"#")
    assert pack(copy, tmp_path / "a.tgz", mtime=EPOCH, jobs=2).tar_sha256 != tgz[1].tar_sha256


def test_an_empty_bundle_is_an_archive_too(tmp_path: Path) -> None:
    """No entry at all still gives a readable tar."""
    (tmp_path / "b").mkdir()
    pack(tmp_path / "b", tmp_path / "a.tgz", mtime=EPOCH, jobs=2)
    assert members(tmp_path / "a.tgz") == []


def test_a_zip_holds_the_same_tree(bundle: Path, tmp_path: Path) -> None:
    """Files, modes, links and folders of a zip are the bundle's, its CRCs hold, its wheels are stored."""
    packed = pack(bundle, tmp_path / "a.zip", mtime=EPOCH, jobs=2)
    assert packed.tar_sha256 is None
    assert packed.sha256 == hashlib.sha256((tmp_path / "a.zip").read_bytes()).hexdigest()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        infos = {i.filename: i for i in archive.infolist()}
        assert archive.read("share/naïve ünï.txt") == b"accents\n"
        assert archive.read("bin/python") == b"python3.12"
        assert archive.read("lib/python3.12/os.py") == (bundle / "lib/python3.12/os.py").read_bytes()
    assert stat.S_ISLNK(infos["bin/python"].external_attr >> 16)
    assert infos["bin/python3.12"].external_attr >> 16 == 0o100755
    assert infos["lib/python3.12/os.py"].external_attr >> 16 == 0o100644
    assert infos["lib/python3.12/empty/"].is_dir()
    assert infos["packages/big-1-py3-none-any.whl"].compress_type == zipfile.ZIP_STORED
    assert infos["lib/python3.12/os.py"].compress_size < 300_000
    assert {i.date_time for i in infos.values()} == {(1980, 1, 1, 0, 0, 0)}
    assert {i.create_system for i in infos.values()} == {3}


def test_the_bytes_of_a_zip_are_pinned(bundle: Path, tmp_path: Path) -> None:
    """As for the tar: a change here calls for a new recipe number."""
    assert (
        pack(bundle, tmp_path / "a.zip", mtime=EPOCH, jobs=2).sha256
        == "2327165c4d026c3dbafab9ffd8df8eeefac34567ab4596a712ceaccb4afc3e4a"
    )


def test_a_large_zip_uses_64_bits(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limits of the old format lowered, every field that is too large moves to its 64-bit place."""
    monkeypatch.setattr(zipped, "_MAX16", 3)
    monkeypatch.setattr(zipped._Entry, "wide", property(lambda entry: entry.member.size > 1_000_000))
    out = io.BytesIO()
    zipped.write_zip(module.members(bundle), out, mtime=EPOCH, jobs=2)
    content = out.getvalue()
    assert b"PK\6\6" in content
    assert b"PK\6\7" in content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.getinfo("packages/big-1-py3-none-any.whl").extract_version == 45


def test_a_pipe_in_the_bundle_is_refused(tmp_path: Path) -> None:
    """What is neither file, folder nor link is named, and leaves no archive."""
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "b/pipe")
    with pytest.raises(AssembleError, match="`pipe` is neither a file, a folder nor a link"):
        pack(tmp_path / "b", tmp_path / "a.tgz", mtime=EPOCH, jobs=2)
    assert not list(tmp_path.glob("*a.tgz*"))


@pytest.mark.parametrize("grown", [-10, 10])
def test_a_file_that_changes_meanwhile_is_an_error(
    grown: int, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that became shorter or longer after it was listed would break the archive."""
    copy = shutil.copytree(bundle, tmp_path / "copy", symlinks=True)
    listed = module.members

    def then_change(root: Path) -> Any:
        found = listed(root)
        path = copy / "lib/python3.12/os.py"
        os.truncate(path, path.stat().st_size + grown)
        return found

    monkeypatch.setattr(module, "members", then_change)
    with pytest.raises(AssembleError, match=r"`lib/python3.12/os.py` changed while it was packed"):
        pack(copy, tmp_path / "a.tgz", mtime=EPOCH, jobs=2)
    assert not list(tmp_path.glob("*.tgz*"))


def test_a_full_disk_leaves_the_old_archive(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to do; what was there before is still whole; nothing temporary stays."""
    archive = tmp_path / "a.tgz"
    archive.write_bytes(b"old")

    def full(found: list[Any], mtime: int) -> Iterator[tuple[bytes, bool]]:
        yield noise(1 << 20), False
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_tar_stream", full)
    with pytest.raises(AssembleError, match=r"cannot pack a.tgz: No space left on device") as caught:
        pack(bundle, archive, mtime=EPOCH, jobs=2)
    assert caught.value.hint == "make room, and build again"
    assert archive.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.tgz"]


def test_what_a_dead_process_left_is_removed(bundle: Path, tmp_path: Path) -> None:
    """A temporary of this archive goes; another archive's stays."""
    for name in (".a.tgz.x1y2.tmp", ".b.tgz.x1y2.tmp"):
        (tmp_path / name).write_bytes(b"half")
    pack(bundle, tmp_path / "a.tgz", mtime=EPOCH, jobs=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".b.tgz.x1y2.tmp", "a.tgz"]
