"""Code signatures, page by page."""

from __future__ import annotations

import struct

import pytest
from support.native import ARM64, flipped, macho_library, signature

from pyrunenv.wheels.signature import verify

SIGNATURE = bytes.fromhex("fade0cc0")
DIRECTORY = bytes.fromhex("fade0c02")


def place(content: bytes) -> int:
    """Where a library's signature begins."""
    return content.index(SIGNATURE)


def signed(blob: bytes) -> bytes:
    """A library with this signature instead of its own."""
    content = macho_library()
    at = place(content)
    command = content.index(struct.pack("<II", 0x1D, 16)) + 12
    content = content[:command] + struct.pack("<I", len(blob)) + content[command + 4 : at]
    return content + blob


def resigned(hash_types: tuple[int, ...] = (2,), *, page_bits: int = 12, short_by: int = 0) -> bytes:
    """A library signed after its load command knew the signature's size."""
    sized = signed(signature(macho_library()[: place(macho_library())], hash_types, page_bits=page_bits))
    code = sized[: place(sized)]
    return code + signature(code, hash_types, page_bits=page_bits, limit=len(code) - short_by)


@pytest.mark.parametrize("hash_types", [(1,), (2,), (3,), (4,), (1, 2), (9, 2)])
def test_a_signature_that_fits_is_valid(hash_types: tuple[int, ...]) -> None:
    """Every hash that macOS knows, alternates, and one unknown beside a known one."""
    assert verify(macho_library(signed=hash_types)) == "valid"


@pytest.mark.parametrize("page_bits", [0, 12, 14])
def test_pages_may_have_any_size(page_bits: int) -> None:
    """4 KiB, Apple silicon's 16 KiB, and one page for all."""
    content = resigned(page_bits=page_bits)
    assert verify(content) == "valid"
    assert verify(flipped(content, place(content) - 1)) == "broken"


@pytest.mark.parametrize("at", [28, 2000, 4095, 4096, 9000, -1])
def test_one_changed_bit_breaks_it(at: int) -> None:
    """In the header, in the middle, at the edges of pages, and in the last byte before the signature."""
    content = macho_library()
    assert verify(flipped(content, place(content) + at if at < 0 else at)) == "broken"


@pytest.mark.parametrize("number", [0, 1])
def test_each_alternate_must_fit(number: int) -> None:
    """A changed hash in either of two directories breaks the whole."""
    content = macho_library(signed=(1, 2))
    directory = -1
    for _ in range(number + 1):
        directory = content.index(DIRECTORY, directory + 1)
    (hashes,) = struct.unpack_from(">I", content, directory + 16)
    assert verify(flipped(content, directory + hashes)) == "broken"


def test_what_does_not_cover_the_code_is_broken() -> None:
    """Code beyond the limit, hashes for fewer pages, a hash that macOS does not know, and one of the wrong size."""
    assert verify(resigned()) == "valid"
    assert verify(resigned(short_by=16)) == "broken"
    assert verify(macho_library(signed=(9,))) == "broken"
    assert verify(macho_library(signed=())) == "broken"
    content = macho_library()
    directory = content.index(DIRECTORY)
    for field, value in ((28, struct.pack(">I", 2)), (36, b"\x14"), (37, b"\1"), (39, b"\x21")):
        changed = content[: directory + field] + value + content[directory + field + len(value) :]
        assert verify(changed) == "broken", field


def test_a_damaged_or_cut_signature_is_broken() -> None:
    """Wrong magic numbers, and every length but the whole."""
    content = macho_library()
    start = place(content)
    assert verify(content.replace(SIGNATURE, b"\0\0\0\0")) == "broken"
    assert verify(content.replace(DIRECTORY, b"\0\0\0\0")) == "broken"
    assert {verify(content[:size]) for size in range(start, len(content))} == {"broken"}


def test_an_unsigned_library_has_none_and_object_files_need_none() -> None:
    """MH_OBJECT and MH_DSYM are not loaded; a library is."""
    assert verify(macho_library(signed=None)) == "none"
    assert verify(macho_library(ARM64, signed=None, kind=1)) is None
    assert verify(macho_library(ARM64, signed=None, kind=10)) is None
    assert verify(b"!<arch>\n") is None
