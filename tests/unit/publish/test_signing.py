"""Keys and signatures, against those of OpenSSL; statements that were put in the place of others."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pyrunenv import secrets
from pyrunenv.errors import Untrusted, UsageError
from pyrunenv.publish.signing import load_signing_key, load_trusted_key
from pyrunenv.publish.statement import check_statement, statement

ASKED: dict[str, Any] = {
    "name": "@scope/env", "version": "1.2.0", "platform": "linux-x64", "address": "software/scope/env/main/1.2.0-linux-x64.tgz",
}  # fmt: skip
DIGESTS = {ASKED["address"]: "a" * 64, f"{ASKED['address']}.manifest.json": "b" * 64}


def private_pem(key: Any, password: bytes | None = None) -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())


def test_openssl_makes_our_keys_and_checks_our_signatures(tmp_path: Path) -> None:
    """And the other way round."""
    openssl = shutil.which("openssl")
    if (
        openssl is None
        or "OpenSSL 3" not in subprocess.run([openssl, "version"], capture_output=True, text=True).stdout
    ):
        pytest.skip("no openssl 3 here")

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=tmp_path, check=True, capture_output=True)

    run("genpkey", "-algorithm", "ed25519", "-out", "key.pem")
    run("pkey", "-in", "key.pem", "-pubout", "-out", "public.pem")
    (tmp_path / "file").write_bytes(b"something")
    (tmp_path / "ours").write_bytes(load_signing_key(str(tmp_path / "key.pem")).sign(b"something"))
    run("pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin", "-in", "file", "-sigfile", "ours")
    run("pkeyutl", "-sign", "-inkey", "key.pem", "-rawin", "-in", "file", "-out", "theirs")
    trusted = load_trusted_key(str(tmp_path / "public.pem"))
    assert trusted.signed(b"something", (tmp_path / "theirs").read_bytes())


def test_a_public_key_comes_in_three_forms(tmp_path: Path) -> None:
    """PEM, OpenSSH and base64, as text or as a file; all are one key."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key()
    forms = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " somebody@somewhere",
        base64.b64encode(public.public_bytes_raw()).decode(),
    ]
    found = {load_trusted_key(form).key_id for form in forms}
    for number, form in enumerate(forms):
        path = tmp_path / str(number)
        path.write_text(form + "\n", encoding="ascii")
        found.add(load_trusted_key(str(path)).key_id)
    assert found == {load_signing_key(private_pem(key)).public.key_id}


def test_what_is_no_key_is_told_and_no_key_is_told(tmp_path: Path) -> None:
    """Each mistake has its own message, in which the key is not."""
    key = Ed25519PrivateKey.generate()
    pem = private_pem(key)
    cases = [
        (lambda: load_signing_key(str(tmp_path / "absent.pem")), "is not there"),
        (lambda: load_signing_key(private_pem(generate_private_key(SECP256R1()))), "another kind"),
        (lambda: load_signing_key(pem.replace("\nMC", "\nNC")), "no private key"),
        (lambda: load_signing_key(private_pem(key, b"password"), {}), "it is encrypted"),
        (lambda: load_signing_key(private_pem(key, b"password"), {"PYRUNENV_SIGNING_KEY_PASSWORD": "wrong"}), "the password is wrong"),
        (lambda: load_signing_key(pem, {"PYRUNENV_SIGNING_KEY_PASSWORD": "useless"}), "not encrypted"),
        (lambda: load_signing_key(str(tmp_path)), "cannot be read"),
        (lambda: load_signing_key(""), "is not there"),
        (lambda: load_trusted_key(pem), "is a private key"),
        (lambda: load_trusted_key(base64.b64encode(b"short" * 9).decode()), "no public key"),
        (lambda: load_trusted_key("ssh-rsa AAAA"), "no public key"),
    ]  # fmt: skip
    body = pem.splitlines()[1]
    for load, text in cases:
        with pytest.raises(UsageError) as caught:
            load()
        assert text in caught.value.message
        assert body not in f"{caught.value.message} {caught.value.notes} {caught.value.hint}"
    opened = load_signing_key(private_pem(key, b"password"), {"PYRUNENV_SIGNING_KEY_PASSWORD": "password"})
    assert body not in repr(opened)
    assert body not in secrets.mask(f"key: {body}")


