"""Several registries with the real resolver: who may serve what, who is asked, and what happens when one is silent."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.faults import Html, Status
from support.index import IndexServer
from support.locks import LINUX, LockWorld, entry, lock_world, versions
from support.product import VERSION
from support.wheels import make_sdist, make_wheel


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LockWorld]:
    """A public and a private registry."""
    with lock_world(tmp_path) as made:
        yield made


def additional(server: IndexServer, *packages: str, name: str = "private", **more: object) -> dict[str, object]:
    """The registries' part of a config with one more registry."""
    pinned = {"packages": list(packages)} if packages else {}
    return {"additional": [{"url": server.url, "name": name, **pinned}], **more}


def asked(server: IndexServer) -> set[str]:
    """The names that a registry was asked for."""
    return {path.strip("/").split("/")[-1] for path in server.counts("/simple/")}


@pytest.fixture
def confused(world: LockWorld) -> LockWorld:
    """Dependency confusion: the public registry has higher versions of private names, the private one of public names."""
    public, private = world.public.folder, world.private.folder
    make_wheel(public, "inner-lib", "99.0")
    make_wheel(private, "inner-lib", "1.0", requires=["common"])
    make_wheel(public, "Middle", "1.0", requires=["inner-lib>=1"])
    make_wheel(public, "common", "1.0")
    make_wheel(private, "common", "99.0")
    return world


@pytest.mark.parametrize("strategy", ["best-match", "first-index"])
@pytest.mark.parametrize("root", ["middle", "inner-lib"])
def test_a_name_that_a_registry_keeps_comes_from_there_alone(confused: LockWorld, strategy: str, root: str) -> None:
    """A higher public version never wins, as a transitive dependency neither; the private one serves nothing else."""
    confused.configure(root, registries=additional(confused.private, "Inner_Lib", strategy=strategy))
    lock = confused.lock()
    found = versions(lock)
    assert found["inner-lib"] == "1.0"
    assert found["common"] == "1.0"
    assert entry(lock, "inner-lib").index == confused.private.url
    assert entry(lock, "common").index == confused.public.url
    assert entry(lock, "inner-lib").wheel.url.startswith(confused.private.origin)
    assert asked(confused.private) == {"inner-lib"}
    assert "inner-lib" not in asked(confused.public)
    text = confused.world.environment_folder().joinpath(f"pylock.{LINUX}.toml").read_text(encoding="utf-8")
    assert ".invalid" not in text


def test_rules_that_change_are_obeyed_at_once(confused: LockWorld) -> None:
    """What the resolver has in its cache from freer rules is not used under stricter ones."""
    confused.configure("middle", registries=additional(confused.private))
    assert versions(confused.lock())["inner-lib"] == "99.0"
    confused.configure("middle", registries=additional(confused.private, "inner-lib"))
    assert versions(confused.lock("--upgrade")) == {"inner-lib": "1.0", "common": "1.0", "middle": "1.0"}


def test_a_name_that_its_registry_lacks_is_missing(confused: LockWorld) -> None:
    """A pinned name is not looked for elsewhere, even where its own registry does not have it."""
    (confused.private.folder / "inner_lib-1.0-py3-none-any.whl").unlink()
    confused.configure("middle", registries=additional(confused.private, "inner-lib"))
    result = confused.run()
    assert result.status == 4
    assert "inner-lib was not found in the package registry" in result.stderr


