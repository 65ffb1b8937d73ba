"""The engine's checkpoint: where in the stream its work is done and written, and the definitions in force there.

Owns one document. It is saved after the log entries that it vouches for, so that a crash in between leads to working
through the same events twice, which writes the same entries, and never to leaving some out.

A checkpoint never goes back, by the term of whoever saves it first (`domain.store.lease`) and then by its position. Within a
term a save that lies before the stored position changes nothing, but for that of a run which begins afresh, because the stored
one leads nowhere. A later term's word stands even where it lies *before* what is
stored: it began at what was stored then, or counted everything afresh because that led nowhere, and in the second case the
position it found may belong to a history that there is no more (a database put back to an earlier state). The worst that an
earlier position leads to is that a part of the stream is worked through again. An earlier term's word, on the other hand,
is that of an engine which was taken for dead, and is passed over however far it has come: the part that it worked through is
worked through by its successor, too.

A database that was put back while somebody followed its stream is told by the stored position, too: it lies before what they
have seen there. Nothing is saved then, for it would hide that. Held by `tests/domain/store/test_indexes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import DuplicateKeyError

from domain.store.client import Database, Document
from domain.store.indexes import CHECKPOINTS

_ENGINE = "engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """`position` is the end of the last moment worked through; `revisions` tells each account's last definition in force."""

    token: Mapping[str, Any]
    position: str
    revisions: Mapping[str, int]
    term: int = field(default=0, compare=False)
    """That of whoever has saved it; none of one that is still to be saved."""


class PutBack(Exception):
    """The database does not hold what it has acknowledged: it was put back to an earlier state."""


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
            term=document.get("term", 0),
        )

    async def save(
        self, checkpoint: Checkpoint, *, term: int, seen: str | None = None, back: bool = False
    ) -> bool:
        """Changes nothing where a later term has saved, or, unless it may go `back`, this one further on. Whether it stands.

        `seen` is a position that whoever saves has seen stored: raises `PutBack` where what is stored now lies before it.

        Cost: the document grows with the number of accounts, some 40 bytes each.
        """
        position = checkpoint.position
        instead: list[Document] = [{"term": {"$gt": term}}]
        if not back:
            instead.append({"term": term, "position": {"$gt": position}})
        if seen is not None:
            instead.append({"position": {"$lt": seen}})
        unless = {"_id": _ENGINE, "$nor": instead}
        document = {
            "term": term,
            "token": dict(checkpoint.token),
            "position": position,
            "revisions": [
                {"account": account, "revision": revision}
                for account, revision in checkpoint.revisions.items()
            ],
        }
        try:
            result = await self._collection.update_one(unless, {"$set": document}, upsert=seen is None)
        except DuplicateKeyError:
            # It was overtaken: the filter found nothing, and the insert met what is stored.
            return False
        if seen is None or result.matched_count:
            return True
        stored = await self.load()
        if stored is None or (stored.term <= term and stored.position < seen):
            raise PutBack
        return False
