"""``doctor``: what it finds, and that no server can upset it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.faults import CutAfter, Fault, Html, Redirect, Silence, Slow, StallAfter, Status
from support.index import IndexServer
from support.locks import LINUX, LockWorld, lock_world
from support.product import VERSION
from support.storages import s3_server
from support.wheels import make_wheel

from pyrunenv.doctor import asking, machine, network, storage
from pyrunenv.doctor.result import Result
from pyrunenv.fetch.session import make_session


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LockWorld]:
    """A registry with the one root."""
    with lock_world(tmp_path) as made:
        make_wheel(made.public.folder, "root", "1.0")
        made.configure("root==1.0")
        yield made


@pytest.fixture
def index(tmp_path: Path) -> Iterator[IndexServer]:
    """A registry alone, with the one root."""
    make_wheel(tmp_path, "root", "1.0")
    with IndexServer(tmp_path) as server:
        yield server


def examine(world: LockWorld, *words: str) -> tuple[int, list[dict[str, Any]]]:
    result = world.world.run("doctor", VERSION, "--json", *words, env=world.env)
    assert "Traceback" not in result.stderr
    results = json.loads(result.stdout)
    assert {found["status"] for found in results} <= {"ok", "warning", "error"}
    assert all(found["remedy"] for found in results if found["status"] != "ok")
    return result.status, results


def about(results: list[dict[str, Any]], subject: str) -> list[dict[str, Any]]:
    return [result for result in results if result["subject"] == subject]


def test_a_machine_that_can_build(world: LockWorld) -> None:
    """No error, exit 0; every subject was looked at."""
    status, results = examine(world)
    assert [r for r in results if r["status"] == "error"] == []
    assert status == 0
    assert {r["subject"] for r in results} == {"disk", "program", "registry", "interpreter", "storage"}
    (registry,) = about(results, "registry")
    assert registry["detail"].startswith("`root`: 1 files (JSON), ")
    assert {r["what"] for r in about(results, "interpreter")} == {
        f"CPython {VERSION} for {platform}" for platform in (LINUX, "macosx-x64", "macosx-aarch64")
    }


def test_the_table(world: LockWorld) -> None:
    """One table a subject; with -q only what is not ok, and a remedy that several share once."""
    shown = world.world.run("doctor", VERSION, env=world.env)
    titles = [line for line in shown.stdout.splitlines() if not line.startswith(" ")]
    assert titles == ["Disks", "Programs", "Registries", "Interpreters", "Storage"]
    assert "everything that a build needs is here" in shown.stderr
    shared = world.world.root / "shared-config.json"
    config = json.loads(shared.read_text())
    config["python"] = {"source": "standalone", "mirror": "http://127.0.0.1:9/"}
    shared.write_text(json.dumps(config))
    shown = world.world.run("doctor", VERSION, "--quiet", env=world.env)
    assert shown.status == 1
    assert not [line for line in shown.stdout.splitlines() if line.startswith("  ok")]
    assert shown.stdout.count("connection refused") == 3
    assert shown.stdout.count("hint: set `python.mirror`") == 1


@pytest.mark.parametrize(
    ("fault", "said", "remedy"),
    [
        (Status(500), "it replied 500", "try again later"),
        (Status(401), "wants a login, and none is known (401)", "give it a `name`"),
        (Status(403), "wants a login, and none is known (403)", "UV_INDEX_<NAME>_USERNAME"),
        (Html(), "no package index (text/html", "/simple"),
        (Html(b'{"a": 1}', "application/json"), "no package index (application/json", "/simple"),
        (Html(b'{"files": [{}]}', "application/json"), "no package index", "/simple"),
        (Html(b'{"files": [1]}', "application/json"), "no package index", "/simple"),
        (Html(b"[" * 200_000, "application/json"), "no package index", "/simple"),
        (Html(b"\x00\xff\xfe", "application/vnd.pypi.simple.v1+json"), "no package index", "/simple"),
        (Status(200, {"Content-Encoding": "gzip"}), "", "registries"),
        (Redirect("/simple/root/"), "redirect", "registries"),
        (Redirect("file:///etc/passwd"), "redirect", "registries"),
        (Redirect("http://["), "", ""),
        (Redirect("http://a..b/"), "", ""),
        (Redirect(""), "", ""),
        (CutAfter(10), "cut", "registries"),
    ],
    ids=str,
)
def test_a_registry_that_is_wrong(index: IndexServer, fault: Fault, said: str, remedy: str) -> None:
    """Each fault has its words and a remedy, and a build would fail."""
    index.fault("/simple/root/", fault, forever=True)
    with make_session() as session:
        found = network.registry(session, index.url, "root")
    assert found.status == "error"
    assert said in found.detail
    assert found.detail
    assert remedy in found.remedy
    assert found.where == f"{index.url}/root/"


def test_an_error_is_the_exit_status(world: LockWorld) -> None:
    """1, whatever the server did, and the other findings are there."""
    world.public.fault("/simple/root/", Html(), forever=True)
    status, results = examine(world)
    assert (status, [r["subject"] for r in results if r["status"] == "error"]) == (1, ["registry"])


def test_pages_of_an_api_to_come(index: IndexServer) -> None:
    """PEP 629: another major version may mean anything."""
    page = b'{"meta": {"api-version": "2.0"}, "files": []}'
    index.fault("/simple/root/", Html(page, "application/vnd.pypi.simple.v1+json"), forever=True)
    with make_session() as session:
        found = network.registry(session, index.url, "root")
    assert (found.status, "API is 2.0" in found.detail) == ("error", True), found


@pytest.mark.parametrize(
    ("top", "alone", "status"),
    [
        (Html(b'<a href="/simple/some-thing/">Some_Thing</a><a href="x/">x</a>'), True, "ok"),
        (Html(b"<!DOCTYPE html><html><body></body></html>"), True, "ok"),
        (Html(b'{"projects": [', "application/vnd.pypi.simple.v1+json"), True, "ok"),
        (Html(b'<a href="/help/">Help</a><a href="#content">Skip</a>'), True, "error"),
        (Html(b'<form action="/login">'), True, "error"),
        (Status(404), True, "error"),
        (Status(404), False, "warning"),
        (Redirect("/simple/"), True, "error"),
    ],
    ids=str,
)
def test_a_registry_without_the_project(index: IndexServer, top: Fault, alone: bool, status: str) -> None:
    """Its list of projects tells it from an address that is none, as one without /simple."""
    index.fault("/simple/", top, forever=True)
    with make_session() as session:
        found = network.registry(session, index.url, "absent", alone=alone)
    assert found.status == status
    assert bool(found.remedy) == (status != "ok")


def test_redirects_are_named(world: LockWorld) -> None:
    """All that were followed, in their order; and those that leave https."""
    world.public.fault("/simple/root/", Redirect("/simple/hop/"))
    make_wheel(world.private.folder, "hop", "1.0")
    world.public.fault("/simple/hop/", Redirect(f"{world.private.url}/hop/"))
    with make_session() as session:
        found = network.registry(session, world.public.url, "root")
    assert found.status == "ok"
    assert found.detail.endswith(f"redirected to {world.public.url}/hop/ and then {world.private.url}/hop/")
    answer = asking.Answer(200, "", b"", 0, False, ("https://a/", "http://b/"))
    assert answer.downgraded


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Silence(), "no byte came for 0.5 s"),
        (StallAfter(10), "no byte came for 0.5 s"),
        (Slow(chunk=1, pause=0.1), "its answer had no end after"),
    ],
    ids=str,
)
def test_a_server_that_hangs_holds_nobody_up(
    index: IndexServer, fault: Fault, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time-out is told."""
    monkeypatch.setattr(asking, "TIMEOUT", 0.5)
    monkeypatch.setattr(asking, "PATIENCE", 1.0)
    index.fault("/simple/root/", fault, forever=True)
    with make_session() as session:
        found = network.registry(session, index.url, "root")
    assert found.status == "error"
    assert said in found.detail


