"""What copyFiles asks for, as a plan."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyrunenv.bundle.copyfiles import PlannedCopy, digest, plan
from pyrunenv.errors import AssembleError
from pyrunenv.platforms import PLATFORMS


@dataclass(frozen=True)
class Copy:
    source: str
    to: str


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "python-3.12.10"
    for name, content in {
        "tool.sh": "#!/bin/sh\n",
        "site.py": "import sys\n",
        "extras/a.py": "a\n",
        "extras/deep/b.py": "b\n",
        "extras/__pycache__/a.pyc": "x",
        "extras/deep/.DS_Store": "x",
        "same/a.py": "a\n",
        "pydist/linux-x64/bin/python": "x",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (root / "tool.sh").chmod(0o755)
    (tmp_path / "outside.txt").write_text("secret")
    return root


def planned(folder: Path, *copies: tuple[str, str], platform: str = "linux-x64") -> dict[str, PlannedCopy]:
    found = plan([Copy(*c) for c in copies], folder, PLATFORMS[platform], "3.12.10")
    return {copy.destination: copy for copy in found}


def problems(folder: Path, *copies: tuple[str, str], platform: str = "linux-x64") -> tuple[str, ...]:
    with pytest.raises(AssembleError) as caught:
        planned(folder, *copies, platform=platform)
    return caught.value.notes


def test_a_folder_is_copied_without_what_is_only_its_host_s(folder: Path) -> None:
    """All files below it go to `to`; __pycache__ and .DS_Store stay."""
    assert set(planned(folder, ("extras", "share"))) == {"share/a.py", "share/deep/b.py"}


@pytest.mark.parametrize(
    ("source", "to", "expected"),
    [
        ("site.py", "lib/x.py", {"lib/x.py"}),
        ("site.py", "lib/", {"lib/site.py"}),
        ("./site.py", "./lib//x.py", {"lib/x.py"}),
        ("extras", "share/", {"share/extras/a.py", "share/extras/deep/b.py"}),
        ("extras/", ".", {"a.py", "deep/b.py"}),
        ("site.py", "./", {"site.py"}),
        ("extras/deep/../a.py", "a.py", {"a.py"}),
    ],
)
def test_where_things_go(folder: Path, source: str, to: str, expected: set[str]) -> None:
    """A `to` with a slash at its end is a folder to copy into; else it is the new name."""
    assert set(planned(folder, (source, to))) == expected


@pytest.mark.parametrize(
    ("platform", "expected"),
    [("linux-x64", "lib/python3.12/site-packages/site.py"), ("windows-x64", "Lib/site-packages/site.py")],
)
def test_site_packages_is_the_target_s(folder: Path, platform: str, expected: str) -> None:
    """The placeholder follows the target's layout, not the host's."""
    assert set(planned(folder, ("site.py", "{site-packages}/"), platform=platform)) == {expected}


def test_run_bits_are_kept_and_not_invented(folder: Path) -> None:
    """A script stays executable, a module does not become so."""
    found = planned(folder, ("tool.sh", "bin/tool"), ("site.py", "bin/site.py"))
    assert [found["bin/tool"].executable, found["bin/site.py"].executable] == [True, False]


def test_links_inside_the_folder_are_followed(folder: Path) -> None:
    """A link to a file or folder of the environment is copied as what it leads to."""
    (folder / "extras/link.py").symlink_to("../site.py")
    (folder / "extras/more").symlink_to("../same")
    found = planned(folder, ("extras", "x"))
    assert found["x/link.py"].source.read_text() == "import sys\n"
    assert "x/more/a.py" in found


def test_all_problems_are_told_at_once(folder: Path) -> None:
    """Each bad entry is one note; the good one among them does not hide them."""
    (folder / "leads-out").symlink_to("../outside.txt")
    (folder / "dangling").symlink_to("nowhere")
    notes = problems(
        folder, ("absent", "a"), ("../outside.txt", "b"), ("leads-out", "c"), ("dangling", "d"), ("site.py", "ok.py"),
        ("site.py", "../up"), ("site.py", "/etc/x"), ("site.py", "C:/x"), ("site.py", "a\\b"), ("site.py", "{bin}/x"),
        ("site.py", "packages/x.whl"), ("site.py", "Packages/"), ("site.py", "."), (".", "x"), ("pydist", "x"),
        ("site.py", " "),
    )  # fmt: skip
    assert [n.replace(str(folder.parent), "") for n in notes] == [
        "`from` absent does not exist",
        "`from` ../outside.txt leads to /outside.txt, outside the environment's folder",
        "`from` leads-out leads to /outside.txt, outside the environment's folder",
        "`from` dangling is a link that leads nowhere",
        "`to` ../up is outside the bundle",
        "`to` /etc/x is outside the bundle",
        "`to` C:/x is outside the bundle",
        "`to` a\\b holds a backslash; write paths with /",
        "`to` {bin}/x holds {bin}, and only {site-packages} stands for something",
        "`to` packages/x.whl is inside packages/, whose wheels are the lock's; make it a dependency",
        "`to` Packages/ is inside packages/, whose wheels are the lock's; make it a dependency",
        "`to` . is the bundle's root; give site.py a name there",
        "`from` . holds the bundles themselves; name a file or a folder of your own",
        "`from` pydist holds the bundles themselves; name a file or a folder of your own",
        "`to`   is no path",
    ]


def test_links_deep_in_a_folder_are_looked_at_too(folder: Path) -> None:
    """A copied folder must not carry in what lies outside, nor loop."""
    (folder / "extras/deep/out").symlink_to("../../../outside.txt")
    (folder / "extras/deep/loop").symlink_to("..")
    (folder / "extras/self").symlink_to("self")
    os.mkfifo(folder / "extras/pipe")
    notes = problems(folder, ("extras", "x"))
    assert [n.replace(str(folder.parent), "") for n in notes] == [
        "extras/deep/loop is a link to a folder that holds it",
        "extras/deep/out leads to /outside.txt, outside the environment's folder",
        "extras/pipe is neither a file nor a folder",
        "extras/self is a link that leads nowhere",
    ]


def test_one_file_from_two_sources(folder: Path) -> None:
    """Equal bytes for one place are fine, different ones are named both."""
    assert set(planned(folder, ("extras/a.py", "x.py"), ("same/a.py", "x.py"))) == {"x.py"}
    assert problems(folder, ("extras/a.py", "x.py"), ("site.py", "x.py")) == (
        "`to` x.py has two different sources: extras/a.py and site.py",
    )
    (folder / "same/a.py").chmod(0o755)
    assert problems(folder, ("extras/a.py", "x.py"), ("same/a.py", "x.py"))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("share/Readme", "share/README", "`to` share/Readme and share/README are one path where case does not count"),
        ("Share/a", "share/b", "`to` share and Share are one path where case does not count"),
        ("caf\u00e9", "cafe\u0301", "are one path where case does not count"),
        ("share", "share/b", "`to` share is a file and a folder at once"),
    ],
)
def test_destinations_that_another_file_system_cannot_hold(folder: Path, one: str, other: str, expected: str) -> None:
    """Paths that differ by case or by the form of an accent alone, and a file where a folder must be."""
    (note,) = problems(folder, ("site.py", one), ("site.py", other))
    assert note.endswith(expected)


@pytest.mark.parametrize("name", ["aux.py", "a/con/b", "what?.txt", "end.", "x/nul"])
def test_names_that_windows_cannot_hold(folder: Path, name: str) -> None:
    """They are refused for Windows, and only there."""
    assert "Windows cannot name a file" in problems(folder, ("site.py", name), platform="windows-x64")[0]
    assert planned(folder, ("site.py", name))


def test_an_empty_folder_is_told(folder: Path) -> None:
    """A folder without a file would silently copy nothing."""
    (folder / "hollow/__pycache__").mkdir(parents=True)
    (folder / "hollow/__pycache__/x.pyc").touch()
    assert problems(folder, ("hollow", "x")) == ("`from` hollow is a folder without a file",)


def test_the_digest_is_of_what_arrives(folder: Path, tmp_path: Path) -> None:
    """Another source folder does not count; a byte, a run bit or a place does."""
    before = digest(planned(folder, ("extras/a.py", "x.py")).values())
    assert digest(planned(folder, ("same/a.py", "x.py")).values()) == before
    assert digest(planned(folder, ("extras/a.py", "y.py")).values()) != before
    (folder / "extras/a.py").chmod(0o755)
    runs = digest(planned(folder, ("extras/a.py", "x.py")).values())
    assert runs != before
    (folder / "extras/a.py").write_text("b\n")
    assert digest(planned(folder, ("extras/a.py", "x.py")).values()) not in (before, runs)
