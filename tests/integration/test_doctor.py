"""``doctor``: what it finds, and that no server can upset it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.faults import CutAfter, Fault, Html, Redirect, Silence, StallAfter, Status
from support.index import IndexServer
from support.locks import LINUX, LockWorld, lock_world
from support.product import VERSION
from support.wheels import make_wheel

from pyrunenv.doctor import machine, network


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LockWorld]:
    """A registry with the one root."""
    with lock_world(tmp_path) as made:
        make_wheel(made.public.folder, "root", "1.0")
        made.configure("root==1.0")
        yield made


def examine(world: LockWorld, *words: str) -> tuple[int, list[dict[str, Any]]]:
    result = world.world.run("doctor", VERSION, "--json", *words, env=world.env)
    assert "Traceback" not in result.stderr
    return result.status, json.loads(result.stdout)


def about(results: list[dict[str, Any]], subject: str) -> list[dict[str, Any]]:
    return [result for result in results if result["subject"] == subject]


def test_a_machine_that_can_build(world: LockWorld) -> None:
    """No error, exit 0; every subject was looked at."""
    status, results = examine(world)
    assert [r for r in results if r["status"] == "error"] == []
    assert status == 0
    assert {r["subject"] for r in results} == {"disk", "program", "registry", "interpreter", "storage"}
    (registry,) = about(results, "registry")
    assert registry["detail"].startswith("`root`: 1 files")
    assert {r["what"] for r in about(results, "interpreter")} == {
        f"CPython {VERSION} for {platform}" for platform in (LINUX, "macosx-x64", "macosx-aarch64")
    }
    shown = world.world.run("doctor", VERSION, "--quiet", env=world.env)
    assert [line for line in shown.stdout.splitlines() if line.startswith(("ok", "absent"))] == []


@pytest.mark.parametrize(
    ("fault", "said", "remedy"),
    [
        (Status(500), "it replied 500", "try again later"),
        (Status(401), "refuses to let us in (401)", "give it a `name`"),
        (Status(403), "refuses to let us in (403)", "UV_INDEX_<NAME>_USERNAME"),
        (Html(), "no package index (text/html", "/simple"),
        (Html(b'{"a": 1}', "application/json"), "no package index (application/json", "/simple"),
        (Html(b"\x00\xff\xfe", "application/vnd.pypi.simple.v1+json"), "no package index", "/simple"),
        (Redirect("/simple/root/"), "redirect", "registries"),
        (Redirect("file:///etc/passwd"), "redirect", "registries"),
        (CutAfter(10), "cut", "registries"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else None,
)
def test_a_registry_that_is_wrong(world: LockWorld, fault: Fault, said: str, remedy: str) -> None:
    """Each fault has its words and a remedy, and a build would fail."""
    world.public.fault("/simple/root/", fault, forever=True)
    status, results = examine(world)
    (registry,) = about(results, "registry")
    assert registry["status"] == "error"
    assert said in registry["detail"]
    assert remedy in registry["remedy"]
    assert status == 1


@pytest.mark.parametrize("fault", [Silence(), StallAfter(10)], ids=["silent", "stalled"])
def test_a_server_that_hangs_holds_nobody_up(world: LockWorld, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time-out is told; the other results are there."""
    monkeypatch.setattr(network, "TIMEOUT", 0.5)
    world.public.fault("/simple/root/", fault, forever=True)
    from pyrunenv.fetch.session import make_session

    started = time.monotonic()
    with make_session() as session:
        found = network.registry(session, world.public.url, "root")
    assert found.status == "error"
    assert "no byte came for 0.5 s" in found.detail
    assert time.monotonic() - started < 20


def test_what_drips_for_ever_is_late() -> None:
    """A check that does not end has a result all the same, and does not keep the program alive."""
    late = network.late("registry", "https://slow.example")
    (found, fine) = network.together([(late, lambda: time.sleep(60) or late), (late, lambda: machine.uv())], 0.3)  # type: ignore[func-returns-value]
    assert found is late
    assert fine.what == "uv"


def test_a_closed_port_and_a_certificate_that_nobody_trusts(world: LockWorld, tmp_path: Path) -> None:
    """Both in words."""
    (tmp_path / "tls").mkdir()
    with IndexServer(tmp_path / "tls", tls=True) as server:
        world.configure("root==1.0", registries={"additional": ["http://127.0.0.1:9/simple", server.url]})
        _, results = examine(world)
    by_url = {r["what"]: r for r in about(results, "registry")}
    assert "refused" in by_url["http://127.0.0.1:9/simple"]["detail"]
    assert "its certificate is not trusted" in by_url[server.url]["detail"]


