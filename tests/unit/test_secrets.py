"""Credentials are masked wherever a person may see them."""

from __future__ import annotations

import pytest

from pyrunenv import secrets


@pytest.mark.parametrize(
    "text",
    [
        "https://user:s3cret-word@h.test/simple",
        "GET http://s3cret-word@h.test/x failed",
        "a git+ssh://u:s3cret-word@h.test/x.git@main and https://h.test/",
    ],
)
def test_userinfo_of_any_url_is_masked(text: str) -> None:
    """No user, password or token of a URL survives; the host does."""
    masked = secrets.mask(text)
    assert "s3cret-word" not in masked
    assert "h.test" in masked


def test_a_registered_secret_is_masked_wherever_it_stands() -> None:
    """A password that came from elsewhere is masked as it is and as it stands in a URL."""
    secrets.register("p%40ss-word-1")
    assert "word-1" not in secrets.mask("token p%40ss-word-1, decoded p@ss-word-1")


def test_a_plain_url_is_left_alone() -> None:
    """Nothing is masked that is no secret, an address with an at sign behind the host included."""
    text = "https://h.test/@scope/name@1.0"
    assert secrets.mask(text) == text
    assert secrets.strip_credentials(text) == text


def test_stripping_keeps_port_and_path() -> None:
    """What goes into a lock is the address without its user."""
    assert secrets.strip_credentials("https://u:p@h.test:8080/simple?x=1") == "https://h.test:8080/simple?x=1"
