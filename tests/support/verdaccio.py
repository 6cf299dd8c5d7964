"""A real npm registry on loopback: verdaccio, installed once for all runs of the tests."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pytest
import requests
from filelock import FileLock

# The second is the last that starts on Node.js 20.
_VERSION, _FOR_NODE_20 = "6.10.4", "6.8.0"
_STARTS, _PATIENCE = 3, 60.0


@dataclass(frozen=True)
class Verdaccio:
    """A registry at ``url``, and a token of a user who may publish there."""

    url: str
    token: str


def installed() -> Path:
    """Return the folder that verdaccio is installed in; skips the test where it cannot be."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on this machine")
    node = subprocess.run(["node", "--version"], check=True, capture_output=True, encoding="ascii").stdout
    version = _VERSION if int(node.lstrip("v").partition(".")[0]) >= 22 else _FOR_NODE_20
    home = platformdirs.user_cache_path("pyrunenv-tests")
    home.mkdir(parents=True, exist_ok=True)
    place = home / f"verdaccio-{version}"
    with FileLock(home / f"verdaccio-{version}.lock"):
        if not (place / "whole").is_file():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            _install(place, version)
            (place / "whole").touch()
    return place


def _install(folder: Path, version: str) -> None:
    # its alias `node-fetch@cjs` names a tag, which not every mirror has
    package = {"private": True, "dependencies": {"verdaccio": version}, "overrides": {"node-fetch": "2.7.0"}}
    (folder / "package.json").write_text(json.dumps(package))
    try:
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
            cwd=folder, capture_output=True, encoding="utf-8", errors="replace", timeout=600,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip("verdaccio cannot be installed: npm takes more than ten minutes")
    if done.returncode:
        pytest.skip(f"verdaccio cannot be installed: {done.stderr[-500:]}")


@contextmanager
def verdaccio(folder: Path) -> Iterator[Verdaccio]:
    """Run a registry that knows no other, with its storage in ``folder``, for as long as the block lasts."""
    program = installed() / "node_modules/verdaccio/bin/verdaccio"
    config = {
        "storage": str(folder / "storage"),
        "auth": {"htpasswd": {"file": str(folder / "htpasswd")}},
        "uplinks": {},
        "packages": {"**": {"access": "$all", "publish": "$authenticated"}},
        "web": {"enable": False},
        "log": {"type": "stdout", "level": "warn"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    for _ in range(_STARTS):
        with socket.socket() as claimed:
            claimed.bind(("127.0.0.1", 0))
            port = claimed.getsockname()[1]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["node", str(program), "--config", str(folder / "config.yaml"), "--listen", f"127.0.0.1:{port}"],
                cwd=folder, env={**os.environ, "HOME": str(folder)}, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            if _answers(process, f"http://127.0.0.1:{port}/"):
                yield Verdaccio(f"http://127.0.0.1:{port}/", _token(f"http://127.0.0.1:{port}/"))
                return
        finally:
            process.terminate()
            process.wait(30)
    pytest.fail(f"verdaccio does not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            if requests.get(f"{url}-/ping", timeout=5).ok:
                return True
        except requests.ConnectionError:
            time.sleep(0.1)
    return False


def _token(url: str) -> str:
    user = {"name": "publisher", "password": "not-to-be-seen-9876"}
    reply = requests.put(f"{url}-/user/org.couchdb.user:publisher", json=user, timeout=60)
    assert reply.status_code == 201, reply.text
    token: str = reply.json()["token"]
    return token
