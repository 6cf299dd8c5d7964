"""A real environment for this host: packages from PyPI, this interpreter made portable, the Backend's own steps."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from support.workspaces import make_workspace

from pyrunenv import platforms

REPLAY = Path(__file__).parent.parent / "contract" / "backend_replay.py"
HOST = platforms.host().key

pytestmark = [
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="a local interpreter is made portable on Linux"),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a built environment with numpy, pandas, a pure package and a copied file."""
    version = platform.python_version()
    root = tmp_path_factory.mktemp("host") / "wörk space"
    config = {
        "packages": {
            "dependencies": ["numpy", "pandas", "humanize==4.12.3"],
            "copyFiles": [{"from": "files/hello.txt", "to": "share/hello.txt"}],
        }
    }
    make_workspace(root, {"python": {"source": "local"}}, {version: config}, platforms=(HOST,))
    folder = root / f"python-{version}"
    (folder / "files").mkdir()
    (folder / "files" / "hello.txt").write_text("hello\n", encoding="utf-8")
    command = [sys.executable, "-m", "pyrunenv", "build"]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if "error[interpreter]" in done.stderr:
        pytest.skip(f"this interpreter cannot be made portable: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_backend_can_use_the_archive(environment: Path) -> None:
    """From the archive, mounted read-only, moved, without the network: venv, pip install, native imports."""
    archive = next(environment.glob("pkg-*.tgz"))
    code = "import pandas, numpy; assert pandas.DataFrame({'a': numpy.arange(4)}).a.sum() == 6"
    command = [sys.executable, str(REPLAY), str(archive), "--read-only", "--json", "-c", code]
    command += ["-p", "numpy", "-p", "pandas", "-p", "humanize==4.12.3", "-i", "humanize", "-i", "ssl", "-i", "sqlite3"]
    done = subprocess.run(command, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert [step for step in report["steps"] if not step["ok"]] == []
    assert done.returncode == 0


def test_every_native_file_keeps_to_the_recorded_floor(environment: Path) -> None:
    """The floor in the manifest is measured: the bundle's own interpreter asks for no newer glibc than it says."""
    manifest = json.loads((environment / "dist" / "manifest" / f"{HOST}.json").read_text(encoding="utf-8"))
    floor = manifest["interpreter"]["floor"]
    assert floor is not None
    assert tuple(map(int, floor.split("."))) <= tuple(map(int, platform.libc_ver()[1].split(".")))
    assert manifest["publishable"] is True


def test_what_was_published_makes_a_venv_elsewhere(environment: Path, tmp_path: Path) -> None:
    """Published to a folder and pulled into another: a venv, made offline from its wheels, that a requirement cannot break."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
    env["PYRUNENV_CACHE"] = str(tmp_path / "cache")
    storage = (tmp_path / "storage").as_uri()

    def pyrunenv(*words: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pyrunenv", *words]
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)

    published = pyrunenv("publish", "--storage-url", storage, cwd=environment)
    assert published.returncode == 0, published.stderr
    name = json.loads((environment / "package.json").read_text(encoding="utf-8"))["name"]
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("humanize\nnumpy\n", encoding="utf-8")
    words = ("pull", f"{name}@1.0.0", "--from", storage, "--to", "an environment", "-r", "requirements.txt")
    pulled = pyrunenv(*words)
    assert pulled.returncode == 0, pulled.stderr
    python = pulled.stdout.strip()
    assert Path(python).parts[-3:-1] == ("venv", "bin")
    code = "import sys, numpy, humanize; print(humanize.naturalsize(numpy.int64(2000)), sys.base_prefix)"
    done = subprocess.run([python, "-c", code], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout.startswith("2.0 kB"), "an environment" in done.stdout) == (0, True, True), done
    requirements.write_text("humanize\nrequests\n", encoding="utf-8")
    lacking = pyrunenv(*words)
    assert (lacking.returncode, "No matching distribution found for requests" in lacking.stderr) == (12, True)
    requirements.write_text("pandas\n", encoding="utf-8")
    assert pyrunenv(*words).returncode == 0
