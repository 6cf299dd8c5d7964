"""Whether a wheel keeps what its tags promise, and is fit for a target. What is wrong is said in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.tags import parse_tag

from pyrunenv.interpreters.floors import Version, parse
from pyrunenv.interpreters.formats import FORMATS, Format
from pyrunenv.platforms import Platform
from pyrunenv.wheels.inspect import Inspection, NativeFile
from pyrunenv.wheels.libraries import python_of
from pyrunenv.wheels.tags import supported_tags

_LINUX = re.compile(r"(?:(manylinux1|manylinux2010|manylinux2014|manylinux_\d+_\d+)|musllinux_\d+_\d+|linux)_(\w+)")
_MACOS = re.compile(r"macosx_(\d+)_(\d+)_(\w+)")
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_ARCHS = {
    "x86_64": ("x64",), "amd64": ("x64",), "aarch64": ("aarch64",), "arm64": ("aarch64",), "intel": ("x64",),
    "universal2": ("x64", "aarch64"),
}  # fmt: skip
"""By the machine in a tag; those that are not here are for none of the platforms."""
_SYSTEMS = {"elf": "Linux", "mach-o": "macOS", "pe": "Windows"}
_FIRST_ON_ARM64 = (11, 99)
"""There is no older macOS on arm64, whatever a tag says."""


@dataclass(frozen=True)
class _Promise:
    """What native files have to be like; ``by`` says who demands the floor."""

    format: Format
    arch: str
    floor: Version | None
    by: str


def problems(inspection: Inspection) -> list[str]:
    """Return in what a wheel is not whole, or does not keep what its own tags promise."""
    promises = _strictest(_of_tags(inspection))
    breaches = (text for file in inspection.native for promise in promises for text in _breaches(file, promise))
    return [*_own(inspection), *dict.fromkeys(breaches)]


def check(inspection: Inspection, platform: Platform, python_version: str, *, glibc: str, macos: str) -> list[str]:
    """Return why a wheel is not fit for a target; empty where it is. ``glibc`` and ``macos`` are the floors, ``2.28``.

    ``inspection.texts`` count as what must not ship: look for the build machine's paths when inspecting.
    """
    promise = _of_target(inspection, platform, glibc, macos)
    # setuptools' and pip's wheels hold launchers for Windows, whatever the platform
    tied = [file for file in inspection.native if not (_pure(inspection) and file.format == "pe")]
    return [
        *_unfit_tags(inspection, platform, python_version, glibc, macos),
        *_own(inspection),
        *(text for file in tied for text in _breaches(file, promise)),
        *_other_pythons(inspection, python_version),
        *(f"{member} holds `{text}`, which must not ship" for member, text in inspection.texts),
    ]


def _own(inspection: Inspection) -> Iterator[str]:
    """Yield what is wrong whatever the target."""
    if inspection.metadata_tags:
        yield f"WHEEL and the file name have different tags: {inspection.metadata_tags}"
    yield from (f"RECORD: {problem}" for problem in inspection.record)
    for file in inspection.native:
        if file.damaged:
            yield f"{file.path} is damaged or cut short"
        if file.signature == "broken":
            yield f"{file.path} was changed after it was signed: its code signature is broken"
        for name in file.missing:
            yield f"{file.path} needs {name}, which is not in the wheel and not on the platform"


def _breaches(file: NativeFile, promise: _Promise) -> Iterator[str]:
    if file.format != promise.format or promise.arch not in file.archs:
        wanted = _made_for(promise.format, [promise.arch])
        yield f"{file.path} is made for {_made_for(file.format, file.archs)}, not for {wanted}"
        return
    if promise.format == "mach-o" and promise.arch == "aarch64" and file.signature == "none":
        yield f"{file.path} is not signed, and macOS on aarch64 runs nothing unsigned"
    floor = dict(file.floors).get(promise.arch)
    if floor is not None and promise.floor is not None and parse(floor.version) > promise.floor:
        system = "glibc" if promise.format == "elf" else "macOS"
        yield f"{floor.cause} needs {system} {floor.version}, more than {promise.by} allows"


def _made_for(kind: Format, archs: Sequence[str]) -> str:
    processors = " and ".join("another processor" if arch == "other" else arch for arch in archs)
    return f"{_SYSTEMS[kind]} on {processors}"


def _unfit_tags(
    inspection: Inspection, platform: Platform, python_version: str, glibc: str, macos: str
) -> Iterator[str]:
    tags = {tag for text in inspection.tags for tag in parse_tag(text)}
    if tags.isdisjoint(supported_tags(platform, python_version, glibc, macos)):
        floor = {"linux": f" with glibc {glibc}", "macosx": f" {macos}"}.get(platform.system, "")
        yield f"no tag fits CPython {python_version} on {platform}{floor}: {', '.join(inspection.tags)}"


def _other_pythons(inspection: Inspection, python_version: str) -> Iterator[str]:
    minor = ".".join(python_version.split(".")[:2])
    for file in inspection.native:
        for name in file.needs if file.format == "pe" else ():
            if python_of(name) not in (None, minor):
                yield f"{file.path} needs {name}, and the target has CPython {minor}"


def _pure(inspection: Inspection) -> bool:
    return all(tag.endswith("-any") for tag in inspection.tags)


def _of_target(inspection: Inspection, platform: Platform, glibc: str, macos: str) -> _Promise:
    """Return what the target demands, or what the tags promise of it where that is more."""
    allowed = {"linux": glibc, "macosx": macos}.get(platform.system)
    own = _Promise(
        FORMATS[platform.system], platform.arch, parse(allowed) if allowed else None, f"the floor of {allowed}"
    )
    same = [one for one in _of_tags(inspection) if (one.format, one.arch) == (own.format, own.arch)]
    return _strictest([own, *same])[0]


def _of_tags(inspection: Inspection) -> list[_Promise]:
    return [promise for tag in inspection.tags for promise in _promises(tag.rpartition("-")[2])]


def _promises(tag: str) -> Iterator[_Promise]:
    """Yield what a platform tag promises, for each architecture (PEP 425, PEP 513, PEP 571, PEP 599, PEP 600)."""
    by = f"the tag {tag}"
    if linux := _LINUX.fullmatch(tag):
        floor = _LEGACY.get(linux[1]) or (
            parse(linux[1].removeprefix("manylinux_").replace("_", ".")) if linux[1] else None
        )
        if (floor, linux[2]) == ((2, 17), "aarch64"):  # CentOS 7's glibc 2.17 has GLIBC_2.18 there
            floor = (2, 18)
        yield from (_Promise("elf", arch, floor, by) for arch in _ARCHS.get(linux[2], ("other",)))
    elif macos := _MACOS.fullmatch(tag):
        # from macOS 11 on, minor versions do not stand in tags
        floor = (int(macos[1]), int(macos[2]) if int(macos[1]) < 11 else 99)
        for arch in _ARCHS.get(macos[3], ("other",)):
            yield _Promise("mach-o", arch, max(floor, _FIRST_ON_ARM64) if arch == "aarch64" else floor, by)
    elif tag.startswith("win"):
        yield from (_Promise("pe", arch, None, by) for arch in _ARCHS.get(tag.removeprefix("win_"), ("other",)))


def _strictest(promises: Iterable[_Promise]) -> list[_Promise]:
    """Return, of each format and architecture, the promise of the lowest floor."""
    best: dict[tuple[Format, str], _Promise] = {}
    for promise in promises:
        other = best.setdefault((promise.format, promise.arch), promise)
        if promise.floor is not None and (other.floor is None or promise.floor < other.floor):
            best[promise.format, promise.arch] = promise
    return list(best.values())
