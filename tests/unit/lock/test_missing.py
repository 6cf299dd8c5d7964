"""Why a root cannot be had, in words that say what to do."""

from __future__ import annotations

import json

import pytest
from packaging.version import Version

from pyrunenv.errors import BuildFailed
from pyrunenv.lock.answers import Refusal
from pyrunenv.lock.catalogue import Offer, pinned_version
from pyrunenv.lock.missing import Missing, error, explain

NO_WHEEL = (
    "Because {0} has no usable wheels and you require {0}, we can conclude that your requirements are unsatisfiable."
)
HINT = "\n\nhint: Wheels are required for `{0}` because building from source is disabled for all packages"


def versions(*texts: str) -> tuple[Version, ...]:
    return tuple(Version(text) for text in texts)


def reason(requirement: str, refusal: str | Refusal, *, offer: Offer | None = None, forbidden: bool = False,
           skipped: dict[str, str] | None = None) -> Missing:  # fmt: skip
    name = pinned_version(requirement)[0].split(" ")[0]
    return explain(
        "3.12.10", "macosx-x64", requirement, name, Refusal(refusal) if isinstance(refusal, str) else refusal,
        skipped=skipped or {}, may_build=lambda _: not forbidden, offer=lambda _: offer or Offer((), ()),
    )  # fmt: skip


def test_policy_that_forbids_building_is_named_and_which_version_has_a_wheel() -> None:
    """The nearest version with a wheel is the one fewest releases away, not the newest."""
    offer = Offer(with_wheel=versions("1.80", "1.86"), with_sdist=versions("1.80", "1.86", "1.87"))
    refusal = NO_WHEEL.format("biopython==1.87") + HINT.format("biopython")
    found = reason("biopython==1.87", refusal, offer=offer, forbidden=True)
    assert found.reason == "no wheel of 1.87 fits; policy forbids to build it from source"
    assert found.nearest == Version("1.86")


def test_what_could_be_built_and_is_refused_all_the_same_has_another_reason() -> None:
    """There is a source, so that its lack is not to blame: the resolver's own words say what is."""
    refusal = NO_WHEEL.format("b==1") + HINT.format("b")
    found = reason("b==1", refusal, offer=Offer((), versions("1")))
    assert "no source archive" not in found.reason
    assert "unsatisfiable" in found.reason


def test_a_build_that_failed_says_what_it_printed() -> None:
    """Metadata that cannot be computed: the failure's own words, its output below."""
    failure = BuildFailed("b 1 cannot be built for macosx-x64: it ended", notes=["gcc: no", "the whole output: /log"])
    found = reason("a==1", Refusal(failure.message, "b", failure))
    assert (found.reason, found.culprit) == (f"no wheel of `b`, which it needs, fits; {failure.message}", "b")
    shown = "\n".join(error([found]).notes)
    assert "    gcc: no\n    the whole output: /log" in shown


def test_without_an_sdist_nothing_could_be_built() -> None:
    """A version that has foreign wheels and no source archive says so."""
    offer = Offer(with_wheel=versions("2"), with_sdist=())
    found = reason("b==1", "Because b==1 has no wheels with a matching platform tag and you require b==1.", offer=offer)
    assert "no source archive" in found.reason
    assert found.nearest == Version("2")


def test_a_dependency_without_a_wheel_is_the_culprit() -> None:
    """A root whose dependency lacks a wheel names that dependency, and looks for its nearest version."""
    text = "Because b==3 has no usable wheels and a==1 depends on b==3, we can conclude" + HINT.format("b")
    found = reason("a==1", text, offer=Offer(versions("2"), versions("2", "3")), forbidden=True)
    assert found.culprit == "b"
    assert "b 3" in found.reason
    assert found.nearest == Version("2")


def test_a_root_that_needs_a_skipped_name_names_both() -> None:
    """A skipped name is nowhere in the bundle, so what needs it cannot be had; the config's reason is repeated."""
    text = "Because scanpy==1 depends on numba<0, which does not allow any versions and you require scanpy==1"
    found = reason("scanpy==1", text, skipped={"numba": "crashes there"})
    assert found.reason == "it needs `numba`, which is skipped there (crashes there)"
    assert "scanpy" in found.requirement


def test_a_name_that_only_looks_like_a_skipped_one_is_not_blamed() -> None:
    """`llvm-numba<0` does not mention `numba`."""
    text = "Because x==1 depends on llvm-numba<0.5 and you require x==1"
    assert "skipped" not in reason("x==1", text, skipped={"numba": "no"}).reason


def test_an_unknown_name_and_an_unknown_version_are_told_apart() -> None:
    """Two typing mistakes have two messages."""
    unknown = reason("x", "Because x was not found in the package registry and you require x, we can conclude")
    assert unknown.reason == "no registry has a package named `x`"
    version = reason("x==9", "Because there is no version of x==9 and you require x==9, we can conclude")
    assert version.reason == "there is no version `x==9`"


def test_one_error_lists_every_pair_and_one_entry_to_paste() -> None:
    """All pairs of a run are in one error, and the hint is JSON that skips them all."""
    pairs = [
        Missing("3.12.10", "macosx-x64", "b==1", "b", "no wheel of 1 fits; and so on", "b", Version("2")),
        Missing("3.12.10", "windows-x64", "b==1", "b", "no wheel of 1 fits; and so on", "b"),
        Missing("3.12.10-x", "macosx-x64", "c", "c", "no registry has a package named `c`", "c"),
    ]
    failure = error(pairs)
    assert failure.message == "2 roots cannot be had (3 pairs of root and platform)"
    assert failure.exit_status == 4
    shown = "\n".join(failure.notes)
    assert "3.12.10 on windows-x64: `b==1`" in shown
    assert "nearest version with a wheel there: 2" in shown
    assert failure.hint is not None
    skip = json.loads("{" + failure.hint.partition("\n")[2] + "}")["skip"]
    assert skip == {
        "b": {"macosx-x64": "no wheel of 1 fits", "windows-x64": "no wheel of 1 fits"},
        "c": {"macosx-x64": "no registry has a package named c"},
    }


@pytest.mark.parametrize(
    ("wanted", "with_wheel", "nearest"),
    [
        ("1.5", ("1.0", "1.3", "1.4", "2.0"), "2.0"),
        ("1.5", ("1.0", "1.6", "1.4"), "1.6"),
        (None, ("1.0", "2.0", "3.0rc1"), "2.0"),
        ("1.5", ("2.0rc1",), "2.0rc1"),
        ("1.5", (), None),
    ],
)
def test_the_nearest_version(wanted: str | None, with_wheel: tuple[str, ...], nearest: str | None) -> None:
    """The fewest releases away, the newer of two; releases before pre-releases; the newest where nothing is pinned."""
    found = Offer(versions(*with_wheel), ()).nearest(Version(wanted) if wanted else None)
    assert found == (Version(nearest) if nearest else None)


def test_the_resolvers_own_sentence_is_no_reason_to_paste() -> None:
    """It stands in the message; what goes into a config is short."""
    found = reason("a==1", "Because a==1 depends on b>2 and b<1, we can conclude that a==1 cannot be used.")
    assert found.reason.startswith("Because a==1")
    assert found.skip_reason == "the resolver finds no version that fits there"
    assert '"a": {"macosx-x64": "the resolver finds no version that fits there"}' in "\n".join(error([found]).notes)
