"""npm packages as users of npm meet them: published to a real registry, installed from it by the real npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.npm import TOKEN, FakeRegistry, make_built, pretend_built, store
from support.product import Result
from support.verdaccio import Verdaccio, verdaccio
from support.workspaces import write_json

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"
SCOPE = "@platforma-open"
CATALOGUE = f"{SCOPE}/milaboratories.runenv-python-3"
BASE = f"{CATALOGUE}.12.10"


@dataclass(frozen=True)
class Publisher:
    """A workspace with a storage and a user's home of its own."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "workspace"

    def run(self, *words: str, cwd: Path | None = None, **env: str) -> Result:
        """Run ``pyrunenv npm …`` as a user does."""
        done = subprocess.run(
            [sys.executable, "-m", "pyrunenv", "npm", *words], cwd=cwd or self.root, env=self.environment(**env),
            capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def publish(self, *words: str, **env: str) -> Result:
        return self.run("publish", "--storage-url", (self.folder / "storage").as_uri(), *words, **env)

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "NO_PROXY": "*", **more}

    def npm(self, registry: str, *words: str) -> Path:
        """Run the real npm in a fresh folder, and return its node_modules."""
        place = self.folder / f"client-{len(list(self.folder.glob('client-*')))}"
        write_json(place / "package.json", {"name": "client", "version": "1.0.0", "private": True})
        env = self.environment(npm_config_registry=registry, npm_config_cache=str(place / "cache"),
                               npm_config_update_notifier="false", npm_config_audit="false")  # fmt: skip
        done = subprocess.run(["npm", *words], cwd=place, env=env, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        return place / "node_modules"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdaccio]:
    with verdaccio(tmp_path_factory.mktemp("verdaccio")) as server:
        yield server


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        yield server


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """Two environments and a catalogue, built, with all archives in storage."""
    store(tmp_path / "storage", make_built(tmp_path / "workspace").environments)
    return Publisher(tmp_path)


def golden_workspace(folder: Path) -> Publisher:
    """The golden catalogue, and the environments that it names at the versions that it names."""
    root = folder / "workspace"
    write_json(root / "shared-config.json", {})
    (root / "catalogue").mkdir(parents=True)
    shutil.copy(GOLDEN / "catalogue/package.json", root / "catalogue/package.json")
    catalogue = _json(GOLDEN / "catalogue/package.json")
    for name, version in catalogue["dependencies"].items():
        full = name.removeprefix(f"{CATALOGUE}.").replace("12.10", "3.12.10")
        package = {**_json(GOLDEN / "environment/package.json"), "name": name, "version": version}
        expected = _json(GOLDEN / f"catalogue/dist/tengo/software/{full}.sw.json")["runEnv"]["envVars"]
        if expected:
            package["block-software"]["entrypoints"]["main"]["environment"]["artifact"]["envVars"] = expected
        write_json(root / f"python-{full}" / "package.json", package)
        write_json(root / f"python-{full}" / "config.json", {})
    store(folder / "storage", pretend_built(root).environments)
    return Publisher(folder)


@pytest.mark.network
def test_npm_installs_the_golden_form(real: Verdaccio, tmp_path: Path) -> None:
    """The catalogue brings each environment at exactly its version, and every JSON file is the golden one, byte for byte."""
    here = golden_workspace(tmp_path)
    result = here.publish("--registry", real.url, NPM_TOKEN=real.token)
    assert result.status == 0, result.stderr
    rows = [line.split()[:2] for line in result.stdout.splitlines()[1:]]
    dependencies = _json(GOLDEN / "catalogue/package.json")["dependencies"]
    assert rows[-1] == [CATALOGUE, "1.7.4"]
    assert {row[0]: row[1] for row in rows[:-1]} == dependencies

    modules = here.npm(real.url, "install", CATALOGUE)
    assert _files(modules / CATALOGUE) == _files(GOLDEN / "catalogue")
    assert {name: _json(modules / name / "package.json")["version"] for name in dependencies} == dependencies
    assert {path.name for path in (modules / SCOPE).iterdir()} == {
        name.partition("/")[2] for name in (CATALOGUE, *dependencies)
    }

    folder = here.root / "python-3.12.10"
    shutil.copy(GOLDEN / "environment/package.json", folder / "package.json")
    store(tmp_path / "storage", [e for e in pretend_built(here.root).environments if e.folder == folder])
    result = here.publish("3.12.10", "--registry", real.url, NPM_TOKEN=real.token)
    assert result.status == 0, result.stderr
    installed = _files(here.npm(real.url, "install", f"{BASE}@1.3.24") / BASE)
    manifests = {path: content for path, content in installed.items() if path.startswith("dist/manifest/")}
    assert installed == {**_files(GOLDEN / "environment"), **manifests}
    assert set(manifests) == {f"dist/manifest/{path.name}" for path in (folder / "dist/manifest").iterdir()}
    assert len(manifests) == 5


@pytest.mark.network
def test_a_second_run_has_nothing_to_do_and_other_content_is_an_error(real: Verdaccio, publisher: Publisher) -> None:
    """Nothing that is published changes; the login comes from the user's .npmrc."""
    (publisher.folder / ".npmrc").write_text(
        f"registry={real.url}\n{real.url.removeprefix('http:')}:_authToken=${{T}}\n"
    )
    first = publisher.publish(T=real.token)
    assert (first.status, first.stdout.count(" published ")) == (0, 3), first.stderr
    again = publisher.publish(T=real.token)
    assert (again.status, again.stdout.count(" there already ")) == (0, 3), again.stderr
    assert publisher.publish().status == 0, "nothing to put, no login needed"
    (publisher.root / "python-3.12.10" / "README.md").write_text("changed after it was published\n")
    other = publisher.publish(T=real.token)
    assert other.status == 11
    assert f"is in {real.url} already, with other content" in other.stderr
    assert "README.md: only here" in other.stderr
    assert other.stderr.count("sha512-") == 2
    assert real.token not in first.stdout + first.stderr + other.stderr