def test_best_match_takes_the_best_and_the_default_among_equals(world: LockWorld) -> None:
    """The newest version of any; a wheel before none; the default registry where both have it; several are listed."""
    public, private = world.public.folder, world.private.folder
    make_wheel(public, "newer-there", "1.0")
    make_wheel(private, "newer-there", "2.0")
    make_wheel(public, "equal", "1.0")
    make_wheel(private, "equal", "1.0")
    make_sdist(public, "has-wheel", "1.0")
    make_wheel(private, "has-wheel", "1.0")
    make_wheel(private, "only-there", "1.0")
    world.configure("newer-there", "equal", "has-wheel", "only-there", registries=additional(world.private))
    result = world.run()
    assert result.status == 0, result.stderr
    lock = world.read()
    assert {p.name: p.index for p in lock.packages} == {
        "newer-there": world.private.url, "equal": world.public.url,
        "has-wheel": world.private.url, "only-there": world.private.url,
    }  # fmt: skip
    both = (world.public.url, world.private.url)
    assert lock.served_by == {"equal": both, "has-wheel": both, "newer-there": both}
    assert result.stderr.count("served by several registries") == 1
    assert result.stderr.count(f"  equal: {world.public.url}, {world.private.url}\n") == 1
    assert "only-there:" not in result.stderr


def test_the_second_run_knows_the_same_as_the_first(world: LockWorld) -> None:
    """What the resolver has in its cache is asked for again by tag, so who has what is known in each run."""
    make_wheel(world.public.folder, "equal", "1.0")
    make_wheel(world.private.folder, "equal", "1.0")
    world.configure("equal", registries=additional(world.private))
    world.lock()
    world.public.requests.clear()
    assert world.lock("--upgrade").served_by == {"equal": (world.public.url, world.private.url)}
    pages = world.public.seen("/simple/equal/")
    assert [page.status for page in pages] == [304]


def test_first_index_asks_the_next_only_for_what_the_first_lacks(world: LockWorld) -> None:
    """The first registry that has the name is the only one asked, the default one first."""
    make_wheel(world.public.folder, "both", "1.0")
    make_wheel(world.private.folder, "both", "2.0")
    make_wheel(world.private.folder, "there", "1.0")
    world.configure("both", "there", registries=additional(world.private, strategy="first-index"))
    lock = world.lock()
    assert versions(lock) == {"both": "1.0", "there": "1.0"}
    assert asked(world.private) == {"there"}


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def test_a_silent_registry_is_named_with_what_was_tried(world: LockWorld) -> None:
    """Under best-match every open registry is needed; the message has its address, the page, how often, and why."""
    make_wheel(world.public.folder, "one", "1.0")
    dead = f"http://127.0.0.1:{closed_port()}/simple"
    world.configure("one", registries={"additional": [dead]})
    result = world.run(platforms=(LINUX, "macosx-x64"))
    assert result.status == 4
    assert f"error[resolver]: the registry {dead} does not answer" in result.stderr
    assert f"asked for {dead}/one/ (3 times): connection refused" in result.stderr
    assert result.stderr.count("does not answer") == 1  # and not once a target
    assert f"for {VERSION} on {LINUX}, {VERSION} on macosx-x64" in result.stderr
    assert ".invalid" not in result.stderr


def test_a_silent_registry_that_nothing_needs_is_no_error(world: LockWorld) -> None:
    """Under first-index what the first has asks no other; a registry of its own names is asked for those alone."""
    make_wheel(world.public.folder, "one", "1.0")
    dead = f"http://127.0.0.1:{closed_port()}/simple"
    world.configure("one", registries={"additional": [dead], "strategy": "first-index"})
    assert versions(world.lock()) == {"one": "1.0"}
    world.configure("one", registries={"additional": [{"url": dead, "packages": ["other"]}]})
    assert versions(world.lock()) == {"one": "1.0"}
    world.configure("one", "other", registries={"additional": [{"url": dead, "packages": ["other"]}]})
    result = world.run()
    assert result.status == 4
    assert f"the registry {dead} does not answer" in result.stderr


def test_a_silent_first_registry_hides_nothing(world: LockWorld) -> None:
    """Under first-index a name is never taken from a later registry because an earlier one is down."""
    make_wheel(world.private.folder, "one", "1.0")
    world.public.fault("/simple/one/", Status(503, {"Retry-After": "0"}), forever=True)
    world.configure("one", registries=additional(world.private, strategy="first-index"))
    result = world.run()
    assert result.status == 4
    assert f"the registry {world.public.url} does not answer" in result.stderr
    assert "the server replied 503" in result.stderr


