"""Whether an interpreter can be moved: what its program loads, compared with what lief reads, and what is refused."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.interpreters import macho

from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters import loads
from pyrunenv.interpreters.layout import Layout
from pyrunenv.interpreters.relocate import patchelf
from pyrunenv.interpreters.tree import Tree
from pyrunenv.platforms import PLATFORMS

lief = pytest.importorskip("lief")
LINUX = Layout(PLATFORMS["linux-x64"], "3.12.10")
MACOS = Layout(PLATFORMS["macosx-aarch64"], "3.12.10")
PYTHON = "bin/python3.12"
linux = pytest.mark.skipif(sys.platform != "linux", reason="works on a Linux program")


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    with Tree(tmp_path) as made:
        yield made


def program(tmp_path: Path, *changes: str) -> bytes:
    """The running interpreter's own program without a libpython, changed by patchelf."""
    path = tmp_path / "program"
    path.write_bytes(Path(sys.executable).resolve().read_bytes())
    path.chmod(0o755)
    own = [name for name in loads.elf(path.read_bytes())[0] if name.startswith("libpython")]
    removed = [word for name in own for word in ("--remove-needed", name)]
    for arguments in (["--remove-rpath"], removed, changes):
        if arguments:
            subprocess.run([patchelf(), *arguments, path], check=True)
    return path.read_bytes()


def loading(*names: str) -> bytes:
    """A Mach-O file with load commands (LC_LOAD_DYLIB) and its own name (LC_ID_DYLIB), which is none."""
    commands = b""
    for kind, name in [(0xD, "/install/lib/own.dylib"), *((0xC, name) for name in names)]:
        text = name.encode() + bytes(8 - len(name) % 8)
        commands += struct.pack("<IIIIII", kind, 24 + len(text), 24, 0, 0, 0) + text
    header = struct.pack("<IIIIIIII", 0xFEEDFACF, 0x0100000C, 0, 6, len(names) + 1, len(commands), 0, 0)
    return header + commands + bytes(64)


@linux
@pytest.mark.parametrize("changes", [(), ("--set-rpath", "/opt/x/lib:$ORIGIN/../lib"), ("--add-needed", "libx.so")])
def test_a_programs_libraries_are_those_that_lief_reads(tmp_path: Path, changes: tuple[str, ...]) -> None:
    """Names and folders, of a real program."""
    content = program(tmp_path, *changes)
    binary = lief.ELF.parse(io.BytesIO(content))
    runpaths = [p for e in binary.dynamic_entries if isinstance(e, lief.ELF.DynamicEntryRunPath) for p in e.paths]
    assert loads.elf(content) == ([str(name) for name in binary.libraries], runpaths)


@linux
@pytest.mark.parametrize(
    "rpath", ["$ORIGIN/../lib", "${ORIGIN}/../lib", "/gone/lib:$ORIGIN/../lib", "$ORIGIN/../lib/sub/.."]
)
def test_a_program_that_finds_its_library_from_where_it_lies_is_good(tmp_path: Path, tree: Tree, rpath: str) -> None:
    """Whatever else it names; the library may be a link."""
    tree.add(PYTHON, program(tmp_path, "--add-needed", "libpython3.12.so.1.0", "--set-rpath", rpath))
    tree.link("lib/libpython3.12.so.1.0", "libpython3.12.so.1.0.0")
    loads.check(tree, LINUX, "python.tar.gz")


@linux
def test_a_library_named_by_a_path_from_the_program_is_good(tmp_path: Path, tree: Tree) -> None:
    """As python-build-standalone has it."""
    tree.add(PYTHON, program(tmp_path, "--add-needed", "$ORIGIN/../lib/libpython3.12.so.1.0"))
    tree.add("lib/libpython3.12.so.1.0", b"")
    loads.check(tree, LINUX, "python.tar.gz")


@linux
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("--add-needed", "libpython3.12.so.1.0"), "looked for in no folder of its own"),
        (("--add-needed", "libpython3.12.so.1.0", "--set-rpath", "/opt/py/lib"), "looked for in /opt/py/lib"),
        (("--add-needed", "libpython3.12.so.1.0", "--set-rpath", "$ORIGIN/../lib64"), "looked for in $ORIGIN/../lib64"),
        (("--add-needed", "/opt/py/lib/libpython3.12.so.1.0"), "needs `/opt/py/lib/libpython3.12.so.1.0`"),
        (("--add-needed", "libown.so"), "needs `libown.so`, looked for"),
    ],
)
def test_a_program_that_runs_only_where_it_was_installed_is_refused(
    tmp_path: Path, tree: Tree, changes: tuple[str, ...], said: str
) -> None:
    """What it needs lies beside it, and it would not look there."""
    tree.add(PYTHON, program(tmp_path, *changes))
    for library in ("libpython3.12.so.1.0", "libown.so"):
        tree.add(f"lib/{library}", b"")
    with pytest.raises(InterpreterError) as caught:
        loads.check(tree, LINUX, "python.tar.gz")
    assert said in caught.value.message
    assert "patchelf --set-rpath" in (caught.value.hint or "")


@linux
def test_a_library_of_the_system_is_no_matter(tmp_path: Path, tree: Tree) -> None:
    """It is looked for where the system has it."""
    tree.add(PYTHON, program(tmp_path, "--add-needed", "libcrypt.so.1"))
    loads.check(tree, LINUX, "python.tar.gz")


def test_what_a_mac_program_loads_is_what_lief_reads() -> None:
    """Of a file with several commands; its own name is not loaded."""
    content = loading("@executable_path/../lib/libpython3.12.dylib", "/usr/lib/libSystem.B.dylib")
    parsed = lief.MachO.parse(io.BytesIO(content))  # lief's iterators do not keep it alive
    binary = parsed.at(0)
    read = [str(each.name) for each in binary.libraries if each.command != lief.MachO.LoadCommand.TYPE.ID_DYLIB]
    assert loads.macho(content) == read
    assert len(read) == 2
    universal = struct.pack(">IIIIIII", 0xCAFEBABE, 1, 0x0100000C, 0, 4096, len(content), 12).ljust(4096, b"\0")
    assert loads.macho(universal + content) == read


def test_a_mac_interpreter_that_loads_from_an_absolute_path_is_refused(tree: Tree) -> None:
    """Also where it is a module that does."""
    tree.add(PYTHON, loading("@rpath/libpython3.12.dylib", "/usr/lib/libSystem.B.dylib", "/System/Library/x"))
    loads.check(tree, MACOS, "python.tar.gz")
    tree.add("lib/python3.12/lib-dynload/_ssl.so", loading("/usr/local/opt/openssl/lib/libssl.3.dylib"))
    with pytest.raises(InterpreterError, match=r"`lib/python3.12/lib-dynload/_ssl.so` loads `/usr/local/opt/openssl"):
        loads.check(tree, MACOS, "python.tar.gz")


@pytest.mark.parametrize("cut", [0, 4, 20, 40, 63, 64, 100, 1000])
def test_what_is_damaged_loads_nothing(tmp_path: Path, cut: int) -> None:
    """And raises nothing."""
    assert loads.elf(Path(sys.executable).resolve().read_bytes()[:cut]) == ([], [])
    assert loads.macho(macho(0x0100000C, (11, 0))[:cut]) == []
    assert loads.macho(b"\xca\xfe\xba\xbe\0\0\0\x04"[:cut]) == []
