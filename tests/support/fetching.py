"""What tests of downloads and of the cache share."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pyrunenv.fetch.cache import Cache
from pyrunenv.fetch.download import Download

_STEERING = ("_PROXY", "_proxy", "_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC", "PYRUNENV_CACHE")


def clean_environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Take away what a shell or CI may have set and would steer downloads: proxies, certificates, logins."""
    for name in list(os.environ):
        if name.endswith(_STEERING) or name.startswith(("UV_", "PIP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))


def put(cache: Cache, content: bytes) -> str:
    """Bring content into the cache as a download does."""
    sha256 = hashlib.sha256(content).hexdigest()
    with cache.temporary(".part") as path:
        path.write_bytes(content)
        cache.adopt(path, sha256)
    return sha256


def damage(cache: Cache, sha256: str, content: bytes) -> None:
    """Change a blob behind the cache's back."""
    path = cache.blob(sha256)
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


def download_of(url: str, path: Path, *, sized: bool = True) -> Download:
    """Describe a file that a server serves as a lock would."""
    content = path.read_bytes()
    return Download(url, hashlib.sha256(content).hexdigest(), len(content) if sized else None, path.name)


def only_sound_blobs(cache: Cache) -> list[str]:
    """Return the names of all blobs after checking each against its digest."""
    paths = [path for path in cache.blobs.rglob("*") if path.is_file()]
    for path in paths:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    return sorted(path.name for path in paths)
