"""The kinds of value that a config file may hold, each with the sentence that says what is wrong with another one.

They are plain functions that raise ValueError, hung onto types; :mod:`pyrunenv.config.problems` adds file and key path.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Iterable
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Tag,
    WithJsonSchema,
)

from pyrunenv.config.requirements import check_name, meaning, parse_override, parse_root
from pyrunenv.platforms import PLATFORMS

_BUILD = re.compile(r"^\d{8}$")
_FLOOR = re.compile(r"^(0|[1-9]\d*)\.(0|[1-9]\d*)$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_REGISTRY_NAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")

T = TypeVar("T")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``, did you mean `x`?`` for the nearest known word, or else the list of them, or nothing."""
    options = list(known)
    lowered = {option.lower(): option for option in options}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f", did you mean `{lowered[close[0]]}`?"
    return f", expected one of: {', '.join(options)}" if options else ""


_SPELLED = (
    (r"^(darwin|macos|osx|mac)(?![a-z])", "macosx"), (r"^win(32|64)?(?![a-z])", "windows"),
    (r"(amd64|x86_64|x86-64|intel)$", "x64"), (r"arm64$", "aarch64"),
)  # fmt: skip


def check_platform(key: str) -> str:
    if key not in PLATFORMS:
        raise ValueError(f"unknown platform `{key}`{did_you_mean(_as_here(key), PLATFORMS)}")
    return key


def _as_here(key: str) -> str:
    """A platform's key as others spell it, put in the words of this program."""
    for theirs, ours in _SPELLED:
        key = re.sub(theirs, ours, key, flags=re.IGNORECASE)
    return key


def check_path(path: str) -> str:
    """A path inside a folder, with ``/`` on every host."""
    if not path.strip():
        raise ValueError("is empty, expected a path")
    if "\\" in path:
        raise ValueError(f"`{path}` holds a backslash, write paths with `/`")
    if path.startswith("/") or re.match(r"^[A-Za-z]:", path):
        raise ValueError(f"`{path}` is absolute, expected a path inside the folder")
    if ".." in path.split("/"):
        raise ValueError(f"`{path}` leads out of the folder")
    return path


def _requirements_path(path: str) -> str:
    if not path.strip():
        raise ValueError("is empty, expected a path")
    if "\\" in path or path.startswith("/") or re.match(r"^[A-Za-z]:", path):
        raise ValueError(f"`{path}` is not a relative path, write it with `/`, from the folder of this file")
    return path.strip()


def check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname)
    except ValueError as error:
        raise ValueError(f"`{url}` is not a URL: {error}") from None
    if parts.scheme not in ("https", "http", "file"):
        raise ValueError(f"`{url}` is not a URL that can be fetched, expected https://…, http://… or file://…")
    if re.search(r"\s", url):
        raise ValueError(f"`{url}` holds a space")
    if parts.scheme != "file" and not named:
        raise ValueError(f"`{url}` names no host")
    return url


def check_variable(name: str) -> str:
    if not _VARIABLE.match(name):
        raise ValueError(f"`{name}` is not the name of an environment variable")
    return name


def _matching(pattern: re.Pattern[str], expected: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.match(text):
            raise ValueError(f"`{text}` is not {expected}")
        return text

    return AfterValidator(check)


def _reason(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty, expected the reason in words")
    return text.strip()


def _requirement(text: str) -> str:
    return parse_root(text).text if text.strip() else ""


def _override(text: str) -> str:
    parse_override(text)
    return text.strip()


def _without_repeats(items: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for item in items if item))


def _each_once(items: tuple[str, ...]) -> tuple[str, ...]:
    kept: dict[Hashable, str] = {}
    for item in items:
        if item:
            kept.setdefault(meaning(item), item)
    return tuple(kept.values())


def _setting(value: Any) -> Any:
    """PEP 517 config settings are texts or lists of texts; a union would report two errors for one fault."""
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if isinstance(value, str):
        return value
    raise ValueError("expected text or a list of texts")


def _one_spelling(value: Any) -> Any:
    """Refuse a map in which two keys are one package, since only the last would count."""
    if isinstance(value, dict):
        spellings: dict[str, str] = {}
        for key in value:
            first = spellings.setdefault(canonicalize_name(key), key)
            if first != key:
                raise ValueError(f"`{first}` and `{key}` are the same package")
    return value


def _shown(**schema: Any) -> WithJsonSchema:
    """What an editor is told of a kind of text; it accepts whatever the checks accept."""
    return WithJsonSchema({"type": "string", **schema})


Platform = Annotated[str, AfterValidator(check_platform), _shown(enum=list(PLATFORMS))]
Name = Annotated[str, AfterValidator(check_name), _shown(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
Names = Annotated[tuple[Name, ...], AfterValidator(_without_repeats)]
Reason = Annotated[str, AfterValidator(_reason), _shown(pattern=r"\S")]
Requirement = Annotated[str, AfterValidator(_requirement)]
Requirements = Annotated[tuple[Requirement, ...], AfterValidator(_each_once)]
RequirementsOrPath = Annotated[
    Annotated[Requirements, Tag("list")] | Annotated[str, AfterValidator(_requirements_path), Tag("path")],
    Discriminator(
        lambda value: {str: "path", list: "list", tuple: "list"}.get(type(value)),
        custom_error_type="requirements",
        custom_error_message="expected a list of requirements or a path",
    ),
]
Override = Annotated[str, AfterValidator(_override), _shown(pattern=r"\S")]
Url = Annotated[str, AfterValidator(check_url), _shown(pattern=r"^([Hh][Tt][Tt][Pp][Ss]?|[Ff][Ii][Ll][Ee]):")]
RelativePath = Annotated[str, AfterValidator(check_path), _shown(pattern=r"^[^/\\][^\\]*$")]
Sha256 = Annotated[
    str,
    AfterValidator(lambda text: text.strip().lower()),
    _matching(_SHA256, "a sha256, expected 64 hexadecimal digits"),
    _shown(pattern=r"^\s*[0-9A-Fa-f]{64}\s*$"),
]
Floor = Annotated[str, _matching(_FLOOR, "a floor, expected a text like `2.28`"), _shown(pattern=_FLOOR.pattern)]
BuildDate = Annotated[
    str, _matching(_BUILD, "a build, expected a date like `20250529`"), _shown(pattern=_BUILD.pattern)
]
RegistryName = Annotated[
    str,
    _matching(_REGISTRY_NAME, "a registry's name, expected letters, digits, `.`, `_`, `-`"),
    _shown(pattern=_REGISTRY_NAME.pattern),
]
Variable = Annotated[str, AfterValidator(check_variable), _shown(pattern=_VARIABLE.pattern)]
Flag = Annotated[bool, Field(strict=True)]
Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Setting = Annotated[
    str | tuple[str, ...],
    PlainValidator(_setting),
    PlainSerializer(lambda value: value if isinstance(value, str) else list(value)),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
ByName = Annotated[dict[Name, T], BeforeValidator(_one_spelling)]
ByPlatform = dict[Platform, T]
