"""Archives that no well-meaning program writes."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

TarMember = tuple[str, bytes | str, bytes]
"""A name, content or a link's target, and tar's type."""
ZipMember = tuple[str, bytes, int]
"""A name, content, and a Unix mode."""


def add_to_zip(path: Path, *members: ZipMember) -> Path:
    """Add members to a zip, which is made where there is none, whatever zipfile thinks of their names."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.filename = info.orig_filename = name
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


def add_to_tar(tar: tarfile.TarFile, *members: TarMember) -> None:
    """Add members to an open tar."""
    for name, content, kind in members:
        info = tarfile.TarInfo(name)
        info.type = kind
        if isinstance(content, str):
            info.linkname = content
            tar.addfile(info)
        else:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
