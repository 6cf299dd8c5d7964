"""Roots and what they come to: groups, consumers, noDeps, git, markers, extras, and entries that match nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from packaging.pylock import Pylock
from support.locks import LINUX, LockWorld, entry, held, lock_world, versions
from support.product import VERSION
from support.wheels import make_wheel
from support.workspaces import package_json, write_json

from pyrunenv.lock.model import Lock


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LockWorld]:
    """Packages with a conflict: ``new`` wants base 2, ``old`` wants base 1, ``free`` takes any."""
    with lock_world(tmp_path) as made:
        folder = made.public.folder
        for version in ("1.0", "1.5", "2.0"):
            make_wheel(folder, "base", version)
        make_wheel(folder, "new", "1.0", requires=["base>=2"])
        make_wheel(folder, "old", "1.0", requires=["base<2", "only-old"])
        make_wheel(folder, "only-old", "1.0")
        make_wheel(folder, "free", "1.0", requires=["base"])
        make_wheel(folder, "alone", "1.0")
        yield made


def groups_of(lock: Lock) -> dict[str, tuple[str, ...]]:
    """Requirement → groups of every root."""
    return {root.requirement: root.groups for root in lock.roots}


def test_a_root_that_conflicts_lands_in_a_group_of_its_own(world: LockWorld) -> None:
    """The evicted root's group takes in what fits, with the versions already chosen; the lock says why."""
    world.configure("new", "old", "free", "alone")
    lock = world.lock()
    assert groups_of(lock) == {
        "new": ("group-1",), "old": ("group-2",), "free": ("group-1", "group-2"), "alone": ("group-1", "group-2")
    }  # fmt: skip
    assert held(lock, "group-1") == {"new": "1.0", "base": "2.0", "free": "1.0", "alone": "1.0"}
    assert held(lock, "group-2") == {"old": "1.0", "base": "1.5", "only-old": "1.0", "free": "1.0", "alone": "1.0"}
    old = next(root for root in lock.roots if root.name == "old")
    assert [eviction.group for eviction in old.evictions] == ["group-1"]
    assert "base" in old.evictions[0].reason
    free = entry(lock, "free")
    assert set(free.dependencies) == {("base", "1.5"), ("base", "2.0")}
    assert {p.index for p in lock.packages} == {world.public.url}


def test_relocking_keeps_each_groups_versions(world: LockWorld) -> None:
    """A newer version for either group moves neither."""
    world.configure("new", "old", "free")
    before = world.lock()
    make_wheel(world.public.folder, "base", "1.9")
    make_wheel(world.public.folder, "base", "3.0")
    world.configure("new", "old", "free", "alone")
    after = world.lock()
    assert held(after, "group-1") == {**held(before, "group-1"), "alone": "1.0"}
    assert held(after, "group-2") == {**held(before, "group-2"), "alone": "1.0"}
    moved = world.lock("--upgrade-package", "base")
    assert (held(moved, "group-1")["base"], held(moved, "group-2")["base"]) == ("3.0", "1.9")


def test_two_pins_of_one_name_are_two_groups(world: LockWorld) -> None:
    """Different consumers want them; both are in the wheelhouse."""
    world.configure("base==1.0", "alone", "base==2.0")
    lock = world.lock()
    assert groups_of(lock) == {
        "base==1.0": ("group-1",), "alone": ("group-1", "group-2"), "base==2.0": ("group-2",)
    }  # fmt: skip
    assert [p.version for p in lock.packages if p.name == "base"] == ["1.0", "2.0"]


def test_unpinned_roots_markers_and_extras(world: LockWorld) -> None:
    """Ranges and bare names take the newest; markers are the target's; an extra brings what it names."""
    folder = world.public.folder
    make_wheel(folder, "rich", "1.0", extras={"more": ["only-old", "alone; sys_platform == 'darwin'"]})
    world.configure(
        "base", "rich[more]", "free ; sys_platform == 'win32'", "new; python_version < '3.12'", "only-old>=1,!=1.1"
    )
    lock = world.lock(platforms=(LINUX, "macosx-x64"))
    assert versions(lock) == {"base": "2.0", "rich": "1.0", "only-old": "1.0"}
    assert entry(lock, "rich").dependencies == (("only-old", "1.0"),)
    assert set(groups_of(lock)) == {"base", "rich[more]", "only-old>=1,!=1.1"}
    assert versions(world.read("macosx-x64")) == {"base": "2.0", "rich": "1.0", "only-old": "1.0", "alone": "1.0"}


def test_a_root_may_name_a_wheel_by_url(world: LockWorld) -> None:
    """It is an archive of PEP 751, with its digest, and no index serves it; what it needs comes from one."""
    path = world.public.folder / "free-1.0-py3-none-any.whl"
    world.configure(f"free @ {world.public.file_url(path.name)}")
    lock = world.lock()
    assert entry(lock, "free").direct
    assert entry(lock, "free").index is None
    assert entry(lock, "base").index == world.public.url
    assert entry(lock, "free").dependencies == (("base", "2.0"),)
    Pylock.from_dict(world.document())