def test_what_does_not_end_or_fails_has_a_result() -> None:
    """The others are not held up, and nothing keeps the program alive."""
    late = Result("registry", "error", "https://slow.example", "no answer in time", "ask")
    ended = threading.Event()

    def forever() -> Result:
        ended.wait()
        return late

    def failing() -> Result:
        raise RuntimeError("at https://u:hunter22@r.example/")

    slow, broken, fine = asking.together([(late, forever), (late, failing), (late, machine.uv)], 2)
    ended.set()
    assert slow is late
    assert broken.status == "error"
    assert broken.detail == "what it answered cannot be made sense of: RuntimeError: at https://****@r.example/"
    assert fine.what == "uv"


def test_a_closed_port_and_a_certificate_that_nobody_trusts(world: LockWorld, tmp_path: Path) -> None:
    """Both in words, and for the certificate the variable that names others."""
    (tmp_path / "tls").mkdir()
    with IndexServer(tmp_path / "tls", tls=True) as server:
        world.configure("root==1.0", registries={"additional": ["http://127.0.0.1:9/simple", server.url]})
        _, results = examine(world)
    by_url = {r["what"]: r for r in about(results, "registry")}
    assert "refused" in by_url["http://127.0.0.1:9/simple"]["detail"]
    assert "its certificate is not trusted" in by_url[server.url]["detail"]
    assert "SSL_CERT_FILE" in by_url[server.url]["remedy"]


