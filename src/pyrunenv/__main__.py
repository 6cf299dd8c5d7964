"""The program: ``pyrunenv`` and ``python -m pyrunenv``."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line and exit with its status."""
    # Nearly all that is made stays: looking for what does not takes a tenth of the start, at Python's own threshold.
    gc.set_threshold(50_000)
    from pyrunenv.cli import run

    status = run(sys.argv[1:])
    gc.freeze()  # all that is left goes with the process: to look for garbage in it would take 50 ms more
    sys.exit(status)


if __name__ == "__main__":
    main()
