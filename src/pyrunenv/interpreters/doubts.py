"""Whether the configured source has an interpreter at all: asked before something is made for it. Asks no network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters.choose import choose
from pyrunenv.platforms import Platform
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    from pyrunenv.config.schema import TargetConfig

_VERSION = re.compile(r"(?<![\d.])3\.\d+\.\d+(?!\.?\d)")


def doubts(targets: Sequence[tuple[Platform, TargetConfig]], version: str, cache_root: Path) -> list[InterpreterError]:
    """Return why a CPython cannot be had on platforms, or seems to be another; what is alike is said once for all."""
    found: dict[tuple[str, ...], tuple[InterpreterError, list[str]]] = {}
    for platform, config in targets:
        try:
            _check(platform, config, version, cache_root)
        except InterpreterError as error:
            alike = tuple(text.replace(platform.key, "\0") for text in (error.message, *error.notes, error.hint or ""))
            found.setdefault(alike, (error, []))[1].append(platform.key)
    return [_said(error, keys) for error, keys in found.values()]


def _said(error: InterpreterError, keys: Sequence[str]) -> InterpreterError:
    first, every = keys[0], ", ".join(keys)
    hint = error.hint.replace(first, "<platform>" if len(keys) > 1 else first) if error.hint else None
    return InterpreterError(
        error.message.replace(first, every), notes=[note.replace(first, every) for note in error.notes], hint=hint
    )


def _check(platform: Platform, config: TargetConfig, version: str, cache_root: Path) -> None:
    chosen = choose(config.python, version, platform)
    if chosen.source == "local":
        from pyrunenv.interpreters.layout import Layout
        from pyrunenv.interpreters.local import find

        find(version, Layout(platform, version), allow_other_patch=False, uv_cache=cache_root / "uv")
    elif chosen.source == "archive":
        url = strip_credentials(config.python.archives[platform.key].url)
        named = _VERSION.findall(unquote(url).rpartition("/")[2])
        if named and version not in named:
            raise InterpreterError(
                f"the archive for {platform} is named for CPython {named[0]}, and not for {version}",
                hint=f"name the one of {version} in python.archives.{platform} of config.json",
            )
