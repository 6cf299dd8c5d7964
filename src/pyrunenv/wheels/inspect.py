"""What a wheel holds: its tags, its native files with what they need, and whether its RECORD is whole.

Format: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import email.parser
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidWheelFilename, NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from pyrunenv.archives import check_wheel_members, read_archive
from pyrunenv.errors import WheelError
from pyrunenv.interpreters.floors import Floor, measure, parse
from pyrunenv.interpreters.formats import ENOUGH, Format, identify
from pyrunenv.wheels import libraries, linked, macho, signature
from pyrunenv.wheels.record import Record
from pyrunenv.wheels.signature import Signature

_INFORMATION = re.compile(r"([^/]+)\.dist-info/(WHEEL|RECORD)")
_DEVICES = {190, 224, 247}
"""ELF machines that no operating system loads: CUDA, AMD GPU, BPF."""


@dataclass(frozen=True)
class NativeFile:
    """A program or library in a wheel; ``floors`` holds the floor of each architecture that has one."""

    path: str
    format: Format
    archs: tuple[str, ...]
    floors: tuple[tuple[str, Floor], ...] = ()
    needs: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Those of ``needs`` that are neither in the wheel nor on the platform."""
    signature: Signature | None = None
    """None of what macOS does not load. A universal file's is that of its arm64 part, unless another one is broken."""
    damaged: bool = False
    """Its headers point beyond its end, so that nothing more is known."""

    @property
    def floor(self) -> Floor | None:
        """The highest floor of any architecture."""
        return max((floor for _, floor in self.floors), key=lambda floor: parse(floor.version), default=None)


@dataclass(frozen=True)
class Inspection:
    """What was found; ``size`` is the file's, in bytes."""

    filename: str
    name: NormalizedName
    version: str
    tags: tuple[str, ...]
    """The tags that the file name stands for, sorted."""
    metadata_tags: str | None
    """How WHEEL's tags differ from the file name's; None where they agree."""
    native: tuple[NativeFile, ...]
    record: tuple[str, ...]
    """What is wrong with the RECORD; empty where it is whole."""
    size: int
    texts: tuple[tuple[str, str], ...] = ()
    """Members, and the texts that were looked for and stand in them."""


def inspect(path: Path, *, texts: Sequence[str] = ()) -> Inspection:
    """Read a wheel, one member in memory at a time; ``texts`` are looked for in every member, as UTF-8.

    Raises WheelError where the file is no wheel, UnsafeArchive where it is damaged or must not be unpacked.
    """
    name, version, tags = _parse(path.name)
    if not path.is_file():
        raise WheelError(f"there is no file {path}")
    check_wheel_members(path)
    folder, information = _information(path, name, version)
    record = Record(folder, information.get("RECORD"))
    native, held, found = [], set(), []
    for member, content in _members(path):
        record.compare(member, content)
        held.add(member.rpartition("/")[2])
        found += [(member, text) for text in texts if text.encode() in content]
        if (file := _native(member, content)) is not None:
            native.append(file)
    return Inspection(
        path.name, name, str(version), tuple(sorted(map(str, tags))), _disagreement(tags, information["WHEEL"]),
        _resolved(native, held), record.problems(), path.stat().st_size, tuple(found),
    )  # fmt: skip


def _parse(filename: str) -> tuple[NormalizedName, Version, frozenset[Tag]]:
    try:
        name, version, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise WheelError(
            f"{filename} is not named as a wheel", notes=[str(error)],
            hint="the name is <name>-<version>[-<build>]-<python>-<abi>-<platform>.whl",
        ) from error  # fmt: skip
    return name, version, tags


def _information(path: Path, name: NormalizedName, version: Version) -> tuple[str, dict[str, bytes]]:
    """Return the name of the ``.dist-info`` folder that belongs to the file's name, and its WHEEL and RECORD."""
    found: dict[str, dict[str, bytes]] = {}
    for entry in read_archive(path, windows=True, wanted=lambda member: bool(_INFORMATION.fullmatch(member))):
        folder, _, base = entry.path.partition("/")
        found.setdefault(folder, {})[base] = entry.content
    for folder, files in found.items():
        if "WHEEL" in files and _belongs(folder, name, version):
            return folder, files
    raise WheelError(
        f"{path.name} is no wheel of {name} {version}: it holds no {name.replace('-', '_')}-{version}.dist-info/WHEEL",
        notes=[f"it holds {folder}" for folder in found],
    )


def _belongs(folder: str, name: NormalizedName, version: Version) -> bool:
    held, _, of_version = folder.removesuffix(".dist-info").partition("-")
    try:
        return canonicalize_name(held) == name and Version(of_version) == version
    except InvalidVersion:
        return False


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    for entry in read_archive(path, windows=True):
        if entry.kind != "folder":
            yield entry.path, entry.content or entry.target.encode()


def _disagreement(tags: frozenset[Tag], wheel: bytes) -> str | None:
    said = email.parser.Parser().parsestr(wheel.decode(errors="replace"), headersonly=True).get_all("Tag", [])
    inside = {str(tag) for text in said for tag in _tags(text)}
    outside = {str(tag) for tag in tags}
    if inside == outside:
        return None
    only = [("the file name", outside - inside), ("WHEEL", inside - outside)]
    return "; ".join(f"{', '.join(sorted(some))} only in {where}" for where, some in only if some)


def _tags(text: str) -> frozenset[Tag]:
    try:
        return parse_tag(text.strip())
    except ValueError:  # not three parts
        return frozenset({Tag(text, "", "")})


def _resolved(native: Sequence[NativeFile], held: set[str]) -> tuple[NativeFile, ...]:
    exact, small = frozenset(held), frozenset(map(str.lower, held))
    return tuple(
        replace(
            file,
            missing=libraries.missing(file.path, file.needs, file.format, small if file.format == "pe" else exact),
        )
        for file in native
    )


def _native(path: str, content: bytes) -> NativeFile | None:
    found = identify(content[:ENOUGH])
    if found is None or (found[0] == "elf" and struct.unpack_from("<H", content, 18)[0] in _DEVICES):
        return None
    file = NativeFile(path, *found)
    try:
        needs = linked.needed(content, file.format)
        signed = _signature(file, content) if file.format == "mach-o" else None
    except (struct.error, ValueError):
        return replace(file, damaged=True)
    return replace(file, needs=needs, signature=signed, floors=tuple(_floors(file, content)))


def _floors(file: NativeFile, content: bytes) -> Iterator[tuple[str, Floor]]:
    parts = macho.slices(content) if file.format == "mach-o" else [content]
    for arch, part in zip(file.archs, parts, strict=True):
        if (floor := measure(part, file.path)) is not None:
            yield arch, floor


def _signature(file: NativeFile, content: bytes) -> Signature | None:
    states = [
        (arch, state)
        for arch, part in zip(file.archs, macho.slices(content), strict=True)
        if (state := signature.verify(part)) is not None
    ]
    found = {state for _, state in states}
    if "broken" in found:
        return "broken"
    if ("aarch64", "none") in states:
        return "none"
    return "valid" if "valid" in found else next(iter(found), None)
