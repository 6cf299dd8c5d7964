"""Archives become trees of one layout, from any host, the same ones each time."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.interpreters import JUNK, make_interpreter_archives, program

from pyrunenv.errors import CacheError, InterpreterError, UnsafeArchive
from pyrunenv.interpreters.prepare import PreparedInterpreter, prepare
from pyrunenv.lock.model import Floors, LockedInterpreter
from pyrunenv.platforms import PLATFORMS
from pyrunenv.trees import extract_tree

VERSION = "3.12.10"
Archives = dict[str, tuple[Path, str]]


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    return make_interpreter_archives(tmp_path_factory.mktemp("archives"), VERSION)


def prepared(
    path: Path, sha256: str, key: str, cache: Path, *, macos: str = "13.0", version: str = VERSION
) -> PreparedInterpreter:
    return prepare(
        LockedInterpreter("archive", version, url=path.as_uri(), sha256=sha256), PLATFORMS[key], cache_root=cache,
        fetch=lambda url, digest: path, floors=Floors("2.28", macos), python_version=version,
    )  # fmt: skip


def members(found: PreparedInterpreter) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(found.tar) as tar:
        return {member.name: member for member in tar}


def content(found: PreparedInterpreter, name: str) -> bytes:
    with tarfile.open(found.tar) as tar:
        return tar.extractfile(name).read()  # type: ignore[union-attr]


def refused(path: Path, tmp_path: Path, key: str = "linux-x64", version: str = VERSION) -> str:
    with pytest.raises((InterpreterError, UnsafeArchive)) as caught:
        prepared(path, hashlib.sha256(path.read_bytes()).hexdigest(), key, tmp_path / "cache", version=version)
    assert not list((tmp_path / "cache" / "interpreters").glob("*.tar"))
    assert not list((tmp_path / "cache" / "interpreters").glob("*.json"))
    return caught.value.message


@pytest.mark.parametrize("key", PLATFORMS)
def test_every_platforms_archive_becomes_its_layout_and_holds_no_junk(
    key: str, archives: Archives, tmp_path: Path
) -> None:
    """The contract's files are there, nothing that was to be left out is, and the facts are right."""
    path, sha256 = archives[key]
    found = prepared(path, sha256, key, tmp_path)
    names = members(found)
    if key == "windows-x64":
        expected = {"bin/python.exe", "bin/python3.exe", "bin/pythonw.exe", "bin/python312.dll", "bin/vcruntime140.dll",
                    "Lib/os.py", "DLLs/_ssl.pyd", "include/Python.h", "libs/python312.lib",
                    "Lib/site-packages/pip/__init__.py"}  # fmt: skip
        assert content(found, "bin/python3.exe") == content(found, "bin/python.exe")
    else:
        expected = {"bin/python", "bin/python3", "bin/python3.12", "bin/pip", "bin/pip3.12", "lib/python3.12/os.py",
                    "lib/python3.12/site-packages/pip/__init__.py", "include/python3.12/Python.h"}  # fmt: skip
        assert names["bin/python"].linkname == names["bin/python3"].linkname == "python3.12"
        assert names["bin/python3.12"].isreg()
    assert expected <= set(names)
    data = found.tar.read_bytes()
    assert JUNK.encode() not in data
    assert not [name for name in names if "direct_url.json" in name or "__pycache__" in name or name == "packages/"]
    assert found.tree_digest == hashlib.sha256(data).hexdigest()
    assert (found.version, found.publishable, found.source, found.sha256) == (VERSION, True, "archive", sha256)
    assert found.floor == {"macosx-x64": "10.15", "macosx-aarch64": "11.0"}.get(key)
    assert {(m.mode, m.uid, m.gid, m.uname, m.mtime) for m in names.values()} <= {
        (mode, 0, 0, "", 315_532_800) for mode in (0o644, 0o755, 0o777)
    }
    assert list(names) == sorted(names, key=str.encode)


@pytest.mark.parametrize("key", ["linux-aarch64", "macosx-aarch64"])
def test_no_build_path_or_compiler_is_left(key: str, archives: Archives, tmp_path: Path) -> None:
    """Of what the build wrote: sysconfig data, pkg-config files and scripts."""
    found = prepared(*archives[key], key, tmp_path)
    written = [name for name in members(found) if "_sysconfigdata" in name or name.endswith(".pc") or "bin/pip" in name]
    assert len(written) == 6
    for name in written:
        if not members(found)[name].issym():
            assert not [word for word in (b"/install", b"clang", b"/build", b"/tools") if word in content(found, name)]


