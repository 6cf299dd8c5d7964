"""A wheel's METADATA (https://packaging.python.org/specifications/core-metadata/)."""

from __future__ import annotations

import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path


def read_metadata(wheel: Path) -> Message:
    """Return the headers of a wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
        return BytesParser().parsebytes(archive.read(name), headersonly=True)
