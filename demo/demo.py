"""A small but real run environment, from configuration to proof: built, packed, moved, and used as the Backend uses it.

It is built for this machine's platform, from the interpreter that runs this script (source ``local``) where that can be
made portable, else from python-build-standalone (source ``standalone``). Everything lies in ``.demo/``.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
REQUIREMENTS = ["numpy", "pandas", "humanize==4.12.3"]
MODULES = ["numpy", "pandas", "humanize"]


def main() -> int:
    host = _host()
    version = platform.python_version()
    folder = _workspace(version)
    steps: list[tuple[str, float]] = []

    source, result = _build(folder, steps)
    if result.returncode:
        return result.returncode
    archive = next(folder.glob("pkg-*.tgz"))
    moved = DEMO / "moved to another place" / archive.name
    moved.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(archive, moved)

    print("\nthe Backend's own steps, on the archive, in a folder of another name, without the network:")
    replay = _replay(moved, steps)
    if replay.returncode:
        sys.stdout.write(replay.stdout + replay.stderr)
        return 1
    manifest = json.loads((folder / "dist" / "manifest" / f"{host}.json").read_text(encoding="utf-8"))
    _table(
        [
            ("environment", f"python {version} for {host}, interpreter: {source}"),
            ("holds", f"{len(manifest['wheels'])} wheels, and files/hello.txt as share/hello.txt"),
            ("bundle", f"{_tree_size(folder / 'pydist' / host) / 1e6:.1f} MB in {folder / 'pydist' / host}"),
            ("archive", f"{archive.stat().st_size / 1e6:.1f} MB, {archive}"),
            *((name, f"{seconds:.1f} s") for name, seconds in steps),
        ]
    )
    return 0


def _host() -> str:
    from pyrunenv import platforms

    return platforms.host().key


def _workspace(version: str) -> Path:
    """Write the workspace anew; what earlier runs built is removed, the download cache stays."""
    shutil.rmtree(DEMO, ignore_errors=True)
    folder = DEMO / "workspace" / f"python-{version}"
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "hello.txt").write_text("hello from a copied file\n", encoding="utf-8")
    shared = {"registries": {"default": "https://pypi.org/simple"}}
    own = {
        "packages": {
            "dependencies": REQUIREMENTS,
            "copyFiles": [{"from": "files/hello.txt", "to": "share/hello.txt"}],
        }
    }
    artifact = {
        "type": "environment", "runtime": "python", "registry": "demo", "python-version": version,
        "roots": {_host(): f"./pydist/{_host()}"}, "binDir": "bin",
    }  # fmt: skip
    package = {
        "name": "@demo/runenv-python", "version": "1.0.0", "files": ["dist/"],
        "block-software": {"entrypoints": {"main": {"environment": {"artifact": artifact}}}},
    }  # fmt: skip
    for path, value in (
        (DEMO / "workspace" / "shared-config.json", shared),
        (folder / "config.json", own),
        (folder / "package.json", package),
    ):
        path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    return folder


def _build(folder: Path, steps: list[tuple[str, float]]) -> tuple[str, subprocess.CompletedProcess[str]]:
    pyrunenv = [sys.executable, "-m", "pyrunenv"]
    started = time.monotonic()
    subprocess.run([*pyrunenv, "lock", str(folder)], check=True, cwd=folder)
    steps.append(("lock", time.monotonic() - started))
    for source in ("local", "standalone"):
        print(f"\nbuilding from the interpreter source `{source}`:", flush=True)
        started = time.monotonic()
        result = subprocess.run(
            [*pyrunenv, "build", "--python", source, "-v"], cwd=folder, text=True, stderr=subprocess.PIPE
        )
        sys.stderr.write("".join(line for line in result.stderr.splitlines(True) if not line.startswith("INFO")))
        if "error[interpreter]" not in result.stderr:
            break
        print(f"`{source}` cannot be made portable here (see above)", flush=True)
    steps += _step_times(result.stderr)
    steps.append(("build, all steps", time.monotonic() - started))
    return source, result


def _step_times(log: str) -> list[tuple[str, float]]:
    """The steps' durations, from the program's own ``-v`` log: ``INFO …: pack took 1.23 s``."""
    lines = [line.split() for line in log.splitlines() if line.startswith("INFO") and " took " in line]
    return [(f"  {words[-4]}", float(words[-2])) for words in lines]


def _replay(archive: Path, steps: list[tuple[str, float]]) -> subprocess.CompletedProcess[str]:
    check = "import numpy, pandas; assert pandas.DataFrame({'a': numpy.arange(4)}).a.sum() == 6; print('ok')"
    command = [sys.executable, str(ROOT / "tests" / "contract" / "backend_replay.py"), str(archive), "--json", "-c", check]
    for requirement in REQUIREMENTS:
        command += ["-p", requirement]
    for module in MODULES:
        command += ["-i", module]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode == 0:
        for step in json.loads(result.stdout)["steps"]:
            print(f"  ok {step['seconds']:6.1f} s  {step['step']}")
            if step["step"] in ("unpack", "python -m venv", "pip install --no-index"):
                steps.append((f"Backend: {step['step']}", step["seconds"]))
    return result


def _tree_size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _table(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    print("\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in rows))


if __name__ == "__main__":
    sys.exit(main())
