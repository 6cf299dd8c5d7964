"""From what a backend made to what ships: tags at the floor, nothing stray, a new RECORD, the same bytes each time.

Format: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from pyrunenv.archives import Entry, read_archive
from pyrunenv.errors import BuildFailed
from pyrunenv.interpreters.formats import ENOUGH, identify
from pyrunenv.packing.tree import members
from pyrunenv.packing.zipped import write_zip
from pyrunenv.wheels.target import BuildTarget

EPOCH = 315_532_800
"""1980-01-01, the oldest time that a zip can hold."""
_STRAY = re.compile(r"(.*/)?(__pycache__/.*|[^/]*\.py[co]|[^/]*\.pdb|\.DS_Store)|[^/]+\.data/scripts/__pycache__/.*")
# What a backend says that asked this interpreter, or a compiler that was told nothing, where it ran.
_LINUX = re.compile(r"(many)?linux[0-9a-z_]*")


def finish(made: Path, out: Path, target: BuildTarget, roots: Iterable[str]) -> Path:
    """Write the wheel for ``target`` into the folder ``out``; returns its path. ``made`` is left as it is.

    ``roots`` are folders of this machine: where text names one, as pkg-config's files do, it names ``/build`` instead.
    """
    folder = out / "tree"
    folder.mkdir(parents=True)
    native = False
    for entry in read_archive(made):
        if entry.kind == "folder" or _STRAY.fullmatch(entry.path):
            continue
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_scrubbed(entry.content, roots))
        path.chmod(0o755 if entry.executable else 0o644)
        native = native or _is_native(entry)
    filename = _retag(made.name, folder, target, native)
    _write_record(folder)
    place = out / filename
    found = [member for member in members(folder) if member.kind == "file"]
    # The metadata at the end, and RECORD the very last: that is how the format wants it.
    found.sort(key=lambda m: (".dist-info/" in m.name, m.name.endswith(".dist-info/RECORD")))
    with place.open("wb") as stream:
        write_zip(found, stream, mtime=EPOCH, jobs=1)
    return place


def _is_native(entry: Entry) -> bool:
    """Whether a file ties a wheel to a platform; setuptools' and pip's launchers for Windows are in pure ones too."""
    found = identify(entry.content[:ENOUGH])
    return found is not None and not (found[0] == "pe" and entry.path.endswith(".exe"))


def _scrubbed(content: bytes, roots: Iterable[str]) -> bytes:
    if b"\0" not in content:
        for root in sorted(roots, key=len, reverse=True):
            content = content.replace(root.encode(), b"/build")
    return content


def _retag(filename: str, folder: Path, target: BuildTarget, native: bool) -> str:
    """Give the wheel the target's platform tag, where it is for a platform at all; returns its file name."""
    try:
        parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise BuildFailed(f"the build made a file that is no wheel: {filename}", notes=[str(error)]) from error
    head, platforms = filename.removesuffix(".whl").rsplit("-", 1)
    renamed = _platforms(platforms, target, native)
    path = _info(folder) / "WHEEL"
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("Tag:") and line.strip()]
    pythons, abis = head.rsplit("-", 2)[1:]
    tags = [f"{p}-{a}-{t}" for p in pythons.split(".") for a in abis.split(".") for t in renamed.split(".")]
    if native:
        kept = ["Root-Is-Purelib: false" if line.startswith("Root-Is-Purelib:") else line for line in kept]
    path.write_text("\n".join([*kept, *(f"Tag: {tag}" for tag in sorted(tags))]) + "\n", encoding="utf-8")
    return f"{head}-{renamed}.whl"


def _platforms(platforms: str, target: BuildTarget, native: bool) -> str:
    if platforms == "any":
        return target.wheel_platform if native else "any"
    linux = target.platform.system == "linux"
    return target.wheel_platform if linux and all(_LINUX.fullmatch(p) for p in platforms.split(".")) else platforms


def _info(folder: Path) -> Path:
    found = sorted(folder.glob("*.dist-info"))
    if len(found) != 1 or not (found[0] / "WHEEL").exists():
        raise BuildFailed("the build made a wheel without a .dist-info folder of its own")
    return found[0]


def _write_record(folder: Path) -> None:
    info = _info(folder)
    record = info / "RECORD"
    record.unlink(missing_ok=True)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for path in _files(folder):
        content = path.read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.writerow([path.relative_to(folder).as_posix(), f"sha256={digest}", len(content)])
    rows.writerow([record.relative_to(folder).as_posix(), "", ""])
    record.write_text(text.getvalue(), encoding="utf-8")


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names))
