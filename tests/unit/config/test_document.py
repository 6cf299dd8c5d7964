"""JSON texts edited in place, and the places of their values."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyrunenv.config.document import Document, Place
from pyrunenv.config.problems import KeyPath

KEYS = st.sampled_from(["a", "b", "größe", "x/y", 'q"', "\\", "", "packages"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-9, 99), st.text(max_size=6), st.just("ü↑ 🐍"))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
STYLES = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 2, 4, "\t"]),
        "ensure_ascii": st.booleans(),
        "separators": st.sampled_from([None, (",", ":"), (" , ", " : ")]),
    }
)


def write(value: Any, style: dict[str, Any], ending: str, mark: bool, newline: str) -> bytes:
    text = json.dumps(value, **style) + ending
    return (b"\xef\xbb\xbf" if mark else b"") + text.replace("\n", newline).encode()


TEXTS = st.builds(
    write, OBJECTS, STYLES, st.sampled_from(["", "\n", "  \n\n"]), st.booleans(), st.sampled_from(["\n", "\r\n"])
)


def paths(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    """Every path of a value, containers' included."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deep for step, item in items for deep in paths(item, (*path, step)))]


def at(value: Any, path: KeyPath) -> Any:
    for step in path:
        value = value[step]
    return value


def same(document: Document, expected: Any) -> None:
    """Equal as JSON, the order of keys included, and still readable as it was marked."""
    assert json.dumps(document.value) == json.dumps(expected)


@settings(max_examples=200, deadline=None)
@given(TEXTS, VALUES, st.data())
def test_set_is_set(content: bytes, value: Any, data: st.DataObject) -> None:
    """Replaced in place, or added as the last member, whatever the style."""
    document = Document(content)
    expected = copy.deepcopy(document.value)
    path = data.draw(st.sampled_from(paths(expected)))
    owner = at(expected, path)
    if isinstance(owner, dict):
        path = (*path, data.draw(KEYS))
    assume(path)
    at(expected, path[:-1])[path[-1]] = value
    changed = document.set(path, value)
    same(changed, expected)
    assert changed.content.startswith(b"\xef\xbb\xbf") == content.startswith(b"\xef\xbb\xbf")


@settings(max_examples=150, deadline=None)
@given(TEXTS, VALUES, st.data())
def test_append_and_remove_are_each_others_way_back(content: bytes, value: Any, data: st.DataObject) -> None:
    """To a list that has items, byte for byte."""
    document = Document(content)
    lists = [path for path in paths(document.value) if isinstance(at(document.value, path), list)]
    assume(lists)
    path = data.draw(st.sampled_from(lists))
    expected = copy.deepcopy(document.value)
    at(expected, path).append(value)
    longer = document.append(path, value)
    same(longer, expected)
    again = longer.remove((*path, len(at(expected, path)) - 1))
    same(again, document.value)
    if len(at(document.value, path)):
        assert again.content == content


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.data())
def test_remove_removes(content: bytes, data: st.DataObject) -> None:
    """One member; what comes before it stays byte for byte, but for a comma."""
    document = Document(content)
    choices = [path for path in paths(document.value) if path]
    assume(choices)
    path = data.draw(st.sampled_from(choices))
    expected = copy.deepcopy(document.value)
    del at(expected, path[:-1])[path[-1]]
    shorter = document.remove(path)
    same(shorter, expected)
    place = document.place(path)
    before = content.decode("utf-8-sig").split("\n")[: place.line - 1]
    kept = shorter.content.decode("utf-8-sig").split("\n")[: max(0, place.line - 2)]
    assert kept == before[: len(kept)]


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_every_place_is_where_the_key_or_item_begins(content: bytes) -> None:
    """In lines and characters; the text there reads as the key, or as the item's value."""
    document = Document(content)
    lines = content.decode("utf-8-sig").split("\n")
    for path in paths(document.value):
        place = document.place(path)
        rest = "\n".join([lines[place.line - 1][place.column - 1 :], *lines[place.line :]])
        found, _ = json.JSONDecoder().raw_decode(rest)
        assert found == (path[-1] if path and isinstance(path[-1], str) else at(document.value, path))


