"""A venv of an environment, made as the Backend makes it (``contract/backend.md``): offline, from its wheels alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pyrunenv import platforms, process
from pyrunenv.errors import ProcessFailed, PullError, UsageError
from pyrunenv.pull.store import Record

_KEPT = ("HOME", "TMPDIR", "TEMP", "TMP", "LANG", "SYSTEMROOT", "USERPROFILE", "WINDIR")


def make_venv(environment: Path, record: Record, requirements: Path, venv: Path) -> Path:
    """Make a venv beside an environment's bundle, or bring one of the same environment up to date; return its Python.

    Raises UsageError, and PullError with the end of pip's output where the wheelhouse cannot give what is required.
    """
    if record.platform != platforms.host().key:
        raise UsageError(
            f"a venv for {record.platform} cannot be made on {platforms.host()}", hint="leave --requirements out"
        )
    if not (environment / record.bin_dir).resolve().is_relative_to(environment.resolve()):
        raise PullError(f"the descriptor of {record.name} names `{record.bin_dir}`, which is not in the environment")
    if not requirements.is_file():
        raise UsageError(f"{requirements} is not there", hint="--requirements names a requirements file")
    bin_dir = environment / record.bin_dir
    variables = dict(pair.split("=", 1) for pair in record.env_vars)
    outside = {**_clean(os.environ), **variables, "PATH": _path(bin_dir)}
    if not _is_of(venv, bin_dir):
        if venv.exists():
            raise PullError(f"{venv} is there, and is no venv of this environment", hint="remove it, or name another with --venv")  # fmt: skip
        try:
            process.run([_python(bin_dir), "-m", "venv", venv], env=outside)
        except ProcessFailed as error:
            raise PullError(f"{environment} cannot make a venv", notes=error.notes) from error
    scripts = venv / ("Scripts" if os.name == "nt" else "bin")
    inside = {
        **outside, "PATH": f"{scripts}{os.pathsep}{outside['PATH']}", "VIRTUAL_ENV": str(venv),
        "PYTHONHOME": str(environment), "PYTHONPATH": str(bin_dir / "python_stdlib"),
    }  # fmt: skip
    words: list[str | Path] = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--timeout", "600", "--no-index",
             "--find-links", f"{environment / 'packages'}{os.sep}", "--requirement", requirements]  # fmt: skip
    try:
        process.run([_python(scripts), *words], env=inside)
    except ProcessFailed as error:
        raise PullError(
            f"{requirements} cannot be installed from the packages of {record.name} {record.version}",
            notes=error.notes, hint="what it asks for must be among its wheels: see `packages/` there",
        ) from error  # fmt: skip
    return _python(scripts)


def _clean(env: Mapping[str, str]) -> dict[str, str]:
    """What of this machine's environment the programs get: nothing that leads pip or Python elsewhere."""
    return {**{name: env[name] for name in _KEPT if name in env}, "PIP_CONFIG_FILE": os.devnull}


def _path(bin_dir: Path) -> str:
    return f"{bin_dir}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def _python(folder: Path) -> Path:
    return folder / ("python.exe" if os.name == "nt" else "python")


def _is_of(venv: Path, bin_dir: Path) -> bool:
    """Whether a venv was made by the interpreter in this folder (pyvenv.cfg, PEP 405)."""
    try:
        lines = (venv / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    homes = [line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "home"]
    return any(Path(home).resolve() == bin_dir.resolve() for home in homes)
