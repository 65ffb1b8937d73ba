"""The definitions of an account (fields, groups, segments, settings): an append-only log of versions.

Owns their order. Each version takes the account's next revision, and a unique index lets one writer have it: a writer that
was overtaken reads what is new, decides again and tries the next. So each decision (is the name free? is the version the
expected one?) is made on exactly what precedes it, without a lock or a transaction, and the order of revisions is the
order in the change stream. Nothing is rewritten: reading the stream again from an older token meets the definitions of
that time. Cost: one insert for an edit; reading what is new is one indexed query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog
from bson import ObjectId

from domain.store.client import Database, Document
from domain.store.indexes import DEFINITIONS
from domain.store.scope import Scoped

log = structlog.get_logger(__name__)


class Kind(StrEnum):
    FIELD = "field"
    GROUP = "group"
    SEGMENT = "segment"
    CAMPAIGN = "campaign"
    SETTINGS = "settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One version of one definition. `id` is a field's key, a group's, segment's or campaign's ObjectId, or `settings`."""

    account: str
    revision: int
    kind: Kind
    id: ObjectId | str
    version: int
    deleted: bool
    at: datetime
    body: Mapping[str, Any]


class DefinitionLog:
    """One account's definitions."""

    def __init__(self, collection: Scoped) -> None:
        self._collection = collection
        self.account = collection.account

    async def since(self, revision: int) -> list[Definition]:
        """All versions after `revision`, oldest first."""
        documents = await self._collection.find({"revision": {"$gt": revision}}, sort=[("revision", 1)])
        return read_definitions(documents)

    async def deleted(self) -> list[Definition]:
        """The versions that ended a definition."""
        return read_definitions(await self._collection.find({"deleted": True}))

    async def audiences(self) -> list[ObjectId]:
        """Every group, segment and campaign that there ever was. Cost: a look at each version of the account's definitions."""
        kinds = [kind.value for kind in (Kind.GROUP, Kind.SEGMENT, Kind.CAMPAIGN)]
        first = {"kind": {"$in": kinds}, "version": 1}
        found = [document["id"] for document in await self._collection.find(first, projection={"id": 1})]
        return [identifier for identifier in found if isinstance(identifier, ObjectId)]

    async def append(self, definition: Definition) -> None:
        """Raises `Duplicate` where another writer took the revision."""
        await self._collection.insert_one(
            {
                "_id": ObjectId(),
                "revision": definition.revision,
                "kind": definition.kind.value,
                "id": definition.id,
                "version": definition.version,
                "deleted": definition.deleted,
                "at": definition.at,
                "body": dict(definition.body),
            }
        )


async def definitions_in_force(
    database: Database, revisions: Mapping[str, int] | None
) -> dict[str, list[Definition]]:
    """All accounts' definitions as of the given revisions (all of them for None), each account's oldest first."""
    found: dict[str, list[Definition]] = {}
    async with database[DEFINITIONS].find({}, sort=[("account", 1), ("revision", 1)]) as cursor:
        async for document in cursor:
            for definition in read_definitions([document]):
                if revisions is None or definition.revision <= revisions.get(definition.account, 0):
                    found.setdefault(definition.account, []).append(definition)
    return found


def read_definitions(documents: Iterable[Document]) -> list[Definition]:
    """Stored versions, from the collection or from insert events.

    Only whole ones are ever appended; what another program put there and is none is logged and passed over, so that it
    stops neither its account nor the others.
    """
    found = []
    for document in documents:
        try:
            definition = Definition(
                account=document["account"],
                revision=int(document["revision"]),
                kind=Kind(document["kind"]),
                id=document["id"],
                version=int(document["version"]),
                deleted=bool(document["deleted"]),
                at=document["at"],
                body=document["body"],
            )
        except (KeyError, TypeError, ValueError) as error:
            log.warning("definition.malformed", document=str(document.get("_id")), error=repr(error))
        else:
            found.append(definition)
    return found
