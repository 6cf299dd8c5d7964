"""A lock walked from its roots."""

from __future__ import annotations

from pyrunenv.lock.graph import Graph
from pyrunenv.lock.model import Floors, Lock, LockedInterpreter, LockedPackage, LockedRoot, LockedWheel


def package(spec: str, *needs: str, groups: tuple[str, ...] = ("g1",)) -> LockedPackage:
    name, _, version = spec.partition(" ")
    pairs = tuple((n, v) for n, _, v in (need.partition(" ") for need in needs))
    return LockedPackage(name, version, LockedWheel(f"{name}.whl", "u", "0"), dependencies=pairs, groups=groups)


def root(requirement: str, *groups: str, no_deps: bool = False) -> LockedRoot:
    return LockedRoot(requirement, requirement.partition("==")[0], groups or ("g1",), no_deps=no_deps)


def graph(roots: list[LockedRoot], *packages: LockedPackage) -> Graph:
    return Graph(
        Lock(
            "3.12.10", "linux-x64", "3.12.10", "d", {}, Floors("2.28", "13.0"), LockedInterpreter("local", "3.12.10"),
            groups=("g1", "g2"), packages=packages, roots=tuple(roots),
        )
    )  # fmt: skip


def ways(made: Graph, name: str) -> list[list[str]]:
    return [[f"{p.name} {p.version}" for p in chain.packages] for chain in made.chains(name)]


def test_the_shortest_way_from_each_root_direct_ones_first() -> None:
    """Roots that do not need it have none."""
    made = graph(
        [root("far==1"), root("near==1"), root("c==1"), root("other==1")],
        package("far 1", "a 1", "c 1"), package("a 1", "b 1"), package("b 1", "c 1"), package("near 1", "b 1"),
        package("c 1"), package("other 1"),
    )  # fmt: skip
    assert ways(made, "c") == [["c 1"], ["far 1", "c 1"], ["near 1", "b 1", "c 1"]]
    assert ways(made, "nonesuch") == []


def test_each_group_has_its_own_version() -> None:
    """A way stays in one group; a root that is in both reaches both versions."""
    both = ("g1", "g2")
    made = graph(
        [root("x==1", *both), root("old==1", "g1"), root("new==1", "g2")],
        package("x 1", "n 1", "n 2", groups=both), package("n 1"), package("n 2", groups=("g2",)),
        package("old 1", "n 1"), package("new 1", "n 2", groups=("g2",)),
    )  # fmt: skip
    assert ways(made, "n") == [["x 1", "n 1"], ["x 1", "n 2"], ["old 1", "n 1"], ["new 1", "n 2"]]
    assert [p.version for p in made.needs(made.lock.packages[0], "g2")] == ["2"]


def test_a_ring_ends() -> None:
    """Packages may need each other."""
    made = graph([root("a==1")], package("a 1", "b 1"), package("b 1", "a 1", "c 1"), package("c 1", "b 1"))
    assert ways(made, "c") == [["a 1", "b 1", "c 1"]]
    assert ways(made, "a") == [["a 1"]]


def test_a_root_without_its_needs_brings_nothing_in() -> None:
    """`noDeps` roots come alone, whatever their metadata asks for."""
    made = graph([root("a==1", no_deps=True), root("b==1")], package("a 1", "c 1"), package("b 1"), package("c 1"))
    assert ways(made, "c") == []