def test_logins_are_tried_and_never_shown(tmp_path: Path) -> None:
    """With the right one all is well; with a wrong one the remedy names the variables, and the word itself is nowhere."""
    with lock_world(tmp_path, auth=("me", "sesame-99")) as made:
        make_wheel(made.private.folder, "root", "1.0")
        cases = (
            ("sesame-99", "ok", "login accepted"),
            ("wrong-word-1", "error", "refuses the login that it was given"),
        )
        for word, expected, said in cases:
            login = made.private.url.replace("http://", f"http://me:{word}@")
            made.configure("root==1.0", registries={"default": login})
            result = made.world.run("doctor", VERSION, "--json", env=made.env)
            (registry,) = about(json.loads(result.stdout), "registry")
            assert (registry["status"], said in registry["detail"]) == (expected, True)
            assert expected == "ok" or "UV_INDEX_DEFAULT_PASSWORD" in registry["remedy"]
            assert word not in result.stdout + result.stderr


def test_the_remedy_names_the_variables_of_a_named_registry(tmp_path: Path) -> None:
    """As uv and we read them; and those of the default one, which has no name, let us in."""
    with lock_world(tmp_path, auth=("me", "sesame-99")) as made:
        make_wheel(made.private.folder, "root", "1.0")
        entry = {"name": "my-lab", "url": made.private.url, "packages": ["root"]}
        made.configure("root==1.0", registries={"additional": [entry]})
        _, results = examine(made)
        (refused,) = [r for r in about(results, "registry") if r["status"] == "error"]
        assert "UV_INDEX_MY_LAB_USERNAME and UV_INDEX_MY_LAB_PASSWORD" in refused["remedy"]
        made.configure("root==1.0", registries={"default": made.private.url})
        made.env.update(UV_INDEX_DEFAULT_USERNAME="me", UV_INDEX_DEFAULT_PASSWORD="sesame-99")
        assert examine(made)[0] == 0


def test_each_registry_is_asked_for_what_is_wanted_from_it(world: LockWorld) -> None:
    """A name that is pinned to it; no name of another, and every registry once for all platforms."""
    make_wheel(world.private.folder, "mine", "1.0")
    world.configure(
        "mine==1.0", "root==1.0", registries={"additional": [{"url": world.private.url, "packages": ["Mine"]}]}
    )
    status, results = examine(world)
    assert status == 0
    assert [r["detail"].partition(":")[0] for r in about(results, "registry")] == ["`root`", "`mine`"]
    assert [r.path for r in world.public.requests] == ["/simple/root/"]
    assert [r.path for r in world.private.requests] == ["/simple/mine/"]


def test_an_interpreter_that_cannot_be_had(world: LockWorld) -> None:
    """The archive is gone from its server; the other platforms have theirs."""
    shared = world.world.root / "shared-config.json"
    config = json.loads(shared.read_text())
    config["python"]["archives"][LINUX]["url"] = "file:///nowhere/python.tar.gz"
    shared.write_text(json.dumps(config))
    status, results = examine(world)
    (wrong,) = [r for r in about(results, "interpreter") if r["status"] == "error"]
    assert (status, wrong["what"]) == (1, f"CPython {VERSION} for {LINUX}")
    assert f"python.archives.{LINUX}.url" in wrong["remedy"]
    config["python"] = {"source": "standalone"}
    shared.write_text(json.dumps(config))
    folder = world.world.environment_folder()
    package = (
        (folder / "package.json").read_text().replace(f'"python-version": "{VERSION}"', '"python-version": "3.12.99"')
    )
    (folder / "package.json").write_text(package)
    _, results = examine(world)
    assert all("nearest that it has" in r["detail"] for r in about(results, "interpreter"))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Html(), "is no archive (text/html"),
        (Html(b'{"error": 1}', "application/json"), "is no archive"),
        (Html(b"", "application/gzip"), "is no archive"),
        (Status(401), "wants a login"),
        (Status(404), "it replied 404"),
        (None, ""),
    ],
    ids=str,
)
def test_the_archive_of_an_interpreter(index: IndexServer, fault: Fault | None, said: str) -> None:
    """A page with status 200 is no archive; of one that is there only the beginning is asked for."""
    (index.folder / "python.tar.gz").write_bytes(b"\x1f\x8b" + b"x" * 500_000)
    if fault:
        index.fault("python.tar.gz", fault, forever=True)
    with make_session() as session:
        found = network.interpreter(session, index.file_url("python.tar.gz"), "CPython", "do this")
    assert (found.status, said in found.detail) == ("error" if fault else "ok", True)
    (request,) = index.seen("python.tar.gz")
    assert request.headers["Range"] == "bytes=0-63"


