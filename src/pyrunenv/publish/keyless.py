"""Signatures without a key of one's own (https://www.sigstore.dev): the CI system tells who we are, a public log keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrunenv.errors import PublishError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

WORD = "keyless"
"""What ``--sign`` takes in the place of a key."""
_CI = "in GitHub Actions with `permissions: id-token: write`, in GitLab CI with SIGSTORE_ID_TOKEN, or sign with a key"


def keyless_signer() -> Callable[[bytes], bytes]:
    """Return what signs bytes: it gives a bundle as JSON, which ``sigstore verify identity --bundle`` and cosign check.

    Raises UsageError where the package sigstore, or a CI system that tells who we are, is not there; signing raises
    PublishError where sigstore's services refuse or do not answer.
    """
    try:
        from sigstore.models import ClientTrustConfig
        from sigstore.oidc import IdentityToken
        from sigstore.sign import SigningContext
    except ImportError:
        raise UsageError(
            "to sign without a key takes the package sigstore", hint="`pip install 'sigstore>=4'`"
        ) from None
    _identity()
    context: list[Any] = []

    def sign(content: bytes) -> bytes:
        try:
            if not context:
                context.append(SigningContext.from_trust_config(ClientTrustConfig.production()))
            # asked for each time: what tells who we are holds for minutes
            with context[0].signer(IdentityToken(_identity())) as signer:
                return str(signer.sign_artifact(content).to_json()).encode()
        except UsageError:
            raise
        except Exception as error:  # of many libraries, and no common kind
            raise PublishError(
                "sigstore did not sign", notes=[f"{type(error).__name__}: {error}"],
                hint="its services must be reached from here; run again, or sign with a key (`--sign KEY`)",
            ) from error  # fmt: skip

    return sign


def _identity() -> str:
    from sigstore.oidc import IdentityError, detect_credential

    from pyrunenv.secrets import register

    try:
        token: str | None = detect_credential()
    except IdentityError as error:
        raise UsageError("this CI system does not tell who we are", notes=[str(error)], hint=_CI) from None
    if token is None:
        raise UsageError("nothing here tells who we are, which signing without a key takes", hint=_CI)
    register(token)
    return token
