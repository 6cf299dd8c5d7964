"""The tarball of an npm package: equal files give equal bytes on every machine.

Its members stand under ``package/``, all from 1985-10-26T08:15:00Z, as npm writes them
(https://github.com/npm/pacote#extracting-tarballs).
"""

from __future__ import annotations

import hashlib
import tempfile
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pyrunenv import ustar
from pyrunenv.archives import read_archive
from pyrunenv.bundle.pack import GZIP_HEADER
from pyrunenv.packing.deflate import END, crc32, deflater

MTIME = 499_162_500
_MODE = 0o644
_TOP = "package/"
_LARGEST = 1 << 30  # bytes of what is unpacked to be compared: far more than any package of descriptors


@dataclass(frozen=True)
class Tarball:
    """A package as it is published. ``manifest`` is its package.json as data, ``files`` its files by path."""

    name: str
    version: str
    manifest: Mapping[str, Any] = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @cached_property
    def content(self) -> bytes:
        """The tarball's bytes."""
        return pack(self.files)

    @cached_property
    def integrity(self) -> str:
        """The digest by which registries and clients know it (https://www.w3.org/TR/SRI/)."""
        return integrity(self.content)

    @property
    def shasum(self) -> str:
        """The digest for clients that know no other."""
        return hashlib.sha1(self.content, usedforsecurity=False).hexdigest()

    @property
    def file_name(self) -> str:
        """How ``npm pack`` names it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def unpacked_size(self) -> int:
        """Bytes of all its files."""
        return sum(map(len, self.files.values()))


def integrity(content: bytes, algorithm: str = "sha512") -> str:
    """Return a digest as it stands in a registry's documents."""
    return f"{algorithm}-{b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a tarball; ``files`` maps paths in the package to contents."""
    tar = b"".join(
        piece
        for path, content in sorted(files.items())
        for piece in (
            ustar.header(_TOP + path, "file", mode=_MODE, mtime=MTIME, size=len(content)),
            content,
            ustar.padding(len(content)),
        )
    )
    tar += ustar.end(len(tar))
    with deflater(1) as blocks:
        pieces = [piece for found in (*blocks.plain(tar), *blocks.finish()) for piece in found]
    tail = (END, crc32(tar, 0).to_bytes(4, "little"), (len(tar) & 0xFFFFFFFF).to_bytes(4, "little"))
    return b"".join((GZIP_HEADER, *pieces, *tail))


def unpack(content: bytes, shown: str) -> dict[str, bytes]:
    """Return a package's files, whoever packed it: the first folder of each path is taken off, as npm does.

    Raises UnsafeArchive where it is no tarball, or a member must not be unpacked.
    """
    with tempfile.TemporaryDirectory(prefix="pyrunenv-npm-") as folder:
        path = Path(folder) / "package.tgz"
        path.write_bytes(content)
        entries = list(read_archive(path, limit_bytes=_LARGEST, name=shown))
    return {entry.path.partition("/")[2]: entry.content for entry in entries if entry.kind == "file"}
