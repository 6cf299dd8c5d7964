"""Roots added and removed: what is edited, what is said, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyrunenv.config.document import Document
from pyrunenv.config.edit import Edit
from pyrunenv.errors import UsageError

TEXT = """{
  "packages": {
    "dependencies": [
      "numpy==1.26.4",
      "PyYAML==6.0",
      "numba[extra]==0.61; python_version < '4'"
    ],
    "overrides": { "numpy":   "1.26.4" },
    "platformSpecific": {"linux-x64": {"dependencies": ["torch==2.7.0"]}}
  }
}
"""


def edit(content: str = TEXT, inherited: tuple[str, ...] = ()) -> Edit:
    return Edit(Document(content.encode()), inherited)


def text(changed: Edit) -> str:
    return changed.document.content.decode()


def roots(changed: Edit, platform: str | None = None) -> Any:
    packages = json.loads(text(changed))["packages"]
    return packages["dependencies"] if platform is None else packages["platformSpecific"][platform]["dependencies"]


def test_a_new_root_is_the_last_line_of_the_list() -> None:
    """Nothing but one line and one comma is new."""
    changed = edit()
    changed.add("scanpy==1.11.5")
    last = """      "numba[extra]==0.61; python_version < '4'\""""
    assert text(changed) == TEXT.replace(last, last + ',\n      "scanpy==1.11.5"')
    assert changed.said == ["added `scanpy==1.11.5` to packages.dependencies"]


def test_a_root_of_the_name_moves_in_its_place() -> None:
    """However it is spelled; an override that hides the new version is told."""
    changed = edit()
    changed.add("Numpy==2.2.6")
    assert text(changed) == TEXT.replace('"numpy==1.26.4"', '"Numpy==2.2.6"')
    assert changed.said == [
        "`Numpy==2.2.6` replaces `numpy==1.26.4` in packages.dependencies",
        "note: packages.overrides.numpy is about it too",
    ]


def test_the_same_again_changes_nothing() -> None:
    """Another way to write what is there is no change."""
    changed = edit()
    changed.add("pyyaml == 6.0")
    assert text(changed) == TEXT
    assert changed.said == ["`pyyaml == 6.0` is in packages.dependencies already"]


def test_beside_keeps_the_other_pin_and_then_the_name_alone_is_not_enough() -> None:
    """Two pins of one name are legal; which one a third should replace cannot be told."""
    changed = edit()
    changed.add("numpy==2.2.6", beside=True)
    assert roots(changed)[0] == "numpy==1.26.4"
    assert roots(changed)[-1] == "numpy==2.2.6"
    later = Edit(changed.document)
    with pytest.raises(UsageError, match="2 roots named `numpy`") as caught:
        later.add("numpy==2.3.0")
    assert caught.value.notes == ("`numpy==1.26.4`", "`numpy==2.2.6`")
    assert text(later) == text(changed)


def test_requirements_of_one_change_do_not_replace_each_other() -> None:
    """One for each system, say; the one that was there before is replaced by the first."""
    changed = edit()
    linux, darwin = 'numpy==2.2.6; sys_platform == "linux"', 'numpy==2.0.2; sys_platform == "darwin"'
    changed.add(linux)
    changed.add(darwin)
    assert (roots(changed)[0], roots(changed)[-1]) == (linux, darwin)
    changed.add(darwin)
    assert roots(changed).count(darwin) == 1


def test_a_root_is_not_added_where_it_would_stay_out() -> None:
    """An entry that skips it is named, with its reason."""
    changed = Edit(Document(b'{"packages": {"dependencies": [], "skip": {"Torch": {"macosx-x64": "no wheel"}}}}'))
    with pytest.raises(UsageError, match="`torch` is skipped on macosx-x64") as caught:
        changed.add("torch==2.2.2", ("linux-x64", "macosx-x64"))
    assert caught.value.notes == ("packages.skip.Torch.macosx-x64: no wheel",)
    changed.add("torch==2.2.2", ("linux-x64",))


