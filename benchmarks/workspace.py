"""How fast one can look at a workspace: `config validate`, `list`, `config show`, `why`, `tree`.

A dozen environments, then 200, each for five platforms, with 30 roots, overrides, skips and copied files, and a lock of
some 140 packages (150 kB) for every target. Each command runs as a process of its own; the time of `pyrunenv --version` is
what starting costs. Bars: `config validate` of 200 environments under 2 s; the others under 0.6 s.

    python -m benchmarks.workspace [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.workspaces import ALL_PLATFORMS, make_workspace

from pyrunenv.config.workspace import load_workspace
from pyrunenv.lock import pylock
from pyrunenv.lock.inputs import combined
from pyrunenv.lock.run import Target

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "python-3.12.10"


def lay_out(root: Path, count: int) -> None:
    """Write a workspace; the locks are the product's own, under each environment's name and inputs."""
    names = [f"package-{number}" for number in range(30)]
    own = {
        "packages": {
            "dependencies": [f"{name}==1.{number}" for number, name in enumerate(names)],
            "overrides": {names[0]: "2.0"},
            "skip": {names[1]: {"windows-x64": "no wheel"}, "numcodecs": {"windows-x64": "no wheel"}},
            "copyFiles": [{"from": "files/motd.txt", "to": "share/motd.txt"}],
            "platformSpecific": {"linux-x64": {"dependencies": ["extra==1.0"]}},
        }
    }
    shared = {"packages": {"skip": {"zarr": {"windows-x64": "no wheel"}}}}
    make_workspace(root, shared, {f"3.12.10-v{number}": own for number in range(count)}, catalogue=True)
    locks = {key: pylock.read(SAMPLE, key) for key in ALL_PLATFORMS}
    for folder in root.glob("python-*"):
        (folder / "files").mkdir()
        (folder / "files" / "motd.txt").write_text("hello\n")
    rendered: dict[str, str] = {}
    for environment in load_workspace(root).environments:
        for platform in environment.platforms():
            lock = locks[platform.key]
            assert lock is not None
            if platform.key not in rendered:
                inputs = Target(environment, platform).inputs()
                rendered[platform.key] = pylock.render(replace(lock, digest=combined(inputs), inputs=inputs))
            pylock.lock_path(environment.folder, platform.key).write_text(rendered[platform.key], encoding="utf-8")


def seconds(root: Path, words: list[str], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "pyrunenv", *words], cwd=root, capture_output=True, text=True)
        taken.append(time.monotonic() - started)
        if done.returncode:
            sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return statistics.median(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    missed = 0
    one = "3.12.10-v3"
    commands = {
        "config validate": (["config", "validate"], {200: 2.0, 12: 0.6}),
        "list": (["list"], {12: 0.6}),
        "config show": (["config", "show", one], {12: 0.6, 200: 0.6}),
        "config show --explain": (["config", "show", one, "--explain", "--platform", "linux-x64"], {12: 0.6, 200: 0.6}),
        "why": (["why", "numcodecs", one], {12: 0.6, 200: 0.6}),
        "tree": (["tree", one], {12: 0.6, 200: 0.6}),
    }
    with tempfile.TemporaryDirectory(prefix="pyrunenv-bench-") as name:
        start = seconds(Path(name), ["--version"], rounds)
        print(f"--version: {start:.2f} s")
        for count in (12, 200):
            root = Path(name) / str(count)
            lay_out(root, count)
            for label, (words, bars) in commands.items():
                taken = seconds(root, words, rounds)
                bar = bars.get(count)
                missed += bar is not None and taken > bar
                print(f"{count:4} environments: {label:22} {taken:.2f} s" + (f" (bar {bar} s)" if bar else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