def test_logins_are_tried_and_never_shown(tmp_path: Path) -> None:
    """With the right one all is well; with a wrong one the remedy names the variables, and the word itself is nowhere."""
    with lock_world(tmp_path, auth=("me", "sesame-99")) as made:
        make_wheel(made.private.folder, "root", "1.0")
        for word, expected in (("sesame-99", "ok"), ("wrong-word-1", "error")):
            login = made.private.url.replace("http://", f"http://me:{word}@")
            made.configure("root==1.0", registries={"default": login})
            result = made.world.run("doctor", VERSION, "--json", env=made.env)
            (registry,) = about(json.loads(result.stdout), "registry")
            assert registry["status"] == expected
            assert word not in result.stdout + result.stderr


def test_an_interpreter_that_cannot_be_had(world: LockWorld) -> None:
    """The archive is gone from its server; the other platforms have theirs."""
    shared = world.world.root / "shared-config.json"
    config = json.loads(shared.read_text())
    config["python"]["archives"][LINUX]["url"] = "file:///nowhere/python.tar.gz"
    shared.write_text(json.dumps(config))
    status, results = examine(world)
    (wrong,) = [r for r in about(results, "interpreter") if r["status"] == "error"]
    assert (status, wrong["what"]) == (1, f"CPython {VERSION} for {LINUX}")
    assert "python.mirror" in wrong["remedy"]
    config["python"] = {"source": "standalone"}
    shared.write_text(json.dumps(config))
    folder = world.world.environment_folder()
    package = (
        (folder / "package.json").read_text().replace(f'"python-version": "{VERSION}"', '"python-version": "3.12.99"')
    )
    (folder / "package.json").write_text(package)
    _, results = examine(world)
    assert all("nearest that it has" in r["detail"] for r in about(results, "interpreter"))


def test_disks(tmp_path: Path) -> None:
    """Room that will not do, and a folder that cannot be written."""
    assert machine.room(tmp_path / "not" / "there", "cache", 0, "r").status == "ok"
    found = machine.room(tmp_path, "cache", 1 << 60, "make room")
    assert (found.status, found.remedy) == ("warning", "make room")
    if os.geteuid():
        tmp_path.chmod(0o500)
        assert machine.room(tmp_path, "cache", 0, "r").status == "error"


def test_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent ones matter only where they are needed; one that does not run is told."""
    monkeypatch.setenv("PATH", str(tmp_path))
    git = machine.TOOLS[0]
    assert [machine.tool(git, needed=needed).status for needed in (False, True)] == ["absent", "error"]
    (tmp_path / "git").write_text("#!/nowhere/sh\n")
    (tmp_path / "git").chmod(0o755)
    assert "(it does not run)" in machine.tool(git, needed=True).detail
    assert machine.uv().status == "ok"


@pytest.mark.parametrize(
    ("url", "env", "status"),
    [
        ("s3://bucket/x?region=eu", {}, "absent"),
        ("s3://bucket/x?region=eu", {"AWS_PROFILE": "x"}, "ok"),
        ("gs://bucket/x", {}, "absent"),
        ("ftp://x/y", {}, "warning"),
    ],
)
def test_storages(url: str, env: dict[str, str], status: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What can be said without writing there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert network.storage(url, "lab", env).status == status
    assert network.storage(tmp_path.as_uri(), "lab", {}).status == "ok"
    assert network.storage((tmp_path / "a" / "b").as_uri(), "lab", {}).status == "warning"


def test_the_remedy_names_the_variables_of_a_named_registry(tmp_path: Path) -> None:
    """As uv and we read them."""
    with lock_world(tmp_path, auth=("me", "sesame-99")) as made:
        make_wheel(made.private.folder, "root", "1.0")
        entry = {"name": "my-lab", "url": made.private.url, "packages": ["root"]}
        made.configure("root==1.0", registries={"additional": [entry]})
        _, results = examine(made)
    (refused,) = [r for r in about(results, "registry") if r["status"] == "error"]
    assert "UV_INDEX_MY_LAB_USERNAME and UV_INDEX_MY_LAB_PASSWORD" in refused["remedy"]
