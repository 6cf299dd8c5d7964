"""Reads and writes a lock as ``pylock.<platform>.toml`` (PEP 751), our own facts under ``[tool.pyrunenv]``.

Groups are dependency groups of the standard: an entry that not all groups share carries a marker that lists its groups, so
that packaging, uv and pip can each install any one group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import tomli  # compiled: three times as fast as tomllib, and `list` reads every lock

from pyrunenv.errors import LockFormat
from pyrunenv.lock.model import (
    Eviction,
    Floors,
    Lock,
    LockedBuild,
    LockedInterpreter,
    LockedPackage,
    LockedRoot,
    LockedSource,
    LockedWheel,
    MissingRoot,
)
from pyrunenv.platforms import PLATFORMS

FORMAT = 1
_T = TypeVar("_T")
_HEADER = "# locked by pyrunenv; commit this file, and change it with `pyrunenv lock`\n"


def lock_path(folder: Path, platform: str) -> Path:
    """Where the lock of a platform lies in an environment's folder."""
    return folder / f"pylock.{platform}.toml"


def render(lock: Lock) -> str:
    """Return the file's text: stable, with one line for each thing that may change alone."""
    import tomli_w

    document = {
        "lock-version": "1.0",
        "environments": [_environment_marker(lock.platform)],
        "requires-python": f"=={'.'.join(lock.python_version.split('.')[:2])}.*",
        "dependency-groups": list(lock.groups),
        "default-groups": list(lock.groups[:1]),
        "created-by": "pyrunenv",
        "packages": [_package_table(package, lock.groups) for package in lock.packages],
        "tool": {"pyrunenv": _own_facts(lock)},
    }
    return _HEADER + tomli_w.dumps(document)


def parse(text: str, path: Path) -> Lock:
    """Read a lock; raises LockFormat where it is not one of ours, or not valid by the standard."""
    return _parsed(text, path, _lock)


@dataclass(frozen=True)
class Outline:
    """What a lock comes to, which is read faster than all of it: its digest, counts, and the bytes of its wheels."""

    digest: str
    roots: int
    groups: int
    wheels: int
    to_build: int
    missing: int
    wheel_bytes: int


def outline(folder: Path, platform: str) -> Outline | None:
    """Return the outline of a platform's lock, or None where there is no file; raises LockFormat as :func:`read` does."""
    path = lock_path(folder, platform)
    text = _text(path)
    return None if text is None else _parsed(text, path, _outline)


