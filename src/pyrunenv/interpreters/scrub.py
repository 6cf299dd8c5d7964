"""Takes the build machine out of the text files of a CPython tree: its paths, its compilers' names, its configure line.

What remains in ``_sysconfigdata*.py`` names the tree itself, by ``sys.base_prefix`` when it is imported, and the
generic tools ``cc``, ``c++`` and ``ar``: building an extension on the target uses what is there, or says it is not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pyrunenv.errors import InterpreterError

NEUTRAL = "/usr/local"
"""CPython's own default prefix: stands where a text must name one."""

_PREFIX = "%PREFIX%"
_COMPILER = re.compile(r"(?:[\w.+-]*-)?(gcc|clang|g\+\+|clang\+\+|cc|c\+\+|icc|icx|icpx)(?:-\d[\d.]*)?", re.ASCII)
_BINUTIL = re.compile(r"(?:[\w.]*-)*?(?:gcc-|llvm-)?(ar|ranlib|nm|strip|readelf|objcopy)(?:-\d[\d.]*)?", re.ASCII)
# Flags that take the following word as their path.
_PATH_FLAGS = {"-I", "-L", "-F", "-isysroot", "-isystem", "-iwithsysroot", "-idirafter", "-rpath", "-Wl,-rpath",
               "--sysroot", "-Xlinker"}  # fmt: skip
_ABSOLUTE = re.compile(r"(?:^|[=,:;'\"]|^-[ILFR]|^-isysroot|^-isystem)/")
_PATHS_OF_TARGETS = {"TZPATH", "SHELL"}  # of every system alike; zoneinfo reads the first
_NAMED_COMPILER = re.compile(r"gcc|clang|llvm|g\+\+", re.ASCII | re.IGNORECASE)
_CLANG_ONLY = re.compile(r"-fdebug-default-version=.*|-fprofile-.*|-flto.*|-Wl,-Bolt.*|-fuse-ld=.*", re.ASCII)

_HEADER = """\
# What CPython was built with, without the machine it was built on. {prefix} is where the tree lies now.
import sys

build_time_vars = {{
{items}
}}

for _key, _value in build_time_vars.items():
    if isinstance(_value, str) and {prefix!r} in _value:
        build_time_vars[_key] = _value.replace({prefix!r}, sys.base_prefix)
"""


@dataclass(frozen=True)
class Scrubber:
    """Scrubs the files of one tree. ``prefixes`` are where it was installed to, as far as that is known beforehand."""

    prefixes: Sequence[str] = ()

    def sysconfigdata(self, source: bytes, path: str) -> bytes:
        """Return a ``_sysconfigdata*.py`` with the same variables, sorted, and nothing of the build machine in them."""
        variables = _variables(source, path)
        own = variables.get("prefix")
        prefixes = _ordered([*self.prefixes, *([own] if isinstance(own, str) else [])])
        cleaned = {key: self._value(key, value, prefixes) for key, value in variables.items()}
        items = "\n".join(f"    {key!r}: {cleaned[key]!r}," for key in sorted(cleaned))
        return _HEADER.format(prefix=_PREFIX, items=items).encode()

    def _value(self, key: str, value: object, prefixes: Sequence[str]) -> object:
        if not isinstance(value, str) or key in _PATHS_OF_TARGETS:
            return value
        if key in ("CONFIG_ARGS", "WHEEL_PKG_DIR"):
            return ""
        if key in ("prefix", "exec_prefix"):
            return _PREFIX
        return clean_flags(value, prefixes)

    def pkgconfig(self, source: bytes) -> bytes:
        """Return a ``.pc`` file that finds its tree from its own place (pkg-config's ``pcfiledir``)."""
        fixed = {"prefix": "${pcfiledir}/../..", "exec_prefix": "${prefix}", "libdir": "${exec_prefix}/lib",
                 "includedir": "${prefix}/include"}  # fmt: skip
        lines = []
        for line in source.decode().splitlines():
            name, equals, _ = line.partition("=")
            field, colon, value = line.partition(":")
            if equals and name in fixed:
                line = f"{name}={fixed[name]}"
            elif colon and field in ("Libs", "Libs.private", "Cflags"):
                line = f"{field}: {clean_flags(value.strip(), self.prefixes).replace(_PREFIX, '${prefix}')}".rstrip()
            lines.append(line.rstrip())
        return "\n".join(lines).encode() + b"\n"

    def text(self, content: bytes, path: str) -> bytes | None:
        """Return a text file without the prefixes; None where it is better left out."""
        found = [as_path for prefix, as_path in self._paths if prefix in content and as_path.search(content)]
        if not found:
            return content
        if not path.endswith((".py", ".h")):
            return None
        for as_path in found:
            content = as_path.sub(NEUTRAL.encode(), content)
        return content

    @cached_property
    def _paths(self) -> list[tuple[bytes, re.Pattern[bytes]]]:
        return [(prefix.encode(), _as_path(prefix)) for prefix in _ordered(self.prefixes)]

    def binary(self, content: bytes) -> bytes:
        """Overwrite the prefixes in a program or library by a neutral path of the same length.

        The last part stays: a linker lets shorter strings be the tails of longer ones (``3.12.1`` of such a prefix).
        The interpreter needs none of it: it finds its library from where it lies.
        """
        for prefix, _ in self._paths:
            head = prefix.rpartition(b"/")[0]
            if len(head) > 4 and prefix in content:
                tail = prefix[len(head) :]
                neutral = b"/" + b"_" * (len(head) - 1)
                content = content.replace(head + tail, neutral + tail)
        return content


