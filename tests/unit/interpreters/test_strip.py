"""Stripping keeps what the loader maps, and touches nothing that it does not understand."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support.interpreters import elf, macho

from pyrunenv.interpreters.strip import strip

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux programs")


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x7fELF\x02\x01", elf(62), elf(62)[:70], macho(0x01000007, (11, 0))]
)
def test_what_is_not_understood_stays_as_it_is(content: bytes) -> None:
    """Other formats, headers alone and cut files come back unchanged."""
    assert strip(content) == content


def _library() -> Path:
    name = sysconfig.get_config_var("INSTSONAME") or ""
    path = Path(sys.base_prefix, "lib", name)
    return path if name and path.is_file() else Path(sys.executable).resolve()


@linux
def test_a_stripped_program_has_no_debug_information_and_the_same_content() -> None:
    """Compilers' names and debug sections are gone, what is mapped is the same, stripping again changes nothing."""
    import lief

    content = _library().read_bytes()
    stripped = strip(content)
    before, after = lief.ELF.parse(list(content)), lief.ELF.parse(list(stripped))
    assert before is not None
    assert after is not None
    assert [(s.type, s.file_offset, s.physical_size, s.virtual_address) for s in before.segments] == [
        (s.type, s.file_offset, s.physical_size, s.virtual_address) for s in after.segments
    ]
    names = [str(section.name) for section in after.sections]
    mapped = max(s.file_offset + s.physical_size for s in before.segments)
    assert stripped[64:mapped] == content[64:mapped]
    assert not [name for name in names if name.startswith((".debug", ".comment", ".symtab", ".strtab"))]
    assert {s.name for s in before.sections if lief.ELF.Section.FLAGS.ALLOC in s.flags_list} == set(names) - {
        "",
        ".shstrtab",
    }
    assert b"GCC: (" not in stripped
    assert strip(stripped) == stripped


@linux
def test_a_stripped_extension_module_still_loads(tmp_path: Path) -> None:
    """The dynamic loader takes what is left."""
    modules = sorted(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("_struct*.so"))
    if not modules:
        pytest.skip("the modules of this Python are built in")
    copy = tmp_path / modules[0].name
    copy.write_bytes(strip(modules[0].read_bytes()))
    assert copy.stat().st_size < modules[0].stat().st_size or b".debug" not in modules[0].read_bytes()
    subprocess.run([sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(copy)!r})"], check=True)


@linux
def test_cut_and_damaged_headers_raise_nothing() -> None:
    """Whatever a file says of itself, stripping ends with a file."""
    content = _library().read_bytes()[:5000]
    for at in range(16, 64):
        strip(content[:at] + b"\xff" + content[at + 1 :])
        strip(content[:at])
