"""``cleanup`` after real builds: what they left goes, whatever else lies there stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from support.product import VERSION, World, make_world

from pyrunenv.cleanup import clean, places
from pyrunenv.presence import present

PLATFORMS = ("linux-x64", "windows-x64")
CONFIG: dict[str, Any] = {
    "build": {"enableLogging": True},
    "packages": {"dependencies": ["native"], "copyFiles": [{"from": "note.txt", "to": "share/note.txt"}]},
}
OTHER = "3.12.10-other"
SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with two environments and a catalogue, all built."""
    folder = tmp_path_factory.mktemp("cleanup")
    with make_world(folder, {VERSION: CONFIG, OTHER: CONFIG}, platforms=PLATFORMS, small=True, catalogue=True) as made:
        for full in (VERSION, OTHER):
            (made.environment_folder(full) / "note.txt").write_text("note\n", encoding="utf-8")
        assert made.run("lock").status == 0
        shutil.copytree(made.root, folder / "locked", symlinks=True)
        result = made.run("build", "--all-platforms")
        assert result.status == 0, result.stderr
        shutil.copytree(made.root, folder / "built", symlinks=True)
        yield made


@pytest.fixture
def world(built: World) -> World:
    """The same, with the workspace as the build left it."""
    # folders of a test that may not be written to or read
    for path in [built.root, *built.root.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(built.root)
    shutil.copytree(built.folder / "built", built.root, symlinks=True)
    return built


def tree(root: Path) -> dict[str, Any]:
    """Everything below a folder: contents, links' targets, None for folders."""
    return {
        path.relative_to(root).as_posix(): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in root.rglob("*")
    }


def locked(world: World) -> dict[str, Any]:
    """The workspace as it was before the build."""
    return tree(world.folder / "locked")


def put(path: Path, text: str = "mine\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_build_leaves_nothing_after_it(world: World) -> None:
    """All of it is gone, the catalogue's descriptors too; locks, configs and copied files' sources are as they were."""
    assert tree(world.root) != locked(world)
    result = world.run("cleanup", "--all")
    assert result.status == 0, result.stderr
    assert tree(world.root) == locked(world)
    assert "kept" not in result.stderr
    again = world.run("cleanup", "--all")
    assert (again.status, again.stdout) == (0, "")
    assert "there is nothing to remove" in again.stderr


def test_one_environment_alone(world: World) -> None:
    """By its name, or from its folder; the other, and the catalogue, keep what they have."""
    other, catalogue = tree(world.environment_folder(OTHER)), tree(world.root / "catalogue")
    assert world.run("cleanup", cwd=world.environment_folder() / "dist").status == 0
    assert tree(world.environment_folder()) == tree(world.folder / "locked" / f"python-{VERSION}")
    assert tree(world.environment_folder(OTHER)) == other
    assert world.run("cleanup", "@test/*-other").status == 0
    assert tree(world.environment_folder(OTHER)) == tree(world.folder / "locked" / f"python-{OTHER}")
    assert tree(world.root / "catalogue") == catalogue


def test_at_the_root_somebody_has_to_say_what(world: World) -> None:
    """No name there is no wish; neither is one that is unknown, or all and one."""
    before = tree(world.root)
    for words, said in (
        ((), "clean up after all of them with `--all`"),
        (("3.12.10-othr",), f"did you mean `{OTHER}`?"),
        (("--all", VERSION), "exclude each other"),
    ):
        result = world.run("cleanup", *words)
        assert (result.status, result.stdout) == (2, "")
        assert said in result.stderr
    assert tree(world.root) == before


def test_a_dry_run_tells_the_same_and_does_nothing(world: World) -> None:
    """Not a byte, not a lock; the figures are those of the run after it, and add up to what was there."""
    before = tree(world.root)
    dry = world.run("cleanup", "--all", "--dry-run")
    assert tree(world.root) == before
    rows = [line.split() for line in dry.stdout.splitlines()[1:]]
    assert rows == [line.split() for line in world.run("cleanup", "--all").stdout.splitlines()[1:]]
    gone = {path: content for path, content in before.items() if path not in locked(world)}
    assert [row[0] for row in rows] == [VERSION, OTHER, "catalogue", "in"]
    assert rows[-1][2] == str(sum(content is not None for content in gone.values()))
    assert "nothing was removed (--dry-run)" in dry.stderr


MINE = (
    "pydist/mine.txt", "pydist/linux-x64/mine.txt", "pydist/linux-x64/packages/mine-1.0-py3-none-any.whl",
    "pydist/linux-x64/bin/mine", "pydist/windows-x64/Lib/mine/mine.py", "pydist/solaris/mine.txt", "dist/mine.txt",
    "dist/manifest/mine.json", "dist/artifacts/main/archive_solaris.json", "dist/tengo/software/other.sw.json",
    "build/mine.json", "build/linux-x64.json.bak", "pkg-mine.tgz", "pkg-folder/mine.txt", "mine.txt",
)  # fmt: skip


def test_what_no_build_made_stays_and_is_named(world: World) -> None:
    """One file of the user in each place, over and over: nothing but those, and the folders that they lie in, is left."""
    folder = world.environment_folder()
    for path in MINE:
        put(folder / path)
    (folder / "pydist/linux-x64/empty").mkdir()
    expected = {
        **tree(world.folder / "locked" / f"python-{VERSION}"),
        **dict.fromkeys(MINE, b"mine\n"),
        **{str(parent): None for path in MINE for parent in Path(path).parents if parent != Path()},
        "pydist/linux-x64/empty": None,
    }
    for _ in range(2):
        result = world.run("cleanup", VERSION, "-v")
        assert result.status == 0, result.stderr
        assert tree(folder) == expected
        for path in MINE[:-1]:
            named = [path, *(f"{parent}/" for parent in Path(path).parents)]
            assert any(f"kept in {VERSION}: {name} (no build made it)" in result.stderr for name in named), path
        assert f"kept in {VERSION}: mine.txt" not in result.stderr, "no place where a build writes"


def test_an_archive_of_an_older_version_goes_too(world: World) -> None:
    """The npm version moved on since; both are archives of builds, and one in a zip as well."""
    folder = world.environment_folder()
    (archive,) = folder.glob("pkg-*-linux-x64.tgz")
    put(folder / archive.name.replace("1.0.0", "0.9.0-rc.1"))
    put(folder / archive.with_suffix(".zip").name)
    assert world.run("cleanup", VERSION).status == 0
    assert list(folder.glob("pkg-*")) == []


def test_what_python_left_of_our_modules_goes(world: World) -> None:
    """Bytecode of a module of the bundle; that of a user's own module stays with it."""
    bundle = world.environment_folder() / "pydist/linux-x64"
    module = next(path for path in sorted(bundle.rglob("lib/python3.12/*.py")))
    put(module.parent / "__pycache__" / f"{module.stem}.cpython-312.opt-1.pyc")
    mine = put(module.parent / "__pycache__" / "mine.cpython-312.pyc")
    assert world.run("cleanup", VERSION).status == 0
    assert [path for path in bundle.rglob("*") if path.is_file()] == [mine]


def test_links_are_not_followed(world: World, tmp_path: Path) -> None:
    """To a folder, to a file, in place of what a build made and beside it: what they lead to is untouched."""
    elsewhere = tmp_path / "elsewhere"
    put(elsewhere / "linux-x64" / "bin" / "python3.12")
    put(elsewhere / "main.sw.json")
    folder, bundle = world.environment_folder(), world.environment_folder() / "pydist/linux-x64"
    shutil.rmtree(folder / "build")
    (folder / "build").symlink_to(elsewhere)
    (bundle / "packages" / "out").symlink_to(elsewhere)
    shutil.rmtree(folder / "pydist/windows-x64")
    (folder / "pydist/windows-x64").symlink_to(elsewhere / "linux-x64")
    (folder / "dist/tengo/software/main.sw.json").unlink()
    (folder / "dist/tengo/software/main.sw.json").symlink_to(elsewhere / "main.sw.json")
    before = tree(elsewhere)
    result = world.run("cleanup", VERSION)
    assert result.status == 0, result.stderr
    assert tree(elsewhere) == before
    for name in ("build", "pydist/windows-x64", "pydist/linux-x64/packages/out", "dist/tengo/software/main.sw.json"):
        assert (folder / name).is_symlink()
        assert f"kept in {VERSION}: {name} (" in result.stderr


def test_a_linked_environment_out_of_the_workspace_is_refused(world: World, tmp_path: Path) -> None:
    """It is told where to clean up instead; the others are cleaned."""
    shutil.move(world.environment_folder(), tmp_path / "away")
    world.environment_folder().symlink_to(tmp_path / "away")
    before = tree(tmp_path / "away")
    result = world.run("cleanup", "--all")
    assert result.status == 2
    assert f"is a link out of the workspace, to {tmp_path / 'away'}" in result.stderr
    assert tree(tmp_path / "away") == before
    assert not (world.environment_folder(OTHER) / "pydist").exists()


def test_a_broken_configuration_is_no_obstacle(world: World) -> None:
    """Neither config.json nor package.json nor the shared file can be read, and a lock neither."""
    folder = world.environment_folder()
    for path in (folder / "config.json", folder / "package.json", folder / "pylock.linux-x64.toml"):
        path.write_text("{", encoding="utf-8")
    (world.root / "shared-config.json").write_text("?", encoding="utf-8")
    assert world.run("cleanup", VERSION).status == 0
    assert not any((folder / name).exists() for name in ("pydist", "dist", "build"))


def test_the_folder_of_an_environment_that_is_gone_goes_as_well(world: World) -> None:
    """As another branch leaves it: nothing in it but what a build left. With a file of the user's it stays."""
    for full in (VERSION, OTHER):
        for path in world.environment_folder(full).iterdir():
            if path.is_file() and not path.name.startswith("pkg-"):
                path.unlink()
    put(world.environment_folder(OTHER) / "mine.txt")
    (world.root / "python-notes").mkdir()
    assert world.run("cleanup", "--all").status == 0
    assert (world.root / "python-notes").is_dir(), "no build kept it"
    assert not world.environment_folder().exists()
    assert list(world.environment_folder(OTHER).iterdir()) == [world.environment_folder(OTHER) / "mine.txt"]


def test_what_killed_runs_left_goes(world: World) -> None:
    """Temporaries of bundles, archives, descriptors, locks and of `new`; one that is being written stays, unnamed."""
    import fcntl

    folder = world.environment_folder()
    (archive,) = folder.glob("pkg-*-linux-x64.tgz")
    live = put(folder / ".pylock.linux-x64.toml.abcdefg1.tmp")
    for path in (
        "pydist/.linux-x64.0123456789ab.tmp/lib/half", "pydist/.linux-x64.0123456789ab.old.tmp/lib/old",
        f".{archive.name}.abcdefg_.tmp", "dist/manifest/.linux-x64.json.abcdefgh.tmp", "build/.linux-x64.json.abcdefgh.tmp",
        ".pylock.windows-x64.toml.abcdefgh.tmp", "../.python-3.13.0-sc.0123456789ab.tmp/config.json",
    ):  # fmt: skip
        put(folder / path)
    with live.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        result = world.run("cleanup", "--all")
    assert result.status == 0, result.stderr
    assert "kept" not in result.stderr
    assert tree(world.root) == {**locked(world), f"python-{VERSION}/{live.name}": b"mine\n"}


@pytest.mark.parametrize("stamp", ["none", "older"])
def test_a_bundle_without_a_stamp_of_its_own(world: World, stamp: str) -> None:
    """Killed before it was packed: the interpreter and the lock's wheels are known, and what is not is kept and named."""
    folder = world.environment_folder()
    bundle = folder / "pydist/linux-x64"
    if stamp == "none":
        (folder / "build/linux-x64.json").unlink()
    else:  # a bundle was made anew after the stamp
        for wheel in (bundle / "packages").iterdir():
            os.utime(wheel, (1, 1))
        shutil.copyfile(bundle / "bin/python3.12", bundle / "bin/python3.12-config")
        os.utime(bundle / "bin/python3.12-config", (315_532_800, 315_532_800))
    mine = put(bundle / "packages" / "mine-1.0-py3-none-any.whl")
    left = {mine} | ({bundle / "share/note.txt"} if stamp == "none" else set())
    for _ in range(2):
        result = world.run("cleanup", VERSION)
        assert result.status == 0, result.stderr
        assert {path for path in folder.joinpath("pydist").rglob("*") if not path.is_dir()} == left


def test_hard_links_free_nothing_until_the_last_goes(world: World) -> None:
    """A wheel that has a name elsewhere too does not count; one whose other name goes with it counts once."""
    bundle = world.environment_folder() / "pydist/linux-x64"
    (wheel,) = (path for path in (bundle / "packages").iterdir() if path.name.startswith("native"))
    wheel.write_bytes(bytes(50_000_000))
    alone = freed(world)
    assert alone > 50_000_000
    os.link(wheel, world.root / "elsewhere.whl")
    assert freed(world) == alone - 50_000_000
    (world.root / "elsewhere.whl").unlink()
    twin = world.environment_folder() / "pydist/.linux-x64.0123456789ab.tmp"
    twin.mkdir()
    os.link(wheel, twin / "copy.whl")
    assert freed(world) == alone


def freed(world: World) -> int:
    """The bytes that a cleanup would free."""
    (place,) = places(world.root, [VERSION], world.root, everything=False)
    return clean(place, dry_run=True).freed


def test_a_build_under_way_is_not_disturbed(world: World) -> None:
    """In one environment: nothing of that is touched, and the others are cleaned; it is told, with status 1."""
    before = tree(world.environment_folder())
    with present([world.environment_folder()]):
        result = world.run("cleanup", "--all")
    assert result.status == 1
    assert f"error[busy]: another run works in {world.environment_folder()}" in result.stderr
    assert "nothing to remove" not in result.stderr
    assert tree(world.environment_folder()) == before
    assert not (world.environment_folder(OTHER) / "pydist").exists()


def test_a_bundle_that_is_being_packed_is_not_disturbed(world: World) -> None:
    """The lock of one bundle holds for the whole environment."""
    before = tree(world.environment_folder())
    with FileLock(world.environment_folder() / "pydist/.windows-x64.lock"):
        result = world.run("cleanup", VERSION)
    assert result.status == 1
    assert "another run builds or packs python-3.12.10 on windows-x64" in result.stderr
    assert tree(world.environment_folder()) == before


PAUSED = """
import sys, threading
from pyrunenv.steps import TargetBuild
pack, gate, told = TargetBuild.pack, threading.Lock(), []
def waiting(self, jobs):
    with gate:
        if not told:
            told.append(print("assembled", flush=True))
            sys.stdin.readline()
    return pack(self, jobs)
TargetBuild.pack = waiting
from pyrunenv.__main__ import main
main()
"""


def test_a_build_is_not_disturbed_between_its_steps(world: World) -> None:
    """Bundles that wait to be packed have no lock of their own: the build is there all the same, and ends well."""
    words = [sys.executable, "-c", PAUSED, "build", VERSION, "--all-platforms", "--force"]
    with subprocess.Popen(
        words, cwd=world.root, env=world.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL,
    ) as build:  # fmt: skip
        assert build.stdout is not None
        assert build.stdout.readline() == "assembled\n"
        before = tree(world.environment_folder())
        result = world.run("cleanup", VERSION)
        after = tree(world.environment_folder())
        build.communicate("go on\n", timeout=60)
    assert result.status == 1
    assert "error[busy]" in result.stderr
    assert after == before
    assert build.returncode == 0
    assert world.archives_built() == {
        path.name: path.read_bytes() for path in (world.folder / "built" / f"python-{VERSION}").glob("pkg-*")
    }


def test_builds_and_cleanups_side_by_side(world: World) -> None:
    """However they meet: a build that begins ends well, and no cleanup fails for another reason than that build."""
    words = [sys.executable, "-m", "pyrunenv", "build", VERSION, "--all-platforms", "--force"]
    build = subprocess.Popen(
        words, cwd=world.root, env=world.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while build.poll() is None:
        result = world.run("cleanup", VERSION)
        assert result.status == 0 or "error[busy]" in result.stderr, result.stderr
    assert build.stderr is not None
    with build.stderr:
        assert build.returncode == 0, build.stderr.read()
    assert world.run("build", VERSION, "--all-platforms").status == 0


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_folders_that_may_not_be_written_to(world: World, tmp_path: Path, mode: int) -> None:
    """They go; one that stays for a user's file has its mode back. A dry run leaves the modes alone."""
    tmp_path.chmod(0o555)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("who runs this may write everywhere: no mode is in the way")
    bundle = world.environment_folder() / "pydist/linux-x64"
    mine = put(bundle / "share/mine.txt")
    for path in [path for path in bundle.rglob("*") if path.is_dir() and not path.is_symlink()][::-1]:
        path.chmod(mode)
    world.run("cleanup", VERSION, "--dry-run")
    assert (bundle / "share").stat().st_mode & 0o777 == mode
    result = world.run("cleanup", VERSION)
    assert result.status == 0, result.stderr
    assert (bundle / "share").stat().st_mode & 0o777 == mode
    (bundle / "share").chmod(0o755)
    assert [path for path in bundle.rglob("*") if not path.is_dir()] == [mine]


KILLED = """
import os, signal, sys
import pyrunenv.cleanup as cleanup
from pathlib import Path
left = int(sys.argv[2])
def counting(event, arguments):
    global left
    if event in ("os.remove", "os.rmdir"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(counting)
for place in cleanup.places(Path(sys.argv[1]), ["3.12.10"], Path(sys.argv[1]), everything=False):
    cleanup.clean(place)
"""


@pytest.mark.parametrize("after", [0, 1, 7, 20, 40, 60, 75])
@pytest.mark.parametrize("stamped", [True, False])
def test_killed_the_next_run_finishes(world: World, after: int, *, stamped: bool) -> None:
    """Killed after so many removals: what is left is gone after the next run, but for the user's files."""
    folder = world.environment_folder()
    mine = [put(folder / "pydist/linux-x64/packages/mine-1.0-py3-none-any.whl"), put(folder / "dist/mine.txt")]
    if not stamped:
        shutil.rmtree(folder / "build")
        (folder / "pydist/linux-x64/share/note.txt").unlink()
        (folder / "pydist/windows-x64/share/note.txt").unlink()
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", KILLED, str(world.root), str(after)], env=environment)
    assert done.returncode == -signal.SIGKILL, "the run was over before"
    result = world.run("cleanup", VERSION)
    assert result.status == 0, result.stderr
    expected = tree(world.folder / "locked" / f"python-{VERSION}")
    found = tree(folder)
    assert {path for path, content in found.items() if content is not None and path not in expected} == {
        path.relative_to(folder).as_posix() for path in mine
    }
    assert expected.items() <= found.items()


def test_a_build_after_it_makes_the_same_bytes(world: World) -> None:
    """Nothing that a build needs went with the rest."""
    before = world.archives_built()
    assert world.run("cleanup", VERSION).status == 0
    assert world.run("build", VERSION, "--all-platforms", "--locked", "--offline").status == 0
    assert world.archives_built() == before
