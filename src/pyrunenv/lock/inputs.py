"""What a target's resolution depends on, each input with its digest, so that a stale lock can name what changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyrunenv.files import digest_of
from pyrunenv.lock.vcs import without_login
from pyrunenv.platforms import Platform
from pyrunenv.secrets import strip_credentials

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunenv.config.schema import BuildWheel, TargetConfig


def lock_inputs(config: TargetConfig, platform: Platform, python_version: str, base: Path) -> dict[str, str]:
    """Return each input's name and digest (16 hexadecimal digits). ``base`` is the environment's folder.

    Not among them: ``build`` and ``copyFiles``, which change no resolution, and the versions of our own tools.
    """
    python = config.python
    registries = [
        strip_credentials(config.registries.default or ""),
        config.registries.strategy,
        [[strip_credentials(r.url), r.name, r.packages] for r in config.registries.additional],
    ]
    floor = {"linux": config.floors.glibc, "macosx": config.floors.macos}.get(platform.system)
    archive = (python.archives or {}).get(platform.key)
    resolution = config.resolution
    values: dict[str, Any] = {
        "python-version": python_version,
        "platform": platform.key,
        "requirements": [without_login(requirement) for requirement in config.dependencies],
        "skip": config.skip,
        "sources": [
            config.force_source,
            [[name, *_how_built(build, base)] for name, build in sorted(config.build_wheel.items())],
            resolution.force_no_binary_list,
            resolution.only_binary_list,
            resolution.allow_source_all,
            resolution.allow_source_list,
        ],
        "no-deps": sorted(config.no_deps),
        "resolution": [resolution.mode, resolution.strict_missing],
        "consumers": [[c.name, list(c.requirements), c.ensure] for c in config.consumers],
        "registries": registries,
        "floor": floor,
        "interpreter": [
            python.source,
            python.build,
            python.mirror and strip_credentials(python.mirror),
            archive and [strip_credentials(archive.url), archive.sha256],
        ],
    }
    return {name: digest_of(value)[:16] for name, value in values.items()}


def _how_built(build: BuildWheel, base: Path) -> list[Any]:
    """What a `buildWheel` entry says, with digests of the files that it names; those that are not there have none."""
    from pyrunenv.errors import SourceError
    from pyrunenv.lock.sources import find_source_dir, settings_of
    from pyrunenv.wheels.source import folder_digest

    try:
        settings = settings_of(build, base).digest(base)
        return [settings, folder_digest(find_source_dir(build.source_dir, base)) if build.source_dir else None]
    except SourceError:
        return [build.model_dump(mode="json")]


def combined(inputs: Mapping[str, str]) -> str:
    """The one digest of all inputs: equal where a lock is current."""
    return digest_of(dict(inputs))


def changed(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the inputs that differ between two locks of one target."""
    return tuple(name for name in now if then.get(name) != now[name]) + tuple(n for n in then if n not in now)
