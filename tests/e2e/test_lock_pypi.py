"""Locks of real packages from PyPI: the lists that the bars name, and pip as a reader of what was locked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections import Counter
from pathlib import Path

import pytest
from support.locks import LINUX, held, versions
from support.product import VERSION, Result
from support.wheels import make_wheel
from support.workspaces import ALL_PLATFORMS, make_workspace

from pyrunenv.lock import pylock
from pyrunenv.lock.model import Lock

pytestmark = [pytest.mark.network, pytest.mark.slow]

PINNED = ["numpy==2.2.6", "tensorflow==2.19.0", "tf-keras==2.19.0", "scanpy", "scikit-learn", "pandas"]
FURTHER = [
    "matplotlib", "seaborn", "statsmodels", "networkx", "biopython", "requests", "pyyaml", "jinja2", "click", "tqdm",
    "polars-lts-cpu", "pyarrow", "anndata", "umap-learn", "h5py",
]  # fmt: skip
DATE = "2025-07-15"
"""PyPI as it was then: what these lists come to does not change."""
FIVE = ["polars-lts-cpu==1.33.1", "numpy==2.2.6", "scipy==1.15.3", "pyarrow==21.0.0", "biopython==1.87"]


class Workspace:
    """One environment that takes everything from PyPI."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache

    def configure(self, roots: list[str], **packages: object) -> None:
        config = {"packages": {"dependencies": roots, **packages}}
        make_workspace(self.folder, {}, {VERSION: config})

    def lock(self, *words: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "pyrunenv", "lock", *words], cwd=self.folder, capture_output=True, text=True,
            env={**os.environ, "PYRUNENV_CACHE": str(self.cache)},
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    def read(self, platform: str) -> Lock:
        found = pylock.read(self.folder / f"python-{VERSION}", platform)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for this module."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def workspace(tmp_path: Path, cache: Path) -> Workspace:
    """An empty workspace."""
    return Workspace(tmp_path / "workspace", cache)


def test_numpy_before_tensorflow_makes_two_groups(workspace: Workspace) -> None:
    """Group 1 evicts exactly tensorflow and tf-keras; group 2 holds all that fits; only what must differ does."""
    workspace.configure([*PINNED, *FURTHER])
    result = workspace.lock("--platform", LINUX, "--exclude-newer", DATE)
    assert result.status == 0, result.stderr
    lock = workspace.read(LINUX)
    assert lock.groups == ("group-1", "group-2")
    groups = {root.requirement: root.groups for root in lock.roots}
    assert {r for r, g in groups.items() if "group-1" not in g} == {"tensorflow==2.19.0", "tf-keras==2.19.0"}
    assert {r for r, g in groups.items() if "group-2" not in g} == {"numpy==2.2.6"}
    tensorflow = next(root for root in lock.roots if root.name == "tensorflow")
    assert "numpy" in tensorflow.evictions[0].reason
    twice = {name for name, count in Counter(p.name for p in lock.packages).items() if count > 1}
    assert twice == {"numpy"}
    assert held(lock, "group-2")["numpy"] < "2.2"
    assert {p.index for p in lock.packages} == {"https://pypi.org/simple"}
    assert all(p.wheel.size and p.wheel.upload_time for p in lock.packages)


def test_five_roots_fail_where_one_has_no_wheel_and_pass_with_the_suggested_skip(workspace: Workspace) -> None:
    """biopython 1.87 on macosx-x64 is said to be missing; the printed entry helps; the sizes are the joint resolution's."""
    policy = {"resolution": {"onlyBinaryList": ["biopython"]}}
    workspace.configure(FIVE, **policy)
    result = workspace.lock()
    assert result.status == 4
    assert "error[missing-packages]: 1 root cannot be had" in result.stderr
    assert f"{VERSION} on macosx-x64: `biopython==1.87`: no wheel of 1.87 fits; policy forbids" in result.stderr
    skip = json.loads("{" + result.stderr[result.stderr.index('"skip": {\n') :] + "}")
    workspace.configure(FIVE, **policy, **skip)
    again = workspace.lock()
    assert again.status == 0, again.stderr
    total = 0
    for platform in ALL_PLATFORMS:
        lock = workspace.read(platform)
        assert versions(lock)["numpy"] == "2.2.6"
        assert ("biopython" in versions(lock)) == (platform != "macosx-x64")
        total += sum(p.file.size or 0 for p in lock.packages)
    assert 630e6 < total < 650e6


def test_what_has_no_wheel_on_one_platform_is_locked_to_be_built_there(workspace: Workspace) -> None:
    """biopython 1.87 on macosx-x64: its source, and the build requirements, with their digests; a wheel elsewhere."""
    workspace.configure(["biopython==1.87"])
    assert workspace.lock().status == 0
    for platform in ALL_PLATFORMS:
        package = next(p for p in workspace.read(platform).packages if p.name == "biopython")
        assert (package.wheel is None) == (platform == "macosx-x64")
        if package.source is not None:
            assert package.build is not None
            assert package.source.filename == "biopython-1.87.tar.gz"
            assert "setuptools" in {wheel.filename.partition("-")[0] for wheel in package.build.requires}


@pytest.mark.skipif(sys.platform != "linux", reason="installs what was locked for linux-x64")
def test_pip_installs_each_group(tmp_path: Path) -> None:
    """A pip that reads pylock files installs a group and nothing else."""
    from support.locks import lock_world

    venv.create(tmp_path / "pip", with_pip=True)
    python = tmp_path / "pip" / "bin" / "python"
    env = {k: v for k, v in os.environ.items() if not k.startswith("PIP_") or k == "PIP_CERT"}
    subprocess.run([python, "-m", "pip", "install", "-q", "pip>=26.1"], check=True, env=env)
    with lock_world(tmp_path / "world") as world:
        for version in ("1.0", "2.0"):
            make_wheel(world.public.folder, "base", version)
        make_wheel(world.public.folder, "new", "1.0", requires=["base>=2"])
        make_wheel(world.public.folder, "old", "1.0", requires=["base<2"])
        make_wheel(world.public.folder, "free", "1.0")
        world.configure("new", "old", "free")
        lock = world.lock()
        written = world.world.environment_folder() / f"pylock.{LINUX}.toml"
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        path = tmp_path / written.name
        path.write_text(written.read_text(encoding="utf-8").replace('"==3.12.*"', f'"=={here}.*"'), encoding="utf-8")
        for group in lock.groups:
            target = tmp_path / group
            words = ["install", "-q", "--target", str(target), "--group", f"{path}:{group}"]
            done = subprocess.run([python, "-m", "pip", *words], env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            found = (p.name.removesuffix(".dist-info").split("-") for p in target.glob("*.dist-info"))
            assert dict(found) == held(lock, group)