def test_a_consumer_that_resolves_adds_nothing(world: LockWorld) -> None:
    """Each consumer is asked for; what a group holds serves it."""
    world.configure("new", "old", consumers={"app": ["free", "base<2"]})
    result = world.run()
    assert result.status == 4
    assert "the consumer `app` does not resolve from the wheelhouse" in result.stderr
    assert "not in the wheelhouse: free==1.0" in result.stderr
    world.configure("new", "old", "free", consumers={"app": ["free", "base<2"]})
    assert world.lock().groups == ("group-1", "group-2")


def test_ensure_adds_the_group_that_a_consumer_lacks(world: LockWorld) -> None:
    """With versions that are there already where they fit, dependencies and index filled in, and kept when relocked."""
    world.configure("new", consumers={"app": {"requirements": ["old"], "ensure": True}})
    lock = world.lock()
    assert lock.groups == ("group-1", "consumer-app")
    assert held(lock, "consumer-app") == {"old": "1.0", "only-old": "1.0", "base": "1.5"}
    assert set(entry(lock, "old").dependencies) == {("base", "1.5"), ("only-old", "1.0")}
    assert {p.index for p in lock.packages} == {world.public.url}
    make_wheel(world.public.folder, "base", "1.9")
    world.configure("new", "alone", consumers={"app": {"requirements": ["old"], "ensure": True}})
    assert held(world.lock(), "consumer-app")["base"] == "1.5"


def test_a_consumer_may_be_of_other_platforms(world: LockWorld) -> None:
    """It is not asked for where it does not live."""
    world.configure("new", consumers={"app": {"requirements": ["old"], "platforms": ["macosx-x64"]}})
    assert world.run().status == 0
    assert world.run(platforms=("macosx-x64",)).status == 4


def test_without_dependencies_a_root_brings_nothing(world: LockWorld) -> None:
    """Where others bring what it needs it is in their groups; where nobody does, no group promises it."""
    world.configure("old", "free", "alone", noDeps=["old"])
    lock = world.lock()
    assert versions(lock) == {"old": "1.0", "free": "1.0", "base": "2.0", "alone": "1.0"}
    root = next(r for r in lock.roots if r.name == "old")
    assert (root.groups, root.no_deps, root.needs_no_deps) == (("no-deps",), True, True)
    assert entry(lock, "old").index == world.public.url
    assert entry(lock, "old").groups == ("no-deps",)
    assert world.document()["tool"]["pyrunenv"]["roots"][0]["installs"] == "only with --no-deps"
    world.configure("old", "base<2", "only-old", noDeps=["old"])
    lock = world.lock("--upgrade")
    root = next(r for r in lock.roots if r.name == "old")
    assert (root.groups, root.needs_no_deps) == (("group-1",), False)
    assert set(entry(lock, "old").dependencies) == {("base", "1.5"), ("only-old", "1.0")}


def test_a_git_root_may_be_left_out(world: LockWorld, tmp_path: Path) -> None:
    """It cannot be built: an error, or with strictMissing false a warning and an entry with the full commit."""
    repository = tmp_path / "repo"
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@t.test"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(repository)], check=True)
    (repository / "setup.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n", encoding="utf-8")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    requirement = f"gitty @ git+{repository.as_uri()}@main"
    world.configure("alone", requirement)
    strict = world.run()
    assert strict.status == 4
    assert "the build requirements cannot be had for this machine" in strict.stderr
    world.configure("alone", requirement, resolution={"strictMissing": False})
    lock = world.lock()
    assert versions(lock) == {"alone": "1.0"}
    assert [m.requirement for m in lock.missing] == [requirement.replace("@main", f"@{commit}")]
    assert not (tmp_path / "ran").exists()


# What no entry of the configuration matches.

REASON = {LINUX: "not wanted", "macosx-x64": "not wanted"}


def test_entries_of_an_environment_that_match_nothing_are_warnings(world: LockWorld) -> None:
    """Once all platforms that an entry names are locked; roots count, and what is in a closure."""
    world.configure(
        "free", "alone", skip={"alone": REASON, "nonesuch": REASON}, forceSource={"ghost": {LINUX: "why not"}},
        buildWheel={"base": {LINUX: {}}, "phantom": {LINUX: {}}},
    )  # fmt: skip
    result = world.run()
    file = f"python-{VERSION}/config.json"
    assert f"warning: {file}: packages.forceSource.ghost matches no package there" in result.stderr
    assert f"warning: {file}: packages.buildWheel.phantom matches no package there" in result.stderr
    assert "alone matches" not in result.stderr
    assert "base matches" not in result.stderr
    assert "nonesuch" not in result.stderr, "macosx-x64 was not looked at"
    both = world.run("--upgrade", platforms=(LINUX, "macosx-x64"))
    assert both.stderr.count(f"warning: {file}: packages.skip.nonesuch matches no package there") == 1


