"""Storages that tests publish to: a real S3 server on loopback (moto's), folders; and what a client sees of them."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from pyrunenv.publish.storage import Storage
from pyrunenv.publish.stores import open_storage
from support.product import VERSION, Result, World, make_world
from support.workspaces import write_json

BUCKET = "environments"
LOGIN = {
    "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "not-to-be-seen-0123456789",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_CONFIG_FILE": "/nowhere",
}  # fmt: skip


VARIANT = f"{VERSION}-old"
NAME = f"@test/test.runenv-python-{VERSION}"
CATALOGUE = "@test/test.runenv-python-3"
MAIN = f"software/test/test.runenv-python-{VERSION}/main"


@contextmanager
def built_world(folder: Path) -> Iterator[World]:
    """Two environments, built for all platforms, and a catalogue."""
    configs: dict[str, Any] = {
        VERSION: {"packages": {"dependencies": ["native", "pure==2.0"]}},
        VARIANT: {"packages": {"dependencies": ["old-pure"]}},
    }
    with make_world(folder, configs, catalogue=True, small=True) as world:
        result = world.run("build", "--all-platforms")
        assert result.status == 0, result.stderr
        yield world


class Place:
    """A workspace of its own with what was built, and a storage of its own."""

    def __init__(self, built: World, folder: Path, url: str, env: Mapping[str, str]) -> None:
        shutil.copytree(built.root, folder / "workspace", symlinks=True)
        self.world = World(folder, built.index, folder / "workspace", built.cache, built.archives, dict(env))
        self.url = url
        self.storage: Storage = storage(url or folder.as_uri())

    def publish(self, *words: str, env: Mapping[str, str] | None = None) -> Result:
        return self.world.run("publish", "--storage-url", self.url, *words, env=env)

    def catalogue(self) -> dict[str, Any] | None:
        return newest(self.storage, CATALOGUE)

    def edit(self, file: str, change: Any) -> None:
        path = self.world.root / file
        value = json.loads(path.read_text(encoding="utf-8"))
        change(value)
        write_json(path, value)


@dataclass(frozen=True)
class S3:
    """A server with one bucket. ``env`` is what a client needs to get in."""

    port: int
    env: Mapping[str, str]

    def url(self, prefix: str) -> str:
        """The storage below a prefix of the bucket."""
        return f"s3e://127.0.0.1:{self.port}/{BUCKET}/{prefix}?region=eu-central-1&scheme=http"


@contextmanager
def s3_server() -> Iterator[S3]:
    """Run an S3 server for as long as the block lasts."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        port = server.get_host_and_port()[1]
        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
            aws_access_key_id=LOGIN["AWS_ACCESS_KEY_ID"], aws_secret_access_key=LOGIN["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip
        client.create_bucket(Bucket=BUCKET)
        client.close()
        with _uploads_of_today():
            yield S3(port, LOGIN)
    finally:
        server.stop()


def _uploads_of_today() -> AbstractContextManager[object]:
    """moto says of every upload that it began in 2010: a run that sweeps old ones would end those of its rival."""
    from moto.s3.responses import S3Response

    listed = S3Response.list_multipart_uploads
    today = datetime.now(UTC).strftime("<Initiated>%Y-%m-%dT%H:%M:%S.000Z</Initiated>")

    def dated(self: S3Response) -> Any:
        status, headers, body = listed(self)
        return status, headers, re.sub("<Initiated>.*?</Initiated>", today, str(body))

    return mock.patch.object(S3Response, "list_multipart_uploads", dated)


def storage(url: str, env: Mapping[str, str] | None = None) -> Storage:
    """Open a storage as a client with this environment does."""
    with mock.patch.dict(os.environ, {**LOGIN, **(env or {})}):
        return open_storage(url)


def newest(held: Storage, name: str) -> dict[str, Any] | None:
    """The newest catalogue that a client finds; None where there is none."""
    found = held.read(f"catalogue/{name.removeprefix('@')}/latest.json")
    return json.loads(found.content) if found else None


def unsound(held: Storage, catalogue: Mapping[str, Any]) -> list[str]:
    """What a catalogue names and is not there, or has other bytes than it says."""
    wrong = []
    for release in catalogue["entrypoints"].values():
        for archive in release["archives"].values():
            for file in (archive, archive["manifest"]):
                size = held.size(file["address"])
                if size is None:
                    wrong.append(f"{file['address']} is not there")
                elif size != file["size"] or held.digest(file["address"]) != file["sha256"]:
                    wrong.append(f"{file['address']} has other bytes")
    return wrong


def temporaries(held: Storage) -> list[str]:
    """What is left under temporary addresses."""
    import obstore

    found = [meta["path"] for page in obstore.list(held._store, "tmp") for meta in page]
    return [path for path in found if not path.endswith(".lock")]
