"""From archives to blocks and back: published to storage and npm in one go, and pulled through npm's packages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.product import VERSION, World
from support.storages import CATALOGUE, MAIN, NAME, VARIANT, Place, built_world
from support.verdaccio import Verdaccio, verdaccio


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdaccio]:
    with verdaccio(tmp_path_factory.mktemp("verdaccio")) as server:
        yield server


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """What is published."""
    with built_world(tmp_path_factory.mktemp("both")) as world:
        yield world


@pytest.mark.network
def test_one_run_publishes_all_and_npm_leads_to_the_archives(built: World, npm: Verdaccio, tmp_path: Path) -> None:
    """The digest that counts is in the npm package; neither other bytes in the storage nor a wrong name pass."""
    place = Place(built, tmp_path, (built.index.folder / "both").as_uri(), {})
    base = built.index.url.rpartition("/simple")[0] + "/files/both"
    for full in (VERSION, VARIANT):
        place.edit(f"python-{full}/package.json", lambda v: v["block-software"]["entrypoints"]["main"]["environment"]
                   ["artifact"].update(registry={"name": "mine", "downloadURL": base}))  # fmt: skip
    assert place.world.run("build", "--all-platforms").status == 0
    place.world.env.update(HOME=str(tmp_path), NPM_TOKEN=npm.token, NPM_CONFIG_REGISTRY=npm.url)
    part = place.publish("--npm", "--platform", "linux-x64")
    assert (part.status, "the catalogue waits" in part.stderr) == (0, True)
    whole = place.publish("--npm")
    assert whole.status == 0, whole.stderr
    assert whole.stdout.count(" published ") >= 3
    assert place.publish("--npm").status == 0

    client = tmp_path / "client"
    client.mkdir()
    env = {"PYRUNENV_CACHE": str(client / "cache"), "PYRUNENV_STORE": str(client / "store")}

    def pull(word: str, catalogue: str = CATALOGUE) -> tuple[int, str, str]:
        result = place.world.run("pull", word, "--platform", "linux-x64", "--from", catalogue, cwd=client, env=env)
        return result.status, result.stdout.strip(), result.stderr

    status, folder, said = pull(VERSION)
    assert status == 0, said
    wheels = {path.name for path in (Path(folder) / "packages").iterdir()}
    assert wheels == place.world.wheels("linux-x64")
    assert pull(f"{NAME}@1.0.0", f"{CATALOGUE}@latest")[:2] == (0, folder)
    assert pull("3.12.10-odl")[0] == 12
    assert "has no @test/test.runenv-python-3 9.9.9" in pull(VERSION, f"{CATALOGUE}@9.9.9")[2]
    assert "has no @test/nothing" in pull(VERSION, "@test/nothing")[2]
    shutil.rmtree(folder)
    address = f"{MAIN}/1.0.0-linux-x64.tgz"
    place.storage.overwrite(address, bytes(place.storage.size(address) or 0))
    place.storage.overwrite(f"{address}.sha256", b"0" * 64)
    status, _, said = pull(VERSION)
    assert (status, "is not what was promised" in said) == (5, True)
    assert npm.token not in said
