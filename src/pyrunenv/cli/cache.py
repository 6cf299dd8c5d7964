"""``pyrunenv cache``."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console, set_verbosity
from pyrunenv.cli.shape import App
from pyrunenv.errors import UsageError
from pyrunenv.units import size

app = App(help="Look after the download cache of this machine.", epilog="Example: pyrunenv cache info")

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


@app.add("info", "Show where it lies and what it holds.", "cache info")
def info() -> int:
    """Show where the cache lies and what it holds."""
    from pyrunenv.fetch.cache import Cache

    console = Console()
    cache = Cache.from_environment()
    found = cache.info()
    console.result(str(cache.root))
    rows = [(kind, str(held.count), size(held.bytes)) for kind, held in found.kinds.items()]
    console.table(("kind", "entries", "size"), rows, right=(1, 2))
    return 0


@app.add("verify", "Read every entry, remove the damaged.", "cache verify")
def verify(quiet: options.Quiet = False) -> int:
    """Read every entry; remove the damaged ones, name them, and exit 1 where there were any."""
    from pyrunenv.fetch.cache import Cache

    set_verbosity(0, quiet)
    console = Console()
    damaged = Cache.from_environment().verify()
    for path in damaged:
        console.warn(f"{path} was damaged, and is removed; it is downloaded again when it is needed")
    if not damaged:
        console.note("every entry is whole")
    return 1 if damaged else 0


@app.add("prune", "Remove what is not needed.", "cache prune --max-size 20GB")
def prune(
    max_size: Annotated[
        str | None, typer.Option("--max-size", metavar="SIZE", help="Keep at most this much, as 20GB or 500MiB.")
    ] = None,
    quiet: options.Quiet = False,
) -> int:
    """Remove what dead processes left, and with --max-size the least recently used entries."""
    from pyrunenv.fetch.cache import Cache

    set_verbosity(0, quiet)
    removed = Cache.from_environment().prune(None if max_size is None else parse_size(max_size))
    Console().note(f"removed {size(removed)}")
    return 0


def parse_size(text: str) -> int:
    """Return a number of bytes from ``20GB``, ``1.5 GiB`` or ``1000000``; raises UsageError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", text.lower())
    if match is None or match[2] not in _UNITS:
        raise UsageError(f"`{text}` is not a size", hint="write 500MB, 20GB or 1.5GiB")
    return int(float(match[1]) * _UNITS[match[2]])