STYLED = """{
    "packages": {
        "dependencies": [ "a", "b",
                          "c" ],
        "skip": {},
        "noDeps": []
    }   ,
    "floors": {"glibc":"2.28"}
}
"""


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        (("packages", "dependencies"), "d", '"c" ]', '"c",\n                          "d" ]'),
        (("packages", "noDeps"), "d", '"noDeps": []', '"noDeps": [\n            "d"\n        ]'),
    ],
)
def test_a_new_item_is_written_as_its_neighbours_are(path: KeyPath, value: Any, old: str, new: str) -> None:
    """The white space between the last two is repeated; an empty list takes the file's indentation."""
    assert Document(STYLED.encode()).append(path, value).content.decode() == STYLED.replace(old, new)


def test_new_members_and_what_is_on_the_way() -> None:
    """Objects are made as the file would write them."""
    changed = (
        Document(STYLED.encode()).set(("floors", "macos"), "13.0").set(("packages", "skip", "a", "linux-x64"), "why")
    )
    assert '{"glibc":"2.28", "macos":"13.0"}' in changed.content.decode()
    assert (
        '"skip": {\n            "a": {\n                "linux-x64": "why"\n            }\n        },'
        in changed.content.decode()
    )


def test_what_is_not_there_cannot_be_removed() -> None:
    """Neither a key, nor an index, nor something in a text."""
    document = Document(STYLED.encode())
    for path in (("nope",), ("packages", "dependencies", 3), ("floors", "glibc", "x"), ("packages", 0)):
        with pytest.raises(KeyError):
            document.remove(path)


def test_of_two_equal_keys_the_last_counts() -> None:
    """As a parser has it."""
    document = Document(b'{"a": 1, "a": {"b": 2}}')
    assert document.place(("a", "b")) == Place(1, 16)
    same(document.set(("a", "b"), 3), {"a": {"b": 3}})


@pytest.mark.parametrize(
    "text",
    ["", "  ", "{", '{"a": [1, 2', "[1 2]", '{"a": tru', "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")],
)
def test_what_is_no_json_has_places_all_the_same(text: str) -> None:
    """Somewhere in the text."""
    place = Document(text.encode()).place(("a", 1))
    assert 1 <= place.line <= text.count("\n") + 1
    assert 1 <= place.column <= len(text) + 1


def test_no_quadratic_time() -> None:
    """A large file is read once for all its places."""
    value = {"packages": {"dependencies": [f"package-{number}==1.0" for number in range(5000)]}}
    document = Document(json.dumps(value, indent=2).encode())
    assert document.place(("packages", "dependencies", 4999)).line == 5003
    assert re.search(rb'"package-4999==1.0",\n      "z"\n', document.append(("packages", "dependencies"), "z").content)


@pytest.mark.parametrize(
    ("text", "before", "expected"),
    [
        ('{"a": 1, "c": 2}', "c", '{"a": 1, "b": 0, "c": 2}'),
        ('{"a": 1, "c": 2}', "a", '{"b": 0, "a": 1, "c": 2}'),
        ('{"c":2}', "c", '{"b":0, "c":2}'),
        ('{\n\t"a" : 1,\n\t"c" : 2\n}\n', "c", '{\n\t"a" : 1,\n\t"b" : 0,\n\t"c" : 2\n}\n'),
        ('{\r\n  "c": 2\r\n}', "c", '{\r\n  "b": 0,\r\n  "c": 2\r\n}'),
        ('\ufeff{\n "a": {},\n\n "c": []}', "a", '\ufeff{\n "b": 0,\n "a": {},\n\n "c": []}'),
    ],
)
def test_insert_writes_as_the_others_are_written(text: str, before: str, expected: str) -> None:
    """In front, between, alone; tabs, Windows' line ends and a byte order mark."""
    after = Document(text.encode()).insert(("b",), 0, before)
    assert after.content.decode() == expected
    assert after.value == {**json.loads(text.lstrip("\ufeff")), "b": 0}


def test_insert_far_inside() -> None:
    """An object as a value takes the place's indentation."""
    text = '{\n  "x": {\n    "y": {\n      "c": 1\n    }\n  }\n}\n'
    after = Document(text.encode()).insert(("x", "y", "b"), {"k": "v"}, "c").content.decode()
    assert after == text.replace('"c"', '"b": {\n        "k": "v"\n      },\n      "c"')


@pytest.mark.parametrize(("path", "before"), [(("b",), "z"), (("none", "b"), "a"), (("list", "b"), "a")])
def test_there_must_be_what_it_goes_in_front_of(path: tuple[str, ...], before: str) -> None:
    """A KeyError, as for everything that is the caller's mistake."""
    with pytest.raises(KeyError):
        Document(b'{"a": 1, "list": [1]}').insert(path, 0, before)
