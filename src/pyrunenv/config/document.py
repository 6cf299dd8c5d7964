"""A JSON file as it was written: where each value stands, and edits that leave all the rest of the text alone."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

    from pyrunenv.config.problems import KeyPath

_CONTAINERS = ("object", "array")


class Place(NamedTuple):
    """A place in a text: both numbers count from 1, columns in characters."""

    line: int
    column: int


@lru_cache(maxsize=1)
def _parser() -> Parser:
    import tree_sitter_json
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_json.language()))


class Document:
    """A JSON text (UTF-8, with or without a byte order mark). Edits return a new document.

    A text that is not quite JSON has places too, as far as it can be understood; editing one is the caller's mistake.
    """

    def __init__(self, content: bytes) -> None:
        self._mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
        self._source = content.removeprefix(self._mark)

    @property
    def content(self) -> bytes:
        """The bytes to write."""
        return self._mark + self._source

    @property
    def value(self) -> Any:
        """What the text says."""
        return json.loads(self._source)

    @cached_property
    def _root(self) -> Node | None:
        return next(_values(_parser().parse(self._source).root_node), None)

    def place(self, path: KeyPath) -> Place:
        """Return where a value begins, or the key of an object's member; of what is not there, the nearest that is."""
        here, shown = self._root, self._root
        for step in path:
            found = _member(here, step) if here is not None else None
            if found is None:
                break
            shown, here = found
        if shown is None:
            return Place(1, 1)
        row, column = shown.start_point
        line = self._source[shown.start_byte - column : shown.start_byte]
        return Place(row + 1, len(line.decode("utf-8", "replace")) + 1)

    def set(self, path: KeyPath, value: Any) -> Document:
        """Replace the value at ``path``, or add it as the last member of its object; objects on the way are made."""
        for depth in range(len(path), -1, -1):
            node = self._find(path[:depth])
            if node is None:
                continue
            rest = path[depth:]
            if not rest:
                return self._splice(node.start_byte, node.end_byte, self._text(value, node))
            for step in reversed(rest[1:]):
                value = {step: value}
            return self._add(node, value, key=rest[0])
        raise KeyError(path)

    def insert(self, path: KeyPath, value: Any, before: str) -> Document:
        """Add a member to an object in front of the one named ``before``; raises KeyError where there is no such."""
        container = self._find(path[:-1])
        found = _member(container, before) if container is not None else None
        if container is None or found is None or container.type != "object":
            raise KeyError(before)
        members = list(_values(container))
        index, node = members.index(_parent(found[0])), _parent(found[0])
        lead = self._source[container.start_byte + 1 : members[0].start_byte]
        gap = self._source[members[index - 1].end_byte : node.start_byte] if index else b"," + (lead or b" ")
        label = json.dumps(path[-1], ensure_ascii=False).encode() + self._colon(members)
        return self._splice(node.start_byte, node.start_byte, label + self._text(value, node) + gap)

    def append(self, path: KeyPath, value: Any) -> Document:
        """Add an item to the end of the list at ``path``; a list that is not there is made."""
        node = self._find(path)
        return self.set(path, [value]) if node is None else self._add(node, value)

    def remove(self, path: KeyPath) -> Document:
        """Take an item out of its list, or a member out of its object; raises KeyError where there is none."""
        container = self._find(path[:-1])
        found = _member(container, path[-1]) if container is not None else None
        if container is None or found is None:
            raise KeyError(path)
        members = list(_values(container))
        node = found[0] if container.type == "array" else _parent(found[0])
        index = members.index(node)
        if index + 1 < len(members):
            return self._splice(node.start_byte, members[index + 1].start_byte, b"")
        if index:
            return self._splice(members[index - 1].end_byte, node.end_byte, b"")
        return self._splice(container.start_byte + 1, container.end_byte - 1, b"")

    def _find(self, path: KeyPath) -> Node | None:
        here = self._root
        for step in path:
            found = _member(here, step) if here is not None else None
            here = found[1] if found else None
        return here

    def _add(self, container: Node, value: Any, key: str | int | None = None) -> Document:
        """Write one more member the way the others are written."""
        if container.type not in _CONTAINERS or (key is None) != (container.type == "array"):
            raise KeyError(key)
        members = list(_values(container))
        label = b"" if key is None else json.dumps(key, ensure_ascii=False).encode() + self._colon(members)
        if not members:
            return self._fill(container, label, value)
        last, first = members[-1], members[0]
        lead = self._source[container.start_byte + 1 : first.start_byte]
        gap = self._source[members[-2].end_byte : last.start_byte] if len(members) > 1 else b"," + (lead or b" ")
        written = label + self._text(value, last)
        return self._splice(last.end_byte, last.end_byte, gap + written)

    def _fill(self, container: Node, label: bytes, value: Any) -> Document:
        outer = self._indent_at(container)
        inside = container.start_byte + 1, container.end_byte - 1
        if b"\n" not in self._source.strip():
            return self._splice(*inside, label + self._dump(value, None))
        inner = outer + self._unit
        written = inner + label + self._dump(value, inner)
        return self._splice(*inside, self._newline + written + self._newline + outer)

    def _text(self, value: Any, beside: Node) -> bytes:
        """Write a value for the place of a node: over several lines only where the file is written so."""
        return self._dump(value, self._indent_at(beside) if b"\n" in self._source.strip() else None)

    def _dump(self, value: Any, indent: bytes | None) -> bytes:
        if indent is None or not value or not isinstance(value, (dict, list)):
            return json.dumps(value, ensure_ascii=False).encode()
        lines = json.dumps(value, ensure_ascii=False, indent=self._unit.decode()).encode().split(b"\n")
        return (self._newline + indent).join(lines)

    def _indent_at(self, node: Node) -> bytes:
        """The white space that begins the line of a node."""
        start = self._source.rfind(b"\n", 0, node.start_byte) + 1
        found = re.match(rb"[ \t]*", self._source[start:])
        return found[0] if found else b""

    def _colon(self, members: list[Node]) -> bytes:
        for pair in members:
            key, value = pair.child_by_field_name("key"), pair.child_by_field_name("value")
            if key is not None and value is not None and b"\n" not in self._source[key.end_byte : value.start_byte]:
                return self._source[key.end_byte : value.start_byte]
        return b": "

    @cached_property
    def _newline(self) -> bytes:
        return b"\r\n" if b"\r\n" in self._source else b"\n"

    @cached_property
    def _unit(self) -> bytes:
        """What one level of the file is indented by."""
        found = re.search(rb"\n([ \t]+)\S", self._source)
        return found[1] if found else b"  "

    def _splice(self, start: int, end: int, text: bytes) -> Document:
        return Document(self._mark + self._source[:start] + text + self._source[end:])


def _values(node: Node) -> Iterator[Node]:
    """The members of a container: its pairs or items, without brackets, commas, and what could not be parsed."""
    for child in node.named_children:
        if child.type not in ("ERROR", "comment"):
            yield child


def _member(container: Node, step: str | int) -> tuple[Node, Node] | None:
    """Return (where it is shown, its value) of a member; of keys that stand twice the last, as a parser has it."""
    found = None
    if container.type == "object" and isinstance(step, str):
        for pair in _values(container):
            key, value = pair.child_by_field_name("key"), pair.child_by_field_name("value")
            if key is not None and value is not None and _decoded(key) == step:
                found = key, value
    elif container.type == "array" and isinstance(step, int):
        items = list(_values(container))
        if step < len(items):
            found = items[step], items[step]
    return found


def _parent(node: Node) -> Node:
    assert node.parent is not None
    return node.parent


def _decoded(key: Node) -> str | None:
    try:
        text = json.loads(key.text or b"")
    except ValueError:
        return None
    return text if isinstance(text, str) else None
