"""Which change raises which part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunenv.bump.base import Base
from pyrunenv.bump.reasons import Part, entries_between, greatest, in_short, part_between, reasons_between

LINUX, MAC, WINDOWS = "linux-x64", "macosx-x64", "windows-x64"
PLATFORMS = (LINUX, MAC, WINDOWS)
Roots = Mapping[str, str]


def base(roots: Mapping[str, Roots], **more: Mapping[str, str]) -> Base:
    """What holds roots, by platform, and ``more`` packages alike on all."""
    held = {
        key: {name: {version: (10, f"{name}{version}")} for name, version in (here | more.get("needs", {})).items()}
        for key, here in ((key, dict(here)) for key, here in roots.items())
    }
    return Base("1.0.0", "a test", held, {key: {n: (v,) for n, v in here.items()} for key, here in roots.items()})


def everywhere(**roots: str) -> Base:
    return base(dict.fromkeys(PLATFORMS, roots))


def told(before: Base, after: Base) -> list[str]:
    return [f"{reason.part.name}: {reason}" for reason in reasons_between(before, after)]


def test_nothing_is_no_reason() -> None:
    assert told(everywhere(a="1.0"), everywhere(a="1.0")) == []


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (everywhere(a="1.1"), "minor: upgraded root a 1.0 → 1.1"),
        (everywhere(a="1.0.post1"), "minor: upgraded root a 1.0 → 1.0.post1"),
        (everywhere(a="0.9"), "major: downgraded root a 1.0 → 0.9"),
        (everywhere(a="1.0rc1"), "major: downgraded root a 1.0 → 1.0rc1"),
        (everywhere(a="10.0"), "minor: upgraded root a 1.0 → 10.0"),
        (everywhere(a="1.0", b="1.0"), "minor: added root b"),
        (everywhere(), "major: removed root a"),
        (base({LINUX: {"a": "1.0"}, MAC: {"a": "1.0"}, WINDOWS: {}}), f"major: removed root a on {WINDOWS}"),
        (base({LINUX: {"a": "1.0"}, MAC: {"a": "1.0"}}), f"major: dropped the platform {WINDOWS}"),
        (base({key: {"a": "1.0"} for key in (*PLATFORMS, "linux-aarch64")}), "minor: added the platform linux-aarch64"),
        (base({key: {"a": "1.0"} for key in PLATFORMS}, needs={"x": "1"}), "patch: changed 1 package beside the roots"),
    ],
)  # fmt: skip
def test_one_change(after: Base, expected: str) -> None:
    """Each has its part, and is told with the platforms where that is not all."""
    assert told(everywhere(a="1.0"), after) == [expected]


def test_another_file_of_the_same_version_is_a_patch() -> None:
    """Of a root too; but not another size of one digest, which a manifest has for what was built from source."""
    before = everywhere(a="1.0")
    held = {key: {"a": {"1.0": (10, "rebuilt")}} for key in PLATFORMS}
    assert told(before, replace(before, held=held)) == ["patch: changed 1 package beside the roots"]
    held = {key: {"a": {"1.0": (11, "a1.0")}} for key in PLATFORMS}
    assert told(before, replace(before, held=held)) == []


def test_facts_and_files_are_patches_and_only_what_both_know_counts() -> None:
    """A source that does not know the floor tells no change of it."""
    one = everywhere(a="1.0")
    before = replace(one, facts={LINUX: {"the floor": "glibc 2.28", "x": "1"}}, files={LINUX: "1", MAC: "1"})
    after = replace(one, facts={LINUX: {"the floor": "glibc 2.34", "y": "1"}}, files={LINUX: "2", WINDOWS: "1"})
    assert told(before, after) == [
        f"patch: changed the floor: glibc 2.28 → glibc 2.34 on {LINUX}",
        f"patch: changed copied files on {LINUX}",
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (("1.26", "2.1"), ("2.1",), "major: removed a version of root a: 2.1, 1.26 → 2.1"),
        (("2.1",), ("1.26", "2.1"), "minor: added a version of root a: 2.1 → 2.1, 1.26"),
        (("1.26", "2.1"), ("1.26", "2.2"), "minor: upgraded root a 2.1, 1.26 → 2.2, 1.26"),
        (("1.26", "2.1"), ("1.25", "2.2"), "major: downgraded root a 2.1, 1.26 → 2.2, 1.25"),
    ],
)
def test_a_root_with_a_version_in_each_group(before: tuple[str, ...], after: tuple[str, ...], expected: str) -> None:
    """The highest answers to the highest."""
    one = Base("1.0.0", "", {LINUX: {}}, {LINUX: {"a": before}})
    assert told(one, replace(one, roots={LINUX: {"a": after}})) == [expected]


VERSIONS = st.sampled_from(["0.9", "1.0", "1.0.1", "2.0", "10.0"])
SOME_ROOTS = st.dictionaries(st.sampled_from("abcd"), VERSIONS, max_size=4)
STATES = st.dictionaries(st.sampled_from(PLATFORMS), SOME_ROOTS, min_size=1)


@given(STATES, STATES)
def test_no_change_is_above_the_part_of_all(before: dict[str, Roots], after: dict[str, Roots]) -> None:
    """All that is told of each root on each platform alone is at most what is told of the whole."""
    whole = greatest(reasons_between(base(before), base(after)))
    for key in before.keys() | after.keys():
        if (key in before) != (key in after):
            assert whole >= (Part.major if key in before else Part.minor)
            continue
        for name in before[key].keys() | after[key].keys():
            one, other = ({key: {n: v for n, v in state[key].items() if n == name}} for state in (before, after))
            found = reasons_between(base(one), base(other))
            assert whole >= greatest(found)
            assert bool(found) == (one != other)
            if name in before[key] and name not in after[key]:
                assert whole is Part.major


@given(STATES, STATES)
def test_there_and_back_again_is_never_free(before: dict[str, Roots], after: dict[str, Roots]) -> None:
    """Of two states that differ in roots, going one way or the other is major or both are additions' opposites."""
    there, back = (reasons_between(base(x), base(y)) for x, y in ((before, after), (after, before)))
    assert bool(there) == bool(back) == (before != after)
    if there:
        assert Part.major in (greatest(there), greatest(back))
    assert [reason.part for reason in there] == sorted((reason.part for reason in there), reverse=True)


