"""Which file of a version is locked: the most specific wheel, local versions, yanked and unhashed files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.locks import LINUX, LockWorld, entry, lock_world, versions
from support.wheels import make_sdist, make_wheel


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LockWorld]:
    """A public and a private registry."""
    with lock_world(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("platform", "tags", "best"),
    [
        (LINUX, ["py3-none-any", "cp38-abi3-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_17_x86_64"], 2),
        (LINUX, ["cp312-cp312-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_28_x86_64"], 1),
        (LINUX, ["cp312-cp312-manylinux_2_28_x86_64", "cp312-cp312-manylinux_2_31_x86_64"], 0),
        (LINUX, ["cp310-abi3-manylinux_2_17_x86_64", "cp38-abi3-manylinux_2_28_x86_64"], 0),
        (LINUX, ["cp312-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64", "py3-none-manylinux_2_17_x86_64"], 0),
        (LINUX, ["cp312-cp312-linux_x86_64", "py3-none-any"], 1),
        ("macosx-x64", ["cp312-cp312-macosx_10_9_universal2", "cp312-cp312-macosx_10_9_x86_64"], 1),
        ("macosx-aarch64", ["cp312-cp312-macosx_10_9_universal2", "cp312-cp312-macosx_10_9_x86_64"], 0),
        ("macosx-aarch64", ["cp312-cp312-macosx_11_0_arm64", "cp312-cp312-macosx_12_0_universal2"], 1),
        ("macosx-aarch64", ["cp312-cp312-macosx_11_0_arm64", "cp312-cp312-macosx_14_0_arm64"], 0),
    ],
)
def test_the_most_specific_wheel_is_locked(world: LockWorld, platform: str, tags: list[str], best: int) -> None:
    """As pip would choose on the target: interpreter, then ABI, then platform at or below the floor."""
    for tag in tags:
        make_wheel(world.public.folder, "native", "1.0", tag=tag)
    world.configure("native")
    assert entry(world.lock(platforms=(platform,)), "native").wheel.filename.endswith(f"{tags[best]}.whl")


def test_among_equal_tags_the_highest_build_is_locked(world: LockWorld) -> None:
    """PEP 427: build tags sort as numbers; none sorts first."""
    for build in (None, "2", "10", "9a"):
        make_wheel(world.public.folder, "native", "1.0", build=build)
    world.configure("native")
    assert entry(world.lock(), "native").wheel.filename == "native-1.0-10-py3-none-any.whl"


def test_a_wheel_without_a_glibc_is_taken_last_and_warned_about(world: LockWorld) -> None:
    """linux_x86_64 promises nothing; pip takes it, so do we, and say it."""
    make_wheel(world.public.folder, "native", "1.0", tag="cp312-cp312-linux_x86_64")
    world.configure("native")
    result = world.run()
    assert result.status == 0, result.stderr
    assert "native-1.0-cp312-cp312-linux_x86_64.whl does not say which glibc it needs" in result.stderr


def test_local_versions_are_versions(world: LockWorld) -> None:
    """2.7.0+cpu is found in another registry, locked by its full name, and kept; ==2.7.0 takes it too."""
    make_wheel(world.public.folder, "torch", "2.7.0")
    make_wheel(world.private.folder, "torch", "2.7.0+cpu")
    registries = {"additional": [world.private.url]}
    world.configure("torch==2.7.0+cpu", registries=registries)
    lock = world.lock()
    assert versions(lock) == {"torch": "2.7.0+cpu"}
    assert entry(lock, "torch").index == world.private.url
    assert entry(lock, "torch").wheel.filename == "torch-2.7.0+cpu-py3-none-any.whl"
    world.configure("torch==2.7.0", registries=registries)
    assert versions(world.lock("--upgrade")) == {"torch": "2.7.0+cpu"}


def test_a_public_version_that_is_locked_stays_without_its_local_one(world: LockWorld) -> None:
    """A kept 2.7.0 is told apart from 2.7.0+cpu, its registry included."""
    make_wheel(world.public.folder, "torch", "2.7.0")
    registries = {"additional": [world.private.url]}
    world.configure("torch==2.7.0", registries=registries)
    world.lock()
    make_wheel(world.private.folder, "torch", "2.7.0+cpu")
    make_wheel(world.public.folder, "other", "1.0")
    world.configure("torch==2.7.0", "other", registries=registries)
    lock = world.lock()
    assert versions(lock) == {"torch": "2.7.0", "other": "1.0"}
    assert entry(lock, "torch").index == world.public.url


def test_a_yanked_version_is_chosen_only_where_it_is_pinned(world: LockWorld) -> None:
    """Not by a range; by == it is, and a warning gives the registry's reason."""
    make_wheel(world.public.folder, "one", "1.0")
    make_wheel(world.public.folder, "one", "2.0")
    world.public.yanked = {"one-2.0-py3-none-any.whl": "eats your data"}
    world.configure("one>=1")
    quiet = world.run()
    assert versions(world.read()) == {"one": "1.0"}
    assert "yanked" not in quiet.stderr
    world.configure("one==2.0")
    loud = world.run(platforms=(LINUX, "macosx-x64"))
    assert versions(world.read()) == {"one": "2.0"}
    assert loud.stderr.count("one 2.0 was yanked from its registry: eats your data") == 1


