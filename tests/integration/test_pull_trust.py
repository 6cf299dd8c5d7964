"""Trusting what is read as files of the web, or is one archive alone, and not through a storage."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from support.product import VERSION, Result, World, make_world

PLATFORM = "linux-x64"
NAME = f"@test/test.runenv-python-{VERSION}"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Signed:
    """An environment that was published with a signature into a folder, which a web server serves."""

    world: World
    storage: Path
    url: str
    public: Path

    @property
    def archive(self) -> Path:
        (found,) = self.storage.rglob("*.tgz")
        return found

    def pull(self, asked: str, source: str, to: Path) -> Result:
        words = ("--platform", PLATFORM, "--from", source, "--trust", str(self.public), "--to", str(to))
        return self.world.run("pull", asked, *words)


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[Signed]:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "key.pem").chmod(0o600)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    storage = tmp_path / "storage"
    environments = {VERSION: {"packages": {"dependencies": ["native"]}}}
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(storage)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with make_world(tmp_path / "world", environments, platforms=(PLATFORM,), small=True) as world:
        assert world.run("build", "--platform", PLATFORM).status == 0
        done = world.run("publish", "--storage-url", storage.as_uri(), "--sign", str(tmp_path / "key.pem"))
        assert (done.status, done.stderr) == (0, "")
        yield Signed(world, storage, f"http://127.0.0.1:{server.server_port}", tmp_path / "public.pem")
    server.shutdown()
    server.server_close()


def test_a_signature_is_the_same_bytes_over_the_web(signed: Signed, tmp_path: Path) -> None:
    """A release, an archive's URL and its file: all are trusted, and none any more once a bit of the signature differs."""
    address = signed.archive.relative_to(signed.storage).as_posix()
    asked = ((f"{NAME}@1.0.0", signed.url), (VERSION, f"{signed.url}/{address}"), (VERSION, str(signed.archive)))
    for number, (name, source) in enumerate(asked):
        done = signed.pull(name, source, tmp_path / str(number))
        assert done.status == 0, done.stderr
    signature = Path(f"{signed.archive}.statement.sig")
    content = signature.read_bytes()
    signature.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for name, source in asked:
        refused = signed.pull(name, source, tmp_path / "refused")
        assert (refused.status, "is not signed by the key that is trusted" in refused.stderr) == (12, True)
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("source", [lambda s: str(s.archive), lambda s: f"{s.url}/{s.archive.relative_to(s.storage)}"])
def test_a_manifest_beside_a_signed_archive_is_the_signed_one(
    signed: Signed, tmp_path: Path, source: Callable[[Signed], str]
) -> None:
    """It tells which environment an archive is: one that says another does not pass with the archive's signature."""
    path = Path(f"{signed.archive}.manifest.json")
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps({**manifest, "environment": f"{VERSION}-other"}), encoding="utf-8")
    refused = signed.pull(f"{VERSION}-other", source(signed), tmp_path / "out")
    assert (refused.status, "manifest.json that its sha256 is" in refused.stderr) == (12, True)
    assert not (tmp_path / "out").exists()
