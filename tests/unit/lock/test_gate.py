"""The gate's rules and addresses, without a server."""

from __future__ import annotations

import pytest

from pyrunenv.config.schema import Registries, Registry
from pyrunenv.lock.gate import HOST, Gate, Passage, entrances_of, file_address, file_url, needs_gate

PUBLIC, LAB, OTHER = "https://public.test/simple", "https://lab.test/simple", "https://other.test/simple"


def registries(*additional: Registry, strategy: str = "best-match") -> Registries:
    return Registries.model_validate({"default": PUBLIC, "additional": additional, "strategy": strategy})


def serving(found: Registries, name: str) -> list[str]:
    return [entrance.url for entrance in entrances_of(found) if entrance.serves(name)]


def test_who_may_serve_what() -> None:
    """A registry with `packages` serves those and nothing else; nobody else serves them; names compare normalised."""
    found = registries(Registry(url=LAB, packages=("Lab_Tools", "shared")), Registry(url=OTHER, packages=("shared",)))
    assert serving(found, "lab-tools") == [LAB]
    assert serving(found, "shared") == [LAB, OTHER]
    assert serving(found, "numpy") == [PUBLIC]
    assert serving(registries(Registry(url=OTHER)), "numpy") == [PUBLIC, OTHER]


def test_the_default_registry_may_be_listed_again() -> None:
    """With its own names it serves all the same, and nobody else serves those."""
    found = registries(Registry(url=PUBLIC, packages=("numpy",)), Registry(url=OTHER))
    assert serving(found, "numpy") == [PUBLIC]
    assert serving(found, "pandas") == [PUBLIC, OTHER]


def test_one_registry_needs_no_gate() -> None:
    """The resolver alone can do it, at its own speed."""
    assert not needs_gate(registries())
    assert not needs_gate(registries(Registry(url=PUBLIC)))
    assert needs_gate(registries(Registry(url=OTHER)))
    assert needs_gate(registries(Registry(url=LAB, packages=("x",))))


@pytest.mark.parametrize(
    "url",
    ["https://h.test/a/b-1.0%2Bcpu.whl", "http://h.test:8080/x.whl?token=1", "file:///data/x%20y.whl",
     "https://h.test/x.whl#sha256=12"],
)  # fmt: skip
def test_files_come_back_under_their_own_url(url: str) -> None:
    """What the gate makes of a file's URL can be undone, in a text too."""
    assert file_url(file_address(url)) == url
    assert file_url(url) is None
    assert Passage(Gate(), ()).real(f'url = "{file_address(url)}" }}') == f'url = "{url}" }}'


def test_addresses_change_with_the_rules_and_with_nothing_else() -> None:
    """So the resolver's cache is never used under other rules, and is used again under the same."""
    plain, pinned = registries(Registry(url=LAB)), registries(Registry(url=LAB, packages=("x",)))
    with Gate() as one, Gate() as two:
        assert one.passage(plain).indexes == two.passage(plain).indexes
        assert one.passage(plain).indexes != one.passage(pinned).indexes
        assert all(HOST in address for _, address in one.passage(plain).indexes)
        login = registries(Registry(url="https://user:secret-word@lab.test/simple"))
        assert one.passage(login).indexes == one.passage(plain).indexes


def test_the_proxy_for_plain_http_is_replaced_and_no_other() -> None:
    """Unless the host wants none at all, which would pass the gate by."""
    with Gate() as gate:
        gate.passage(registries(Registry(url=LAB)))
        kept = {"HTTPS_PROXY": "http://p.test", "NO_PROXY": "10.0.0.1", "A": "b"}
        assert gate.variables({**kept, "HTTP_PROXY": "http://p.test"}) == {**kept, "http_proxy": gate.proxy}
        assert gate.variables({**kept, "no_proxy": "*"}) == {"A": "b", "http_proxy": gate.proxy}
