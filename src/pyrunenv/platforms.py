"""The five platforms, as data. Nothing else in the package knows what tells them apart.

Markers follow PEP 508, tags PEP 425/600, triples are those of python-build-standalone and uv.
"""

from __future__ import annotations

import platform as _host
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pyrunenv.errors import UsageError

System = Literal["linux", "macosx", "windows"]


@dataclass(frozen=True)
class Layout:
    """Where things lie below a bundle's root; ``{minor}`` stands for ``3.12``, ``{nodot}`` for ``312``."""

    python: str
    stdlib: str
    site_packages: str
    include: str

    def at(self, template: str, python_version: str) -> str:
        minor = ".".join(python_version.split(".")[:2])
        return template.format(minor=minor, nodot=minor.replace(".", ""))


_POSIX = Layout("bin/python{minor}", "lib/python{minor}", "lib/python{minor}/site-packages", "include/python{minor}")
_WINDOWS = Layout("bin/python.exe", "Lib", "Lib/site-packages", "include")


@dataclass(frozen=True)
class Platform:
    """One platform. ``markers`` holds the PEP 508 environment but for the Python version."""

    key: str
    system: System
    arch: Literal["x64", "aarch64"]
    triple: str
    machine: str
    """The machine as wheel tags spell it: ``x86_64``, ``aarch64``, ``arm64``, ``amd64``."""
    pbs_os: str
    """The system as the package pbs-installer spells it."""
    layout: Layout
    markers: Mapping[str, str] = field(hash=False)

    def __str__(self) -> str:
        return self.key

    @property
    def windows(self) -> bool:
        return self.system == "windows"


def _markers(os_name: str, sys_platform: str, system: str, machine: str) -> dict[str, str]:
    return {
        "os_name": os_name,
        "sys_platform": sys_platform,
        "platform_system": system,
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "platform_release": "",
        "platform_version": "",
    }


PLATFORMS: Mapping[str, Platform] = {
    p.key: p
    for p in (
        Platform("linux-x64", "linux", "x64", "x86_64-unknown-linux-gnu", "x86_64", "linux", _POSIX,
                 _markers("posix", "linux", "Linux", "x86_64")),
        Platform("linux-aarch64", "linux", "aarch64", "aarch64-unknown-linux-gnu", "aarch64", "linux", _POSIX,
                 _markers("posix", "linux", "Linux", "aarch64")),
        Platform("macosx-x64", "macosx", "x64", "x86_64-apple-darwin", "x86_64", "macos", _POSIX,
                 _markers("posix", "darwin", "Darwin", "x86_64")),
        Platform("macosx-aarch64", "macosx", "aarch64", "aarch64-apple-darwin", "arm64", "macos", _POSIX,
                 _markers("posix", "darwin", "Darwin", "arm64")),
        Platform("windows-x64", "windows", "x64", "x86_64-pc-windows-msvc", "amd64", "windows", _WINDOWS,
                 _markers("nt", "win32", "Windows", "AMD64")),
    )
}  # fmt: skip

_HOST_SYSTEMS = {"linux": "linux", "darwin": "macosx", "win32": "windows"}
_HOST_ARCHS = {"x86_64": "x64", "amd64": "x64", "aarch64": "aarch64", "arm64": "aarch64"}


def host() -> Platform:
    """Return the platform this program runs on; raises UsageError where it is none of the five."""
    system = _HOST_SYSTEMS.get(sys.platform, sys.platform)
    machine = _host.machine().lower()
    key = f"{system}-{_HOST_ARCHS.get(machine, machine)}"
    if key not in PLATFORMS:
        raise UsageError(f"this machine ({key}) is none of the five platforms", hint="name one with --platform")
    return PLATFORMS[key]


def marker_environment(target: Platform, python_version: str) -> dict[str, str]:
    """The PEP 508 marker environment of a target; nothing in it comes from the host."""
    return {
        **target.markers,
        "python_version": ".".join(python_version.split(".")[:2]),
        "python_full_version": python_version,
        "implementation_version": python_version,
    }


def wheel_platform_tags(target: Platform, *, glibc: str, macos: str) -> Iterator[str]:
    """Yield the wheel platform tags that fit a target, the most specific first (PEP 425, 600; packaging's order).

    ``linux_<arch>`` is not among them: only wheels that are built here may carry it.
    """
    from packaging import tags

    if target.system == "linux":
        major, minor = (int(part) for part in glibc.split("."))
        legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
        # aarch64 has existed since glibc 2.17, and the legacy tags below 2014 only for x86_64 (PEP 599)
        lowest = 17 if target.machine == "aarch64" else 5
        for lesser in range(minor, lowest - 1, -1):
            yield f"manylinux_{major}_{lesser}_{target.machine}"
            if lesser in legacy:
                yield f"{legacy[lesser]}_{target.machine}"
    elif target.system == "macosx":
        major, minor = (int(part) for part in (f"{macos}.0").split(".")[:2])
        yield from tags.mac_platforms((major, minor), target.machine)
    else:
        yield "win_amd64"
