"""Makes wheels and sdists for tests: small, valid, and the same bytes each time."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_DATE = (1980, 1, 1, 0, 0, 0)


def module_name(name: str) -> str:
    """Return a distribution's name as it stands in file names and imports."""
    return name.lower().replace("-", "_").replace(".", "_")


def metadata(
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    requires_python: str | None = None,
    extras: Mapping[str, Sequence[str]] | None = None,
    dynamic: Sequence[str] = (),
) -> str:
    """Return core metadata 2.2, the first version in which an sdist's metadata can be relied on (PEP 643)."""
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}", "Summary: made by a test"]
    lines += [f"Dynamic: {field}" for field in dynamic]
    lines += [f"Requires-Python: {requires_python}"] if requires_python else []
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    for extra, needs in (extras or {}).items():
        lines.append(f"Provides-Extra: {extra}")
        for need in needs:
            requirement, _, marker = need.partition(";")
            condition = f"({marker.strip()}) and " if marker else ""
            lines.append(f"Requires-Dist: {requirement.strip()}; {condition}extra == '{extra}'")
    return "\n".join(lines) + "\n"


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    requires_python: str | None = None,
    files: Mapping[str, str | bytes] | None = None,
    extras: Mapping[str, Sequence[str]] | None = None,
    build: str | None = None,
) -> Path:
    """Write a wheel with a correct RECORD. ``files`` replaces its one module, which holds ``__version__``."""
    module = module_name(name)
    info = f"{module}-{version}.dist-info"
    python, abi, platforms = tag.split("-")
    tags = [f"{p}-{a}-{s}" for p in python.split(".") for a in abi.split(".") for s in platforms.split(".")]
    pure = "true" if platforms == "any" else "false"
    contents: dict[str, bytes] = {
        path: content.encode() if isinstance(content, str) else content
        for path, content in (files or {f"{module}/__init__.py": f"__version__ = {version!r}\n"}).items()
    }
    meta = metadata(name, version, requires=requires, requires_python=requires_python, extras=extras)
    contents[f"{info}/METADATA"] = meta.encode()
    contents[f"{info}/WHEEL"] = "".join(
        ["Wheel-Version: 1.0\n", "Generator: tests\n", f"Root-Is-Purelib: {pure}\n"]
        + ([f"Build: {build}\n"] if build else [])
        + [f"Tag: {one}\n" for one in tags]
    ).encode()
    record = [f"{path},sha256={_record_digest(content)},{len(content)}" for path, content in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "-".join([module, version, *([build] if build else []), tag + ".whl"])
    path.write_bytes(zip_bytes(contents))
    return path


def make_sdist(
    folder: Path,
    name: str,
    version: str,
    *,
    static_metadata: bool = True,
    requires: Sequence[str] = (),
    requires_python: str | None = None,
    files: Mapping[str, str | bytes] | None = None,
    build_requires: Sequence[str] = ("setuptools",),
    build_backend: str = "setuptools.build_meta",
) -> Path:
    """Write an sdist. Without ``static_metadata`` its dependencies are dynamic: known only to who runs its code."""
    module = module_name(name)
    top = f"{module}-{version}"
    dynamic = () if static_metadata else ("Requires-Dist", "Requires-Python")
    known: Sequence[str] = requires if static_metadata else ()
    contents: dict[str, bytes] = {
        "PKG-INFO": metadata(
            name, version, requires=known, requires_python=requires_python if static_metadata else None, dynamic=dynamic
        ).encode(),
        f"{module}/__init__.py": f"__version__ = {version!r}\n".encode(),
    }
    if static_metadata:
        python = f"requires-python = {requires_python!r}\n" if requires_python else ""
        contents["pyproject.toml"] = (
            f"[build-system]\nrequires = {list(build_requires)!r}\nbuild-backend = {build_backend!r}\n"
            f"[project]\nname = {name!r}\nversion = {version!r}\n{python}dependencies = {list(requires)!r}\n"
        ).encode()
    else:
        contents["pyproject.toml"] = (
            f"[build-system]\nrequires = {list(build_requires)!r}\nbuild-backend = {build_backend!r}\n"
        ).encode()
        contents["setup.py"] = (
            "from setuptools import setup\n"
            f"setup(name={name!r}, version={version!r}, packages=[{module!r}], install_requires={list(requires)!r}, "
            f"python_requires={requires_python!r})\n"
        ).encode()
    for path, content in (files or {}).items():
        contents[path] = content.encode() if isinstance(content, str) else content
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{top}.tar.gz"
    path.write_bytes(targz_bytes({f"{top}/{inner}": content for inner, content in contents.items()}))
    return path


def zip_bytes(contents: Mapping[str, bytes]) -> bytes:
    """Return a zip with these members, in this order, dated 1980."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            member = zipfile.ZipInfo(path, _DATE)
            member.external_attr = 0o644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content)
    return buffer.getvalue()


def targz_bytes(contents: Mapping[str, bytes]) -> bytes:
    """Return a ``.tar.gz`` with these files, in this order, without dates."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", fileobj=buffer, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, content in contents.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _record_digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
