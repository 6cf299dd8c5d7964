"""Options of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pyrunenv import secrets

if TYPE_CHECKING:
    from support.storages import S3


@pytest.fixture(autouse=True)
def _no_secret_stays() -> Iterator[None]:
    """What one test registers is not masked in the next."""
    before = set(secrets._known)
    yield
    secrets._known.clear()
    secrets._known.update(before)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server, one for all tests of a process."""
    from support.storages import s3_server

    with s3_server() as server:
        yield server


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--stress``: the long forms of the tests in ``tests/stress``."""
    parser.addoption("--stress", action="store_true", help="run the long forms of the stress tests")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test with a ``seed`` argument and the mark ``seeds(short, long)`` that many seeds."""
    mark = metafunc.definition.get_closest_marker("seeds")
    if mark is not None:
        short, long = mark.args
        metafunc.parametrize("seed", range(long if metafunc.config.getoption("--stress") else short))
