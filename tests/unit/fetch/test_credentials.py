"""Logins: where they come from, where they go, and where they never stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.fetching import clean_environment

from pyrunenv.config.schema import PythonConfig, Registries, Registry, TargetConfig
from pyrunenv.fetch import credentials as module
from pyrunenv.fetch.credentials import (
    Credentials,
    Login,
    learn,
    named_registries,
    registries_for,
    registry_environment,
)  # fmt: skip
from pyrunenv.secrets import mask


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clean_environment(monkeypatch, tmp_path)


def registries(default: str = "https://pypi.org/simple", *additional: Any) -> Registries:
    """Make registries of URLs and (URL, name) or (URL, name, packages)."""
    entries = [entry if isinstance(entry, tuple) else (entry,) for entry in additional]
    return Registries(
        default=default,
        additional=tuple(
            Registry(url=e[0], name=e[1] if len(e) > 1 else None, packages=e[2] if len(e) > 2 else None)
            for e in entries
        ),
    )


def credentials(known: Registries, env: Mapping[str, str] | None = None) -> Credentials:
    """Return logins that have learnt of registries."""
    made = Credentials(env or {"NETRC": "/nowhere"})
    made.learn(known)
    return made


def test_url_gives_the_login_decoded() -> None:
    """User and password of a URL are percent-decoded."""
    found = credentials(registries("https://me:p%40ss%2Fword@host/simple")).find("https://host/files/a.whl")
    assert found == Login("me", "p@ss/word")


@pytest.mark.parametrize(
    "url",
    [
        "http://host/a.whl",
        "https://host:8443/a.whl",
        "https://files.host/a.whl",
        "https://host.evil.example/a.whl",
        "https://evil.example/host/simple/a.whl",
        "file:///host/a.whl",
    ],
)
def test_login_stays_with_its_origin(url: str) -> None:
    """Another scheme, port or host gets nothing."""
    assert credentials(registries("https://me:password@host/simple")).find(url) is None


def test_default_port_is_the_same_origin() -> None:
    """Port 443 said or unsaid is one origin; a host's case does not matter."""
    known = credentials(registries("https://me:password@host/simple"))
    assert known.find("https://HOST:443/a.whl") == Login("me", "password")


def test_two_registries_of_one_host_are_told_apart_by_path() -> None:
    """The login of the registry with the longest common path is taken."""
    known = credentials(registries("https://a:passworda@host/team-a/simple", "https://b:passwordb@host/team-b/simple"))
    assert known.find("https://host/team-a/files/x.whl") == Login("a", "passworda")
    assert known.find("https://host/team-b/files/x.whl") == Login("b", "passwordb")


def test_variables_of_a_named_registry() -> None:
    """UV_INDEX_<NAME>_… is upper case, every other character an underscore; it wins over the URL, as in uv."""
    env = {"UV_INDEX_MY_REG_1_USERNAME": "env", "UV_INDEX_MY_REG_1_PASSWORD": "fromenv", "NETRC": "/nowhere"}
    known = credentials(registries("https://x/simple", ("https://url:fromurl@host/simple", "my.reg-1")), env)
    assert known.find("https://host/a.whl") == Login("env", "fromenv")


def test_netrc_is_asked_last(tmp_path: Path) -> None:
    """netrc serves hosts that no registry has a login for; its path comes from NETRC."""
    netrc = tmp_path / "my-netrc"
    netrc.write_text("machine host login n password fromnetrc\nmachine other login o password otherpass\n")
    netrc.chmod(0o600)
    known = credentials(registries("https://me:fromurl@host/simple"), {"NETRC": str(netrc)})
    assert known.find("https://host/a.whl") == Login("me", "fromurl")
    assert known.find("https://other/a.whl") == Login("o", "otherpass")
    assert known.find("https://third/a.whl") is None
    assert "otherpass" not in mask("password otherpass")


@pytest.mark.parametrize("content", ["machine", "\xff\xfe", "machine host login"])
def test_netrc_that_cannot_be_parsed_has_no_login(tmp_path: Path, content: str) -> None:
    """A broken netrc stops no download that needs no login."""
    netrc = tmp_path / "netrc"
    netrc.write_bytes(content.encode("latin-1"))
    assert credentials(registries(), {"NETRC": str(netrc)}).find("https://host/a.whl") is None


