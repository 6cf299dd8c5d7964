"""Archives made to do harm, through the whole program: refused whole, the member named, nothing outside touched."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.hostile import TarMember, add_to_tar, add_to_zip
from support.product import VERSION, World, make_world
from support.wheels import make_wheel
from support.workspaces import write_json

PLATFORM = "linux-x64"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A small world for one platform."""
    with make_world(
        tmp_path, {VERSION: {"packages": {"dependencies": ["evil"]}}}, platforms=(PLATFORM,), small=True
    ) as made:
        yield made


def lie_about_size(path: Path) -> None:
    """Let the directory say of a member that it unpacks to 4 GiB: the declared limit is passed with the rest."""
    add_to_zip(path, ("evil/bomb", b"\0" * 70_000, 0o644), ("evil/bomb2", b"\0", 0o644))
    content = bytearray(path.read_bytes())
    for name in (b"evil/bomb", b"evil/bomb2"):
        at = content.rindex(b"PK\1\2", 0, content.rindex(name))
        content[at + 24 : at + 28] = b"\xfe\xff\xff\xff"
    path.write_bytes(bytes(content))


WHEELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "parent": (lambda p: add_to_zip(p, ("evil/../../out", b"x", 0o644)), "evil/../../out"),
    "absolute": (lambda p: add_to_zip(p, ("/tmp/out", b"x", 0o644)), "/tmp/out"),
    "drive": (lambda p: add_to_zip(p, ("C:/out", b"x", 0o644)), "C:/out"),
    "backslash": (lambda p: add_to_zip(p, ("evil\\..\\out", b"x", 0o644)), "evil\\..\\out"),
    "link": (lambda p: add_to_zip(p, ("evil/link", b"../../out", 0o120777)), "evil/link"),
    "device": (lambda p: add_to_zip(p, ("evil/null", b"", 0o020666)), "evil/null"),
    "case": (lambda p: add_to_zip(p, ("evil/A.py", b"1", 0o644), ("evil/a.py", b"2", 0o644)), "evil/a.py"),
    "reserved": (lambda p: add_to_zip(p, ("evil/nul.txt", b"1", 0o644)), "evil/nul.txt"),
    "below a file": (lambda p: add_to_zip(p, ("evil/__init__.py/x", b"1", 0o644)), "evil/__init__.py/x"),
    "bomb": (lie_about_size, "evil/bomb"),
}  # fmt: skip


def refused(world: World, member: str, archive: str) -> None:
    """The build fails with the member named, and leaves neither bundle nor archive nor anything outside."""
    before = set(world.folder.parent.iterdir())
    result = world.run("build", "--platform", PLATFORM)
    assert result.status == 1, result.stderr
    assert "error[unsafe-archive]" in result.stderr, result.stderr
    assert member in result.stderr
    assert archive in result.stderr
    assert not world.archives_built()
    pydist = world.environment_folder() / "pydist"
    assert not pydist.exists() or [path for path in pydist.iterdir() if not path.name.endswith(".lock")] == []
    assert set(world.folder.parent.iterdir()) == before
    assert not Path("/tmp/out").exists()


@pytest.mark.parametrize("case", sorted(WHEELS))
def test_wheels_that_would_do_harm_are_refused(world: World, case: str) -> None:
    """A wheel with such a member never gets into a bundle."""
    change, member = WHEELS[case]
    path = make_wheel(world.index.folder, "evil", "1.0")
    change(path)
    refused(world, member, path.name)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_wheel_with_two_members_of_one_name(world: World) -> None:
    """Which of them an installer takes is anybody's guess: refused."""
    path = make_wheel(world.index.folder, "evil", "1.0")
    add_to_zip(path, ("evil/__init__.py", b"import os", 0o644))
    refused(world, "evil/__init__.py", path.name)


def test_a_wheel_that_is_no_zip(world: World) -> None:
    """What is served under a right digest but is damaged is refused, and named."""
    path = make_wheel(world.index.folder, "evil", "1.0")
    assert world.run("lock").status == 0
    content = path.read_bytes()
    content = content[: len(content) // 2]
    path.write_bytes(content)
    lock = world.environment_folder() / f"pylock.{PLATFORM}.toml"
    text = lock.read_text(encoding="utf-8")
    old = [line for line in text.splitlines() if "evil-1.0" in line or "sha256" in line or "size" in line]
    assert old
    # The lock promises the damaged file: a registry may be damaged too.
    text = re.sub(r"(evil-1\.0-py3-none-any\.whl.*?size = )\d+", rf"\g<1>{len(content)}", text, flags=re.DOTALL)
    text = re.sub(
        r'(evil-1\.0-py3-none-any\.whl.*?sha256 = ")[0-9a-f]{64}',
        rf"\g<1>{hashlib.sha256(content).hexdigest()}", text, flags=re.DOTALL,
    )  # fmt: skip
    lock.write_text(text, encoding="utf-8")
    result = world.run("build", "--platform", PLATFORM)
    assert result.status == 1
    assert "error[unsafe-archive]: evil-1.0-py3-none-any.whl is damaged" in result.stderr, result.stderr
    assert not world.archives_built()


def tar_with(path: Path, *members: TarMember) -> None:
    """Write an interpreter's archive anew, with members added at its end."""
    with tarfile.open(path) as before:
        held = [(member, before.extractfile(member).read() if member.isreg() else b"") for member in before]  # type: ignore[union-attr]
    with tarfile.open(path, "w:gz") as after:
        for member, content in held:
            after.addfile(member, io.BytesIO(content))
        add_to_tar(after, *members)


TARS: dict[str, list[TarMember]] = {
    "parent": [("python/../../out", b"x", tarfile.REGTYPE)],
    "absolute": [("/tmp/out", b"x", tarfile.REGTYPE)],
    "link out": [("python/lib/out", "../../../out", tarfile.SYMTYPE)],
    "through a link": [("python/l", "lib", tarfile.SYMTYPE), ("python/l/out", b"x", tarfile.REGTYPE)],
    "hard link out": [("python/lib/out", "/etc/passwd", tarfile.LNKTYPE)],
    "device": [("python/lib/out", b"", tarfile.CHRTYPE)],
    "pipe": [("python/lib/out", b"", tarfile.FIFOTYPE)],
    "duplicate": [("python/lib/python3.12/os.py", b"x", tarfile.REGTYPE)],
    "case": [("python/lib/python3.12/OUT.py", b"x", tarfile.REGTYPE), ("python/lib/python3.12/out.py", b"", b"0")],
}


@pytest.mark.parametrize("case", sorted(TARS))
def test_interpreters_that_would_do_harm_are_refused(world: World, case: str) -> None:
    """An interpreter's archive with such a member is refused before anything of it lies in the cache as a tree."""
    world.configure(VERSION, {"packages": {"dependencies": ["pure"]}})
    path, _ = world.archives[PLATFORM]
    tar_with(path, *TARS[case])
    serve(world, path)
    refused(world, TARS[case][-1][0], path.name)
    assert not list((world.cache / "interpreters").glob("*.tar"))


def serve(world: World, path: Path) -> None:
    """Let the configuration name an archive as it is now."""
    shared = world.root / "shared-config.json"
    config = json.loads(shared.read_text(encoding="utf-8"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    config["python"]["archives"][PLATFORM] = {"url": path.as_uri(), "sha256": digest}
    write_json(shared, config)
    shutil.rmtree(world.cache, ignore_errors=True)
