"""What a config file may say, and what one target gets of it. ``docs/configuration.md`` explains every key.

:class:`Config` is one file as written (or two, merged): what is absent is None, which is not the same as empty.
:class:`TargetConfig` is what holds for one environment on one platform, with every default filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from pyrunenv.config import fields as f
from pyrunenv.secrets import mask

PYPI = "https://pypi.org/simple"
Strategy = Literal["best-match", "first-index"]
Source = Literal["standalone", "local", "archive"]
Mode = Literal["grouped", "together", "separate"]


class _Model(BaseModel):
    """Frozen, closed, camelCase in files and snake_case in code."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


# What stands in a file and reaches a target as it is.


class Registry(_Model):
    """One more index. With ``packages`` it serves those names and nothing else, and nothing else serves them."""

    url: f.Url
    name: f.RegistryName | None = None
    packages: Annotated[f.Names, Field(min_length=1)] | None = None


class ArchiveSource(_Model):
    """Where an interpreter's archive lies, and its sha256 in lower-case hexadecimal."""

    url: f.Url
    sha256: f.Sha256


class BuildWheel(_Model):
    """How one package is built from source on one platform."""

    reason: f.Reason | None = None
    build_requires: f.Requirements = ()
    config_settings: dict[str, f.Setting] = Field(default_factory=dict)
    env: dict[f.Variable, str] = Field(default_factory=dict)
    source_dir: str | None = Field(default=None, min_length=1)
    patches: tuple[f.RelativePath, ...] = ()


class CopyFile(_Model):
    """A file or folder of the environment's folder (``from``) and its place in the bundle."""

    source: f.RelativePath = Field(validation_alias="from", serialization_alias="from")
    to: f.RelativePath


# One file as written.


def _url_alone(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class RegistriesPart(_Model):
    default: f.Url | None = None
    additional: tuple[Annotated[Registry, BeforeValidator(_url_alone)], ...] | None = None
    strategy: Strategy | None = None

    @model_validator(mode="after")
    def _names_are_unique(self) -> RegistriesPart:
        names = [registry.name for registry in self.additional or () if registry.name]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two registries have the name `{name}`")
        return self


class PythonPart(_Model):
    source: Source | None = None
    build: f.BuildDate | None = None
    mirror: f.Url | None = None
    archives: f.ByPlatform[ArchiveSource] | None = None


class ResolutionPart(_Model):
    mode: Mode | None = None
    strict_missing: f.Flag | None = None
    allow_source_all: f.Flag | None = None
    allow_source_list: f.Names | None = None
    force_no_binary_list: f.Names | None = None
    only_binary_list: f.Names | None = None


class PlatformPart(_Model):
    dependencies: f.Requirements | None = None
    copy_files: tuple[CopyFile, ...] | None = None
    resolution: ResolutionPart = ResolutionPart()


class PackagesPart(_Model):
    dependencies: f.Requirements | None = None
    overrides: f.ByName[f.Override] = Field(default_factory=dict)
    skip: f.ByName[f.ByPlatform[f.Reason]] = Field(default_factory=dict)
    force_source: f.ByName[f.ByPlatform[f.Reason]] = Field(default_factory=dict)
    build_wheel: f.ByName[f.ByPlatform[BuildWheel]] = Field(default_factory=dict)
    no_deps: f.Names | None = None
    copy_files: tuple[CopyFile, ...] | None = None
    resolution: ResolutionPart = ResolutionPart()
    platform_specific: f.ByPlatform[PlatformPart] = Field(default_factory=dict)


class ConsumerPart(_Model):
    """``requirements`` is a path until :mod:`pyrunenv.config.load` has read the file."""

    requirements: f.RequirementsOrPath
    platforms: tuple[f.Platform, ...] | None = None
    ensure: f.Flag = False

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple, str)):
            return {"requirements": value}
        if not isinstance(value, dict):
            raise ValueError("expected a list of requirements, a path, or an object")
        return value


class BuildPart(_Model):
    enable_logging: f.Flag | None = None
    parallel_downloads: f.Flag | None = None
    timeout: f.Seconds | None = None


class FloorsPart(_Model):
    glibc: f.Floor | None = None
    macos: f.Floor | None = None


