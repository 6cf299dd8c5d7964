"""The test index with real clients: uv and pip take it for an index, and uv finds its logins in the environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from installer.sources import WheelFile
from support.fetching import clean_environment, download_of
from support.index import AUTHORITY, IndexServer
from support.wheels import make_sdist, make_wheel

from pyrunenv.config.schema import Registries, Registry
from pyrunenv.fetch.credentials import named_registries, registry_environment
from pyrunenv.fetch.session import make_session
from pyrunenv.lock.resolver import uv_program


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two wheels, of which one needs the other, and two sdists."""
    clean_environment(monkeypatch, tmp_path)
    folder = tmp_path / "files"
    make_wheel(folder, "top.One", "1.0", requires=["under>=1", "never; python_version<'3'"], requires_python=">=3.8")
    make_wheel(folder, "under", "1.5")
    make_wheel(folder, "under", "2.0")
    make_sdist(folder, "static", "1.0", requires=["under"])
    make_sdist(folder, "dynamic", "1.0", static_metadata=False)
    return folder


def compile_with_uv(
    tmp_path: Path, words: list[str], requirements: str, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Resolve with uv; returns the packages by name."""
    command = [
        uv_program(), "pip", "compile", "-", *words, "--no-config", "--quiet", "--format", "pylock.toml",
        "--python", sys.executable, "--cache-dir", str(tmp_path / "uv"), "--python-version", "3.12",
    ]  # fmt: skip
    done = subprocess.run(
        command, input=requirements, text=True, capture_output=True, env={**os.environ, **(env or {})}
    )
    assert done.returncode == 0, done.stderr
    return {entry["name"]: entry for entry in tomllib.loads(done.stdout)["packages"]}


@pytest.mark.parametrize("formats", [("json", "html"), ("html",)])
@pytest.mark.parametrize("told", [True, False])
def test_uv_resolves_from_it(tmp_path: Path, files: Path, formats: tuple[str, ...], told: bool) -> None:
    """With and without hashes, sizes and metadata, as JSON and as HTML; yanked versions are passed over."""
    yanked = {"under-2.0-py3-none-any.whl": "broken"}
    with IndexServer(files, formats=formats, hashes=told, sizes=told, metadata=told, yanked=yanked) as server:
        found = compile_with_uv(tmp_path, ["--default-index", server.url], "top-one\nstatic\n")
        assert {name: entry["version"] for name, entry in found.items()} == {
            "top-one": "1.0", "under": "1.5", "static": "1.0",
        }  # fmt: skip
        wheel = found["top-one"]["wheels"][0]
        expected = download_of("", files / "top_one-1.0-py3-none-any.whl")
        if told:
            assert wheel["hashes"]["sha256"] == expected.sha256
            assert server.counts("/files/")["/files/top_one-1.0-py3-none-any.whl"] == 0
        if told and "json" in formats:
            assert wheel["size"] == expected.size


def test_uv_obeys_upload_times(tmp_path: Path, files: Path) -> None:
    """``--exclude-newer`` sees the times that the index gives."""
    times = {path.name: "2020-01-01T00:00:00Z" for path in files.iterdir()}
    times["under-2.0-py3-none-any.whl"] = "2024-01-01T00:00:00Z"
    with IndexServer(files, upload_times=times) as server:
        words = ["--default-index", server.url, "--exclude-newer", "2022-01-01T00:00:00Z"]
        assert compile_with_uv(tmp_path, words, "under")["under"]["version"] == "1.5"


@pytest.mark.parametrize("as_default", [True, False])
def test_uv_gets_logins_from_the_environment_alone(tmp_path: Path, files: Path, as_default: bool) -> None:
    """What ``named_registries`` and ``registry_environment`` make lets uv in, with no login in its arguments."""
    with IndexServer(files, auth=("me", "p@ss/w0rd%")) as server, IndexServer(tmp_path / "uv-empty") as empty:
        (tmp_path / "uv-empty").mkdir()
        private = server.url_with_login
        registries = (
            Registries(default=private)
            if as_default
            else Registries(default=empty.url, additional=(Registry(url=private, name="My.own-1"),))
        )
        *first, last = named_registries(registries)
        words = [w for name, url in first for w in ("--index", f"{name}={url}")]
        words += ["--default-index", f"{last[0]}={last[1]}", "--index-strategy", "unsafe-best-match"]
        assert "w0rd" not in " ".join(words)
        found = compile_with_uv(tmp_path, words, "top-one", registry_environment(registries))
        assert found["under"]["version"] == "2.0"
        assert "w0rd" not in str(found)


def test_uv_trusts_our_certificates(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that only requests' variable names reaches uv too."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(AUTHORITY))
    with IndexServer(files, tls=True) as server:
        registries = Registries(default=server.url)
        env = registry_environment(registries)
        assert compile_with_uv(tmp_path, ["--default-index", server.url], "under", env)["under"]["version"] == "2.0"


@pytest.mark.parametrize("formats", [("json",), ("html",)])
def test_pip_downloads_from_it(tmp_path: Path, files: Path, formats: tuple[str, ...]) -> None:
    """pip takes wheels from it with their dependencies, with a login in the URL."""
    with IndexServer(files, formats=formats, auth=("me", "password")) as server:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir",
            "--index-url", server.url_with_login, "--dest", str(tmp_path / "got"), "top.one",
        ]  # fmt: skip
        env = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
        done = subprocess.run(command, text=True, capture_output=True, env=env)
        assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "got").iterdir())
    assert names == ["top_one-1.0-py3-none-any.whl", "under-2.0-py3-none-any.whl"]


def test_wheels_are_valid(tmp_path: Path, files: Path) -> None:
    """Their RECORD is right by a strict reader, and the same call makes the same bytes."""
    wheel = files / "top_one-1.0-py3-none-any.whl"
    with WheelFile.open(wheel) as source:
        source.validate_record(validate_contents=True)
    again = make_wheel(
        tmp_path / "again",
        "top.One",
        "1.0",
        requires=["under>=1", "never; python_version<'3'"],
        requires_python=">=3.8",
    )
    assert again.read_bytes() == wheel.read_bytes()


def test_our_session_reads_an_index_in_a_folder(tmp_path: Path, files: Path) -> None:
    """A file URL of a folder is its index.html, as for pip."""
    folder = tmp_path / "simple" / "under"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(
        "<a href='../../files/under-1.5-py3-none-any.whl'>under-1.5-py3-none-any.whl</a>"
    )
    with make_session() as session:
        assert "under-1.5" in session.get(folder.as_uri() + "/").text
