"""Large objects into S3 and its kin: in parts, many at a time, on the condition that nothing is there when they are complete.

Of the libraries that speak to all storages none completes a multipart upload on a condition
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html), and copying an object into its place takes
as long again as sending it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

PART = 16 << 20
"""Bytes: of 10,000 parts, the most there may be, come 160 GB."""
_PARALLEL = 8  # parts under way, all of them in memory


@dataclass(frozen=True)
class Bucket:
    """A place in a bucket: ``prefix`` stands before all addresses, and ends in a slash or is empty."""

    session: Any
    name: str
    prefix: str
    region: str
    endpoint: str | None

    def put(self, address: str, pieces: Iterator[bytes], *, overwrite: bool) -> bool:
        """Put an object; returns False where there is one already, unless it is to be replaced.

        Raises what boto3 raises, and what ``pieces`` raise; nothing is put then.
        """
        from botocore.exceptions import ClientError

        client = self._client()
        where = {"Bucket": self.name, "Key": self.prefix + address}
        upload = {**where, "UploadId": client.create_multipart_upload(**where)["UploadId"]}
        try:
            parts = _send(client, upload, pieces)
            condition = {} if overwrite else {"IfNoneMatch": "*"}
            client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **condition)
        except BaseException as error:
            with suppress(Exception):
                client.abort_multipart_upload(**upload)
            if isinstance(error, ClientError) and _told(error) in ("PreconditionFailed", "ConditionalRequestConflict"):
                return False
            raise
        return True

    def sweep(self, older: timedelta) -> int:
        """Remove the parts of uploads that were never completed; returns of how many."""
        client = self._client()
        limit = datetime.now(UTC) - older
        count = 0
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=self.prefix):
            for upload in page.get("Uploads", ()):
                if upload["Initiated"] < limit:
                    client.abort_multipart_upload(Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"])
                    count += 1
        return count

    def _client(self) -> Any:
        from botocore.config import Config

        config = Config(
            region_name=self.region,
            retries={"mode": "standard", "max_attempts": 6},
            max_pool_connections=_PARALLEL,
            # not all servers know the newer checksums; the archive's own is compared when it is read back
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if self.endpoint else "auto"},
        )
        return self.session.client("s3", endpoint_url=self.endpoint, config=config)


def _send(client: Any, upload: dict[str, Any], pieces: Iterator[bytes]) -> list[dict[str, Any]]:
    """Send all parts, and return what completes the upload."""

    def send(number: int, content: bytes) -> dict[str, Any]:
        return {"PartNumber": number, "ETag": client.upload_part(**upload, PartNumber=number, Body=content)["ETag"]}

    done: list[dict[str, Any]] = []
    pending: deque[Future[dict[str, Any]]] = deque()
    with ThreadPoolExecutor(_PARALLEL, "part") as threads:
        try:
            for number, content in enumerate(_parts(pieces), start=1):
                pending.append(threads.submit(send, number, content))
                if len(pending) == _PARALLEL:
                    done.append(pending.popleft().result())
            done += [future.result() for future in pending]
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    return done


def _parts(pieces: Iterator[bytes]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PART:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _told(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
