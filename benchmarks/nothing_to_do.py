"""A run with nothing to do, over many environments: seconds of wall time, and whether it grows linearly.

A small workspace is built once from a local index and test-made interpreters (1400 files a bundle). Bars: 12 environments
for 5 platforms under 1 second; the figure for 200 is extrapolated from the growth between 12 and 36, bar 6 seconds.

    python -m benchmarks.nothing_to_do [--environments 12 36] [--small]

``--small`` makes bundles of a few files, so that 200 environments can really be built: `--small --environments 12 200`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.product import World, make_world

CONFIG = {"packages": {"dependencies": ["native", "chain", "pure==2.0"]}}


def measure(world: World, count: int) -> float:
    """The median of five runs over the first ``count`` environments, in seconds."""
    names = [f"3.12.10-v{number:03}" for number in range(count)]
    times = []
    for _ in range(5):
        started = time.monotonic()
        result = world.run("build", *names, "--all-platforms")
        times.append(time.monotonic() - started)
        if result.stdout.count("up to date") != 5 * count:
            sys.exit(f"something was built:\n{result.stdout}{result.stderr}")
    return statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--environments", type=int, nargs=2, default=(12, 36), metavar=("FEW", "MANY"))
    parser.add_argument("--small", action="store_true", help="bundles of a few files")
    args = parser.parse_args()
    few, many = args.environments
    with tempfile.TemporaryDirectory(prefix="pyrunenv-bench-") as name:
        environments = {f"3.12.10-v{number:03}": CONFIG for number in range(many)}
        with make_world(Path(name) / "world", environments, small=args.small) as world:
            world.run("build", "--all-platforms", "--quiet")
            small, large = measure(world, few), measure(world, many)
    each = (large - small) / (many - few)
    extrapolated = large + each * (200 - many)
    print(f"{few:4} x 5 targets  {small:5.2f} s (bar 1 s for 12)")
    print(f"{many:4} x 5 targets  {large:5.2f} s: {each * 1000:.1f} ms an environment more")
    print(f" 200 x 5 targets  {extrapolated:5.2f} s, extrapolated (bar 6 s)")
    return 0 if small < 1 and extrapolated < 6 else 1


if __name__ == "__main__":
    sys.exit(main())
