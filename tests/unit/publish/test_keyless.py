"""Signing without a key: what is asked for before anything is sent, and what becomes of a service that fails."""

from __future__ import annotations

import sys

import pytest

from pyrunenv.errors import PublishError, UsageError
from pyrunenv.publish.keyless import keyless_signer


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no dependency: few sign so, and it brings many more."""
    for name in ("sigstore", "sigstore.models", "sigstore.oidc", "sigstore.sign"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match="takes the package sigstore") as caught:
        keyless_signer()
    assert caught.value.hint == "`pip install 'sigstore>=4'`"


def test_where_nothing_tells_who_we_are_nothing_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's machine, or a CI system without the right to ask."""
    pytest.importorskip("sigstore", reason="the package sigstore is not installed")
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE", "SIGSTORE_ID_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="nothing here tells who we are"):
        keyless_signer()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(UsageError, match="does not tell who we are"):
        keyless_signer()


def test_a_service_that_is_not_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its libraries raise."""
    sigstore = pytest.importorskip("sigstore.models", reason="the package sigstore is not installed")
    monkeypatch.setattr("pyrunenv.publish.keyless._identity", lambda: "no token")

    def unreached() -> None:
        raise ConnectionError("no route to sigstore")

    monkeypatch.setattr(sigstore.ClientTrustConfig, "production", unreached)
    with pytest.raises(PublishError, match="sigstore did not sign") as caught:
        keyless_signer()(b"content")
    assert caught.value.notes == ("ConnectionError: no route to sigstore",)
