"""Building from source, end to end: the program, an index, sdists whose backend is in the tree, five platforms."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from packaging.pylock import Pylock
from support.processes import alive_with, marker
from support.product import VERSION, Result, World, make_world
from support.sources import Tree, calls, commit, told
from support.wheels import make_wheel
from support.workspaces import ALL_PLATFORMS

from pyrunenv.lock import pylock
from pyrunenv.lock.model import Lock, LockedPackage
from pyrunenv.platforms import PLATFORMS, host

pytestmark = pytest.mark.skipif(
    os.name == "nt" or shutil.which("git") is None, reason="wheels are built on Linux and macOS, and git must be there"
)

LINUX, WINDOWS = "linux-x64", "windows-x64"
HERE = host().key
OTHER = f"{VERSION}-other"
THIRD = f"{VERSION}-third"
FOURTH = f"{VERSION}-fourth"
FIFTH = f"{VERSION}-fifth"


@dataclass
class Built:
    """A world with sources, and what their backends noted."""

    world: World
    log: Path
    calls_to_lock: dict[str, dict[str, int]] = field(default_factory=dict)
    """How often hooks were called until a lock was made, by package."""

    def tree(self, name: str, **facts: Any) -> Tree:
        return Tree(self.log, name, **facts)

    def publish(self, name: str, **facts: Any) -> Path:
        """Put an sdist into the index."""
        return self.tree(name, **facts).sdist(self.world.index.folder)

    def configure(self, *dependencies: str, full: str = VERSION, **packages: Any) -> None:
        self.world.configure(full, {"packages": {"dependencies": list(dependencies), **packages}})

    def run(self, command: str, *words: str, full: str = VERSION, platforms: tuple[str, ...] = (LINUX,)) -> Result:
        return self.world.run(command, full, *(w for p in platforms for w in ("--platform", p)), *words)

    def fine(self, command: str, *words: str, full: str = VERSION, platforms: tuple[str, ...] = (LINUX,)) -> Result:
        result = self.run(command, *words, full=full, platforms=platforms)
        assert result.status == 0, result.stderr
        return result

    def lock(self, platform: str = LINUX, full: str = VERSION) -> Lock:
        found = pylock.read(self.world.environment_folder(full), platform)
        assert found is not None
        return found

    def entry(self, name: str, platform: str = LINUX, full: str = VERSION) -> LockedPackage:
        (found,) = [package for package in self.lock(platform, full).packages if package.name == name]
        return found

    def told(self, name: str, platform: str = LINUX, full: str = VERSION) -> dict[str, Any]:
        """What the backend saw when it built the wheel that is in the bundle."""
        folder = self.world.environment_folder(full) / "pydist" / platform / "packages"
        (wheel,) = folder.glob(f"{name.replace('-', '_')}-*.whl")
        return told(wheel)

    def calls(self, name: str) -> dict[str, int]:
        return dict(calls(self.log, name))

    def calls_of_all(self) -> dict[str, dict[str, int]]:
        return {name: self.calls(name) for name in {words.split()[0] for words in calls(self.log)}}

    def notes(self) -> set[Path]:
        """The files that say which wheels were built."""
        return {path for path in self.world.cache.rglob("*.json") if "wheel" in path.parent.name}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """One world for all: its interpreters are prepared once, and each test has packages of its own."""
    folder = tmp_path_factory.mktemp("built")
    with make_world(folder, {full: {} for full in (VERSION, OTHER, THIRD, FOURTH, FIFTH)}, small=True) as world:
        for tool in ("tool", "extra-tool"):
            make_wheel(world.index.folder, tool, "1.5")
        yield Built(world, folder / "log")


@pytest.fixture
def built(shared: Built) -> Built:
    """The same, with two environments as new."""
    for full in (VERSION, OTHER):
        folder = shared.world.environment_folder(full)
        for path in (*folder.glob("pylock.*"), *folder.glob("pkg-*")):
            path.unlink()
        for name in ("pydist", "dist"):
            shutil.rmtree(folder / name, ignore_errors=True)
        shared.configure(full=full)
    return shared


# All platforms from this host


@pytest.fixture(scope="module")
def everywhere(shared: Built) -> Built:
    """An environment with one source, whose backend computes what it needs, built for all five platforms."""
    shared.publish(
        "computed", needs=["pure<2"], needs_on={"win32": ["winonly"]}, asks=["tool>=1"], tools=["tool", "pip"]
    )
    shared.configure("computed", full=THIRD)
    shared.fine("build", full=THIRD, platforms=ALL_PLATFORMS)
    return shared


@pytest.mark.parametrize("key", ALL_PLATFORMS)
def test_a_root_without_a_wheel_is_built_for_every_platform(everywhere: Built, key: str) -> None:
    """Its backend hears of the target, also when it says what it needs, and what it needs is locked for that target alone."""
    markers = PLATFORMS[key].markers
    seen = everywhere.told("computed", key, THIRD)
    assert (seen["sys.platform"], seen["machine"]) == (markers["sys_platform"], markers["platform_machine"])
    assert seen["tools"] == ["tool"], "what the backend asks for is there, and nothing else"
    held = {package.name: package.version for package in everywhere.lock(key, THIRD).packages}
    windows = {"winonly": "1.0"} if key == WINDOWS else {}
    assert held == {"computed": "1.0", "pure": "1.0", **windows}
    entry = everywhere.entry("computed", key, THIRD)
    assert entry.dependencies == (("pure", "1.0"), *windows.items())
    assert entry.build is not None
    assert (entry.build.host, [w.filename for w in entry.build.requires]) == (HERE, ["tool-1.5-py3-none-any.whl"])
    assert everywhere.world.wheels(key, THIRD) >= {"computed-1.0-py3-none-any.whl", "pure-1.0-py3-none-any.whl"}


@pytest.mark.parametrize("key", ALL_PLATFORMS)
def test_the_lock_of_a_source_is_valid_and_is_read_as_it_was_written(everywhere: Built, key: str) -> None:
    """By PEP 751: an sdist with its digest, the build under our own table."""
    path = pylock.lock_path(everywhere.world.environment_folder(THIRD), key)
    text = path.read_text(encoding="utf-8")
    document = tomllib.loads(text)
    found = {str(package.name): package for package in Pylock.from_dict(document).packages}
    assert found["computed"].sdist is not None
    assert not found["computed"].wheels
    assert pylock.render(pylock.parse(text, path)) == text


def test_the_manifest_says_what_a_wheel_was_built_from(everywhere: Built) -> None:
    """The sdist with its digest, and the digest of the wheel that is in the archive; others were not built."""
    by_name = {wheel["name"]: wheel for wheel in everywhere.world.manifest(WINDOWS, THIRD)["wheels"]}
    source = everywhere.entry("computed", WINDOWS, THIRD).source
    assert source is not None
    assert by_name["computed"]["builtFrom"] == {"kind": "sdist", "url": source.url, "sha256": source.sha256}
    assert by_name["computed"]["file"] == "computed-1.0-py3-none-any.whl"
    assert by_name["computed"]["why"] == ["computed", "computed 1.0"]
    assert "builtFrom" not in by_name["pure"]


def test_all_that_is_in_the_cache_is_built_with_offline(everywhere: Built) -> None:
    """Without one request, and without one call of a backend; the archives are the same bytes."""
    before, asked = everywhere.world.archives_built(THIRD), len(everywhere.world.index.requests)
    ran = everywhere.calls("computed")
    folder = everywhere.world.environment_folder(THIRD)
    shutil.rmtree(folder / "pydist")
    everywhere.fine("build", "--locked", "--offline", full=THIRD, platforms=ALL_PLATFORMS)
    assert everywhere.world.archives_built(THIRD) == before
    assert len(everywhere.world.index.requests) == asked
    assert everywhere.calls("computed") == ran


def test_a_lost_wheel_is_built_again_offline(everywhere: Built) -> None:
    """From the sdist and the build requirements in the cache, to the same bytes."""
    before = everywhere.world.archives_built(THIRD)
    ran = everywhere.calls("computed")
    for path in everywhere.notes():
        path.unlink()
    everywhere.fine("build", "--locked", "--offline", "--force", full=THIRD, platforms=(WINDOWS,))
    again = everywhere.calls("computed")
    assert {hook: count - ran[hook] for hook, count in again.items() if count != ran[hook]} == {"wheel win32": 1}
    assert everywhere.world.archives_built(THIRD) == before


# What is built, and how


RICH = (LINUX, WINDOWS)


@pytest.fixture(scope="module")
def rich(shared: Built) -> Built:
    """An environment with sources of many kinds, locked and built for two platforms."""
    index, folder = shared.world.index.folder, shared.world.environment_folder(FOURTH)
    shared.publish("still", needs=["pure<2", "winonly; sys_platform == 'win32'"], static=True)
    shared.publish("below", needs=["bottom"])
    shared.publish("bottom")
    make_wheel(index, "deep", "1.0", requires=["below"])
    for name in ("forced", "listed", "aged"):
        make_wheel(index, name, "1.0")
    shared.publish("forced")
    shared.publish("listed")
    shared.publish("aged", version="2.0")
    shared.publish("bare", tag="cp312-cp312-linux_x86_64")
    shared.publish("tuned", env=["HELLO", "ROOT", "CFLAGS"], tools=["tool", "extra_tool"])
    (folder / "fix.patch").write_text(
        "--- a/text\n+++ b/text\n@@ -1 +1 @@\n-as published\n+patched\n", encoding="utf-8"
    )
    tuned = {
        "patches": ["fix.patch"], "configSettings": {"one": "{packageRoot}/x", "many": ["a", "{packageRoot}"]},
        "env": {"HELLO": "there", "ROOT": "{packageRoot}/lib"}, "buildRequires": ["extra-tool"],
    }  # fmt: skip
    make_wheel(index, "homely", "0.9")
    shared.tree("homely", text="of the folder\n").lay_out(folder / "sources" / "homely")
    shared.configure(
        "still", "deep", "aged", "forced", "listed", "tuned", "homely", "bare; sys_platform == 'linux'", full=FOURTH,
        forceSource={"forced": {WINDOWS: "a test"}}, resolution={"forceNoBinaryList": ["listed"]},
        buildWheel={"tuned": {LINUX: tuned}, "homely": {LINUX: {"sourceDir": "sources/homely"}}},
    )  # fmt: skip
    shared.fine("lock", full=FOURTH, platforms=RICH)
    shared.calls_to_lock = shared.calls_of_all()
    shared.fine("build", full=FOURTH, platforms=RICH)
    return shared


def test_static_metadata_is_read_without_building(rich: Built) -> None:
    """The backend is only asked what it wants for a build, as the lock must name that."""
    assert rich.calls_to_lock["still"] == {"requires linux": 1, "requires win32": 1}
    assert rich.calls("still")["wheel linux"] == 1
    assert rich.entry("still", LINUX, FOURTH).dependencies == (("pure", "1.0"),)
    assert rich.entry("still", WINDOWS, FOURTH).dependencies == (("pure", "1.0"), ("winonly", "1.0"))


def test_locking_again_asks_no_backend_again(rich: Built) -> None:
    """Neither what it wants nor what the wheel will need; some translate all their Cython before they tell."""
    names, before = ("still", "forced", "listed", "below"), rich.calls_of_all()
    rich.fine("lock", "--upgrade", full=FOURTH, platforms=RICH)
    assert {name: rich.calls(name) for name in names} == {name: before[name] for name in names}


def test_a_dependency_without_a_wheel_is_built(rich: Built) -> None:
    """Of a wheel, and of a source that is built itself."""
    assert {"deep-1.0-py3-none-any.whl", "below-1.0-py3-none-any.whl", "bottom-1.0-py3-none-any.whl"} <= (
        rich.world.wheels(LINUX, FOURTH)
    )
    assert rich.entry("below", full=FOURTH).dependencies == (("bottom", "1.0"),)
    why = {wheel["name"]: wheel["why"] for wheel in rich.world.manifest(LINUX, FOURTH)["wheels"]}
    assert why["bottom"] == ["deep", "deep 1.0", "below 1.0", "bottom 1.0"]


def test_a_version_with_a_wheel_is_taken_before_one_without(rich: Built) -> None:
    """Where nobody asks for the newer one; nothing of that is run then."""
    assert rich.entry("aged", full=FOURTH).version == "1.0"
    assert rich.calls("aged") == {}


def test_policy_builds_what_has_a_wheel(rich: Built) -> None:
    """``forceSource`` on the platforms that it names, ``forceNoBinaryList`` on all."""
    assert [rich.entry("forced", key, FOURTH).source is not None for key in RICH] == [False, True]
    assert [rich.entry("listed", key, FOURTH).source is not None for key in RICH] == [True, True]
    assert rich.calls("forced") == {"requires win32": 1, "metadata win32": 1, "wheel win32": 1}
    assert rich.told("forced", WINDOWS, FOURTH)["sys.platform"] == "win32"


def test_a_new_cache_is_filled_by_what_has_to_be_built(built: Built, tmp_path: Path) -> None:
    """To tell what such a package needs, its build's own requirements are resolved in the midst of the first resolution."""
    for name in ("first", "second"):
        built.publish(name, asks=["tool"])
    built.configure("first", "second", full=OTHER, resolution={"forceNoBinaryList": ["first", "second"]})
    new = {"PYRUNENV_CACHE": str(tmp_path / "cache")}

    done = built.world.run("lock", OTHER, "--platform", LINUX, "--platform", WINDOWS, env=new, timeout=120)

    assert done.status == 0, done.stderr
    build = built.entry("second", full=OTHER).build
    assert build is not None
    assert [wheel.filename for wheel in build.requires] == ["tool-1.5-py3-none-any.whl"]