@pytest.mark.parametrize("load", [load_signing_key, load_trusted_key])
def test_what_was_given_in_another_form_is_in_no_message(load: Callable[[str], object]) -> None:
    """A key whose frame was lost, in base64 once more, too long for a file's name, with letters that are none."""
    encrypted = private_pem(Ed25519PrivateKey.generate(), b"password")
    given = [
        base64.b64encode(encrypted.encode()).decode(),
        base64.b64encode(encrypted.encode()).decode()[:200],
        f"/{'A' * 42}",
        "0123456789abcdef" * 2,
        "-----\udcff",
        "\udcff" * 50,
        "absent\0key",
    ]
    for text in given:
        with pytest.raises(UsageError) as caught:
            load(text)
        assert text[4:20] not in f"{caught.value} {caught.value.notes} {caught.value.hint}"


@pytest.mark.skipif(sys.platform == "win32", reason="files there have no such modes")
def test_a_key_that_others_may_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And used all the same; one that only its owner reads is not, and neither is a pipe."""
    path = tmp_path / "key.pem"
    path.write_text(private_pem(Ed25519PrivateKey.generate()), encoding="ascii")
    path.chmod(0o600)
    expected = load_signing_key(str(path)).public.key_id
    reading, writing = os.pipe()
    with open(writing, "wb") as pipe:  # noqa: PTH123
        pipe.write(path.read_bytes())
    assert load_signing_key(f"/dev/fd/{reading}").public.key_id == expected
    os.close(reading)
    assert caplog.messages == []
    path.chmod(0o644)
    assert load_signing_key(str(path)).public.key_id == expected
    assert [f"chmod 600 {path}" in message for message in caplog.messages] == [True]


def test_a_statement_stands_for_what_it_names_and_nothing_else() -> None:
    """Another version, platform, name, address or digest is refused, and so are other bytes and another key."""
    key = load_signing_key(private_pem(Ed25519PrivateKey.generate()))
    content = statement(**ASKED, digests=DIGESTS)
    signature = key.sign(content)
    check_statement(content, signature, key.public, **ASKED, digests=DIGESTS)
    for what, other in (
        ("version", "1.1.0"),
        ("platform", "macosx-x64"),
        ("name", "@scope/other"),
        ("address", "elsewhere"),
    ):
        older = statement(**{**ASKED, what: other}, digests=DIGESTS)
        with pytest.raises(Untrusted) as caught:
            check_statement(older, key.sign(older), key.public, **ASKED, digests=DIGESTS)
        assert any(f"it is of {what} `{other}`" in note for note in caught.value.notes)
    with pytest.raises(Untrusted, match="something else"):
        check_statement(content, signature, key.public, **ASKED, digests={ASKED["address"]: "c" * 64})
    with pytest.raises(Untrusted, match="something else"):
        check_statement(content, signature, key.public, **ASKED, digests={**DIGESTS, "more": "d" * 64})
    other_key = load_signing_key(private_pem(Ed25519PrivateKey.generate()))
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    for signed, by in (
        (other_key.sign(content), key),
        (signature, other_key),
        (flipped, key),
        (signature[:63], key),
        (b"", key),
    ):
        with pytest.raises(Untrusted, match="not signed by the key that is trusted"):
            check_statement(content, signed, by.public, **ASKED, digests=DIGESTS)
    for bit in range(0, 8 * len(content), 97):
        altered = bytearray(content)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Untrusted):
            check_statement(bytes(altered), signature, key.public, **ASKED, digests=DIGESTS)
    for forged in (b"{}", b"[]", b"not json", content.replace(b'"version":"1.2.0"', b'"version":"1.1.0","version":"1.2.0"'),
                   content.replace(b"in-toto.io", b"elsewhere.io")):  # fmt: skip
        with pytest.raises(Untrusted):
            check_statement(forged, key.sign(forged), key.public, **ASKED, digests=DIGESTS)
