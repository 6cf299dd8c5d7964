"""Source trees whose build backend lies in them, so that they are built without the network, and what it noted."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.wheels import module_name, targz_bytes

BACKEND = '''
import importlib.util, json, os, platform, sys, time, zipfile

with open("facts.json") as stream:
    FACTS = json.load(stream)

def come_to(hook):
    """Note it, then wait and fail as the facts say."""
    with open(FACTS["log"], "a") as stream:
        stream.write(f"{FACTS['name']} {hook} {sys.platform} {platform.machine()}\\n")
    while os.path.exists(FACTS["wait"].get(hook, "")):
        time.sleep(0.02)
    print(f"{hook} of {FACTS['name']} here")
    if hook in FACTS["fails"]:
        raise SystemExit(FACTS["fails"][hook])

def metadata(hook):
    needs = [*FACTS["needs"], *FACTS["needs_on"].get(sys.platform, []), *FACTS["needs_in"].get(hook, [])]
    lines = ["Metadata-Version: 2.1", "Name: " + FACTS["name"], "Version: " + FACTS["version"]]
    return "\\n".join([*lines, *("Requires-Dist: " + need for need in needs)]) + "\\n"

def get_requires_for_build_wheel(settings=None):
    come_to("requires")
    return FACTS["asks"]

def prepare_metadata_for_build_wheel(out, settings=None):
    come_to("metadata")
    info = f"{FACTS['module']}-{FACTS['version']}.dist-info"
    os.mkdir(os.path.join(out, info))
    with open(os.path.join(out, info, "METADATA"), "w") as stream:
        stream.write(metadata("metadata"))
    return info

def build_wheel(out, settings=None, metadata_directory=None):
    come_to("wheel")
    told = {
        "sys.platform": sys.platform, "machine": platform.machine(), "settings": settings, "text": open("text").read(),
        "env": {name: os.environ.get(name) for name in FACTS["env"]},
        "tools": [name for name in FACTS["tools"] if importlib.util.find_spec(name)],
    }
    module, tag = FACTS["module"], FACTS["tag"]
    info = f"{module}-{FACTS['version']}.dist-info/"
    name = f"{module}-{FACTS['version']}-{tag}.whl"
    with zipfile.ZipFile(os.path.join(out, name), "w") as wheel:
        wheel.writestr(module + "/__init__.py", "")
        wheel.writestr(module + "/told.json", json.dumps(told))
        wheel.writestr(info + "METADATA", metadata("wheel"))
        wheel.writestr(info + "WHEEL", f"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {tag}\\n")
        wheel.writestr(info + "RECORD", "")
    return name
'''
_PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@dataclass(frozen=True)
class Tree:
    """A source tree; ``log`` is the file to which its backend notes each hook that is called.

    ``needs_on`` is by ``sys.platform``, and ``needs_in``, ``fails`` (with what to say) and ``wait`` (while a file is there)
    by hook: "requires", "metadata", "wheel". A ``static`` one has metadata that needs no code to be run.
    """

    log: Path
    name: str
    version: str = "1.0"
    needs: Sequence[str] = ()
    needs_on: Mapping[str, Sequence[str]] = field(default_factory=dict)
    needs_in: Mapping[str, Sequence[str]] = field(default_factory=dict)
    asks: Sequence[str] = ()
    fails: Mapping[str, str] = field(default_factory=dict)
    wait: Mapping[str, str] = field(default_factory=dict)
    env: Sequence[str] = ()
    tools: Sequence[str] = ()
    tag: str = "py3-none-any"
    text: str = "as published\n"
    static: bool = False
    backend: str = BACKEND

    @property
    def files(self) -> dict[str, bytes]:
        """Contents by path."""
        facts = {**vars(self), "log": str(self.log), "backend": None, "module": module_name(self.name)}
        head = f"Metadata-Version: 2.{2 if self.static else 1}\nName: {self.name}\nVersion: {self.version}\n"
        info = head + "".join(f"Requires-Dist: {need}\n" for need in self.needs if self.static)
        texts = {
            "PKG-INFO": info, "pyproject.toml": _PYPROJECT, "backend.py": self.backend, "facts.json": json.dumps(facts),
            "text": self.text,
        }  # fmt: skip
        return {name: text.encode() for name, text in texts.items()}

    def sdist(self, folder: Path) -> Path:
        """Write the sdist into a folder."""
        top = f"{module_name(self.name)}-{self.version}"
        path = folder / f"{top}.tar.gz"
        path.write_bytes(targz_bytes({f"{top}/{name}": content for name, content in self.files.items()}))
        return path

    def lay_out(self, folder: Path) -> Path:
        """Write the files themselves; without PKG-INFO, which no repository has."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            if name != "PKG-INFO":
                (folder / name).write_bytes(content)
        return folder


def calls(log: Path, name: str = "") -> Counter[str]:
    """How often each hook of a package was called, by ``hook platform``; of all packages by ``name hook platform``."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    words = [line.split()[:3] for line in lines]
    return Counter(" ".join(w[1:] if name else w) for w in words if not name or w[0] == name)


def told(wheel: Path) -> dict[str, Any]:
    """What the backend saw when it built a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [member for member in archive.namelist() if member.endswith("/told.json")]
        found: dict[str, Any] = json.loads(archive.read(name))
        return found


def commit(folder: Path, *, branch: str | None = None, tag: str | None = None) -> str:
    """Commit all that lies in a folder, a repository that is made if there is none; returns the 40 digits."""

    def git(*words: str) -> str:
        settings = ["-c", "user.name=t", "-c", "user.email=t@t.test", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", "-C", folder, *settings, *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    if not (folder / ".git").exists():
        git("init", "--quiet", "--initial-branch=main")
    if branch:
        git("checkout", "--quiet", "-B", branch)
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message=x")
    if tag:
        git("tag", "--annotate", tag, "--message=tagged")
    return git("rev-parse", "HEAD")