def test_what_the_config_says_of_a_build_reaches_the_backend(rich: Built) -> None:
    """Patches, settings, variables, requirements; ``{packageRoot}`` is the environment's folder. Elsewhere nothing does."""
    folder = rich.world.environment_folder(FOURTH)
    seen, other = rich.told("tuned", LINUX, FOURTH), rich.told("tuned", WINDOWS, FOURTH)
    assert seen["text"] == "patched\n"
    assert seen["settings"] == {"one": f"{folder}/x", "many": ["a", str(folder)]}
    assert seen["env"] == {"HELLO": "there", "ROOT": f"{folder}/lib", "CFLAGS": None}
    assert seen["tools"] == ["extra_tool"]
    build = rich.entry("tuned", full=FOURTH).build
    assert build is not None
    assert [wheel.filename for wheel in build.requires] == ["extra_tool-1.5-py3-none-any.whl"]
    assert (other["text"], other["settings"], other["env"]["HELLO"], other["tools"]) == ("as published\n", {}, None, [])


def test_a_folder_is_built_in_place_of_what_the_index_has(rich: Built) -> None:
    """Its path is relative in the lock, and nothing is written to it; a change in it makes the lock stale."""
    folder = rich.world.environment_folder(FOURTH) / "sources" / "homely"
    entry = rich.entry("homely", full=FOURTH)
    assert entry.source is not None
    assert (entry.version, entry.source.kind, entry.source.url) == ("1.0", "folder", "sources/homely")
    assert rich.entry("homely", WINDOWS, FOURTH).version == "0.9"
    assert rich.told("homely", LINUX, FOURTH)["text"] == "of the folder\n"
    assert {path.name for path in folder.iterdir()} == rich.tree("homely").files.keys() - {"PKG-INFO"}
    by_name = {wheel["name"]: wheel for wheel in rich.world.manifest(LINUX, FOURTH)["wheels"]}
    assert by_name["homely"]["builtFrom"]["kind"] == "folder"
    (folder / "text").write_text("changed\n", encoding="utf-8")
    try:
        stale = rich.run("build", "--locked", full=FOURTH)
    finally:
        (folder / "text").write_text("of the folder\n", encoding="utf-8")
    assert stale.status == 1
    assert "changed since: sources" in stale.stderr


