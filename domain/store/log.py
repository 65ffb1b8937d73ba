"""The membership log: every opening, joining, leaving, redefinition and ending of every audience, one document each.

Owns how entries are written and read; decides nothing. An entry's identifier is (audience, position) and follows from its
cause, so writing the same entry again changes nothing, after a crash or by two engines at once. An entry carries the size
of its audience after it, and a checksum of who is in: the opening was counted once, each further size follows from the one
before, so that the size at any cursor is one indexed look-up. Cost of reading: the entries read, whatever the length of the
log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bson import ObjectId
from pymongo.errors import BulkWriteError

from domain.store.client import Database, Document
from domain.store.indexes import CHANGES
from domain.store.scope import DUPLICATE, Scoped

MAX_INSERTS = 500


class EntryKind(StrEnum):
    OPENED = "opened"
    REDEFINED = "redefined"
    JOINED = "joined"
    LEFT = "left"
    ENDED = "ended"
    RESET = "reset"


MOVES = (EntryKind.JOINED, EntryKind.LEFT)


class Reason(StrEnum):
    """Why somebody joined or left."""

    CONTACT_CREATED = "CONTACT_CREATED"
    CONTACT_UPDATED = "CONTACT_UPDATED"
    CONTACT_DELETED = "CONTACT_DELETED"
    IMPORTED = "IMPORTED"
    REPLIED = "REPLIED"
    GROUP_EDITED = "GROUP_EDITED"
    RULE_EDITED = "RULE_EDITED"
    SETTINGS_CHANGED = "SETTINGS_CHANGED"
    TIME_PASSED = "TIME_PASSED"
    RECONCILED = "RECONCILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry. `contact` and `reason` stand on joins and leaves, `version` on openings and redefinitions.

    On a reset `since` is the position up to which the log can be believed: who stands there misses nothing by going on. None:
    no position before the reset can be believed.
    """

    account: str
    audience: ObjectId
    position: str
    kind: EntryKind
    at: datetime
    size: int
    checksum: int = 0
    reason: Reason | None = None
    contact: ObjectId | None = None
    version: int | None = None
    because: str | None = None
    since: str | None = None

    @property
    def begins(self) -> bool:
        """Whether the entries behind it follow from nothing before it: an opening, or a reset of everybody."""
        return self.kind is EntryKind.OPENED or (self.kind is EntryKind.RESET and self.since is None)

    def to_document(self) -> Document:
        document: Document = {
            "_id": f"{self.audience}:{self.position}",
            "account": self.account,
            "audience": self.audience,
            "position": self.position,
            "kind": self.kind.value,
            "at": self.at,
            "size": self.size,
            "checksum": self.checksum,
        }
        for name in ("contact", "version", "because", "since"):
            if (value := getattr(self, name)) is not None:
                document[name] = value
        if self.reason is not None:
            document["reason"] = self.reason.value
        return document


def read_entry(document: Document) -> LogEntry:
    reason = document.get("reason")
    return LogEntry(
        account=document["account"],
        audience=document["audience"],
        position=document["position"],
        kind=EntryKind(document["kind"]),
        at=document["at"],
        size=document["size"],
        checksum=document.get("checksum", 0),
        reason=None if reason is None else Reason(reason),
        contact=document.get("contact"),
        version=document.get("version"),
        because=document.get("because"),
        since=document.get("since"),
    )


