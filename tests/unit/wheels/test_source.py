"""Source trees: unpacked, what they say of their build, and metadata that needs no code to be run."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from email.parser import BytesParser
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from support.hostile import TarMember, ZipMember, add_to_tar, add_to_zip
from support.wheels import make_sdist, targz_bytes, zip_bytes

from pyrunenv.errors import SourceError, UnsafeArchive
from pyrunenv.wheels.source import (
    LEGACY_BACKEND,
    LEGACY_REQUIRES,
    BuildSystem,
    folder_digest,
    read_build_system,
    static_metadata,
    unpack,
)


def lay_out(folder: Path, **files: str) -> Path:
    """Write files (``PKG_INFO`` is PKG-INFO, ``pyproject`` pyproject.toml) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"PKG_INFO": "PKG-INFO", "pyproject": "pyproject.toml", "setup": "setup.py"}
    for name, text in files.items():
        (folder / names[name]).write_text(text, encoding="utf-8")
    return folder


# Unpacking


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_an_sdist_has_one_folder_on_top(tmp_path: Path, kind: str) -> None:
    """PEP 625; that folder is the tree."""
    contents = {"a-1.0/PKG-INFO": b"x", "a-1.0/src/a/__init__.py": b"y"}
    path = tmp_path / f"a-1.0.{kind}"
    path.write_bytes(targz_bytes(contents) if kind == "tar.gz" else zip_bytes(contents))
    tree = unpack(path, path.name, tmp_path / "into")
    assert tree == tmp_path / "into" / "a-1.0"
    assert (tree / "src" / "a" / "__init__.py").read_bytes() == b"y"