def test_a_locked_version_that_was_yanked_since_is_given_up(world: LockWorld) -> None:
    """Relocking keeps versions, but none that was taken back, unless a root pins it."""
    make_wheel(world.public.folder, "one", "1.0")
    make_wheel(world.public.folder, "one", "2.0")
    world.configure("one")
    assert versions(world.lock()) == {"one": "2.0"}
    world.public.yanked = {"one-2.0-py3-none-any.whl": ""}
    make_wheel(world.public.folder, "two", "1.0")
    world.configure("one", "two")
    assert versions(world.lock()) == {"one": "1.0", "two": "1.0"}


@pytest.mark.parametrize("formats", [("html",), ("json",)])
@pytest.mark.parametrize("gate", [False, True])
def test_what_has_no_size_or_hash_is_hashed_when_it_is_locked(
    world: LockWorld, formats: tuple[str, ...], gate: bool
) -> None:
    """The lock always has a sha256, and a build takes what has it and nothing else."""
    for server in world.servers.values():
        server.hashes, server.sizes, server.formats = False, False, formats
    path = make_wheel(world.private.folder, "one", "1.0")
    world.configure("one", registries={"additional": [world.private.url]} if gate else {"default": world.private.url})
    assert entry(world.lock(), "one").wheel.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    built = world.world.run("build", "--platform", LINUX)
    assert built.status == 0, built.stderr
    path.write_bytes(path.read_bytes() + b"changed")
    assert world.world.run("cache", "prune", "--max-size", "0").status == 0
    again = world.world.run("build", "--platform", LINUX, "--force", "--locked")
    assert again.status == 1
    assert "digest-mismatch" in again.stderr


def test_locking_runs_no_code_of_what_policy_does_not_build(world: LockWorld, tmp_path: Path) -> None:
    """An sdist whose setup.py writes a file is offered in every way; the file never comes to be."""
    marker = tmp_path / "ran"
    evil = f"open({str(marker)!r}, 'w').close()\nfrom setuptools import setup\nsetup()\n"
    for name in ("dynamic", "static"):
        make_sdist(world.public.folder, name, "1.0", static_metadata=name == "static", files={"setup.py": evil})
    make_wheel(world.public.folder, "needs", "1.0", requires=["dynamic"])
    make_wheel(world.public.folder, "dynamic", "0.5")
    for roots in (["dynamic==1.0"], ["static"], ["needs", "dynamic>=1"], ["needs"]):
        for policy in ({"allowSourceAll": False}, {"onlyBinaryList": ["dynamic", "static"]}):
            world.configure(*roots, resolution=policy)
            assert world.run().status == (0 if roots == ["needs"] else 4)
            world.configure(*roots, resolution={"strictMissing": False, **policy})
            assert world.run().status == 0
    world.configure("needs")
    assert versions(world.lock()) == {"needs": "1.0", "dynamic": "0.5"}, "a wheel first, then a source"
    assert not marker.exists()