class MembershipLog:
    """The log of all audiences, for the engine. Callers read the part of their account: `AccountLog`."""

    def __init__(self, database: Database) -> None:
        self._collection = database[CHANGES]

    def of(self, account: str) -> AccountLog:
        return AccountLog(Scoped(self._collection, account))

    async def write(self, entries: Sequence[LogEntry]) -> None:
        """Store entries; those that are there already stay as they are."""
        for start in range(0, len(entries), MAX_INSERTS):
            documents = [entry.to_document() for entry in entries[start : start + MAX_INSERTS]]
            try:
                await self._collection.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                failures = (error.details or {}).get("writeErrors", [])
                if not failures or any(failure["code"] != DUPLICATE for failure in failures):
                    raise

    async def newest_of_all(self, *, upto: str) -> dict[ObjectId, LogEntry]:
        """The newest entry at or before `upto` of every audience of every account, ended ones included.

        Cost: one index scan of the log.
        """
        cursor = await self._collection.aggregate([{"$match": {"position": {"$lte": upto}}}, *NEWEST])
        return {document["_id"]: read_entry(document["newest"]) async for document in cursor}


NEWEST: list[Document] = [
    {"$sort": {"account": -1, "audience": -1, "position": -1}},
    {"$group": {"_id": "$audience", "newest": {"$first": "$$ROOT"}}},
]


class AccountLog:
    """The log of one account's audiences. What is asked of another's is not there."""

    def __init__(self, collection: Scoped) -> None:
        self._collection = collection

    async def read(self, audience: ObjectId, *, after: str, upto: str, limit: int) -> list[LogEntry]:
        """Entries in (after, upto], oldest first."""
        query = {"audience": audience, "position": {"$gt": after, "$lte": upto}}
        return _read(await self._collection.find(query, sort=[("position", 1)], limit=limit))

    async def newest(self, audience: ObjectId, *, upto: str) -> LogEntry | None:
        """The newest entry at or before `upto`: its size is the audience's size there."""
        query = {"audience": audience, "position": {"$lte": upto}}
        document = await self._collection.find_one(query, sort=[("position", -1)])
        return None if document is None else read_entry(document)

    async def newest_of(self, audiences: Sequence[ObjectId]) -> dict[ObjectId, LogEntry]:
        """The newest entry of each audience, in one command."""
        found = await self._collection.union([({"audience": {"$in": list(audiences)}}, NEWEST)])
        return {document["_id"]: read_entry(document["newest"]) for document in found}

    async def beginning(self, audience: ObjectId, *, upto: str) -> str:
        """The position from which all that counts at `upto` is told: that of the opening, or of the last reset of everybody.

        Cost: what befell the audience itself, which is little.
        """
        of_nobody = {"audience": audience, "contact": None, "position": {"$lte": upto}}
        entries = _read(await self._collection.find(of_nobody, sort=[("position", 1)]))
        return max((entry.position for entry in entries if entry.begins), default="")

    async def last_moves(
        self, audience: ObjectId, *, after: str, upto: str
    ) -> AsyncIterator[tuple[ObjectId, bool]]:
        """Each contact with entries in (after, upto], and whether it joined by the last of them.

        Cost: one index scan over the entries; the database keeps one note for each contact meanwhile.
        """
        stages: list[Document] = [
            {"$sort": {"account": 1, "audience": 1, "position": 1}},
            {"$group": {"_id": "$contact", "kind": {"$last": "$kind"}}},
        ]
        query = {"audience": audience, "position": {"$gt": after, "$lte": upto}}
        async for document in self._collection.aggregate(query, stages):
            # What befell the audience itself names none.
            if document["_id"] is not None:
                yield document["_id"], document["kind"] == EntryKind.JOINED.value

    async def entries(self, audience: ObjectId, *, after: str, upto: str) -> AsyncIterator[LogEntry]:
        """The entries in (after, upto], oldest first, from a database cursor: constant memory for any number of them."""
        query = {"audience": audience, "position": {"$gt": after, "$lte": upto}}
        async for document in self._collection.stream(query, sort=[("position", 1)]):
            yield read_entry(document)

    async def withdraw(self, audience: ObjectId, *, after: str, before: str) -> None:
        """Remove the entries in (after, before), which are not to be believed."""
        await self._collection.delete_many({"audience": audience, "position": {"$gt": after, "$lt": before}})


def _read(documents: Iterable[Document]) -> list[LogEntry]:
    return [read_entry(document) for document in documents]
