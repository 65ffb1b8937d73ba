"""Contacts: read, created, updated, deleted, one by one and many at a time.

Owns the reading and writing; what one contact looks like stands in `domain.contact`. An update touches what was given and nothing
else: an omitted field stays, an empty one is removed. What would change nothing is not written, so importing the same
list twice moves nobody and wakes nobody. Held by `tests/domain/test_contacts.py`.

Cost: a single write is one read and one write; a thousand upserts are one read and one bulk write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from bson import ObjectId

from domain.contact import Contact, Entries, checked_key, new_document, read_attributes, update_of
from domain.definitions import Definitions
from domain.errors import DuplicateKey, LimitExceeded, NotFound, Unavailable
from domain.fields import Entry
from domain.store.log import Reason
from domain.store.scope import Duplicate, Scoped

MAX_AT_ONCE = 1_000
MAX_ATTEMPTS = 5


class Outcome(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class Row(NamedTuple):
    """One contact of many to be written, found by its key."""

    key: str
    entries: Entries


class Contacts:
    """One account's contacts."""

    def __init__(self, collection: Scoped, definitions: Definitions) -> None:
        self._collection = collection
        self._definitions = definitions

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def get(self, identifier: ObjectId) -> Contact | None:
        document = await self._collection.find_one({"_id": identifier})
        return None if document is None else Contact(document)

    async def get_by_key(self, key: str) -> Contact | None:
        document = await self._collection.find_one({"key": key})
        return None if document is None else Contact(document)

    async def get_many(self, identifiers: Sequence[ObjectId]) -> dict[ObjectId, Contact]:
        """Those that exist, read together."""
        found = await self._collection.find_among("_id", identifiers)
        return {document["_id"]: Contact(document) for document in found}

    async def require(self, identifier: ObjectId) -> Contact:
        """Raises `NotFound`."""
        contact = await self.get(identifier)
        if contact is None:
            raise NotFound("There is no such contact. It may have been deleted.", path=("id",))
        return contact

    async def page(self, query: Mapping[str, Any], *, after: ObjectId | None, limit: int) -> list[Contact]:
        """Contacts that match, in the order of their identifiers: a page begins behind the last one of the page before.

        So a contact that comes or goes in between shifts nothing: none is shown twice, none left out.
        """
        found = await self._collection.find(_behind(query, after), sort=[("_id", 1)], limit=limit)
        return [Contact(document) for document in found]

    async def pages(
        self, parts: Sequence[tuple[Mapping[str, Any], ObjectId | None, int]]
    ) -> list[list[Contact]]:
        """Several pages (query, after, limit) in one command."""
        documents = await self._collection.union(
            [
                (
                    _behind(query, after),
                    [{"$sort": {"_id": 1}}, {"$limit": limit}, {"$set": {"part": number}}],
                )
                for number, (query, after, limit) in enumerate(parts)
            ]
        )
        pages: list[list[Contact]] = [[] for _ in parts]
        for document in documents:
            pages[document.pop("part")].append(Contact(document))
        return pages

    async def count(self, query: Mapping[str, Any]) -> int:
        """How many match, counted by the database."""
        return await self._collection.count(query)

    # ---- writing ---------------------------------------------------------------------------------------------------

    async def create(
        self,
        identifier: ObjectId,
        *,
        key: str | None,
        attributes: Sequence[tuple[str, Any]],
        reason: Reason = Reason.CONTACT_CREATED,
    ) -> Contact:
        """Make a contact; making it again under the same identifier changes nothing.

        Raises `DuplicateKey`, and what `read_attributes` raises.
        """
        checked = None if key is None else checked_key(key)
        entries = read_attributes(await self._definitions.current(), attributes)
        try:
            await self._collection.insert_one(new_document(identifier, checked, entries, reason))
        except Duplicate:
            if (known := await self.get(identifier)) is not None:
                return known
            raise DuplicateKey(
                f"There is a contact of the key “{key}” already. Update that one, or use upsertContacts.",
                path=("key",),
            ) from None
        return await self.require(identifier)

    async def update(
        self,
        identifier: ObjectId,
        *,
        attributes: Sequence[tuple[str, Any]],
        reason: Reason = Reason.CONTACT_UPDATED,
    ) -> Contact:
        """Write what is given; an empty value removes, an omitted field stays. Raises `NotFound`, and as `create` does."""
        catalogue, contact = await asyncio.gather(self._definitions.current(), self.require(identifier))
        entries = read_attributes(catalogue, attributes)
        update = update_of(contact.document, entries, reason)
        if update is None:
            return contact
        await self._collection.update_one({"_id": identifier}, update)
        return await self.require(identifier)

    async def exchange(self, contact: Contact, entries: Entries, *, reason: Reason) -> bool:
        """Write the entries where the contact still has in these fields what it had when it was read. Whether it had."""
        update = update_of(contact.document, entries, reason)
        if update is None:
            return True
        normal = contact.document.get("normal")
        normal = normal if isinstance(normal, Mapping) else {}
        seen: dict[str, Any] = {}
        for key in entries:
            # `$eq`, because other programs may have put there what reads as an operator.
            seen[f"values.{key}"] = {"$eq": contact.values.get(key)}
            seen[f"normal.{key}"] = {"$eq": normal.get(key)}
        matched, _ = await self._collection.update_one({"_id": contact.id, **seen}, update)
        return matched == 1

    async def delete(self, identifier: ObjectId) -> None:
        """Raises `NotFound`."""
        if not await self._collection.delete_one({"_id": identifier}):
            raise NotFound("There is no such contact. It may have been deleted.", path=("id",))

    async def upsert(self, rows: Sequence[Row], *, reason: Reason) -> list[tuple[ObjectId, Outcome]]:
        """Create or update each row's contact by its key; of rows with one key, a later one is written over an earlier.

        What became of each row, in their order. Other writers at the same time are coped with: a contact made or deleted in
        between is met again. Raises `LimitExceeded` for more than 1,000 rows.
        """
        if len(rows) > MAX_AT_ONCE:
            raise LimitExceeded(
                f"{len(rows):,} contacts are too many at once: send {MAX_AT_ONCE:,} at most.",
                path=("contacts",),
            )
        wanted: dict[str, dict[str, Entry | None]] = {}
        for row in rows:
            wanted.setdefault(row.key, {}).update(row.entries)
        outcomes: dict[str, tuple[ObjectId, Outcome]] = {}
        for _ in range(MAX_ATTEMPTS):
            open_ = {key: entries for key, entries in wanted.items() if key not in outcomes}
            if not open_:
                return [outcomes[row.key] for row in rows]
            await self._upsert_once(open_, reason, outcomes)
        raise Unavailable("Others are writing the same contacts over and over. Try again in a few seconds.")

    async def _upsert_once(
        self,
        wanted: Mapping[str, Entries],
        reason: Reason,
        outcomes: dict[str, tuple[ObjectId, Outcome]],
    ) -> None:
        known = {
            document["key"]: document for document in await self._collection.find_among("key", list(wanted))
        }
        inserts, inserted_keys = [], []
        updates, updated_keys = [], []
        for key, entries in wanted.items():
            document = known.get(key)
            if document is None:
                inserts.append(new_document(ObjectId(), key, entries, reason))
                inserted_keys.append(key)
            elif (update := update_of(document, entries, reason)) is None:
                outcomes[key] = (document["_id"], Outcome.UNCHANGED)
            else:
                updates.append(({"_id": document["_id"]}, update))
                updated_keys.append(key)
        written = await self._collection.write(inserts=inserts, updates=updates)
        for index, (key, new) in enumerate(zip(inserted_keys, inserts, strict=True)):
            if index not in written.refused:
                outcomes[key] = (new["_id"], Outcome.CREATED)
        gone: set[ObjectId] = set()
        if written.matched < len(updates):
            identifiers = [known[key]["_id"] for key in updated_keys]
            gone = set(identifiers) - set(await self.get_many(identifiers))
        for key in updated_keys:
            if known[key]["_id"] not in gone:
                outcomes[key] = (known[key]["_id"], Outcome.UPDATED)


def _behind(query: Mapping[str, Any], after: ObjectId | None) -> dict[str, Any]:
    return dict(query) if after is None else {**query, "_id": {"$gt": after}}
