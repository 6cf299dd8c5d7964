"""Archives of others: what is refused, and that what is not comes out as it went in."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.hostile import TarMember, ZipMember, add_to_tar, add_to_zip

from pyrunenv.archives import check_wheel_members, read_archive
from pyrunenv.errors import UnsafeArchive

FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def make_tar(path: Path, *members: TarMember, compress: Callable[[bytes], bytes] = gzip.compress) -> Path:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add_to_tar(tar, *members)
    path.write_bytes(compress(raw.getvalue()))
    return path


BAD_TARS: dict[str, list[TarMember]] = {
    "parent": [("a/../../evil", b"x", FILE)],
    "inner parent": [("a/../evil", b"x", FILE)],
    "absolute": [("/etc/evil", b"x", FILE)],
    "drive": [("C:/evil", b"x", FILE)],
    "drive alone": [("c:evil", b"x", FILE)],
    "backslash": [("..\\evil", b"x", FILE)],
    "absolute link": [("evil", "/etc/passwd", LINK)],
    "link out": [("a/evil", "../../x", LINK)],
    "link with a drive": [("evil", "C:x", LINK)],
    "link by a detour": [("a/b/c", "../..", LINK), ("evil", "a/b/c/../x", LINK)],
    "file through a link": [("a", "b", LINK), ("a/evil", b"x", FILE)],
    "file below a file": [("a", b"x", FILE), ("a/evil", b"x", FILE)],
    "link over a folder": [("evil/b", b"x", FILE), ("evil", "b", LINK)],
    "hard link to nothing": [("evil", "a", HARD)],
    "hard link out": [("evil", "../a", HARD)],
    "hard link to a link": [("a", "b", LINK), ("evil", "a", HARD)],
    "device": [("evil", b"", tarfile.CHRTYPE)],
    "pipe": [("evil", b"", tarfile.FIFOTYPE)],
    "duplicate": [("evil", b"x", FILE), ("evil", b"y", FILE)],
    "duplicate, spelled otherwise": [("a/evil", b"x", FILE), ("./a//evil", b"y", FILE)],
    "case": [("evil", b"x", FILE), ("Evil", b"y", FILE)],
    "case of a folder": [("evil/a", b"x", FILE), ("EVIL/b", b"y", FILE)],
    "case beyond ASCII": [("evil-straße", b"x", FILE), ("evil-STRASSE", b"y", FILE)],
    "composition": [("evil-\u00e9", b"x", FILE), ("evil-e\u0301", b"y", FILE)],
    "no name": [(".", b"x", FILE)],
    "bomb": [("a", bytes(600_000), FILE), ("evil", bytes(600_000), FILE)],
    "bomb of hard links": [("a", bytes(600_000), FILE), ("evil", "a", HARD)],
}


@pytest.mark.parametrize("case", BAD_TARS)
def test_a_tar_that_could_harm_is_refused_with_its_member_named(case: str, tmp_path: Path) -> None:
    """Each way out of the tree, and each way to two different trees, is refused; archive and member are named."""
    path = make_tar(tmp_path / "bad.tgz", *BAD_TARS[case])
    with pytest.raises(UnsafeArchive) as caught:
        list(read_archive(path, limit_bytes=1_000_000))
    assert "bad.tgz" in caught.value.message
    assert "evil" in caught.value.message or case == "no name"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.tgz"]


S_LINK = stat.S_IFLNK | 0o777
BAD_ZIPS: dict[str, list[ZipMember]] = {
    "parent": [("../evil", b"x", 0)],
    "absolute": [("/evil", b"x", 0)],
    "drive": [("C:/evil", b"x", 0)],
    "backslash": [("a\\evil", b"x", 0)],
    "link out": [("evil", b"../x", S_LINK)],
    "file through a link": [("a", b"b", S_LINK), ("a/evil", b"x", 0)],
    "device": [("evil", b"", stat.S_IFCHR | 0o644)],
    "case": [("evil", b"x", 0), ("EVIL", b"x", 0)],
    "bomb": [("evil", bytes(1_100_000), 0)],
}


@pytest.mark.parametrize("case", BAD_ZIPS)
def test_a_zip_that_could_harm_is_refused_as_archive_and_as_wheel(case: str, tmp_path: Path) -> None:
    """The same refusals hold for zips, whether they are unpacked here or only looked at."""
    path = add_to_zip(tmp_path / "bad.whl", *BAD_ZIPS[case])
    for check in (
        lambda: list(read_archive(path, limit_bytes=1_000_000)),
        lambda: check_wheel_members(path, limit_bytes=1_000_000),
    ):
        with pytest.raises(UnsafeArchive, match=r"bad\.whl.*evil"):
            check()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_wheel_with_a_duplicate_or_a_trailer_is_refused(tmp_path: Path) -> None:
    """Two members of one path, and data after the end, are both ways to show two readers two wheels."""
    with pytest.raises(UnsafeArchive, match="two members have this path"):
        check_wheel_members(add_to_zip(tmp_path / "d.whl", ("a", b"x", 0), ("a", b"y", 0)))
    good = add_to_zip(tmp_path / "t.whl", ("a", b"x", 0))
    check_wheel_members(good)
    good.write_bytes(good.read_bytes() + b"more")
    with pytest.raises(UnsafeArchive, match="goes on after its end"):
        check_wheel_members(good)


@pytest.mark.parametrize("name", ["con", "a/NUL.txt", "com1.py", "trailing.", "space ", "a:b", "what?"])
def test_names_that_windows_cannot_hold_are_refused_for_windows_alone(name: str, tmp_path: Path) -> None:
    """Reserved names are refused where the target is Windows, and nowhere else."""
    path = make_tar(tmp_path / "x.tgz", (f"d/{name}", b"x", FILE))
    assert len(list(read_archive(path))) == 1
    with pytest.raises(UnsafeArchive, match="Windows cannot hold"):
        list(read_archive(path, windows=True))


def test_members_come_out_as_they_went_in(tmp_path: Path) -> None:
    """Files, links within the tree, folders and hard links (as copies, chains too) are yielded in their order."""
    path = make_tar(
        tmp_path / "x",
        ("./d", b"", tarfile.DIRTYPE),
        ("d/a", b"abc", FILE),
        ("d/l", "../d/a", LINK),
        ("h", "d/a", HARD),
        ("h2", "h", HARD),
    )
    assert [(e.path, e.kind, e.content, e.target) for e in read_archive(path)] == [
        ("d", "folder", b"", ""),
        ("d/a", "file", b"abc", ""),
        ("d/l", "link", b"", "../d/a"),
        ("h", "file", b"abc", ""),
        ("h2", "file", b"abc", ""),
    ]


def test_unwanted_members_are_checked_but_their_case_is_nobodys_concern(tmp_path: Path) -> None:
    """What is left out may differ by case (ncurses' terminfo does), but may still not lead outside."""
    terminfo = [("t/E/Eterm", b"x", FILE), ("t/e/eterm", b"y", FILE), ("a", b"z", FILE)]
    path = make_tar(tmp_path / "x", *terminfo)
    assert [e.path for e in read_archive(path, wanted=lambda p: not p.startswith("t/"))] == ["a"]
    with pytest.raises(UnsafeArchive):
        list(read_archive(make_tar(tmp_path / "y", ("../t", b"", FILE)), wanted=lambda p: False))


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, bytes], ids=["gz", "bz2", "xz", "tar"]
)
def test_every_cut_of_an_archive_is_an_error_and_never_a_shorter_archive(
    compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """An archive that ends anywhere before its last member's end is refused, in words of its own."""
    whole = make_tar(tmp_path / "x", *[(f"f{n}", os.urandom(900), FILE) for n in range(5)], compress=compress)
    data = whole.read_bytes()
    assert len(list(read_archive(whole))) == 5
    for size in [0, 1, 5, 100, 511, 512, 513, 1024, 1536, 2048, 2560, len(data) // 2, 5 * 1536 - 1]:
        whole.write_bytes(data[: min(size, len(data) - 1)])
        with pytest.raises(UnsafeArchive, match="damaged or cut short"):
            list(read_archive(whole))


@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gz", "tar"])
def test_a_damaged_header_is_not_taken_for_the_end(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """A header with a wrong checksum in the middle ends no archive silently."""
    raw = bytearray(make_tar(tmp_path / "x", ("a", b"1", FILE), ("b", b"2", FILE), compress=bytes).read_bytes())
    raw[1024] ^= 0xFF
    (tmp_path / "x").write_bytes(compress(bytes(raw)))
    with pytest.raises(UnsafeArchive, match="damaged"):
        list(read_archive(tmp_path / "x"))


def test_damaged_zips_are_refused(tmp_path: Path) -> None:
    """A wrong CRC and a cut end both are."""
    path = add_to_zip(tmp_path / "x.zip", ("a", b"content of a", 0))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"content of a", b"content of b"))
    with pytest.raises(UnsafeArchive, match="damaged"):
        list(read_archive(path))
    path.write_bytes(data[:-5])
    with pytest.raises(UnsafeArchive, match="damaged"):
        list(read_archive(path))


def test_a_huge_pax_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A header is no way to fill the memory."""
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "x" * (2 << 20)}
    (tmp_path / "x").write_bytes(gzip.compress(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)))
    with pytest.raises(UnsafeArchive, match="damaged"):
        list(read_archive(tmp_path / "x"))


def test_a_bomb_is_stopped_while_it_unpacks(tmp_path: Path) -> None:
    """Data that belongs to no member counts too."""
    raw = make_tar(tmp_path / "x", ("a", b"1", FILE), compress=bytes).read_bytes()
    (tmp_path / "x").write_bytes(gzip.compress(raw + bytes(80 << 20), 1))
    with pytest.raises(UnsafeArchive, match="unpacks to more than"):
        list(read_archive(tmp_path / "x", limit_bytes=1 << 20))


def test_a_missing_file_is_not_called_damaged(tmp_path: Path) -> None:
    """An operating system's error stays what it is."""
    with pytest.raises(FileNotFoundError):
        list(read_archive(tmp_path / "nothing"))


def test_gzip_is_read_as_its_own_library_does(tmp_path: Path) -> None:
    """Several members in a row and a header with a name are read; garbage, a wrong checksum and a cut are refused."""
    raw = make_tar(tmp_path / "x", ("a", os.urandom(300_000), FILE), ("b", b"2", FILE), compress=bytes).read_bytes()
    named = io.BytesIO()
    with gzip.GzipFile("name", "wb", fileobj=named) as out:
        out.write(raw[100_000:])
    several = gzip.compress(raw[:100_000]) + named.getvalue()
    (tmp_path / "x").write_bytes(several)
    assert [e.path for e in read_archive(tmp_path / "x")] == ["a", "b"]
    damaged = bytearray(several)
    damaged[len(several) - 6] ^= 1  # of the checksum
    flipped = bytearray(several)
    flipped[200_000:200_100] = bytes(100)
    for data in (bytes(damaged), bytes(flipped), several + b"garbage", several[:10] + b"\xff" * 5000):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(UnsafeArchive, match="damaged or cut short"):
            list(read_archive(tmp_path / "x"))