def test_linuxs_bare_tag_becomes_that_of_the_floor(rich: Built) -> None:
    """It promises no glibc, and would be refused otherwise."""
    assert "bare-1.0-cp312-cp312-manylinux_2_28_x86_64.whl" in rich.world.wheels(LINUX, FOURTH)


@pytest.mark.parametrize("key", RICH)
def test_a_lock_with_sources_is_valid_and_is_read_as_it_was_written(rich: Built, key: str) -> None:
    """By PEP 751, folders included."""
    path = pylock.lock_path(rich.world.environment_folder(FOURTH), key)
    text = path.read_text(encoding="utf-8")
    Pylock.from_dict(tomllib.loads(text))
    assert pylock.render(pylock.parse(text, path)) == text


# What policy refuses


REFUSING: Mapping[str, dict[str, Any]] = {
    "onlyBinaryList": {"onlyBinaryList": ["refused"]},
    "allowSourceAll": {"allowSourceAll": False, "allowSourceList": ["another"]},
    "both": {"allowSourceList": ["refused"], "onlyBinaryList": ["refused"]},
}


@pytest.mark.parametrize("policy", REFUSING)
def test_policy_refuses_to_build(built: Built, policy: str) -> None:
    """Nothing of the source is run, and the message says that policy is to blame."""
    built.publish("refused")
    built.configure("refused", resolution=REFUSING[policy])
    result = built.run("lock")
    assert result.status == 4, result.stderr
    assert f"{VERSION} on {LINUX}: `refused`" in result.stderr
    assert "policy forbids to build" in result.stderr
    assert built.calls("refused") == {}


