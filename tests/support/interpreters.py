"""Makes interpreter archives like python-build-standalone's `install_only` ones, for platforms that no host can run.

The standard library is that of the Python that runs the tests; programs and libraries are headers of the right format
and nothing more. There is junk that no bundle may hold: tests, bytecode, static libraries, build paths, compilers.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import struct
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from pyrunenv.platforms import PLATFORMS, Platform
from support.wheels import metadata, zip_bytes

BUILD = "20250529"
JUNK = "made on the build machine"
"""Stands in every file that a bundle must not hold."""

_NOT_COPIED = {
    "site-packages",
    "test",
    "tests",
    "__pycache__",
    "lib-dynload",
    "idlelib",
    "turtledemo",
    "tkinter",
    "pydoc_data",
}
_FILLER = bytes(range(256)) * 64


def elf(machine: int, payload: bytes = _FILLER) -> bytes:
    """Return a shared library that is nothing but an ELF64 header and ``payload``."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return struct.pack("<16sHHIQQQIHHHHHH", ident, 3, machine, 1, 0, 0, 0, 0, 64, 56, 0, 64, 0, 0) + payload


def macho(cpu: int, floor: tuple[int, int], payload: bytes = _FILLER) -> bytes:
    """Return a Mach-O header with one LC_BUILD_VERSION that demands ``floor``."""
    version = floor[0] << 16 | floor[1] << 8
    command = struct.pack("<IIIIII", 0x32, 24, 1, version, version, 0)
    return struct.pack("<IIIIIIII", 0xFEEDFACF, cpu, 0, 6, 1, len(command), 0, 0) + command + payload


def pe(machine: int, payload: bytes = _FILLER) -> bytes:
    """Return an MZ stub and the PE header that names the machine."""
    return b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", machine) + bytes(18) + payload


def program(platform: Platform) -> bytes:
    """Return a file that says it is for a platform, and is not more than that."""
    x64 = platform.arch == "x64"
    if platform.system == "linux":
        return elf(62 if x64 else 183)
    if platform.system == "macosx":
        return macho(0x01000007, (10, 15)) if x64 else macho(0x0100000C, (11, 0))
    return pe(0x8664)


def make_interpreter_archives(
    folder: Path,
    python_version: str,
    *,
    platforms: Iterable[str] = tuple(PLATFORMS),
    small: bool = False,
    development: Mapping[str, Mapping[str, bytes]] | None = None,
) -> dict[str, tuple[Path, str]]:
    """Write one archive a platform; returns path and sha256 by platform key. Equal arguments give equal bytes.

    A ``small`` one has a dozen modules and a pip that is none, for tests that build often. ``development`` has, by
    platform and path, what stands in place of the headers and import libraries that are none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for key in platforms:
        path = folder / asset_name(python_version, PLATFORMS[key])
        if development is None:
            content = _archive(python_version, PLATFORMS[key], small)
        else:
            content = _packed(_with_development(_files(python_version, PLATFORMS[key], small), development[key]))
        path.write_bytes(content)
        made[key] = (path, hashlib.sha256(content).hexdigest())
    return made


def asset_name(python_version: str, platform: Platform, build: str = BUILD) -> str:
    """Return the file name that python-build-standalone would give it."""
    return f"cpython-{python_version}+{build}-{platform.triple}-install_only_stripped.tar.gz"


def mirror_tree(
    folder: Path, python_version: str, archives: Mapping[str, tuple[Path, str]], *, build: str = BUILD
) -> Path:
    """Lay archives out as a mirror has them, ``<folder>/<build>/<asset>``; returns ``folder``.

    A server or a ``file:`` URL of it is what ``python.mirror`` names; in URLs the asset's ``+`` is ``%2B``.
    """
    (folder / build).mkdir(parents=True, exist_ok=True)
    for key, (path, _) in archives.items():
        shutil.copyfile(path, folder / build / asset_name(python_version, PLATFORMS[key], build))
    return folder


def archive_config(archives: Mapping[str, tuple[Path, str]]) -> dict[str, dict[str, str]]:
    """Return what ``python.archives`` says of them, with file URLs."""
    return {key: {"url": path.as_uri(), "sha256": digest} for key, (path, digest) in archives.items()}


@lru_cache(maxsize=8)
def _archive(version: str, platform: Platform, small: bool) -> bytes:
    return _packed(_files(version, platform, small))


def _files(version: str, platform: Platform, small: bool) -> dict[str, bytes | str]:
    """Return contents, or the targets of links, by path."""
    minor = ".".join(version.split(".")[:2])
    stdlib = _small_stdlib() if small else _stdlib()
    make = _windows if platform.windows else _posix
    return dict(make(version, minor, platform, stdlib))


def _with_development(files: Mapping[str, bytes | str], given: Mapping[str, bytes]) -> dict[str, bytes | str]:
    kept = {name: content for name, content in files.items()
            if not name.startswith("include/") and not (name.startswith("libs/") and name.endswith(".lib"))}  # fmt: skip
    return {**kept, **given}


def _packed(files: Mapping[str, bytes | str]) -> bytes:
    raw = io.BytesIO()
    # level 1: what these archives are for is their shape
    with (
        gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        for name in sorted(files):
            content = files[name]
            info = tarfile.TarInfo(f"python/{name}")
            info.mtime, info.mode = 1_700_000_000, 0o775 if name.startswith("bin/") or ".so" in name else 0o664
            info.uid = info.gid = 1000
            info.uname = info.gname = "builder"
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


@lru_cache(maxsize=1)
def _stdlib() -> tuple[tuple[str, bytes], ...]:
    """Return the modules of the running Python's standard library, and the wheels in its ensurepip."""
    root = Path(os.__file__).parent
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _NOT_COPIED and not name.startswith("config-"))
        for name in sorted(names):
            path = Path(folder, name)
            machine_made = name.startswith("_sysconfig") or name in ("sitecustomize.py", "usercustomize.py")
            if name.endswith((".py", ".txt", ".whl", ".exe")) and not machine_made and path.is_file():
                found.append((path.relative_to(root).as_posix(), path.read_bytes()))
    return tuple(found)


