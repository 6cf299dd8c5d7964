"""Tells what a program was made for, by the first bytes of ELF, Mach-O and PE files alone."""

from __future__ import annotations

import struct
from typing import Literal

from pyrunenv.platforms import Platform

Format = Literal["elf", "mach-o", "pe"]
FORMATS: dict[str, Format] = {"linux": "elf", "macosx": "mach-o", "windows": "pe"}
_ELF = {62: "x64", 183: "aarch64"}
_MACHO = {0x01000007: "x64", 0x0100000C: "aarch64"}
_PE = {0x8664: "x64", 0xAA64: "aarch64"}
ENOUGH = 4096
"""Bytes from the beginning that suffice to tell."""


def identify(content: bytes) -> tuple[Format, tuple[str, ...]] | None:
    """Return the format and the architectures: several in a universal Mach-O, ``other`` for those unknown here."""
    try:
        if content[:4] == b"\x7fELF":
            return "elf", (_ELF.get(struct.unpack_from("<H", content, 18)[0], "other"),)
        if content[:4] == b"\xcf\xfa\xed\xfe":
            return "mach-o", (_MACHO.get(struct.unpack_from("<I", content, 4)[0], "other"),)
        if content[:4] == b"\xca\xfe\xba\xbe" and (count := struct.unpack_from(">I", content, 4)[0]) < 32:
            kinds = [struct.unpack_from(">I", content, 8 + 20 * n)[0] for n in range(count)]
            return "mach-o", tuple(_MACHO.get(kind, "other") for kind in kinds)
        if content[:2] == b"MZ":
            at = struct.unpack_from("<I", content, 60)[0]
            if content[at : at + 4] == b"PE\0\0":
                return "pe", (_PE.get(struct.unpack_from("<H", content, at + 4)[0], "other"),)
    except struct.error:
        pass
    return None


def made_for(content: bytes, platform: Platform) -> bool:
    """Whether a program or library can run on a platform, as far as its header says."""
    found = identify(content)
    return found is not None and found[0] == FORMATS[platform.system] and platform.arch in found[1]