def test_policy_allows_to_build_what_it_lists(built: Built) -> None:
    """Alone of all; a newer version is built where it is asked for, though an older one has a wheel."""
    make_wheel(built.world.index.folder, "allowed", "1.0")
    built.publish("allowed", version="2.0")
    built.configure("allowed>=2", resolution={"allowSourceAll": False, "allowSourceList": ["Allowed"]})
    built.fine("lock")
    assert (built.entry("allowed").version, built.entry("allowed").source is not None) == ("2.0", True)


# Sources that roots name


def test_a_commit_of_a_repository_is_built(built: Built, tmp_path: Path) -> None:
    """The lock has its 40 digits, and later commits change nothing until all may move."""
    repositories, first = {}, {}
    for name in ("by-branch", "by-tag", "by-digits", "by-nothing"):
        repositories[name] = built.tree(name, text="first\n").lay_out(tmp_path / name)
        first[name] = commit(repositories[name], tag="v1")
    references = {"by-branch": "@main", "by-tag": "@v1", "by-digits": f"@{first['by-digits'][:9]}", "by-nothing": ""}
    built.configure(*(f"{name} @ git+{repositories[name].as_uri()}{at}" for name, at in references.items()))
    built.fine("lock")
    sources = {package.name: package.source for package in built.lock().packages}
    assert {name: source and (source.kind, source.commit, source.url) for name, source in sources.items()} == {
        name: ("git", first[name], repositories[name].as_uri()) for name in references
    }
    text = pylock.lock_path(built.world.environment_folder(), LINUX).read_text(encoding="utf-8")
    packages = Pylock.from_dict(tomllib.loads(text)).packages
    assert {str(package.name): package.vcs and package.vcs.commit_id for package in packages} == first
    assert pylock.render(built.lock()) == text
    second = {}
    for name, repository in repositories.items():
        built.tree(name, text="second\n").lay_out(repository)
        second[name] = commit(repository)
    built.fine("build")
    assert {name: built.told(name)["text"] for name in references} == dict.fromkeys(references, "first\n")
    built_from = {wheel["name"]: wheel["builtFrom"]["commit"] for wheel in built.world.manifest(LINUX)["wheels"]}
    assert built_from == first
    built.fine("lock", "--upgrade")
    moved = {package.name: package.source and package.source.commit for package in built.lock().packages}
    assert moved == {**second, "by-tag": first["by-tag"], "by-digits": first["by-digits"]}


