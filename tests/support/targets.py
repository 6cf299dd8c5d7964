"""Interpreter archives with real headers, for wheels that tests compile for the five platforms."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from pyrunenv.platforms import PLATFORMS, Platform, host
from support.foreign import WINDOWS_VERSION, windows_files
from support.interpreters import make_interpreter_archives

VERSION = WINDOWS_VERSION
"""Of all platforms' archives, so that one environment serves them all."""
MINOR = VERSION.rpartition(".")[0]

_NOT_ON_AARCH64 = re.compile(r"HAVE_GCC_ASM_FOR_X(64|87)")
_NOT_ON_MACOS = re.compile(
    r"""
    HAVE_( ACCEPT4 | ASM_TYPES_H | CLOCK_NANOSLEEP | CLOSE_RANGE | COPY_FILE_RANGE | CRYPT_[HR] | DUP3 | ENDIAN_H
         | EPOLL(_CREATE1)? | EVENTFD | EXPLICIT_BZERO | FDATASYNC | FEXECVE | FUTIMESAT | GCC_ASM_FOR_X87
         | GETHOSTBYNAME_R(_6_ARG)? | GETRANDOM(_SYSCALL)? | GETSPENT | GETSPNAM | [GS]ETRES[GU]ID | HTOLE64 | LINUX_\w+
         | MEMFD_CREATE | MEMRCHR | MREMAP | NETPACKET_PACKET_H | PIPE2 | POSIX_FADVISE | POSIX_FALLOCATE | P(READ|WRITE)V2
         | PRLIMIT | PTHREAD_CONDATTR_SETCLOCK | PTHREAD_GETCPUCLOCKID | PTY_H | RPC_RPC_H | SCHED_RR_GET_INTERVAL
         | SCHED_SET\w+ | SEM_CLOCKWAIT | SEM_TIMEDWAIT | SHADOW_H | SIGTIMEDWAIT | SIGWAITINFO | SOCKADDR_ALG | SPLICE
         | STAT_TV_NSEC | SYS_(AUXV|EPOLL|EVENTFD|SENDFILE|SOUNDCARD|SYSMACROS)_H | TMPNAM_R | UTMP_H
         | UUID_GENERATE_TIME_SAFE | UUID_H )
    | MAJOR_IN_SYSMACROS | PTHREAD_KEY_T_IS_COMPATIBLE_WITH_INT | PTHREAD_SYSTEM_SCHED_SUPPORTED
    | _POSIX_C_SOURCE | _XOPEN_SOURCE(_EXTENDED)?
    """,
    re.VERBOSE,
)
_ON_MACOS = re.compile(
    r"""
    HAVE_( BROKEN_SEM_GETVALUE | L?CHFLAGS | LCHMOD | CTERMID_R | DYLD_SHARED_CACHE_CONTAINS_PATH | KQUEUE
         | SOCKADDR_SA_LEN | STAT_TV_NSEC2 | STRLCPY | STRUCT_STAT_ST_(BIRTHTIME|FLAGS|GEN)
         | SYS_(EVENT|KERN_CONTROL|LOCK|RANDOM|SYS_DOMAIN)_H | UTIL_H | UUID_UUID_H )
    | WITH_DYLD | _DARWIN_C_SOURCE
    """,
    re.VERBOSE,
)
_SETTING = re.compile(r"^(?:#define (\w+)\b.*|/\* #undef (\w+) \*/)$", re.MULTILINE)


def target_archives(
    folder: Path, *, platforms: Iterable[str] = tuple(PLATFORMS)
) -> tuple[str, dict[str, tuple[Path, str]]]:
    """Write an interpreter archive a platform with headers to compile against; returns Python's full version, and path
    and sha256 by platform key, which :func:`~support.interpreters.archive_config` takes.

    Those for Windows, with the import libraries, are of CPython's own Windows tree, from PyPI. Those for Linux on
    x86_64 are of a Python 3.11 here; the others are the same, but ``pyconfig.h`` says what configure finds there:

    - linux-aarch64: no x87 and x64 assembler. Debian's arm64 package and its amd64 one differ in no more.
    - macosx-x64, macosx-aarch64: none of what only Linux has (epoll, getrandom, crypt.h, endian.h, linux/*.h), but
      kqueue, ``st_flags``, dyld and the like; other sizes of fpos_t and pthread_key_t; neither ``_POSIX_C_SOURCE`` nor
      ``_XOPEN_SOURCE``. As the one of a Python.framework of macOS has it. On arm64 a long double is a double, and there
      is no x64 assembler; ``pymacconfig.h`` decides about x87.

    All say that they are of :data:`VERSION`. Skips the test where this machine is no Linux on x86_64, or has no
    Python 3.11 with headers.
    """
    chosen = tuple(platforms)
    development = {key: _development(PLATFORMS[key]) for key in chosen}
    return VERSION, make_interpreter_archives(folder, VERSION, platforms=chosen, development=development)