@pytest.mark.parametrize("key", ["linux-x64", "windows-x64"])
def test_pips_record_is_right(key: str, archives: Archives, tmp_path: Path) -> None:
    """Every file of pip is in its RECORD with its digest, and nothing else is; the scripts too."""
    found = prepared(*archives[key], key, tmp_path)
    folder = tmp_path / "tree"
    folder.mkdir()
    extract_tree(found.tar, folder)
    site = folder / PLATFORMS[key].layout.at(PLATFORMS[key].layout.site_packages, VERSION)
    info = next(site.glob("pip-*.dist-info"))
    rows = list(csv.reader(io.StringIO((info / "RECORD").read_text())))
    assert (info / "INSTALLER").read_text() == "pip\n"
    recorded = set()
    for name, digest, size in rows:
        recorded.add((site / name).resolve())
        if name != f"{info.name}/RECORD":
            data = (site / name).read_bytes()
            right = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={right}", len(data))
    installed = {p.resolve() for top in ("pip", info.name) for p in (site / top).rglob("*") if p.is_file()}
    scripts = {p.resolve() for p in (folder / "bin").glob("pip*")}
    assert recorded == installed | scripts
    assert len(scripts) == (0 if key == "windows-x64" else 3)


@pytest.mark.parametrize("leading", ["", "some name/"])
def test_the_same_tree_comes_from_any_shape_of_archive(leading: str, archives: Archives, tmp_path: Path) -> None:
    """A zip, without a leading folder or with another one, in another order, gives the very same tar."""
    other = tmp_path / "other.zip"
    with tarfile.open(archives["windows-x64"][0]) as tar:
        files = {member.name.removeprefix("python/"): tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    with zipfile.ZipFile(other, "w") as archive:
        for name in sorted(files, reverse=True):
            archive.writestr(leading + name, files[name])
    first = prepared(*archives["windows-x64"], "windows-x64", tmp_path / "a")
    second = prepared(other, "00" * 32, "windows-x64", tmp_path / "b")
    assert first.tree_digest == second.tree_digest
    assert first.tar.name != second.tar.name


def test_a_prepared_tree_is_used_again_and_a_damaged_one_is_not(archives: Archives, tmp_path: Path) -> None:
    """A second call makes nothing, and says when it was used; after a flipped byte, a cut or lost notes the tree is made again."""
    path, sha256 = archives["linux-x64"]
    first = prepared(path, sha256, "linux-x64", tmp_path)
    inode = first.tar.stat().st_ino
    os.utime(first.tar, (1000, 1000))
    assert prepared(path, sha256, "linux-x64", tmp_path) == first
    assert first.tar.stat().st_ino == inode
    assert first.tar.stat().st_mtime > 1000
    whole = first.tar.read_bytes()
    for damaged in (whole[:-1], whole[:5000] + b"\xff" + whole[5001:], b""):
        first.tar.write_bytes(damaged)
        assert prepared(path, sha256, "linux-x64", tmp_path) == first
        assert first.tar.read_bytes() == whole
    first.tar.with_suffix(".json").write_text("{}")
    assert prepared(path, sha256, "linux-x64", tmp_path) == first
    assert {p.suffix for p in (tmp_path / "interpreters").iterdir()} == {".tar", ".json", ".lock"}


def test_a_floor_above_the_workspaces_is_said_each_time(archives: Archives, tmp_path: Path) -> None:
    """The warning depends on the workspace, not on what is in the cache."""
    path, sha256 = archives["macosx-aarch64"]
    assert prepared(path, sha256, "macosx-aarch64", tmp_path).warnings == ()
    found = prepared(path, sha256, "macosx-aarch64", tmp_path, macos="10.15")
    assert "macOS 11.0" in found.warnings[0]
    assert found.floor_cause is not None
    assert found.floor_cause in found.warnings[0]


def test_another_platforms_or_versions_archive_is_refused(archives: Archives, tmp_path: Path) -> None:
    """What the archive holds must be what was asked for: never a host binary in a foreign bundle."""
    assert "for x64, which linux-aarch64 cannot run" in refused(archives["linux-x64"][0], tmp_path, "linux-aarch64")
    assert "mach-o" in refused(archives["macosx-x64"][0], tmp_path, "linux-x64")
    assert "`bin/python3.12` is missing" in refused(archives["windows-x64"][0], tmp_path, "linux-x64")
    assert "`bin/python.exe` is missing" in refused(archives["linux-x64"][0], tmp_path, "windows-x64")
    assert "holds CPython 3.12.10, where 3.12.9 was expected" in refused(
        archives["linux-x64"][0], tmp_path, version="3.12.9"
    )
    assert "bin/python3.11" in refused(archives["linux-x64"][0], tmp_path, version="3.11.9")


def changed(source: Path, target: Path, *, without: str = " ", extra: dict[str, bytes] | None = None) -> Path:
    with tarfile.open(source) as tar, tarfile.open(target, "w") as out:
        for member in tar:
            if without not in member.name:
                out.addfile(member, tar.extractfile(member) if member.isreg() else None)
        for name, data in (extra or {}).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return target


def test_an_archive_that_lacks_what_a_bundle_needs_is_refused(archives: Archives, tmp_path: Path) -> None:
    """No standard library, no pip to install, no version: each is said, and nothing is kept."""
    source = archives["linux-x64"][0]
    assert "os.py` is missing" in refused(changed(source, tmp_path / "a.tar", without="/os.py"), tmp_path)
    assert "carries no pip" in refused(changed(source, tmp_path / "b.tar", without="_bundled"), tmp_path)
    assert "patchlevel.h` is missing" in refused(changed(source, tmp_path / "c.tar", without="patchlevel"), tmp_path)


def test_a_malicious_archive_leaves_nothing_behind(archives: Archives, tmp_path: Path) -> None:
    """A member that would be left out anyway still has the whole archive refused."""
    bad = changed(archives["linux-x64"][0], tmp_path / "a.tar", extra={"python/share/../../../evil": b"x"})
    assert "a.tar was refused because of its member `python/share/../../../evil`" in refused(bad, tmp_path)
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(archives["linux-x64"][0].read_bytes()[:-100_000])
    assert "cut.tgz is damaged or cut short" in refused(cut, tmp_path)
    assert not (tmp_path.parent / "evil").exists()


def test_an_interpreter_by_another_name_becomes_the_one(archives: Archives, tmp_path: Path) -> None:
    """Where bin/python is the file and the others link to it, the layout is the same."""
    source = changed(archives["linux-x64"][0], tmp_path / "a.tar", without="bin/python",
                     extra={"python/bin/python": program(PLATFORMS["linux-x64"])})  # fmt: skip
    found = prepared(source, "11" * 32, "linux-x64", tmp_path / "cache")
    assert found.tree_digest == prepared(*archives["linux-x64"], "linux-x64", tmp_path / "cache").tree_digest


def test_a_cache_that_cannot_be_written_is_named(archives: Archives, tmp_path: Path) -> None:
    """An operating system's error becomes one about the cache."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot prepare the interpreter in"):
        prepared(*archives["linux-x64"], "linux-x64", tmp_path / "file")


def _one_of_many(path: Path, sha256: str, cache: Path) -> str:
    return json.dumps([prepared(path, sha256, "linux-x64", cache).tree_digest])


def test_several_processes_make_one_tree(archives: Archives, tmp_path: Path) -> None:
    """Four processes and an empty cache: equal digests, one tar, nothing temporary."""
    path, sha256 = archives["linux-x64"]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        digests = pool.starmap(_one_of_many, [(path, sha256, tmp_path)] * 4)
    assert len(set(digests)) == 1
    assert sorted(p.suffix for p in (tmp_path / "interpreters").iterdir()) == [".json", ".lock", ".tar"]


@pytest.mark.skipif(sys.platform == "win32", reason="runs a shell script")
def test_pip_scripts_run_the_python_beside_them(archives: Archives, tmp_path: Path) -> None:
    """From a folder with a space and non-ASCII letters, and through a link, by the system's shell."""
    found = prepared(*archives["linux-x64"], "linux-x64", tmp_path)
    folder = tmp_path / "a pläce with 'quotes'"
    folder.mkdir()
    extract_tree(found.tar, folder)
    (folder / "bin/python3.12").unlink()
    (folder / "bin/python3.12").write_text('#!/bin/sh\necho "$0|$@"\n')
    (folder / "bin/python3.12").chmod(0o755)
    (tmp_path / "link").symlink_to(folder / "bin/pip")
    done = subprocess.run(
        [tmp_path / "link", "a b"], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.stdout == f"{folder}/bin/python3.12|{tmp_path}/link a b\n"
    shutil.rmtree(folder)