def test_a_folder_of_a_repository_is_built(built: Built, tmp_path: Path) -> None:
    """``#subdirectory=``, of a bare URL; its name is the one that the source gives itself."""
    repository = tmp_path / "many"
    built.tree("in-a-folder").lay_out(repository / "python" / "package")
    first = commit(repository, branch="dev")
    built.configure(f"git+{repository.as_uri()}@dev#egg=in-a-folder&subdirectory=python/package")
    built.fine("build")
    source = built.entry("in-a-folder").source
    assert source is not None
    assert (source.commit, source.subdirectory) == (first, "python/package")
    assert built.told("in-a-folder")["sys.platform"] == "linux"


def test_an_sdist_is_built_by_its_address(built: Built, tmp_path: Path) -> None:
    """No index needs to have it; the lock has its digest, as an archive of PEP 751."""
    path = built.tree("direct", needs=["pure<2"]).sdist(tmp_path)
    built.configure(f"direct @ {path.as_uri()}")
    built.fine("build")
    source = built.entry("direct").source
    assert source is not None
    assert (source.kind, source.url, len(source.sha256 or "")) == ("archive", path.as_uri(), 64)
    text = pylock.lock_path(built.world.environment_folder(), LINUX).read_text(encoding="utf-8")
    found = {str(package.name): package for package in Pylock.from_dict(tomllib.loads(text)).packages}
    assert found["direct"].archive is not None
    assert pylock.render(built.lock()) == text
    assert built.told("direct")["text"] == "as published\n"


