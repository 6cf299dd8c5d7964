"""What the registries have of a name, asked by pyrunenv itself: for what may be built, and for advice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.faults import CutAfter, Fault, Status
from support.index import IndexServer
from support.wheels import make_sdist, make_wheel

from pyrunenv.config.schema import Registries
from pyrunenv.errors import ResolverFailed
from pyrunenv.lock.catalogue import offer, project_files
from pyrunenv.lock.gate import Gate
from pyrunenv.lock.model import Floors
from pyrunenv.lock.resolver import Resolver
from pyrunenv.platforms import PLATFORMS

PAGE = "/simple/one/"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[IndexServer, IndexServer]]:
    """Two registries; each has a source of `one`."""
    for name, version in (("first", "1.0"), ("second", "2.0")):
        (tmp_path / name).mkdir()
        make_sdist(tmp_path / name, "one", version)
    with IndexServer(tmp_path / "first") as first, IndexServer(tmp_path / "second") as second:
        yield first, second


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that does not wait before it asks again."""
    with Gate(backoff=0.0) as made:
        yield made


def resolver(
    gate: Gate, folder: Path, *servers: IndexServer, strategy: str = "best-match", key: str = "linux-x64"
) -> Resolver:
    """What asks these registries, the first being the default one."""
    registries = Registries.model_validate(
        {"default": servers[0].url, "additional": [{"url": s.url} for s in servers[1:]], "strategy": strategy}
    )
    passage = gate.passage(registries) if len(servers) > 1 else None
    return Resolver(PLATFORMS[key], "3.12.10", Floors("2.28", "13.0"), registries, folder, passage=passage, gate=gate)


@pytest.mark.parametrize("fault", [Status(503, {"Retry-After": "0"}), CutAfter(10)])
def test_a_hiccup_of_the_only_registry_hides_no_source(
    servers: tuple[IndexServer, IndexServer], gate: Gate, tmp_path: Path, fault: Fault
) -> None:
    """One failed request is made again: else a lock would say that there is nothing to build from."""
    servers[0].fault(PAGE, fault)
    found = project_files("one", resolver(gate, tmp_path, servers[0]))
    assert [(url, file.filename) for url, file in found] == [(servers[0].url, "one-1.0.tar.gz")]


def test_a_registry_that_stays_silent_is_an_error_and_no_advice(
    servers: tuple[IndexServer, IndexServer], gate: Gate, tmp_path: Path
) -> None:
    """What it has is unknown, not absent; the search for a near version only goes without."""
    servers[0].fault(PAGE, Status(503, {"Retry-After": "0"}), forever=True)
    asking = resolver(gate, tmp_path, servers[0])
    with pytest.raises(ResolverFailed, match=f"the registry {servers[0].url} does not answer") as raised:
        project_files("one", asking)
    assert raised.value.notes == (
        f"asked for {servers[0].url}/one/ (3 times): the server replied 503 Service Unavailable",
    )
    assert offer("one", asking).with_sdist == ()


def test_a_name_that_is_not_there_is_no_failure(
    servers: tuple[IndexServer, IndexServer], gate: Gate, tmp_path: Path
) -> None:
    """A 404 is an answer."""
    assert project_files("two", resolver(gate, tmp_path, servers[0])) == []


def test_targets_of_one_run_share_a_page(servers: tuple[IndexServer, IndexServer], gate: Gate, tmp_path: Path) -> None:
    """All five ask at once, the registry is asked once."""
    with ThreadPoolExecutor(5) as pool:
        ask = [resolver(gate, tmp_path, servers[0], key=key) for key in PLATFORMS]
        assert [len(found) for found in pool.map(lambda r: project_files("one", r), ask)] == [1] * 5
    assert servers[0].counts(PAGE)[PAGE] == 1


@pytest.mark.parametrize(("strategy", "expected"), [("best-match", ["1.0", "2.0"]), ("first-index", ["1.0"])])
def test_sources_come_from_where_the_strategy_lets_them(
    servers: tuple[IndexServer, IndexServer], gate: Gate, tmp_path: Path, strategy: str, expected: list[str]
) -> None:
    """Under first-index a later registry offers no source of a name that an earlier one has."""
    found = project_files("one", resolver(gate, tmp_path, *servers, strategy=strategy))
    assert [file.version for _, file in found] == expected


def test_a_page_that_left_memory_is_asked_for_again(
    servers: tuple[IndexServer, IndexServer], gate: Gate, tmp_path: Path
) -> None:
    """And a registry that went silent in between is named, without a trace of Python."""
    make_wheel(servers[0].folder, "one", "1.0")
    gate._room = 0
    asking = resolver(gate, tmp_path, servers[0])
    assert len(project_files("one", asking)) == 2
    assert len(project_files("one", asking)) == 2
    servers[0].fault(PAGE, Status(500), forever=True)
    with pytest.raises(ResolverFailed, match="does not answer"):
        project_files("one", asking)
