"""The published JSON Schema: what the loader takes it takes, what an editor must mark it marks, every key is explained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from test_explain import CONFIGS

from pyrunenv.config.json_schema import config_schema

ROOT = Path(__file__).parents[3]
SCHEMA = config_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_it_is_a_schema_and_the_published_one_is_fresh() -> None:
    """`pyrunenv config schema > docs/config.schema.json` writes it anew."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads((ROOT / "docs" / "config.schema.json").read_text(encoding="utf-8")) == SCHEMA


def properties(table: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its description's table, wherever it is."""
    for key, value in table.items() if isinstance(table, dict) else ():
        if key == "properties":
            yield from value.items()
        yield from properties(value)
    for item in table if isinstance(table, list) else ():
        yield from properties(item)


def test_every_key_has_a_description() -> None:
    """An editor shows it; the reference in the docs is made of it."""
    found = list(properties(SCHEMA))
    assert len(found) > 40
    assert [key for key, table in found if not table.get("description", "").endswith((".", "`"))] == []


@pytest.mark.parametrize(
    "document",
    [
        {"nope": 1},
        {"packages": {"overide": {}}},
        {"skip": {"a": {"linux-x64": "r"}}},
        {"packages": {"skip": {"a": {"linux-x46": "r"}}}},
        {"packages": {"skip": {"a": {"linux-x64": " "}}}},
        {"packages": {"skip": {"a b": {"linux-x64": "r"}}}},
        {"packages": {"platformSpecific": {"linux": {}}}},
        {"packages": {"dependencies": "numpy"}},
        {"packages": {"copyFiles": [{"from": "a"}]}},
        {"packages": {"copyFiles": [{"from": "/a", "to": "b"}]}},
        {"packages": {"buildWheel": {"a": {"linux-x64": {"env": {"1x": "y"}}}}}},
        {"packages": {"buildWheel": {"a": {"linux-x64": {"configSettings": {"x": 1}}}}}},
        {"packages": {"resolution": {"mode": "loose"}}},
        {"packages": {"resolution": {"strictMissing": "yes"}}},
        {"registries": {"default": "pypi.org"}},
        {"registries": {"additional": [{"name": "x"}]}},
        {"registries": {"additional": [{"url": "https://x", "packages": []}]}},
        {"registries": {"strategy": "best"}},
        {"python": {"build": "2025"}},
        {"python": {"archives": {"linux-x64": {"url": "https://x", "sha256": "abc"}}}},
        {"consumers": {"c": {"platforms": ["linux-x64"]}}},
        {"consumers": {"c": 1}},
        {"build": {"timeout": 0}},
        {"floors": {"glibc": 2.28}},
        {"floors": {"glibc": "2"}},
    ],
)
def test_what_is_wrong_is_marked(document: Any) -> None:
    """Each is refused by the loader as well."""
    assert list(VALIDATOR.iter_errors(document)) != []


@pytest.mark.parametrize(
    "document",
    [
        {"registries": {"additional": ["https://x", {"url": "HTTPS://x"}]}},
        {
            "consumers": {
                "a": ["x"],
                "b": "r.txt",
                "c": {"requirements": "r.txt", "platforms": ["windows-x64"], "ensure": True},
            }
        },
        {
            "packages": {
                "buildWheel": {"a": {"linux-x64": {"configSettings": {"x": "1", "y": ["2"]}}}},
                "skip": {"b": {}},
            }
        },
        {"packages": {"dependencies": ["", " numpy "], "overrides": {"A.b": ">=1,<2"}}},
        {"$schema": "x"},
    ],
)
def test_short_and_older_forms_are_taken(document: Any) -> None:
    """Whatever the loader reads without an error is fine for the editor too."""
    VALIDATOR.validate(document)


@settings(max_examples=80, deadline=None)
@given(CONFIGS)
def test_what_the_loader_takes_the_schema_takes(document: Any) -> None:
    """For any config that is made of valid values."""
    VALIDATOR.validate(document)
