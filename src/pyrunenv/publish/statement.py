"""What a publisher signs of an archive: an in-toto statement (https://in-toto.io/Statement/v1) that binds its digest and
those of its papers to the name, version, platform and address under which a client asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyrunenv.errors import Untrusted

if TYPE_CHECKING:
    from pyrunenv.publish.signing import TrustedKey

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:pyrunenv:published:v1"


def statement(*, name: str, version: str, platform: str, address: str, digests: Mapping[str, str]) -> bytes:
    """Return a statement as canonical JSON. ``digests`` maps addresses, the archive's among them, to sha256."""
    value = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in sorted(digests.items())],
        "predicateType": PREDICATE,
        "predicate": {"name": name, "version": version, "platform": platform, "address": address},
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def check_statement(
    content: bytes, signature: bytes, key: TrustedKey, *, name: str, version: str, platform: str, address: str,
    digests: Mapping[str, str],
) -> None:  # fmt: skip
    """Raise Untrusted unless the key's owner published these digests under this name, version, platform and address."""
    what = f"the statement of {name} {version} on {platform}"
    key.verify(content, signature, what)
    try:
        value = json.loads(content, object_pairs_hook=_without_doubles)
        kind = (value["_type"], value["predicateType"])
        told = dict(value["predicate"])
        subjects = {subject["name"]: subject["digest"]["sha256"] for subject in value["subject"]}
    except (ValueError, KeyError, TypeError) as error:
        raise Untrusted(f"{what} cannot be read", notes=[str(error)]) from None
    wanted = {"name": name, "version": version, "platform": platform, "address": address}
    wrong = [f"it is of {key} `{told.get(key)}`" for key, text in wanted.items() if told.get(key) != text]
    wrong += [
        f"it says of {place} that its sha256 is {subjects.get(place)}, and it has {sha256}"
        for place, sha256 in digests.items() if subjects.get(place) != sha256
    ]  # fmt: skip
    if kind != (STATEMENT, PREDICATE):
        wrong.append(f"it is of another kind: {kind[1]}")
    if wrong:
        raise Untrusted(
            f"{what} is of something else", notes=wrong,
            hint="what is there was put in the place of what was asked for: ask who publishes it",
        )  # fmt: skip


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found
