"""The engine's checkpoint: where in the stream its work is done and written, and the definitions in force there.

Owns one document. It is saved after the log entries that it vouches for, so that a crash in between leads to working
through the same events twice, which writes the same entries, and never to leaving some out. A checkpoint never goes
back: a save that lies before the stored position changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.errors import DuplicateKeyError

from domain.store.client import Database
from domain.store.indexes import CHECKPOINTS

_ENGINE = "engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """`position` is the end of the last moment worked through; `revisions` tells each account's last definition in force."""

    token: Mapping[str, Any]
    position: str
    revisions: Mapping[str, int]


class Checkpoints:
    """Loading and saving it."""

    def __init__(self, database: Database) -> None:
        self._collection = database[CHECKPOINTS]

    async def load(self) -> Checkpoint | None:
        document = await self._collection.find_one({"_id": _ENGINE})
        if document is None:
            return None
        return Checkpoint(
            token=document["token"],
            position=document["position"],
            revisions={item["account"]: item["revision"] for item in document["revisions"]},
        )

    async def save(self, checkpoint: Checkpoint) -> None:
        """Cost: the document grows with the number of accounts, some 40 bytes each."""
        document = {
            "token": dict(checkpoint.token),
            "position": checkpoint.position,
            "revisions": [
                {"account": account, "revision": revision}
                for account, revision in checkpoint.revisions.items()
            ],
        }
        try:
            await self._collection.update_one(
                {"_id": _ENGINE, "position": {"$lte": checkpoint.position}}, {"$set": document}, upsert=True
            )
        except DuplicateKeyError:
            # A later one is stored: the filter found nothing and the insert met it.
            return
