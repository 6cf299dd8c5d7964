"""What is wrong with a file, in sentences for a person: pydantic's findings become key paths and plain words."""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Union

from pydantic import BaseModel, ValidationError

from pyrunenv.config.document import Place
from pyrunenv.config.fields import did_you_mean
from pyrunenv.secrets import mask

KeyPath = tuple[str | int, ...]

_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "finite_number": "a finite number",
}
_KINDS = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}


@dataclass(frozen=True)
class Problem:
    """One fault or warning. ``file`` is relative to the workspace's root, ``path`` the keys down to the place.

    ``place`` is given where the file cannot be parsed, else the path tells it.
    """

    file: str
    path: KeyPath
    message: str
    place: Place | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.place.line}:{self.place.column}" if self.place else self.file
        return mask(f"{where}: {show_path(self.path)}: {self.message}" if self.path else f"{where}: {self.message}")


def show_path(path: KeyPath) -> str:
    """Write a key path as ``packages.skip.numpy`` and ``registries.additional[1]``; odd keys are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = re.fullmatch(r"[\w$@/-]+", part)
            text += ("." if text else "") + (part if plain else json.dumps(part, ensure_ascii=False))
    return text


def kind_of(value: Any) -> str:
    """Name a JSON value's kind as a person would."""
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)


def translate(error: ValidationError, model: type[BaseModel], document: Any, file: str) -> Iterator[Problem]:
    """Yield one problem for each place that pydantic complains about in ``document``."""
    for found in error.errors(include_url=False):
        location = found["loc"]
        path = _written_path(location, document, missing=found["type"] == "missing")
        yield Problem(file, path, _sentence(dict(found), model, path))


def _written_path(location: Sequence[str | int], document: Any, *, missing: bool) -> KeyPath:
    """Drop the steps of pydantic's location that are not in the file: union tags, ``[key]``, short forms spelt out."""
    path: list[str | int] = []
    here = document
    for index, step in enumerate(location):
        known = step in here if isinstance(here, dict) else isinstance(here, list) and step in range(len(here))
        if known:
            here = here[step]
        elif not (missing and isinstance(here, dict) and index == len(location) - 1):
            continue
        path.append(step)
    return tuple(path)


def _sentence(found: dict[str, Any], model: type[BaseModel], path: KeyPath) -> str:
    kind, value, context = found["type"], found["input"], found.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return _unknown_key(model, path)
    if kind == "literal_error":
        options = re.findall(r"'([^']*)'", context["expected"])
        got = f"`{value}`" if isinstance(value, str) else kind_of(value)
        return f"{got} is not known{did_you_mean(value if isinstance(value, str) else '', options)}"
    if kind in ("too_short", "string_too_short"):
        return "is empty"
    if kind == "greater_than":
        return f"expected more than {context['gt']:g}, got {value:g}"
    if kind == "string_unicode":
        return "holds characters that cannot be written as UTF-8"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {kind_of(value)}"
    message = found["msg"]
    return f"{message[:1].lower()}{message[1:]}"


def _unknown_key(model: type[BaseModel], path: KeyPath) -> str:
    key = str(path[-1])
    siblings = _keys_at(model, path[:-1])
    homes = [home for name, home in _all_keys(model, ()) if name == key]
    if homes and not any(isinstance(step, int) for step in path):
        places = " or ".join(f"in `{show_path(home)}`" if home else "at the top of the file" for home in homes)
        return f"unknown key here, it belongs {places}"
    return f"unknown key{did_you_mean(key, siblings)}"


def _keys_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that a file may have at a path."""
    annotation: Any = model
    for step in path:
        annotation = _step(annotation, step)
    owner = _model_in(annotation)
    return list(_keys(owner)) if owner else []


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    return {
        str(field.validation_alias or field.alias or name): field.annotation
        for name, field in model.model_fields.items()
    }


def _all_keys(model: type[BaseModel], home: KeyPath) -> Iterator[tuple[str, KeyPath]]:
    """Yield (key, where it belongs), not going into lists and maps, whose keys are anybody's."""
    for key, annotation in _keys(model).items():
        yield key, home
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _all_keys(annotation, (*home, key))


def _step(annotation: Any, step: str | int) -> Any:
    """The type of one item of a value of a type."""
    owner = _model_in(annotation)
    if owner is not None and isinstance(step, str) and step in _keys(owner):
        return _keys(owner)[step]
    for part in _flat(annotation):
        if typing.get_origin(part) in (dict, tuple):
            arguments = typing.get_args(part)
            return arguments[1] if typing.get_origin(part) is dict else arguments[0]
    return annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for part in _flat(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _flat(annotation: Any) -> Iterator[Any]:
    """Take ``Annotated`` and unions off a type."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _flat(typing.get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _flat(part)
    else:
        yield annotation
