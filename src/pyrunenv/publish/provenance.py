"""Where an archive comes from: an in-toto statement with SLSA's provenance (https://slsa.dev/spec/v1.0/provenance)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pyrunenv import process
from pyrunenv.errors import ProcessFailed
from pyrunenv.publish.purls import git_uri, wheel_purl
from pyrunenv.publish.statement import STATEMENT
from pyrunenv.secrets import strip_credentials

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:pyrunenv:build:v1"
# user@host:path, and no drive of Windows
_SCP = re.compile(r"(?:[^@/\s]+@)?(?P<host>[\w.-]{2,}):(?!//)/?(?P<path>\S+)")


def provenance(
    manifest: Mapping[str, Any], address: str, lock_sha256: str, workspace: Path, env: Mapping[str, str] = os.environ
) -> bytes:
    """Return the statement of an archive at an address, as canonical JSON.

    Outside of a CI system the same archive has the same bytes of it: no time, no path and no name of the machine.
    """
    inputs, lock = manifest["inputs"], f"pylock.{manifest['platform']}.toml"
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "environment": manifest["environment"], "platform": manifest["platform"], "package": manifest["package"],
        },
        "internalParameters": {"floors": manifest["floors"], "recipe": inputs["recipe"]},
        "resolvedDependencies": [
            {"name": lock, "digest": {"sha256": lock_sha256}},
            *_source(workspace, manifest["environment"], lock),
            *_interpreter(manifest["interpreter"]), *_wheels(manifest["wheels"]),
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
        yield {"uri": wheel_purl(wheel).to_string(), "digest": {"sha256": wheel["sha256"]}}
        source = wheel.get("builtFrom")
        if source and source["kind"] == "git":
            yield {"uri": git_uri(source["url"], source["commit"]), "digest": {"gitCommit": source["commit"]}}
        elif source:
            yield {"uri": source["url"], "digest": {"sha256": source["sha256"]}}


@cache
def _source(workspace: Path, environment: str, lock: str) -> tuple[dict[str, Any], ...]:
    """The workspace's own commit, where it is a checkout without changes that holds the environment."""

    def git(*words: str) -> str:
        return process.run(["git", "-C", workspace, *words]).stdout.strip()

    folder = f"python-{environment}"
    try:
        if git("status", "--porcelain", "--untracked-files=no", "--", "."):
            return ()
        git("ls-files", "--error-unmatch", "--", f"{folder}/{lock}", f"{folder}/package.json")
        commit, remote = git("rev-parse", "HEAD"), _remote(git("config", "--get", "remote.origin.url"))
    except ProcessFailed:
        return ()
    return ({"uri": git_uri(remote, commit), "digest": {"gitCommit": commit}},) if remote else ()


def _remote(url: str) -> str | None:
    """A remote's URL without a login; None for a folder of this machine."""
    if short := _SCP.fullmatch(url):
        return f"ssh://{short['host']}/{short['path']}"
    return strip_credentials(url) if "://" in url and not url.startswith("file:") else None


def _run(env: Mapping[str, str]) -> str | None:
    """The page of the CI run that publishes."""
    if env.get("GITHUB_ACTIONS") == "true" and env.get("GITHUB_RUN_ID"):
        repository = f"{env.get('GITHUB_SERVER_URL', 'https://github.com')}/{env.get('GITHUB_REPOSITORY', '')}"
        return f"{repository}/actions/runs/{env['GITHUB_RUN_ID']}/attempts/{env.get('GITHUB_RUN_ATTEMPT', '1')}"
    return strip_credentials(env.get("CI_JOB_URL") or env.get("BUILD_URL") or "") or None
