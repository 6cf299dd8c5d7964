"""Fetching what was published: from a folder, S3 and the web, again, cut, damaged, altered."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from support.product import VERSION, Result, World
from support.storages import CATALOGUE, MAIN, NAME, S3, VARIANT, Place, built_world

from pyrunenv.bundle.listing import scan


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """What is published."""
    with built_world(tmp_path_factory.mktemp("pull")) as world:
        yield world


class Client:
    """Another machine: a cache, a store and a folder of its own, and no workspace."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place, self.folder = place, folder
        folder.mkdir()
        self.env = {"PYRUNENV_CACHE": str(folder / "cache"), "PYRUNENV_STORE": str(folder / "store")}

    def pull(self, *words: str, source: str | None = None) -> Result:
        given = ["--from", self.place.url if source is None else source] if source != "" else []
        return self.place.world.run("pull", *words, *given, cwd=self.folder, env=self.env)


@pytest.fixture(params=["file", "s3"])
def client(request: pytest.FixtureRequest, built: World, tmp_path: Path) -> Client:
    """A client of a storage in which everything is published."""
    if request.param == "file":
        place = Place(built, tmp_path, (tmp_path / "storage").as_uri(), {})
    else:
        s3: S3 = request.getfixturevalue("s3")
        place = Place(built, tmp_path, s3.url(tmp_path.name), s3.env)
    assert place.publish().status == 0
    return Client(place, tmp_path / "client")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path.name != ".pyrunenv.json"
    }  # fmt: skip


@pytest.mark.parametrize("platform", ["linux-x64", "windows-x64"])
def test_what_is_pulled_is_what_was_built(client: Client, platform: str) -> None:
    """File by file, links and modes included; a second time nothing is fetched."""
    result = client.pull(VERSION, "--platform", platform)
    assert result.status == 0, result.stderr
    folder = Path(result.stdout.strip())
    bundle = client.place.world.environment_folder() / "pydist" / platform
    assert contents(folder) == contents(bundle)
    found, expected = scan(folder).folders, scan(bundle).folders
    modes = [
        {f"{p}/{n}": e if isinstance(e, str) else e[2] for p, entries in side.items() for n, e in entries.items()}
        for side in (found, expected)
    ]
    modes[0].pop("/.pyrunenv.json")
    assert modes[0] == modes[1]
    archive = next(client.place.world.environment_folder().glob(f"pkg-*-{platform}.tgz"))
    client.place.storage.delete(f"{MAIN}/1.0.0-{platform}.tgz")
    again = client.pull(VERSION, "--platform", platform)
    assert (again.status, again.stdout) == (0, result.stdout)
    assert "is there already" in again.stderr
    assert not list((client.folder / "cache").rglob("*.part"))
    with tarfile.open(archive) as tar:
        assert {m.name for m in tar if m.isfile()} == set(contents(folder))


def test_a_version_is_asked_for_by_name_or_npm_name(client: Client) -> None:
    """The catalogue tells the newest; an older version is found by its release, and one that is not is told."""
    asked = [
        client.pull(word, "--platform", "linux-x64") for word in (VERSION, NAME, f"{NAME}@1.0.0", f"{VERSION}@1.0.0")
    ]
    assert {result.stdout for result in asked} == {asked[0].stdout}
    assert asked[0].status == 0
    assert f"{MAIN}/9.9.9.json" in client.pull(f"{VERSION}@9.9.9").stderr
    wrong = client.pull("3.12.10-odl")
    assert (wrong.status, f"did you mean `{VARIANT}`?" in wrong.stderr) == (12, True)
    named = client.pull(VARIANT, "--platform", "linux-x64", source=f"{client.place.url}#{CATALOGUE}")
    assert named.status == 0, named.stderr
    unknown = client.pull(VARIANT, source=f"{client.place.url}#@test/nothing")
    assert (unknown.status, "catalogue/test/nothing/latest.json" in unknown.stderr) == (12, True)


