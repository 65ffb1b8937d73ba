"""The past of one account's audiences: the log read backwards and by contact; and what of it was removed.

Owns the cuts: for each audience of which entries were removed, one small document under the audience's identifier that says the
newest position removed and the size there. A cut is written before anything is removed and only ever rises; so whoever reads the
log first and the cut afterwards knows that behind the cut nothing of what was read is missing. It stands beside the log and not
in it: an entry never changes, and whoever reads the log in its order meets nothing that is none.

Every query names the fields of one index and no other, and kinds are told apart here: some servers look through everything as soon
as one field more is named. Cost: the entries read, whatever the length of the log. Held by `tests/domain/store/test_past.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from domain.store.client import Document
from domain.store.log import MOVES, EntryKind, LogEntry, read_entry
from domain.store.scope import Duplicate, Scoped

NEAR = (6, 5, 4, 3)
"""By how many characters a position is told from others that are near: within some minutes, an hour, a day, twelve days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The newest entry that was removed: where it stood, when it happened, and the size after it."""

    position: str
    at: datetime
    size: int


def later(entry: LogEntry | None, cut: Cut | None) -> LogEntry | Cut | None:
    """What tells the size at a place up to which this is the log's newest entry. Before the cut an entry is only left over."""
    return cut if entry is None or (cut is not None and entry.position < cut.position) else entry


class Past:
    """One account's. `seeks` is the server's trait of that name."""

    def __init__(self, changes: Scoped, cuts: Scoped, *, seeks: bool) -> None:
        self._changes = changes
        self._cuts = cuts
        self._seeks = seeks

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def back(self, audience: ObjectId, *, before: str, after: str = "", limit: int) -> list[LogEntry]:
        """The newest entries in (after, before), newest first."""
        found: list[LogEntry] = []
        for part in self._parts(after, before):
            query = {"audience": audience, "position": part}
            wanted = limit - len(found)
            documents = await self._changes.find(query, sort=[("position", -1)], limit=wanted)
            found += map(read_entry, documents)
            if len(found) == limit:
                break
        return found

    def _parts(self, after: str, before: str) -> Iterator[dict[str, str]]:
        """The range at once; where the server would read all of it for its end, in parts, each longer than the one behind it."""
        if not self._seeks:
            for near in NEAR:
                start = before[:near]
                if start <= after:
                    break
                if start < before:
                    yield {"$gte": start, "$lt": before}
                    before = start
        yield {"$gt": after, "$lt": before}

    async def moves_back(
        self, audience: ObjectId, *, before: str, after: str, since: datetime | None, limit: int
    ) -> list[LogEntry]:
        """Joins and leaves in (after, before), newest first, none older than `since`."""
        found: list[LogEntry] = []
        while len(found) < limit:
            wanted = limit - len(found)
            page = await self.back(audience, before=before, after=after, limit=wanted)
            found += [entry for entry in page if entry.kind in MOVES and (since is None or entry.at >= since)]
            if len(page) < wanted:
                break
            before = page[-1].position
        return found

    async def moves_ahead(self, audience: ObjectId, *, after: str, upto: str, limit: int) -> list[LogEntry]:
        """Joins and leaves in (after, upto], oldest first."""
        found: list[LogEntry] = []
        while len(found) < limit:
            wanted = limit - len(found)
            query = {"audience": audience, "position": {"$gt": after, "$lte": upto}}
            page = await self._changes.find(query, sort=[("position", 1)], limit=wanted)
            found += [entry for entry in map(read_entry, page) if entry.kind in MOVES]
            if len(page) < wanted:
                break
            after = page[-1]["position"]
        return found

    async def count_moves(self, audience: ObjectId, *, after: str, since: datetime | None) -> int:
        """How many joins and leaves stand behind `after`, none older than `since`.

        Cost: one index scan over them; with `since`, their documents are read.
        """
        behind: Document = {"audience": audience, "position": {"$gt": after}}
        if since is not None:
            kinds = {"$in": [kind.value for kind in MOVES]}
            return await self._changes.count({**behind, "kind": kinds, "at": {"$gte": since}})
        entries = await self._changes.count(behind)
        return entries - await self._changes.count({**behind, "contact": None})

    async def moves_of(
        self, audience: ObjectId, contacts: Sequence[ObjectId], *, limit: int
    ) -> dict[ObjectId, list[LogEntry]]:
        """The joins and leaves of each contact, newest first: of one the newest, of several any, at most `limit` in all."""
        query: Document = {"audience": audience}
        if len(contacts) == 1:
            query["contact"] = contacts[0]
            documents = await self._changes.find(query, sort=[("position", -1)], limit=limit)
        else:
            documents = await self._changes.find_among("contact", contacts, query, limit=limit)
        found: dict[ObjectId, list[LogEntry]] = {contact: [] for contact in contacts}
        for document in sorted(documents, key=lambda document: str(document["position"]), reverse=True):
            found[document["contact"]].append(read_entry(document))
        return found

    async def resets(self, audience: ObjectId, *, after: str) -> list[LogEntry]:
        """The resets behind `after`, oldest first. Cost: what befell the audience itself, which is little, however many moved."""
        query = {"audience": audience, "contact": None, "position": {"$gt": after}}
        documents = await self._changes.find(query, sort=[("position", 1)])
        return [read_entry(document) for document in documents if document["kind"] == EntryKind.RESET]

    # ---- removing --------------------------------------------------------------------------------------------------

    async def cut(self, audience: ObjectId) -> Cut | None:
        """What of the log is gone. To be asked after the log was read."""
        document = await self._cuts.find_one({"_id": audience})
        if document is None:
            return None
        return Cut(position=document["position"], at=document["at"], size=document["size"])

    async def remember(self, audience: ObjectId, cut: Cut) -> None:
        """Before removing: everything up to the cut may be gone from here on. A later cut that is known stays."""
        earlier = {"_id": audience, "position": {"$lt": cut.position}}
        values = {"position": cut.position, "at": cut.at, "size": cut.size}
        try:
            await self._cuts.update_one(earlier, {"$set": values}, upsert=True)
        except Duplicate:
            # A later one is known: the filter found nothing and the insert met it.
            return

    async def forget(self, audience: ObjectId) -> None:
        """Of an audience of which nothing, or nothing but its end, is left."""
        await self._cuts.delete_one({"_id": audience})

    async def remove(self, audience: ObjectId, *, first: str, last: str) -> None:
        """Remove the entries from `first` to `last`."""
        await self._changes.delete_many({"audience": audience, "position": {"$gte": first, "$lte": last}})
