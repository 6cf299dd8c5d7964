"""From configs to archives, as a user runs it: a local index, test-made interpreters, five platforms."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.pylock import Pylock
from support.product import VERSION, World, make_world
from support.workspaces import ALL_PLATFORMS, package_json, write_json

ROOTS = ["native", "chain", "pure==2.0"]
CONFIG: dict[str, Any] = {
    "packages": {
        "dependencies": ROOTS,
        "copyFiles": [{"from": "files", "to": "share/demo"}, {"from": "hook.py", "to": "{site-packages}/hook.py"}],
    }
}


def lay_out_files(world: World) -> None:
    folder = world.environment_folder()
    (folder / "files").mkdir()
    (folder / "files" / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (folder / "files" / "run.sh").chmod(0o755)
    (folder / "files" / "note.txt").write_text("note\n", encoding="utf-8")
    (folder / "hook.py").write_text("x = 1\n", encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A workspace whose one environment is built for all platforms."""
    with make_world(tmp_path_factory.mktemp("built"), {VERSION: CONFIG}, catalogue=True) as world:
        lay_out_files(world)
        result = world.run("build", "--all-platforms")
        assert result.status == 0, result.stderr
        yield world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A workspace of its own for a test that changes it."""
    with make_world(tmp_path, {VERSION: {"packages": {"dependencies": ROOTS}}}) as made:
        yield made


def test_every_platform_gets_its_own_closure(built: World) -> None:
    """Markers and tags are the target's: the Windows-only dependency is in the Windows wheelhouse alone."""
    for platform in ALL_PLATFORMS:
        names = {name.split("-")[0] for name in built.wheels(platform)}
        assert names == {"native", "chain", "pure"} | ({"winonly"} if platform == "windows-x64" else set())
    native = {p: next(n for n in built.wheels(p) if n.startswith("native")) for p in ALL_PLATFORMS}
    assert len(set(native.values())) == 5
    assert native["macosx-aarch64"].endswith("macosx_11_0_arm64.whl")


@pytest.mark.parametrize("platform", ALL_PLATFORMS)
def test_the_archive_is_the_bundles_content_in_the_contracts_layout(built: World, platform: str) -> None:
    """No leading folder; interpreter, standard library, packages/, copied files with their run bits and place."""
    archive = built.environment_folder() / f"pkg-software-test-test.runenv-python-3.12.10-main-1.0.0-{platform}.tgz"
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar.getmembers()}
    windows = platform == "windows-x64"
    python = "bin/python.exe" if windows else "bin/python"
    stdlib = "Lib" if windows else "lib/python3.12"
    for name in (python, "packages", f"{stdlib}/os.py", f"{stdlib}/site-packages/hook.py", "share/demo/run.sh"):
        assert name in members
    assert members["share/demo/run.sh"].mode == 0o755
    assert members["share/demo/note.txt"].mode == 0o644
    assert {member.uid for member in members.values()} == {0}
    assert {member.mode for member in members.values()} <= {0o755, 0o644, 0o777}
    assert len({member.mtime for member in members.values()}) == 1
    assert not [n for n in members if "__pycache__" in n or n.endswith("direct_url.json")]


