"""Publishing against a registry that misbehaves: nothing is replaced, and no login goes where it does not belong."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from support.npm import TOKEN, FakeRegistry, Reply

from pyrunenv import secrets
from pyrunenv.errors import NpmError, UsageError
from pyrunenv.npm.npmrc import Npmrc
from pyrunenv.npm.registry import Registry
from pyrunenv.npm.run import NpmReport, Planned, plan, publish
from pyrunenv.npm.tarball import Tarball

NAME = "@test/test.env"
PUBLISH_OVER = Reply(403, {"error": "You cannot publish over the previously published versions: 1.0.0."})


@pytest.fixture
def server() -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        yield server


def tarball(version: str = "1.0.0", content: bytes = b"{}", **manifest: object) -> Tarball:
    facts = {"name": NAME, "version": version, **manifest}
    return Tarball(NAME, version, facts, {"package.json": json.dumps(facts).encode(), "dist/a.json": content})


def planned(
    server: FakeRegistry, *tarballs: Tarball, token: str | None = TOKEN, **options: str | None
) -> list[Planned]:
    """The plan of a run with a token of its own."""
    tag = options.pop("tag", None)
    registry = Registry(server.url, Npmrc({}, token), backoff=0, **options)
    return plan(tarballs, lambda *_: registry, tag=tag)


def run(server: FakeRegistry, *tarballs: Tarball, token: str | None = TOKEN, **options: str | None) -> NpmReport:
    return publish(planned(server, *tarballs, token=token, **options))


def told(error: NpmError | None) -> str:
    assert error is not None
    return "\n".join([error.message, *error.notes, error.hint or ""])


def test_a_version_is_published_as_npm_publishes_it(server: FakeRegistry) -> None:
    """The document has the digests, the tarball, the tag and the access; a second run sends nothing."""
    made = tarball()
    report = run(server, made)
    assert (report.failure, [p.state for p in report.packages]) == (None, ["published"])
    (put,) = server.puts
    assert put.path == "/@test%2Ftest.env"
    document = json.loads(put.body)
    assert (document["_id"], document["dist-tags"], document["access"]) == (NAME, {"latest": "1.0.0"}, None)
    attachment = document["_attachments"][f"{NAME}-1.0.0.tgz"]
    assert base64.b64decode(attachment["data"]) == made.content
    assert attachment["length"] == len(made.content)
    version = document["versions"]["1.0.0"]
    assert version["_id"] == f"{NAME}@1.0.0"
    assert version["dist"] == {
        "integrity": made.integrity, "shasum": made.shasum, "tarball": f"{server.url}{NAME}/-/{NAME}-1.0.0.tgz",
    }  # fmt: skip
    again = run(server, made)
    assert ([p.state for p in again.packages], len(server.puts)) == (["there already"], 1)


def test_what_another_program_packed_is_the_same_if_its_files_are(server: FakeRegistry) -> None:
    """npm compresses otherwise: that is no other content."""
    import gzip

    made = tarball()
    run(server, made)
    other = gzip.compress(gzip.decompress(made.content), 1)
    server.tarballs[f"{NAME}/-/{NAME}-1.0.0.tgz"] = other
    server.packages[NAME]["versions"]["1.0.0"]["dist"] |= {"integrity": "", "shasum": ""}
    assert [p.state for p in planned(server, made)] == ["there already"]


def test_other_content_of_a_version_is_an_error_with_both_digests(server: FakeRegistry) -> None:
    """It names what differs, and nothing is sent."""
    first, second = tarball(), tarball(content=b"other")
    run(server, first)
    with pytest.raises(NpmError) as caught:
        planned(server, second)
    assert all(text in told(caught.value) for text in (first.integrity, second.integrity, "dist/a.json: differs"))
    assert len(server.puts) == 1


def test_a_tarball_that_is_not_what_the_registry_tells_is_not_believed(server: FakeRegistry) -> None:
    """A registry, or whoever stands before it, changed it on the way."""
    run(server, tarball())
    server.tarballs[f"{NAME}/-/{NAME}-1.0.0.tgz"] = b"not what it was"
    with pytest.raises(NpmError, match="not the one that it tells of"):
        planned(server, tarball(content=b"other"))


@pytest.mark.parametrize("link", ["file:///etc/passwd", "ftp://evil.example/x"])
def test_a_registry_cannot_name_files_of_this_machine(server: FakeRegistry, link: str) -> None:
    """The tarball's address is the registry's word."""
    run(server, tarball())
    server.packages[NAME]["versions"]["1.0.0"]["dist"]["tarball"] = link
    with pytest.raises(NpmError, match="neither http nor https"):
        planned(server, tarball(content=b"other"))


@pytest.mark.parametrize("refusal", [Reply(409, {"error": "conflict"}), PUBLISH_OVER, Reply(400, b"taken")])
def test_a_race_with_the_same_bytes_is_won_by_both(server: FakeRegistry, refusal: Reply) -> None:
    """Whatever a registry says to who came second: it is there."""
    made = tarball()
    document = json.loads(_document(server, made))
    server.before_put = lambda: server.take(document)
    server.faults = [refusal]
    report = run(server, made)
    assert (report.failure, [p.state for p in report.packages]) == (None, ["there already"])
    assert len(server.puts) == 1


def test_a_race_with_other_bytes_is_an_error(server: FakeRegistry) -> None:
    """Who came second hears of it, with both digests."""
    document = json.loads(_document(server, tarball(content=b"faster")))
    server.before_put = lambda: server.take(document)
    report = run(server, tarball())
    assert "with other content" in told(report.failure)
    assert [p.state for p in report.packages] == ["to publish"]


@pytest.mark.parametrize(
    "fault", [Reply(503), Reply(500, late=True), Reply(429, headers={"Retry-After": "0"}), Reply(409)]
)
def test_passing_trouble_is_waited_for(server: FakeRegistry, fault: Reply) -> None:
    """Also where the version arrived and only the reply was lost; it is put at most once more."""
    server.faults = [fault]
    server.get_faults = [Reply(502)]
    report = run(server, tarball())
    assert (report.failure, [p.state for p in report.packages]) == (None, ["published"])
    assert len(server.puts) == (1 if fault.late else 2)
    assert server.versions(NAME) == {"1.0.0"}


def test_trouble_that_stays_is_an_error_and_ends_the_run(server: FakeRegistry) -> None:
    """What would have come after it, the catalogue, is not put."""
    server.faults = [Reply(503)] * 4
    later = Tarball("later", "1.0.0", {}, {})
    report = run(server, tarball(), later)
    assert "503" in told(report.failure)
    assert [p.state for p in report.packages] == ["to publish", "to publish"]
    assert len(server.puts) == 4
    assert not server.versions("later")


def test_a_one_time_password(server: FakeRegistry) -> None:
    """Asked for in either of the two ways of registries, it is given by --otp; a wrong one is told apart."""
    asks = Reply(401, {"error": "x"}, {"WWW-Authenticate": "OTP"})
    server.faults = [asks]
    assert "asks for a one-time password" in told(run(server, tarball()).failure)
    server.faults = [Reply(401, {"error": "You must provide a one-time pass."})]
    failure = run(server, tarball(), otp="123456").failure
    assert "is not accepted" in told(failure)
    assert "--otp" in told(failure)
    run(server, tarball(), otp="654321")
    assert [put.headers.get("npm-otp") for put in server.puts] == [None, "123456", "654321"]


def test_logins_that_are_wrong_or_missing(server: FakeRegistry) -> None:
    """The error says which login was used and how to give one; the token is in no message, even if the registry tells it."""
    missing = run(server, tarball(), token=None).failure
    assert "no login" in told(missing)
    assert "NPM_TOKEN" in told(missing)
    assert server.puts == []
    wrong = "npm_wrong-abcdefgh"
    server.faults = [Reply(401, {"error": f"bad token {wrong}"})]
    failure = told(run(server, tarball(), token=wrong).failure)
    assert "the login is that of NPM_TOKEN" in failure
    assert wrong not in failure
    server.faults = [Reply(403, {"error": "you do not own it"})]
    assert "you do not own it" in told(run(server, tarball()).failure)
    server.faults = [Reply(402, {"error": "You must sign up for private packages"})]
    assert "--access public" in told(run(server, tarball()).failure)


def test_a_redirect_gets_no_login_and_no_package(server: FakeRegistry) -> None:
    """Reading follows it without the token; publishing does not follow it."""
    with FakeRegistry() as other:
        elsewhere = {"Location": f"{other.url}@test%2ftest.env".replace("127.0.0.1", "localhost")}
        server.get_faults = [Reply(302, headers=elsewhere)]
        server.faults = [Reply(307, headers=elsewhere)]
        failure = run(server, tarball()).failure
        assert "it leads to http://localhost" in told(failure)
        assert [(a.method, a.headers.get("Authorization")) for a in other.asked] == [("GET", None)]
    assert all(a.headers["Authorization"] == f"Bearer {TOKEN}" for a in server.asked)


def test_a_tarball_elsewhere_is_asked_for_without_the_login(server: FakeRegistry) -> None:
    """Registries keep tarballs on hosts of their own."""
    run(server, tarball())
    with FakeRegistry() as other:
        name = f"{NAME}/-/{NAME}-1.0.0.tgz"
        other.tarballs[name] = server.tarballs[name]
        server.packages[NAME]["versions"]["1.0.0"]["dist"]["tarball"] = other.url + name
        with pytest.raises(NpmError, match="with other content"):
            planned(server, tarball(content=b"other"))
        assert [a.headers.get("Authorization") for a in other.asked] == [None]


def test_netrc_is_no_login_for_npm(
    server: FakeRegistry, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would stand before the token, since requests reads it by itself."""
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password not-for-npm\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert run(server, tarball()).failure is None
    assert {a.headers["Authorization"] for a in server.asked} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("reply", [b"<html>", b"[]", b'{"versions": {"1.0.0": {}}}', b'{"versions": ["1.0.0"]}'])
