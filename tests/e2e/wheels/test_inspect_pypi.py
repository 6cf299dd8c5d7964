"""Real wheels of the five platforms: architectures, floors, needs, signatures, RECORD; needs as lief reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.native import altered, flipped, needed_by_lief

from pyrunenv.interpreters.formats import ENOUGH, FORMATS, Format, identify
from pyrunenv.platforms import PLATFORMS
from pyrunenv.wheels import linked
from pyrunenv.wheels.check import check, problems
from pyrunenv.wheels.inspect import Inspection, inspect

pytestmark = [pytest.mark.network, pytest.mark.slow]

TAGS = {
    "linux-x64": "manylinux2014_x86_64",
    "linux-aarch64": "manylinux2014_aarch64",
    "macosx-x64": "macosx_13_0_x86_64",
    "macosx-aarch64": "macosx_13_0_arm64",
    "windows-x64": "win_amd64",
}
NUMPY_FLOORS = {"linux-x64": "2.17", "linux-aarch64": "2.17", "macosx-x64": "10.13", "macosx-aarch64": "11.0"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wheels")


def wheel(folder: Path, requirement: str, platform_tag: str) -> Path:
    """Download a wheel for CPython 3.12, once; only PyPI is asked."""
    place = folder / f"{requirement}-{platform_tag}"
    if not place.is_dir():
        env = {name: value for name, value in os.environ.items() if not name.startswith("PIP_") or name == "PIP_CERT"}
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--only-binary", ":all:", "--python-version", "3.12", "--platform", platform_tag, "--dest", place, requirement,
        ]  # fmt: skip
        subprocess.run(command, check=True, env=env)
    (found,) = place.glob("*.whl")
    return found


def fitting(inspection: Inspection) -> list[str]:
    """The platforms that a wheel is fit for."""
    return [key for key, platform in PLATFORMS.items()
            if not check(inspection, platform, "3.12.10", glibc="2.28", macos="13.0")]  # fmt: skip


@pytest.mark.parametrize("key", TAGS)
def test_numpy_is_whole_and_fits_its_platform_alone(folder: Path, key: str) -> None:
    """Every native file has the one architecture; the highest floor is numpy's; what it needs is there."""
    platform, found = PLATFORMS[key], inspect(wheel(folder, "numpy==2.2.6", TAGS[key]))
    assert (found.name, found.version, found.record, problems(found)) == ("numpy", "2.2.6", (), [])
    assert fitting(found) == [key]
    assert len(found.native) > 18
    assert {(file.format, file.archs) for file in found.native} == {(FORMATS[platform.system], (platform.arch,))}
    floors = {tuple(map(int, file.floor.version.split("."))) for file in found.native if file.floor}
    assert ".".join(map(str, max(floors, default=()))) == NUMPY_FLOORS.get(key, "")
    (core,) = (file for file in found.native if "_core/_multiarray_umath." in file.path)
    blas = [name.rpartition("/")[2] for name in core.needs if "openblas" in name]
    assert len(blas) == 1
    expected = {"macosx-aarch64": {"valid"}, "macosx-x64": {"valid", "none"}}.get(key, {None})
    assert {file.signature for file in found.native} <= expected


def test_a_wheel_without_one_of_its_libraries_misses_it(folder: Path, tmp_path: Path) -> None:
    """On each system, numpy's copy of OpenBLAS is taken out, by the name that its needs give."""
    for key in ("linux-x64", "linux-aarch64", "macosx-aarch64", "windows-x64"):
        copy = Path(shutil.copy(wheel(folder, "numpy==2.2.6", TAGS[key]), tmp_path))
        (blas,) = (file.path for file in inspect(copy).native if "openblas" in file.path.rpartition("/")[2])
        found = inspect(altered(copy, {blas: None}))
        assert found.record == (f"{blas} is listed and not there",)
        missing = {name.rpartition("/")[2] for file in found.native for name in file.missing}
        assert missing == {blas.rpartition("/")[2]}
        assert fitting(found) == []


def test_one_changed_bit_breaks_signature_and_record(folder: Path, tmp_path: Path) -> None:
    """In an arm64 library, and of that library alone."""
    path = Path(shutil.copy(wheel(folder, "numpy==2.2.6", TAGS["macosx-aarch64"]), tmp_path))
    (member,) = (file.path for file in inspect(path).native if "_core/_simd." in file.path)
    with zipfile.ZipFile(path) as archive:
        content = archive.read(member)
    found = inspect(altered(path, {member: flipped(content, len(content) // 2)}))
    assert found.record == (f"{member} has another sha256 digest",)
    assert [file.path for file in found.native if file.signature != "valid"] == [member]
    assert fitting(found) == []
    assert len(problems(found)) == 2


@pytest.mark.parametrize("key", TAGS)
def test_markupsafe_is_whole(folder: Path, key: str) -> None:
    """Its wheel for both kinds of Mac fits both, signed where that counts."""
    found = inspect(wheel(folder, "MarkupSafe==3.0.2", TAGS[key]))
    assert (problems(found), len(found.native)) == ([], 1)
    (module,) = found.native
    if "universal2" in found.filename:
        assert fitting(found) == ["macosx-x64", "macosx-aarch64"]
        assert (module.archs, module.signature) == (("x64", "aarch64"), "valid")
        assert dict(module.floors)["x64"].version == "10.13"
    else:
        assert fitting(found) == [key]


def test_a_tag_that_promises_an_older_macos_than_the_file_is_found(folder: Path) -> None:
    """cryptography 44.0.0 says 10.9 for x86_64, where its library needs 10.13."""
    found = inspect(wheel(folder, "cryptography==44.0.0", TAGS["macosx-x64"]))
    (problem,) = problems(found)
    assert problem.endswith("_rust.abi3.so needs macOS 10.13, more than the tag macosx_10_9_universal2 allows")


def members(path: Path) -> Iterator[tuple[str, Format, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            if (found := identify(content[:ENOUGH])) is not None:
                yield name, found[0], content


@pytest.mark.parametrize("requirement", ["numpy==2.2.6", "MarkupSafe==3.0.2", "cryptography==44.0.0", "psutil==6.1.1"])
def test_needs_are_what_lief_reads(folder: Path, requirement: str) -> None:
    """Of every native file, on every platform, in order."""
    for tag in TAGS.values():
        said = {name: (linked.needed(content, kind), needed_by_lief(content, kind))
                for name, kind, content in members(wheel(folder, requirement, tag))}  # fmt: skip
        assert said
        assert {name: ours for name, (ours, _) in said.items()} == {name: theirs for name, (_, theirs) in said.items()}
        assert any(ours for ours, _ in said.values())