def test_passwords_and_lone_tokens_are_masked() -> None:
    """Whatever is learnt is masked in every text from then on; a user's name beside a password is not."""
    credentials(registries("https://harmless:s3cretpass@host/simple", "https://ghp_token99@git/simple"))
    assert mask("harmless s3cretpass ghp_token99") == "harmless **** ****"
    assert "s3cretpass" not in repr(Login("me", "s3cretpass"))


def test_names_are_unique_as_variables_too() -> None:
    """Registries without a name get one; names that share a variable are told apart; the default one is first."""
    known = registries(
        "https://d/simple", ("https://a/simple", "a-b"), ("https://b/simple", "a.b"), "https://c/simple",
        ("https://e/simple", "default"),
    )  # fmt: skip
    named = named_registries(known)
    assert [url for _, url in named] == [f"https://{host}/simple" for host in "dabce"]
    keys = [name.upper().replace("-", "_").replace(".", "_") for name, _ in named]
    assert len(set(keys)) == 5
    assert dict(named)["default"] == "https://e/simple"


def test_urls_for_the_resolver_carry_no_login() -> None:
    """Logins go into the environment, never into an argument."""
    known = registries("https://me:password1@host/simple", ("https://you:password2@other/simple", "other"))
    assert not [url for _, url in named_registries(known) if "password" in url or "@" in url]
    assert registry_environment(known, {}) == {
        "UV_INDEX_DEFAULT_USERNAME": "me", "UV_INDEX_DEFAULT_PASSWORD": "password1",
        "UV_INDEX_OTHER_USERNAME": "you", "UV_INDEX_OTHER_PASSWORD": "password2",
    }  # fmt: skip


def test_resolver_trusts_the_certificates_that_we_trust(tmp_path: Path) -> None:
    """REQUESTS_CA_BUNDLE reaches uv as SSL_CERT_FILE, a folder as SSL_CERT_DIR, unless those are set already."""
    bundle = tmp_path / "ca.pem"
    assert registry_environment(registries(), {"REQUESTS_CA_BUNDLE": str(bundle)}) == {"SSL_CERT_FILE": str(bundle)}
    assert registry_environment(registries(), {"CURL_CA_BUNDLE": str(tmp_path)}) == {"SSL_CERT_DIR": str(tmp_path)}
    assert registry_environment(registries(), {"REQUESTS_CA_BUNDLE": "x", "SSL_CERT_FILE": "y"}) == {}


def test_a_name_bound_to_a_registry_comes_from_there_alone() -> None:
    """``packages`` closes a registry for other names, and other registries for its names, however they are spelt."""
    known = registries("https://d/simple", "https://a/simple", ("https://me:password@p/simple", "own", ("My.Lib",)))
    assert registries_for(known, "my_lib") == ["https://p/simple"]
    assert registries_for(known, "numpy") == ["https://d/simple", "https://a/simple"]


def test_one_registry_listed_twice_is_told_once() -> None:
    """The resolver hears of a registry once, with the login wherever it stood."""
    known = registries("https://host/simple", "https://me:password@host/simple")
    assert named_registries(known) == [("default", "https://host/simple")]
    assert registry_environment(known, {})["UV_INDEX_DEFAULT_PASSWORD"] == "password"


def test_every_login_of_a_config_is_learnt_for_its_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror's files, an archive and a root get the login that stood in their URL; a registry's own stays its own."""
    known = credentials(Registries())
    monkeypatch.setattr(module, "known", known)
    archive = {"url": "https://arch:pw-of-archive@files.test/x.tgz", "sha256": "ab" * 32}
    config = TargetConfig(
        registries=registries("https://reg:pw-of-registry@host/simple"),
        python=PythonConfig(mirror="https://mir:pw-of-mirror@host/pbs", archives={"linux-x64": archive}),  # type: ignore[dict-item]
        dependencies=("numpy==2.2.6", "one @ https://me:pw-of-root@roots.test/one-1.0-py3-none-any.whl"),
    )
    learn(config)
    assert known.find("https://host/pbs/20250529/cpython.tar.gz") == Login("mir", "pw-of-mirror")
    assert known.find("https://host/simple/six/") == Login("reg", "pw-of-registry")
    assert known.find("https://files.test/x.tgz") == Login("arch", "pw-of-archive")
    assert known.find("https://roots.test/one-1.0-py3-none-any.whl") == Login("me", "pw-of-root")
    assert "pw-of" not in mask("pw-of-archive pw-of-mirror pw-of-root")
    learn(TargetConfig(python=PythonConfig(mirror="https://other.test/pbs")))
    assert known.find("https://other.test/pbs/x") is None