def test_shared_entries_are_warnings_where_no_environment_matches(world: LockWorld) -> None:
    """One match anywhere is enough; as long as some environment has no lock, nothing is said."""
    root = world.world.root
    shared = json.loads((root / "shared-config.json").read_text(encoding="utf-8"))
    shared["registries"]["default"] = world.public.url
    shared["packages"] = {"skip": {"alone": REASON, "nonesuch": REASON}}
    write_json(root / "shared-config.json", shared)
    other = f"{VERSION}-other"
    write_json(root / f"python-{other}" / "package.json", package_json(other, platforms=(LINUX, "macosx-x64")))
    for full, roots in ((VERSION, ["free"]), (other, ["alone", "free"])):
        world.world.configure(full, {"packages": {"dependencies": roots}})
    assert "matches no package" not in world.world.run("lock", VERSION).stderr
    result = world.world.run("lock", other)
    assert "warning: shared-config.json: packages.skip.nonesuch matches no package of any environment" in result.stderr
    assert "alone" not in result.stderr


# What the file is worth to others.


def install(command: list[str], folder: Path) -> dict[str, str]:
    """Install with a foreign tool into a folder, and return what it holds."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = [path.name.removesuffix(".dist-info").split("-") for path in folder.glob("*.dist-info")]
    return {name.replace("_", "-"): version for name, version in names}


@pytest.fixture
def two_groups(world: LockWorld, tmp_path: Path) -> tuple[Path, Lock]:
    """A lock with two groups for this host's Python, and its path."""
    world.configure("new", "old", "free", "alone")
    lock = world.lock()
    path = world.world.environment_folder() / f"pylock.{LINUX}.toml"
    text = path.read_text(encoding="utf-8")
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    ours = tmp_path / f"pylock.{LINUX}.toml"
    ours.write_text(text.replace('"==3.12.*"', f'"=={here}.*"'), encoding="utf-8")
    return ours, lock


linux = pytest.mark.skipif(sys.platform != "linux", reason="installs what was locked for linux-x64")


@linux
def test_packaging_selects_each_group(two_groups: tuple[Path, Lock]) -> None:
    """packaging.pylock takes the file, and each group's selection is what the lock says."""
    import tomllib

    path, lock = two_groups
    document = Pylock.from_dict(tomllib.loads(path.read_text(encoding="utf-8")))
    for group in lock.groups:
        chosen = {p.name: str(p.version) for p, _ in document.select(dependency_groups=[group])}
        assert chosen == held(lock, group)


@linux
def test_uv_installs_each_group(two_groups: tuple[Path, Lock], tmp_path: Path) -> None:
    """`uv pip sync --group` installs a group and nothing else."""
    from pyrunenv.lock.resolver import uv_program

    path, lock = two_groups
    for group in lock.groups:
        target = tmp_path / group
        command = [
            uv_program(), "pip", "sync", "--preview", "--no-config", "--cache-dir", str(tmp_path / "uv"), "--python", sys.executable,
            "--target", str(target), str(path), "--group", group,
        ]  # fmt: skip
        assert install(command, target) == held(lock, group)


@linux
def test_every_subset_of_a_group_resolves_from_the_wheelhouse(world: LockWorld, two_groups: tuple[Path, Lock]) -> None:
    """Offline, with nothing but the built wheelhouse, in any combination of one group's roots."""
    from pyrunenv.lock.resolver import uv_program

    _, lock = two_groups
    built = world.world.run("build", "--platform", LINUX)
    assert built.status == 0, built.stderr
    wheelhouse = world.world.environment_folder() / "pydist" / LINUX / "packages"
    for group in lock.groups:
        roots = [root.requirement for root in lock.roots if group in root.groups]
        for size in range(1, len(roots) + 1):
            for subset in combinations(roots, size):
                done = subprocess.run(
                    [uv_program(), "pip", "compile", "--no-config", "--offline", "--no-index", "--no-build", "-f",
                     str(wheelhouse), "--python-platform", "linux", "--python-version", "3.12", "-"],
                    input="\n".join(subset), capture_output=True, text=True,
                )  # fmt: skip
                assert done.returncode == 0, (group, subset, done.stderr)


def test_the_lock_has_a_place_for_every_fact(world: LockWorld) -> None:
    """What is read back is what was written, entry for entry."""
    from pyrunenv.lock import pylock

    make_wheel(world.private.folder, "alone", "1.0")
    world.configure("new", "old", "alone", registries={"additional": [world.private.url]})
    lock = world.lock()
    path = pylock.lock_path(world.world.environment_folder(), LINUX)
    assert pylock.render(lock) == path.read_text(encoding="utf-8")
    facts: Mapping[str, Any] = world.document()["tool"]["pyrunenv"]
    assert facts["served-by"] == {"alone": [world.public.url, world.private.url]}