def _parsed(text: str, path: Path, form: Callable[[Mapping[str, Any], Mapping[str, Any]], _T]) -> _T:
    try:
        document = tomli.loads(text)
        own = document["tool"]["pyrunenv"]
        if own["format"] != FORMAT:
            raise LockFormat(f"{path} has the format {own['format']}, this pyrunenv reads {FORMAT}", hint=_RELOCK)
        return form(document, own)
    except (tomli.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise LockFormat(f"{path} cannot be read as a lock", notes=[reason], hint=_RELOCK) from error


_RELOCK = "restore the file from version control, or remove it and run `pyrunenv lock`"


def read(folder: Path, platform: str) -> Lock | None:
    """Return the lock of a platform, or None where there is no file."""
    path = lock_path(folder, platform)
    text = _text(path)
    return None if text is None else parse(text, path)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LockFormat(f"{path} cannot be read", notes=[str(error)], hint=_RELOCK) from error


def _environment_marker(platform: str) -> str:
    markers = PLATFORMS[platform].markers
    return f"sys_platform == '{markers['sys_platform']}' and platform_machine == '{markers['platform_machine']}'"


def _package_table(package: LockedPackage, groups: Sequence[str]) -> dict[str, Any]:
    table: dict[str, Any] = {"name": package.name, "version": package.version}
    if set(package.groups) != set(groups):
        table["marker"] = " or ".join(f"'{group}' in dependency_groups" for group in package.groups)
    if package.dependencies:
        table["dependencies"] = [{"name": name, "version": version} for name, version in package.dependencies]
    if package.index is not None:
        table["index"] = package.index
    if package.wheel is not None:
        file = _file_table(package.wheel, named=not package.direct)
        table.update({"archive": file} if package.direct else {"wheels": [file]})
    if package.source is not None:
        table.update(_source_table(package.source))
    if package.build is not None:
        build = package.build
        table["tool"] = {"pyrunenv": {"build": {
            "host": build.host,
            **({"compiler": build.compiler} if build.compiler else {}),
            "requires": [_file_table(wheel) for wheel in build.requires],
            "headers": [_file_table(wheel) for wheel in build.headers],
            **({"folder-sha256": package.source.sha256} if package.source and package.source.kind == "folder" else {}),
        }}}  # fmt: skip
    return table


def _file_table(file: LockedWheel | LockedSource, *, named: bool = True) -> dict[str, Any]:
    table: dict[str, Any] = {"name": file.filename, "url": file.url} if named else {"url": file.url}
    if file.upload_time is not None:
        from datetime import datetime

        table["upload-time"] = datetime.fromisoformat(file.upload_time)
    if file.size is not None:
        table["size"] = file.size
    table["hashes"] = {"sha256": file.sha256}
    return table


def _source_table(source: LockedSource) -> dict[str, Any]:
    below = {"subdirectory": source.subdirectory} if source.subdirectory else {}
    if source.kind == "git":
        revision = {"requested-revision": source.revision} if source.revision else {}
        return {"vcs": {"type": "git", "url": source.url, **revision, "commit-id": source.commit, **below}}
    if source.kind == "folder":
        return {"directory": {"path": source.url, **below}}
    if source.kind == "archive":
        return {"archive": {**_file_table(source, named=False), **below}}
    return {"sdist": _file_table(source)}


def _own_facts(lock: Lock) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "format": FORMAT,
        "environment": lock.environment,
        "platform": lock.platform,
        "python-version": lock.python_version,
        "digest": lock.digest,
        "inputs": dict(lock.inputs),
        "floors": {"glibc": lock.floors.glibc, "macos": lock.floors.macos},
        "interpreter": {k: v for k, v in vars(lock.interpreter).items() if v is not None},
        "skipped": dict(lock.skipped),
        "missing": [vars(root) for root in lock.missing],
        "roots": [_root_table(root) for root in lock.roots],
    }
    if lock.served_by:
        facts["served-by"] = {name: list(urls) for name, urls in lock.served_by.items()}
    if lock.exclude_newer:
        facts["exclude-newer"] = lock.exclude_newer
    return facts


def _root_table(root: LockedRoot) -> dict[str, Any]:
    table: dict[str, Any] = {"requirement": root.requirement, "name": root.name, "groups": list(root.groups)}
    if root.evictions:
        table["evicted"] = [{"from": eviction.group, "reason": eviction.reason} for eviction in root.evictions]
    if root.no_deps:
        table["no-deps"] = True
    if root.needs_no_deps:
        table["installs"] = "only with --no-deps"
    return table


def _lock(document: Mapping[str, Any], own: Mapping[str, Any]) -> Lock:
    groups = tuple(document["dependency-groups"])
    return Lock(
        environment=own["environment"],
        platform=own["platform"],
        python_version=own["python-version"],
        digest=own["digest"],
        inputs=dict(own["inputs"]),
        floors=Floors(**own["floors"]),
        interpreter=LockedInterpreter(**own["interpreter"]),
        groups=groups,
        packages=tuple(_read_packages(document["packages"], groups)),
        roots=tuple(_read_root(table) for table in own["roots"]),
        skipped=dict(own["skipped"]),
        missing=tuple(MissingRoot(**table) for table in own["missing"]),
        served_by={name: tuple(urls) for name, urls in own.get("served-by", {}).items()},
        exclude_newer=own.get("exclude-newer"),
    )


