"""Whether the code signature in a Mach-O file fits the file's bytes.

Page hashes are compared, and nothing is said of who signed: ad-hoc signatures, which every linker for arm64 makes, are
as good as others. Source: xnu's osfmk/kern/cs_blobs.h; what macOS holds against the pages that it loads.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pyrunenv.wheels import macho

Signature = Literal["valid", "broken", "none"]

_CODE_SIGNATURE = 0x1D
_SUPERBLOB, _DIRECTORY_MAGIC = 0xFADE0CC0, 0xFADE0C02
_DIRECTORIES = {0, *range(0x1000, 0x1006)}
"""Slots of the code directory and of its alternates, which have other hashes."""
_DIRECTORY = struct.Struct(">9I4B")
_LIMIT_64_SINCE, _LIMIT_64_AT = 0x20300, 56
_HASHES: dict[int, tuple[Callable[[bytes], Any], int]] = {
    1: (hashlib.sha1, 20), 2: (hashlib.sha256, 32), 3: (hashlib.sha256, 20), 4: (hashlib.sha384, 48),
}  # fmt: skip
"""By hash type: the function, and how many bytes of it are kept."""


@dataclass(frozen=True)
class _Directory:
    """A CodeDirectory: hashes of the pages from the program's first byte up to ``limit``."""

    blob: bytes
    hashes_at: int
    pages: int
    limit: int
    hash_type: int
    page_bits: int

    def fits(self, program: bytes) -> bool:
        function, size = _HASHES[self.hash_type]
        page = 1 << self.page_bits if self.page_bits else max(self.limit, 1)
        if self.pages != -(-self.limit // page):
            return False
        hashes = macho.part(self.blob, self.hashes_at, self.pages * size)
        return all(
            function(program[number * page : min((number + 1) * page, self.limit)]).digest()[:size]
            == hashes[number * size : (number + 1) * size]
            for number in range(self.pages)
        )


def verify(program: bytes) -> Signature | None:
    """Tell of one architecture's program; None where it is not loaded: object files, static libraries.

    Raises ValueError or struct.error where the load commands themselves are damaged.
    """
    if not macho.loaded(program):
        return None
    place = next((command.content for command in macho.commands(program) if command.kind == _CODE_SIGNATURE), None)
    if place is None:
        return "none"
    offset, size = struct.unpack_from("<II", place, 8)
    try:
        every = list(_directories(macho.part(program, offset, size)))
        directories = [one for one in every if one.hash_type in _HASHES]
        # The pages between the limit and the signature would be nobody's.
        fits = bool(directories) and all(one.limit == offset and one.fits(program) for one in directories)
    except (struct.error, ValueError):
        fits = False
    return "valid" if fits else "broken"


def _directories(blob: bytes) -> Iterator[_Directory]:
    magic, _, count = struct.unpack_from(">3I", blob)
    if magic != _SUPERBLOB:
        raise ValueError("no embedded signature")
    for number in range(count):
        slot, start = struct.unpack_from(">II", blob, 12 + 8 * number)
        if slot in _DIRECTORIES:
            yield _directory(blob, start)


def _directory(blob: bytes, start: int) -> _Directory:
    fields = _DIRECTORY.unpack_from(blob, start)
    magic, length, version, _, hashes_at, _, _, pages, limit, hash_size, hash_type, _, page_bits = fields
    if magic != _DIRECTORY_MAGIC or hash_size != _HASHES.get(hash_type, (None, hash_size))[1]:
        raise ValueError("no code directory that macOS would take")
    content = macho.part(blob, start, length)
    if version >= _LIMIT_64_SINCE:
        limit = struct.unpack_from(">Q", content, _LIMIT_64_AT)[0] or limit
    return _Directory(content, hashes_at, pages, limit, hash_type, page_bits)
