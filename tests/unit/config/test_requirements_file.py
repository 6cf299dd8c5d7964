"""The requirements.txt of a consumer."""

from pathlib import Path

import pytest

from pyrunenv.config.requirements_file import RequirementsFileError, read_requirements


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_comments_blank_lines_and_continuations_are_read_as_pip_does(tmp_path: Path) -> None:
    """Only the requirements remain, in order, with a URL's fragment and continued lines whole."""
    path = write(
        tmp_path,
        "r.txt",
        "\ufeff# head\n\nnumpy==1.0  # why\n  scipy \\\n  >=1.0\\\n# a comment ends it\npandas\n"
        "x @ git+https://e.org/x@c#subdirectory=py\nlast\\",
    )
    assert read_requirements(path) == (
        "numpy==1.0",
        "scipy   >=1.0",
        "pandas",
        "x @ git+https://e.org/x@c#subdirectory=py",
        "last",
    )


@pytest.mark.parametrize("option", ["-r sub/more.txt", "-rsub/more.txt", "--requirement=sub/more.txt"])
def test_an_include_is_relative_to_the_file_that_names_it(tmp_path: Path, option: str) -> None:
    """An include stands in for its line, and its own includes start at its folder."""
    path = write(tmp_path, "r.txt", f"a\n{option}\nd\n")
    write(tmp_path, "sub/more.txt", "b\n-r last.txt\n")
    write(tmp_path, "sub/last.txt", "c\n")
    assert read_requirements(path) == ("a", "b", "c", "d")


def test_a_cycle_of_includes_is_told(tmp_path: Path) -> None:
    """Two files that include each other are an error, not a hang."""
    path = write(tmp_path, "a.txt", "-r b.txt\n")
    write(tmp_path, "b.txt", "-r a.txt\n")
    with pytest.raises(RequirementsFileError) as caught:
        read_requirements(path)
    assert caught.value.problems == ["a.txt includes itself, by way of b.txt"]


def test_all_faults_are_told_with_their_lines(tmp_path: Path) -> None:
    """Options and bad requirements are refused together, each with file and line."""
    path = write(tmp_path, "r.txt", "-e .\nnumpy=1\n--index-url=https://e.org\nx==1 \\\n --hash=sha256:00\ngood\n")
    with pytest.raises(RequirementsFileError) as caught:
        read_requirements(path)
    assert caught.value.problems == [
        "r.txt, line 1: option `-e` is not supported, only `-r` is",
        "r.txt, line 2: `numpy=1` is not a requirement, did you mean `numpy==1`?",
        "r.txt, line 3: option `--index-url` is not supported, only `-r` is",
        "r.txt, line 4: option `--hash` is not supported, only `-r` is",
    ]
    assert not caught.value.unreadable


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    """A missing file and a missing include name themselves, and can be told from a bad line."""
    path = write(tmp_path, "r.txt", "-r gone.txt\n")
    for target, name in ((tmp_path / "none.txt", "none.txt"), (path, "gone.txt")):
        with pytest.raises(RequirementsFileError) as caught:
            read_requirements(target)
        assert caught.value.unreadable
        assert caught.value.problems == [f"{name} cannot be read: no such file or directory"]


def test_what_is_not_utf8_is_unreadable(tmp_path: Path) -> None:
    """A binary file is an error, not a traceback."""
    (tmp_path / "r.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequirementsFileError):
        read_requirements(tmp_path / "r.txt")
