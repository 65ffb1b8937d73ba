"""Links: addresses under which one thing can be had for a while without a key.

Owns their form: account, kind of thing, its identifier and the end of the link's life, signed with a key that was made once for the
database and leaves it nowhere. A link that was changed in any way, or has come to its end, names nothing. No link is ever logged.
Held by `tests/domain/test_links.py`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bson import ObjectId

from domain.definitions import now
from domain.errors import NotFound
from domain.store.store import Store

LIFETIME = timedelta(hours=1)
LONGEST = 1_000


class Thing(StrEnum):
    """What a link can lead to."""

    EXPORT = "export"
    REJECTS = "rejects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """`token` is what the address carries."""

    token: str
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a link leads to."""

    account: str
    thing: Thing
    id: ObjectId


class Links:
    """Those of all accounts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key: bytes | None = None

    async def make(self, account: str, thing: Thing, identifier: ObjectId) -> Link:
        expires = now() + LIFETIME
        said = json.dumps(
            [account, thing.value, str(identifier), int(expires.timestamp())], separators=(",", ":")
        )
        text = _encoded(said.encode())
        return Link(token=f"{text}.{await self._signature(text)}", expires=expires)

    async def open(self, token: str) -> Opened:
        """Raises `NotFound`."""
        text, _, signature = token.partition(".")
        if len(token) <= LONGEST and hmac.compare_digest(
            signature.encode("utf-8", "replace"), (await self._signature(text)).encode()
        ):
            account, thing, identifier, expires = json.loads(_decoded(text))
            if datetime.fromtimestamp(expires, UTC) > now():
                return Opened(account=account, thing=Thing(thing), id=ObjectId(identifier))
        raise NotFound("This link leads nowhere. It may have come to its end: ask for a new one.")

    async def _signature(self, text: str) -> str:
        if self._key is None:
            self._key = hashlib.sha256(b"links\0" + await self._store.secret()).digest()
        return _encoded(hmac.digest(self._key, text.encode("utf-8", "replace"), "sha256"))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error) as error:
        raise AssertionError("what was signed here can be read here") from error