def test_in_short() -> None:
    """The gravest, and how many more."""
    found = reasons_between(everywhere(a="1.0", b="1.0"), everywhere(b="0.9", c="1.0"))
    assert in_short(found) == "removed root a and 2 more"
    assert in_short(found[:1]) == "removed root a"
    assert in_short([]) == "asked for"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("1.0.0", "1.0.1", Part.patch), ("1.0.0", "1.1.0", Part.minor), ("1.9.0", "2.0.0", Part.major),
        ("1.0.0-rc.1", "1.0.0", Part.patch), ("1.1.0", "1.0.9", Part.major), ("0.1.0", "0.2.0", Part.minor),
        ("^1.0.0", "1.0.1", Part.major),
    ],
)  # fmt: skip
def test_the_part_between_two_versions(before: str, after: str, expected: Part) -> None:
    assert part_between(before, after) is expected


def test_entries_of_a_catalogue() -> None:
    """One gone or another package is major, one come is minor, a version counts as it moved."""
    before = {"x": ("@t/x", "1.0.0"), "y": ("@t/y", "1.0.0"), "z": ("@t/z", "1.0.0")}
    after = {"x": ("@t/x", "1.0.1"), "y": ("@t/other", "1.0.0"), "new": ("@t/new", "0.1.0")}
    assert [f"{r.part.name}: {r}" for r in entries_between(before, after)] == [
        "major: removed the entry z",
        "major: y is another package: @t/y → @t/other",
        "minor: added the entry new",
        "patch: x 1.0.0 → 1.0.1",
    ]
