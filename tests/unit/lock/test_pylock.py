"""Locks as PEP 751 files."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from pyrunenv.errors import LockFormat
from pyrunenv.lock import pylock
from pyrunenv.lock.model import (
    Eviction,
    Floors,
    Lock,
    LockedInterpreter,
    LockedPackage,
    LockedRoot,
    LockedWheel,
    MissingRoot,
)


def wheel(name: str, version: str = "1", **more: object) -> LockedWheel:
    filename = f"{name}-{version}-py3-none-any.whl"
    return LockedWheel(filename, f"https://x.test/{filename}", "ab" * 32, **more)  # type: ignore[arg-type]


def make_lock(**changes: object) -> Lock:
    values: dict[str, object] = {
        "environment": "3.12.10-x",
        "platform": "linux-x64",
        "python_version": "3.12.10",
        "digest": "d" * 64,
        "inputs": {"requirements": "0123", "skip": "4567"},
        "floors": Floors("2.28", "13.0"),
        "interpreter": LockedInterpreter("standalone", "3.12.10", "20250529", "https://x.test/p.tgz", "cd" * 32),
        "groups": ("group-1", "group-2"),
        "packages": (
            LockedPackage("a", "1", wheel("a", size=5, upload_time="2025-01-02T03:04:05Z"), "https://x.test/simple",
                          (("b", "1"), ("b", "2")), ("group-1", "group-2")),
            LockedPackage("b", "1", wheel("b"), "https://x.test/simple", (), ("group-1",)),
            LockedPackage("b", "2", wheel("b", "2"), None, (), ("group-2",)),
            LockedPackage("c", "1", wheel("c", size=9), None, (), ("group-2",), direct=True),
        ),
        "roots": (
            LockedRoot("a", "a", ("group-1", "group-2")),
            LockedRoot("b==2", "b", ("group-2",), (Eviction("group-1", 'because "b==1"\nand more'),)),
            LockedRoot("c @ https://x.test/c", "c", ("group-2",), (), True, True),
        ),
        "skipped": {"z": "no wheel"},
        "missing": (MissingRoot("y==1", "y", "no registry has it"),),
    }  # fmt: skip
    return Lock(**{**values, **changes})  # type: ignore[arg-type]


def test_a_lock_survives_the_file() -> None:
    """What is written is read back equal, strange texts included."""
    lock = make_lock()
    assert pylock.parse(pylock.render(lock), Path("pylock.linux-x64.toml")) == lock


def test_an_empty_lock_survives_the_file() -> None:
    """An environment without packages has a lock too."""
    lock = make_lock(groups=(), packages=(), roots=(), skipped={}, missing=())
    assert pylock.parse(pylock.render(lock), Path("x")) == lock
    Pylock.from_dict(tomllib.loads(pylock.render(lock)))


def test_packaging_accepts_the_file_and_selects_one_group() -> None:
    """The file is valid by PEP 751, and each group selects its own versions alone, by default the first group's."""
    document = Pylock.from_dict(tomllib.loads(pylock.render(make_lock())))
    environment = {"sys_platform": "linux", "platform_machine": "x86_64", "python_full_version": "3.12.10",
                   "python_version": "3.12", "os_name": "posix", "platform_system": "Linux",
                   "platform_python_implementation": "CPython", "implementation_name": "cpython",
                   "platform_release": "", "platform_version": "", "implementation_version": "3.12.10"}  # fmt: skip

    def chosen(groups: list[str] | None) -> set[str]:
        picked = document.select(environment=environment, dependency_groups=groups)  # type: ignore[arg-type]
        return {f"{package.name}=={package.version}" for package, _ in picked}

    assert chosen(None) == {"a==1", "b==1"}
    assert chosen(["group-1"]) == {"a==1", "b==1"}
    assert chosen(["group-2"]) == {"a==1", "b==2", "c==1"}


def test_rendering_is_stable() -> None:
    """The same lock is the same text, whatever was rendered before."""
    assert pylock.render(make_lock()) == pylock.render(make_lock())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not toml at all [", "cannot be read as a lock"),
        ('lock-version = "1.0"\n', "no key 'tool'"),
        ("[tool.pyrunenv]\nformat = 99\n", "has the format 99"),
    ],
)
def test_a_file_that_is_no_lock_is_named(text: str, said: str) -> None:
    """A damaged or foreign file is an error that names the file and the way out."""
    with pytest.raises(LockFormat) as failure:
        pylock.parse(text, Path("python-1/pylock.linux-x64.toml"))
    shown = "\n".join([failure.value.message, *failure.value.notes])
    assert said in shown
    assert "python-1/pylock.linux-x64.toml" in shown
    assert "pyrunenv lock" in str(failure.value.hint)


def test_a_merge_conflict_in_a_lock_is_an_error(tmp_path: Path) -> None:
    """Conflict marks that version control left are not read as a lock."""
    path = pylock.lock_path(tmp_path, "linux-x64")
    path.write_text("<<<<<<< ours\n" + pylock.render(make_lock()), encoding="utf-8")
    with pytest.raises(LockFormat):
        pylock.read(tmp_path, "linux-x64")
    assert pylock.read(tmp_path, "macosx-x64") is None