@pytest.mark.network
def test_two_runs_at_once_publish_once(real: Verdaccio, tmp_path: Path) -> None:
    """Whoever comes second finds it there; both end well."""
    made = make_built(tmp_path / "workspace", ["3.13.1", "3.13.1-two"])
    store(tmp_path / "storage", made.environments)
    path = tmp_path / "workspace/catalogue/package.json"
    write_json(path, {**_json(path), "name": "@test/test.race"})
    pretend_built(tmp_path / "workspace")
    here = Publisher(tmp_path)
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(here.publish, "--registry", real.url, NPM_TOKEN=real.token) for _ in range(2)]
        results = [run.result() for run in runs]
    assert [result.status for result in results] == [0, 0], [result.stderr for result in results]
    told = "".join(result.stdout for result in results)
    assert told.count(" published ") + told.count(" there already ") == 6
    assert told.count(" published ") >= 3
    modules = here.npm(real.url, "install", "@test/test.race")
    assert (modules / "@test/test.runenv-python-3.13.1-two/dist/manifest/windows-x64.json").is_file()


@pytest.mark.network
def test_a_wrong_token_is_an_error_and_is_shown_nowhere(real: Verdaccio, tmp_path: Path) -> None:
    """Nor is anything published; -vv does not tell it either."""
    made = make_built(tmp_path / "workspace", ["3.13.2"])
    store(tmp_path / "storage", made.environments)
    here = Publisher(tmp_path)
    wrong = "npm_wrong-0123456789"
    result = here.publish("3.13.2", "-vv", "--registry", real.url, NPM_TOKEN=wrong)
    assert result.status == 11
    assert "cannot publish @test/test.runenv-python-3.13.2 1.0.0" in result.stderr
    assert "NPM_TOKEN" in result.stderr
    assert wrong not in result.stdout + result.stderr
    assert here.publish("3.13.2", "--dry-run", "--registry", real.url).stdout.count(" to publish ") == 1


@pytest.mark.network
def test_npm_installs_what_pack_wrote(publisher: Publisher, real: Verdaccio) -> None:
    """A tarball is a package without any registry, too; packing again gives the same bytes."""
    for folder in ("one", "two"):
        result = publisher.run("pack", "3.12.10", "--to", str(publisher.folder / folder))
        assert result.status == 0, result.stderr
    name = "test-test.runenv-python-3.12.10-1.0.0.tgz"
    assert (publisher.folder / "one" / name).read_bytes() == (publisher.folder / "two" / name).read_bytes()
    modules = publisher.npm(real.url, "install", str(publisher.folder / "one" / name))
    source = publisher.root / "python-3.12.10"
    installed = _files(modules / "@test/test.runenv-python-3.12.10")
    assert installed == {path: content for path, content in _files(source).items() if path != "config.json"}


def test_a_dry_run_changes_nothing(publisher: Publisher, fake: FakeRegistry) -> None:
    """It says what would be published, without a login."""
    result = publisher.publish("--dry-run", "--registry", fake.url)
    assert (result.status, result.stdout.count(" to publish ")) == (0, 3), result.stderr
    assert fake.puts == []
    packed = publisher.run("pack", "--dry-run", "--to", str(publisher.folder / "none"))
    assert (packed.status, packed.stdout.count(".tgz")) == (0, 3), packed.stderr
    assert not (publisher.folder / "none").exists()


def test_no_archive_in_storage_no_package(publisher: Publisher, fake: FakeRegistry) -> None:
    """npm must not tell of an archive that nobody can get; nor is the catalogue published without its environments."""
    shutil.rmtree(publisher.folder / "storage/software/test/test.runenv-python-3.12.10-atls")
    result = publisher.publish("--registry", fake.url, NPM_TOKEN=TOKEN)
    assert result.status == 11
    assert result.stderr.count("its archive is not in storage") == 5
    assert fake.puts == []
    catalogue = publisher.publish("catalogue", "--registry", fake.url, NPM_TOKEN=TOKEN)
    assert catalogue.status == 11
    assert catalogue.stderr.count(f"1.0.0 is not in {fake.url}") == 2
    assert publisher.publish("3.12.10", "--registry", fake.url, NPM_TOKEN=TOKEN).status == 0
    unknown = publisher.run("publish", "3.12.10", "--registry", fake.url)
    assert "--storage-url" in unknown.stderr


def test_each_scope_has_its_registry(publisher: Publisher, fake: FakeRegistry) -> None:
    """The project's .npmrc says which; a one-time password goes along, and is shown nowhere."""
    key = fake.url.removeprefix("http:")
    (publisher.root / ".npmrc").write_text(
        f"registry=http://127.0.0.1:9/\n@test:registry={fake.url}\n{key}:_authToken={TOKEN}\n"
    )
    result = publisher.publish("-vv", "--otp", "314159", "--tag", "next", "--access", "public")
    assert result.status == 0, result.stderr
    assert {put.headers["npm-otp"] for put in fake.puts} == {"314159"}
    documents: list[Mapping[str, Any]] = [json.loads(put.body) for put in fake.puts]
    assert [(list(d["dist-tags"]), d["access"]) for d in documents] == [(["next"], "public")] * 3
    assert [d["name"] for d in documents][-1] == "@test/test.runenv-python-3"
    assert not {"314159", TOKEN} & set((result.stdout + result.stderr).split())


def _json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
