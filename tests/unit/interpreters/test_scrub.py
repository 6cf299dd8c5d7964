"""Nothing of the build machine stays in the texts of a tree."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters.scrub import Scrubber, _as_path, build_paths, clean_flags


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("gcc -pthread", "cc -pthread"),
        ("clang -pthread -shared -Wl,-rpath,/install/lib -L/install/lib", "cc -pthread -shared"),
        ("/usr/bin/x86_64-linux-gnu-g++-12 -shared", "c++ -shared"),
        ("llvm-ar", "ar"),
        ("x86_64-linux-gnu-gcc-ar-12", "ar"),
        ("-O3 -isysroot /Applications/SDK -I/opt/x -g", "-O3 -g"),
        ("-I /opt/include -L /opt/lib -lm", "-lm"),
        ("-I. -IInclude -DX='a'", "-I. -IInclude -DX='a'"),
        ("/usr/bin/install -c -m 644", "install -c -m 644"),
        ("/install/bin", "%PREFIX%/bin"),
        ("/install", "%PREFIX%"),
        ("/installed/elsewhere", ""),
        ("/tmp/build/Python/coverage.info", ""),
        ("./install/lib/os.py", ""),
        ("-fuse-ld=lld -flto=thin -fdebug-default-version=4 -lm", "-lm"),
        ("--rtlib=clang_rt.osx x", "x"),
        ("  two  spaces  ", "  two  spaces  "),
        ("", ""),
    ],
)
def test_flags_lose_paths_and_compilers_names(value: str, cleaned: str) -> None:
    """Absolute paths go with their flags, compilers become generic, what is untouched stays byte for byte."""
    assert clean_flags(value, ["/install"]) == cleaned


SOURCE = (
    b"# x\nbuild_time_vars = {'prefix': '/home/me/py', 'CC': 'gcc', 'LIBDIR': '/home/me/py/lib', 'N': 1,\n"
    b" 'CONFIG_ARGS': \"'--prefix=/home/me/py'\", 'TZPATH': '/usr/share/zoneinfo', 'abs_srcdir': '/tmp/b/Python-3'}\n"
)


def test_sysconfigdata_names_the_place_it_lies_at_when_imported() -> None:
    """Paths below the prefix follow sys.base_prefix, what the target's zoneinfo reads stays."""
    content = Scrubber().sysconfigdata(SOURCE, "x")
    names: dict[str, Any] = {}
    exec(compile(content, "x", "exec"), names)
    assert names["build_time_vars"] == {
        "prefix": sys.base_prefix, "CC": "cc", "LIBDIR": f"{sys.base_prefix}/lib", "N": 1, "CONFIG_ARGS": "",
        "TZPATH": "/usr/share/zoneinfo", "abs_srcdir": "",
    }  # fmt: skip
    assert b"/home" not in content
    assert build_paths(SOURCE, "x") == ["/home/me/py", "/tmp/b/Python-3"]


def test_sysconfigdata_is_the_same_whatever_the_order() -> None:
    """Sorted by name: equal variables give equal bytes, and a second scrubbing changes no value."""
    first = Scrubber().sysconfigdata(b"build_time_vars = {'b': 1, 'a': 'x'}", "x")
    assert first == Scrubber().sysconfigdata(b"build_time_vars = {'a': 'x', 'b': 1}", "x")


@pytest.mark.parametrize("source", [b"x = 1", b"build_time_vars = open('x')", b"build_time_vars = {", b"import os"])
def test_a_strange_sysconfigdata_is_an_error_and_never_run(source: bytes) -> None:
    """It is read as data; what is no literal is refused, by name."""
    with pytest.raises(InterpreterError, match=r"_sysconfigdata_x\.py"):
        Scrubber().sysconfigdata(source, "_sysconfigdata_x.py")


def test_pkgconfig_files_find_their_tree_from_their_own_place() -> None:
    """prefix is relative to the file; flags lose the paths of the build machine."""
    source = b"prefix=/p\nexec_prefix=${prefix}\nlibdir=/p/lib\n\nName: X\nLibs: -L${libdir} -lx\n"
    source += b"Libs.private: -L/p/lib -lm\n"
    assert Scrubber(["/p"]).pkgconfig(source).decode() == (
        "prefix=${pcfiledir}/../..\nexec_prefix=${prefix}\nlibdir=${exec_prefix}/lib\n\nName: X\n"
        "Libs: -L${libdir} -lx\nLibs.private: -lm\n"
    )


def test_other_texts_lose_the_prefix_or_are_left_out() -> None:
    """A module's prefix becomes CPython's default, another text file goes; words that only look alike stay."""
    scrubber = Scrubber(["/home/me/py"])
    assert scrubber.text(b"A = '/home/me/py/lib'", "x.py") == b"A = '/usr/local/lib'"
    assert scrubber.text(b"#!/home/me/py/bin/python", "x.sh") is None
    for same in (b"/home/me/python", b"x/home/me/py", b"nothing"):
        assert scrubber.text(same, "x.sh") == same


def test_binaries_keep_their_length_and_the_tail_that_other_strings_share() -> None:
    """Only the folder's part is overwritten: the last one may be the end of the version's own string."""
    content = b"\0/home/me/3.12.1\0/home/me/3.12.1/lib\0"
    cleaned = Scrubber(["/home/me/3.12.1"]).binary(content)
    assert len(cleaned) == len(content)
    assert b"home" not in cleaned
    assert cleaned.count(b"/3.12.1") == 2


@given(
    st.lists(st.sampled_from([b"/in", b"-I", b"-L", b"-", b".", b"x", b"/", b"}", b" ", b"\0", b"\n"])).map(b"".join)
)
@example(b"/in")
@example(b"-I/in/in -X/in ./in")
def test_a_path_is_found_where_a_plain_look_behind_finds_it(content: bytes) -> None:
    """What stands before a path is judged after it, for speed; the places are those of the pattern that says so first."""
    slow = re.compile(rb"(?:(?<![\w./)}\]-])|(?<=-[ILF]))/in(?![\w.-])")
    assert [m.span() for m in _as_path("/in").finditer(content)] == [m.span() for m in slow.finditer(content)]
