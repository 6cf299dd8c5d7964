"""The JSON Schema of a config file (draft 2020-12), for editors and for the reference in ``docs/``.

Types, keys and defaults come from the pydantic models, descriptions from the docstrings below their fields.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticUndefined, core_schema

from pyrunenv.config import schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# What holds where a file says nothing: the models of files leave it absent, those of targets have it.
_DEFAULTS: Mapping[type[BaseModel], type[BaseModel]] = {
    schema.RegistriesPart: schema.Registries,
    schema.PythonPart: schema.PythonConfig,
    schema.ResolutionPart: schema.Resolution,
    schema.BuildPart: schema.BuildOptions,
    schema.FloorsPart: schema.Floors,
}


class _Generator(GenerateJsonSchema):
    """Leaves out what only Python needs: null for what is absent, titles made of names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def config_schema() -> dict[str, Any]:
    """Return the schema of shared-config.json and config.json."""
    found = schema.Config.model_json_schema(by_alias=True, schema_generator=_Generator)
    definitions = found.pop("$defs")
    documented = _docstrings()
    for name, table in (*definitions.items(), ("Config", found)):
        model = getattr(schema, name)
        table.pop("title", None)
        for key, field in _fields(model):
            described = table["properties"][key]
            if "$ref" in described:
                described = table["properties"][key] = {"$ref": described["$ref"]}
            described["description"] = documented[name, field]
            default = _default(model, field)
            if default is not None:
                described["default"] = default
    _short_forms(definitions)
    _close(found)
    _close(definitions)
    return {"$schema": DIALECT, "title": "A pyrunenv config file", **found, "$defs": definitions}


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield (key in a file, name in code)."""
    for name, field in model.model_fields.items():
        yield str(field.validation_alias or field.alias or name), name


def _default(model: type[BaseModel], name: str) -> Any:
    value = _DEFAULTS.get(model, model).model_fields[name].get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or value is PydanticUndefined or value is None or value in ({}, ()):
        return None
    return list(value) if isinstance(value, tuple) else value


def _short_forms(definitions: dict[str, Any]) -> None:
    """What may be written in place of an object: a registry's URL, a consumer's list or path."""
    url = definitions["Registry"]["properties"]["url"]["type"]
    items = definitions["RegistriesPart"]["properties"]["additional"]["items"]
    definitions["RegistriesPart"]["properties"]["additional"]["items"] = {"anyOf": [{"type": url}, items]}
    consumer = definitions["ConsumerPart"]
    forms = consumer["properties"]["requirements"]
    definitions["ConsumerPart"] = {"anyOf": [*(dict(form) for form in forms["oneOf"]), consumer]}


def _close(table: Any) -> None:
    """Names that fit no pattern are wrong: without this a validator takes them for extensions."""
    for value in table.values() if isinstance(table, dict) else table if isinstance(table, list) else ():
        _close(value)
    if isinstance(table, dict) and "patternProperties" in table:
        table["additionalProperties"] = False


def _docstrings() -> dict[tuple[str, str], str]:
    """Return the docstring of each model, and of each field under (model, field)."""
    found: dict[tuple[str, str], str] = {}
    for node in ast.parse(inspect.getsource(schema)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for before, after in zip([None, *node.body], node.body, strict=False):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
            if not isinstance(text, str):
                continue
            if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
                found[node.name, before.target.id] = text
    return found
