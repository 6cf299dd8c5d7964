"""Where files of a distribution belong, and which are left out."""

from __future__ import annotations

import pytest

from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters.layout import Layout, Root
from pyrunenv.platforms import PLATFORMS

POSIX = Layout(PLATFORMS["linux-x64"], "3.12.10")
WINDOWS = Layout(PLATFORMS["windows-x64"], "3.12.10")


@pytest.mark.parametrize(
    "path",
    [
        "bin/python3.12",
        "lib/libpython3.12.so.1.0",
        "lib/libpython3.12.dylib",
        "lib/python3.12/os.py",
        "lib/python3.12/ensurepip/_bundled/pip-25.0-py3-none-any.whl",
        "lib/python3.12/lib2to3/Grammar.txt",
        "lib/python3.12/lib-dynload/_ssl.cpython-312-x86_64-linux-gnu.so",
        "lib/python3.12/unittest/mock.py",
        "lib/python3.12/lib-dynload/_xxsubinterpreters.cpython-312-darwin.so",
        "include/python3.12/Python.h",
        "lib/pkgconfig/python-3.12.pc",
        "lib/pkgconfig/python3-embed.pc",
        "lib/libssl.so.3",
        "lib/python3.12/LICENSE.txt",
        "lib/python3.12/venv/scripts/common/activate",
    ],
)
def test_what_a_bundle_needs_stays_where_it_is(path: str) -> None:
    """The interpreter, its library, the standard library, headers."""
    assert POSIX.place(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "bin/pip",
        "bin/python3.12-config",
        "bin/2to3-3.12",
        "bin/python3.11",
        "lib/libpython3.12.a",
        "lib/python3.11/os.py",
        "lib/python3.12/test/test_os.py",
        "lib/python3.12/unittest/test/x.py",
        "lib/python3.12/lib2to3/tests/x.py",
        "lib/python3.12/idlelib/x.py",
        "lib/python3.12/turtle.py",
        "lib/python3.12/tkinter/__init__.py",
        "lib/python3.12/config-3.12-x86_64-linux-gnu/Makefile",
        "lib/python3.12/site-packages/x.pth",
        "lib/python3.12/__pycache__/os.cpython-312.pyc",
        "lib/python3.12/EXTERNALLY-MANAGED",
        "lib/python3.12/x/y.pyc",
        "lib/python3.12/sitecustomize.py",
        "lib/python3.12/distutils/distutils.cfg",
        "lib/tcl8.6/init.tcl",
        "lib/tk8.6/x",
        "lib/libtcl8.6.so",
        "lib/libtk8.6.dylib",
        "lib/thread2.8.9/x",
        "share/man/man1/python.1",
        "share/terminfo/x/xterm",
        "lib/python3.12/lib-dynload/_tkinter.cpython-312-darwin.so",
        "lib/python3.12/lib-dynload/_testcapi.abi3.so",
        "lib/python3.12/lib-dynload/xxlimited_35.cpython-312-darwin.so",
        "lib/python3.12/build-details.json",
        "lib/python3.12/_sysconfig_vars__linux_x86_64-linux-gnu.json",
        "lib/python3.12/lib2to3/Grammar3.12.1.pickle",
    ],
)
def test_what_it_does_not_need_is_left_out(path: str) -> None:
    """Tests, IDLE, Tk, caches, static libraries, scripts, and whatever was installed there."""
    assert POSIX.place(path) is None


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("python.exe", "bin/python.exe"),
        ("pythonw.exe", "bin/pythonw.exe"),
        ("python312.dll", "bin/python312.dll"),
        ("vcruntime140_1.dll", "bin/vcruntime140_1.dll"),
        ("Lib/os.py", "Lib/os.py"),
        ("DLLs/_ssl.pyd", "DLLs/_ssl.pyd"),
        ("libs/python312.lib", "libs/python312.lib"),
        ("include/Python.h", "include/Python.h"),
        ("Lib/venv/scripts/nt/python.exe", "Lib/venv/scripts/nt/python.exe"),
        ("LICENSE.txt", "LICENSE.txt"),
        ("python312._pth", None),
        ("Scripts/pip.exe", None),
        ("tcl/tcl8.6/init.tcl", None),
        ("DLLs/tcl86t.dll", None),
        ("DLLs/_tkinter.pyd", None),
        ("DLLs/tk86t.dll", None),
        ("python.pdb", None),
        ("Lib/test/x.py", None),
        ("libs/libpython312.a", None),
        ("Lib/site-packages/pip/x.py", None),
        ("DLLs/_testcapi.pyd", None),
    ],
)
def test_windows_has_its_programs_in_bin_and_the_rest_beside_it(path: str, place: str | None) -> None:
    """python.exe and the DLLs on top go to bin/; Lib, DLLs, include and libs stay."""
    assert WINDOWS.place(path) == place


@pytest.mark.parametrize("leading", ["", "python/", "cp312/", "python-3.12/", "3.12.1/"])
@pytest.mark.parametrize("named", [True, False])
def test_one_leading_folder_of_any_name_is_taken_off(leading: str, named: bool) -> None:
    """An archive may have its tree in a folder, with an entry of its own, or not."""
    root = Root("x.tgz")
    if leading and named:
        assert root.below(leading.rstrip("/")) is None
    assert [root.below(leading + p) for p in ("bin/python", "lib/x")] == ["bin/python", "lib/x"]


def test_two_leading_folders_are_refused() -> None:
    """Two trees in one archive are none."""
    root = Root("x.tgz")
    root.below("python/bin/python")
    with pytest.raises(InterpreterError, match=r"x\.tgz has two folders on top, `python` and `other`"):
        root.below("other/x")
