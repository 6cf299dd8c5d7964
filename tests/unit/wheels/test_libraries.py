"""Which libraries are found on a platform, and which in a wheel."""

from __future__ import annotations

import pytest

from pyrunenv.interpreters.formats import Format
from pyrunenv.wheels.libraries import missing, python_of

HELD = frozenset({"libfoo-12ab.so.3", "libfoo.dylib", "foo-12ab.dll", "libpython3.12.dylib"})


@pytest.mark.parametrize(
    ("kind", "name", "there"),
    [
        ("elf", "libc.so.6", True),
        ("elf", "libstdc++.so.6", True),
        ("elf", "ld-linux-aarch64.so.1", True),
        ("elf", "libz.so.1", True),
        ("elf", "libfoo-12ab.so.3", True),
        ("elf", "$ORIGIN/../a.libs/libfoo-12ab.so.3", True),
        ("elf", "/build/lib/libfoo-12ab.so.3", False),
        ("elf", "/lib/libc.so.6", False),
        ("elf", "libfoo.so.3", False),
        ("elf", "libpython3.12.so.1.0", False),
        ("elf", "libcrypt.so.1", False),
        ("elf", "libc.musl-x86_64.so.1", False),
        ("mach-o", "/usr/lib/libSystem.B.dylib", True),
        ("mach-o", "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation", True),
        ("mach-o", "@rpath/libfoo.dylib", True),
        ("mach-o", "@loader_path/.dylibs/libfoo.dylib", True),
        ("mach-o", "@rpath/libbar.dylib", False),
        ("mach-o", "libfoo.dylib", False),
        ("mach-o", "@executable_path/../lib/libfoo.dylib", False),
        ("mach-o", "/opt/homebrew/lib/libfoo.dylib", False),
        ("mach-o", "/usr/local/lib/libfoo.dylib", False),
        ("mach-o", "/usr/lib/libpython2.7.dylib", False),
        ("mach-o", "/Library/Frameworks/Python.framework/Versions/3.12/Python", False),
        ("pe", "KERNEL32.dll", True),
        ("pe", "WINSPOOL.DRV", True),
        ("pe", "api-ms-win-crt-runtime-l1-1-0.dll", True),
        ("pe", "python3.dll", True),
        ("pe", "python312.dll", True),
        ("pe", "VCRUNTIME140_1.dll", True),
        ("pe", "FOO-12ab.dll", True),
        ("pe", "MSVCP140.dll", False),
        ("pe", "libgcc_s_seh-1.dll", False),
        ("pe", "concrt140.dll", False),
    ],
)
def test_a_library_is_there_or_missing(kind: Format, name: str, there: bool) -> None:
    """On the platform, beside Python or in the wheel; libpython never, nor what lies at a path of the build machine."""
    assert missing("a/b.so", (name,), kind, HELD) == (() if there else (name,))


def test_visual_cs_library_may_do_without_its_companion() -> None:
    """A repaired wheel holds msvcp140 under another name, and never concrt140, which only Windows XP needed."""
    assert missing("a.libs/msvcp140-0f2e.dll", ("CONCRT140.dll", "x.dll"), "pe", HELD) == ("x.dll",)
    assert missing("a.libs/other.dll", ("CONCRT140.dll",), "pe", HELD) == ("CONCRT140.dll",)


@pytest.mark.parametrize(
    ("name", "version"),
    [("python312.dll", "3.12"), ("PYTHON39.DLL", "3.9"), ("python313t.dll", "3.13"), ("python3.dll", None),
     ("python27.dll", None), ("x.dll", None)],
)  # fmt: skip
def test_a_pythons_library_names_its_version(name: str, version: str | None) -> None:
    """But for the stable ABI's."""
    assert python_of(name) == version
