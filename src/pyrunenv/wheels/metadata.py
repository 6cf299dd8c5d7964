"""A wheel's METADATA (https://packaging.python.org/specifications/core-metadata/)."""

from __future__ import annotations

import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path


def read_metadata(wheel: Path) -> Message:
    """Return the headers of a wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
        # UTF-8 by the standard, which the parser of bytes does not take
        return Parser().parsestr(archive.read(name).decode("utf-8", "replace"), headersonly=True)
