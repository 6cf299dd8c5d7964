"""Ed25519 keys (RFC 8032): a publisher's, which signs, and the one that a client trusts.

Signatures are raw, 64 bytes: ``openssl pkeyutl -verify -pubin -inkey KEY -rawin -in FILE -sigfile SIGNATURE`` checks them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.errors import Untrusted, UsageError
from pyrunenv.secrets import register

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

log = logging.getLogger(__name__)

SIGNING_KEY = "PYRUNENV_SIGNING_KEY"
PASSWORD = "PYRUNENV_SIGNING_KEY_PASSWORD"
_MAKE = "give a file of one, or its text; make one with `openssl genpkey -algorithm ed25519 -out key.pem`"
_PUBLIC = "a client trusts the public one: `openssl pkey -in key.pem -pubout -out public.pem`"


@dataclass(frozen=True)
class SigningKey:
    """A private key; it is in no message and no representation."""

    _key: Ed25519PrivateKey = field(repr=False)

    def sign(self, content: bytes) -> bytes:
        """Return the signature of bytes."""
        return self._key.sign(content)

    @property
    def public(self) -> TrustedKey:
        """The key that a client trusts."""
        return TrustedKey(self._key.public_key())


@dataclass(frozen=True)
class TrustedKey:
    """A public key."""

    _key: Ed25519PublicKey = field(repr=False)

    @property
    def key_id(self) -> str:
        """The first 16 hexadecimal digits of the raw key's sha256."""
        return hashlib.sha256(self._key.public_bytes_raw()).hexdigest()[:16]

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Whether this key's owner signed the bytes."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, content)
        except InvalidSignature:
            return False
        return True

    def verify(self, content: bytes, signature: bytes, what: str) -> None:
        """Raise Untrusted unless this key's owner signed the bytes, which are ``what`` to a person."""
        if not self.signed(content, signature):
            raise Untrusted(
                f"{what} is not signed by the key that is trusted ({self.key_id})",
                hint="it was changed after it was signed, or another key signed it: ask who publishes it",
            )


def load_signing_key(given: str, env: Mapping[str, str] = os.environ) -> SigningKey:
    """Return a private key from PEM text (PKCS #8) or a file of it; raises UsageError for what is none.

    PYRUNENV_SIGNING_KEY_PASSWORD opens one that is encrypted. A file that others may read is warned of.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content, where = _content(given, "the signing key", private=True)
    for line in content.decode("ascii", "replace").splitlines():
        if not line.startswith("-"):
            register(line.strip())
    password = env.get(PASSWORD)
    register(password)
    try:
        key = load_pem_private_key(content, password.encode() if password else None)
    except TypeError:
        reason = "it is not encrypted, and a password is set" if password else "it is encrypted"
        raise UsageError(f"{where} cannot be opened: {reason}", hint=f"its password goes into {PASSWORD}") from None
    except (ValueError, UnsupportedAlgorithm):
        if password and b"ENCRYPTED" in content:
            raise UsageError(
                f"{where} cannot be opened: the password is wrong", hint=f"it is that in {PASSWORD}"
            ) from None
        raise UsageError(f"{where} is no private key that can be read", hint=_MAKE) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{where} is a key of another kind than Ed25519", hint=_MAKE)
    return SigningKey(key)


def load_trusted_key(given: str) -> TrustedKey:
    """Return a public key from PEM, a line of OpenSSH, or base64 of its 32 bytes; the text, or a file of it.

    Raises UsageError for what is none.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key

    content, where = _content(given, "the key to trust")
    try:
        if b"PRIVATE KEY" in content:
            raise UsageError(f"{where} is a private key", hint=_PUBLIC)
        if content.startswith(b"-----"):
            key: object = load_pem_public_key(content)
        elif content.startswith(b"ssh-"):
            key = load_ssh_public_key(content)
        else:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(content.strip(), validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise UsageError(f"{where} is no public key that can be read", hint=_PUBLIC) from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{where} is a key of another kind than Ed25519", hint=_PUBLIC)
    return TrustedKey(key)


def _content(given: str, what: str, *, private: bool = False) -> tuple[bytes, str]:
    """Return a key's text, and how it is called in messages: what may be a key itself is in none."""
    if given.lstrip().startswith(("-----", "ssh-")):
        return given.strip().replace("\\n", "\n").encode("utf-8", "replace"), what
    path = Path(given)
    if given and _is_there(path):
        try:
            if private:
                _warn_of_readers(path)
            return path.read_bytes().strip(), f"{what} {path}"
        except OSError as error:
            raise UsageError(f"{what} {path} cannot be read", notes=[str(error.strerror)]) from None
    if path.suffix or not given.strip():
        # named like a file: no key's text has a dot in it
        raise UsageError(f"{what} `{given}` is not there", hint="give a file, or the key's text")
    return given.encode("utf-8", "replace"), what


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False  # a text that no file can be named


def _warn_of_readers(path: Path) -> None:
    mode = path.stat().st_mode
    if sys.platform != "win32" and stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        log.warning("the signing key %s can be read by others: `chmod 600 %s`", path, path)