def test_the_only_registry_is_named_too(world: LockWorld) -> None:
    """Without a gate the resolver's own failure is turned into the same sentence."""
    dead = f"http://127.0.0.1:{closed_port()}/simple"
    world.configure("one", registries={"default": dead})
    result = world.run()
    assert result.status == 4
    assert f"error[resolver]: the registry {dead} does not answer" in result.stderr


def test_a_passing_outage_is_survived(world: LockWorld) -> None:
    """A 503 and a 429 are asked again."""
    make_wheel(world.private.folder, "one", "1.0")
    world.private.fault("/simple/one/", Status(503, {"Retry-After": "0"}), Status(429, {"Retry-After": "0"}))
    world.configure("one", registries=additional(world.private))
    assert versions(world.lock()) == {"one": "1.0"}


def test_a_page_that_is_no_page_is_not_taken_for_an_empty_one(world: LockWorld) -> None:
    """A login form with status 200 in JSON's place is a registry that does not answer."""
    make_wheel(world.private.folder, "one", "1.0")
    world.private.formats = ("json",)
    world.private.fault("/simple/one/", Status(200), forever=True)
    world.configure("one", registries=additional(world.private))
    assert world.run().status == 4


@pytest.mark.parametrize("formats", [("html",), ("json",)])
@pytest.mark.parametrize("metadata", [True, False])
def test_both_forms_of_pages_pass_the_gate(tmp_path: Path, formats: tuple[str, ...], metadata: bool) -> None:
    """HTML and JSON, with the metadata beside the wheel or only in it; the lock has the files' real URLs."""
    with lock_world(tmp_path, formats=formats, metadata=metadata, auth=("reader", "open sesame")) as world:
        make_wheel(world.private.folder, "one", "1.0", requires=["two>=1"], requires_python=">=3.8")
        make_wheel(world.private.folder, "two", "1.0+local.1")
        make_wheel(world.private.folder, "two", "2.0", requires_python=">=3.13")
        registries = {"additional": [{"url": world.private.url_with_login, "packages": ["one", "two"]}]}
        world.configure("one", registries=registries)
        lock = world.lock()
        assert versions(lock) == {"one": "1.0", "two": "1.0+local.1"}
        assert entry(lock, "two").wheel.url == world.private.file_url("two-1.0+local.1-py3-none-any.whl")
        assert entry(lock, "one").wheel.sha256
        assert {p.index for p in lock.packages} == {world.private.url}


def test_an_index_in_a_folder_passes_the_gate(world: LockWorld, tmp_path: Path) -> None:
    """A registry may be a folder in PEP 503's layout, its links relative."""
    make_wheel(tmp_path / "flat" / "one", "one", "1.0")
    (tmp_path / "flat" / "one" / "index.html").write_text('<a href="one-1.0-py3-none-any.whl">a wheel</a>')
    world.configure("one", registries={"additional": [(tmp_path / "flat").as_uri()]})
    lock = world.lock()
    assert entry(lock, "one").wheel.url == (tmp_path / "flat" / "one" / "one-1.0-py3-none-any.whl").as_uri()
    assert entry(lock, "one").index == (tmp_path / "flat").as_uri()


def test_a_registry_that_wants_a_login_is_named(tmp_path: Path) -> None:
    """Refused alone and behind the gate: the message names the registry and says where a login goes."""
    with lock_world(tmp_path, auth=("reader", "open sesame")) as world:
        make_wheel(world.private.folder, "one", "1.0")
        for registries in ({"default": world.private.url}, {"additional": [world.private.url]}):
            world.configure("one", registries=registries)
            result = world.run()
            assert result.status == 4, result.stderr
            assert world.private.url in result.stderr
            assert "UV_INDEX_<NAME>_USERNAME" in result.stderr


PASSWORD = "pa55-w0rd/of@us"


