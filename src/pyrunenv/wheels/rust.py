"""Whether this machine can compile Rust for a target; what to install where it cannot."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from pyrunenv import process
from pyrunenv.errors import ProcessFailed
from pyrunenv.wheels.target import BuildTarget

_BACKENDS = {"maturin", "setuptools-rust", "puccinialin"}


def needs_rust(requires: Collection[str]) -> bool:
    """Whether build requirements (normalised names) are those of a package with Rust in it."""
    return not _BACKENDS.isdisjoint(requires)


def missing_rust(target: BuildTarget, environment: Mapping[str, str]) -> str | None:
    """Say what is missing to compile Rust for a target; None where nothing is."""
    path = environment.get("PATH")
    rustc = shutil.which("rustc", path=path)
    if rustc is None or shutil.which("cargo", path=path) is None:
        return f"install Rust (https://rustup.rs), then run `rustup target add {target.rust}`"
    try:
        root = process.run([rustc, "--print", "sysroot"], env=dict(environment)).stdout.strip()
    except ProcessFailed as error:
        return f"make `rustc` work: {error.message}"
    if not (Path(root) / "lib" / "rustlib" / target.rust / "lib").is_dir():
        return f"run `rustup target add {target.rust}`: this machine's Rust cannot compile for it"
    return None
