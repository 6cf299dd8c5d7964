"""The files of a new environment, as text: package.json, config.json and README.md, after the others of the workspace."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from packaging.utils import canonicalize_name

from pyrunenv.config.document import Document
from pyrunenv.config.problems import KeyPath
from pyrunenv.config.workspace import OWN, PACKAGE, PREFIX, SHARED

if TYPE_CHECKING:
    from pyrunenv.config.workspace import Environment, Workspace

ENTRIES: KeyPath = ("block-software", "entrypoints")
ARTIFACT: KeyPath = (*ENTRIES, "main", "environment", "artifact")
_T = TypeVar("_T")


def copied_package(source: Environment, full_version: str, python_version: str) -> Document:
    """The source's package.json with all that it says, but for where it names its own versions and folder."""
    document = Document((source.folder / PACKAGE).read_bytes())
    if source.package.description:
        text = _renamed(source.package.description, source, full_version, python_version)
        document = document.set(("description",), text)
    repository = source.package.raw.get("repository")
    directory = repository.get("directory") if isinstance(repository, dict) else None
    if isinstance(directory, str) and directory.rstrip("/").endswith(source.folder.name):
        moved = directory.rstrip("/").removesuffix(source.folder.name) + f"{PREFIX}{full_version}"
        document = document.set(("repository", "directory"), moved)
    return document


def _renamed(text: str, source: Environment, full_version: str, python_version: str) -> str:
    """A sentence about one environment as one about another: full versions and bare Python versions are replaced."""
    for old, new in ((source.full_version, full_version), (source.python_version, python_version)):
        text, count = re.subn(rf"(?<![\w.-]){re.escape(old)}(?![\w-]|\.\w)", new, text)
        if count:
            break
    return text


def fresh_package(workspace: Workspace, full_version: str, said: list[str]) -> Document:
    """A package.json with what all others agree on, and the registry and binDir that most have."""
    others = [environment.package for environment in workspace.environments]
    artifacts = [_at(package.raw, ARTIFACT) for package in others]
    value: dict[str, Any] = {
        "name": "",
        "version": "",
        "description": f"Python {full_version} run environment for Platforma Backend",
        "files": ["dist/"],
    }
    for key, item in others[-1].raw.items() if others else ():
        if key not in ("name", "version", "description", "block-software") and all(
            package.raw.get(key) == item for package in others
        ):
            value[key] = item
    registry = most(json.dumps(artifact["registry"], sort_keys=True) for artifact in artifacts)
    if registry is None:
        registry = '"platforma-open"'
        said.append(f"its registry is `platforma-open`: change it in {PACKAGE} where that is wrong")
    software: dict[str, Any] = {"entrypoints": {"main": {"environment": {"artifact": {
        "type": "environment", "runtime": "python", "registry": json.loads(registry), "python-version": "", "roots": {},
        "binDir": most(package.bin_dir for package in others) or "bin",
    }}}}}  # fmt: skip
    for package, artifact in zip(others, artifacts, strict=True):
        # where the registry is a name, its addresses may stand beside the entry points
        if artifact["registry"] == json.loads(registry) and "registries" in package.raw["block-software"]:
            software["registries"] = package.raw["block-software"]["registries"]
            break
    return Document((json.dumps({**value, "block-software": software}, indent=2, ensure_ascii=False) + "\n").encode())


def config(
    workspace: Workspace, source: Environment | None, said: list[str], platforms: Iterable[str] | None = None
) -> bytes:
    """The source's own config.json, letter by letter but for entries of platforms that are not among ``platforms``.

    Without a source it is one without roots of its own.
    """
    if source is not None and source.own is not None:
        document = Document((source.folder / OWN).read_bytes())
        return document.content if platforms is None else _for_platforms(document, set(platforms), workspace)
    value: dict[str, Any] = {}
    schemas = {e.own.schema_uri for e in workspace.environments if e.own is not None}
    if len(schemas) == 1 and (schema := schemas.pop()) is not None:
        value["$schema"] = schema
    if shared := workspace.shared.packages.dependencies:
        said.append(f"it has the {len(shared)} roots of {SHARED}, until it gets a list of its own")
        value["packages"] = {}
    else:
        value["packages"] = {"dependencies": []}
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _for_platforms(document: Document, listed: set[str], workspace: Workspace) -> bytes:
    packages = document.value.get("packages") or {}
    shared = workspace.shared.packages
    for key, also in (("skip", shared.skip), ("forceSource", shared.force_source), ("buildWheel", shared.build_wheel)):
        for name, entry in (packages.get(key) or {}).items():
            others = [platform for platform in entry if platform not in listed]
            gone: list[KeyPath] = [("packages", key, name, platform) for platform in others]
            # an empty entry takes a shared one back, and must stay for that
            whole = others and len(others) == len(entry) and canonicalize_name(name) not in also
            for path in [("packages", key, name)] if whole else gone:
                document = document.remove(path)
    for platform in [p for p in packages.get("platformSpecific") or {} if p not in listed]:
        document = document.remove(("packages", "platformSpecific", platform))
    return document.content


def readme(full_version: str, description: str) -> str:
    return f"""# Python {full_version}

{(description or f"Python {full_version} run environment").rstrip(".")}.

`config.json` has the roots, `pylock.<platform>.toml` what they come to: `pyrunenv tree {full_version}`.
"""


def most(values: Iterable[_T]) -> _T | None:
    """The value that stands most often, of equals the first."""
    found = Counter(values).most_common(1)
    return found[0][0] if found else None


def _at(value: Mapping[str, Any], path: KeyPath) -> Any:
    here: Any = value
    for step in path:
        here = here[step]
    return here
