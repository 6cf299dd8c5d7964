"""Run every benchmark in turn: ``python -m benchmarks``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    status = 0
    for script in sorted(HERE.glob("[a-z]*.py")):
        print(f"\n== {script.stem}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{script.stem}"], cwd=HERE.parent)
        status = max(status, done.returncode)
    return status


if __name__ == "__main__":
    sys.exit(main())
