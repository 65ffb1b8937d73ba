"""The database's secret: what is signed with it can be told from what is not, by every process that uses the database.

Owns its making, once, whoever comes first. Held by `tests/domain/test_links.py`.
"""

from __future__ import annotations

import secrets
from contextlib import suppress

from pymongo.errors import DuplicateKeyError

from domain.store.client import Database
from domain.store.indexes import LINKS

_SECRET = "secret"  # noqa: S105 # where it is kept, not what it is
_BYTES = 32


async def load_secret(database: Database) -> bytes:
    collection = database[LINKS]
    found = await collection.find_one({"_id": _SECRET})
    if found is None:
        with suppress(DuplicateKeyError):  # another process was first
            await collection.insert_one({"_id": _SECRET, "value": secrets.token_bytes(_BYTES)})
        found = await collection.find_one({"_id": _SECRET})
    assert found is not None, "it never goes"
    value: bytes = found["value"]
    return value
