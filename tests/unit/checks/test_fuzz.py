"""Whatever lies in a workspace's files, the checks end with findings that have places, and never with a traceback."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from test_broken_workspaces import CATALOGUE, OWN, PACKAGE, SHARED, base

from pyrunenv.checks import check_workspace
from pyrunenv.config.workspace import load_workspace
from pyrunenv.errors import ConfigError

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 3), st.floats(allow_nan=False), st.text(max_size=5), st.just([]), st.just({}),
    st.sampled_from(["numpy==1", "numpy=1", "git+https://x@y/z", "https://u:p@h/x", "linux-x64", "a @ file:///x", "[", "{0}", "\ud800"]),
    st.lists(st.sampled_from(["a", "", "a==1", 3, None]), max_size=3),
    st.dictionaries(st.sampled_from(["linux-x64", "name", "url", "from", "x"]), st.sampled_from(["", "why", 1, None]), max_size=2),
)  # fmt: skip
FILES = st.sampled_from([SHARED, OWN, PACKAGE, CATALOGUE])
NAMES = st.sampled_from(
    ["packages", "skip", "dependencies", "numpy", "NumPy", "linux-x64", "registries", "additional", "consumers", "python",
     "archives", "platformSpecific", "copyFiles", "buildWheel", "resolution", "roots", "main", "$schema", "name", "ü/\"'"]
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(deep for step, item in items for deep in places(item, (*path, step)))]


def mutate(document: Any, data: st.DataObject) -> Any:
    """Change one thing: another value, another key, gone, twice, or moved elsewhere."""
    choices = places(document)
    path = data.draw(st.sampled_from(choices)) if choices else ()
    if not path:
        return data.draw(ODD)
    owner = document
    for step in path[:-1]:
        owner = owner[step]
    step = path[-1]
    how = data.draw(st.sampled_from(["value", "key", "gone", "twice", "moved", "wrapped"]))
    if how == "value":
        owner[step] = data.draw(ODD)
    elif how == "gone":
        del owner[step]
    elif how == "wrapped":
        owner[step] = {data.draw(NAMES): owner[step]}
    elif isinstance(owner, list):
        owner.append(owner[step])
    elif how == "moved" and isinstance(document, dict):
        document[data.draw(NAMES)] = owner.pop(step)
    else:
        owner[data.draw(NAMES)] = owner[step] if how == "twice" else owner.pop(step)
    return document


def look(root: Path) -> None:
    """Check a workspace, and whether loading it agrees."""
    findings = check_workspace(root)
    for finding in findings:
        path = root / finding.file
        if finding.place is not None:
            lines = path.read_bytes().decode("utf-8-sig", "replace").split("\n")
            assert 1 <= finding.place.line <= len(lines)
            assert 1 <= finding.place.column <= len(lines[finding.place.line - 1]) + 1
        json.dumps(finding.to_json()).encode()
        assert "\n" not in finding.to_github(finding.file)
    with suppress(ConfigError):
        load_workspace(root)
        return
    assert any(finding.level == "error" for finding in findings), "what cannot be loaded is an error of the checks too"


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_mutated_files(data: st.DataObject) -> None:
    """Up to four changes of valid files."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        base(root)
        for _ in range(data.draw(st.integers(1, 4))):
            path = root / data.draw(FILES)
            try:
                document = json.loads(path.read_bytes())
            except ValueError:
                continue
            text = json.dumps(
                mutate(document, data),
                ensure_ascii=data.draw(st.booleans()),
                indent=data.draw(st.sampled_from([None, 2])),
            )
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
        look(root)


@settings(max_examples=60, deadline=None)
@given(FILES, st.data())
def test_mutated_bytes(file: str, data: st.DataObject) -> None:
    """Cut, overwritten, doubled: no JSON any more, mostly."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        base(root)
        content = (root / file).read_bytes()
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 40)))
        put = data.draw(
            st.one_of(
                st.binary(max_size=4),
                st.just(content[start:end] * 2),
                st.sampled_from([b'"', b"{", b"]", b"//", b"\\u", b"1e999"]),
            )
        )
        (root / file).write_bytes(content[:start] + put + content[end:])
        look(root)
