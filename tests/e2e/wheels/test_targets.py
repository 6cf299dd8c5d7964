"""What wheels are compiled against in tests, and what runs them, are what they say they are."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from support.runners import RUNNABLE, runner
from support.wheels import make_wheel

from pyrunenv.interpreters.prepare import prepare
from pyrunenv.lock.model import Floors, LockedInterpreter
from pyrunenv.platforms import PLATFORMS

pytestmark = [pytest.mark.network, pytest.mark.slow]

COMPILED = ["MarkupSafe==3.0.2", "numpy==1.26.4"]
SNIPPET = """
import platform, sys
import markupsafe._speedups, numpy, ours
assert numpy.linalg.inv(numpy.eye(3)).sum() == 3
assert ours.__version__ == "1.0"
print(sys.platform, platform.machine(), sys.version_info[:2], "“ü”")
try:
    import pip
except ImportError:
    sys.exit(7)
"""
SPOKEN = {"linux-x64": "linux x86_64", "linux-aarch64": "linux aarch64", "windows-x64": "win32 AMD64"}
DEFINED = {
    "linux-x64": {"HAVE_EPOLL": "1", "HAVE_GCC_ASM_FOR_X64": "1", "SIZEOF_LONG_DOUBLE": "16"},
    "linux-aarch64": {"HAVE_EPOLL": "1", "HAVE_GCC_ASM_FOR_X64": None, "SIZEOF_LONG_DOUBLE": "16"},
    "macosx-x64": {"HAVE_EPOLL": None, "HAVE_KQUEUE": "1", "HAVE_GCC_ASM_FOR_X64": "1", "SIZEOF_LONG_DOUBLE": "16"},
    "macosx-aarch64": {"HAVE_EPOLL": None, "HAVE_KQUEUE": "1", "HAVE_CRYPT_H": None, "HAVE_ENDIAN_H": None,
                       "HAVE_LINUX_RANDOM_H": None, "HAVE_GCC_ASM_FOR_X64": None, "SIZEOF_LONG_DOUBLE": "8",
                       "SIZEOF_PTHREAD_KEY_T": "8", "_DARWIN_C_SOURCE": "1"},
    "windows-x64": {"MS_WIN32": "", "HAVE_EPOLL": None, "SIZEOF_WCHAR_T": "2"},
}  # fmt: skip


@pytest.mark.parametrize("key", DEFINED)
def test_prepared_archives_have_the_headers_of_their_platform(
    key: str, targets: tuple[str, dict[str, tuple[Path, str]]], tmp_path: Path
) -> None:
    """They pass as interpreters, are all of one version, and pyconfig.h tells the platforms apart."""
    version, archives = targets
    path, sha256 = archives[key]
    found = prepare(
        LockedInterpreter("archive", version, url=path.as_uri(), sha256=sha256), PLATFORMS[key], cache_root=tmp_path,
        fetch=lambda url, digest: path, floors=Floors("2.28", "13.0"), python_version=version,
    )  # fmt: skip
    assert (found.version, found.publishable) == (version, True)
    include = PLATFORMS[key].layout.at(PLATFORMS[key].layout.include, version)
    with tarfile.open(found.tar) as tar:
        files = {
            member.name: tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar
            if member.isfile() and member.name.startswith(("include/", "libs/"))
        }
    assert {"Python.h", "structmember.h", "cpython/object.h", "internal/pycore_object.h"} <= {
        name.removeprefix(f"{include}/") for name in files
    }
    assert define(files[f"{include}/patchlevel.h"], "PY_VERSION") == f'"{version}"'
    assert define(files[f"{include}/patchlevel.h"], "PY_MICRO_VERSION") == version.split(".")[2]
    settings = files[f"{include}/pyconfig.h"]
    assert {name: define(settings, name) for name in DEFINED[key]} == DEFINED[key]
    imports = {name: content for name, content in files.items() if name.endswith(".lib")}
    assert list(imports) == (["libs/python3.lib", "libs/python311.lib"] if key == "windows-x64" else [])
    assert all(content.startswith(b"!<arch>\n") and b"PyLong_FromLong" in content for content in imports.values())


def define(header: bytes, name: str) -> str | None:
    """What a header defines a name to be, wherever it does; None where it does not."""
    found = re.search(rf"^#[ \t]*define[ \t]+{name}\b(.*)$", header.decode().replace("\r", ""), re.MULTILINE)
    return found and re.sub(r"/\*.*", "", found[1]).strip()


@pytest.mark.parametrize("key", RUNNABLE)
def test_a_platforms_python_imports_its_wheels_and_nothing_else(key: str, machines: Path, tmp_path: Path) -> None:
    """PyPI's compiled wheels and a file of ours are imported; what that Python has installed itself is not."""
    ours = make_wheel(tmp_path, "ours", "1.0")
    done = runner(key, machines, [ours], COMPILED)(SNIPPET)
    assert (done.returncode, done.stdout, done.stderr) == (7, f"{SPOKEN[key]} (3, 11) “ü”\n", "")


def test_another_platforms_wheel_is_refused(machines: Path, tmp_path: Path) -> None:
    """By its tags, as pip on that platform would."""
    theirs = make_wheel(tmp_path, "theirs", "1.0", tag="cp311-cp311-win_amd64")
    with pytest.raises(subprocess.CalledProcessError):
        runner("linux-x64", machines, [theirs])


def test_what_nothing_here_can_run_is_skipped(tmp_path: Path) -> None:
    """There is no emulator of macOS."""
    with pytest.raises(pytest.skip.Exception, match="macosx-aarch64"):
        runner("macosx-aarch64", tmp_path)
