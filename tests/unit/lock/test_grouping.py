"""Groups, with a resolver whose whole knowledge is which names exclude each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrunenv.errors import Conflict
from pyrunenv.lock.answers import Refusal, Resolution, ResolvedPackage
from pyrunenv.lock.grouping import Grouping, form_groups
from pyrunenv.lock.roots import Root


def make_roots(names: Sequence[str]) -> list[Root]:
    return [Root(i, name, name) for i, name in enumerate(names)]


class FakeResolver:
    """Refuses lists that hold both names of a pair, or a name that cannot be had."""

    def __init__(self, conflicts: set[frozenset[str]] = frozenset(), absent: set[str] = frozenset()) -> None:
        self.conflicts, self.absent = conflicts, absent
        self.calls = 0
        self.preferences: list[Mapping[str, str]] = []

    def __call__(self, roots: Sequence[Root], preferences: Mapping[str, str]) -> Resolution | Refusal:
        self.calls += 1
        self.preferences.append(preferences)
        names = {root.name for root in roots}
        if names & self.absent:
            return Refusal(f"no {sorted(names & self.absent)[0]}")
        for pair in self.conflicts:
            if pair <= names:
                return Refusal(" against ".join(sorted(pair)))
        return Resolution({n: ResolvedPackage(n, "1", f"https://x/{n}.whl", n, 1, "0", None) for n in names})


def pairs(*names: str) -> set[frozenset[str]]:
    return {frozenset(name.split("/")) for name in names}


def shape(grouping: Grouping) -> list[list[str]]:
    return [[root.name for root in group.roots] for group in grouping.groups]


def test_roots_that_fit_are_one_group() -> None:
    """Without a conflict there is one group, found with one question."""
    resolver = FakeResolver()
    grouping = form_groups(make_roots("abc"), resolver)
    assert shape(grouping) == [["a", "b", "c"]]
    assert resolver.calls == 1


def test_the_later_root_is_evicted_and_its_group_takes_in_all_that_fit() -> None:
    """The evicted root seeds group 2, which holds every other root but those that conflict with it."""
    grouping = form_groups(make_roots("abcd"), FakeResolver(pairs("b/c")))
    assert shape(grouping) == [["a", "b", "d"], ["c", "a", "d"]]
    evicted = {root.name: {g: r.reason for g, r in why.items()} for root, why in grouping.evictions.items()}
    assert evicted == {"c": {"group-1": "b against c"}, "b": {"group-2": "b against c"}}


def test_seeds_that_conflict_make_a_third_group() -> None:
    """Roots that are evicted together but do not fit together land in different groups, in the config's order."""
    grouping = form_groups(make_roots("abcd"), FakeResolver(pairs("a/b", "a/c", "b/c")))
    assert shape(grouping) == [["a", "d"], ["b", "d"], ["c", "d"]]


def test_what_cannot_be_had_alone_is_missing_and_not_evicted() -> None:
    """A root that has no solution by itself is in no group, and names its own reason."""
    grouping = form_groups(make_roots("abc"), FakeResolver(pairs("a/c"), absent={"b"}))
    assert shape(grouping) == [["a"], ["c"]]
    assert {root.name: refusal.reason for root, refusal in grouping.missing.items()} == {"b": "no b"}
    assert not any(root.name == "b" for root in grouping.evictions)


def test_nothing_that_can_be_had_gives_no_group() -> None:
    """A list of nothing but missing roots ends."""
    grouping = form_groups(make_roots("ab"), FakeResolver(absent={"a", "b"}))
    assert grouping.groups == ()
    assert [root.name for root in grouping.missing] == ["a", "b"]


def test_no_roots_are_no_groups() -> None:
    """An explicit empty list asks nothing."""
    resolver = FakeResolver()
    assert form_groups([], resolver).groups == ()
    assert resolver.calls == 0


def test_two_roots_of_one_name_land_in_two_groups() -> None:
    """Two pins of one name are two roots, told apart by their place in the config."""

    def resolve(roots: Sequence[Root], _: Mapping[str, str]) -> Resolution | Refusal:
        if len({root.requirement for root in roots if root.name == "n"}) > 1:
            return Refusal("n==1 against n==2")
        return Resolution({root.name: ResolvedPackage(root.name, "1", "u", "f", 1, "0", None) for root in roots})

    roots = [Root(0, "n==1", "n"), Root(1, "m", "m"), Root(2, "n==2", "n")]
    grouping = form_groups(roots, resolve)
    assert [[r.requirement for r in g.roots] for g in grouping.groups] == [["n==1", "m"], ["n==2", "m"]]


def test_together_makes_a_conflict_an_error() -> None:
    """The mode `together` names the roots that do not fit and the resolver's sentence."""
    with pytest.raises(Conflict) as failure:
        form_groups(make_roots("ab"), FakeResolver(pairs("a/b")), mode="together")
    assert "`b`" in failure.value.message
    assert failure.value.notes == ("a against b",)


def test_separate_gives_each_root_a_group() -> None:
    """The mode `separate` resolves each root alone."""
    assert shape(form_groups(make_roots("abc"), FakeResolver(), mode="separate")) == [["a"], ["b"], ["c"]]


def test_later_groups_prefer_versions_already_chosen() -> None:
    """Group 2 is asked for with the versions of group 1 as preferences, and an earlier lock's above them."""
    resolver = FakeResolver(pairs("a/b"))
    form_groups(make_roots("abc"), resolver, kept=lambda n: {"a": "7"} if n == 2 else {})
    assert {"a": "7", "c": "1"} in resolver.preferences


NAMES = "abcdefgh"


@settings(max_examples=150, deadline=None)
@given(
    st.sets(st.sampled_from([frozenset(p) for p in combinations(NAMES, 2)]), max_size=10),
    st.sets(st.sampled_from(NAMES), max_size=2),
)
def test_groups_are_the_greedy_ones(conflicts: set[frozenset[str]], absent: set[str]) -> None:
    """Bisection finds what asking root by root would: group 1 is first-fit, every root is placed, no group conflicts."""
    grouping = form_groups(make_roots(NAMES), FakeResolver(conflicts, absent))
    first: list[str] = []
    for name in NAMES:
        if name not in absent and not any(frozenset({name, other}) in conflicts for other in first):
            first.append(name)
    groups = shape(grouping)
    assert (groups[0] if groups else []) == first
    assert {n for g in groups for n in g} == set(NAMES) - absent
    for group in groups:
        assert not any(frozenset(pair) in conflicts for pair in combinations(group, 2))
    for group in groups:
        outside = set(NAMES) - absent - set(group)
        assert all(any(frozenset({n, o}) in conflicts for o in group) for n in outside), "a root that fits was left out"


def test_the_refusals_words_save_questions() -> None:
    """Where the reason names the roots, the one that does not fit is found with three questions, not with six."""
    resolver = FakeResolver(pairs("a/z"))
    form_groups(make_roots("abcdefghijklmnopqrstuvwxyz"), resolver)
    assert resolver.calls <= 9
