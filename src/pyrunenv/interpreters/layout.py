"""Where a file of a CPython distribution belongs in a bundle, or that it is left out. Pure: paths in, paths out.

Read as sources: an install prefix on POSIX, and the layout of python-build-standalone and python.org on Windows
(``python.exe`` on top). CPython's getpath finds ``..\\Lib`` from ``bin\\python.exe`` by itself (research.md, 3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyrunenv.errors import InterpreterError
from pyrunenv.platforms import Platform

_TOPS = re.compile(r"bin|lib|lib64|include|share|DLLs|Lib|libs|Scripts|tcl|Tools|Doc|python.*\.(exe|dll)", re.ASCII)
# A file beside them, and not a folder that is named for a version: `3.12.10`.
_FILE = re.compile(r".*\.[A-Za-z]\w*", re.ASCII)

# What a bundle has no use for: tests, IDLE, Tk with its libraries, NIS (it would bring Kerberos along, and CPython
# dropped it in 3.13), what was made for the build machine.
_LEFT_OUT_FOLDERS = {"test", "tests", "__pycache__", "idlelib", "turtledemo", "tkinter", "pydoc_data", "site-packages",
                     "dist-packages"}  # fmt: skip
_LEFT_OUT_FILES = re.compile(
    r"(.*\.(pyc|pyo|a|pdb|pth|_pth|pickle)|turtle\.py|sitecustomize\.py|usercustomize\.py|EXTERNALLY-MANAGED|"
    r"distutils\.cfg|pyvenv\.cfg|_sysconfig_vars.*\.json|build-details\.json|.*\.cat|"
    r"(_test\w*|_ctypes_test|_tkinter|_xxtestfuzz|xxlimited\w*|xxsubtype|nis)(_d)?(\.[\w-]+)*\.(so|pyd)|"
    r"(lib)?(tcl|tk)(stub)?\d+(\.\d+)?t?\.(dll|so|dylib)(\.\d+)*|libtcl.*|libtk[0-9].*)",
    re.ASCII,
)
_LEFT_OUT_OF_LIB = re.compile(
    r"(tcl|tk|itcl|thread|tdbc|Tix|tklib|sqlite)\d.*|python\d.*|girepository.*|cmake", re.ASCII
)
_SHARED = re.compile(r".*(\.so(\.[\w.]+)?|\.dylib|\.dll|\.pyd|\.exe)", re.ASCII)


@dataclass(frozen=True)
class Layout:
    """The layout of one bundle: a platform and a Python version."""

    platform: Platform
    python_version: str

    @property
    def minor(self) -> str:
        return ".".join(self.python_version.split(".")[:2])

    @property
    def python(self) -> str:
        return self.platform.layout.at(self.platform.layout.python, self.python_version)

    @property
    def stdlib(self) -> str:
        return self.platform.layout.at(self.platform.layout.stdlib, self.python_version)

    @property
    def site_packages(self) -> str:
        return self.platform.layout.at(self.platform.layout.site_packages, self.python_version)

    def place(self, path: str) -> str | None:
        """Return where a file belongs, given its path below the distribution's root; None when it is left out."""
        if self.platform.windows:
            return self._windows(path)
        top, _, rest = path.partition("/")
        if top == "bin":
            return path if rest in (f"python{self.minor}", "python3", "python") else None
        if top == "include":
            return path if rest.startswith(f"python{self.minor}/") else None
        if top == "lib" and rest:
            return self._lib(path, rest)
        return path if not rest and top.startswith("LICENSE") else None

    def _lib(self, path: str, rest: str) -> str | None:
        first, _, below = rest.partition("/")
        if first == f"python{self.minor}":
            if below.startswith(("config-", "config/")) or not self._keep(below):
                return None
            return path
        if first == "pkgconfig":
            return path if re.fullmatch(r"python-?3(\.\d+)?(-embed)?\.pc", below) else None
        if _LEFT_OUT_OF_LIB.fullmatch(first) or not self._keep(rest):
            return None
        return path

    def _windows(self, path: str) -> str | None:
        top, _, rest = path.partition("/")
        if not rest:
            if top in ("python.exe", "pythonw.exe") or (top.endswith(".dll") and self._keep(top)):
                return f"bin/{top}"
            return path if top.startswith("LICENSE") else None
        if top in ("Lib", "DLLs", "include"):
            return path if self._keep(rest) else None
        return path if top == "libs" and rest.endswith(".lib") else None

    def _keep(self, below: str) -> bool:
        folders = below.split("/")
        name = folders.pop()
        if not _LEFT_OUT_FOLDERS.isdisjoint(folders):
            return False
        # lib2to3's pickles are caches, and ensurepip's wheels are what pip comes from
        return not _LEFT_OUT_FILES.fullmatch(name)

    def executable(self, path: str, was: bool) -> bool:
        """Whether a file gets the run bit: what is run or loaded always, a script where it had it."""
        return path.startswith("bin/") or (bool(_SHARED.fullmatch(path.rpartition("/")[2]))) or was


class Root:
    """Takes the one leading folder off the paths of an archive that has one (``python/…``, or any other name)."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._leading: str | None = None

    def below(self, path: str) -> str | None:
        """Return a path below the root; None for the leading folder itself. The first path decides if there is one."""
        top, _, rest = path.partition("/")
        if self._leading is None:
            self._leading = "" if _TOPS.fullmatch(top) or (not rest and _FILE.fullmatch(top)) else top
        if not self._leading:
            return path
        if top != self._leading:
            raise InterpreterError(
                f"{self._archive} has two folders on top, `{self._leading}` and `{top}`",
                hint="an archive holds the interpreter's own tree, with at most one folder around it",
            )
        return rest or None
