"""What every tree goes through, wherever it came from: one interpreter, nothing of the build machine, pip."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters.formats import ENOUGH, identify, made_for
from pyrunenv.interpreters.layout import Layout
from pyrunenv.interpreters.pip import install_pip
from pyrunenv.interpreters.scrub import Scrubber, build_paths
from pyrunenv.interpreters.strip import strip
from pyrunenv.interpreters.tree import Tree

_SYSCONFIGDATA = re.compile(r"_sysconfigdata[\w-]*\.py")
# Prefixes that say nothing of a machine, and that other texts mention for good reasons.
_NEUTRAL = re.compile(r"/(install|build)(/|$)")  # python-build-standalone's
_COMMON = {"/usr", "/usr/local", "/opt", "/"}


def finish(tree: Tree, layout: Layout, *, prefixes: Sequence[str], folder: Path) -> None:
    """Bring a tree whose interpreter is settled into its last form.

    ``prefixes`` are where it was installed; ``folder`` is for scratch files.
    """
    if layout.platform.system == "linux":
        strip_all(tree)
    _scrub(tree, prefixes)
    install_pip(tree, layout, folder)
    tree.drop_dangling_links()


def settle_python(tree: Tree, layout: Layout, name: str) -> None:
    """Give the interpreter one real name, and links or a copy; refuse what is none, or another platform's."""
    python = layout.python
    if not layout.platform.windows:
        for other in ("bin/python3", "bin/python"):
            if python not in tree and other in tree:
                tree.add(python, tree.read(other), executable=True)
    for needed in (python, f"{layout.stdlib}/os.py"):
        if needed not in tree:
            raise InterpreterError(
                f"{name} holds no CPython {layout.minor} for {layout.platform}: `{needed}` is missing",
                hint="an interpreter's archive has the form of python-build-standalone's `install_only` ones",
            )
    head = tree.read(python, ENOUGH)
    if not made_for(head, layout.platform):
        found = identify(head)
        what = f"a program of format {found[0]} for {'/'.join(found[1])}" if found else "no program"
        raise InterpreterError(f"the interpreter in {name} is {what}, which {layout.platform} cannot run")
    if layout.platform.windows:
        tree.add("bin/python3.exe", tree.read(python), executable=True)
    else:
        for link in ("bin/python3", "bin/python"):
            tree.link(link, posixpath.basename(python))


def strip_all(tree: Tree) -> None:
    """Drop debug information and compilers' names from every ELF file."""
    for path in tree.files():
        if tree.read(path, 4) == b"\x7fELF":
            tree.update(path, strip)


def _scrub(tree: Tree, prefixes: Sequence[str]) -> None:
    data = [path for path in tree.files() if _SYSCONFIGDATA.fullmatch(posixpath.basename(path))]
    known = [*prefixes, *(place for path in data for place in build_paths(tree.read(path), path))]
    every = Scrubber(known)
    telling = Scrubber([place for place in known if place.rstrip("/") not in _COMMON])
    # An archive's own programs stay byte for byte as they were published where what they name is nobody's secret.
    private = Scrubber([place for place in telling.prefixes if not _NEUTRAL.match(place)])
    for path in tree.files():
        if path in data:
            tree.update(path, partial(every.sysconfigdata, path=path))
        elif path.endswith(".pc"):
            tree.update(path, every.pkgconfig)
        else:
            tree.update(path, partial(_plain, telling=telling, private=private, path=path))


def _plain(content: bytes, telling: Scrubber, private: Scrubber, path: str) -> bytes | None:
    found = identify(content[:ENOUGH])
    if found is None:
        return telling.text(content, path)
    return private.binary(content) if found[0] == "elf" else content
