"""What a config file may say, and what one target gets of it. ``docs/configuration.md`` explains every key.

:class:`Config` is one file as written (or two, merged): what is absent is None, which is not the same as empty.
:class:`TargetConfig` is what holds for one environment on one platform, with every default filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from pyrunenv.config import fields as f
from pyrunenv.secrets import masked

PYPI = "https://pypi.org/simple"
Strategy = Literal["best-match", "first-index"]
Source = Literal["standalone", "local", "archive"]
Mode = Literal["grouped", "together", "separate"]


class _Model(BaseModel):
    """Frozen, closed, camelCase in files and snake_case in code."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


# What stands in a file and reaches a target as it is.


_SOME_NAMES = {"type": "array", "minItems": 1, "items": {"type": "string"}}


class Registry(_Model):
    """One more index. With ``packages`` it serves those names and nothing else, and nothing else serves them."""

    url: f.Url
    """The index's address: http, https or file."""
    name: f.RegistryName | None = None
    """What credentials in environment variables are found by: `UV_INDEX_<NAME>_USERNAME` and `UV_INDEX_<NAME>_PASSWORD`."""
    packages: Annotated[f.Names, Field(min_length=1), WithJsonSchema(_SOME_NAMES)] | None = None
    """Names that come from this index and from nowhere else; it serves nothing else then."""


class ArchiveSource(_Model):
    """Where an interpreter's archive lies, and its sha256 in lower-case hexadecimal."""

    url: f.Url
    """Where the archive lies: http, https or file."""
    sha256: f.Sha256
    """Its digest, 64 hexadecimal digits."""


class BuildWheel(_Model):
    """How one package is built from source on one platform."""

    reason: f.Reason | None = None
    """Text for people."""
    build_requires: f.Requirements = ()
    """Requirements beside those that its pyproject.toml names."""
    config_settings: dict[str, f.Setting] = Field(default_factory=dict)
    """Settings for its build backend (PEP 517): name → text or list of texts. `{packageRoot}` stands for the environment's folder."""
    env: dict[f.Variable, str] = Field(default_factory=dict)
    """Variables for the build. `{packageRoot}` stands for the environment's folder."""
    source_dir: str | None = Field(default=None, min_length=1)
    """A folder that is built in place of the registry's source archive, and of any wheel; looked up from the environment's folder, then from the workspace's root."""
    patches: tuple[f.RelativePath, ...] = ()
    """Patch files (unified diffs), applied to its source in this order."""


class CopyFile(_Model):
    """A file or folder of the environment's folder (``from``) and its place in the bundle."""

    source: f.RelativePath = Field(validation_alias="from", serialization_alias="from")
    """A file or folder in the environment's folder, written with `/`."""
    to: f.RelativePath
    """Its place in the bundle; `{site-packages}` stands for the platform's folder."""


# One file as written.