def _outline(document: Mapping[str, Any], own: Mapping[str, Any]) -> Outline:
    packages = document["packages"]
    wheels = [wheel for package in packages if (wheel := _wheel_of(package))]
    return Outline(
        own["digest"], len(own["roots"]), len(document["dependency-groups"]), len(packages), len(packages) - len(wheels),
        len(own["missing"]), sum(wheel.get("size") or 0 for wheel in wheels),
    )  # fmt: skip


def _wheel_of(table: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The wheel of an entry, which stands as an archive where a root named it by URL; none of what is to be built."""
    if "archive" in table and _build_of(table) is None:
        return cast(Mapping[str, Any], table["archive"])
    return table["wheels"][0] if "wheels" in table else None


def _build_of(table: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any] | None", table.get("tool", {}).get("pyrunenv", {}).get("build"))


def _read_packages(tables: Iterable[Mapping[str, Any]], groups: Sequence[str]) -> Iterable[LockedPackage]:
    for table in tables:
        build, wheel = _build_of(table), _wheel_of(table)
        direct = "archive" in table and build is None
        yield LockedPackage(
            name=table["name"],
            version=table["version"],
            wheel=_read_wheel(wheel) if wheel else None,
            source=None if wheel else _read_source(table, build or {}),
            build=_read_build(build) if build else None,
            index=table.get("index"),
            dependencies=tuple((entry["name"], entry["version"]) for entry in table.get("dependencies", ())),
            groups=_marked_groups(table.get("marker"), groups),
            direct=direct,
        )


def _read_wheel(table: Mapping[str, Any]) -> LockedWheel:
    from pyrunenv.lock.answers import root_file_name

    name = table.get("name") or root_file_name(table["url"])
    return LockedWheel(name, table["url"], table["hashes"]["sha256"], table.get("size"), _read_time(table))


def _read_source(table: Mapping[str, Any], build: Mapping[str, Any]) -> LockedSource:
    if vcs := table.get("vcs"):
        return LockedSource("git", vcs["url"], commit=vcs["commit-id"], revision=vcs.get("requested-revision"),
                            subdirectory=vcs.get("subdirectory"))  # fmt: skip
    if folder := table.get("directory"):
        return LockedSource(
            "folder", folder["path"], sha256=build["folder-sha256"], subdirectory=folder.get("subdirectory")
        )
    file = _read_wheel(table["archive"] if "archive" in table else table["sdist"])
    return LockedSource(
        "archive" if "archive" in table else "sdist", file.url, file.filename, file.sha256, file.size, file.upload_time,
        subdirectory=table.get("archive", {}).get("subdirectory"),
    )  # fmt: skip


def _read_build(table: Mapping[str, Any]) -> LockedBuild:
    requires, headers = (tuple(map(_read_wheel, table[key])) for key in ("requires", "headers"))
    return LockedBuild(table["host"], requires, headers, table.get("compiler"))


def _read_time(table: Mapping[str, Any]) -> str | None:
    uploaded = table.get("upload-time")
    return uploaded.isoformat().replace("+00:00", "Z") if uploaded else None


def _marked_groups(marker: str | None, groups: Sequence[str]) -> tuple[str, ...]:
    """Read back the groups of a marker that :func:`_package_table` wrote."""
    if marker is None:
        return tuple(groups)
    named = set(marker.split("'")[1::2])
    return tuple(group for group in groups if group in named)


def _read_root(table: Mapping[str, Any]) -> LockedRoot:
    return LockedRoot(
        requirement=table["requirement"],
        name=table["name"],
        groups=tuple(table["groups"]),
        evictions=tuple(Eviction(entry["from"], entry["reason"]) for entry in table.get("evicted", ())),
        no_deps=table.get("no-deps", False),
        needs_no_deps="installs" in table,
    )