class Watch:
    """Reads the arguments of every process on this machine, as often as it can."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.is_set():
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    try:
                        self.seen.add((process / "cmdline").read_bytes())
                    except OSError:
                        continue
            time.sleep(0.005)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
@pytest.mark.parametrize("way", ["url", "variables"])
@pytest.mark.parametrize("registry", ["alone", "behind the gate"])
@pytest.mark.parametrize("root", ["one", "nonesuch"])
def test_a_password_is_nowhere(tmp_path: Path, way: str, registry: str, root: str) -> None:
    """At -vvv, passing and failing: in no output, lock, manifest, cached page, log, nor process argument."""
    with lock_world(tmp_path, auth=("reader", PASSWORD)) as world, Watch() as watch:
        make_wheel(world.private.folder, "one", "1.0")
        url = world.private.url_with_login if way == "url" else world.private.url
        if way == "variables":
            names = ["DEFAULT", "PRIVATE"]
            world.env = {
                f"UV_INDEX_{n}_{k}": v for n in names for k, v in (("USERNAME", "reader"), ("PASSWORD", PASSWORD))
            }
        extra = {"additional": [{"url": url, "name": "private"}]}
        world.configure(root, registries={"default": url} if registry == "alone" else extra)
        result = world.run("-vvv")
        built = world.world.run("build", "-vvv", "--platform", LINUX, env=world.env)
        assert (result.status, built.status) == ((0, 0) if root == "one" else (4, 1)), result.stderr + built.stderr
        assert any(b"pip\0compile" in arguments for arguments in watch.seen), "no resolver was seen"
        config = world.world.environment_folder() / "config.json"
        header = base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
        spellings = {PASSWORD, PASSWORD.replace("/", "%2F").replace("@", "%40"), header}
        written = [p for p in tmp_path.rglob("*") if p.is_file() and p != config]
        for spelling in spellings:
            for text in (result.stdout, result.stderr, built.stdout, built.stderr):
                assert spelling not in text
            assert not [arguments for arguments in watch.seen if spelling.encode() in arguments]
            assert [p for p in written if spelling.encode() in p.read_bytes()] == []


def test_the_login_of_a_root_that_is_a_file_is_used_and_not_written(tmp_path: Path) -> None:
    """A direct reference with a login is locked without it and downloaded with it."""
    with lock_world(tmp_path, auth=("reader", PASSWORD)) as world:
        wheel = make_wheel(world.private.folder, "one", "1.0")
        url = f"{world.private.url_with_login.removesuffix('/simple')}/files/{wheel.name}"
        world.configure(f"one @ {url}")
        assert world.run().status == 0
        result = world.world.run("build", "--platform", LINUX, env=world.env)
        assert result.status == 0, result.stderr
        assert world.world.wheels(LINUX) == {wheel.name}
        text = world.world.environment_folder().joinpath(f"pylock.{LINUX}.toml").read_text(encoding="utf-8")
        assert "reader" not in text


def test_nobody_else_may_use_the_gate(world: LockWorld) -> None:
    """Without the run's own password the gate answers nothing; with it, it passes on what is not its own."""
    from pyrunenv.config.schema import Registries, Registry
    from pyrunenv.lock.gate import Gate

    make_wheel(world.private.folder, "one", "1.0")
    with Gate() as gate:
        passage = gate.passage(Registries(default=world.public.url, additional=(Registry(url=world.private.url),)))
        code = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).status)"
        page = f"{passage.indexes[1][1]}/one/"
        for proxy, expected in ((gate.proxy, "200"), (gate.proxy.replace(gate.password, "guess"), "407")):
            for url in (page, f"{world.private.url}/one/"):
                env = {"PATH": os.environ["PATH"], "http_proxy": proxy}
                done = subprocess.run([sys.executable, "-c", code, url], env=env, capture_output=True, text=True)
                assert expected in done.stdout + done.stderr


def test_html_in_place_of_a_page_ends_in_words(world: LockWorld) -> None:
    """A portal's HTML has no files in it: the name is not found, and nothing is made up."""
    make_wheel(world.private.folder, "one", "1.0")
    world.private.fault("/simple/one/", Html(), forever=True)
    world.configure("one", registries=additional(world.private))
    result = world.run()
    assert result.status == 4
