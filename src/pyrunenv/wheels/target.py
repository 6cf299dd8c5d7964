"""What a build must know of the platform that it builds for: names, versions and flags, as data.

The build runs on this machine, by an interpreter of this machine. What is said here is told to whatever asks
(:mod:`pyrunenv.wheels._shim`, :mod:`pyrunenv.wheels._compiler`, CMake, Meson, configure), so that it decides for the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrunenv.platforms import Platform

_SYSTEM = {"linux": "Linux", "macosx": "Darwin", "windows": "Windows"}
_SYS_PLATFORM = {"linux": "linux", "macosx": "darwin", "windows": "win32"}
_DARWIN_OFFSET = 9
"""macOS 11 is Darwin 20, macOS 13 is Darwin 22."""


@dataclass(frozen=True)
class BuildTarget:
    """A platform, a Python and its floors; ``include`` holds its headers, ``libraries`` its import library (Windows)."""

    platform: Platform
    python_version: str
    glibc: str
    macos: str
    include: Path
    libraries: Path | None = None

    @property
    def minor(self) -> str:
        return ".".join(self.python_version.split(".")[:2])

    @property
    def nodot(self) -> str:
        return self.minor.replace(".", "")

    @property
    def system(self) -> str:
        """As ``platform.system()`` and CMake spell it."""
        return _SYSTEM[self.platform.system]

    @property
    def machine(self) -> str:
        """As ``platform.machine()`` spells it there."""
        return self.platform.markers["platform_machine"]

    @property
    def sys_platform(self) -> str:
        return _SYS_PLATFORM[self.platform.system]

    @property
    def cpu(self) -> str:
        """The processor as LLVM, GNU and Meson spell it."""
        return "aarch64" if self.platform.arch == "aarch64" else "x86_64"

    @property
    def zig(self) -> str:
        """The target as ``zig cc -target`` takes it, with the floor in it."""
        if self.platform.system == "linux":
            return f"{self.cpu}-linux-gnu.{self.glibc}"
        return f"{self.cpu}-macos.{self.macos}" if self.platform.system == "macosx" else f"{self.cpu}-windows-gnu"

    @property
    def gnu(self) -> str:
        """The target as configure scripts and compilers spell it."""
        if self.platform.system == "linux":
            return f"{self.cpu}-linux-gnu"
        return f"{self.cpu}-apple-darwin" if self.platform.system == "macosx" else f"{self.cpu}-w64-mingw32"

    @property
    def rust(self) -> str:
        """The target as Rust spells it; of Windows the variant that GNU's linkers, and zig, can link for."""
        return f"{self.cpu}-pc-windows-gnu" if self.platform.windows else self.platform.triple

    @property
    def sysconfig_platform(self) -> str:
        """What ``sysconfig.get_platform()`` says there."""
        if self.platform.system == "macosx":
            return f"macosx-{self.macos}-{self.machine}"
        return "win-amd64" if self.platform.windows else f"linux-{self.cpu}"

    @property
    def wheel_platform(self) -> str:
        """The platform tag of a wheel that needs no more than the floors (PEP 425, PEP 600)."""
        if self.platform.system == "linux":
            return f"manylinux_{self.glibc.replace('.', '_')}_{self.cpu}"
        if self.platform.system == "macosx":
            # from macOS 11 on, minor versions do not stand in tags
            major, minor = self.macos.split(".")[:2]
            return f"macosx_{major}_{0 if int(major) > 10 else minor}_{self.machine}"
        return "win_amd64"

    @property
    def extension_suffix(self) -> str:
        """What the file name of an extension module ends with (PEP 3149)."""
        return f".{self.soabi}.pyd" if self.platform.windows else f".{self.soabi}.so"

    @property
    def soabi(self) -> str:
        if self.platform.windows:
            return f"cp{self.nodot}-win_amd64"
        return f"cpython-{self.nodot}-{'darwin' if self.platform.system == 'macosx' else self.gnu}"

    @property
    def darwin_release(self) -> str:
        return f"{int(self.macos.split('.')[0]) + _DARWIN_OFFSET}.0.0"

    @property
    def defines(self) -> tuple[str, ...]:
        """What the headers of Windows' CPython take from Microsoft's compiler, and other compilers must be told."""
        return ("-DMS_WIN64=",) if self.platform.windows else ()

    def variables(self, compilers: Mapping[str, str]) -> dict[str, Any]:
        """``sysconfig.get_config_vars()`` of the target, as far as builds ask; ``compilers`` are CC, CXX, AR, RANLIB."""
        flags = "-fno-strict-overflow -DNDEBUG -O3 -Wall"
        shared = "-bundle -undefined dynamic_lookup" if self.platform.system == "macosx" else "-shared"
        cc, cxx, include = compilers["CC"], compilers["CXX"], str(self.include)
        libraries = str(self.libraries or self.include.parent / "lib")
        empty = ("CPPFLAGS", "PY_CPPFLAGS", "BASECFLAGS", "LDFLAGS", "PY_LDFLAGS", "CONFIGURE_CFLAGS",
                 "CONFIGURE_LDFLAGS", "CONFIGURE_CPPFLAGS", "PY_CORE_LDFLAGS", "LIBS", "SYSLIBS", "LINKFORSHARED",
                 "BLDLIBRARY", "PY_LDFLAGS_NODIST", "PY_CFLAGS_NODIST", "CFLAGSFORSHARED")  # fmt: skip
        return {
            **dict.fromkeys(empty, ""), **compilers,
            "LDSHARED": f"{cc} {shared}", "BLDSHARED": f"{cc} {shared}", "LDCXXSHARED": f"{cxx} {shared}",
            "LINKCC": cc, "MAINCC": cc, "ARFLAGS": "rcs", "OPT": "-DNDEBUG -O3", "CFLAGS": flags, "PY_CFLAGS": flags,
            "CCSHARED": "" if self.platform.windows else "-fPIC",
            "SHLIB_SUFFIX": ".dll" if self.platform.windows else ".so",
            "EXT_SUFFIX": self.extension_suffix, "SO": self.extension_suffix, "SOABI": self.soabi,
            "MULTIARCH": self._multiarch, "HOST_GNU_TYPE": self.gnu, "BUILD_GNU_TYPE": self.gnu,
            "MACHDEP": self.sys_platform, "INCLUDEPY": include, "CONFINCLUDEPY": include,
            "INCLUDEDIR": str(self.include.parent), "CONFINCLUDEDIR": str(self.include.parent), "LIBDIR": libraries,
            "LIBPL": libraries, "LIBRARY": f"libpython{self.minor}.a", "LDLIBRARY": f"libpython{self.minor}.a",
            "INSTSONAME": f"libpython{self.minor}.a", "Py_ENABLE_SHARED": 0, "PYTHONFRAMEWORK": "",
            "PYTHONFRAMEWORKPREFIX": "", "py_version": self.python_version, "py_version_short": self.minor,
            "py_version_nodot": self.nodot, "VERSION": self.nodot if self.platform.windows else self.minor,
            "ABIFLAGS": "", "abiflags": "", "SIZEOF_VOID_P": 8, "SIZEOF_LONG": 4 if self.platform.windows else 8,
            # tells _osx_support, which would look for Xcode, that it has been here
            "CUSTOMIZED_OSX_COMPILER": "True",
            **({"MACOSX_DEPLOYMENT_TARGET": self.macos} if self.platform.system == "macosx" else {}),
        }  # fmt: skip

    @property
    def _multiarch(self) -> str:
        return {"linux": self.gnu, "macosx": "darwin"}.get(self.platform.system, "")