def test_disks(tmp_path: Path) -> None:
    """Room that will not do, and folders in which no file can be made."""
    assert machine.room(tmp_path / "not" / "there", "cache", 0, "r").status == "ok"
    assert "without a lock" in machine.room(tmp_path, "cache", None, "r").detail
    found = machine.room(tmp_path, "cache", 1 << 60, "make room")
    assert (found.status, found.remedy) == ("warning", "make room")
    (tmp_path / "file").write_text("")
    found = machine.room(tmp_path / "file" / "below", "cache", 0, "r")
    assert (found.status, "no file can be made" in found.detail) == ("error", True)
    assert machine.room(Path("/proc/1/nothing"), "cache", 0, "r").status == "error"
    if os.geteuid():
        tmp_path.chmod(0o500)
        assert machine.room(tmp_path, "cache", 0, "r").status == "error"


def test_what_the_locks_need_is_what_the_cache_lacks(world: LockWorld) -> None:
    """Wheels that are there need no room; the bundles do."""
    world.lock()
    before = about(examine(world, "--platform", LINUX)[1], "disk")[0]["detail"]
    result = world.world.run("build", "--platform", LINUX, env=world.env)
    assert result.status == 0, result.stderr
    after = about(examine(world, "--platform", LINUX)[1], "disk")[0]["detail"]
    assert before.partition("free")[2] != after.partition("free")[2]


def test_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent ones matter only where they are needed; one that does not run is told."""
    monkeypatch.setenv("PATH", str(tmp_path))
    git = machine.TOOLS[0]
    assert [machine.tool(git, needed=needed).status for needed in (False, True)] == ["ok", "error"]
    assert "no build here needs it" in machine.tool(git, needed=False).detail
    (tmp_path / "git").write_text("#!/nowhere/sh\n")
    (tmp_path / "git").chmod(0o755)
    found = machine.tool(git, needed=True)
    assert (found.status, "it does not run" in found.detail, found.where) == ("error", True, str(tmp_path / "git"))
    assert machine.uv().status == "ok"


def test_storages_are_asked_as_publishing_asks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers, one without the bucket, without a server, and what is no storage; no login is told."""
    with s3_server() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        good = storage.upload(server.url("x"), "lab")
        lost = storage.upload(f"s3e://127.0.0.1:{server.port}/absent/x?scheme=http", "lab")
    closed = storage.upload("s3e://127.0.0.1:9/bucket/x?scheme=http", "lab")
    unknown = [storage.upload(url, "lab") for url in ("ftp://x/y", "http://host/x", "s3://", "az://container/x")]
    assert (good.status, "its storage answers" in good.detail) == ("ok", True), good
    assert [found.status for found in (lost, closed, *unknown)] == ["warning"] * 6
    assert "NoSuchBucket" in lost.detail
    assert "check its address" in closed.remedy
    assert all("?" not in found.where for found in (good, lost, closed))
    assert server.env["AWS_SECRET_ACCESS_KEY"] not in f"{good}{lost}{closed}"


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (None, "ok", "answers (404, nothing lies at its top)"),
        (Html(), "ok", "answers (200)"),
        (Status(403), "warning", "wants a login"),
        (Status(503), "warning", "it replied 503"),
        (Redirect("/"), "warning", "redirect"),
    ],
    ids=str,
)
def test_storages_that_are_servers(index: IndexServer, fault: Fault | None, status: str, said: str) -> None:
    """The download address is really asked; a build does not need it."""
    if fault:
        index.fault("/", fault, forever=True)
    with make_session() as session:
        found = storage.download(session, f"{index.origin}/", "lab")
        assert (found.status, said in found.detail) == (status, True), found
        closed = storage.download(session, "http://127.0.0.1:9/", "lab")
    assert (closed.status, closed.detail) == ("warning", "connection refused")


def test_storages_that_are_folders(tmp_path: Path) -> None:
    """There, not there, and no folder."""
    (tmp_path / "file").write_text("")
    with make_session() as session:
        for path, said in ((tmp_path, "is there"), (tmp_path / "a", "is not there"), (tmp_path / "file", "no folder")):
            for found in (
                storage.download(session, path.as_uri(), "lab"),
                storage.upload(path.as_uri(), "lab"),
            ):
                assert (found.status, said in found.detail) == ("ok" if path == tmp_path else "warning", True)
