"""Lock, download, assemble and pack for five platforms from one host, against downloading and hashing the same files.

Caches are empty at the start of each round, interpreter archives are made for it. The peer fetches the same URLs with
16 connections and computes each sha256. Bars: lock to assembled bundles at most 1.5 times the peer, with packing at most
2.5 times. Also: a second run with nothing to do, in seconds of wall time, against its bar of one second.

An ext4 without a journal is slow to make files for five minutes after many others were deleted: then wait so long.

    python -m benchmarks.five_platforms [--rounds N]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.interpreters import make_interpreter_archives
from support.workspaces import make_workspace

ROOTS = ["polars-lts-cpu==1.33.1", "numpy==2.2.6", "scipy==1.15.3", "pyarrow==21.0.0", "biopython==1.87"]
SKIP = {"biopython": {"macosx-x64": "1.87 has no wheel for macOS on x86_64"}}
PLATFORMS = ("linux-x64", "linux-aarch64", "macosx-x64", "macosx-aarch64", "windows-x64")
VERSION = "3.12.10"
BARS = {"assembled": 1.5, "packed": 2.5}


def workspace(folder: Path, archives: dict[str, tuple[Path, str]]) -> Path:
    shared = {
        "registries": {"default": "https://pypi.org/simple"},
        "python": {
            "source": "archive",
            "archives": {key: {"url": path.as_uri(), "sha256": sha} for key, (path, sha) in archives.items()},
        },
    }
    return make_workspace(folder, shared, {VERSION: {"packages": {"dependencies": ROOTS, "skip": SKIP}}})


def build(root: Path, cache: Path) -> dict[str, float]:
    """Build everything; returns seconds to the last assembled bundle, to the last archive, and the peak memory in MB."""
    environment = {**os.environ, "PYRUNENV_CACHE": str(cache)}
    started = time.monotonic()
    command = [sys.executable, "-m", "pyrunenv", "build", "--all-platforms", "-C", str(root)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    assembled = started
    bundles = {root / f"python-{VERSION}" / "pydist" / key for key in PLATFORMS}
    while process.poll() is None:
        if bundles:
            bundles = {bundle for bundle in bundles if not bundle.exists()}
            assembled = time.monotonic()
        time.sleep(0.01)
    if process.returncode:
        sys.exit(f"the build failed with exit status {process.returncode}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"assembled": assembled - started, "packed": time.monotonic() - started, "peak": peak}


def files_of(root: Path) -> list[tuple[str, str]]:
    import tomllib

    files: dict[str, str] = {}
    for path in sorted((root / f"python-{VERSION}").glob("pylock.*.toml")):
        for package in tomllib.loads(path.read_text(encoding="utf-8"))["packages"]:
            files[package["wheels"][0]["url"]] = package["wheels"][0]["hashes"]["sha256"]
    return sorted(files.items())


def download(files: list[tuple[str, str]], folder: Path) -> tuple[float, int]:
    """The peer: fetch and hash with 16 connections; returns seconds and bytes."""
    import requests

    session = requests.Session()
    session.mount("https://", requests.adapters.HTTPAdapter(pool_connections=16, pool_maxsize=16))

    def fetch(item: tuple[str, str]) -> int:
        url, sha256 = item
        digest, count = hashlib.sha256(), 0
        with session.get(url, stream=True) as response, (folder / sha256).open("wb") as out:
            response.raise_for_status()
            while chunk := response.raw.read(1 << 20):
                digest.update(chunk)
                out.write(chunk)
                count += len(chunk)
        if digest.hexdigest() != sha256:
            sys.exit(f"{url} has another digest")
        return count

    started = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        total = sum(pool.map(fetch, files))
    return time.monotonic() - started, total


def settle() -> None:
    """Let both sides begin alike: nothing is written back at their expense, and the machine has had a rest."""
    os.sync()
    time.sleep(5)


def second_run(root: Path, cache: Path) -> float:
    environment = {**os.environ, "PYRUNENV_CACHE": str(cache)}
    command = [sys.executable, "-m", "pyrunenv", "build", "--all-platforms", "-q", "-C", str(root)]
    times = []
    for _ in range(5):
        started = time.monotonic()
        subprocess.run(command, env=environment, check=True)
        times.append(time.monotonic() - started)
    return statistics.median(times)


def one_round(scratch: Path, number: int) -> tuple[dict[str, float], float]:
    """Build with empty caches, then let the peer download; returns our figures and the peer's seconds."""
    archives = make_interpreter_archives(scratch / "interpreters", VERSION, platforms=PLATFORMS)
    root = workspace(scratch / "workspace", archives)
    (scratch / "peer").mkdir()
    settle()
    ours = build(root, scratch / "cache")
    settle()
    peer, total = download(files_of(root), scratch / "peer")
    print(
        f"round {number + 1}: {total / 1e6:.0f} MB in {peer:.1f} s by the peer; "
        f"assembled after {ours['assembled']:.1f} s, packed after {ours['packed']:.1f} s, "
        f"peak memory {ours['peak']:.0f} MB",
        flush=True,
    )
    return ours, peer


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    args = parser.parse_args()
    ratios: dict[str, list[float]] = {name: [] for name in BARS}
    figures: dict[str, float] = {}
    # Rounds stay on disk until the end: right after many files were removed, some file systems are slow to make new ones.
    with tempfile.TemporaryDirectory(prefix="pyrunenv-bench-") as folder:
        for number in range(args.rounds):
            ours, peer = one_round(Path(folder, str(number)), number)
            for name in ratios:
                ratios[name].append(ours[name] / peer)
            figures["peak memory"] = max(ours["peak"], figures.get("peak memory", 0.0))
        last = Path(folder, str(args.rounds - 1))
        figures["second run"] = second_run(last / "workspace", last / "cache")
    for name, values in ratios.items():
        figures[name] = statistics.median(values)
        print(f"{name:12} {figures[name]:6.2f} x the peer (median; bar {BARS[name]} x)")
    print(f"second run   {figures['second run']:6.2f} s (median of 5; bar 1 s)")
    print(f"peak memory  {figures['peak memory']:6.0f} MB (bar 400 MB)")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    kept = all(figures[name] <= bar for name, bar in BARS.items())
    return 0 if kept and figures["second run"] < 1 and figures["peak memory"] < 400 else 1


if __name__ == "__main__":
    sys.exit(main())
