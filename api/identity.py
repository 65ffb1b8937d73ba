"""Who asks: a key, sent with every request, names a caller and the caller's account.

Owns the way from a key to a `Caller`, over HTTP (`Authorization: Bearer KEY`) and over websockets (the `connection_init`
payload `{"authorization": "Bearer KEY"}`). Keys are kept as digests and looked up by them, so that neither the time a look-up
takes nor a dump of the table tells a key. No key is ever logged or repeated to whoever sent it.

Invariant: nothing but the two probes (`/healthz`, `/readyz`) and what a signed link leads to (`downloads`) answers without a key.
Held by `tests/api/test_identity.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from domain.errors import Unauthenticated

LONGEST_KEY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Someone with a key. `name` tells callers of one account apart, where they repeat a mutation."""

    account: str
    name: str


class Callers:
    """Everybody who has a key."""

    def __init__(self, keys: Mapping[str, Caller]) -> None:
        self._by_digest = {_digest(key): caller for key, caller in keys.items()}

    def identify(self, authorization: object) -> Caller:
        """The caller of an `Authorization` value. Raises `Unauthenticated`."""
        if not isinstance(authorization, str):
            raise Unauthenticated("A key is wanted: send “Authorization: Bearer KEY”.")
        scheme, _, key = authorization.partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise Unauthenticated("A key is wanted in the form “Bearer KEY”.")
        caller = None if len(key) > LONGEST_KEY else self._by_digest.get(_digest(key))
        if caller is None:
            raise Unauthenticated("This key is not known here.")
        return caller


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
