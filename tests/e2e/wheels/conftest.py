"""What tests of wheels for the five platforms share: it takes half a minute to make."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.places import Archives
from support.targets import target_archives


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ``runner`` keeps the Pythons of the platforms."""
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="session")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """Python's full version, and an interpreter archive with headers a platform: path and sha256."""
    return target_archives(tmp_path_factory.mktemp("targets"))


@pytest.fixture(scope="session")
def zig_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What zig compiles of its own libraries, once a platform, for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "zig"
    folder.mkdir(exist_ok=True)
    return folder
