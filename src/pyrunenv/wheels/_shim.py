"""Makes the interpreter of a build speak for the target. Runs in build environments, without the package around it.

A ``.pth`` file imports it at every start; it does nothing unless PYRUNENV_TARGET names a JSON file (written by
:mod:`pyrunenv.wheels.toolchain`). What it changes:

- ``sysconfig``, and distutils' copy of it: variables, paths to headers, platform; for everybody.
- ``sys.platform``, ``os.name``, ``os.uname`` and the functions of ``platform``: for code that decides about the target, that
  is for files in the source tree and for the packages that the JSON file lists. The standard library, and programs that ask
  about the machine that they run on (Meson, Ninja's and CMake's launchers), still hear the truth: they would look for
  ``cl.exe`` or ``_winapi`` otherwise.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import platform
import sys
import sysconfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


def activate(told: Mapping[str, Any]) -> None:
    """Install everything; ``told`` is what the JSON file says."""
    audience = Audience(told["tree"], told["packages"])
    speak_sysconfig(told)
    speak_sys(told, audience)
    speak_platform(told, audience)
    speak_meson(told)
    sys.meta_path.insert(0, Patches(told))


class Audience:
    """Who is told of the target: code in the source tree, and some packages, by the place of its file."""

    def __init__(self, tree: str, packages: Iterable[str]) -> None:
        self.tree = os.path.realpath(tree) + os.sep
        self.parts = tuple(os.sep + package for package in packages)
        self.known: dict[str, bool] = {}

    def asks(self, depth: int) -> bool:
        """Whether the caller ``depth`` frames above is told."""
        name = sys._getframe(depth + 1).f_code.co_filename
        if name not in self.known:
            self.known[name] = self.tells(name)
        return self.known[name]

    def tells(self, name: str) -> bool:
        if not name.endswith(".py"):
            # setuptools runs setup.py from a text, under its bare name or as <string>
            return name in ("<string>", "setup.py")
        if not os.path.isabs(name):
            return True
        if os.path.realpath(name).startswith(self.tree):
            return True
        _, found, below = name.rpartition(os.sep + "site-packages")
        return bool(found) and any(below == p + ".py" or below.startswith(p + os.sep) for p in self.parts)


def speak_sysconfig(told: Mapping[str, Any]) -> None:
    """``sysconfig``: one dictionary holds the variables, which setuptools and distutils read too."""
    os.environ["_PYTHON_HOST_PLATFORM"] = told["sysconfig_platform"]
    sysconfig.get_config_vars().update(told["variables"])
    include, get_paths = told["include"], sysconfig.get_paths

    def paths(*args: Any, **kwargs: Any) -> dict[str, str]:
        return dict(get_paths(*args, **kwargs), include=include, platinclude=include)

    sysconfig.get_paths = paths
    sysconfig.get_path = lambda name, *args, **kwargs: paths(*args, **kwargs)[name]
    sysconfig.get_platform = lambda: told["sysconfig_platform"]
    sysconfig.get_config_h_filename = lambda: os.path.join(include, "pyconfig.h")


def speak_sys(told: Mapping[str, Any], audience: Audience) -> None:
    """``sys.platform`` and ``os.name``: properties of the modules' classes, which look at who asks."""

    def spoken(module: Any, name: str, value: str) -> None:
        truth = getattr(module, name)
        kind = type(module.__name__, (type(module),), {})
        setattr(kind, name, property(lambda _: value if audience.asks(1) else truth))
        module.__class__ = kind

    spoken(sys, "platform", told["sys_platform"])
    if told["os_name"] != os.name:
        spoken(os, "name", told["os_name"])


def speak_platform(told: Mapping[str, Any], audience: Audience) -> None:
    """``platform`` and ``os.uname``."""
    real_uname = os.uname
    answers = {
        "system": told["system"], "machine": told["machine"], "release": told["release"],
        "processor": told["machine"], "libc_ver": tuple(told["libc"]),
        "mac_ver": (told["macos"], ("", "", ""), told["machine"]) if told["macos"] else ("", ("", "", ""), ""),
        "platform": "-".join((told["system"], told["release"], told["machine"])),
    }  # fmt: skip

    def spoken(name: str, answer: object) -> None:
        truth = getattr(platform, name)

        def ask(*args: Any, **kwargs: Any) -> object:
            return answer if audience.asks(1) else truth(*args, **kwargs)

        setattr(platform, name, ask)

    for name, answer in answers.items():
        spoken(name, answer)
    real_platform_uname = platform.uname

    def platform_uname() -> Any:
        truth = real_platform_uname()
        if not audience.asks(1):
            return truth
        return truth._replace(system=told["system"], release=told["release"], machine=told["machine"])

    def os_uname() -> Any:
        truth = real_uname()
        if not audience.asks(1):
            return truth
        return os.uname_result((told["system"], truth.nodename, told["release"], truth.version, told["machine"]))

    platform.uname = platform_uname
    os.uname = os_uname


def speak_meson(told: Mapping[str, Any]) -> None:
    """Meson's own program that asks an interpreter: for the stable ABI it looks for ``libs/python3.lib`` on Windows."""
    program = os.path.join("mesonbuild", "scripts", "python_info.py")
    if told["windows_prefix"] and any(word.endswith(program) for word in sys.orig_argv):
        sys.base_prefix = told["windows_prefix"]
        importlib.machinery.EXTENSION_SUFFIXES[:] = [told["variables"]["EXT_SUFFIX"], told["abi3_suffix"]]


class Patches(importlib.abc.MetaPathFinder):
    """Changes a few modules right after they are imported, by what they are named."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.include = told["include"]
        self.abi3_suffix = told["abi3_suffix"]
        self.busy = False

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        change = self.change(name)
        if change is None or self.busy:
            return None
        self.busy = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.busy = False
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                run(module)
                change(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def change(self, name: str) -> Any:
        if name in ("distutils.sysconfig", "setuptools._distutils.sysconfig", "numpy.distutils.sysconfig"):
            return self.distutils
        return self.build_ext if name == "setuptools.command.build_ext" else None

    def distutils(self, module: Any) -> None:
        """It looks below the running interpreter's prefix for headers."""
        module.get_python_inc = lambda plat_specific=0, prefix=None: self.include
        module.get_config_h_filename = lambda: os.path.join(self.include, "pyconfig.h")

    def build_ext(self, module: Any) -> None:
        """It asks the running interpreter's import machinery for the suffix of the stable ABI."""
        module.get_abi3_suffix = lambda: self.abi3_suffix


def start() -> None:
    """Read the file and activate; a shim that fails must not let a build go on for the host."""
    try:
        with open(os.environ["PYRUNENV_TARGET"], encoding="utf-8") as stream:
            activate(json.load(stream))
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(97)


if os.environ.get("PYRUNENV_TARGET"):
    start()