@pytest.mark.parametrize("platform", ALL_PLATFORMS)
def test_the_manifest_tells_the_truth_about_the_files(built: World, platform: str) -> None:
    """Digests and sizes of archive, tar and wheels are those of what lies there; each wheel says why it is there."""
    manifest = built.manifest(platform)
    archive = built.environment_folder() / f"pkg-software-test-test.runenv-python-3.12.10-main-1.0.0-{platform}.tgz"
    content = archive.read_bytes()
    assert manifest["archive"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["archive"]["size"] == len(content)
    wheelhouse = built.environment_folder() / "pydist" / platform / "packages"
    assert {w["file"] for w in manifest["wheels"]} == built.wheels(platform)
    for wheel in manifest["wheels"]:
        assert hashlib.sha256((wheelhouse / wheel["file"]).read_bytes()).hexdigest() == wheel["sha256"]
        assert wheel["why"]
    assert str(built.folder) not in json.dumps({**manifest, "interpreter": None})


def test_the_lock_names_index_dependencies_and_interpreter(built: World) -> None:
    """What the resolver's own output lacks is filled in, and the file is valid by the standard."""
    text = (built.environment_folder() / "pylock.windows-x64.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    Pylock.from_dict(document)
    packages = {package["name"]: package for package in document["packages"]}
    assert {d["name"] for d in packages["chain"]["dependencies"]} == {"pure", "winonly"}
    assert {package["index"].rstrip("/") for package in packages.values()} == {built.index.url.rstrip("/")}
    assert document["requires-python"] == "==3.12.*"
    own = document["tool"]["pyrunenv"]
    assert own["interpreter"]["sha256"] == built.archives["windows-x64"][1]
    assert [root["groups"] for root in own["roots"]] == [["group-1"]] * 3


def test_descriptors_lie_where_the_backend_looks(built: World) -> None:
    """The environment's and the catalogue's descriptors are there, and agree."""
    dist = built.environment_folder() / "dist"
    info = json.loads((dist / "artifacts/main/archive_linux-x64.json").read_text(encoding="utf-8"))
    assert info["uploadPath"] == "software/test/test.runenv-python-3.12.10/main/1.0.0-linux-x64.tgz"
    own = (dist / "tengo/software/main.sw.json").read_text(encoding="utf-8")
    assert (built.root / "catalogue/dist/tengo/software/3.12.10.sw.json").read_text(encoding="utf-8") == own


def test_a_second_run_does_nothing(built: World) -> None:
    """Nothing is asked of the index, nothing is written, everything is up to date."""
    before = {p: p.stat().st_mtime_ns for p in built.root.rglob("*")}
    asked = len(built.index.requests)
    result = built.run("build", "--all-platforms")
    assert result.status == 0
    assert result.stdout.count("up to date") == 5
    assert len(built.index.requests) == asked
    after = {p: p.stat().st_mtime_ns for p in built.root.rglob("*")}
    assert {p for p in before | after if before.get(p) != after.get(p)} == set()


def test_the_same_lock_gives_the_same_bytes_elsewhere(built: World, tmp_path: Path) -> None:
    """Another folder, umask, locale, time zone, hash seed and --jobs change not one byte of any archive."""
    with make_world(tmp_path / "another place", {VERSION: CONFIG}) as other:
        lay_out_files(other)
        for platform in ALL_PLATFORMS:
            name = f"pylock.{platform}.toml"
            lock = (built.environment_folder() / name).read_text(encoding="utf-8")
            ours = lock.replace(built.index.origin, other.index.origin)
            for key, (path, _) in other.archives.items():
                ours = ours.replace(built.archives[key][0].as_uri(), path.as_uri())
            (other.environment_folder() / name).write_text(ours, encoding="utf-8")
        shared = other.root / "shared-config.json"
        # the addresses of index and interpreters are inputs of the lock: keep those that it was made with
        shared.write_bytes((built.root / "shared-config.json").read_bytes())
        strange = {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "77", "LANG": "tr_TR.UTF-8"}
        before = os.umask(0o077)
        try:
            result = other.run("build", "--all-platforms", "--locked", "--jobs", "5", env=strange)
        finally:
            os.umask(before)
        assert result.status == 0, result.stderr
        theirs, ours_built = built.archives_built(), other.archives_built()
        assert theirs.keys() == ours_built.keys()
        assert [name for name in theirs if theirs[name] != ours_built[name]] == []


def altered_by_a_byte(world: World) -> Path:
    path = world.environment_folder() / "pydist" / "linux-aarch64" / "lib" / "python3.12" / "os.py"
    path.write_bytes(path.read_bytes() + b"#")
    return path


def a_lost_wheel(world: World) -> Path:
    path = next((world.environment_folder() / "pydist" / "linux-aarch64" / "packages").glob("pure*"))
    path.unlink()
    return path


def a_touched_file(world: World) -> Path:
    return flipped(world, "pure*")


def the_caches_own_file(world: World) -> Path:
    """A wheel that no other bundle has lies in the cache under a second name, once the bundle it replaced is gone."""
    shutil.rmtree(world.environment_folder() / "pydist" / "linux-aarch64")
    assert world.run("build", "--platform", "linux-aarch64").status == 0
    path = flipped(world, "native*")
    assert path.stat().st_nlink == 2
    return path


def flipped(world: World, name: str) -> Path:
    path = next((world.environment_folder() / "pydist" / "linux-aarch64" / "packages").glob(name))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    return path


def a_lost_archive(world: World) -> Path:
    path = next(world.environment_folder().glob("pkg-*-linux-aarch64.tgz"))
    path.unlink()
    return path


@pytest.mark.parametrize(
    "damage", [altered_by_a_byte, a_lost_wheel, a_touched_file, the_caches_own_file, a_lost_archive]
)
def test_what_was_altered_is_rebuilt_and_nothing_else(built: World, damage: Any) -> None:
    """A stamp is never believed: the altered target is built again to the same bytes, the others are left alone."""
    before = built.archives_built()
    path = damage(built)
    result = built.run("build", "--all-platforms")
    assert result.status == 0
    assert result.stdout.count("up to date") == 4
    assert path.is_file()
    assert built.archives_built() == before


def test_force_builds_again_to_the_same_bytes(built: World) -> None:
    """--force rebuilds what is up to date, and nothing changes by it."""
    before = built.archives_built()
    result = built.run("build", "--platform", "linux-x64", "--force")
    assert result.status == 0
    assert "up to date" not in result.stdout
    assert built.archives_built() == before


def test_list_and_config_show(built: World) -> None:
    """The table shows what is locked, built and packed; the merged config is JSON."""
    rows = json.loads(built.run("list", "--json").stdout)
    assert [row["platform"] for row in rows] == list(ALL_PLATFORMS)
    assert {(row["state"], row["roots"]) for row in rows} == {("packed", len(ROOTS))}
    assert all(row["bundle_bytes"] > row["wheel_bytes"] > 0 < row["archive_bytes"] for row in rows)
    shown = json.loads(built.run("config", "show", VERSION, "--platform", "linux-x64").stdout)
    assert shown["packages"]["dependencies"] == ROOTS


def test_missing_roots_are_one_error_for_the_whole_run(world: World) -> None:
    """All pairs are listed at once, with the nearest version, and the entry to paste makes the next run pass."""
    world.configure(VERSION, {"packages": {"dependencies": ["partial==1.1", "source-only", "pure==2.0", "nonesuch"]}})
    result = world.run("lock")
    assert result.status == 4
    assert "error[missing-packages]: 3 roots cannot be had (11 pairs of root and platform)" in result.stderr
    assert "3.12.10 on macosx-x64: `partial==1.1`: no wheel of 1.1 fits" in result.stderr
    assert "nearest version with a wheel there: 1.0" in result.stderr
    assert "the build requirements cannot be had for this machine" in result.stderr
    assert "because setuptools was not found" in result.stderr.lower()
    assert "no registry has a package named `nonesuch`" in result.stderr
    skip = json.loads("{" + result.stderr[result.stderr.index('"skip": {\n') :] + "}")
    dependencies = ["partial==1.1", "source-only", "pure==2.0", "nonesuch"]
    world.configure(VERSION, {"packages": {"dependencies": dependencies, **skip}})
    again = world.run("build", "--all-platforms")
    assert again.status == 0, again.stderr
    assert {n.split("-")[0] for n in world.wheels("macosx-x64")} == {"pure"}
    assert {n.split("-")[0] for n in world.wheels("linux-x64")} == {"pure", "partial"}
    assert set(world.manifest("macosx-x64")["skipped"]) == {"partial", "source-only", "nonesuch"}


def test_what_may_be_missing_is_left_out_and_said(world: World) -> None:
    """strictMissing false: a warning at the end, an entry in lock and manifest, and the rest is built."""
    world.configure(
        VERSION, {"packages": {"dependencies": ["partial==1.1", "pure"], "resolution": {"strictMissing": False}}}
    )
    result = world.run("build", "--platform", "macosx-x64", "--platform", "linux-x64")
    assert result.status == 0, result.stderr
    assert "warning: 3.12.10 on macosx-x64: `partial==1.1` is left out" in result.stderr
    assert [m["name"] for m in world.manifest("macosx-x64")["missing"]] == ["partial"]
    assert world.manifest("linux-x64")["missing"] == []


def test_a_target_that_fails_does_not_stop_the_others(world: World) -> None:
    """The four platforms that can be built are built; the failure is listed, the exit status is 1."""
    world.configure(VERSION, {"packages": {"dependencies": ["partial==1.1"]}})
    result = world.run("build", "--all-platforms")
    assert result.status == 1
    assert len(world.archives_built()) == 4
    assert "error[missing-packages]: 1 root cannot be had" in result.stderr


def test_fail_fast_starts_nothing_more(world: World) -> None:
    """With --fail-fast a root that cannot be had ends the run; what was not begun is named."""
    world.configure(VERSION, {"packages": {"dependencies": ["partial==1.1"]}})
    result = world.run("build", "--all-platforms", "--fail-fast", "--jobs", "1")
    assert result.status == 1
    assert "was not started" in result.stderr
    assert len(world.archives_built()) < 4


def test_locked_refuses_to_make_a_lock(world: World) -> None:
    """build --locked names what changed; lock --check says the same and writes nothing."""
    result = world.run("build", "--locked", "--platform", "linux-x64")
    assert result.status == 1
    assert "error[stale-lock]: 3.12.10 on linux-x64 is not locked" in result.stderr
    assert world.run("lock").status == 0
    assert world.run("lock", "--check").status == 0
    world.configure(VERSION, {"packages": {"dependencies": ["pure"]}})
    check = world.run("lock", "--check", "--platform", "linux-x64")
    assert check.status == 1
    assert "changed since: requirements" in check.stderr


def test_relocking_keeps_versions(world: World) -> None:
    """A root is added; what is locked stays, even where a newer version has come."""
    world.configure(VERSION, {"packages": {"dependencies": ["chain", "pure<2"]}})
    assert world.run("lock", "--platform", "linux-x64").status == 0
    world.configure(VERSION, {"packages": {"dependencies": ["chain", "native"]}})
    assert world.run("lock", "--platform", "linux-x64").status == 0
    text = (world.environment_folder() / "pylock.linux-x64.toml").read_text(encoding="utf-8")
    versions = {p["name"]: p["version"] for p in tomllib.loads(text)["packages"]}
    assert versions == {"chain": "1.0", "native": "1.0", "pure": "1.0"}


def test_platforms_that_an_environment_does_not_list_are_named(tmp_path: Path) -> None:
    """What is not in `roots` is passed over, and said."""
    with make_world(tmp_path, {VERSION: {"packages": {"dependencies": []}}}, platforms=("windows-x64",)) as world:
        result = world.run("build", "--platform", "windows-x64", "--platform", "macosx-x64")
        assert result.status == 0, result.stderr
        assert "3.12.10 is not made for macosx-x64: passed over" in result.stderr
        assert world.wheels("windows-x64") == set()
        nothing = world.run("build", "--platform", "macosx-x64")
        assert "warning: nothing was built: name a platform that is in `roots`" in nothing.stderr


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ({"source": "standalone", "mirror": "file:///no/such/mirror"}, "set python.mirror to a place"),
        ({"archives": {"linux-x64": {"sha256": "0" * 64}}}, "correct python.archives.linux-x64.sha256"),
    ],
)
def test_an_interpreter_that_cannot_be_had_says_which_setting_helps(
    world: World, python: dict[str, Any], said: str
) -> None:
    """It is the config that names it, not the lock."""
    if "archives" in python:
        python["archives"]["linux-x64"]["url"] = world.archives["linux-x64"][0].as_uri()
    world.configure(VERSION, {"python": python, "packages": {"dependencies": []}})
    result = world.run("build", "--platform", "linux-x64")
    assert result.status == 1
    assert said in result.stderr