def clean_flags(value: str, prefixes: Sequence[str] = ()) -> str:
    """Return a variable's value with paths and names of the build machine taken out; the tree's own path is marked."""
    kept: list[str] = []
    words = value.split()
    index = 0
    while index < len(words):
        word, following = words[index], words[index + 1] if index + 1 < len(words) else ""
        index += 1
        if word in _PATH_FLAGS and following.startswith(("/", "-Wl,/")):
            index += 1
            continue
        cleaned = _word(word, prefixes)
        if cleaned:
            kept.append(cleaned)
    changed = kept != words
    return " ".join(kept) if changed else value


def _word(word: str, prefixes: Sequence[str]) -> str:
    """Return one word of a command line or list, cleaned; empty when it is dropped."""
    if word.startswith("/"):
        for prefix in prefixes:
            if word == prefix or word.startswith(prefix + "/"):
                return "" if _NAMED_COMPILER.search(rest := word[len(prefix) :]) else _PREFIX + rest
        # a program is known by its name on any machine, another path means nothing there
        word = word.rpartition("/")[2] if re.search(r"/s?bin/[^/]+$", word) else ""
    if any(prefix in word for prefix in prefixes) or _ABSOLUTE.search(word) or _CLANG_ONLY.fullmatch(word):
        return ""
    if compiler := _COMPILER.fullmatch(word):
        return "c++" if compiler[1] in ("g++", "clang++", "c++", "icpx") else "cc"
    if tool := _BINUTIL.fullmatch(word):
        return tool[1]
    return "" if _NAMED_COMPILER.search(word) else word


def _variables(source: bytes, path: str) -> dict[str, object]:
    try:
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "build_time_vars":
                value = ast.literal_eval(statement.value)
                if isinstance(value, dict):
                    return value
    except (SyntaxError, ValueError) as error:
        raise InterpreterError(f"cannot read `{path}` of the interpreter: {error}") from error
    raise InterpreterError(f"`{path}` of the interpreter holds no `build_time_vars`")


def _ordered(prefixes: Sequence[str]) -> list[str]:
    """Longest first, so that one that lies in another is replaced before it; `/` and the like say nothing."""
    return sorted({p.rstrip("/") for p in prefixes if len(p.rstrip("/")) > 1}, key=lambda p: (-len(p), p))


def _as_path(prefix: str) -> re.Pattern[bytes]:
    """Match a prefix where it is a whole path or its beginning, and not a part of a word or of a URL.

    What may stand before it is looked at after it, since a pattern that begins with plain bytes is searched for 100 times
    as fast: in pip's wheel, whose 2 MB name ``/install`` twelve times, in 0.7 ms and not in 76.
    """
    word = re.escape(prefix.encode())
    return re.compile(word + rb"(?![\w.-])(?:(?<![\w./)}\]-]" + word + rb")|(?<=-[ILF]" + word + rb"))")


def build_paths(source: bytes, path: str) -> list[str]:
    """Return what a ``_sysconfigdata*.py`` tells of the build machine: the prefix first, then where it was compiled."""
    variables = _variables(source, path)
    values = [variables.get(key) for key in ("prefix", "abs_srcdir", "abs_builddir", "srcdir")]
    return [value for value in values if isinstance(value, str) and value.startswith("/")]
