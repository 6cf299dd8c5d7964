"""Makes workspaces for tests, their package.json in the form of the contract's golden examples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ALL_PLATFORMS = ("linux-x64", "linux-aarch64", "macosx-x64", "macosx-aarch64", "windows-x64")


def package_json(
    full_version: str,
    *,
    platforms: Sequence[str] = ALL_PLATFORMS,
    scope: str = "@test",
    registry: str | dict[str, str] = "platforma-open",
    version: str = "1.0.0",
    **artifact: Any,
) -> dict[str, Any]:
    """Return an environment's package.json; ``artifact`` adds or replaces keys of the artefact object."""
    name = f"test.runenv-python-{full_version}"
    return {
        "name": f"{scope}/{name}" if scope else name,
        "version": version,
        "description": f"Python {full_version} run environment for Platforma Backend",
        "files": ["dist/"],
        "block-software": {
            "entrypoints": {
                "main": {
                    "environment": {
                        "artifact": {
                            "type": "environment",
                            "runtime": "python",
                            "registry": registry,
                            "python-version": full_version.partition("-")[0],
                            "roots": {platform: f"./pydist/{platform}" for platform in platforms},
                            "binDir": "bin",
                            **artifact,
                        }
                    }
                }
            }
        },
    }


def catalogue_json(packages: Mapping[str, Mapping[str, Any]], *, scope: str = "@test") -> dict[str, Any]:
    """Return the package.json of a catalogue that lists environments by full version."""
    return {
        "name": f"{scope}/test.runenv-python-3" if scope else "test.runenv-python-3",
        "version": "1.0.0",
        "description": "Python 3 run environments for Platforma Backend",
        "files": ["dist/"],
        "block-software": {
            "entrypoints": {
                full: {"reference": f"{package['name']}/dist/tengo/software/main.sw.json"}
                for full, package in packages.items()
            }
        },
        "dependencies": {package["name"]: package["version"] for package in packages.values()},
    }


def write_json(path: Path, value: Any) -> Path:
    """Write a JSON file with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def make_workspace(
    root: Path,
    shared: dict[str, Any],
    environments: Mapping[str, dict[str, Any] | None],
    *,
    platforms: Sequence[str] = ALL_PLATFORMS,
    scope: str = "@test",
    registry: str | dict[str, str] = "platforma-open",
    catalogue: bool = False,
) -> Path:
    """Write a workspace and return its root; an environment of None gets no config.json."""
    write_json(root / "shared-config.json", shared)
    packages = {}
    for full, own in environments.items():
        folder = root / f"python-{full}"
        packages[full] = package_json(full, platforms=platforms, scope=scope, registry=registry)
        write_json(folder / "package.json", packages[full])
        if own is not None:
            write_json(folder / "config.json", own)
    if catalogue:
        write_json(root / "catalogue" / "package.json", catalogue_json(packages, scope=scope))
    return root
