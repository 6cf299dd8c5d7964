"""Options of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyrunenv import secrets


@pytest.fixture(autouse=True)
def _no_secret_stays() -> Iterator[None]:
    """What one test registers is not masked in the next."""
    before = set(secrets._known)
    yield
    secrets._known.clear()
    secrets._known.update(before)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--stress``: the long forms of the tests in ``tests/stress``."""
    parser.addoption("--stress", action="store_true", help="run the long forms of the stress tests")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test with a ``seed`` argument and the mark ``seeds(short, long)`` that many seeds."""
    mark = metafunc.definition.get_closest_marker("seeds")
    if mark is not None:
        short, long = mark.args
        metafunc.parametrize("seed", range(long if metafunc.config.getoption("--stress") else short))
