"""Lays out what a build is given in place of this machine's compilers: scripts around zig, files for CMake, Meson, configure.

Everything lies in one folder that lives as long as the build. What the scripts and the shim read are two JSON files there.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pyrunenv.wheels.target import BuildTarget

INSTALL_ZIG = "`pip install ziglang==0.14.1` (the extra `cross` of pyrunenv)"
WITHOUT_ZIG = (
    f"pyrunenv: this package has code to compile, and there is no compiler for the target: {INSTALL_ZIG} brings one"
)
_TOOLS = {"cc": "cc", "c++": "c++", "ar": "ar", "ranlib": "ranlib", "dlltool": "dlltool", "windres": "rc",
          "lib": "lib", "objcopy": "objcopy"}  # fmt: skip
_NOT_NEEDED = ("strip", "install_name_tool")
"""The linker strips already, and what changes a Mach-O file afterwards would break its signature."""
_TOLD_PACKAGES = (
    "setuptools", "distutils", "wheel", "pkg_resources", "packaging", "numpy", "pybind11", "nanobind", "Cython", "cffi",
    "scikit_build_core", "skbuild", "mesonpy", "hatchling", "setuptools_rust", "extension_helpers",
)  # fmt: skip
"""Build tools that are told of the target like the source tree itself. Not of Windows: they would look for Visual Studio,
and learn what they need from sysconfig, CMake's toolchain file or Meson's cross file."""
_LONG_DOUBLE = {"linux-aarch64": "IEEE_QUAD_LE", "macosx-aarch64": "IEEE_DOUBLE_LE"}
_KEPT_VARIABLES = ("USER", "LOGNAME", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
                   "SSL_CERT_FILE", "SSL_CERT_DIR")  # fmt: skip


@dataclass(frozen=True)
class Toolchain:
    """The compilers and files in ``folder``; ``zig`` is None where it is not installed."""

    folder: Path
    target: BuildTarget
    zig: Path | None
    zig_cache: Path

    @property
    def shim_file(self) -> Path:
        return self.folder / "target.json"

    @property
    def meson_file(self) -> Path:
        return self.folder / "meson.ini"

    def tool(self, name: str) -> Path:
        return self.folder / "bin" / name

    @property
    def compilers(self) -> dict[str, str]:
        """CC and the like as variables, quoted: what reads them splits them as a shell does."""
        names = {"CC": "cc", "CXX": "c++", "AR": "ar", "RANLIB": "ranlib", "STRIP": "strip"}
        return {variable: shlex.quote(str(self.tool(name))) for variable, name in names.items()}

    def write(self, *, tree: Path, site: Path, prefixes: Sequence[Path], target_site: Path, python: Path) -> None:
        """Write everything for a build of ``tree``.

        ``site`` is the build environment's site-packages, ``target_site`` the target's counterpart of some of it;
        ``prefixes`` hold the headers and libraries of the interpreter that runs the build, ``python``.
        """
        (self.folder / "bin").mkdir(parents=True)
        (self.folder / "pkgconfig").mkdir()
        compiler_file = self.folder / "compiler.json"
        roots = {tree: ".", site: "site-packages", target_site: "site-packages", self.folder: "toolchain",
                 self.target.include: "include", **dict.fromkeys(prefixes, "python")}  # fmt: skip
        _write_json(compiler_file, self._compiler_facts(roots, site, prefixes, target_site))
        _write_json(self.shim_file, self._shim_facts(tree))
        script = shlex.quote(str(Path(__file__).with_name("_compiler.py")))
        for name, tool in _TOOLS.items():
            words = f"{shlex.quote(sys.executable)} -I -S -E {script} {shlex.quote(str(compiler_file))} {tool}"
            self._script(name, f'exec {words} "$@"')
        for name in _NOT_NEEDED:
            self._script(name, "exit 0")
        (self.folder / "toolchain.cmake").write_text(self._cmake(), encoding="utf-8")
        (self.folder / "config.site").write_text(self._config_site(), encoding="utf-8")
        self.meson_file.write_text(self._meson(python), encoding="utf-8")

    def settings_for(self, backend: str) -> dict[str, list[str]]:
        """The config settings (PEP 517) that a backend needs to learn of the target, where variables do not tell it."""
        return {"setup-args": [f"--cross-file={self.meson_file}"]} if backend == "mesonpy" else {}

    def variables(self, environment: Mapping[str, str], python: Path, backend: str) -> dict[str, str]:
        """The environment of a build: of the user's only what says nothing of compiling, then what points to the target."""
        kept = {name: environment[name] for name in _KEPT_VARIABLES if name in environment}
        # Meson takes CC and the like for this machine's compilers
        compilers = {} if backend == "mesonpy" else self.compilers
        return {
            **kept, **compilers, **self._rust(environment), "PYRUNENV_TARGET": str(self.shim_file),
            "PATH": os.pathsep.join([str(self.folder / "bin"), str(python.parent), *self._cargo(environment), os.defpath]),
            "CMAKE_TOOLCHAIN_FILE": str(self.folder / "toolchain.cmake"), "CONFIG_SITE": str(self.folder / "config.site"),
            "CMAKE_GENERATOR": "Ninja", "PKG_CONFIG_LIBDIR": str(self.folder / "pkgconfig"), "PKG_CONFIG_PATH": "",
            "VIRTUAL_ENV": str(python.parent.parent), "SETUPTOOLS_EXT_SUFFIX": self.target.extension_suffix,
            "ZIG_GLOBAL_CACHE_DIR": str(self.zig_cache), "ZIG_LOCAL_CACHE_DIR": str(self.zig_cache),
            "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1", "PYTHONWARNINGS": "ignore",
            "LC_ALL": "C.UTF-8", "TZ": "UTC", "SOURCE_DATE_EPOCH": "315532800", "ZERO_AR_DATE": "1",
            **({"MACOSX_DEPLOYMENT_TARGET": self.target.macos} if self.target.platform.system == "macosx" else {}),
        }  # fmt: skip

    def _cargo(self, environment: Mapping[str, str]) -> list[str]:
        """The folder of the user's Rust, which no system folder holds."""
        found = shutil.which("cargo", path=environment.get("PATH"))
        return [str(Path(found).parent)] if found else []

    def _rust(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What tells cargo, maturin, setuptools-rust and PyO3 of the target, with the C compiler as the linker."""
        target, name = self.target, self.target.rust
        variable = name.upper().replace("-", "_")
        home = Path(environment.get("HOME") or Path.home())
        return {
            "CARGO_HOME": environment.get("CARGO_HOME") or str(home / ".cargo"),
            "RUSTUP_HOME": environment.get("RUSTUP_HOME") or str(home / ".rustup"),
            "CARGO_BUILD_TARGET": name, f"CARGO_TARGET_{variable}_LINKER": str(self.tool("cc")),
            f"CC_{name}": str(self.tool("cc")), f"CXX_{name}": str(self.tool("c++")), f"AR_{name}": str(self.tool("ar")),
            "PYO3_CROSS": "1", "PYO3_CROSS_PYTHON_VERSION": target.minor,
            "PYO3_CROSS_LIB_DIR": str(target.libraries or target.include.parent),
        }  # fmt: skip

    def _script(self, name: str, body: str) -> None:
        path = self.tool(name)
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def _compiler_facts(
        self, roots: Mapping[Path, str], site: Path, prefixes: Sequence[Path], target_site: Path
    ) -> dict[str, Any]:
        target = self.target
        library = target.libraries and target.libraries / f"python{target.nodot}.lib"
        # the longest first: a path is replaced by the first that fits
        maps = sorted({os.path.realpath(root): name for root, name in roots.items()}.items(), key=lambda m: -len(m[0]))
        return {
            "zig": str(self.zig) if self.zig else None,
            "without_zig": WITHOUT_ZIG,
            "target": target.zig,
            "gnu": target.gnu,
            "system": target.system,
            "include": str(target.include),
            "defines": target.defines,
            "link": [str(library)] if library else [],
            "host_folders": [str(p / below) for p in prefixes for below in ("include", "lib", "lib64")],
            "site": [str(site), os.path.realpath(site)],
            "target_site": str(target_site),
            "prefix_maps": [f"-ffile-prefix-map={root}={name}" for root, name in maps],
        }

    def _shim_facts(self, tree: Path) -> dict[str, Any]:
        target = self.target
        packages = () if target.platform.windows else _TOLD_PACKAGES
        linux, macos = target.platform.system == "linux", target.platform.system == "macosx"
        return {
            "tree": str(tree),
            "packages": packages,
            "sysconfig_platform": target.sysconfig_platform,
            "variables": target.variables(self.compilers),
            "include": str(target.include),
            "sys_platform": target.sys_platform,
            "os_name": target.platform.markers["os_name"],
            "system": target.system,
            "machine": target.machine,
            "release": target.darwin_release if macos else "10" if target.platform.windows else "",
            "libc": ["glibc", target.glibc] if linux else ["", ""],
            "macos": target.macos if macos else None,
            "windows_prefix": str(target.libraries.parent) if target.libraries else None,
            "abi3_suffix": ".pyd" if target.platform.windows else ".abi3.so",
        }

    def _cmake(self) -> str:
        """A toolchain file; see cmake-toolchains(7)."""
        target = self.target
        macos = target.platform.system == "macosx"
        values = {
            "CMAKE_SYSTEM_NAME": target.system, "CMAKE_SYSTEM_PROCESSOR": target.machine,
            **({"CMAKE_OSX_DEPLOYMENT_TARGET": target.macos, "CMAKE_SYSTEM_VERSION": target.darwin_release,
                "CMAKE_OSX_SYSROOT": "", "CMAKE_OSX_ARCHITECTURES": target.machine} if macos else {}),
            "CMAKE_C_COMPILER": self.tool("cc"), "CMAKE_CXX_COMPILER": self.tool("c++"), "CMAKE_AR": self.tool("ar"),
            "CMAKE_RANLIB": self.tool("ranlib"), "CMAKE_STRIP": self.tool("strip"),
            "CMAKE_INSTALL_NAME_TOOL": self.tool("install_name_tool"), "CMAKE_RC_COMPILER": self.tool("windres"),
            "CMAKE_DLLTOOL": self.tool("dlltool"), "CMAKE_BUILD_WITH_INSTALL_RPATH": "TRUE",
            "CMAKE_FIND_ROOT_PATH_MODE_PROGRAM": "NEVER", "CMAKE_FIND_USE_CMAKE_SYSTEM_PATH": "FALSE",
            "CMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH": "FALSE", "CMAKE_POSITION_INDEPENDENT_CODE": "TRUE",
        }  # fmt: skip
        return "".join(f'set({name} "{value}")\n' for name, value in values.items())

    def _config_site(self) -> str:
        """What configure scripts cannot find out without running what they compiled; see Autoconf's "Site Defaults"."""
        facts = {
            "host_alias": self.target.gnu, "build_alias": "x86_64-pc-linux-gnu", "cross_compiling": "yes",
            "ac_cv_c_bigendian": "no", "ac_cv_func_malloc_0_nonnull": "yes", "ac_cv_func_realloc_0_nonnull": "yes",
        }  # fmt: skip
        return "".join(f"{name}={value}\n" for name, value in facts.items())

    def _meson(self, python: Path) -> str:
        """A cross file; see https://mesonbuild.com/Cross-compilation.html."""
        target = self.target
        programs = {"c": "cc", "cpp": "c++", "ar": "ar", "strip": "strip", "ranlib": "ranlib", "windres": "windres",
                    "objcopy": "objcopy"}  # fmt: skip
        lines = ["[binaries]", *(f"{name} = {_in_meson(self.tool(tool))}" for name, tool in programs.items())]
        lines += [f"python = {_in_meson(python)}", "[host_machine]", f"system = '{target.system.lower()}'"]
        lines += [f"cpu_family = '{target.cpu}'", f"cpu = '{target.cpu}'", "endian = 'little'", "[properties]"]
        lines += ["needs_exe_wrapper = true", "skip_sanity_check = true"]
        lines += [f"longdouble_format = '{_LONG_DOUBLE.get(target.platform.key, 'INTEL_EXTENDED_16_BYTES_LE')}'"]
        return "\n".join(lines) + "\n"


@cache
def find_zig() -> tuple[Path, str] | None:
    """Return zig's program and version, as the package ziglang brings it; None where that is not installed."""
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    spec = find_spec("ziglang")
    if spec is None or spec.origin is None:
        return None
    name = "zig.exe" if os.name == "nt" else "zig"
    try:
        return Path(spec.origin).parent / name, version("ziglang")
    except PackageNotFoundError:
        return None


def _in_meson(path: Path) -> str:
    """A path as a string of Meson's language."""
    return "'" + str(path).replace("\\", r"\\").replace("'", r"\'") + "'"


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