def host_python() -> Path:
    """Return a Python 3.11 of this machine that is no virtual environment; skips the test where there is none."""
    for python in _pythons():
        return python
    pytest.skip(f"no Python {MINOR} here, neither of pyenv nor of uv")


def _pythons() -> Iterator[Path]:
    own = f"{sys.version_info.major}.{sys.version_info.minor}" == MINOR
    if own:
        yield Path(getattr(sys, "_base_executable", sys.executable))
    yield from sorted(Path.home().glob(f".pyenv/versions/{MINOR}*/bin/python{MINOR}"), reverse=True)
    command = [find_uv_bin(), "python", "find", "--no-project", "--no-config", "--system", MINOR]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        yield Path(done.stdout.strip())


def _include() -> Path:
    """Return the headers of a Python 3.11 here; those of Debian's are no use, as half of them lie elsewhere."""
    if host() is not PLATFORMS["linux-x64"]:
        pytest.skip(f"the headers of this machine, {host()}, are not those of linux-x64")
    for python in _pythons():
        command = [python, "-c", "import sysconfig; print(sysconfig.get_path('include'))"]
        include = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        config = include / "pyconfig.h"
        if (include / "Python.h").is_file() and config.is_file() and "SIZEOF_LONG_DOUBLE" in config.read_text():
            return include
    pytest.skip(f"no Python {MINOR} with headers here, neither of pyenv nor of uv")


def _development(platform: Platform) -> dict[str, bytes]:
    """Return the contents of headers and import libraries by path below the prefix."""
    if platform.windows:
        files = windows_files("include", "libs")
        needed = f"libs/python{MINOR.replace('.', '')}.lib", "libs/python3.lib"
        return {name: content for name, content in files.items() if name.startswith("include/") or name in needed}
    include, top = _include(), platform.layout.at(platform.layout.include, VERSION)
    files = {f"{top}/{path.relative_to(include).as_posix()}": path.read_bytes()
             for path in sorted(include.rglob("*.h"))}  # fmt: skip
    config = f"{top}/pyconfig.h"
    files[config] = _configured(files[config].decode(), platform).encode()
    files[f"{top}/patchlevel.h"] = _of_version(files[f"{top}/patchlevel.h"].decode()).encode()
    return files


def _configured(pyconfig: str, platform: Platform) -> str:
    """Return linux-x64's pyconfig.h as another platform has it."""
    arm, mac = platform.arch == "aarch64", platform.system == "macosx"
    absent = [pattern for pattern, here in ((_NOT_ON_AARCH64, arm), (_NOT_ON_MACOS, mac)) if here]
    values = {"SIZEOF_FPOS_T": 8, "SIZEOF_PTHREAD_KEY_T": 8, "SIZEOF_LONG_DOUBLE": 8 if arm else 16} if mac else {}

    def line(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if any(pattern.fullmatch(name) for pattern in absent):
            return f"/* #undef {name} */"
        value = values.get(name, 1 if mac and _ON_MACOS.fullmatch(name) else None)
        return found[0] if value is None else f"#define {name} {value}"

    return _SETTING.sub(line, pyconfig)


def _of_version(patchlevel: str) -> str:
    micro = VERSION.rpartition(".")[2]
    patchlevel = re.sub(r"(#define PY_MICRO_VERSION\s+)\d+", rf"\g<1>{micro}", patchlevel)
    return re.sub(r'(#define PY_VERSION\s+)"[^"]*"', rf'\g<1>"{VERSION}"', patchlevel)