def test_run_bits_links_and_empty_folders_are_kept(tmp_path: Path) -> None:
    """configure is run, and some trees link to their license; nothing else of a mode stays."""
    path = tmp_path / "a-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, mode in (("a-1.0/configure", 0o4777), ("a-1.0/setup.py", 0o600)):
            info = tarfile.TarInfo(name)
            info.mode, info.size = mode, 1
            tar.addfile(info, io.BytesIO(b"x"))
        for name, kind, target in (
            ("a-1.0/empty", tarfile.DIRTYPE, ""),
            ("a-1.0/doc/link", tarfile.SYMTYPE, "../setup.py"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    tree = unpack(path, path.name, tmp_path / "into")
    assert [(tree / name).stat().st_mode & 0o7777 for name in ("configure", "setup.py")] == [0o755, 0o644]
    assert (tree / "empty").is_dir()
    assert (tree / "doc" / "link").readlink() == Path("../setup.py")


def test_an_archive_without_a_folder_on_top(tmp_path: Path) -> None:
    """What can be built is a tree all the same; what cannot is none, and the message says what an sdist has."""
    flat = tmp_path / "flat.tar.gz"
    flat.write_bytes(targz_bytes({"setup.py": b"", "a/__init__.py": b""}))
    assert unpack(flat, flat.name, tmp_path / "one") == tmp_path / "one"
    other = tmp_path / "blob.tar.gz"
    other.write_bytes(targz_bytes({"readme": b"", "a/__init__.py": b""}))
    with pytest.raises(SourceError) as failure:
        unpack(other, "named-1.0.tar.gz", tmp_path / "two")
    assert failure.value.message == "named-1.0.tar.gz holds no source tree"
    assert "PEP 625" in failure.value.notes[0]


HOSTILE_TARS: dict[str, TarMember] = {
    "upwards": ("a-1.0/../../evil", b"x", tarfile.REGTYPE),
    "absolute": ("/tmp/evil", b"x", tarfile.REGTYPE),
    "a link out": ("a-1.0/link", "../../evil", tarfile.SYMTYPE),
    "an absolute link": ("a-1.0/link", "/etc/passwd", tarfile.SYMTYPE),
    "a hard link out": ("a-1.0/link", "../evil", tarfile.LNKTYPE),
    "a device": ("a-1.0/device", b"", tarfile.CHRTYPE),
    "a pipe": ("a-1.0/pipe", b"", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("what", HOSTILE_TARS)
def test_a_hostile_tar_is_refused(tmp_path: Path, what: str) -> None:
    """By the name that the index has of it; nothing lands beside the folder."""
    path = tmp_path / "blob"
    with tarfile.open(path, "w:gz") as tar:
        add_to_tar(tar, ("a-1.0/setup.py", b"", tarfile.REGTYPE), HOSTILE_TARS[what])
    with pytest.raises(UnsafeArchive, match=r"^a-1\.0\.tar\.gz was refused"):
        unpack(path, "a-1.0.tar.gz", tmp_path / "there" / "into")
    assert {p.name for p in (tmp_path / "there").iterdir()} == {"into"}


HOSTILE_ZIPS: dict[str, ZipMember] = {
    "upwards": ("../evil", b"x", 0o100644), "absolute": ("/tmp/evil", b"x", 0o100644),
    "a link out": ("a-1.0/link", b"../../evil", 0o120777),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_ZIPS)
def test_a_hostile_zip_is_refused(tmp_path: Path, what: str) -> None:
    """Sdists may be zips too."""
    path = add_to_zip(tmp_path / "a-1.0.zip", ("a-1.0/setup.py", b"", 0o100644), HOSTILE_ZIPS[what])
    with pytest.raises(UnsafeArchive):
        unpack(path, path.name, tmp_path / "into")


def test_a_damaged_sdist_is_refused(tmp_path: Path) -> None:
    """Cut short, or none at all."""
    path = make_sdist(tmp_path, "a", "1.0")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnsafeArchive, match="damaged or cut short"):
        unpack(path, path.name, tmp_path / "into")
    path.write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(UnsafeArchive):
        unpack(path, path.name, tmp_path / "into2")
    assert not zipfile.is_zipfile(path)


# The build system

SYSTEMS: dict[str, tuple[dict[str, str], BuildSystem]] = {
    "setup.py alone": ({"setup": ""}, BuildSystem(LEGACY_REQUIRES, LEGACY_BACKEND, None)),
    "no table": ({"pyproject": "[tool.x]\n"}, BuildSystem(LEGACY_REQUIRES, LEGACY_BACKEND, None)),
    "no backend": (
        {"pyproject": "[build-system]\nrequires = ['setuptools', 'cython<3']\n"},
        BuildSystem(("setuptools", "cython<3"), LEGACY_BACKEND, None),
    ),
    "a backend in the tree": (
        {"pyproject": "[build-system]\nrequires = []\nbuild-backend = 'b:x'\nbackend-path = ['.', 'c']\n"},
        BuildSystem((), "b:x", (".", "c")),
    ),
}


@pytest.mark.parametrize("what", SYSTEMS)
def test_what_a_tree_is_built_with(tmp_path: Path, what: str) -> None:
    """With what stands in for what it does not say (PEP 517, PEP 518)."""
    files, expected = SYSTEMS[what]
    assert read_build_system(lay_out(tmp_path / "a-1.0", **files)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "neither a pyproject.toml nor a setup.py"),
        ("[build-system", "a-1.0/pyproject.toml cannot be read"),
        ("[build-system]\nrequires = 'setuptools'\n", "no list of requirements"),
        ("[build-system]\nrequires = [1]\n", "no list of requirements"),
    ],
)
def test_a_tree_that_says_nonsense_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    """An error, and no guess."""
    tree = lay_out(tmp_path / "a-1.0", **({"pyproject": text} if text is not None else {}))
    with pytest.raises(SourceError, match=words) as failure:
        read_build_system(tree)
    assert "a-1.0" in failure.value.message


@pytest.mark.parametrize(
    "text", ["build-system = 'setuptools'\n", "[build-system]\nrequires = []\nbuild-backend = 1\n",
             "[build-system]\nrequires = []\nbuild-backend = 'b'\nbackend-path = '.'\n", "\xff"],
)  # fmt: skip
def test_other_nonsense_is_an_error_of_the_source_too(tmp_path: Path, text: str) -> None:
    """Not one of ours, which would be a traceback."""
    tree = lay_out(tmp_path / "a-1.0", pyproject="")
    (tree / "pyproject.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(SourceError):
        read_build_system(tree)


# Static metadata


def pkg_info(version: str, *lines: str) -> str:
    return "\n".join([f"Metadata-Version: {version}", "Name: a", "Version: 1.0", *lines]) + "\n"


@pytest.mark.parametrize("version", ["2.2", "2.3", "2.4", "3.0"])
@pytest.mark.parametrize("dynamic", [(), ("Dynamic: License-File", "Dynamic: Summary")])
def test_metadata_from_2_2_on_holds_for_wheels(tmp_path: Path, version: str, dynamic: tuple[str, ...]) -> None:
    """PEP 643, where what is dynamic is nothing that matters here."""
    text = pkg_info(version, *dynamic, "Requires-Dist: b; sys_platform == 'win32'")
    assert static_metadata(lay_out(tmp_path, PKG_INFO=text, setup="")) == text.encode()


@pytest.mark.parametrize("version", ["1.0", "1.2", "2.0", "2.1"])
def test_older_metadata_does_not(tmp_path: Path, version: str) -> None:
    """setup.py may compute other needs for each platform."""
    assert static_metadata(lay_out(tmp_path, PKG_INFO=pkg_info(version, "Requires-Dist: b"), setup="")) is None


@pytest.mark.parametrize("field", ["Requires-Dist", "requires-dist", "Requires-Python", "Provides-Extra", "Version"])
def test_a_dynamic_field_that_matters_is_not_believed(tmp_path: Path, field: str) -> None:
    """However it is spelled."""
    text = pkg_info("2.2", f"Dynamic: {field}", "Requires-Dist: b")
    assert static_metadata(lay_out(tmp_path, PKG_INFO=text, setup="")) is None


def test_without_pkg_info_nothing_is_static(tmp_path: Path) -> None:
    """A repository's tree: its version may come from a tag."""
    assert static_metadata(lay_out(tmp_path, pyproject="[project]\nname = 'a'\nversion = '1.0'\n")) is None


PROJECT = """
[build-system]
requires = ["setuptools"]
[project]
name = "a"
dynamic = ["version"]
requires-python = ">=3.9,<4"
dependencies = ["b>=1", "c[x]; sys_platform == 'win32' or os_name == 'nt'", "d @ https://x.test/d.zip"]
[project.optional-dependencies]
fast = ["e", "f>2; python_version < '3.9' or sys_platform == 'darwin'", "g @ https://x.test/g.zip"]
"all.of-it" = ["a[fast]"]
none = []
"""


def test_the_project_table_says_what_is_needed(tmp_path: Path) -> None:
    """PEP 621, with name and version of the sdist; an extra's marker is joined with the requirement's own, in brackets."""
    found = static_metadata(lay_out(tmp_path, PKG_INFO=pkg_info("2.1", "Requires-Dist: wrong"), pyproject=PROJECT))
    assert found is not None
    fields = BytesParser().parsebytes(found)
    assert (fields["Name"], fields["Version"], fields["Requires-Python"]) == ("a", "1.0", ">=3.9,<4")
    parsed = Metadata.from_email(found)
    assert parsed.provides_extra == ["fast", "all-of-it", "none"]
    needs = {requirement.name: requirement for requirement in parsed.requires_dist or []}
    assert set(needs) == {"a", "b", "c", "d", "e", "f", "g"}
    assert needs["c"] == Requirement("c[x]; sys_platform == 'win32' or os_name == 'nt'")
    assert needs["d"].url == "https://x.test/d.zip"

    def wanted(name: str, **environment: str) -> bool:
        marker = needs[name].marker
        return marker is None or marker.evaluate(
            {"extra": "", "sys_platform": "linux", "python_version": "3.12", **environment}
        )

    assert [name for name in sorted(needs) if wanted(name)] == ["b", "d"]
    assert [name for name in sorted(needs) if wanted(name, extra="fast")] == ["b", "d", "e", "g"]
    assert wanted("f", extra="fast", sys_platform="darwin")
    assert not wanted("f", sys_platform="darwin")
    assert not wanted("f", python_version="3.8")
    assert wanted("a", extra="all-of-it")


def test_what_an_edited_tree_needs_is_not_what_the_sdist_said(tmp_path: Path) -> None:
    """A patch changes the project table or setup.py, and PKG-INFO stays as it was."""
    stale = pkg_info("2.4", "Requires-Dist: before")
    table = "[project]\nname = 'a'\nversion = '1.1'\ndependencies = ['before', 'added']\n"
    found = static_metadata(lay_out(tmp_path / "table", PKG_INFO=stale, pyproject=table), edited=True)
    assert found is not None
    fields = BytesParser().parsebytes(found)
    assert (fields["Version"], fields.get_all("Requires-Dist")) == ("1.1", ["before", "added"])
    assert static_metadata(lay_out(tmp_path / "setup", PKG_INFO=stale, setup=""), edited=True) is None


@pytest.mark.parametrize("field", ["dependencies", "optional-dependencies"])
def test_a_project_table_whose_needs_are_dynamic_says_nothing(tmp_path: Path, field: str) -> None:
    """The backend must be asked."""
    project = f"[project]\nname = 'a'\nversion = '1.0'\ndynamic = ['{field}']\n"
    assert static_metadata(lay_out(tmp_path, PKG_INFO=pkg_info("2.1"), pyproject=project)) is None


def test_an_extra_that_names_no_requirement_is_an_error_of_the_source(tmp_path: Path) -> None:
    """The extra is named."""
    project = "[project]\nname = 'a'\nversion = '1.0'\n[project.optional-dependencies]\nodd = ['no requirement!']\n"
    with pytest.raises(SourceError, match="the extra `odd`"):
        static_metadata(lay_out(tmp_path, PKG_INFO=pkg_info("2.1"), pyproject=project))


# The digest of a folder


def test_a_folders_digest_is_that_of_names_contents_and_run_bits(tmp_path: Path) -> None:
    """Not of times, of where it lies, or of what version control keeps there."""
    first, second = (lay_out(tmp_path / name, setup="x", pyproject="y") for name in ("one", "two"))
    os.utime(second / "setup.py", (0, 0))
    for name in (".git/HEAD", "a/__pycache__/b.pyc", ".hg/x", ".svn/x"):
        (second / name).parent.mkdir(parents=True, exist_ok=True)
        (second / name).write_text("x", encoding="utf-8")
    assert folder_digest(first) == folder_digest(second)


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda f: (f / "setup.py").write_text("z", encoding="utf-8"),
    "name": lambda f: (f / "setup.py").rename(f / "setup2.py"),
    "run bit": lambda f: (f / "setup.py").chmod(0o755),
    "a new file": lambda f: (f / "new").touch(),
    "below": lambda f: ((f / "a").mkdir(), (f / "a" / "b").touch()),
    "a link for a file": lambda f: ((f / "setup.py").rename(f / "b"), (f / "setup.py").symlink_to("b")),
    "a link to a folder": lambda f: (f / "link").symlink_to(".."),
    "swapped": lambda f: ((f / "setup.py").write_text("y"), (f / "pyproject.toml").write_text("x")),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_every_change_in_a_folder_changes_its_digest(tmp_path: Path, what: str) -> None:
    """A lock is stale then."""
    folder = lay_out(tmp_path / "one", setup="x", pyproject="y")
    before = folder_digest(folder)
    CHANGES[what](folder)
    assert folder_digest(folder) != before