def test_what_is_no_registry_is_told(server: FakeRegistry, reply: bytes) -> None:
    """A web server with a login page is the usual one."""
    server.get_faults = [Reply(200, reply)]
    with pytest.raises(NpmError, match="no document of an npm registry"):
        planned(server, tarball())


def test_latest_never_goes_back(server: FakeRegistry) -> None:
    """Without a tag; and a pre-release needs one. A deprecated version does not count."""
    run(server, tarball("1.2.0"))
    for version, why in (("1.1.9", "1.2.0 is published already"), ("1.3.0-rc.1", "pre-release")):
        with pytest.raises(NpmError, match=why):
            planned(server, tarball(version))
    assert [p.tag for p in planned(server, tarball("1.1.9"), tag="v-old")] == ["v-old"]
    assert [p.tag for p in planned(server, tarball("1.1.9", publishConfig={"tag": "old"}))] == ["old"]
    server.packages[NAME]["versions"]["1.2.0"]["deprecated"] = "broken"
    assert [p.state for p in planned(server, tarball("1.1.9"))] == ["to publish"]


@pytest.mark.parametrize("tag", ["1.0", "v2", "x", "", "a b", "*", "^1"])
def test_what_reads_as_a_version_is_no_tag(server: FakeRegistry, tag: str) -> None:
    """Nobody could ask for it."""
    with pytest.raises(UsageError):
        planned(server, tarball(), tag=tag)