def test_a_folder_is_replaced_by_a_newer_version_but_never_what_is_not_ours(client: Client) -> None:
    """--to takes an empty folder, or one that was pulled and not changed; --force one that was."""
    target = client.folder / "here"
    words = ("--platform", "linux-x64", "--to", str(target))
    assert client.pull(VERSION, *words).status == 0
    assert client.pull(VARIANT, *words).status == 0
    assert json.loads((target / ".pyrunenv.json").read_bytes())["name"].endswith("-old")
    (target / "bin" / "more").write_text("mine", encoding="utf-8")
    changed = client.pull(VERSION, *words)
    assert (changed.status, "bin/more is new" in changed.stderr) == (12, True)
    assert (target / "bin" / "more").exists()
    assert client.pull(VERSION, *words, "--force").status == 0
    shutil.rmtree(target)
    target.mkdir()
    (target / "thesis.txt").write_text("mine", encoding="utf-8")
    refused = client.pull(VERSION, *words)
    assert (refused.status, "holds no environment that was pulled" in refused.stderr) == (12, True)
    assert [p.name for p in target.iterdir()] == ["thesis.txt"]


def test_damage_is_refused_and_leaves_nothing(client: Client) -> None:
    """What does not have the catalogue's digest is not unpacked, and what was there stays."""
    target = client.folder / "here"
    address = f"{MAIN}/1.0.0-linux-x64.tgz"
    content = bytearray(b"".join(client.place.storage.chunks(address)))
    content[len(content) // 2] ^= 1
    client.place.storage.overwrite(address, bytes(content))
    result = client.pull(VERSION, "--platform", "linux-x64", "--to", str(target))
    assert (result.status, "is not what was promised" in result.stderr) == (5, True)
    assert not target.exists()
    assert not [p for p in client.folder.rglob("*") if p.suffix in (".tmp", ".part")]


def test_a_cut_download_goes_on(client: Client) -> None:
    """What an earlier run left is taken up; if it was of something else it is fetched anew."""
    archive = next(client.place.world.environment_folder().glob("pkg-*-linux-x64.tgz"))
    sha256 = client.place.world.manifest("linux-x64")["archive"]["sha256"]
    part = client.folder / "cache" / "tmp" / f"{sha256}.part"
    part.parent.mkdir(parents=True)
    for left in (archive.read_bytes()[:1000], b"something else" * 100, archive.read_bytes() + b"more"):
        part.write_bytes(left)
        result = client.pull(VERSION, "--platform", "linux-x64", "--force", "--to", str(client.folder / "here"))
        assert result.status == 0, result.stderr


def test_the_web_serves_it_as_well(built: World, tmp_path: Path) -> None:
    """Below a registry's download address lie the same objects; in a workspace nothing has to be named."""
    place = Place(built, tmp_path, (built.index.folder / "published").as_uri(), {})
    assert place.publish().status == 0
    client = Client(place, tmp_path / "client")
    base = place.world.index.url.rpartition("/simple")[0] + "/files/published"
    unnamed = client.pull(VERSION, "--platform", "linux-x64", source=base)
    assert (unnamed.status, "name it at the end of --from" in unnamed.stderr) == (12, True)
    result = client.pull(VERSION, "--platform", "linux-x64", source=f"{base}#{CATALOGUE}")
    assert result.status == 0, result.stderr
    archive = client.pull(VERSION, "--platform", "linux-x64", source=f"{base}/{MAIN}/1.0.0-linux-x64.tgz")
    assert (archive.status, archive.stdout) == (0, result.stdout)
    for full in (VERSION, VARIANT):
        place.edit(f"python-{full}/package.json", lambda v: v["block-software"]["entrypoints"]["main"]["environment"]
                   ["artifact"].update(registry={"name": "mine", "downloadURL": base}))  # fmt: skip
    here = place.world.run("pull", VERSION, "--platform", "linux-x64", env=client.env)
    assert (here.status, here.stdout) == (0, result.stdout)
    assert "there is no workspace here" in client.pull(VERSION, source="").stderr


def test_an_archive_that_was_handed_over(built: World, tmp_path: Path) -> None:
    """A file with its manifest beside it is checked against that; a bare one is taken as it is, with a warning."""
    place = Place(built, tmp_path, (tmp_path / "storage").as_uri(), {})
    assert place.publish("--share").status == 0
    client = Client(place, tmp_path / "client")
    folder = tmp_path / "storage" / MAIN
    result = client.pull(VERSION, "--platform", "linux-x64", source=str(folder / "1.0.0-linux-x64.tgz"))
    assert result.status == 0, result.stderr
    other = client.pull(VERSION, "--platform", "macosx-x64", source=str(folder / "1.0.0-linux-x64.tgz"))
    assert (other.status, "on linux-x64" in other.stderr) == (12, True)
    bare = tmp_path / "bare.tgz"
    shutil.copyfile(folder / "1.0.0-linux-x64.tgz", bare)
    taken = client.pull(VERSION, "--platform", "linux-x64", source=str(bare))
    assert (taken.status, "nothing beside" in taken.stderr) == (0, True)
    bare.write_bytes(bare.read_bytes()[:5000])
    cut = client.pull(VERSION, "--platform", "linux-x64", "--to", str(tmp_path / "cut"), source=str(bare))
    assert (cut.status, "is damaged or cut short" in cut.stderr) == (6, True)
    assert not (tmp_path / "cut").exists()


def test_only_what_the_trusted_key_signed_is_pulled(built: World, tmp_path: Path) -> None:
    """Not what is unsigned, what another key signed, an older version in the newer one's place, or a changed catalogue."""
    keys = []
    for name in ("ours", "theirs"):
        key = Ed25519PrivateKey.generate()
        (tmp_path / f"{name}.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / f"{name}.pub").write_bytes(public)
        keys.append(str(tmp_path / f"{name}.pub"))
    place = Place(built, tmp_path, (tmp_path / "storage").as_uri(), {})
    client = Client(place, tmp_path / "client")
    words = (VERSION, "--platform", "linux-x64", "--trust", keys[0])
    assert place.publish().status == 0
    unsigned = client.pull(*words)
    assert (unsigned.status, "is not signed" in unsigned.stderr) == (12, True)
    signed = place.publish("--sign", str(tmp_path / "ours.pem"))
    assert signed.status == 0, signed.stderr
    assert client.pull(*words).status == 0
    wrong = client.pull(*words[:-1], keys[1])
    assert (wrong.status, "not signed by the key that is trusted" in wrong.stderr) == (12, True)
    again = place.publish(env={"PYRUNENV_SIGNING_KEY": (tmp_path / "theirs.pem").read_text(encoding="ascii")})
    assert (again.status, "of another key" in again.stderr) == (1, True)
    assert client.pull(*words, "--force").status == 0

    # the archive, manifest, statement and release of one version in the place of another's
    storage = tmp_path / "storage"
    for path in (storage / MAIN).glob("1.0.0*"):
        shutil.copyfile(path, path.with_name(path.name.replace("1.0.0", "1.1.0")))
    release = storage / MAIN / "1.1.0.json"
    release.write_text(release.read_text(encoding="utf-8").replace("1.0.0", "1.1.0"), encoding="utf-8")
    older = client.pull(f"{NAME}@1.1.0", *words[1:])
    assert (older.status, "it is of version `1.0.0`" in older.stderr) == (12, True)
    assert client.pull(f"{NAME}@1.1.0", *words[1:3]).status == 0

    newest = storage / "catalogue/test/test.runenv-python-3/latest.json"
    newest.write_bytes(newest.read_bytes().replace(b'"1.0.0"', b'"1.0.0" ', 1))
    changed = client.pull(*words)
    assert (changed.status, "latest.json is not signed by the key" in changed.stderr) == (12, True)


def test_a_second_environment_fetches_only_what_is_new(client: Client) -> None:
    """With parts in the storage, what both hold is fetched once; the result is the archive's, file by file."""
    shared = client.place.publish("--share")
    assert shared.status == 0, shared.stderr
    first = client.pull(VERSION, "--platform", "linux-x64", "-v")
    assert "0 of" in first.stderr
    held = client.place.storage
    parts = json.loads(
        b"".join(held.chunks(f"software/test/test.runenv-python-{VARIANT}/main/1.0.0-linux-x64.tgz.parts.json"))
    )
    (rest,) = [parts["rest"]]
    held.delete(f"content/sha256/{rest['sha256'][:2]}/{rest['sha256']}")  # the interpreter came with the first
    for address in (
        f"{MAIN}/1.0.0-linux-x64.tgz",
        f"software/test/test.runenv-python-{VARIANT}/main/1.0.0-linux-x64.tgz",
    ):
        held.delete(address)
    second = client.pull(VARIANT, "--platform", "linux-x64", "-v")
    assert second.status == 0, second.stderr
    for result, full in ((first, VERSION), (second, VARIANT)):
        assert contents(Path(result.stdout.strip())) == contents(
            client.place.world.environment_folder(full) / "pydist" / "linux-x64"
        )


def test_parts_that_make_something_else_are_not_taken(client: Client) -> None:
    """The manifest's digest of the tar decides; the archive is fetched whole instead."""
    assert client.place.publish("--share").status == 0
    address = f"{MAIN}/1.0.0-linux-x64.tgz.parts.json"
    parts = json.loads(b"".join(client.place.storage.chunks(address)))
    parts["wheels"].pop()
    client.place.storage.overwrite(address, json.dumps(parts).encode())
    result = client.pull(VERSION, "--platform", "linux-x64")
    assert (result.status, "is fetched whole" in result.stderr) == (0, True)
    assert contents(Path(result.stdout.strip())) == contents(
        client.place.world.environment_folder() / "pydist" / "linux-x64"
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"version": "1.0.0"', '"version": "1.0.0/../../../../evil"', "entrypoints.3.12.10.version"),
        (f'"name": "{NAME}"', '"name": "../../evil"', "entrypoints.3.12.10.name"),
        ('"linux-x64": {', '"../linux-x64": {', "entrypoints.3.12.10.archives.../linux-x64"),
        ('"sha256": "', '"sha256": "../', "sha256"),
        ('"format": 1', '"format": 2', "use a newer pyrunenv"),
        ("{", "[", "latest.json"),
        (f'"address": "{MAIN}', '"address": "../../../etc', "etc/1.0.0-linux-x64.tgz"),
    ],
)
def test_a_catalogue_cannot_lead_out_of_its_place(
    built: World, tmp_path: Path, before: str, after: str, said: str
) -> None:
    """Names, versions, platforms, digests and addresses become paths: what is no such thing is refused."""
    place = Place(built, tmp_path, (tmp_path / "storage").as_uri(), {})
    assert place.publish().status == 0
    newest = tmp_path / "storage" / "catalogue/test/test.runenv-python-3/latest.json"
    text = newest.read_text(encoding="utf-8")
    assert before in text
    newest.write_text(text.replace(before, after), encoding="utf-8")
    client = Client(place, tmp_path / "client")
    result = client.pull(VERSION, "--platform", "linux-x64")
    assert (result.status in (11, 12), said in result.stderr) == (True, True), result.stderr
    assert not list(tmp_path.rglob("*evil*"))


def test_a_zip_is_published_and_pulled_as_well(built: World, tmp_path: Path) -> None:
    """Whatever package.json says archives are."""
    place = Place(built, tmp_path, (tmp_path / "storage").as_uri(), {})
    for full in (VERSION, VARIANT):
        place.edit(f"python-{full}/package.json", lambda v: v["block-software"]["entrypoints"]["main"]["environment"]
                   ["artifact"].update(archiveType="zip"))  # fmt: skip
    assert place.world.run("build", "--all-platforms").status == 0
    published = place.publish("--share")
    assert published.status == 0, published.stderr
    result = Client(place, tmp_path / "client").pull(VERSION, "--platform", "windows-x64")
    assert result.status == 0, result.stderr
    assert contents(Path(result.stdout.strip())) == contents(
        place.world.environment_folder() / "pydist" / "windows-x64"
    )


def test_a_storage_without_a_catalogue_has_releases(built: World, tmp_path: Path) -> None:
    """The newest of an environment that its name tells; what several could be is not guessed."""
    place = Place(built, tmp_path, (tmp_path / "storage").as_uri(), {})
    shutil.rmtree(place.world.root / "catalogue")
    assert place.publish().status == 0
    client = Client(place, tmp_path / "client")
    found = [client.pull(word, "--platform", "linux-x64") for word in (VARIANT, f"{VARIANT}@1.0.0", f"{NAME}-old")]
    assert [result.status for result in found] == [0, 0, 0], found
    assert len({result.stdout for result in found}) == 1
    assert client.pull("old", "--platform", "linux-x64").stdout == found[0].stdout
    assert "name it at the end of --from" in client.pull("3.12", "--platform", "linux-x64").stderr
