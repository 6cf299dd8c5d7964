"""docs/configuration.md and the reference say what the schema says."""

import json
import re
from pathlib import Path

import pytest

from pyrunenv.config.merge import for_platform
from pyrunenv.config.problems import _all_keys
from pyrunenv.config.schema import BuildWheel, Config, ConsumerPart, Registry
from pyrunenv.platforms import PLATFORMS

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "configuration.md").read_text(encoding="utf-8")
REFERENCE = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize("model", [Config, Registry, BuildWheel, ConsumerPart])
def test_every_key_of_the_schema_is_explained(model: type) -> None:
    """A key that is added to the schema without a word in the docs fails here."""
    keys = {key for key, _ in _all_keys(model, ())}
    assert keys
    assert {key for key in keys if f"`{key}`" not in REFERENCE and f".{key}`" not in REFERENCE} == set()


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_config(example: str) -> None:
    """What the docs show can be pasted into a file."""
    config = Config.model_validate(json.loads(example), by_alias=True, by_name=False)
    for platform in PLATFORMS.values():
        for_platform(config, platform)


def test_the_docs_have_an_example_of_every_section() -> None:
    """Each top-level key is shown in use."""
    shown = {key for example in EXAMPLES for key in json.loads(example)}
    assert shown == set(Config.model_fields) - {"schema_uri"}