def test_an_unknown_environment_and_option_are_usage_errors(world: World) -> None:
    """Both exit with 2 and say what there is."""
    unknown = world.run("build", "3.12.11")
    assert unknown.status == 2
    assert "3.12.10" in unknown.stderr
    option = world.run("build", "--plattform", "x")
    assert option.status == 2
    assert "error[usage]" in option.stderr


def test_an_artefact_may_ask_for_a_zip(world: World, tmp_path: Path) -> None:
    """A .zip of the whole bundle with its run bits, the same bytes again, which the descriptor names; no .tgz."""
    folder = world.environment_folder()
    write_json(folder / "package.json", package_json(VERSION, archiveType="zip"))
    platforms = ("--platform", "linux-x64", "--platform", "windows-x64")
    assert world.run("build", *platforms).status == 0
    archives = world.archives_built()
    assert {name.rpartition("-main-1.0.0-")[2] for name in archives} == {"linux-x64.zip", "windows-x64.zip"}
    archive = next(folder.glob("*-linux-x64.zip"))
    bundle = folder / "pydist" / "linux-x64"
    with zipfile.ZipFile(archive) as opened:
        members = {info.filename: info for info in opened.infolist() if not info.is_dir()}
        assert set(members) == {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if not p.is_dir()}
        assert members["bin/python3.12"].external_attr >> 16 & 0o111 == 0o111
        wheel = next(name for name in members if name.startswith("packages/native"))
        assert opened.read(wheel) == (bundle / wheel).read_bytes()
    descriptor = next((folder / "dist" / "artifacts").rglob("*.json")).read_text(encoding="utf-8")
    assert "linux-x64.zip" in descriptor
    assert ".tgz" not in descriptor
    assert world.manifest("linux-x64")["archive"]["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert world.run("build", *platforms, "--force").status == 0
    assert world.archives_built() == archives
