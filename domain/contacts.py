"""Contacts: read, created, updated, deleted; each value kept as entered and in its normal form, always written together.

Owns what a contact document looks like and what may be written into it. An update touches what was given and nothing
else: an omitted field stays, an empty one is removed. What would change nothing is not written, so importing the same
list twice moves nobody and wakes nobody. Held by `tests/domain/test_contacts.py`.

Cost: a single write is one read and one write; a thousand upserts are one read and one bulk write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bson import ObjectId

from domain.catalogue import Catalogue
from domain.definitions import Definitions, now
from domain.errors import DuplicateKey, InvalidValue, LimitExceeded, NotFound, ShoalError, Unavailable
from domain.fields import Entry, Field, FieldType, normalize
from domain.rules.build import UnboundCondition, build
from domain.rules.operators import Operator
from domain.rules.query import to_query
from domain.rules.tree import Limits, Rule, all_of, any_of
from domain.store.log import Reason
from domain.store.scope import Duplicate, Scoped

MAX_AT_ONCE = 1_000
LONGEST_KEY = 500
LONGEST_SEARCH = 200
MAX_ATTEMPTS = 5

_SEARCHED = (FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE)


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as it was read. What another program may have written in another shape counts as not there."""

    document: Mapping[str, Any]

    @property
    def id(self) -> ObjectId:
        identifier: ObjectId = self.document["_id"]
        return identifier

    @property
    def key(self) -> str | None:
        key = self.document.get("key")
        return key if isinstance(key, str) else None

    @property
    def values(self) -> Mapping[str, Any]:
        """Each field's value as it was entered."""
        values = self.document.get("values")
        return values if isinstance(values, Mapping) else {}

    @property
    def created(self) -> datetime | None:
        return _moment(self.document.get("created"))

    @property
    def updated(self) -> datetime | None:
        return _moment(self.document.get("updated"))


def _moment(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None


Entries = Mapping[str, Entry | None]
"""What to write: a field's entry, or None to remove its value."""


class Outcome(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
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
            await self._collection.insert_one(_new(identifier, checked, entries, reason))
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
        update = _update(contact.document, entries, reason)
        if update is None:
            return contact
        await self._collection.update_one({"_id": identifier}, update)
        return await self.require(identifier)

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
                inserts.append(_new(ObjectId(), key, entries, reason))
                inserted_keys.append(key)
            elif (update := _update(document, entries, reason)) is None:
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


def checked_key(key: str) -> str:
    """A key that a contact can have. Raises `InvalidValue`."""
    key = key.strip()
    if not key or len(key) > LONGEST_KEY or "\0" in key:
        raise InvalidValue(f"A key of 1 to {LONGEST_KEY} characters is wanted.", path=("key",))
    return key


def search_query(catalogue: Catalogue, text: str) -> dict[str, Any]:
    """Contacts of whom each word of `text` stands in a name, the email address or the phone number, or whose key it is."""
    fields = [field for field in catalogue.fields.values() if field.built_in and field.type in _SEARCHED]
    words = text.split()
    if not words:
        return {}
    if len(text) > LONGEST_SEARCH:
        raise InvalidValue(f"A search has {LONGEST_SEARCH} characters at most.", path=("search",))
    found = all_of([any_of(_containing(fields, word, catalogue)) for word in words])
    return {"$or": [to_query(found), {"key": text.strip()}]}


def _containing(fields: Sequence[Field], word: str, catalogue: Catalogue) -> list[Rule]:
    rules = []
    for field in fields:
        try:
            said = UnboundCondition(field=field.key, operator=Operator.CONTAINS, operands=[word])
            rules.append(build(said, catalogue.fields, catalogue.settings, Limits()))
        except InvalidValue:
            # A word that cannot be a part of a phone number is looked for in the other fields.
            if field.type is not FieldType.PHONE:
                raise
    return rules


def read_attributes(catalogue: Catalogue, attributes: Sequence[tuple[str, Any]]) -> dict[str, Entry | None]:
    """What the caller gave, as entries. Raises `UnknownField` and `InvalidValue` with the path to the attribute."""
    entries: dict[str, Entry | None] = {}
    for index, (key, value) in enumerate(attributes):
        try:
            field = catalogue.fields.require(key)
        except ShoalError as error:
            raise error.at("attributes", index, "key") from None
        if key in entries:
            raise InvalidValue(f"The field “{key}” is given twice.", path=("attributes", index, "key"))
        try:
            entries[key] = normalize(field, value, catalogue.settings)
        except ShoalError as error:
            raise error.at("attributes", index, "value") from None
    return entries


def _behind(query: Mapping[str, Any], after: ObjectId | None) -> dict[str, Any]:
    return dict(query) if after is None else {**query, "_id": {"$gt": after}}


def _written(reason: Reason) -> dict[str, Any]:
    """The cause beside the values. The plain causes need none: the event itself tells them."""
    if reason in (Reason.CONTACT_CREATED, Reason.CONTACT_UPDATED):
        return {}
    return {"written": {"reason": reason.value, "nonce": ObjectId()}}


def _new(identifier: ObjectId, key: str | None, entries: Entries, reason: Reason) -> dict[str, Any]:
    moment = now()
    document: dict[str, Any] = {"_id": identifier}
    if key is not None:
        document["key"] = key
    filled = {name: entry for name, entry in entries.items() if entry is not None}
    document["values"] = {name: entry.entered for name, entry in filled.items()}
    document["normal"] = {name: entry.normal for name, entry in filled.items()}
    document["anniversaries"] = {
        name: entry.anniversary for name, entry in filled.items() if entry.anniversary is not None
    }
    return {**document, "created": moment, "updated": moment, **_written(reason)}


def _update(document: Mapping[str, Any], entries: Entries, reason: Reason) -> dict[str, Any] | None:
    """The update that makes `document` hold the entries; None where it does already."""
    values = Contact(document).values
    normal = document.get("normal")
    normal = normal if isinstance(normal, Mapping) else {}
    sets: dict[str, Any] = {}
    unsets: dict[str, str] = {}
    for name, entry in entries.items():
        if entry is None:
            if name in values or name in normal:
                unsets |= dict.fromkeys((f"values.{name}", f"normal.{name}", f"anniversaries.{name}"), "")
        elif not (_same(values.get(name), entry.entered) and _same(normal.get(name), entry.normal)):
            sets |= {f"values.{name}": entry.entered, f"normal.{name}": entry.normal}
            if entry.anniversary is not None:
                sets[f"anniversaries.{name}"] = entry.anniversary
    if not sets and not unsets:
        return None
    update: dict[str, Any] = {"$set": {**sets, "updated": now(), **_written(reason)}}
    if unsets:
        update["$unset"] = unsets
    return update


def _same(stored: Any, wanted: Any) -> bool:
    """Equal, and of one kind: 1 is not True, and 3 is not 3.0 to whoever entered it."""
    return _kind(stored) is _kind(wanted) and bool(stored == wanted)


def _kind(value: Any) -> type:
    # The driver gives a 64-bit integer back as a type of its own.
    return int if isinstance(value, int) and not isinstance(value, bool) else type(value)