def _small_stdlib() -> tuple[tuple[str, bytes], ...]:
    info = "pip-23.0.dist-info"
    pip = zip_bytes(
        {"pip/__init__.py": b"", f"{info}/METADATA": metadata("pip", "23.0").encode(), f"{info}/RECORD": b""}
    )
    modules = [
        (name, content) for name, content in _stdlib() if name in ("os.py", "site.py") or name.startswith("json/")
    ]
    return (*modules, ("ensurepip/_bundled/pip-23.0-py3-none-any.whl", pip))


def _shared_junk(stdlib: str) -> Iterator[tuple[str, bytes | str]]:
    for name in ("test/__init__.py", "test/support/__init__.py", "unittest/test/test_case.py", "ctypes/tests/test_x.py",
                 "idlelib/idle.py", "turtledemo/clock.py", "tkinter/__init__.py", "turtle.py", "pydoc_data/topics.py",
                 "__pycache__/os.cpython-312.pyc", "json/__pycache__/x.cpython-312.opt-1.pyc", "EXTERNALLY-MANAGED",
                 "sitecustomize.py", "site-packages/evil.pth", "site-packages/pip/__init__.py",
                 "site-packages/pip-1.dist-info/direct_url.json", "site-packages/README.txt"):  # fmt: skip
        yield f"{stdlib}/{name}", f"# {JUNK}\n".encode()