# The cache


def test_another_environment_takes_the_wheel_that_was_built(built: Built) -> None:
    """The backend runs once for both, unless the build is another one: its patches count, and their contents."""
    built.publish("common")
    build = {"common": {LINUX: {"patches": ["fix.patch"]}}}
    for full, word in ((VERSION, "one"), (OTHER, "one")):
        patch = f"--- a/text\n+++ b/text\n@@ -1 +1 @@\n-as published\n+{word}\n"
        (built.world.environment_folder(full) / "fix.patch").write_text(patch, encoding="utf-8")
        built.configure("common", full=full, buildWheel=build)
        built.fine("build", full=full)
    assert built.calls("common")["wheel linux"] == 1
    assert built.told("common", full=OTHER) == built.told("common")
    path = built.world.environment_folder(OTHER) / "fix.patch"
    path.write_text(path.read_text(encoding="utf-8").replace("+one", "+two"), encoding="utf-8")
    built.fine("build", full=OTHER)
    assert built.calls("common")["wheel linux"] == 2
    assert built.told("common", full=OTHER)["text"] == "two\n"


# What fails


REMEDIES = (
    "what can be done: patch it",
    "`sourceDir`",
    "`buildRequires`",
    f"`--platform {LINUX}` there",
    "`skip` with a reason",
)


def test_backends_that_fail_when_they_are_locked(built: Built, tmp_path: Path) -> None:
    """All are told in one go: root, package, target, last words, log; and what can be done. Nothing is written."""
    built.publish("hopeless", fails={"metadata": "no Fortran here"})
    built.publish("wishless", fails={"requires": "no wishes"}, static=True)
    make_wheel(built.world.index.folder, "wisher", "1.0", requires=["wishless"])
    built.configure("hopeless", "wisher", "pure")
    result = built.run("lock")
    assert result.status == 4, result.stderr
    for part in ("2 roots cannot be had", f"{VERSION} on {LINUX}: `hopeless`", f"{VERSION} on {LINUX}: `wisher`",
                 f"hopeless 1.0 cannot be built for {LINUX}: its build ended with exit status 1",
                 f"wishless 1.0 cannot be built for {LINUX}", "metadata of hopeless here", "no Fortran here", "no wishes",
                 f"logs/hopeless-{LINUX}-"):  # fmt: skip
        assert part in result.stderr, result.stderr
    log = Path(result.stderr.partition("the whole output: ")[2].splitlines()[0])
    assert "no Fortran here" in log.read_text(encoding="utf-8")
    assert pylock.read(built.world.environment_folder(), LINUX) is None
    for part in REMEDIES:
        assert part in result.stderr, result.stderr


def test_a_backend_that_fails_may_be_left_out(built: Built) -> None:
    """With strictMissing false; the lock says that it is not there."""
    built.publish("helpless", fails={"metadata": "no help"})
    built.configure("helpless", "pure", resolution={"strictMissing": False})
    result = built.fine("lock")
    assert "`helpless` is left out" in result.stderr
    assert [root.name for root in built.lock().missing] == ["helpless"]
    assert [package.name for package in built.lock().packages] == ["pure"]


