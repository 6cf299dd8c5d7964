"""The files of an environment's folder that its configuration names, with which another folder can do the same."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrunenv.config.requirements_file import included
from pyrunenv.config.workspace import OWN, PACKAGE

if TYPE_CHECKING:
    from pyrunenv.config.schema import BuildWheel, Config
    from pyrunenv.config.workspace import Environment

_PACKAGE_ROOT = re.compile(r"\{packageRoot\}/([^\s:;,\"'{}]+)")
_LEFT_OUT = {"__pycache__", ".DS_Store"}
# Where the folder as a whole is named: what a build, a lock or a new environment writes itself.
_MADE = re.compile(r"pydist|dist|build|pkg-.*|pylock\..*|\..*\.tmp|" + f"{re.escape(OWN)}|{re.escape(PACKAGE)}")


@dataclass(frozen=True)
class Companions:
    """Files by their path below the environment's folder, and what is named and not there, or not in the workspace."""

    files: Mapping[str, Path]
    absent: tuple[str, ...]


def companions(environment: Environment, written: Any) -> Companions:
    """Return what the merged config names in the environment's folder; ``written`` is its own file's JSON.

    ``copyFiles``, ``sourceDir``, ``patches``, paths behind ``{packageRoot}/``, and consumers' requirements files with what
    they include. Links are followed, as far as they stay in the workspace; paths out of the folder are left alone, since
    they mean the same from a folder beside it.
    """
    walk = _Walk(environment.folder.parent.resolve())
    for path, elsewhere in dict.fromkeys(_named(environment, written)):
        inside = Path(os.path.normpath(path))
        if inside.is_absolute() or os.pardir in inside.parts:
            continue
        source = environment.folder / inside
        if source.exists() or not (elsewhere and (environment.folder.parent / path).exists()):
            walk.take(source, inside.as_posix() if inside.parts else "", ())
    return Companions(walk.found, tuple(walk.absent))


def copied_by(config: Config) -> Iterator[str]:
    """Yield every ``from`` of a config's ``copyFiles``."""
    yield from (item.source for item in config.packages.copy_files or ())
    for part in config.packages.platform_specific.values():
        yield from (item.source for item in part.copy_files or ())


def _named(environment: Environment, written: Any) -> Iterator[tuple[str, bool]]:
    """Yield (path, whether it may be found at the workspace's root instead)."""
    for path in copied_by(environment.config):
        yield path, False
    for by_platform in environment.config.packages.build_wheel.values():
        for build in by_platform.values():
            for path in _of_build(build):
                yield path, True
    consumers = written.get("consumers", {}) if isinstance(written, dict) else {}
    for consumer in consumers.values():
        file_name = consumer.get("requirements") if isinstance(consumer, dict) else consumer
        if isinstance(file_name, str):
            for file in included(Path(os.path.normpath(environment.folder / file_name.strip()))):
                yield os.path.relpath(file, environment.folder), False


def _of_build(build: BuildWheel) -> Iterator[str]:
    if build.source_dir:
        yield build.source_dir.replace("{packageRoot}/", "")
    yield from build.patches
    settings = [
        text for value in build.config_settings.values() for text in ([value] if isinstance(value, str) else value)
    ]
    for text in [*settings, *build.env.values()]:
        yield from _PACKAGE_ROOT.findall(text)


class _Walk:
    """Collects files and what is in folders; ``root`` is what no link may lead out of."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.found: dict[str, Path] = {}
        self.absent: list[str] = []

    def take(self, source: Path, name: str, within: tuple[Path, ...]) -> None:
        """Take a file, or all files of a folder; a folder that holds itself is gone into once."""
        # a link that leads to itself is not there, and cannot be resolved
        if not source.exists() or not (place := source.resolve()).is_relative_to(self._root):
            self.absent.append(name)
        elif source.is_file():
            self.found[name] = source
        elif source.is_dir() and place not in within:
            for entry in sorted(source.iterdir()):
                if entry.name not in _LEFT_OUT and (name or not _MADE.fullmatch(entry.name)):
                    self.take(entry, f"{name}/{entry.name}" if name else entry.name, (*within, place))
