"""Bundles appear whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.bundles import FakeCache, FakeInterpreter, interpreter_tar
from support.wheels import zip_bytes

from pyrunenv.bundle.assemble import assemble
from pyrunenv.bundle.copyfiles import PlannedCopy
from pyrunenv.bundle.listing import Listing, scan
from pyrunenv.errors import AssembleError, UnsafeArchive

WHEEL = "six-1.17.0-py2.py3-none-any.whl"
A_WHEEL = zip_bytes({"six.py": b""})
Assemble = Callable[..., Listing]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "python-3.12.10" / "pydist" / "linux-x64"


@pytest.fixture
def interpreter(tmp_path: Path) -> FakeInterpreter:
    return interpreter_tar(tmp_path / "interpreter.tar")


@pytest.fixture
def make(target: Path, interpreter: FakeInterpreter) -> Assemble:
    def run(
        wheels: tuple[tuple[str, str], ...] = (), copies: tuple[PlannedCopy, ...] = (), cache: FakeCache | None = None
    ) -> Listing:
        cache = cache or FakeCache({"aa": A_WHEEL, "bb": zip_bytes({"b.py": b""})})
        return assemble(target, interpreter=interpreter, wheels=wheels, cache=cache, copies=copies)

    return run


def copy_of(tmp_path: Path, destination: str, content: str = "new\n", *, executable: bool = False) -> PlannedCopy:
    source = tmp_path / f"source-{abs(hash((destination, content)))}"
    source.write_text(content)
    return PlannedCopy(source, destination, executable)


def beside(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()} - {".linux-x64.lock"}


def test_a_bundle_holds_interpreter_wheels_and_copies(make: Assemble, target: Path, tmp_path: Path) -> None:
    """All three are there with their run bits, and the listing is what lies on disk."""
    copies = (copy_of(tmp_path, "bin/tool", executable=True), copy_of(tmp_path, "lib/python3.12/site-packages/x.py"))
    listing = make(((WHEEL, "aa"),), copies)
    assert (target / "packages" / WHEEL).read_bytes() == A_WHEEL
    assert os.access(target / "bin/tool", os.X_OK)
    assert not (target / "lib/python3.12/site-packages/x.py").stat().st_mode & 0o111
    assert (target / "bin/python").readlink() == Path("python3.12")
    assert listing == scan(target)
    assert listing.differs(target) is None
    assert beside(target) == {"linux-x64"}


def test_packages_exists_without_a_dependency(make: Assemble, target: Path) -> None:
    """The Backend passes the folder to pip in any case."""
    make()
    assert list((target / "packages").iterdir()) == []


def test_a_new_bundle_replaces_the_old_one_whole(make: Assemble, target: Path) -> None:
    """Nothing of the bundle that was there survives, not even what a user added."""
    make(((WHEEL, "aa"),))
    (target / "added.txt").touch()
    make()
    assert not (target / "added.txt").exists()
    assert not (target / "packages" / WHEEL).exists()
    assert beside(target) == {"linux-x64"}


def test_a_failure_leaves_the_old_bundle(make: Assemble, target: Path) -> None:
    """A wheel that is not in the cache ends the work, and not the bundle that was there."""
    before = make(((WHEEL, "aa"),))
    with pytest.raises(KeyError):
        make(((WHEEL, "lost"),))
    assert before.differs(target) is None
    assert beside(target) == {"linux-x64"}


def test_two_wheels_for_one_name(make: Assemble, target: Path) -> None:
    """Equal ones are one, different ones an error with both digests."""
    make(((WHEEL, "aa"), (WHEEL, "aa")))
    with pytest.raises(AssembleError, match="cannot lie in one folder") as caught:
        make(((WHEEL, "aa"), (WHEEL, "bb")))
    assert caught.value.notes == (f"{WHEEL} is there with sha256 aa and with bb",)


@pytest.mark.parametrize("name", ["../x.whl", "a\\b.whl", "six-1.17.0.tar.gz"])
def test_only_wheels_get_into_packages(make: Assemble, name: str) -> None:
    """A name that would lie elsewhere, or an sdist, is refused."""
    with pytest.raises(AssembleError) as caught:
        make(((name, "aa"),))
    assert caught.value.notes == (f"`{name}` is not the name of a wheel",)


@pytest.mark.parametrize(
    ("destination", "problem"),
    [
        ("lib/python3.12/os.py", "is a file of the interpreter, with other content or another run bit"),
        ("lib/python3.12/OS.py", "and the interpreter's lib/python3.12/os.py are one path where case does not count"),
        ("Lib/x.py", "and the interpreter's lib are one path where case does not count"),
        ("lib64/x.py", "goes through the interpreter's link lib64"),
        ("bin/python", "goes through the interpreter's link bin/python"),
        ("bin", "is a folder of the interpreter; end it with / to copy into that"),
        ("bin/python3.12/x", "needs a folder where the interpreter has the file bin/python3.12"),
    ],
)
def test_the_interpreter_s_files_stay(
    make: Assemble, target: Path, tmp_path: Path, destination: str, problem: str
) -> None:
    """A copy that would replace, shadow or go through something of the interpreter is an error, and nothing is made."""
    with pytest.raises(AssembleError, match="would replace the interpreter's") as caught:
        make(copies=(copy_of(tmp_path, "fine.txt"), copy_of(tmp_path, destination)))
    assert caught.value.notes == (f"{destination} {problem}",)
    assert beside(target) == set()


def test_an_equal_file_is_no_obstacle(make: Assemble, target: Path, tmp_path: Path) -> None:
    """The same bytes with the same run bit may be copied; with another run bit they may not."""
    make(copies=(copy_of(tmp_path, "lib/python3.12/os.py", "name = 'posix'\n"),))
    assert (target / "lib/python3.12/os.py").read_text() == "name = 'posix'\n"
    with pytest.raises(AssembleError):
        make(copies=(copy_of(tmp_path, "lib/python3.12/os.py", "name = 'posix'\n", executable=True),))


def test_what_a_dead_process_left_is_removed(make: Assemble, target: Path) -> None:
    """Half a bundle and an old one that was moved aside go at the next run; another platform's stay."""
    for name in (".linux-x64.0123.tmp/bin", ".linux-x64.4567.old.tmp/bin", ".linux-aarch64.0123.tmp/bin"):
        (target.parent / name).mkdir(parents=True)
    make()
    assert beside(target) == {"linux-x64", ".linux-aarch64.0123.tmp"}


