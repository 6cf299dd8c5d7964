"""An archive's bytes do not depend on the processor that packs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest
from support.foreign import arm64_python, qemu
from support.wheels import make_wheel

from pyrunenv.bundle.pack import pack

SOURCE = Path(__file__).parents[3] / "src"
MTIME = 315_532_800
ARCHIVES = ("archive.tgz", "archive.zip")
PACK = f"""
import sys
from pathlib import Path
sys.path += {[str(SOURCE), *sys.path]!r}
from pyrunenv.bundle.pack import pack
for name in {ARCHIVES!r}:
    print(pack(Path(sys.argv[1]), Path(sys.argv[2], name), mtime={MTIME}, jobs=2).sha256)
"""

DIGEST = "a78ce7672df60ab9a2b20390709cbe97efb161a68c566ac87cfd840707d251a6"
# Every block kind: text (levels 6 and 3), tables of mostly zeros (level 9), noise, and a second block with a dictionary.
COMPRESS = f"""
import hashlib, random, sys
sys.path[:0] = {[str(SOURCE), *sys.path]!r}
from pyrunenv.packing.deflate import crc32, deflate, plain_from
chosen = random.Random(1)
words = [bytes(chosen.choices(b"abcdefghij_\\n", k=chosen.randint(2, 9))) for _ in range(3000)]
text = b" ".join(chosen.choices(words, k=60000))
table = b"".join(chosen.randrange(70000).to_bytes(8, "little") for _ in range(30000))
noise = chosen.randbytes(100000)
total = hashlib.sha256()
for block in (text, table, noise, text[:70000] + table[:70000] + noise[:30000] + bytes(200000)):
    total.update(deflate(block))
    total.update(deflate(block, (noise + text)[-32768:]))
    total.update(deflate(block, (noise + text)[-32768:], quick=True))
    total.update(str(plain_from(noise + block)).encode())
    total.update(str(crc32(block, 0)).encode())
print(total.hexdigest())
"""


def run(python: list[str], program: str, *arguments: Path) -> list[str]:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*python, "-c", program, *arguments], capture_output=True, encoding="utf-8", env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text, machine code, tables of zeros, and a wheel: what bundles are made of."""
    folder = tmp_path_factory.mktemp("bundle")
    library = Path(sysconfig.get_path("stdlib"))
    for name in ("json", "email", "encodings"):
        shutil.copytree(library / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for extension in sorted((library / "lib-dynload").glob("_[d-s]*.so")):
        shutil.copy2(extension, folder)
    (folder / "table").write_bytes(bytes(700_000) + bytes(range(256)) * 100 + bytes(700_000))
    make_wheel(folder / "packages", "pure", "1.0")
    return folder


def test_this_processor_gives_the_pinned_bytes() -> None:
    """Another version of zlib-ng, or a host whose processor it treats otherwise, shows here."""
    assert run([sys.executable], COMPRESS) == [DIGEST]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["qemu64", "Nehalem", "Haswell", "max"])
def test_other_models_pack_the_same_bytes(bundle: Path, tmp_path: Path, model: str) -> None:
    """From SSE2 alone to AVX2: zlib-ng takes other code for each, and the archives are the same."""
    if os.uname().machine != "x86_64":
        pytest.skip("this Python is not one for x86_64")
    assert run([qemu("x86_64"), "-cpu", model, sys.executable], PACK, bundle, tmp_path) == packed_here(bundle, tmp_path)


@pytest.mark.slow
@pytest.mark.network
def test_aarch64_packs_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    """Another instruction set, another Python, another C library: the archives are the same."""
    python = arm64_python(tmp_path / "arm64", f"zlib-ng=={version('zlib-ng')}")
    assert run(python, "import os; print(os.uname().machine)") == ["aarch64"]
    assert run(python, PACK, bundle, tmp_path) == packed_here(bundle, tmp_path)


def packed_here(bundle: Path, folder: Path) -> list[str]:
    here = folder / "here"
    here.mkdir()
    return [pack(bundle, here / name, mtime=MTIME, jobs=1).sha256 for name in ARCHIVES]
