"""Publishing one large archive against a plain multipart upload of the same file with the same library, and pulling it
against download, sha256 and ``tar x``; in one run.

    python -m benchmarks.publish [--megabytes 2000] [--rounds 3] [--storage URL | --s3]

Without --storage a folder is the storage, with --s3 an S3 server that is started here. The bars: 1.3 times the plain
upload, at most 300 MB of memory; 1.3 times the plain download. Into a folder an upload is bound by its sha256, which the
plain one does not compute: that is shown as well.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

UPLOAD_BAR, MEMORY_BAR, PULL_BAR = 1.3, 300, 1.3

_UPLOAD = """
import resource, sys
from pathlib import Path
from pyrunenv.publish.stores import open_storage
kind, url, source, sha256 = sys.argv[1:]
storage = open_storage(url)
if kind == "plain":
    import obstore
    obstore.put(storage._store, "plain", Path(source))
else:
    storage.upload("ours", Path(source), sha256)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
_FETCH = """
import sys
import obstore
from pyrunenv.publish.stores import open_storage
url, target = sys.argv[1:]
storage = open_storage(url)
with open(target, "wb") as out:
    for chunk in obstore.get(storage._store, "archive.tgz").stream(min_chunk_size=1 << 20):
        out.write(chunk)
"""


def make_archive(path: Path, megabytes: int) -> str:
    """Write a tgz of this interpreter's library and noise, stored as bundles hold wheels; returns its sha256."""
    from pyrunenv.bundle.pack import pack

    tree = path.parent / "tree"
    stdlib = Path(os.__file__).parent
    left_out = shutil.ignore_patterns("__pycache__", "test", "site-packages", "*.a")
    shutil.copytree(stdlib, tree / "lib" / stdlib.name, ignore=left_out)
    packages = tree / "packages"
    packages.mkdir()
    for number in range(max(1, megabytes // 50)):
        (packages / f"noise-{number}-py3-none-any.whl").write_bytes(os.urandom(50_000_000))
    packed = pack(tree, path, mtime=315_532_800, jobs=os.cpu_count() or 1)
    shutil.rmtree(tree)
    return packed.sha256


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--storage", help="where to; a folder without it")
    parser.add_argument("--s3", action="store_true", help="an S3 server (moto) that is started here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        if args.s3:
            args.storage = stack.enter_context(s3_server())
        scratch = Path(name)
        archive = scratch / "archive.tgz"
        sha256 = make_archive(archive, args.megabytes)
        url = args.storage or (scratch / "storage").as_uri()
        kept = upload(archive, sha256, url, args.rounds)
        # an archive alone is pulled from the web or a disk
        kept = (args.storage or pull(archive, sha256, url, scratch, args.rounds)) and kept
        return 0 if kept else 1


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Run moto's server in a process of its own, with one bucket; gives the storage's URL."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        import boto3

        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1")
        for _ in range(100):
            with contextlib.suppress(Exception):
                client.create_bucket(Bucket="bench")
                break
            time.sleep(0.2)
        yield f"s3e://127.0.0.1:{port}/bench/runenv?scheme=http"
    finally:
        server.terminate()
        server.wait()


def upload(archive: Path, sha256: str, url: str, rounds: int) -> bool:
    """Compare uploads, each in a process of its own."""
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    memory: dict[str, int] = {}
    from pyrunenv.publish.stores import open_storage

    for _ in range(rounds):
        for kind, spent in times.items():
            open_storage(url).delete(kind)
            words = [sys.executable, "-c", _UPLOAD, kind, url, str(archive), sha256]
            started = time.perf_counter()
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
            spent.append(time.perf_counter() - started)
            memory[kind] = max(memory.get(kind, 0), int(done.stdout))
    for kind, spent in times.items():
        open_storage(url).delete(kind)
        print(f"upload, {kind:6}{min(spent):8.2f} s {memory[kind]:6} MB of memory")
    with archive.open("rb") as stream:
        print(f"its sha256{timed(lambda: hashlib.file_digest(stream, 'sha256')):11.2f} s")
    ratio = min(times["ours"]) / min(times["plain"])
    print(f"ratio{ratio:17.2f} x  (bars: {UPLOAD_BAR} x, {MEMORY_BAR} MB)")
    return ratio <= UPLOAD_BAR and memory["ours"] <= MEMORY_BAR


def pull(archive: Path, sha256: str, url: str, scratch: Path, rounds: int) -> bool:
    """Compare ``pull`` with what a person would type."""
    from pyrunenv.publish.stores import open_storage

    base = url.partition("?")[0]
    storage = open_storage(url)
    storage.upload("archive.tgz", archive, sha256, overwrite=True)
    manifest = {
        "package": {"name": "bench", "version": "1.0.0"}, "environment": "bench", "platform": "linux-x64",
        "archive": {"size": archive.stat().st_size, "sha256": sha256},
    }  # fmt: skip
    storage.overwrite("archive.tgz.manifest.json", json.dumps(manifest).encode())
    plain, ours = [], []

    def by_hand() -> None:
        target = scratch / "by-hand"
        target.mkdir()
        subprocess.run([sys.executable, "-c", _FETCH, url, str(scratch / "got.tgz")], check=True)
        with (scratch / "got.tgz").open("rb") as stream:
            assert hashlib.file_digest(stream, "sha256").hexdigest() == sha256
        subprocess.run(["tar", "-xzf", scratch / "got.tgz", "-C", target], check=True)

    def by_us() -> None:
        words = [sys.executable, "-m", "pyrunenv", "pull", "bench", "--platform", "linux-x64", "--from",
                 f"{base}/archive.tgz", "--to", str(scratch / "ours"), "-q"]  # fmt: skip
        subprocess.run(words, check=True, env={**os.environ, "PYRUNENV_CACHE": str(scratch / "cache")})

    for _ in range(rounds):
        for place in ("by-hand", "ours", "cache"):
            shutil.rmtree(scratch / place, ignore_errors=True)
        plain.append(timed(by_hand))
        ours.append(timed(by_us))
    ratio = min(ours) / min(plain)
    print(f"pull, by hand{min(plain):7.2f} s")
    print(f"pull, ours{min(ours):10.2f} s")
    print(f"ratio{ratio:17.2f} x  (bar: {PULL_BAR} x)")
    return ratio <= PULL_BAR


if __name__ == "__main__":
    sys.exit(main())
