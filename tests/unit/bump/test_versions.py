"""The next version."""

from __future__ import annotations

import pytest

from pyrunenv.bump.reasons import Part
from pyrunenv.bump.versions import Step, step
from pyrunenv.errors import ConfigError


@pytest.mark.parametrize(
    ("published", "part", "expected"),
    [
        ("1.2.3", Part.patch, "1.2.4"),
        ("1.2.3", Part.minor, "1.3.0"),
        ("1.2.3", Part.major, "2.0.0"),
        ("0.1.0", Part.major, "1.0.0"),
        ("1.2.3-rc.1", Part.patch, "1.2.3"),
        ("1.2.3-rc.1", Part.minor, "1.3.0"),
        ("1.3.0-rc.1", Part.minor, "1.3.0"),
        ("2.0.0-rc.1", Part.major, "2.0.0"),
        ("1.2.3+build.5", Part.patch, "1.2.4"),
    ],
)
def test_from_what_was_published(published: str, part: Part, expected: str) -> None:
    """By semver; a prerelease becomes the release that it announces where that is enough."""
    assert step(published, published, part, "x") == Step(published, expected)


@pytest.mark.parametrize(
    ("present", "part", "expected"),
    [
        ("1.2.4", Part.patch, "1.2.4"),
        ("1.2.4", Part.minor, "1.3.0"),
        ("1.3.0", Part.patch, "1.3.0"),
        ("2.0.0", Part.minor, "2.0.0"),
        ("1.3.0-rc.1", Part.minor, "1.3.0-rc.1"),
        ("1.3.0-rc.1", Part.major, "2.0.0"),
        ("1.2.4-rc.1", Part.minor, "1.3.0"),
    ],
)
def test_a_higher_version_stays_where_it_is_enough(present: str, part: Part, expected: str) -> None:
    """So that a second run raises nothing, and a prerelease that was set by hand is kept."""
    assert step("1.2.3", present, part, "x") == Step("1.2.3", expected, present)


def test_a_lower_version_or_none_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"x has the version 1\.2\.2, and 1\.2\.3 was published already"):
        step("1.2.3", "1.2.2", Part.patch, "x")
    with pytest.raises(ConfigError, match=r"the version `01\.2\.3` of x cannot be raised"):
        step("1.2.3", "01.2.3", Part.patch, "x")
