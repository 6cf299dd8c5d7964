"""Trees on their way into the cache: the same whether their contents are in memory or in a temporary file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyrunenv.archives import Entry
from pyrunenv.interpreters import tree as module
from pyrunenv.interpreters.tree import Tree


@pytest.mark.parametrize("in_memory", [0, 7, 1 << 20])
def test_contents_are_those_that_were_added_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    """Nothing, a part or all of it in memory; replaced by other sizes, by links and back; nothing is left behind."""
    monkeypatch.setattr(module, "_IN_MEMORY", in_memory)
    with Tree(tmp_path) as tree:
        tree.add("b", b"first")
        tree.add("a", b"0123456789", executable=True)
        tree.add("b", b"second, and longer")
        tree.link("c", "a")
        tree.add("c", b"was a link")
        tree.add("d", b"becomes one")
        tree.link("d", "b")
        tree.add("e", b"goes")
        tree.remove("e")
        tree.update("a", lambda content: content[::-1])
        assert (tree.read("a"), tree.read("a", 3), tree.read("b", 100)) == (
            b"9876543210",
            b"987",
            b"second, and longer",
        )
        assert list(tree.entries()) == [
            Entry("a", "file", True, b"9876543210"),
            Entry("b", "file", False, b"second, and longer"),
            Entry("c", "file", False, b"was a link"),
            Entry("d", "link", target="b"),
        ]
    assert list(tmp_path.iterdir()) == []


def test_what_was_replaced_or_removed_makes_room_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a file is changed, as many bytes as before are kept there."""
    monkeypatch.setattr(module, "_IN_MEMORY", 10)
    with Tree(tmp_path) as tree:
        for number in range(5):
            tree.add("a", b"%010d" % number)
            assert tree._end == 0
        tree.remove("a")
        tree.add("b", b"0123456789")
        assert tree._end == 0
        tree.add("c", b"x")
        assert tree._end == 1
