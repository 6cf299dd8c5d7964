"""What an environment's config says against its platforms, its roots and its package.json."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from packaging.utils import canonicalize_name

from pyrunenv.config.naming import common_prefix, prefix_of
from pyrunenv.config.problems import KeyPath, Problem
from pyrunenv.config.requirements import root_name
from pyrunenv.config.schema import Config
from pyrunenv.config.workspace import OWN, PACKAGE, SHARED, Environment, Workspace

_BY_PLATFORM = {"skip": "skip", "forceSource": "force_source", "buildWheel": "build_wheel"}
_ARTIFACT: KeyPath = ("block-software", "entrypoints", "main", "environment", "artifact")


def errors(workspace: Workspace) -> Iterator[Problem]:
    """Yield what no target can be made with."""
    yield from _archives(workspace)
    for environment in workspace.environments:
        yield from _never(environment, workspace)


def warnings(workspace: Workspace) -> Iterator[Problem]:
    """Yield what is said and can mean nothing, and names that disagree."""
    pattern = common_prefix(workspace.environments)
    for environment in workspace.environments:
        yield from _unlisted(environment)
        yield from _skipped_everywhere(environment, workspace)
        yield from _package(environment, pattern)
    yield from _shared_roots_skipped(workspace)


def _own(environment: Environment) -> str:
    return f"{environment.folder.name}/{OWN}"


def _archives(workspace: Workspace) -> Iterator[Problem]:
    """`archive` needs an archive for each platform; said once for each file that asks for it."""
    lacking: dict[str, tuple[dict[str, None], list[str]]] = {}
    for environment in workspace.environments:
        python = environment.config.python
        without = [p.key for p in environment.platforms() if p.key not in (python.archives or {})]
        if python.source == "archive" and without:
            file = _own(environment) if environment.own and environment.own.python.source else SHARED
            platforms, versions = lacking.setdefault(file, ({}, []))
            platforms.update(dict.fromkeys(without))
            versions.append(environment.full_version)
    for file, (platforms, versions) in lacking.items():
        text = f"is `archive`, and `python.archives` has none for {', '.join(platforms)} ({', '.join(versions)})"
        yield Problem(file, ("python", "source"), text)


def _never(environment: Environment, workspace: Workspace) -> Iterator[Problem]:
    """What must be built, and must not."""
    for platform in environment.platforms():
        config = environment.target(platform)
        forced = {*config.force_source, *config.resolution.force_no_binary_list}
        for name in sorted(forced & {*config.resolution.only_binary_list}):
            for file, document in _files(environment, workspace):
                if (path := _name_in_only_binary(document, name, platform.key)) is not None:
                    text = f"`{name}` must be built from source as well (`forceSource` or `forceNoBinaryList`)"
                    yield Problem(file, path, f"{text}: it cannot be had on {platform}")
                    break


def _name_in_only_binary(document: Any, name: str, platform: str) -> KeyPath | None:
    homes: list[KeyPath] = [
        ("packages", "platformSpecific", platform, "resolution", "onlyBinaryList"),
        ("packages", "resolution", "onlyBinaryList"),
    ]
    for home in homes:
        here = document
        for step in home:
            here = here.get(step) if isinstance(here, dict) else None
        for index, item in enumerate(here if isinstance(here, list) else ()):
            if isinstance(item, str) and canonicalize_name(item) == name:
                return (*home, index)
    return None


def _files(environment: Environment, workspace: Workspace) -> Iterator[tuple[str, Any]]:
    for file in (_own(environment), SHARED):
        if file in workspace.findings.documents:
            yield file, workspace.findings.documents[file]


def _unlisted(environment: Environment) -> Iterator[Problem]:
    """Platforms that the environment's own file names and its package.json does not list."""
    own, listed = environment.own, set(environment.package.platforms)
    if own is None:
        return
    places: list[tuple[KeyPath, Collection[str]]] = [
        (("packages", "platformSpecific"), own.packages.platform_specific),
        (("python", "archives"), own.python.archives or ()),
    ]
    for key, attribute in _BY_PLATFORM.items():
        for name, platforms in getattr(own.packages, attribute).items():
            places.append((("packages", key, name), platforms))
    for name, consumer in own.consumers.items():
        places.append((("consumers", name, "platforms"), consumer.platforms or ()))
    for path, platforms in places:
        for index, platform in enumerate(platforms):
            if platform not in listed:
                step = platform if isinstance(platforms, Mapping) else index
                yield Problem(_own(environment), (*path, step), f"{PACKAGE} does not list `{platform}` in `roots`")


def _skipped_everywhere(environment: Environment, workspace: Workspace) -> Iterator[Problem]:
    """A root that is in no bundle is no root; told where the root stands, if the environment's file says it."""
    own = environment.own
    if own is None:
        return
    for path, root in _roots(own):
        name = root_name(root)
        if name is None:
            continue
        where = [path[2]] if path[1] == "platformSpecific" else [p.key for p in environment.platforms()]
        skipped = environment.config.packages.skip.get(name, {})
        if where and all(platform in skipped for platform in where):
            every = f"on {where[0]}" if len(where) == 1 else f"on all {len(where)} platforms"
            place = _written_place(workspace.findings.documents.get(_own(environment)), path, root)
            yield Problem(_own(environment), place, f"`{root}` is skipped {every}: take it out, or its `skip` entry")


def _shared_roots_skipped(workspace: Workspace) -> Iterator[Problem]:
    """Roots of the shared file that every environment which takes them skips on all its platforms."""
    for path, root in _roots(workspace.shared):
        name = root_name(root)
        takers = [
            (e, [path[2]] if path[1] == "platformSpecific" else list(e.package.platforms))
            for e in workspace.environments
            if path[1] == "platformSpecific" or e.own is None or e.own.packages.dependencies is None
        ]
        pairs = [(e, platform) for e, platforms in takers for platform in platforms if platform in e.package.platforms]
        if name and pairs and all(platform in e.config.packages.skip.get(name, {}) for e, platform in pairs):
            place = _written_place(workspace.findings.documents.get(SHARED), path, root)
            yield Problem(SHARED, place, f"`{root}` is skipped on all platforms of every environment: take it out")


def _roots(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield (path of the list, root) of a file as written."""
    for root in config.packages.dependencies or ():
        yield ("packages", "dependencies"), root
    for platform, part in config.packages.platform_specific.items():
        for root in part.dependencies or ():
            yield ("packages", "platformSpecific", platform, "dependencies"), root


def _written_place(document: Any, path: tuple[str, ...], root: str) -> KeyPath:
    """The item of a list that a root was read from: blank and repeated ones have been dropped since."""
    here = document
    for step in path:
        here = here.get(step) if isinstance(here, dict) else None
    for index, item in enumerate(here if isinstance(here, list) else ()):
        if isinstance(item, str) and item.strip() == root:
            return (*path, index)
    return path


def _package(environment: Environment, pattern: str | None) -> Iterator[Problem]:
    """An environment's npm name and Python version go with its folder."""
    file, package, full = f"{environment.folder.name}/{PACKAGE}", environment.package, environment.full_version
    in_folder = full.partition("-")[0]
    if re.fullmatch(r"3\.\d+\.\d+", in_folder) and environment.python_version != in_folder:
        text = f"is `{environment.python_version}`, and the folder's name says `{in_folder}`"
        yield Problem(file, (*_ARTIFACT, "python-version"), text)
    if prefix_of(environment) is None:
        expected = f", expected `{pattern}{full}`" if pattern else ""
        yield Problem(file, ("name",), f"`{package.name}` does not end in the folder's version `{full}`{expected}")
