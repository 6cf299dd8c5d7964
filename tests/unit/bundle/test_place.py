"""A bundle's place on disk: what the file system is told of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyrunenv.bundle.place import place_lock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a folder's attributes are Linux's")


def attributes(folder: Path) -> str:
    done = subprocess.run(["lsattr", "-d", folder], capture_output=True, text=True)
    return done.stdout.split(" ", 1)[0]


@pytest.fixture
def on_ext4(tmp_path: Path) -> Path:
    """A folder on an ext4, or the test is skipped."""
    try:
        subprocess.run(["chattr", "+T", tmp_path], check=True, capture_output=True)
        subprocess.run(["chattr", "-T", tmp_path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no ext4, or no chattr")
    return tmp_path


def test_bundles_are_told_to_have_nothing_to_do_with_each_other(on_ext4: Path) -> None:
    with place_lock(on_ext4 / "pydist" / "linux-x64"):
        assert "T" in attributes(on_ext4 / "pydist")
    assert "T" not in attributes(on_ext4)


def test_what_else_the_folder_has_stays(on_ext4: Path) -> None:
    (on_ext4 / "pydist").mkdir()
    subprocess.run(["chattr", "+d", on_ext4 / "pydist"], check=True)

    for _ in range(2):
        with place_lock(on_ext4 / "pydist" / "linux-x64"):
            pass

    assert set("dT") <= set(attributes(on_ext4 / "pydist"))


def test_a_file_system_that_knows_no_such_thing_is_no_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(*_: object) -> bytes:
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr("fcntl.ioctl", unknown)
    opened = len(list(Path("/proc/self/fd").iterdir()))

    with place_lock(tmp_path / "pydist" / "linux-x64"):
        assert (tmp_path / "pydist").is_dir()
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
