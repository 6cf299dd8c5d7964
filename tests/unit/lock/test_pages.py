"""Pages of registries on their way through the gate."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from pyrunenv.errors import UsageError
from pyrunenv.lock.pages import moment, rewrite

URL = "https://index.test/simple/one/"
NOON = datetime(2025, 6, 30, 12, tzinfo=UTC)


def page(*files: dict[str, object]) -> bytes:
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "one", "files": list(files)}).encode()


def names(content: bytes) -> list[str]:
    return [file["filename"] for file in json.loads(content)["files"]]


def test_relative_urls_become_absolute_and_are_placed() -> None:
    """Every file's URL is joined to the page's own and given to `place`; everything else stays."""
    content = page({"filename": "a.whl", "url": "../../files/a.whl#x", "hashes": {"sha256": "1"}, "size": 3})
    found = json.loads(rewrite(content, "application/json", URL, "one", before=None, place=lambda u: f"<{u}>").content)
    assert found["files"] == [
        {"filename": "a.whl", "url": "<https://index.test/files/a.whl#x>", "hashes": {"sha256": "1"}, "size": 3}
    ]


@pytest.mark.parametrize(
    ("time", "kept"),
    [
        ("2025-06-30T11:59:59Z", True), ("2025-06-30T11:59:59.999999Z", True), ("2025-06-30T12:00:00Z", False),
        ("2025-06-30T12:00:00.5Z", False), ("2025-06-30T13:30:00+02:00", True), ("2025-06-30T11:00:00-02:00", False),
        ("2025-06-30T11:00:00", True), (None, False), ("2024-12-31T23:59:59.123Z", True),
    ],
)  # fmt: skip
def test_files_of_the_date_and_later_are_left_out(time: str | None, kept: bool) -> None:
    """Times in any zone and precision; a file without one is left out where others of the page have one."""
    files = [{"filename": "old", "url": "u", "upload-time": "2020-01-01T00:00:00Z"}, {"filename": "x", "url": "u"}]
    if time is not None:
        files[1]["upload-time"] = time
    found = rewrite(page(*files), "application/json", URL, "one", before=NOON, place=str)
    assert names(found.content) == ["old", *(["x"] if kept else [])]
    assert found.dated


def test_a_page_without_times_is_exempt() -> None:
    """Nothing is hidden, and it is said; an empty page says nothing."""
    found = rewrite(page({"filename": "x", "url": "u"}), "application/json", URL, "one", before=NOON, place=str)
    assert (names(found.content), found.dated) == (["x"], False)
    assert rewrite(page(), "application/json", URL, "one", before=NOON, place=str).dated


def test_html_becomes_json_with_nothing_lost() -> None:
    """Digest, Python versions, yanked with its reason, metadata's digest; the name is the URL's, not the link's text."""
    html = (
        '<a href="../../f/one-1.0%2Bcpu-py3-none-any.whl#sha256=ab" data-requires-python="&gt;=3.8" data-yanked="bad" '
        'data-core-metadata="sha256=cd">download</a><a href="one-2.0.tar.gz" data-yanked="">x</a>'
    )
    files = json.loads(rewrite(html.encode(), "text/html", URL, "one", before=None, place=str).content)["files"]
    assert files[0] == {
        "filename": "one-1.0+cpu-py3-none-any.whl", "url": "https://index.test/f/one-1.0%2Bcpu-py3-none-any.whl",
        "hashes": {"sha256": "ab"}, "requires-python": ">=3.8", "yanked": "bad", "core-metadata": {"sha256": "cd"},
    }  # fmt: skip
    assert (files[1]["filename"], files[1]["yanked"]) == ("one-2.0.tar.gz", True)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"files": 3}', b"<html>"])
def test_what_is_no_page_is_refused(content: bytes) -> None:
    """JSON that is none, or holds no list of files."""
    with pytest.raises(ValueError):
        rewrite(content, "application/vnd.pypi.simple.v1+json", URL, "one", before=None, place=str)


def test_a_day_ends_when_it_is_over() -> None:
    """A day stands for all of it in UTC; a time for itself; one without a zone is ambiguous and refused."""
    assert moment("2025-06-30") == datetime(2025, 7, 1, tzinfo=UTC)
    assert moment("2025-06-30T14:00:00+02:00") == NOON
    assert moment("2025-06-30T12:00:00Z") == NOON
    for text in ("", "soon", "2025-06-31", "2025-06-30T12:00:00"):
        with pytest.raises(UsageError):
            moment(text)


@pytest.mark.parametrize(("version", "read"), [("1.0", True), ("1.4", True), ("2.0", False), ("x", False)])
def test_another_major_version_of_the_api_is_refused(version: str, read: bool) -> None:
    """PEP 629: a client must fail; within a major version it goes on."""
    content = json.dumps({"meta": {"api-version": version}, "files": []}).encode()
    if read:
        assert rewrite(content, "application/json", URL, "one", before=None, place=str).dated
        return
    with pytest.raises(ValueError, match=f"version of the simple API is {version}, and known is 1"):
        rewrite(content, "application/json", URL, "one", before=None, place=str)
