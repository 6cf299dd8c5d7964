"""What changed between two locks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pyrunenv.lock.difference import differences
from pyrunenv.lock.model import Floors, Lock, LockedInterpreter, LockedPackage, LockedWheel


def lock(platform: str, *packages: tuple[str, str, int], digest: str = "0") -> Lock:
    return Lock(
        "3.12.10", platform, "3.12.10", "d", {}, Floors("2.28", "13.0"), LockedInterpreter("local", "3.12.10"),
        packages=tuple(LockedPackage(n, v, LockedWheel(f"{n}.whl", "u", digest, size)) for n, v, size in packages),
    )  # fmt: skip


def locked(before: Lock | None, after: Lock, made: bool = True) -> Any:
    environment = SimpleNamespace(full_version=after.environment)
    return SimpleNamespace(target=SimpleNamespace(environment=environment), lock=after, previous=before, made=made)


def test_equal_moves_share_a_row_and_others_have_their_own() -> None:
    """Bytes stand under each platform where exactly this happened; a name in two versions is one row."""
    (found,) = differences(
        [
            locked(lock("a", ("x", "1", 10), ("y", "1", 5)), lock("a", ("x", "2", 15), ("y", "1", 5))),
            locked(lock("b", ("x", "1", 10)), lock("b", ("x", "2", 30), ("z", "1", 7), ("z", "2", 8))),
            locked(lock("c", ("x", "1", 10)), lock("c")),
        ]
    )
    assert [(c.name, c.before, c.after, dict(c.bytes)) for c in found.changes] == [
        ("x", ("1",), (), {"c": -10}),
        ("x", ("1",), ("2",), {"a": 5, "b": 20}),
        ("z", (), ("1", "2"), {"b": 15}),
    ]
    assert found.bytes == {"a": 5, "b": 35, "c": -10}


def test_nothing_to_tell() -> None:
    """A first lock, a current one, and one that came out the same have no difference."""
    one = lock("a", ("x", "1", 10))
    assert differences([locked(None, one), locked(lock("a"), one, made=False), locked(one, one)]) == []


def test_another_file_of_one_version_is_a_change() -> None:
    """The digest tells, even where name, version and size are equal."""
    (found,) = differences([locked(lock("a", ("x", "1", 10)), lock("a", ("x", "1", 10), digest="1"))])
    assert [(c.before, c.after) for c in found.changes] == [(("1",), ("1",))]
