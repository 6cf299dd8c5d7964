"""Patches, as diff and git write them, on source trees."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunenv.errors import SourceError
from pyrunenv.wheels.patches import apply_patches

LONG = "".join(f"line {number}\n" for number in range(40))
FILES = {
    "a.py": "one\ntwo\nthree\n",
    "src/b.py": "x = 1\n",
    "gone.py": "bye\n",
    "crlf.py": "one\r\ntwo\r\n",
    "long": LONG,
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return laid_out(tmp_path / "unpacked" / "pkg-1.0")


def laid_out(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


def patched(tree: Path, text: str | bytes) -> dict[str, str | None]:
    """Apply a patch; returns what is another content than before, with None for what is gone."""
    path = tree.parent / "fix.patch"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    apply_patches(tree, [path])
    after = {p.relative_to(tree).as_posix(): p.read_bytes().decode() for p in tree.rglob("*") if p.is_file()}
    return {name: after.get(name) for name in {*FILES, *after} if FILES.get(name) != after.get(name)}


def hunk(name: str, old: str = "two", new: str = "2", other: str | None = None) -> str:
    return f"--- {name}\n+++ {other or name}\n@@ -1,3 +1,3 @@\n one\n-{old}\n+{new}\n three\n"


@pytest.mark.parametrize(
    "names",
    [("a.py",), ("a/a.py", "b/a.py"), ("pkg-1.0/a.py", "pkg-1.0.fixed/a.py"), ("./a.py",)],
)
def test_names_with_and_without_a_leading_folder(tree: Path, names: tuple[str, ...]) -> None:
    """As diff -u, diff -ru of two folders, and git write them."""
    assert patched(tree, hunk(names[0], other=names[-1])) == {"a.py": "one\n2\nthree\n"}


NEW = "--- /dev/null\n+++ {}\n@@ -0,0 +1,2 @@\n+x = 2\n+y\n"


@pytest.mark.parametrize("before", ["", hunk("a/a.py", other="b/a.py")])
@pytest.mark.parametrize("name", ["b/src/new.py", "b/made/new.py", "b/new.py"])
def test_a_new_file_lies_where_the_patch_says(tree: Path, name: str, before: str) -> None:
    """With its folders, and whether the patch changes other files or none."""
    found = patched(tree, before + NEW.format(name))
    assert found.pop("a.py", None) == ("one\n2\nthree\n" if before else None)
    assert found == {name.removeprefix("b/"): "x = 2\ny\n"}


def test_a_new_file_of_diffs_between_two_folders(tree: Path) -> None:
    """The folder's name goes, whatever it is."""
    assert patched(tree, NEW.format("pkg-1.0.fixed/src/new.py")) == {"src/new.py": "x = 2\ny\n"}


CHANGES: dict[str, tuple[Callable[[Path], object], dict[str, str | None]]] = {
    "changed": (lambda t: (t / "src/b.py").write_text("x = 2\n"), {"src/b.py": "x = 2\n"}),
    "in two places": (
        lambda t: (t / "long").write_text("first\n" + LONG.replace("line 30\n", "line 30\nand more\n")),
        {"long": "first\n" + LONG.replace("line 30\n", "line 30\nand more\n")},
    ),
    "appended": (lambda t: (t / "a.py").write_text("one\ntwo\nthree\nfour\n"), {"a.py": "one\ntwo\nthree\nfour\n"}),
    "emptied": (lambda t: (t / "a.py").write_text(""), {"a.py": ""}),
    "new": (lambda t: (t / "src/new.py").write_text("n\n"), {"src/new.py": "n\n"}),
    "removed": (lambda t: (t / "gone.py").unlink(), {"gone.py": None}),
    "moved": (lambda t: (t / "gone.py").rename(t / "src/here.py"), {"gone.py": None, "src/here.py": "bye\n"}),
    "of Windows": (lambda t: (t / "crlf.py").write_bytes(b"one\r\n2\r\n"), {"crlf.py": "one\r\n2\r\n"}),
    "not ASCII": (lambda t: (t / "a.py").write_bytes("one\nzwölf\nthree\n".encode()), {"a.py": "one\nzwölf\nthree\n"}),
}


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("options", [[], ["--no-prefix"], ["-U0"], ["-U1"]], ids=str)
def test_what_git_writes_is_applied(tree: Path, tmp_path: Path, what: str, options: list[str]) -> None:
    """Of every kind of change, with any number of lines around it."""
    if (options, what) == (["--no-prefix"], "new"):
        pytest.skip("nothing tells its folder from a prefix")
    change, expected = CHANGES[what]
    repository = laid_out(tmp_path / "repository")

    def git(*words: str) -> bytes:
        settings = [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t.test",
            "-c",
            "core.autocrlf=false",
            "-c",
            "commit.gpgsign=false",
        ]
        return subprocess.run(["git", *settings, *words], cwd=repository, check=True, capture_output=True).stdout

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message=x")
    change(repository)
    git("add", "--all")
    assert patched(tree, git("diff", "--cached", "--find-renames", *options)) == expected


