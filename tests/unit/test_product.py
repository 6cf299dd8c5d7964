"""The product's own workspace: sound, by the published schema, and its small tools do what they say."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from pyrunenv.checks import check_workspace
from pyrunenv.config.json_schema import config_schema
from pyrunenv.config.workspace import load_workspace

ROOT = Path(__file__).parents[2]
CONFIGS = [ROOT / "shared-config.json", *sorted(ROOT.glob("python-*/config.json"))]
TOOLS = ROOT / "python-3.12.10-atls"


def test_it_is_without_a_finding() -> None:
    """Neither an error nor a warning."""
    assert [str(finding) for finding in check_workspace(ROOT)] == []
    assert len(load_workspace(ROOT).environments) >= 4


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name + "/" + path.name)
def test_configs_name_the_schema_and_obey_it(path: Path) -> None:
    """So that an editor completes and explains keys."""
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (path.parent / document["$schema"]).resolve() == ROOT / "docs" / "config.schema.json"
    jsonschema.Draft202012Validator(config_schema()).validate(document)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A folder like a bundle's: the tool in bin/ beside a python that finds the module."""
    place = tmp_path / "moved here"
    (place / "bin").mkdir(parents=True)
    shutil.copy2(TOOLS / "bin" / "fasta-stats", place / "bin")
    python = place / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{TOOLS / "site-packages"}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return place


@pytest.mark.skipif(sys.platform == "win32", reason="the environment is not made for Windows")
def test_fasta_stats_runs_with_the_python_beside_it(environment: Path) -> None:
    """From any folder, with files plain, gzipped and on standard input; what cannot be read is told and the rest done."""
    text = ">a first\nACDE\nFG--\n\n>b\nAC\n"
    (environment / "plain.fasta").write_text(text)
    (environment / "zipped.fasta.gz").write_bytes(gzip.compress(text.encode()))
    (environment / "wrong.txt").write_text("hello\n")
    words = [environment / "bin" / "fasta-stats", "plain.fasta", "zipped.fasta.gz", "wrong.txt", "-"]
    done = subprocess.run(words, cwd=environment, capture_output=True, text=True, input="")
    assert done.stdout.splitlines() == [
        "file,sequences,residues,shortest,longest,gaps",
        "plain.fasta,2,10,2,8,2",
        "zipped.fasta.gz,2,10,2,8,2",
        "-,0,0,0,0,0",
    ]
    assert done.stderr == "fasta-stats: wrong.txt: line 1: a sequence before the first `>`\n"
    assert done.returncode == 1
    assert subprocess.run([words[0], "--version"], capture_output=True, text=True).stdout == "fasta-stats 1.0.0\n"
