"""Relocking: what stays, what moves, as of when, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.locks import LINUX, LockWorld, entry, lock_world, versions
from support.product import VERSION
from support.wheels import make_wheel


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LockWorld]:
    """Two packages, locked, and newer versions that came since."""
    with lock_world(tmp_path) as made:
        for name in ("a", "b"):
            make_wheel(made.public.folder, name, "1.0")
        make_wheel(made.public.folder, "c", "1.0", requires=["b"])
        made.configure("a", "c")
        made.lock(platforms=(LINUX, "macosx-x64"))
        for name in ("a", "b"):
            make_wheel(made.public.folder, name, "2.0", files={f"{name}.py": "x = 1\n" * 1000})
        yield made


def test_versions_stay_until_they_are_told_to_move(world: LockWorld) -> None:
    """A current lock is left alone; a new root moves nothing; --upgrade-package moves one, --upgrade all."""
    assert versions(world.lock()) == {"a": "1.0", "b": "1.0", "c": "1.0"}
    make_wheel(world.public.folder, "d", "1.0", requires=["a", "b"])
    world.configure("a", "c", "d")
    assert versions(world.lock()) == {"a": "1.0", "b": "1.0", "c": "1.0", "d": "1.0"}
    assert versions(world.lock("--upgrade-package", "B")) == {"a": "1.0", "b": "2.0", "c": "1.0", "d": "1.0"}
    assert versions(world.lock("--upgrade")) == {"a": "2.0", "b": "2.0", "c": "1.0", "d": "1.0"}


def test_several_packages_may_be_named(world: LockWorld) -> None:
    """--upgrade-package is repeatable; a name that no lock has is an error and changes nothing."""
    before = world.document()
    unknown = world.run("--upgrade-package", "nonesuch", "--upgrade-package", "a")
    assert unknown.status == 2
    assert "nothing here is locked that is named `nonesuch`" in unknown.stderr
    assert world.document() == before
    moved = world.lock("--upgrade-package", "a", "--upgrade-package", "b")
    assert versions(moved) == {"a": "2.0", "b": "2.0", "c": "1.0"}


def test_the_difference_is_a_table(world: LockWorld) -> None:
    """Packages, versions before and after, growth on each platform, and in all; nothing where nothing changed."""
    make_wheel(world.public.folder, "new", "1.0")
    world.configure("a", "new")
    result = world.run("--upgrade", platforms=(LINUX, "macosx-x64"))
    lines = [line.split() for line in result.stdout.splitlines()]
    start = lines.index(["changed", "in", f"{VERSION}:"])
    assert lines[start + 1] == ["package", "before", "after", LINUX, "macosx-x64"]
    rows = {line[0]: line[1:] for line in lines[start + 2 :]}
    assert rows["a"][:2] == ["1.0", "2.0"]
    assert rows["b"][:2] == ["1.0", "-"]
    assert rows["b"][2].startswith("-")
    assert rows["new"][:2] == ["-", "1.0"]
    assert rows["new"][2].startswith("+")
    assert "in" in rows
    assert "changed in" not in world.run("--upgrade", platforms=(LINUX, "macosx-x64")).stdout


def test_a_file_that_was_replaced_under_its_version_is_a_change(world: LockWorld) -> None:
    """The same version with other bytes is in the table too."""
    make_wheel(world.public.folder, "a", "1.0", files={"a.py": "replaced = True\n"})
    world.configure("a==1.0", "c")
    rows = [line.split()[:3] for line in world.run().stdout.splitlines()]
    assert ["a", "1.0", "1.0"] in rows


TIMES = {
    "a-1.0-py3-none-any.whl": "2025-01-01T00:00:00Z",
    "a-2.0-py3-none-any.whl": "2025-06-30T23:59:59.5Z",
    "b-1.0-py3-none-any.whl": "2025-01-01T00:00:00.000001Z",
    "b-2.0-py3-none-any.whl": "2025-07-01T00:00:00Z",
    "c-1.0-py3-none-any.whl": "2025-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2025-06-30", {"a": "2.0", "b": "1.0", "c": "1.0"}),
        ("2025-06-30T12:00:00+02:00", {"a": "1.0", "b": "1.0", "c": "1.0"}),
        ("2025-07-01", {"a": "2.0", "b": "2.0", "c": "1.0"}),
    ],
)
def test_a_date_hides_what_came_later(world: LockWorld, date: str, expected: dict[str, str]) -> None:
    """A day includes itself (UTC), a time excludes itself; the lock says with which date it was made."""
    world.public.upload_times = TIMES
    lock = world.lock("--upgrade", "--exclude-newer", date)
    assert versions(lock) == expected
    assert lock.exclude_newer == date
    assert {p.index for p in lock.packages} == {world.public.url}
    assert entry(lock, "a").wheel.upload_time
    assert world.run("--check").status == 0


def test_a_date_holds_for_one_run(world: LockWorld) -> None:
    """A later lock without the option is not bound by it, and keeps the versions."""
    world.public.upload_times = TIMES
    world.lock("--upgrade", "--exclude-newer", "2025-03-01")
    make_wheel(world.public.folder, "e", "1.0", requires=["a"])
    world.configure("a", "c", "e")
    lock = world.lock()
    assert versions(lock)["a"] == "1.0"
    assert lock.exclude_newer is None
    assert versions(world.lock("--upgrade"))["a"] == "2.0"


def test_before_everything_there_is_nothing(world: LockWorld) -> None:
    """A date before the first upload is a root that cannot be had."""
    world.public.upload_times = TIMES
    assert world.run("--upgrade", "--exclude-newer", "2020-01-01").status == 4


def test_an_index_without_times_is_exempted_and_reported(world: LockWorld) -> None:
    """Nothing is hidden of it, and a warning names it once for all platforms."""
    result = world.run("--upgrade", "--exclude-newer", "2020-01-01", platforms=(LINUX, "macosx-x64"))
    assert result.status == 0
    assert versions(world.read())["a"] == "2.0"
    said = f"{world.public.url} does not say when its files were uploaded"
    assert result.stderr.count(said) == 1
    assert f"{VERSION} on {LINUX}, macosx-x64: " in result.stderr


@pytest.mark.parametrize("date", ["yesterday", "2025-13-01", "2025-01-01T00:00:00", ""])
def test_what_is_no_date_is_refused(world: LockWorld, date: str) -> None:
    """Words, impossible days, and times without a zone."""
    result = world.run("--exclude-newer", date)
    assert result.status == 2
    assert "is no date" in result.stderr


def test_check_takes_no_option_that_changes(world: LockWorld) -> None:
    """--check with --upgrade is a contradiction."""
    assert world.run("--check", "--upgrade").status == 2


def test_check_names_the_input(world: LockWorld) -> None:
    """The exit status is 1, and the message says which input changed since."""
    world.configure("a", "c", floors={"glibc": "2.31"})
    result = world.run("--check")
    assert result.status == 1
    assert "changed since: floor" in result.stderr
