"""What lies on disk, and the first difference to it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.bundles import make_bundle

from pyrunenv.bundle.listing import Listing, scan


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "linux-x64")


def change_content(path: Path) -> None:
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"a", b"A", 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def same_time_other_size(path: Path) -> None:
    before = path.stat()
    with path.open("ab") as stream:
        stream.write(b"\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("python3.11")


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nothing.py")


@pytest.mark.parametrize(
    ("path", "change", "expected"),
    [
        ("lib/python3.12/os.py", Path.unlink, "lib/python3.12/os.py is gone"),
        ("lib/python3.12/os.py", change_content, "lib/python3.12/os.py was changed"),
        ("lib/python3.12/os.py", same_time_other_size, "lib/python3.12/os.py was changed"),
        ("lib/python3.12/os.py", lambda p: p.chmod(0o755), "lib/python3.12/os.py was changed"),
        ("lib/python3.12/os.py", to_folder, "lib/python3.12/os.py is gone"),
        ("lib/python3.12/os.py", to_link, "lib/python3.12/os.py was changed"),
        ("bin/python", relink, "bin/python was changed"),
        ("new.txt", Path.touch, "new.txt is new"),
        ("lib/more", Path.mkdir, "lib/more/ is new"),
        ("lib/python3.12/empty", Path.rmdir, "lib/python3.12/empty/ is gone"),
        ("packages", shutil.rmtree, "packages/ is gone"),
        ("", shutil.rmtree, "linux-x64 is gone"),
    ],
)
def test_every_kind_of_change_is_found(
    bundle: Path, path: str, change: Callable[[Path], object], expected: str
) -> None:
    """One file lost, added, altered or of another kind is a difference, and it is named."""
    before = scan(bundle)
    change(bundle / path)
    assert before.differs(bundle) == expected


def test_an_untouched_bundle_does_not_differ(bundle: Path) -> None:
    """Reading a bundle, moving it and listing it again is no difference."""
    before = scan(bundle)
    (bundle / "lib/python3.12/os.py").read_bytes()
    moved = bundle.rename(bundle.with_name("moved"))
    assert before.differs(moved) is None


def test_json_and_back(bundle: Path) -> None:
    """What was written to a stamp is the listing that was made, links and empty folders included."""
    before = scan(bundle)
    after = Listing.from_json(json.loads(json.dumps(before.to_json())))
    assert after == before
    assert after.folders["bin"]["python"] == "python3.12"
    assert after.folders["lib/python3.12/empty"] == {}


@pytest.mark.parametrize(
    "value", [{"": ["a", [1], [2]]}, {"": ["a/b", [1], [2], [3]]}, {"": None}, [], {"": [1, [1], [2], [3]]}]
)
def test_a_damaged_listing_is_no_listing(value: object) -> None:
    """A stamp of another version, or half of one, is a ValueError, which its reader expects."""
    with pytest.raises(ValueError):
        Listing.from_json(value)  # type: ignore[arg-type]


def test_sizes(bundle: Path) -> None:
    """The size counts files alone, and single files can be asked for."""
    listing = scan(bundle)
    assert listing.size == sum(p.stat().st_size for p in bundle.rglob("*") if p.is_file() and not p.is_symlink())
    assert listing.file_size("share.txt") == (bundle / "share.txt").stat().st_size
    assert listing.file_size("bin/python") is None
    assert listing.file_size("lib/nothing") is None
