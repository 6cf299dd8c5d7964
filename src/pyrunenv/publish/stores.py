"""The storages that a URL can name: ``s3://``, ``s3e://`` (S3-compatible servers), ``gs://``, ``az://``, ``file://``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pyrunenv.errors import StorageError
from pyrunenv.publish.s3 import Bucket
from pyrunenv.publish.storage import Storage
from pyrunenv.secrets import mask, register, strip_credentials

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_CLIENT_SECRET", "GOOGLE_SERVICE_ACCOUNT_KEY")  # fmt: skip
_RETRIES: Any = {"max_retries": 6, "retry_timeout": timedelta(minutes=3)}
_REGION = "us-east-1"
"""What S3-compatible servers take where none is told."""


@dataclass(frozen=True)
class _Place:
    """The parts of a storage's URL. ``options`` are those of its query."""

    host: str
    path: str
    options: Mapping[str, str]
    env: Mapping[str, str]


def open_storage(url: str, env: Mapping[str, str] = os.environ, *, create: bool = True) -> Storage:
    """Return the storage that a URL names; nothing is asked of it yet, and with ``create`` a folder is made.

    Credentials come from where the storage's own tools have them. Raises StorageError where the URL makes no sense.
    """
    for name in _SECRETS:
        register(env.get(name))
    parts = urlsplit(url)
    register(parts.password)
    if parts.scheme == "file":
        folder = _folder(parts, url)
        return Storage(_local(folder, create=create), f"file://{folder}", folder=folder)
    kind = _KINDS.get(parts.scheme)
    if kind is None:
        known = ", ".join(f"{scheme}://" for scheme in ("file", *_KINDS))
        raise StorageError(f"`{mask(url)}` is no storage that is known", hint=f"its URL begins with one of: {known}")
    options = dict(parse_qsl(parts.query))
    for secret in (value for name, value in options.items() if name not in kind.options):
        register(secret)
    if unknown := sorted(options.keys() - set(kind.options)):
        raise StorageError(
            f"the storage {shown(url)} has an option that is not known: {', '.join(unknown)}",
            hint=f"known are: {', '.join(kind.options)}; credentials do not belong into a URL",
        )
    if "@" in parts.netloc:
        raise StorageError(f"the storage {shown(url)} has a login in its URL", hint=f"give it as {kind.credentials}")
    try:
        return kind.open(_Place(parts.netloc, unquote(parts.path).strip("/"), options, env), shown(url))
    except (ValueError, KeyError, OSError, _base_error()) as error:
        reason = mask(str(error).partition("\n\nDebug source")[0])
        raise StorageError(f"the storage {shown(url)} cannot be used", notes=[reason], hint=f"give {kind.credentials}; {kind.form}") from error  # fmt: skip


def shown(url: str) -> str:
    """Return a storage's URL without what may be secret in it."""
    return strip_credentials(url).partition("?")[0]


def _folder(parts: SplitResult, url: str) -> Path:
    from urllib.request import url2pathname

    path = Path(url2pathname(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute():
        raise StorageError(f"`{mask(url)}` names no folder of this machine", hint="write file:///absolute/path")
    return path


def _local(folder: Path, *, create: bool) -> ObjectStore:
    from obstore.store import LocalStore

    if not create and not folder.is_dir():
        raise StorageError(f"{folder} is no folder that is there", hint="check the address")
    try:
        return LocalStore(folder, mkdir=create)
    except (OSError, ValueError, _base_error()) as error:
        reason = str(error).partition("\n\nDebug source")[0]
        raise StorageError(f"{folder} cannot be used as a storage", notes=[reason], hint="name a folder that can be written") from error  # fmt: skip


def _s3(place: _Place, shown: str) -> Storage:
    endpoint = place.env.get("AWS_ENDPOINT_URL_S3") or place.env.get("AWS_ENDPOINT_URL")
    return _bucket(place, place.host, place.path, endpoint, shown)


def _s3e(place: _Place, shown: str) -> Storage:
    name, _, prefix = place.path.partition("/")
    return _bucket(place, name, prefix, f"{place.options.get('scheme', 'https')}://{place.host}", shown)


def _bucket(place: _Place, name: str, prefix: str, endpoint: str | None, shown: str) -> Storage:
    """A bucket, with the credentials that boto3 finds: variables, profiles, single sign-on, roles; without any, none."""
    import boto3
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    if not name:
        raise ValueError("it names no bucket")
    try:
        session = boto3.Session()
        region = place.options.get("region") or session.region_name or _REGION
        known = session.get_credentials() is not None
    except BotoCoreError as error:
        raise ValueError(str(error)) from None
    config: dict[str, Any] = {"region": region, **({"endpoint": endpoint} if endpoint else {})}
    config.update({"credential_provider": Boto3CredentialProvider(session)} if known else {"skip_signature": True})
    plain = bool(endpoint and endpoint.startswith("http:"))
    store = S3Store(
        name, prefix=prefix or None, client_options={"allow_http": plain, "timeout": "10 minutes"},
        retry_config=_RETRIES, **config,
    )  # fmt: skip
    return Storage(store, shown, bucket=Bucket(session, name, f"{prefix}/" if prefix else "", region, endpoint))


def _gs(place: _Place, shown: str) -> Storage:
    from obstore.store import GCSStore

    return Storage(GCSStore(place.host, prefix=place.path or None, retry_config=_RETRIES), shown)


def _az(place: _Place, shown: str) -> Storage:
    from obstore.store import AzureStore

    account = place.options.get("account") or place.env.get("AZURE_STORAGE_ACCOUNT_NAME")
    if not account:
        raise ValueError("the storage account is not told: `?account=NAME`, or AZURE_STORAGE_ACCOUNT_NAME")
    store = AzureStore(place.host, prefix=place.path or None, account_name=account, retry_config=_RETRIES)
    return Storage(store, shown)


def _base_error() -> type[Exception]:
    from obstore.exceptions import BaseError

    return BaseError


@dataclass(frozen=True)
class _Kind:
    """A kind of storage: how it is opened, the options of its URL, where its credentials come from, its URL's form."""

    open: Callable[[_Place, str], Storage]
    options: tuple[str, ...]
    credentials: str
    form: str


_AWS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role"
_KINDS = {
    "s3": _Kind(_s3, ("region",), _AWS, "write s3://bucket/prefix?region=…"),
    "s3e": _Kind(_s3e, ("region", "scheme"), _AWS, "write s3e://host:port/bucket/prefix?region=…"),
    "gs": _Kind(_gs, (), "GOOGLE_APPLICATION_CREDENTIALS", "write gs://bucket/prefix"),
    "az": _Kind(_az, ("account",), "AZURE_STORAGE_ACCOUNT_KEY, or a client's", "write az://container/prefix?account=…"),
}