def test_a_dependency_must_be_there_or_come_before(server: FakeRegistry) -> None:
    """The catalogue is not published before what it names; all that lacks is listed."""
    catalogue = Tarball("cat", "1.0.0", {"dependencies": {NAME: "1.0.0", "other": "2.0.0"}}, {})
    with pytest.raises(NpmError) as caught:
        planned(server, catalogue)
    assert caught.value.notes == (f"{NAME} 1.0.0 is not in {server.url}", f"other 2.0.0 is not in {server.url}")
    alone = Tarball("cat", "1.0.0", {"dependencies": {NAME: "1.0.0"}}, {})
    assert run(server, tarball(), alone).failure is None
    assert [json.loads(put.body)["_id"] for put in server.puts] == [NAME, "cat"]


def test_all_that_must_not_be_published_is_told_at_once(server: FakeRegistry) -> None:
    """And nothing is sent, not even what could be."""
    run(server, tarball("1.2.0"))
    with pytest.raises(NpmError) as caught:
        planned(server, tarball("1.2.0", b"other"), tarball("1.1.0"), tarball("1.3.0"))
    assert "with other content" in told(caught.value)
    assert "would become `latest`" in told(caught.value)
    assert len(server.puts) == 1


def test_only_a_package_with_a_scope_can_be_restricted(server: FakeRegistry) -> None:
    """As npm has it."""
    plain = Tarball("plain", "1.0.0", {}, {})
    failure = publish(planned(server, plain), access="restricted").failure
    assert "no scope" in told(failure)
    report = publish(planned(server, tarball()), access="restricted")
    assert report.failure is None
    assert json.loads(server.puts[-1].body)["access"] == "restricted"


def test_a_server_that_is_not_there(server: FakeRegistry) -> None:
    """The address and the reason, after a few tries."""
    registry = Registry("http://127.0.0.1:9/", Npmrc({}, TOKEN), backoff=0)
    with pytest.raises(NpmError, match=r"cannot ask http://127\.0\.0\.1:9/ for") as caught:
        registry.packument(NAME)
    assert "refused" in caught.value.notes[0]
    assert secrets.mask(TOKEN) == secrets.MASK


def _document(server: FakeRegistry, made: Tarball) -> bytes:
    from pyrunenv.npm.documents import publish_document

    return json.dumps(publish_document(made, server.url, tag="latest", access=None)).encode()