def _url_alone(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class RegistriesPart(_Model):
    default: f.Url | None = None
    """The first index among equals: http, https or file."""
    additional: tuple[Annotated[Registry, BeforeValidator(_url_alone)], ...] | None = None
    """More indexes, each a URL or an object."""
    strategy: Strategy | None = None
    """`best-match`: the best version that any index has; `first-index`: the first index that has the name is the only one asked."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> RegistriesPart:
        names = [registry.name for registry in self.additional or () if registry.name]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two registries have the name `{name}`")
        return self


class PythonPart(_Model):
    source: Source | None = None
    """`standalone`: python-build-standalone; `archive`: the `archives` given here; `local`: an interpreter of this host."""
    build: f.BuildDate | None = None
    """The build of python-build-standalone, as its date. Default: the newest that has the version."""
    mirror: f.Url | None = None
    """URL that stands for everything before `/<date>/` in python-build-standalone's addresses."""
    archives: f.ByPlatform[ArchiveSource] | None = None
    """Platform → the interpreter's archive, for the source `archive`."""


class ResolutionPart(_Model):
    mode: Mode | None = None
    """`grouped`: roots that conflict go to different groups; `together`: a conflict is an error; `separate`: each root alone."""
    strict_missing: f.Flag | None = None
    """Whether a root that cannot be had is an error; else it is left out with a warning."""
    allow_source_all: f.Flag | None = None
    """Whether whatever has no wheel may be built from source."""
    allow_source_list: f.Names | None = None
    """The names that may be built from source when `allowSourceAll` is false."""
    force_no_binary_list: f.Names | None = None
    """Names that are always built from source, on every platform."""
    only_binary_list: f.Names | None = None
    """Names that are never built from source."""


class PlatformPart(_Model):
    dependencies: f.Requirements | None = None
    """Roots for this platform, after the global ones."""
    copy_files: tuple[CopyFile, ...] | None = None
    """Files for this platform, beside the global ones."""
    resolution: ResolutionPart = ResolutionPart()
    """What differs here from the global `resolution`."""


class PackagesPart(_Model):
    dependencies: f.Requirements | None = None
    """The roots: PEP 508 requirements or bare `git+https://…@commit` references, in the order in which groups are formed. An environment's list replaces the shared one."""
    overrides: f.ByName[f.Override] = Field(default_factory=dict)
    """Name → version, specifier or direct reference that replaces the version of every root of that name."""
    skip: f.ByName[f.ByPlatform[f.Reason]] = Field(default_factory=dict)
    """Name → platform → reason: nowhere in that platform's bundle."""
    force_source: f.ByName[f.ByPlatform[f.Reason]] = Field(default_factory=dict)
    """Name → platform → reason: built from source there, although there is a wheel."""
    build_wheel: f.ByName[f.ByPlatform[BuildWheel]] = Field(default_factory=dict)
    """Name → platform → how it is built from source there."""
    no_deps: f.Names | None = None
    """Names of roots that come without what they need."""
    copy_files: tuple[CopyFile, ...] | None = None
    """Files and folders of the environment's folder that go into the bundle."""
    resolution: ResolutionPart = ResolutionPart()
    """How roots are resolved, and what may or must be built from source."""
    platform_specific: f.ByPlatform[PlatformPart] = Field(default_factory=dict)
    """Platform → what holds there beside, or over, the rest."""


class ConsumerPart(_Model):
    """``requirements`` is a path until :mod:`pyrunenv.config.load` has read the file."""

    requirements: f.RequirementsOrPath
    """Requirements, or the path of a requirements.txt from the folder of this file."""
    platforms: tuple[f.Platform, ...] | None = None
    """Where it runs. Default: everywhere."""
    ensure: f.Flag = False
    """Whether the lock adds the group that it needs."""

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
    """Whether a log of every target's build is written."""
    parallel_downloads: f.Flag | None = None
    """`false`: one download at a time."""
    timeout: f.Seconds | None = None
    """Seconds without a byte after which a download has failed."""


class FloorsPart(_Model):
    glibc: f.Floor | None = None
    """The oldest glibc that the Linux bundles must run on."""
    macos: f.Floor | None = None
    """The oldest macOS that the macOS bundles must run on."""


class Config(_Model):
    """One config file as written; :func:`pyrunenv.config.merge.merge` makes one of two."""

    schema_uri: str | None = Field(default=None, validation_alias="$schema", serialization_alias="$schema")
    """Where an editor finds this schema; it means nothing to pyrunenv."""
    registries: RegistriesPart = RegistriesPart()
    """Where packages come from."""
    python: PythonPart = PythonPart()
    """Where the interpreter comes from."""
    packages: PackagesPart = PackagesPart()
    """What goes into the environment."""
    consumers: dict[str, ConsumerPart] = Field(default_factory=dict)
    """Name → who installs from the environment: requirements that must resolve from the finished wheelhouse, offline."""
    build: BuildPart = BuildPart()
    """How a build runs; nothing here changes its bytes."""
    floors: FloorsPart = FloorsPart()
    """The oldest systems to run on."""

    def to_json(self) -> dict[str, Any]:
        """Return it in the file's own form, for people: credentials masked, sections that say nothing left out."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        shown: dict[str, Any] = masked(_without_empty(plain))
        return shown

    def plain(self) -> dict[str, Any]:
        """Return it in the file's own form, with what it says alone, credentials included."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


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
        shown: dict[str, Any] = masked(self.plain())
        return shown

    def plain(self) -> dict[str, Any]:
        """Return it in a config file's own form, credentials included."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        platform, packages = plain.pop("platform"), {"dependencies": plain.pop("dependencies")}
        for key in ("skip", "forceSource", "buildWheel"):
            packages[key] = {name: {platform: value} for name, value in plain.pop(key).items()}
        for key in ("noDeps", "copyFiles", "resolution"):
            packages[key] = plain.pop(key)
        consumers = {consumer.pop("name"): consumer for consumer in plain["consumers"]}
        ordered = {"registries": plain["registries"], "python": plain["python"], "packages": packages}
        return {**ordered, "consumers": consumers, "build": plain["build"], "floors": plain["floors"]}


def _without_empty(value: Any) -> Any:
    """Drop objects that say nothing."""
    if not isinstance(value, dict):
        return value
    items = {key: _without_empty(item) for key, item in value.items()}
    return {key: item for key, item in items.items() if item != {}}
