"""Two files into one, and one into what a target gets: pure functions. ``docs/configuration.md`` lists the rules."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pyrunenv.config.requirements import Root, meaning, override_root, parse_root, root_name
from pyrunenv.config.schema import (
    BuildOptions,
    Config,
    Consumer,
    Floors,
    PackagesPart,
    PlatformPart,
    PythonConfig,
    Registries,
    RegistriesPart,
    Registry,
    Resolution,
    ResolutionPart,
    TargetConfig,
    _Model,
)
from pyrunenv.platforms import Platform

__all__ = ["Root", "for_platform", "merge", "parse_root", "root_name", "root_names"]

M = TypeVar("M", bound=_Model)
T = TypeVar("T")


def merge(shared: Config, own: Config | None) -> Config:
    """Return one config of the shared one and an environment's own, which wins. Neither is changed."""
    if own is None:
        return shared
    archives = _both(own.python.archives, shared.python.archives)
    return _over(
        own,
        shared,
        registries=_registries(own.registries, shared.registries),
        python=_over(own.python, shared.python, archives=archives),
        packages=_packages(own.packages, shared.packages),
        consumers={**shared.consumers, **own.consumers},
        build=_over(own.build, shared.build),
        floors=_over(own.floors, shared.floors),
    )


def for_platform(config: Config, platform: Platform) -> TargetConfig:
    """Return what a (merged) config says for one platform, with every default filled in."""
    packages = config.packages
    here = packages.platform_specific.get(platform.key, PlatformPart())
    return TargetConfig(
        platform=platform.key,
        registries=Registries(**_given(config.registries)),
        python=PythonConfig(**_given(config.python)),
        dependencies=tuple(_roots(packages, here)),
        skip=_at(packages.skip, platform),
        force_source=_at(packages.force_source, platform),
        build_wheel=_at(packages.build_wheel, platform),
        no_deps=packages.no_deps or (),
        copy_files=_union(packages.copy_files, here.copy_files) or (),
        resolution=Resolution(**_given(_resolution(here.resolution, packages.resolution))),
        consumers=tuple(_consumers(config, platform)),
        floors=Floors(**_given(config.floors)),
        build=BuildOptions(**_given(config.build)),
    )


def root_names(config: Config) -> frozenset[str]:
    """Return the normalised names of all roots of a config, on whatever platform."""
    lists = [config.packages.dependencies, *(p.dependencies for p in config.packages.platform_specific.values())]
    return frozenset(name for roots in lists for root in roots or () if (name := root_name(root)))


def _given(part: _Model) -> dict[str, Any]:
    """What a part says, without what it leaves out."""
    return {key: value for key, value in part if value is not None}


def _over(upper: M, lower: M, **united: Any) -> M:
    """Lay one part over another, key by key; ``united`` holds the keys that have a rule of their own.

    Nothing is validated again: both parts were, and with 200 environments that would be most of the time.
    """
    return lower.model_copy(update={**_given(upper), **united})


def _both(upper: Mapping[str, T] | None, lower: Mapping[str, T] | None) -> dict[str, T] | None:
    return None if upper is None and lower is None else {**(lower or {}), **(upper or {})}


def _union(
    first: Iterable[T] | None, second: Iterable[T] | None, same: Callable[[T, T], bool] = lambda a, b: a == b
) -> tuple[T, ...] | None:
    """Join two lists without repeats, in order; None only where both are absent."""
    if first is None and second is None:
        return None
    kept: list[T] = []
    for item in (*(first or ()), *(second or ())):
        if not any(same(item, other) for other in kept):
            kept.append(item)
    return tuple(kept)


def _registries(own: RegistriesPart, shared: RegistriesPart) -> RegistriesPart:
    return _over(own, shared, additional=_union(own.additional, shared.additional, _same_registry))


def _same_registry(one: Registry, other: Registry) -> bool:
    if one.name and other.name:
        return one.name == other.name
    # An entry that pins `packages` is never swallowed by one that does not: that would open those names to everyone.
    return one.url.rstrip("/") == other.url.rstrip("/") and one.packages == other.packages


def _packages(own: PackagesPart, shared: PackagesPart) -> PackagesPart:
    platforms = {**shared.platform_specific, **own.platform_specific}
    return _over(
        own,
        shared,
        overrides={**shared.overrides, **own.overrides},
        skip={**shared.skip, **own.skip},
        force_source={**shared.force_source, **own.force_source},
        build_wheel={**shared.build_wheel, **own.build_wheel},
        no_deps=_union(own.no_deps, shared.no_deps),
        copy_files=_union(own.copy_files, shared.copy_files),
        resolution=_resolution(own.resolution, shared.resolution),
        platform_specific={key: _platform_part(key, own, shared) for key in platforms},
    )


def _platform_part(key: str, own: PackagesPart, shared: PackagesPart) -> PlatformPart:
    ours = own.platform_specific.get(key, PlatformPart())
    theirs = shared.platform_specific.get(key, PlatformPart())
    # The environment's file always wins, so what it says for all platforms beats what the shared one says for this.
    beaten = {name: None for name, value in _given(own.resolution).items() if not isinstance(value, tuple)}
    resolution = _resolution(ours.resolution, theirs.resolution.model_copy(update=beaten))
    return _over(ours, theirs, copy_files=_union(ours.copy_files, theirs.copy_files), resolution=resolution)


def _resolution(upper: ResolutionPart, lower: ResolutionPart) -> ResolutionPart:
    return _over(
        upper,
        lower,
        allow_source_list=_union(upper.allow_source_list, lower.allow_source_list),
        force_no_binary_list=_union(upper.force_no_binary_list, lower.force_no_binary_list),
        only_binary_list=_union(upper.only_binary_list, lower.only_binary_list),
    )


def _roots(packages: PackagesPart, here: PlatformPart) -> Iterator[str]:
    """Yield the roots with overrides applied; two that an override made equal are one."""
    seen: set[Hashable] = set()
    for requirement in (*(packages.dependencies or ()), *(here.dependencies or ())):
        override = packages.overrides.get(root_name(requirement) or "")
        root = override_root(requirement, override) if override is not None else requirement
        if meaning(root) not in seen:
            seen.add(meaning(root))
            yield root


def _at(by_name: Mapping[str, Mapping[str, T]], platform: Platform) -> dict[str, T]:
    return {name: platforms[platform.key] for name, platforms in by_name.items() if platform.key in platforms}


def _consumers(config: Config, platform: Platform) -> Iterator[Consumer]:
    for name, part in config.consumers.items():
        if isinstance(part.requirements, str):
            raise ValueError(f"consumer `{name}`: {part.requirements} has not been read")
        if part.platforms is None or platform.key in part.platforms:
            yield Consumer(name=name, requirements=part.requirements, platforms=part.platforms, ensure=part.ensure)
