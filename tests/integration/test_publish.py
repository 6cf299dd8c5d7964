"""Publishing as a user does it: to a folder and to a real S3 server, again, with other bytes, from several machines."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.product import VERSION, Result, World
from support.storages import MAIN, NAME, S3, VARIANT, Place, built_world, temporaries, unsound
from support.workspaces import ALL_PLATFORMS, write_json


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """What is published."""
    with built_world(tmp_path_factory.mktemp("publish")) as world:
        yield world


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, built: World, tmp_path: Path) -> Place:
    if request.param == "file":
        return Place(built, tmp_path, (tmp_path / "storage").as_uri(), {})
    s3: S3 = request.getfixturevalue("s3")
    return Place(built, tmp_path, s3.url(tmp_path.name), dict(s3.env))


def test_all_of_it_is_published_and_then_nothing_is_left_to_do(place: Place) -> None:
    """Archives with their papers, releases, the catalogue; a second run finds all of it, and changes nothing."""
    result = place.publish("--verify-remote")
    assert result.status == 0, result.stderr
    catalogue = place.catalogue()
    assert catalogue is not None
    assert set(catalogue["entrypoints"]) == {VERSION, VARIANT}
    assert unsound(place.storage, catalogue) == []
    entry = catalogue["entrypoints"][VERSION]
    assert (entry["name"], entry["version"], set(entry["archives"])) == (NAME, "1.0.0", set(ALL_PLATFORMS))
    manifest = place.world.manifest("linux-x64")
    archive = entry["archives"]["linux-x64"]
    assert (archive["sha256"], archive["address"]) == (manifest["archive"]["sha256"], f"{MAIN}/1.0.0-linux-x64.tgz")
    told = place.storage.read(f"{archive['address']}.sha256")
    assert told is not None
    assert told.content.decode() == f"{archive['sha256']}  1.0.0-linux-x64.tgz\n"
    bill = place.storage.read(f"{archive['address']}.cdx.json")
    origin = place.storage.read(f"{archive['address']}.provenance.json")
    assert bill is not None
    assert origin is not None
    assert {c["name"] for c in json.loads(bill.content)["components"]} == {"cpython", "native", "pure"}
    assert json.loads(origin.content)["subject"][0]["digest"]["sha256"] == archive["sha256"]
    software = (place.world.root / "catalogue/dist/tengo/software" / f"{VERSION}.sw.json").read_text(encoding="utf-8")
    assert entry["descriptor"] == json.loads(software)
    assert temporaries(place.storage) == []
    again = place.publish()
    assert again.status == 0, again.stderr
    assert (again.stdout.count("there already"), "uploaded" in again.stdout) == (13, False)


def test_other_bytes_are_an_error_that_names_both(place: Place) -> None:
    """An object is never replaced silently; --force replaces it, and says so."""
    assert place.publish().status == 0
    before = place.catalogue()
    assert before is not None
    other = b"others were faster"
    address = f"{MAIN}/1.0.0-windows-x64.tgz"
    place.storage.overwrite(address, other)
    result = place.publish()
    assert result.status == 1
    sha256 = before["entrypoints"][VERSION]["archives"]["windows-x64"]["sha256"]
    assert f"{place.storage.url(address)} is there already, with other bytes" in result.stderr
    assert f"here: sha256 {sha256}" in result.stderr
    assert "--force" in result.stderr
    assert bytes(b"".join(place.storage.chunks(address))) == other
    forced = place.publish("--force")
    assert forced.status == 0, forced.stderr
    assert forced.stdout.count("replaced") == 1
    assert unsound(place.storage, before) == []


def test_damage_in_the_storage_is_found_when_all_bytes_are_read(place: Place) -> None:
    """What has the right size and stands beside the right digest is believed, unless --verify-remote asks."""
    assert place.publish().status == 0
    address = f"{MAIN}/1.0.0-macosx-x64.tgz"
    content = bytearray(b"".join(place.storage.chunks(address)))
    content[len(content) // 2] ^= 1
    place.storage.overwrite(address, bytes(content))
    assert place.publish().status == 0
    result = place.publish("--verify-remote")
    assert result.status == 1
    assert "has other bytes than were put there" in result.stderr
    assert place.publish("--force", "--verify-remote").status == 1
    place.storage.delete(f"{address}.sha256")
    assert "is there already, with other bytes" in place.publish().stderr
    assert place.publish("--force", "--verify-remote").status == 0


def test_several_machines_publish_a_part_each(place: Place) -> None:
    """The release and the catalogue wait until the last platform is there."""
    first = place.publish("--platform", "linux-x64", "--platform", "macosx-x64")
    assert first.status == 0, first.stderr
    assert "the catalogue waits" in first.stderr
    assert "windows-x64: its archive is not in storage" in first.stderr
    assert place.catalogue() is None
    assert place.storage.size(f"{MAIN}/1.0.0.json") is None
    for full in (VERSION, VARIANT):
        shutil.rmtree(place.world.root / f"python-{full}" / "pydist" / "linux-x64")
    rest = [word for key in ALL_PLATFORMS[1:] for word in ("--platform", key)]
    last = place.publish(*rest)
    assert last.status == 0, last.stderr
    catalogue = place.catalogue()
    assert catalogue is not None
    assert unsound(place.storage, catalogue) == []


def test_a_dry_run_changes_nothing(place: Place) -> None:
    """It says for each archive what would be done."""
    result = place.publish("--dry-run")
    assert (result.status, result.stdout.count("would be uploaded")) == (0, 10), result.stderr
    assert place.storage.size(f"{MAIN}/1.0.0-linux-x64.tgz") is None
    assert place.publish(VERSION).status == 0
    again = place.publish("--dry-run")
    assert (again.stdout.count("would be uploaded"), again.stdout.count("there already")) == (5, 5)


def test_a_new_version_replaces_the_newest_and_an_older_one_does_not(place: Place) -> None:
    """Every version of a catalogue stays; the newest is put in its place in one step, and only by a newer one."""
    assert place.publish().status == 0

    def set_version(version: str) -> Any:
        return lambda value: value.update(version=version)

    place.edit("catalogue/package.json", set_version("1.10.0"))
    assert place.publish().status == 0
    catalogue = place.catalogue()
    assert catalogue is not None
    assert catalogue["version"] == "1.10.0"
    place.edit("catalogue/package.json", set_version("1.9.0"))
    older = place.publish()
    assert (older.status, "older than the newest" in older.stdout) == (0, True)
    assert place.catalogue() == catalogue
    assert place.storage.size("catalogue/test/test.runenv-python-3/1.9.0.json") is not None


def test_a_catalogue_that_changed_needs_a_version_of_its_own(place: Place) -> None:
    """A version that clients may have read stays what it was."""
    assert place.publish().status == 0
    before = place.catalogue()
    place.edit("catalogue/package.json", lambda v: v["block-software"]["entrypoints"].pop(VARIANT))
    result = place.publish()
    assert result.status == 1
    assert "catalogue/test/test.runenv-python-3/1.0.0.json is there already, with other content" in result.stderr
    assert place.catalogue() == before


def test_what_is_not_built_or_not_fit_stops_before_anything_is_uploaded(place: Place) -> None:
    """All reasons at once: not built, changed since, another version, made for a try."""
    folder = place.world.environment_folder()
    (folder / "build" / "linux-x64.json").unlink()
    archive = next(folder.glob("pkg-*-macosx-x64.tgz"))
    archive.write_bytes(archive.read_bytes() + b"\0")
    manifest = folder / "dist" / "manifest" / "windows-x64.json"
    value = json.loads(manifest.read_text(encoding="utf-8"))
    value.update(publishable=False, unpublishableBecause=["the interpreter is a local CPython, made for a try"])
    write_json(manifest, value)
    result = place.publish()
    assert result.status == 11
    assert f"{VERSION} on linux-x64: it is not built" in result.stderr
    assert f"{VERSION} on macosx-x64: what was built is out of date: {archive.name} was changed" in result.stderr
    assert f"{VERSION} on windows-x64: the interpreter is a local CPython, made for a try" in result.stderr
    assert place.storage.size(f"{MAIN}/1.0.0-linux-aarch64.tgz") is None
    place.edit(f"python-{VARIANT}/package.json", lambda v: v.update(version="1.1.0"))
    assert f"{VARIANT} on linux-x64: what was built is out of date" in place.publish(VARIANT).stderr


def test_two_runs_with_the_same_bytes_help_each_other(place: Place) -> None:
    """Both end well, whoever is first with what."""
    results: list[Result] = []
    threads = [threading.Thread(target=lambda: results.append(place.publish())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.status for result in results] == [0, 0], results
    catalogue = place.catalogue()
    assert catalogue is not None
    assert unsound(place.storage, catalogue) == []
    assert temporaries(place.storage) == []


def test_of_two_runs_with_different_bytes_one_wins(place: Place, tmp_path: Path) -> None:
    """Nothing is mixed: what the catalogue names is of one run, and the other is told of both digests."""
    other = tmp_path / "other"
    shutil.copytree(place.world.root, other, symlinks=True)
    rival = World(tmp_path, place.world.index, other, place.world.cache, place.world.archives, place.world.env)
    assert rival.run("build", "--all-platforms", env={"SOURCE_DATE_EPOCH": "1700000000"}).status == 0
    digests = [
        {
            (full, key): world.manifest(key, full)["archive"]["sha256"]
            for full in (VERSION, VARIANT)
            for key in ALL_PLATFORMS
        }
        for world in (place.world, rival)
    ]
    assert not set(digests[0].values()) & set(digests[1].values())
    results: dict[int, Result] = {}

    def publish(which: int) -> None:
        results[which] = (place.world, rival)[which].run("publish", "--storage-url", place.url)

    threads = [threading.Thread(target=publish, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 in (results[0].status, results[1].status), results
    winners = set()
    for full in (VERSION, VARIANT):
        found = place.storage.read(f"software/test/test.runenv-python-{full}/main/1.0.0.json")
        assert found is not None, results
        told = {(full, key): archive["sha256"] for key, archive in json.loads(found.content)["archives"].items()}
        winner = next(which for which in (0, 1) if told.items() <= digests[which].items())
        # of one archive or of all, as far as the winner was
        said = results[1 - winner].stderr
        assert any(f"there: sha256 {digests[winner][full, key]}" in said for key in ALL_PLATFORMS), said
        winners.add(winner)
    catalogue = place.catalogue()
    assert (catalogue is not None) == (len(winners) == 1)
    assert catalogue is None or unsound(place.storage, catalogue) == []


def test_no_secret_is_told(built: World, s3: S3, tmp_path: Path) -> None:
    """Neither the login nor what a URL may hold appears, whether it works or not."""
    place = Place(built, tmp_path, s3.url("secrets"), dict(s3.env))
    said = [place.publish("-vv"), place.publish("--storage-url", "s3://nobody-has-this-bucket/x", "-vv")]
    place.world.env["AWS_SESSION_TOKEN"] = "a-session-token-to-hide"
    said.append(place.publish("--storage-url", f"s3e://127.0.0.1:{s3.port}/absent/x?scheme=http", "-vv"))
    said.append(place.publish("--storage-url", "s3://key:password-in-url@bucket/x", "-vv"))
    said.append(place.publish("--storage-url", "s3://bucket/x?secret=token-in-url", "-vv"))
    assert [result.status for result in said] == [0, 11, 1, 11, 11]
    text = "".join(result.stdout + result.stderr for result in said)
    for secret in (s3.env["AWS_SECRET_ACCESS_KEY"], "a-session-token-to-hide", "password-in-url", "token-in-url"):
        assert secret not in text
    assert "Debug source" not in text


def test_the_storage_is_taken_from_where_the_contract_says(built: World, tmp_path: Path) -> None:
    """The option, then the variable of the registry, then package.json; without any the message names all three."""
    place = Place(built, tmp_path, "", {})
    result = place.world.run("publish")
    assert result.status == 11
    assert "set PL_REGISTRY_PLATFORMA_OPEN_UPLOAD_URL" in result.stderr
    given = tmp_path / "given"
    told = place.world.run("publish", VARIANT, env={"PL_REGISTRY_PLATFORMA_OPEN_UPLOAD_URL": given.as_uri()})
    assert told.status == 0, told.stderr
    assert (given / f"software/test/test.runenv-python-{VARIANT}/main/1.0.0-linux-x64.tgz").is_file()


def test_the_web_is_told_what_may_be_kept(built: World, s3: S3, tmp_path: Path) -> None:
    """Only the newest catalogue changes, and no cache on the way may keep it."""
    import obstore

    place = Place(built, tmp_path, s3.url("attributes"), s3.env)
    assert place.publish().status == 0
    told = {
        address: obstore.get(place.storage._store, address).attributes
        for address in ("catalogue/test/test.runenv-python-3/latest.json", f"{MAIN}/1.0.0.json")
    }
    assert [value["Content-Type"] for value in told.values()] == ["application/json"] * 2
    assert [value["Cache-Control"] for value in told.values()] == ["no-cache", "public, max-age=3600"]
