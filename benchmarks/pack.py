"""Packing against ``tar | gzip -9`` of the same tree, in one run: time and size.

    python benchmarks/pack.py [FOLDER] [--wheels FOLDER] [--megabytes 200] [--jobs N] [--rounds 3]

Without FOLDER the tree is the standard library and the native modules of the Python that runs this, and with --wheels
up to --megabytes of the wheels in that folder. The bars: at least 8 times as fast, at most 2 % larger.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyrunenv.bundle.pack import pack

BARS = (8.0, 0.02)
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "test", "tests", "idlelib", "site-packages", "dist-packages", "config-*", "*.a"
)


def make_tree(root: Path, wheels: Path | None, megabytes: int) -> Path:
    """Put together a bundle-like tree: this interpreter without what bundles leave out, and wheels."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(stdlib, root / "lib" / stdlib.name, symlinks=True, ignore=LEFT_OUT, ignore_dangling_symlinks=True)
    (root / "bin").mkdir()
    shutil.copy(Path(sys.executable).resolve(), root / "bin" / "python3")
    packages = root / "packages"
    packages.mkdir()
    left = megabytes * 1_000_000
    for wheel in sorted(wheels.glob("*.whl")) if wheels else []:
        if wheel.stat().st_size <= left:
            shutil.copyfile(wheel, packages / wheel.name)
            left -= wheel.stat().st_size
    return root


def fastest(rounds: int, action: Callable[[], object]) -> float:
    """Return the least of several durations, in seconds."""
    durations = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        durations.append(time.perf_counter() - started)
    return min(durations)


def compare(tree: Path, scratch: Path, jobs: int, rounds: int) -> bool:
    """Print both results; returns whether the bars are kept."""
    ours, theirs = scratch / "ours.tgz", scratch / "theirs.tgz"
    command = 'tar -C "$1" -cf - . | gzip -9 > "$2"'
    peer = fastest(min(rounds, 2), lambda: subprocess.run(["sh", "-c", command, "sh", tree, theirs], check=True))
    own = fastest(rounds, lambda: pack(tree, ours, mtime=0, jobs=jobs))
    sizes = ours.stat().st_size, theirs.stat().st_size
    ratio, larger = peer / own, sizes[0] / sizes[1] - 1
    print(f"{'tar | gzip -9':16}{peer:8.2f} s {sizes[1]:>14,} bytes")
    print(f"{'pyrunenv':16}{own:8.2f} s {sizes[0]:>14,} bytes  ({jobs} jobs)")
    print(f"{'ratio':16}{ratio:8.1f} x {larger:>+13.2%}  (bars: {BARS[0]:.0f} x, {BARS[1]:+.0%})")
    return ratio >= BARS[0] and larger <= BARS[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="a bundle; without it one is made")
    parser.add_argument("--wheels", type=Path, help="take wheels from this folder for the bundle that is made")
    parser.add_argument("--megabytes", type=int, default=200, help="of wheels, at most")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        tree = args.folder or make_tree(scratch / "tree", args.wheels, args.megabytes)
        return 0 if compare(tree, scratch, args.jobs, args.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
