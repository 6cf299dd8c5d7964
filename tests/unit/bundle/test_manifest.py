"""What a manifest tells, and what it must not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.bundles import FakeInterpreter

from pyrunenv.bundle import manifest
from pyrunenv.bundle.pack import Packed
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

PACKAGE = SimpleNamespace(name="@scope/env", version="1.2.3")
PACKED = Packed("c" * 64, 1000, "d" * 64, 3000)


def package(name: str, version: str, *needs: tuple[str, str], groups: tuple[str, ...] = ("group-1",)) -> LockedPackage:
    file = f"{name}-{version}-py3-none-any.whl"
    wheel = LockedWheel(file, f"https://files.example/{file}", (name + version).encode().hex().ljust(64, "0"), 10)
    return LockedPackage(name, version, wheel, "https://me:hunter2@pypi.example/simple", needs, groups)


LOCK = Lock(
    environment="3.12.10-demo",
    platform="linux-x64",
    python_version="3.12.10",
    digest="e" * 64,
    inputs={"requirements": "f" * 64, "floors": "0" * 64},
    floors=Floors("2.28", "13.0"),
    interpreter=LockedInterpreter(
        "standalone", "3.12.10", "20250529", "https://mirror.example/cpython.tar.gz", "1" * 64
    ),
    groups=("group-1", "group-2"),
    packages=(
        package("scanpy", "1.10", ("numba", "0.6"), ("numpy", "1.26"), ("numpy", "2.2"), groups=("group-1", "group-2")),
        package(
            "numba", "0.6", ("llvmlite", "0.4"), ("numpy", "1.26"), ("numpy", "2.2"), groups=("group-1", "group-2")
        ),
        package("llvmlite", "0.4", groups=("group-1", "group-2")),
        package("numpy", "2.2"),
        package("numpy", "1.26", groups=("group-2",)),
        package("tensorflow", "2.19", ("numpy", "1.26"), groups=("group-2",)),
        package("ring", "1", ("wheel", "1")),
        package("wheel", "1", ("ring", "1")),
        package("orphan", "1"),
    ),
    roots=(
        LockedRoot("numpy==2.2", "numpy", ("group-1",)),
        LockedRoot("scanpy", "scanpy", ("group-1", "group-2")),
        LockedRoot("tensorflow==2.19", "tensorflow", ("group-2",), (Eviction("group-1", "because of numpy"),)),
        LockedRoot("ring", "ring", ("group-1",)),
        LockedRoot("numba", "numba", ("group-1",), no_deps=True),
    ),
    skipped={"parasail": "no wheel for this platform"},
    missing=(MissingRoot("rpy2==3.6", "rpy2", "has no wheel"),),
)
SIZES = {p.wheel.filename: 10 + len(p.name) for p in LOCK.packages}


def build(lock: Lock = LOCK, **changes: Any) -> dict[str, Any]:
    interpreter = FakeInterpreter(Path("/nowhere"), url="https://mirror.example/cpython.tar.gz", sha256="1" * 64)
    return manifest.build(
        lock, PACKAGE, interpreter=changes.pop("interpreter", interpreter), copies_digest="9" * 64, packed=PACKED,
        wheel_sizes=SIZES, **changes,
    )  # fmt: skip


def wheel(document: dict[str, Any], name: str, version: str) -> dict[str, Any]:
    (found,) = [w for w in document["wheels"] if (w["name"], w["version"]) == (name, version)]
    return dict(found)


def test_a_wheel_tells_the_shortest_way_from_a_root() -> None:
    """Of several ways the shortest is told, with every root that pulls the wheel."""
    found = wheel(build(), "llvmlite", "0.4")
    assert found["why"] == ["scanpy", "scanpy 1.10", "numba 0.6", "llvmlite 0.4"]
    assert found["roots"] == ["scanpy"]
    assert found["size"] == SIZES["llvmlite-0.4-py3-none-any.whl"]


def test_a_root_s_own_way_is_itself() -> None:
    """A wheel that a root asks for by name is there for that root, however many others need it."""
    found = wheel(build(), "numpy", "2.2")
    assert found["why"] == ["numpy==2.2", "numpy 2.2"]
    assert found["roots"] == ["numpy==2.2", "scanpy"]


def test_ways_stay_in_the_groups_of_their_root() -> None:
    """numpy 1.26 is there for group 2: the root of group 1 that pins another numpy does not pull it."""
    assert wheel(build(), "numpy", "1.26")["roots"] == ["scanpy", "tensorflow==2.19"]


def test_circles_and_orphans() -> None:
    """Packages that need each other end, and what no root pulls says so with an empty way."""
    assert wheel(build(), "wheel", "1")["why"] == ["ring", "ring 1", "wheel 1"]
    assert wheel(build(), "orphan", "1")["why"] == []


def test_a_root_without_its_closure_pulls_itself_alone() -> None:
    """`noDeps` ends the way at the root."""
    assert wheel(build(), "numba", "0.6")["roots"] == ["scanpy", "numba"]
    assert "numba" not in wheel(build(), "llvmlite", "0.4")["roots"]


def test_what_is_not_there_has_its_reason() -> None:
    """Skipped and missing roots and evictions are told with their reasons."""
    document = build()
    assert document["skipped"] == {"parasail": "no wheel for this platform"}
    assert document["missing"] == [{"requirement": "rpy2==3.6", "name": "rpy2", "reason": "has no wheel"}]
    assert document["roots"][2]["evictions"] == [{"group": "group-1", "reason": "because of numpy"}]


def test_no_credentials_and_no_path_of_this_machine() -> None:
    """Passwords in index URLs are left out, and of a file URL all but the name."""
    lock = replace(LOCK, roots=(LockedRoot("x @ file:///home/me/x-1.whl ; python_version > '3'", "x", ("group-1",)),))
    interpreter = FakeInterpreter(Path("/home/me/interpreter.tar"), url="file:///home/me/cpython.tar.gz")
    text = json.dumps(build(lock, interpreter=interpreter))
    assert "hunter2" not in text
    assert "/home/me" not in text
    assert '"url": "file:cpython.tar.gz"' in text
    assert "x @ file:x-1.whl ; python_version > '3'" in text


def test_a_try_on_the_spot_can_never_be_published() -> None:
    """The interpreter's reason and the caller's both stand there; without any the archive may go out."""
    local = FakeInterpreter(Path("x"), source="local", version="3.12.1", publishable=False)
    document = build(interpreter=local, unpublishable=["the lock was stale"])
    assert document["publishable"] is False
    assert document["unpublishableBecause"] == [
        "the interpreter is a local CPython 3.12.1, made for a try on the spot", "the lock was stale",
    ]  # fmt: skip
    assert build()["publishable"] is True
    assert document["interpreter"]["build"] is None


@pytest.mark.parametrize("packed", [PACKED, Packed("c" * 64, 1000)])
def test_the_digests_of_the_archive(packed: Packed) -> None:
    """A gzipped tar tells the tar's digest as well, a zip has none."""
    document = manifest.build(
        LOCK, PACKAGE, interpreter=FakeInterpreter(Path("x")), copies_digest="", packed=packed, wheel_sizes=SIZES
    )
    assert document["archive"]["sha256"] == "c" * 64
    assert document["archive"].get("tar") == ({"sha256": "d" * 64, "size": 3000} if packed.tar_sha256 else None)


def test_write_takes_sizes_from_the_wheelhouse(tmp_path: Path) -> None:
    """The file lies where the platform's manifest belongs, with the sizes of the wheels on disk."""
    wheelhouse = tmp_path / "pydist/linux-x64/packages"
    wheelhouse.mkdir(parents=True)
    for item in LOCK.packages:
        (wheelhouse / item.wheel.filename).write_bytes(bytes(SIZES[item.wheel.filename]))
    path = manifest.write(
        tmp_path, LOCK, PACKAGE, interpreter=FakeInterpreter(Path("x")), copies_digest="9" * 64, packed=PACKED
    )
    assert path == tmp_path / "dist/manifest/linux-x64.json"
    assert wheel(json.loads(path.read_text()), "numpy", "2.2")["size"] == SIZES["numpy-2.2-py3-none-any.whl"]
    assert str(tmp_path) not in path.read_text()
