"""Where a copied OpenSSL looks for certificates."""

from __future__ import annotations

import posixpath

import pytest

from pyrunenv.interpreters.relocate import Relocated, find_certificates


def libcrypto(folder: bytes) -> bytes:
    """Return strings as OpenSSL has them, with one that shares the end of another."""
    names = (b"", b"/private", b"/certs", b"/cert.pem", b"/ct_log_list.cnf")
    return b'\x7fELF\0OPENSSLDIR: "' + folder + b'"\0' + b"\0".join(folder + name for name in names) + b"\0/certs.d\0"


@pytest.mark.parametrize("folder", [b"/usr/lib/ssl", b"/usr/local/ssl", b"/home/me/.pyenv/versions/3.11.7/openssl/ssl"])
def test_the_build_machines_places_become_the_common_one(folder: bytes) -> None:
    """Debian's folder of links and a folder of the installation: the length stays, and all that is no certificate."""
    result, before = Relocated(), libcrypto(folder)
    after = find_certificates(before, result)
    assert not result.warnings
    assert len(after) == len(before)
    strings = [string.decode() for string in after.split(b"\0")]
    assert [posixpath.normpath(string) for string in strings[4:6]] == ["/etc/ssl/certs", "/etc/ssl/cert.pem"]
    unchanged = before.split(b"\0")
    assert [s.encode() for s in strings[:4] + strings[6:]] == unchanged[:4] + unchanged[6:]


@pytest.mark.parametrize("folder", [b"/etc/pki/tls", b"/ssl"])
def test_what_cannot_be_changed_soundly_is_said(folder: bytes) -> None:
    """Red Hat's place holds on all of theirs and nowhere else; a shorter path leaves no room."""
    result = Relocated()
    assert find_certificates(libcrypto(folder), result) == libcrypto(folder)
    assert len(result.warnings) == 1
    assert folder.decode() in result.warnings[0]
    assert "SSL_CERT_FILE" in result.warnings[0]


@pytest.mark.parametrize("content", [libcrypto(b"/etc/ssl"), b"\x7fELF nothing\0"])
def test_what_is_right_or_unknown_stays(content: bytes) -> None:
    """Nothing is changed or said."""
    result = Relocated()
    assert find_certificates(content, result) == content
    assert not result.warnings
