"""CHANGELOG.md: one entry is written, and every other byte stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunenv.bump.changelog import BEGIN, END, Changelog, check_paragraphs
from pyrunenv.errors import UsageError


def entry(
    content: bytes | None, version: str = "1.1.0", *texts: str, changes: str = "- x", since: str = "1.0.0"
) -> bytes:
    return Changelog(content).with_entry(version, "2025-11-23", texts or ("Text.",), changes, since)


NEW = f"## 1.1.0 - 2025-11-23\n\nText.\n\n{BEGIN}\n\n- x\n\n{END}\n"


@pytest.mark.parametrize(
    ("before", "above", "below"),
    [
        (None, "# Changelog\n\n", ""),
        ("", "", ""),
        ("# Log", "# Log\n\n", ""),
        ("# Log\n\nAbout.\n", "# Log\n\nAbout.\n\n", ""),
        ("# Log\n\n## 1.0.0\n\nOld.\n", "# Log\n\n", "\n## 1.0.0\n\nOld.\n"),
        ("# Log\n## [1.0.0] - 2020-01-01\nOld", "# Log\n\n", "\n## [1.0.0] - 2020-01-01\nOld"),
        ("## Unreleased\n\n- y\n\n## v1.0.0\n", "## Unreleased\n\n- y\n\n", "\n## v1.0.0\n"),
        ("# Log\n\n1.0.0\n-----\n\nOld.\n", "# Log\n\n", "\n1.0.0\n-----\n\nOld.\n"),
        ("```\n## 0.9.0\n```\n\n## 1.0.0\n", "```\n## 0.9.0\n```\n\n", "\n## 1.0.0\n"),
        ("<!--\n## 0.9.0\n-->\n\n## 1.0.0\n", "<!--\n## 0.9.0\n-->\n\n", "\n## 1.0.0\n"),
        ("# Log\n\n### 0.9.0\n", "# Log\n\n### 0.9.0\n\n", ""),
    ],
)
def test_the_newest_stands_first(before: str | None, above: str, below: str) -> None:
    """In front of the first heading with a version, which code, comments and smaller headings are not."""
    content = None if before is None else before.encode()
    after = entry(content).decode()
    assert after == above + NEW + below
    assert entry(after.encode()).decode() == after
    assert Changelog(after.encode()).has("1.1.0")


ODD = st.lists(st.sampled_from(["# a", "## 1.0.0", "## 0.9.0 x", "text", "", "```", "<!--", "-->", "- ä", "\x85", " ", "## Unreleased", "===", "\u2028"]), max_size=12)  # fmt: skip


@given(ODD, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.sampled_from([b"", b"\n", b"\xff\xfe"]))
def test_what_was_there_stays_byte_for_byte(lines: list[str], newline: bytes, end: bytes) -> None:
    """Whatever it is, and UTF-8 or not; a second run changes nothing more than its own entry."""
    before = newline.join(line.encode() for line in lines) + end
    after = entry(before)
    added = len(after) - len(before)
    assert any(after[:i] + after[i + added :] == before for i in range(len(before) + 1))


def test_lines_end_as_in_the_file() -> None:
    after = entry(b"# Log\r\n\r\n## 1.0.0\r\n")
    assert after.count(b"\n") == after.count(b"\r\n")


def test_an_entry_is_written_anew_around_what_people_wrote() -> None:
    """Their words, heading and blank lines stay, a paragraph that is there is not repeated, the changes are the new ones."""
    edited = (
        entry(None)
        .decode()
        .replace("## 1.1.0", "## [1.1.0]")
        .replace("Text.\n", "Text.\n\nBy hand,   as it is.\n\n\n")
        .replace(END, f"{END}\n\nAnd below.")
    )
    after = entry(edited.encode(), "1.1.0", "Text.", "More.", changes="- y").decode()
    assert after == edited.replace(BEGIN, f"More.\n\n{BEGIN}").replace("- x", "- y")


def test_an_entry_of_a_run_that_had_less_to_tell_gets_the_new_version() -> None:
    """So does that of a run that was killed; a plan that somebody wrote stays."""
    once = entry(b"# Log\n\n## 1.0.0\n", "1.0.1")
    assert entry(once, "1.1.0", changes="- y") == once.replace(b"1.0.1", b"1.1.0").replace(b"- x", b"- y")
    planned = b"## 3.0.0\n\nOne day.\n\n## 1.0.0\n"
    assert entry(planned).decode() == f"{NEW}\n{planned.decode()}"


def test_an_old_entry_is_no_leftover() -> None:
    """What was written for the version that was published stays, marks or not."""
    old = entry(b"# Log\n", "1.0.0", since="0.9.0")
    assert old.replace(b"# Log\n\n", b"") in entry(old)


def test_an_entry_by_hand_for_the_very_version_is_completed() -> None:
    """Its heading and text stay."""
    before = b"# Log\n\n## [1.1.0] - TBD\n\nBy hand.\n\n## 1.0.0\n"
    expected = f"# Log\n\n## [1.1.0] - TBD\n\nBy hand.\n\nText.\n\n{BEGIN}\n\n- x\n\n{END}\n\n## 1.0.0\n"
    assert entry(before).decode() == expected
    assert entry(b"## 1.1.0").decode() == f"## 1.1.0\n\nText.\n\n{BEGIN}\n\n- x\n\n{END}\n"


def test_a_mark_without_its_end_is_text() -> None:
    """Nothing below it is lost."""
    broken = entry(None).decode().replace(END, "mine")
    after = entry(broken.encode()).decode()
    assert after.startswith(broken)
    assert after.count(END) == 1


@pytest.mark.parametrize("texts", [[], [""], ["a", " \n"], ["# a"], ["ok\n\n## 2.0.0\n"], ["a\n==="]])
def test_what_is_no_text_of_an_entry(texts: list[str]) -> None:
    """Nothing, blanks, and what would end the entry."""
    with pytest.raises(UsageError):
        check_paragraphs(texts)
    assert check_paragraphs([" a\r\nb ", "`# c`"]) == ["a\nb", "`# c`"]