class Config(_Model):
    """One config file as written; :func:`pyrunenv.config.merge.merge` makes one of two."""

    schema_uri: str | None = Field(default=None, validation_alias="$schema", serialization_alias="$schema")
    registries: RegistriesPart = RegistriesPart()
    python: PythonPart = PythonPart()
    packages: PackagesPart = PackagesPart()
    consumers: dict[str, ConsumerPart] = Field(default_factory=dict)
    build: BuildPart = BuildPart()
    floors: FloorsPart = FloorsPart()

    def to_json(self) -> dict[str, Any]:
        """Return it in the file's own form, for people: credentials masked, sections that say nothing left out."""
        shown: dict[str, Any] = _shown(self.model_dump(mode="json", by_alias=True, exclude_none=True), prune=True)
        return shown


# What one target gets, with every default.


class Registries(_Model):
    """The indexes, all trusted alike; ``default`` is first among equals."""

    default: str = PYPI
    additional: tuple[Registry, ...] = ()
    strategy: Strategy = "best-match"


class PythonConfig(_Model):
    """Where CPython comes from. ``build`` is python-build-standalone's date, ``archives`` go by platform key."""

    source: Source = "standalone"
    build: str | None = None
    mirror: str | None = None
    archives: Mapping[str, ArchiveSource] = Field(default_factory=dict)


class Resolution(_Model):
    """How roots are resolved, and what may or must be built from source; names are normalised."""

    mode: Mode = "grouped"
    strict_missing: bool = True
    allow_source_all: bool = True
    allow_source_list: tuple[str, ...] = ()
    force_no_binary_list: tuple[str, ...] = ()
    only_binary_list: tuple[str, ...] = ()


class Consumer(_Model):
    """Something that installs from the wheelhouse; with ``ensure`` the lock adds the group it needs."""

    name: str
    requirements: tuple[str, ...] = ()
    platforms: tuple[str, ...] | None = None
    ensure: bool = False


class Floors(_Model):
    """The oldest glibc and macOS that a bundle must run on, as ``major.minor``."""

    glibc: str = "2.28"
    macos: str = "13.0"


class BuildOptions(_Model):
    """How a build runs; nothing here changes its bytes. ``timeout``: seconds without a byte from the network."""

    enable_logging: bool = False
    parallel_downloads: bool = True
    timeout: float = 60.0


class TargetConfig(_Model):
    """Everything that holds for one environment on one platform; maps go by normalised package name."""

    platform: str = ""
    """The platform's key; empty only in values that no workspace made."""
    registries: Registries = Registries()
    python: PythonConfig = PythonConfig()
    dependencies: tuple[str, ...] = ()
    """Roots in the config's order, the platform's after the global ones, ``overrides`` applied."""
    skip: dict[str, str] = Field(default_factory=dict)
    force_source: dict[str, str] = Field(default_factory=dict)
    build_wheel: dict[str, BuildWheel] = Field(default_factory=dict)
    no_deps: tuple[str, ...] = ()
    copy_files: tuple[CopyFile, ...] = ()
    resolution: Resolution = Resolution()
    consumers: tuple[Consumer, ...] = ()
    floors: Floors = Floors()
    build: BuildOptions = BuildOptions()

    def to_json(self) -> dict[str, Any]:
        """Return it in a config file's own form, for people: credentials in URLs are masked."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        platform, packages = plain.pop("platform"), {"dependencies": plain.pop("dependencies")}
        for key in ("skip", "forceSource", "buildWheel"):
            packages[key] = {name: {platform: value} for name, value in plain.pop(key).items()}
        for key in ("noDeps", "copyFiles", "resolution"):
            packages[key] = plain.pop(key)
        consumers = {consumer.pop("name"): consumer for consumer in plain["consumers"]}
        ordered = {"registries": plain["registries"], "python": plain["python"], "packages": packages}
        shown: dict[str, Any] = _shown(
            {**ordered, "consumers": consumers, "build": plain["build"], "floors": plain["floors"]}
        )
        return shown


def _shown(value: Any, *, prune: bool = False) -> Any:
    """Mask credentials in every text; with ``prune`` drop objects that are empty."""
    if isinstance(value, dict):
        items = {key: _shown(item, prune=prune) for key, item in value.items()}
        return {key: item for key, item in items.items() if not prune or item != {}}
    if isinstance(value, list):
        return [_shown(item, prune=prune) for item in value]
    return mask(value) if isinstance(value, str) else value
