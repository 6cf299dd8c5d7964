"""What is read out of uv's answers, and what is said to it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyrunenv import process
from pyrunenv.config.schema import Registries
from pyrunenv.errors import ResolverFailed
from pyrunenv.lock.answers import Refusal, read_edges, read_reason
from pyrunenv.lock.model import Floors
from pyrunenv.lock.resolver import Resolver, uv_platform
from pyrunenv.platforms import PLATFORMS

NO_WHEEL = """error: No solution found when resolving dependencies
  cause: Because biopython==1.87 has no usable wheels and you require biopython==1.87, we can conclude that your requirements are unsatisfiable.

hint: Wheels are required for `biopython` because building from source is disabled for all packages (i.e., with `--no-build`)
"""


def test_a_refusal_keeps_the_reason_and_drops_the_frame() -> None:
    """The sentence a person reads is uv's own, on one line, without the hint and the heading."""
    refusal = Refusal(read_reason(NO_WHEEL))
    assert refusal.sentence.startswith("Because biopython==1.87 has no usable wheels")
    assert "hint" not in refusal.sentence
    assert "\n" not in refusal.sentence
    assert refusal.without_wheel == ("biopython",)


def test_a_conflict_names_nothing_that_lacks_a_wheel() -> None:
    """Two ranges that exclude each other are not a missing wheel."""
    text = "error: No solution found when resolving dependencies\n  cause: Because tensorflow==2.19.0 depends on numpy<2.2.0"
    assert Refusal(read_reason(text)).without_wheel == ()


def test_edges_are_read_from_the_annotated_requirements() -> None:
    """Who needs a package and which registry served it, for plain, several, extra and direct entries."""
    edges = read_edges(
        "a==1\n    # via -r roots.in\n    # from https://x.test/simple\n"
        "b-c==2\n    # via\n    #   -r roots.in\n    #   a\n    #   D.e[extra]\n    # from https://y.test/simple\n"
        "d-e @ https://x.test/d_e-1-py3-none-any.whl\n    # via -r roots.in\n"
    )
    assert edges.needed_by == {"a": (), "b-c": ("a", "d-e"), "d-e": ()}
    assert edges.index == {"a": "https://x.test/simple", "b-c": "https://y.test/simple"}


@pytest.mark.parametrize(
    ("key", "glibc", "expected"),
    [
        ("linux-x64", "2.28", "x86_64-manylinux_2_28"),
        ("linux-aarch64", "2.30", "aarch64-manylinux_2_28"),
        ("linux-x64", "2.17", "x86_64-manylinux_2_17"),
        ("linux-x64", "2.99", "x86_64-manylinux_2_40"),
        ("macosx-aarch64", "2.28", "aarch64-apple-darwin"),
        ("windows-x64", "2.28", "x86_64-pc-windows-msvc"),
    ],
)
def test_a_target_has_the_resolvers_name(key: str, glibc: str, expected: str) -> None:
    """A floor that the resolver does not know is rounded down: a wheel too many would not load."""
    assert uv_platform(PLATFORMS[key], Floors(glibc, "13.0")) == expected


def test_a_floor_below_every_manylinux_is_refused() -> None:
    """No wheel exists for glibc 2.5 that the resolver could pick."""
    with pytest.raises(ResolverFailed, match=r"2\.5"):
        uv_platform(PLATFORMS["linux-x64"], Floors("2.5", "13.0"))


def test_one_run_goes_ahead_where_the_cache_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first fills uv's cache, also where it fails in the end; then the others run side by side."""
    under_way: list[int] = []
    at_once: list[int] = []
    others = threading.Barrier(3, timeout=20)

    def run(*_: object, **__: object) -> process.Completed:
        under_way.append(1)
        at_once.append(len(under_way))
        if len(at_once) > 1:
            others.wait()
        (tmp_path / "cache/uv").mkdir(parents=True, exist_ok=True)
        under_way.pop()
        return process.Completed(1, "", "error: none of your business")

    monkeypatch.setattr(process, "run", run)
    resolver = Resolver(PLATFORMS["linux-x64"], "3.12.10", Floors("2.28", "13.0"), Registries(), tmp_path / "cache/uv")
    with ThreadPoolExecutor(4) as threads:
        failures = [threads.submit(resolver.resolve, ["numpy"]) for _ in range(4)]
    assert {type(future.exception()) for future in failures} == {ResolverFailed}
    assert at_once[0] == 1
    assert max(at_once) == 3