def test_platforms_have_their_own_lists_which_are_made_where_they_are_not() -> None:
    """One is there, one is not."""
    changed = edit()
    changed.add("cupy==13.0", ("linux-x64", "windows-x64"))
    assert roots(changed, "linux-x64") == ["torch==2.7.0", "cupy==13.0"]
    assert roots(changed, "windows-x64") == ["cupy==13.0"]
    assert roots(changed) == roots(edit())


def test_an_environment_without_a_list_starts_with_the_shared_one() -> None:
    """Else a first root of its own would drop all shared ones."""
    changed = edit("{}\n", ("a==1", "b==2"))
    changed.add("c==3")
    assert roots(changed) == ["a==1", "b==2", "c==3"]
    assert changed.said[0] == "the file had no packages.dependencies: it starts with the 2 of shared-config.json"
    taken = edit('{"packages": {}}', ("a==1", "b==2"))
    taken.remove("a")
    assert roots(taken) == ["b==2"]
    kept = edit('{"packages": {"dependencies": []}}', ("a==1",))
    kept.add("c==3")
    assert roots(kept) == ["c==3"], "an empty list means none, and is one"


def test_a_platforms_root_leaves_the_shared_list_in_force() -> None:
    """What is for one platform is added to the shared roots anyway."""
    changed = edit("{\n}\n", ("a==1",))
    changed.add("c==3", ("linux-x64",))
    assert json.loads(text(changed)) == {"packages": {"platformSpecific": {"linux-x64": {"dependencies": ["c==3"]}}}}


def test_removing_a_name_takes_it_from_all_lists() -> None:
    """And tells of entries that are about it and stay."""
    changed = edit()
    changed.add("numpy==2.2.6", ("linux-x64",))
    changed.said.clear()
    changed.remove("NumPy")
    assert all(not root.lower().startswith("numpy") for root in roots(changed) + roots(changed, "linux-x64"))
    assert changed.said == [
        "removed `numpy==1.26.4` from packages.dependencies",
        "removed `numpy==2.2.6` from packages.platformSpecific.linux-x64.dependencies",
        "note: packages.overrides.numpy is about it too",
    ]


def test_a_whole_requirement_removes_that_one_alone() -> None:
    """Of two pins."""
    changed = edit()
    changed.add("numpy==2.2.6", beside=True)
    changed.remove("numpy==1.26.4")
    assert [root for root in roots(changed) if root.startswith("numpy")] == ["numpy==2.2.6"]


@pytest.mark.parametrize(
    ("name", "platforms", "hint"),
    [
        ("numpi", (), "did you mean `numpy`?"),
        ("zzzz", (), None),
        ("numpy==9", (), None),
        ("numpy", ("linux-x64",), '"skip": {"numpy": {"linux-x64": "why not"}}'),
    ],
)
def test_what_is_no_root_cannot_be_removed(name: str, platforms: tuple[str, ...], hint: str | None) -> None:
    """The error says what is near, or how to leave out a root on one platform."""
    changed = edit()
    with pytest.raises(UsageError, match="no root is") as caught:
        changed.remove(name, platforms)
    assert text(changed) == TEXT
    assert (hint or "") in (caught.value.hint or "")
    assert hint is not None or caught.value.hint is None


def test_a_bad_requirement_is_a_usage_error() -> None:
    """With the sentence that the config's checks have."""
    with pytest.raises(UsageError, match="did you mean `numpy==2`"):
        edit().add("numpy=2")


def test_a_pin_keeps_extras_and_marker() -> None:
    """Only roots without a version get one."""
    changed = edit(
        '{"packages": {"dependencies": ["a[x,y]; python_version > \'3\'", "b>1", "A @ https://e.org/a.whl"]}}'
    )
    changed.pin("a", "1.5")
    changed.pin("b", "2")
    assert roots(changed) == ['a[x,y]==1.5; python_version > "3"', "b>1", "A @ https://e.org/a.whl"]
