"""Where an archive comes from: an in-toto statement with SLSA's provenance (https://slsa.dev/spec/v1.0/provenance)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pyrunenv import process
from pyrunenv.errors import ProcessFailed
from pyrunenv.publish.statement import STATEMENT
from pyrunenv.secrets import strip_credentials

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:pyrunenv:build:v1"


def provenance(
    manifest: Mapping[str, Any], address: str, lock_sha256: str, workspace: Path, env: Mapping[str, str] = os.environ
) -> bytes:
    """Return the statement of an archive at an address, as canonical JSON.

    Outside of a CI system the same archive has the same bytes of it: no time, no path and no name of the machine.
    """
    inputs = manifest["inputs"]
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "environment": manifest["environment"], "platform": manifest["platform"], "package": manifest["package"],
        },
        "internalParameters": {"floors": manifest["floors"], "recipe": inputs["recipe"]},
        "resolvedDependencies": [
            {"name": f"pylock.{manifest['platform']}.toml", "digest": {"sha256": lock_sha256}},
            *_source(workspace), *_interpreter(manifest["interpreter"]), *_wheels(manifest["wheels"]),
        ],
    }  # fmt: skip
    details: dict[str, Any] = {"builder": {"id": "urn:pyrunenv", "version": {"pyrunenv": version("pyrunenv")}}}
    if run := _run(env):
        details["metadata"] = {"invocationId": run}
    value = {
        "_type": STATEMENT,
        "subject": [{"name": address, "digest": {"sha256": manifest["archive"]["sha256"]}}],
        "predicateType": PREDICATE,
        "predicate": {"buildDefinition": definition, "runDetails": details},
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _interpreter(told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    found: dict[str, Any] = {"name": f"cpython-{told['version']}", "digest": {"sha256": told["sha256"] or told["tree"]}}
    yield {**found, "uri": told["url"]} if told["url"] else found


def _wheels(wheels: list[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for wheel in wheels:
        name = f"pkg:pypi/{wheel['name']}@{wheel['version']}?file_name={wheel['file']}"
        yield {"uri": name, "digest": {"sha256": wheel["sha256"]}}
        source = wheel.get("builtFrom")
        if source and source["kind"] == "git":
            yield {"uri": f"git+{source['url']}@{source['commit']}", "digest": {"gitCommit": source["commit"]}}
        elif source:
            yield {"uri": source["url"], "digest": {"sha256": source["sha256"]}}


@cache
def _source(workspace: Path) -> tuple[dict[str, Any], ...]:
    """The workspace's own commit, where it is a checkout without changes."""

    def git(*words: str) -> str:
        return process.run(["git", "-C", workspace, *words]).stdout.strip()

    try:
        if git("status", "--porcelain", "--untracked-files=no", "--", "."):
            return ()
        commit, remote = git("rev-parse", "HEAD"), git("config", "--get", "remote.origin.url")
    except ProcessFailed:
        return ()
    if "://" not in remote or remote.startswith("file:"):
        return ()
    return ({"uri": f"git+{strip_credentials(remote)}@{commit}", "digest": {"gitCommit": commit}},)


def _run(env: Mapping[str, str]) -> str | None:
    """The page of the CI run that publishes."""
    if env.get("GITHUB_ACTIONS") == "true" and env.get("GITHUB_RUN_ID"):
        repository = f"{env.get('GITHUB_SERVER_URL', '')}/{env.get('GITHUB_REPOSITORY', '')}"
        return f"{repository}/actions/runs/{env['GITHUB_RUN_ID']}/attempts/{env.get('GITHUB_RUN_ATTEMPT', '1')}"
    return env.get("CI_JOB_URL") or env.get("BUILD_URL")