def test_a_backend_that_is_not_there(built: Built) -> None:
    """It is named; why it cannot be imported is among the last lines."""
    built.publish("headless", backend="import nowhere_to_be_found\n")
    built.configure("headless")
    # Python's own traceback is what the backend printed, which World.run would take for the program's.
    result = subprocess.run(
        [sys.executable, "-m", "pyrunenv", "lock", VERSION, "--platform", LINUX], cwd=built.world.root,
        env=built.world.environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 4, result.stderr
    assert "its build backend `backend` cannot be imported" in result.stderr
    assert "No module named 'nowhere_to_be_found'" in result.stderr
    assert "pyrunenv/__main__.py" not in result.stderr


@pytest.fixture(scope="module")
def failed(shared: Built) -> Result:
    """What is said of five builds that fail in one run."""
    words = "\n".join(f"line {number} of many" for number in range(100))
    shared.publish("broken", fails={"wheel": "ld: cannot find -lfoo"})
    shared.publish("chatty", fails={"wheel": words})
    shared.publish("fickle", needs_in={"wheel": ["pure", "native; sys_platform == 'win32'"]})
    shared.publish("foreign", tag="cp311-cp311-win_amd64")
    shared.configure("broken", "chatty", "fickle", "foreign", full=FIFTH)
    shared.fine("lock", full=FIFTH)
    result = shared.run("build", full=FIFTH)
    assert result.status == 1, result.stderr
    assert not list(shared.world.environment_folder(FIFTH).glob("pkg-*"))
    assert not (shared.world.environment_folder(FIFTH) / "pydist" / LINUX).exists()
    return result


SAID = {
    "all": (f"error[wheel-build]: 4 wheels cannot be built for {LINUX}", *REMEDIES),
    "a backend that fails": (f"broken 1.0 cannot be built for {LINUX}: its build ended with exit status 1",
                             "ld: cannot find -lfoo", f"logs/broken-{LINUX}-"),
    "the last lines": ("line 72 of many", "line 99 of many"),
    "other needs than those in the lock": (
        "the wheel of fickle 1.0 that was built needs `pure`, which its metadata did not say when it was locked",
    ),
    "a wheel of another target": (f"foreign 1.0 cannot be built for {LINUX}: the wheel that was made does not fit",
                                  f"no tag fits CPython {VERSION} on {LINUX}"),
}  # fmt: skip


@pytest.mark.parametrize("what", SAID)
def test_builds_that_fail_are_all_told(failed: Result, what: str) -> None:
    """Each with its package, its target and its reason; the remedies once."""
    for part in SAID[what]:
        assert part in failed.stderr, failed.stderr
    assert "line 50 of many" not in failed.stderr, "thirty lines are enough, the log has all"
    assert "native" not in failed.stderr, "it is not needed there"
    logs = [line.partition("the whole output: ")[2] for line in failed.stderr.splitlines() if "whole output" in line]
    assert any("line 0 of many" in Path(log).read_text(encoding="utf-8") for log in logs)


# Interruptions


def start(built: Built) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pyrunenv", "build", VERSION, "--platform", LINUX], cwd=built.world.root,
        env=built.world.environment(marker(built.world.folder)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, start_new_session=True, text=True,
    )  # fmt: skip


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_stopped_leaves_nothing_half_made(
    built: Built, tmp_path: Path, with_signal: signal.Signals
) -> None:
    """No process, no wheel, no bundle; and the next run builds it."""
    name = f"slow-{with_signal.name.lower()}"
    gate = tmp_path / "gate"
    gate.touch()
    built.publish(name, wait={"wheel": str(gate)})
    built.configure(name)
    built.fine("lock")
    wheels = built.notes()
    process = start(built)
    wait_for(lambda: built.calls(name).get("wheel linux"))
    process.send_signal(with_signal)
    _, said = process.communicate(timeout=30)
    if with_signal == signal.SIGKILL:
        # The backend's process is on its own then, and ends as soon as it may.
        gate.unlink()
    else:
        assert process.returncode == 130, said
        assert said.endswith("the next run goes on from there\n"), said
        assert "error[" not in said
        assert "Traceback" not in said
    assert alive_with(built.world.folder, 5.0) == []
    assert built.notes() == wheels
    assert not list(built.world.environment_folder().glob("pkg-*"))
    gate.unlink(missing_ok=True)
    built.fine("build", "--locked")
    assert built.calls(name)["wheel linux"] == 2
    assert built.told(name)["sys.platform"] == "linux"


# One wheel alone


def test_one_wheel_is_built_alone(built: Built, tmp_path: Path) -> None:
    """Its dependencies are left aside, policy too; a second time it is taken from the cache."""
    built.publish("alone", needs=["nowhere-to-be-had"])
    make_wheel(built.world.index.folder, "alone", "1.0")
    built.configure(resolution={"onlyBinaryList": ["alone"]})
    words = ("wheel", "build", "alone==1.0", "--env", VERSION, "--to", str(tmp_path / "out"))
    result = built.world.run(*words, "--platform", LINUX, "--platform", WINDOWS)
    assert result.status == 0, result.stderr
    assert f"{WINDOWS}: built in" in result.stderr
    assert told(tmp_path / "out" / "alone-1.0-py3-none-any.whl")["sys.platform"] == "win32"
    again = built.world.run(*words, "--platform", LINUX)
    assert "was in the cache" in again.stderr
    assert told(tmp_path / "out" / "alone-1.0-py3-none-any.whl")["sys.platform"] == "linux"
    assert built.calls("alone")["wheel linux"] == 1