def _posix(
    version: str, minor: str, platform: Platform, modules: Iterable[tuple[str, bytes]]
) -> Iterator[tuple[str, bytes | str]]:
    stdlib, binary = f"lib/python{minor}", program(platform)
    suffix = "dylib" if platform.system == "macosx" else "so.1.0"
    tail = "darwin" if platform.system == "macosx" else f"{platform.machine}-linux-gnu"
    abi = f"cpython-{minor.replace('.', '')}-{tail}"
    yield from ((f"{stdlib}/{name}", content) for name, content in modules)
    yield from _shared_junk(stdlib)
    yield f"bin/python{minor}", binary
    yield "bin/python3", f"python{minor}"
    yield "bin/python", f"python{minor}"
    yield f"lib/libpython{minor}.{suffix}", binary
    for module in ("_ssl", "_sqlite3", "_ctypes"):
        yield f"{stdlib}/lib-dynload/{module}.{abi}.so", binary
    for module in ("_tkinter", "_testcapi", "_ctypes_test", "xxlimited", "_xxtestfuzz"):
        yield f"{stdlib}/lib-dynload/{module}.{abi}.so", binary + JUNK.encode()
    yield f"{stdlib}/_sysconfigdata__{platform.system}_.py", _sysconfigdata(minor)
    yield f"{stdlib}/config-{minor}-x/Makefile", f"prefix=/install\nCC=clang\n# {JUNK}\n".encode()
    yield f"{stdlib}/config-{minor}-x/libpython{minor}.a", JUNK.encode() * 1000
    yield f"lib/libpython{minor}.a", JUNK.encode() * 1000
    for name in ("lib/tcl8.6/init.tcl", "lib/tk8.6/tk.tcl", "lib/thread2.8.9/x.tcl", "share/man/man1/python3.1",
                 "share/terminfo/E/Eterm", "share/terminfo/e/eterm"):  # fmt: skip
        yield name, JUNK.encode()
    yield (
        f"lib/pkgconfig/python-{minor}.pc",
        (
            f"prefix=/install\nexec_prefix=${{prefix}}\nlibdir=/install/lib\nincludedir=${{prefix}}/include\n\n"
            f"Name: Python\nVersion: {minor}\nLibs.private: -L/install/lib -lm\nLibs: -L${{libdir}} -lpython{minor}\n"
            f"Cflags: -I${{includedir}}/python{minor}\n"
        ).encode(),
    )
    yield "lib/pkgconfig/python3.pc", f"python-{minor}.pc"
    yield f"include/python{minor}/patchlevel.h", _patchlevel(version)
    yield f"include/python{minor}/Python.h", b"#include <stdio.h>\n"
    for script in ("pip", "pip3", f"pip{minor}", "idle3", "pydoc3", "2to3", f"python{minor}-config"):
        yield f"bin/{script}", f"#!/install/bin/python{minor}\n# {JUNK}\n".encode()


def _windows(
    version: str, minor: str, platform: Platform, modules: Iterable[tuple[str, bytes]]
) -> Iterator[tuple[str, bytes | str]]:
    binary, nodot = program(platform), minor.replace(".", "")
    yield from ((f"Lib/{name}", content) for name, content in modules)
    yield from _shared_junk("Lib")
    for name in (
        "python.exe",
        "pythonw.exe",
        "python3.dll",
        f"python{nodot}.dll",
        "vcruntime140.dll",
        "vcruntime140_1.dll",
    ):
        yield name, binary
    for name in ("_ssl.pyd", "_sqlite3.pyd", "_ctypes.pyd", "libssl-3-x64.dll", "sqlite3.dll"):
        yield f"DLLs/{name}", binary
    for name in ("_tkinter.pyd", "tcl86t.dll", "tk86t.dll", "_testcapi.pyd", "_ctypes_test.pyd"):
        yield f"DLLs/{name}", binary + JUNK.encode()
    yield f"libs/python{nodot}.lib", b"!<arch>\n"
    yield "include/patchlevel.h", _patchlevel(version)
    yield "include/Python.h", b"#include <stdio.h>\r\n"
    yield "LICENSE.txt", b"PSF LICENSE AGREEMENT\r\n"
    for name in ("python.pdb", "Scripts/pip.exe", "tcl/tcl8.6/init.tcl", "libs/_tkinter.pdb", f"python{nodot}._pth"):
        yield name, JUNK.encode()


def _patchlevel(version: str) -> bytes:
    return f'/* Version as a string */\n#define PY_VERSION      \t"{version}"\n'.encode()


def _sysconfigdata(minor: str) -> bytes:
    variables = {
        "AR": "llvm-ar", "ARFLAGS": "rcs", "BLDSHARED": "clang -pthread -shared -Wl,-rpath,/install/lib -L/install/lib",
        "BINDIR": "/install/bin", "CC": "clang -pthread", "CXX": "clang++ -pthread",
        "CFLAGS": "-O3 -isysroot /build/SDK -g", "CONFIG_ARGS": "'--prefix=/install' 'CC=/tools/bin/clang'",
        "EXT_SUFFIX": ".so", "INSTALL": "/usr/bin/install -c", "LDSHARED": "clang -pthread -shared -L/tools/deps/lib",
        "LIBDIR": "/install/lib", "LINKCC": "clang", "Py_ENABLE_SHARED": 1, "TZPATH": "/usr/share/zoneinfo",
        "VERSION": minor,
        "exec_prefix": "/install", "prefix": "/install", "srcdir": "/build/Python",
    }  # fmt: skip
    return f"# generated\nbuild_time_vars = {variables!r}\n".encode()
