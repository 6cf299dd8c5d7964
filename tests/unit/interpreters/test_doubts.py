"""Whether an interpreter is to be had: told for all platforms at once, with what there is instead."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pyrunenv.config.schema import ArchiveSource, PythonConfig, TargetConfig
from pyrunenv.interpreters.choose import known_versions
from pyrunenv.interpreters.doubts import doubts
from pyrunenv.platforms import PLATFORMS, host

LINUX, WINDOWS = PLATFORMS["linux-x64"], PLATFORMS["windows-x64"]


def said(config: PythonConfig, version: str, tmp_path: Path) -> list[str]:
    targets = [(platform, TargetConfig(platform=platform.key, python=config)) for platform in (LINUX, WINDOWS)]
    return ["\n".join([e.message, *e.notes, e.hint or ""]) for e in doubts(targets, version, tmp_path)]


def test_a_version_that_is_known_raises_no_doubt(tmp_path: Path) -> None:
    """Of python-build-standalone."""
    assert said(PythonConfig(), known_versions(LINUX)[-1], tmp_path) == []


def test_alike_platforms_are_told_of_once(tmp_path: Path) -> None:
    """With the nearest versions."""
    (text,) = said(PythonConfig(), "3.12.99", tmp_path)
    assert text.startswith("python-build-standalone has no CPython 3.12.99 for linux-x64, windows-x64\nnearest")
    nearest = max((v for v in known_versions(LINUX) if v.startswith("3.12.")), key=lambda v: int(v.split(".")[2]))
    assert nearest in text


def test_platforms_with_other_nearest_versions_are_told_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not alike is not put together."""
    monkeypatch.setattr(
        sys.modules["pyrunenv.interpreters.choose"],  # the package has a function of that name
        "_releases",
        lambda platform: {(3, 12, 1 if platform is LINUX else 2): ("https://x.example/20250101/x.tar.gz", "0" * 64)},
    )
    first, second = said(PythonConfig(), "3.12.5", tmp_path)
    assert "for linux-x64\nnearest that it has: 3.12.1\n" in first
    assert "for windows-x64\nnearest that it has: 3.12.2\n" in second


def test_an_archive_of_another_version_by_its_name(tmp_path: Path) -> None:
    """Where its name has a version at all; one that is not there is what locking would say."""

    def config(name: str) -> PythonConfig:
        url = f"https://user:secret@x.example/3.12.9/{name}.tar.gz"
        return PythonConfig(source="archive", archives={"linux-x64": ArchiveSource(url=url, sha256="0" * 64)})

    for name, expected in (("cpython-3.12.10%2B20250409", 0), ("cpython-3.12.1+2", 1), ("python", 0), ("a-13.12.1", 0)):
        found = said(config(name), "3.12.10", tmp_path)
        assert len(found) == 1 + expected, name
        assert "no archive with CPython 3.12.10 is named for windows-x64" in found[-1]
        if expected:
            assert "the archive for linux-x64 is named for CPython 3.12.1, and not for 3.12.10" in found[0]
        assert "secret" not in "".join(found)


@pytest.mark.skipif(host() is not LINUX, reason="the platforms of this test are linux-x64 and another")
def test_local_asks_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And cannot serve another platform."""
    monkeypatch.setattr("pyrunenv.interpreters.local._candidates", lambda *_: [])
    first, second = said(PythonConfig(source="local"), "3.12.10", tmp_path)
    assert "no installed CPython 3.12.10 can be made portable" in first
    assert "the interpreter for windows-x64 cannot come from this machine" in second