def test_several_at_once_end_in_one_whole_bundle(make: Assemble, target: Path) -> None:
    """Four threads that make one bundle do not disturb each other."""
    with ThreadPoolExecutor(4) as pool:
        listings = [f.result() for f in [pool.submit(make, ((WHEEL, "aa"),)) for _ in range(8)]]
    assert sum(listing.differs(target) is None for listing in listings) >= 1
    assert beside(target) == {"linux-x64"}


def test_a_folder_that_cannot_be_written(make: Assemble, target: Path) -> None:
    """The system's reason stands in our words."""
    target.parent.parent.mkdir(parents=True)
    target.parent.write_text("a file where the folder must be")
    with pytest.raises(AssembleError, match=re.escape("cannot put pydist/linux-x64 together")):
        make()


def test_a_wheel_that_reaches_outside_is_refused(tmp_path: Path) -> None:
    """The wheel and the member are named, the old bundle stays, and nothing of the new one does."""
    interpreter = interpreter_tar(tmp_path / "interpreter.tar")
    target = tmp_path / "pydist" / "linux-x64"
    assemble(target, interpreter=interpreter, wheels=[], cache=FakeCache(), copies=())
    before = sorted(target.rglob("*"))
    cache = FakeCache({"evil": zip_bytes({"../out": b"x"})})
    for _ in range(2):
        with pytest.raises(UnsafeArchive, match=r"six-1.*\.whl was refused because of its member `\.\./out`") as caught:
            assemble(target, interpreter=interpreter, wheels=[(WHEEL, "evil")], cache=cache, copies=())
        assert "skip" in (caught.value.hint or "")
    assert sorted(target.rglob("*")) == before
    assert [path.name for path in target.parent.iterdir() if not path.name.endswith(".lock")] == ["linux-x64"]
