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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrunenv.platforms import Platform

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
REQUIREMENTS = ["numpy", "pandas", "humanize==4.12.3"]
MODULES = ["numpy", "pandas", "humanize"]


def main() -> int:
    steps: list[tuple[str, float]] = []
    for source, version in _interpreters():
        print(f"\nbuilding Python {version} from the interpreter source `{source}`:", flush=True)
        folder = _workspace(source, version)
        result = _build(folder, steps)
        if result.returncode == 0:
            break
        if "error[interpreter]" not in result.stderr:
            return result.returncode
        print(f"this Python cannot serve as the source `{source}` (see above)", flush=True)
    else:
        return 1
    archive = next(folder.glob("pkg-*.tgz"))
    moved = DEMO / "moved to another place" / archive.name
    moved.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(archive, moved)

    print("\nthe Backend's own steps, on the archive, in a folder of another name, without the network:")
    replay = _replay(moved, steps)
    if replay.returncode:
        sys.stdout.write(replay.stdout + replay.stderr)
        return 1
    _report(folder, archive, source, version, steps)
    return 0


def _interpreters() -> list[tuple[str, str]]:
    """The interpreter that runs this script; else python-build-standalone's newest of the same minor version."""
    from pyrunenv.interpreters.choose import known_versions

    running = platform.python_version()
    minor = running.rpartition(".")[0]
    standalone = [v for v in known_versions(_platform()) if v.rpartition(".")[0] == minor]
    return [("local", running), *[("standalone", v) for v in standalone[-1:]]]


def _platform() -> Platform:
    from pyrunenv import platforms

    return platforms.host()


def _workspace(source: str, version: str) -> Path:
    """Write the workspace anew; what earlier runs built is removed, the download cache stays."""
    shutil.rmtree(DEMO, ignore_errors=True)
    folder = DEMO / "workspace" / f"python-{version}"
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "hello.txt").write_text("hello from a copied file\n", encoding="utf-8")
    shared = {"registries": {"default": "https://pypi.org/simple"}, "python": {"source": source}}
    own = {
        "packages": {
            "dependencies": REQUIREMENTS,
            "copyFiles": [{"from": "files/hello.txt", "to": "share/hello.txt"}],
        }
    }
    host = _platform().key
    artifact = {
        "type": "environment", "runtime": "python", "registry": "demo", "python-version": version,
        "roots": {host: f"./pydist/{host}"}, "binDir": "bin",
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


def _build(folder: Path, steps: list[tuple[str, float]]) -> subprocess.CompletedProcess[str]:
    started = time.monotonic()
    command = [sys.executable, "-m", "pyrunenv", "build", "--verbose"]
    result = subprocess.run(command, cwd=folder, text=True, stderr=subprocess.PIPE)
    sys.stderr.write("".join(line for line in result.stderr.splitlines(True) if not line.startswith("INFO")))
    steps[:] = [*_step_times(result.stderr), ("build, all of it", time.monotonic() - started)]
    return result


def _step_times(log: str) -> list[tuple[str, float]]:
    """The steps' durations, from the program's own ``-v`` log: ``INFO …: pack took 1.23 s``.

    A step that is done in parts tells each time how long it took so far.
    """
    lines = [line.split() for line in log.splitlines() if line.startswith("INFO") and " took " in line]
    return list({f"  {words[-4]}": float(words[-2]) for words in lines}.items())


def _replay(archive: Path, steps: list[tuple[str, float]]) -> subprocess.CompletedProcess[str]:
    check = "import numpy, pandas; assert pandas.DataFrame({'a': numpy.arange(4)}).a.sum() == 6; print('ok')"
    command = [
        sys.executable,
        str(ROOT / "tests" / "contract" / "backend_replay.py"),
        str(archive),
        "--json",
        "-c",
        check,
    ]
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


def _report(folder: Path, archive: Path, source: str, version: str, steps: list[tuple[str, float]]) -> None:
    host = _platform().key
    bundle = folder / "pydist" / host
    manifest = json.loads((folder / "dist" / "manifest" / f"{host}.json").read_text(encoding="utf-8"))
    rows = [
        ("environment", f"Python {version} for {host}, interpreter source {source}"),
        ("holds", f"{len(manifest['wheels'])} wheels, and files/hello.txt as share/hello.txt"),
        ("bundle", f"{_tree_size(bundle) / 1e6:.1f} MB  {bundle}"),
        ("archive", f"{archive.stat().st_size / 1e6:.1f} MB  {archive}"),
        *((name, f"{seconds:.1f} s") for name, seconds in steps),
    ]
    width = max(len(name) for name, _ in rows)
    print("\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in rows))


def _tree_size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    sys.exit(main())
