"""An environment with freesasa and hdbscan built from source for five platforms, from an empty cache, against a native build.

The peer is what one would do by hand on a machine of one platform: `pip wheel --no-binary` of the same two packages, with
the system's compiler where there is one, else with zig, and without pip's cache. There is no bar: the ratio says what four
more platforms cost.

    python -m benchmarks.from_source [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.interpreters import archive_config
from support.targets import host_python, target_archives
from support.workspaces import make_workspace

ROOTS = ["freesasa==2.2.1", "hdbscan==0.8.44"]
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}


def ours(workspace: Path, version: str, cache: Path) -> tuple[float, str]:
    """Build all five platforms; returns seconds, and the steps' times as the log has them."""
    command = [sys.executable, "-m", "pyrunenv", "build", "--all-platforms", "-v"]
    started = time.monotonic()
    done = subprocess.run(
        command,
        cwd=workspace / f"python-{version}",
        env={**CLEAN, "PYRUNENV_CACHE": str(cache)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return time.monotonic() - started, "\n".join(line for line in done.stderr.splitlines() if "wheels took" in line)


def peer(folder: Path, python: Path) -> float:
    """Build the same two for this machine alone."""
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
    compilers: dict[str, str] = {}
    if shutil.which("cc") is None:
        import ziglang

        zig = Path(ziglang.__file__).parent / "zig"
        compilers = {"CC": f"{zig} cc", "CXX": f"{zig} c++", "ZIG_GLOBAL_CACHE_DIR": str(folder / "zig")}
    started = time.monotonic()
    command = [folder / "venv/bin/pip", "wheel", "--quiet", "--no-cache-dir", "--no-deps", "--no-binary", ":all:"]
    command[-1] = "freesasa,hdbscan"
    subprocess.run([*command, "--wheel-dir", folder / "wheels", *ROOTS], check=True, env={**CLEAN, **compilers})
    return time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    rounds = parser.parse_args().rounds
    times: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="pyrunenv-bench-") as name:
        scratch = Path(name)
        version, archives = target_archives(scratch / "archives")
        shared = {"python": {"source": "archive", "archives": archive_config(archives)}}
        policy = {"forceNoBinaryList": ["freesasa", "hdbscan"]}
        config = {"packages": {"dependencies": ROOTS, "resolution": policy}}
        for number in range(rounds):
            here = scratch / str(number)
            here.mkdir()
            make_workspace(here / "workspace", shared, {version: config})
            native = peer(here, host_python())
            mine, steps = ours(here / "workspace", version, here / "cache")
            times.append((mine, native))
            print(steps)
            print(f"round {number + 1}: five platforms {mine:.1f} s, `pip wheel` for one {native:.1f} s", flush=True)
    ratio = statistics.median(mine / native for mine, native in times)
    print(f"median: five platforms take {ratio:.2f} x what `pip wheel` takes for one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