def test_the_run_bit_of_a_new_file(tree: Path) -> None:
    """A configure script that a patch brings can be run; a changed file keeps its own mode."""
    (tree / "a.py").chmod(0o755)
    text = "diff --git a/run b/run\nnew file mode 100755\nindex 0000000..1111111\n--- /dev/null\n+++ b/run\n@@ -0,0 +1 @@\n+x\n"
    patched(tree, text)
    patched(tree, hunk("a.py"))
    assert [(tree / name).stat().st_mode & 0o777 for name in ("run", "a.py")] == [0o755, 0o755]


def test_a_mail_with_a_patch_is_applied(tree: Path) -> None:
    """As git format-patch writes it: what stands around it is for people."""
    head = "From 0123 Mon Sep 17 00:00:00 2001\nFrom: A <a@b.test>\nSubject: [PATCH] x\n\n---\n a.py | 2 +-\n\n"
    diff = "diff --git a/a.py b/a.py\nindex 1..2 100644\n" + hunk("a/a.py", other="b/a.py")
    assert patched(tree, f"{head}{diff}-- \n2.39.2\n\n") == {"a.py": "one\n2\nthree\n"}


def test_a_hunk_may_have_moved(tree: Path) -> None:
    """Lines above it were added or removed since: the nearest place is taken."""
    text = "--- a/long\n+++ b/long\n@@ -25,3 +25,3 @@\n line 20\n-line 21\n+LINE\n line 22\n"
    assert patched(tree, text) == {"long": LONG.replace("line 21\n", "LINE\n")}
    twice = "same\nx\nsame\nx\nsame\n"
    (tree / "a.py").write_text(twice, encoding="utf-8")
    found = patched(tree, "--- a.py\n+++ a.py\n@@ -4,2 +4,2 @@\n x\n-same\n+other\n")
    assert found["a.py"] == "same\nx\nsame\nx\nother\n"


WRONG = {
    "another content": (hunk("a.py", old="zwei"), "patch failed: a.py:1"),
    "applied already": (hunk("a.py", old="2", new="two"), "patch failed: a.py:1"),
    "no such file": (hunk("a/z.py", other="b/z.py"), "z.py: No such file or directory"),
    "the second of two": (hunk("a/a.py", other="b/a.py") + "--- a/src/b.py\n+++ b/src/b.py\n@@ -1 +1 @@\n-x = 7\n+x = 2\n", "patch failed: src/b.py:1"),
    "a new one that is there": (NEW.format("b/src/b.py"), "src/b.py: already exists"),
    "a removed one that is not there": ("--- a/z.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-bye\n", "z.py: No such file"),
    "no patch": ("hello\n", "No valid patches"),
    "nothing": ("", "No valid patches"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_patch_that_does_not_apply_names_itself(tree: Path, what: str) -> None:
    """Which file, of which source, why, and what to do."""
    text, reason = WRONG[what]
    with pytest.raises(SourceError) as failure:
        patched(tree, text)
    assert failure.value.message == f"the patch {tree.parent / 'fix.patch'} does not apply"
    assert failure.value.notes[0].startswith("to the source of pkg-1.0: ")
    assert any(reason in note for note in failure.value.notes), failure.value.notes
    after = {p.relative_to(tree).as_posix(): p.read_bytes().decode() for p in tree.rglob("*") if p.is_file()}
    assert after == FILES, "half of a patch was applied"
    assert "this version of the source" in str(failure.value.hint)


def test_no_patch_leads_out_of_the_tree(tree: Path) -> None:
    """Neither by its names, nor by a link in the tree."""
    (tree / "out").symlink_to(tree.parent)
    for name in ("b/out/new.py", "b/../../../new.py", "b//etc/new.py"):
        with pytest.raises(SourceError):
            patched(tree, NEW.format(name))
    assert not list(tree.parent.parent.rglob("new.py"))


def test_patches_are_applied_in_their_order(tree: Path) -> None:
    """The second may build on the first."""
    paths = [tree.parent / "1.patch", tree.parent / "2.patch"]
    paths[0].write_text(hunk("a.py"), encoding="utf-8")
    paths[1].write_text(hunk("a.py", old="2", new="II"), encoding="utf-8")
    apply_patches(tree, paths)
    assert (tree / "a.py").read_text(encoding="utf-8") == "one\nII\nthree\n"


def test_builds_patch_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In threads of one process, whose own folder no patch may change."""
    monkeypatch.setattr("os.chdir", lambda _: pytest.fail("the folder of all threads was changed"))
    trees = [laid_out(tmp_path / str(number) / "pkg") for number in range(8)]
    (tmp_path / "fix.patch").write_text(hunk("a.py"), encoding="utf-8")
    threads = [threading.Thread(target=apply_patches, args=(tree, [tmp_path / "fix.patch"])) for tree in trees]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(tree / "a.py").read_text(encoding="utf-8") for tree in trees} == {"one\n2\nthree\n"}
