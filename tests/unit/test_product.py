"""The product's own workspace: sound, by the published schema, and its small tools do what they say."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from pyrunenv.checks import check_workspace
from pyrunenv.config.json_schema import config_schema
from pyrunenv.config.workspace import load_workspace
from pyrunenv.lock.run import Target, check
from pyrunenv.platforms import PLATFORMS

ROOT = Path(__file__).parents[2]
CONFIGS = [ROOT / "shared-config.json", *sorted(ROOT.glob("python-*/config.json"))]
TOOLS = ROOT / "python-3.12.10-atls"


def test_it_is_without_a_finding() -> None:
    """Neither an error nor a warning."""
    assert [str(finding) for finding in check_workspace(ROOT)] == []
    assert len(load_workspace(ROOT).environments) >= 4


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name + "/" + path.name)
def test_configs_name_the_schema_and_obey_it(path: Path) -> None:
    """So that an editor completes and explains keys."""
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (path.parent / document["$schema"]).resolve() == ROOT / "docs" / "config.schema.json"
    jsonschema.Draft202012Validator(config_schema()).validate(document)


def test_the_catalogue_names_each_environment_at_its_version() -> None:
    """What stands in a package.json and not in the catalogue is published and never found."""
    catalogue = json.loads((ROOT / "catalogue" / "package.json").read_text(encoding="utf-8"))
    packages = [json.loads(p.read_text(encoding="utf-8")) for p in ROOT.glob("python-*/package.json")]
    assert catalogue["dependencies"] == {package["name"]: package["version"] for package in packages}
    assert set(catalogue["block-software"]["entrypoints"]) == {
        folder.name.removeprefix("python-") for folder in ROOT.glob("python-*")
    }


def test_every_target_has_a_current_lock() -> None:
    """And what it leaves out, it leaves out with a reason, and nothing is missing."""
    targets = [Target(e, p) for e in load_workspace(ROOT).environments for p in e.platforms()]
    assert [str(error) for error in check(targets)] == []
    locks = [lock for target in targets if (lock := target.read_lock())]
    assert len(locks) == len(targets) >= 17
    assert all(lock.missing == () and all(lock.skipped.values()) for lock in locks)


@pytest.mark.parametrize("platform", ["linux-x64", "macosx-aarch64"])
def test_what_is_copied_is_there_and_runs(platform: str) -> None:
    """Each tool that lands in bin/ is executable; cuda-check goes to Linux alone."""
    (atls,) = [e for e in load_workspace(ROOT).environments if e.full_version == "3.12.10-atls"]
    copied = {item.to: TOOLS / item.source for item in atls.target(PLATFORMS[platform]).copy_files}
    tools = [*copied["bin"].iterdir(), *([copied["bin/cuda-check"]] if "bin/cuda-check" in copied else [])]
    assert {tool.name for tool in tools} == {"fasta-stats", *(["cuda-check"] if platform == "linux-x64" else [])}
    assert all(tool.stat().st_mode & 0o111 for tool in tools)
    assert (copied["{site-packages}"] / "fastatools" / "__init__.py").is_file()


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A folder like a bundle's: the tool in bin/ beside a python that finds the module."""
    place = tmp_path / "moved here"
    (place / "bin").mkdir(parents=True)
    for tool in ("bin/fasta-stats", "linux/cuda-check"):
        shutil.copy2(TOOLS / tool, place / "bin")
    python = place / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{TOOLS / "site-packages"}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return place


@pytest.mark.skipif(sys.platform == "win32", reason="the environment is not made for Windows")
def test_fasta_stats_runs_with_the_python_beside_it(environment: Path) -> None:
    """From any folder, with files plain, gzipped and on standard input; what cannot be read is told and the rest done."""
    text = ">a first\nACDE\nFG--\n\n>b\nAC\n"
    (environment / "plain.fasta").write_text(text)
    (environment / "zipped.fasta.gz").write_bytes(gzip.compress(text.encode()))
    (environment / "wrong.txt").write_text("hello\n")
    words = [environment / "bin" / "fasta-stats", "plain.fasta", "zipped.fasta.gz", "wrong.txt", "-"]
    done = subprocess.run(words, cwd=environment, capture_output=True, text=True, input="")
    assert done.stdout.splitlines() == [
        "file,sequences,residues,shortest,longest,gaps",
        "plain.fasta,2,10,2,8,2",
        "zipped.fasta.gz,2,10,2,8,2",
        "-,0,0,0,0,0",
    ]
    assert done.stderr == "fasta-stats: wrong.txt: line 1: a sequence before the first `>`\n"
    assert done.returncode == 1
    assert subprocess.run([words[0], "--version"], capture_output=True, text=True).stdout == "fasta-stats 1.0.0\n"
    assert "usage: fasta-stats" in subprocess.run([words[0], "--help"], capture_output=True, text=True).stdout


def cuda_check(environment: Path, *words: str | Path) -> tuple[int, str]:
    """Run cuda-check; returns its exit status and all that it prints."""
    done = subprocess.run([environment / "bin" / "cuda-check", *words], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="cuda-check is for Linux")
def test_cuda_check_says_why_there_is_no_driver(environment: Path, tmp_path: Path) -> None:
    """No such file, and a library that is no driver; it has --help and --version too."""
    status, said = cuda_check(environment, "--library", tmp_path / "libcuda.so.1")
    assert status == 1
    assert said.startswith("cuda-check: there is no NVIDIA driver: ")
    status, said = cuda_check(environment, "--library", "libc.so.6")
    assert status == 1
    assert "undefined symbol: cuDriverGetVersion" in said
    assert cuda_check(environment, "--version") == (0, "cuda-check 1.0.0\n")
    status, said = cuda_check(environment, "--help")
    assert status == 0
    assert "whether this machine's NVIDIA driver can run PyTorch's CUDA" in " ".join(said.split())


@pytest.mark.skipif(sys.platform != "linux", reason="cuda-check is for Linux")
@pytest.mark.parametrize(
    ("version", "init", "devices", "status", "said"),
    [
        (12040, 0, 2, 0, "CUDA 12.4, 2 GPUs\n"),
        (13000, 0, 1, 0, "CUDA 13.0, 1 GPU\n"),
        (12080, 0, 0, 1, "CUDA 12.8, 0 GPUs\n"),
        (12060, 100, 1, 1, "cuda-check: the driver has CUDA 12.6, but fails with error 100\n"),
        (11080, 0, 1, 1, "cuda-check: the driver has CUDA 11.8, and 12.0 is the least that will do\n"),
    ],
)
def test_cuda_check_reads_the_driver(
    environment: Path, tmp_path: Path, version: int, init: int, devices: int, status: int, said: str
) -> None:
    """Its calls are those of CUDA's driver API; a Python that has such a driver runs the tool."""
    (tmp_path / "sitecustomize.py").write_text(
        "import ctypes\n"
        "class Driver:\n"
        "    def __init__(self, name): assert name == 'libcuda.so.1'\n"
        f"    def cuDriverGetVersion(self, out): out._obj.value = {version}; return 0\n"
        f"    def cuInit(self, flags): return {init}\n"
        f"    def cuDeviceGetCount(self, out): out._obj.value = {devices}; return 0\n"
        "ctypes.CDLL = Driver\n"
    )
    python = environment / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n')
    assert cuda_check(environment) == (status, said)
