"""Calls a build backend's hooks (PEP 517) in a build environment that speaks for the target."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrunenv import process
from pyrunenv.errors import BuildFailed
from pyrunenv.secrets import mask
from pyrunenv.wheels.source import BuildSystem
from pyrunenv.wheels.toolchain import Toolchain

if TYPE_CHECKING:
    from pyproject_hooks import BuildBackendHookCaller

    from pyrunenv.wheels.environment import BuildEnvironment

_TAIL = 30
"""Lines of a failed build's output that are shown."""
_REMEDIES = (
    "what can be done: patch it or build from another folder (`buildWheel` with `patches` or `sourceDir`), add what it "
    "lacks (`buildRequires`, `env`, `configSettings`), build on a machine of that platform (`--platform {platform}` there), "
    "or leave it out (`skip` with a reason)"
)


@dataclass
class Hooks:
    """The hooks of one tree. ``title`` is what a person calls the build; what it prints goes to ``log_file``."""

    title: str
    tree: Path
    system: BuildSystem
    environment: BuildEnvironment
    toolchain: Toolchain
    log_file: Path
    settings: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def requires(self) -> list[str]:
        """What the backend asks for beyond the `build-system` table, when it builds a wheel."""
        return [str(item) for item in self._call("get_requires_for_build_wheel", self._settings())]

    def metadata(self, out: Path) -> bytes:
        """The core metadata that the wheel will have; of a backend that tells no other way, a whole build's."""
        out.mkdir(parents=True, exist_ok=True)
        name: str = self._call("prepare_metadata_for_build_wheel", str(out), self._settings())
        return (out / name / "METADATA").read_bytes()

    def wheel(self, out: Path) -> Path:
        """Build the wheel into a folder."""
        out.mkdir(parents=True, exist_ok=True)
        name: str = self._call("build_wheel", str(out), self._settings())
        return out / name

    def _settings(self) -> dict[str, Any]:
        own = self.toolchain.settings_for(self.system.backend)
        given = {key: value if isinstance(value, str) else list(value) for key, value in self.settings.items()}
        for key, words in own.items():
            there = given.get(key, [])
            given[key] = [*words, *([there] if isinstance(there, str) else there)]
        return given

    def _call(self, hook: str, *arguments: Any) -> Any:
        from pyproject_hooks import (
            BackendInvalid,
            BackendUnavailable,
            BuildBackendHookCaller,
            HookMissing,
            UnsupportedOperation,
        )

        try:
            caller: BuildBackendHookCaller = BuildBackendHookCaller(
                str(self.tree), self.system.backend, self.system.backend_path, runner=self._run,
                python_executable=str(self.environment.python),
            )  # fmt: skip
            return getattr(caller, hook)(*arguments)
        except BackendUnavailable as error:
            reason = f"its build backend `{self.system.backend}` cannot be imported"
            raise self.failure(reason, [error.traceback or ""]) from error
        except (BackendInvalid, HookMissing, UnsupportedOperation) as error:
            raise self.failure(f"its build backend `{self.system.backend}` cannot do `{hook}`", [str(error)]) from error
        except ValueError as error:
            raise self.failure("its pyproject.toml is wrong", [str(error)]) from error

    def _run(self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        """Run one hook's process (the protocol of pyproject_hooks' subprocess runners)."""
        home = self.toolchain.folder / "home"
        home.mkdir(exist_ok=True)
        base = self.toolchain.variables(os.environ, self.environment.python, self.system.backend)
        variables = {**base, "HOME": str(home), "TMPDIR": str(home), **self.variables, **(extra_environ or {})}
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        status = process.run_logged(cmd, env=variables, cwd=Path(cwd or self.tree), log_file=self.log_file)
        if status:
            raise self.failure(f"its build ended with exit status {status}", self._tail())

    def failure(self, reason: str, notes: Sequence[str]) -> BuildFailed:
        """The error of this build, with the remedies."""
        platform = self.toolchain.target.platform
        lines = [line for note in notes for line in note.splitlines()][-_TAIL:]
        return BuildFailed(
            f"{self.title} cannot be built for {platform}: {reason}",
            notes=[*(mask(line) for line in lines), f"the whole output: {self.log_file}"],
            hint=_REMEDIES.format(platform=platform),
        )

    def _tail(self) -> list[str]:
        text = self.log_file.read_text(encoding="utf-8", errors="replace")
        return text.rstrip().splitlines()[-_TAIL:]
