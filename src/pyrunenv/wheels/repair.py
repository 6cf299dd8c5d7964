"""Takes libraries that a build made, and left where it made them, into the wheel that needs them.

repairwheel does it for all platforms on any host, as auditwheel, delocate and delvewheel do on their own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path, PurePosixPath

from pyrunenv import process
from pyrunenv.wheels.inspect import inspect


def repair(made: Path, tree: Path, out: Path) -> Path:
    """Return the wheel with what it lacks and ``tree`` has; ``made`` itself where that is nothing.

    Raises WheelError for what is no wheel, and ProcessFailed where a library cannot be taken in.
    """
    lacking = {PurePosixPath(library).name for file in inspect(made).native for library in file.missing}
    folders = [Path(place) for place, _, names in os.walk(tree) if not lacking.isdisjoint(names)]
    if not folders:
        return made
    words = [word for folder in folders for word in ("--lib-dir", str(folder))]
    process.run([sys.executable, "-m", "repairwheel", made, "--output-dir", out, "--no-sys-paths", *words])
    return next(out.glob("*.whl"))
