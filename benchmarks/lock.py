"""Locking 40 roots for five platforms, indexes warm, against the bare uv runs that it needs, side by side in one run.

The peer runs the very commands that a lock needs, taken down while one is made (a resolution and an annotated, offline
repetition for each platform), as many at once, on the same cache. Bar: at most 1.3 times the peer.

    python -m benchmarks.lock [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.workspaces import ALL_PLATFORMS, make_workspace

BAR = 1.3
VERSION = "3.12.10"
ROOTS = [
    "numpy==2.2.6", "pandas==2.2.3", "scipy==1.15.3", "scikit-learn==1.6.1", "polars-lts-cpu==1.33.1", "pyarrow==21.0.0",
    "matplotlib==3.10.3", "seaborn==0.13.2", "networkx==3.5", "statsmodels==0.14.4", "anndata==0.11.4", "h5py==3.13.0",
    "umap-learn==0.5.7", "requests==2.32.3", "pyyaml==6.0.2", "jinja2==3.1.6", "click==8.2.1", "tqdm==4.67.1",
    "rich==14.0.0", "pydantic==2.11.5", "pillow==11.2.1", "lxml==5.4.0", "sqlalchemy==2.0.41", "aiohttp==3.12.4",
    "httpx==0.28.1", "fastapi==0.115.12", "joblib==1.5.1", "dask==2025.5.1", "numba==0.61.2", "psutil==7.0.0",
    "cryptography==45.0.3", "openpyxl==3.1.5", "xlsxwriter==3.2.2", "beautifulsoup4==4.13.4", "plotly==6.1.2",
    "sympy==1.14.0", "regex==2024.11.6", "orjson==3.10.18", "msgpack==1.1.0", "attrs==25.3.0",
]  # fmt: skip


def lock(root: Path, cache: Path, *words: str) -> tuple[float, str]:
    """Lock all platforms anew; returns seconds and what was said."""
    command = [sys.executable, "-m", "pyrunenv", "lock", "--upgrade", *words]
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=root, env={**os.environ, "PYRUNENV_CACHE": str(cache)}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    return time.monotonic() - started, done.stderr


def commands(said: str) -> list[list[list[str]]]:
    """The uv runs of a lock, in their order, for each platform."""
    by_target: dict[str, list[list[str]]] = {}
    for line in re.findall(r"ran (.*) \(exit status 0, [\d.]+ s\)", said):
        words = shlex.split(line)
        if "compile" in words:
            by_target.setdefault(words[words.index("--python-platform") + 1], []).append(words)
    return list(by_target.values())


def bare(runs: list[list[list[str]]], folder: Path, cache: Path) -> float:
    """Run them without anything around them."""
    from pyrunenv.config.schema import Registries
    from pyrunenv.lock.model import Floors
    from pyrunenv.lock.resolver import Resolver
    from pyrunenv.platforms import PLATFORMS

    variables = Resolver(PLATFORMS["linux-x64"], VERSION, Floors("2.28", "13.0"), Registries(), cache / "uv")._variables

    def target(number: int) -> None:
        here = folder / str(number)
        here.mkdir()
        for words in runs[number]:
            moved = [
                str(here / Path(w).name) if "/" in w and Path(w).suffix in (".in", ".toml", ".txt") else w
                for w in words
            ]
            output = Path(moved[moved.index("--output-file") + 1])
            (here / "roots.in").write_text("\n".join(ROOTS), encoding="utf-8")
            pins = _pins(here / "pylock.toml") if output.suffix == ".txt" else ""
            (here / "constraints.in").write_text(pins, encoding="utf-8")
            subprocess.run(moved, env=variables, cwd=here, check=True, capture_output=True)

    started = time.monotonic()
    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(target, range(len(runs))))
    return time.monotonic() - started


def _pins(path: Path) -> str:
    import tomllib

    packages = tomllib.loads(path.read_text(encoding="utf-8"))["packages"]
    return "".join(f"{p['name']}==={p['version']}\n" for p in packages)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pyrunenv-bench-") as name:
        scratch = Path(name)
        cache = scratch / "cache"
        root = make_workspace(scratch / "workspace", {}, {VERSION: {"packages": {"dependencies": ROOTS}}})
        lock(root, cache)
        runs = commands(lock(root, cache, "-vv")[1])
        count = sum(map(len, runs))
        print(f"{len(ROOTS)} roots, {len(ALL_PLATFORMS)} platforms: {count} uv runs are needed")
        ours, peers = [], []
        for number in range(args.rounds):
            folder = scratch / f"bare-{number}"
            folder.mkdir()
            # Turn about, so that neither always comes after the other.
            if number % 2:
                peers.append(bare(runs, folder, cache))
                ours.append(lock(root, cache)[0])
            else:
                ours.append(lock(root, cache)[0])
                peers.append(bare(runs, folder, cache))
            print(f"round {number + 1}: lock {ours[-1]:.2f} s, bare uv {peers[-1]:.2f} s", flush=True)
    ratio = statistics.median(ours) / statistics.median(peers)
    print(f"lock         {ratio:6.2f} x bare uv (medians of {args.rounds}; bar {BAR} x)")
    if args.json:
        args.json.write_text(json.dumps({"lock": ratio}, indent=2) + "\n", encoding="utf-8")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
