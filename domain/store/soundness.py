"""Soundness: whether the database is set up as it must be, found by looking, without changing anything.

Owns what of collections, indexes and options is compared; what they should be stands in `indexes`. Held by
`tests/domain/doctor/test_database.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.store import indexes
from domain.store.client import Database
from domain.store.definitions import read_definitions
from domain.store.indexes import COLLECTIONS, CONTACTS, DEFINITIONS, Index
from domain.store.server import ServerTraits

COMPARED = ("unique", "partialFilterExpression", "expireAfterSeconds")
"""The options of an index by which it promises something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFault:
    """An index that is not there; or `other`, one in its place that promises something else."""

    index: Index
    other: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionFault:
    """An account whose definitions are not all there, or not all readable."""

    account: str
    missing: tuple[int, ...]
    unreadable: int


class Soundness:
    """Of one database."""

    def __init__(self, database: Database, traits: ServerTraits) -> None:
        self._database = database
        self._traits = traits

    async def missing_collections(self) -> list[str]:
        """In the order in which they are made; all of them where there is nothing yet."""
        present = set(await self._database.list_collection_names())
        return [name for name in COLLECTIONS if name not in present]

    async def keeps_images(self) -> bool:
        """Whether contacts are kept as they were before each change."""
        async for found in await self._database.list_collections(filter={"name": CONTACTS}):
            images = found.get("options", {}).get("changeStreamPreAndPostImages", {})
            return bool(images.get("enabled"))
        return False

    async def index_faults(self, paths: Iterable[str]) -> list[IndexFault]:
        """Those that should be there, where rules read these paths of a contact, and are not, or not as they should be."""
        present: dict[str, Mapping[str, Any]] = {}
        for name in COLLECTIONS:
            present[name] = await self._database[name].index_information()
        wanted = indexes.expected(self._traits)
        if len(present[CONTACTS]) < indexes.MAX_CONTACT_INDEXES:
            wanted += indexes.attribute_indexes(self._traits, paths)
        found = []
        for index in wanted:
            same = {
                name: each
                for name, each in present[index.collection].items()
                if list(each["key"]) == list(index.keys)
            }
            if not same:
                found.append(IndexFault(index=index))
            for name, each in same.items():
                if any(each.get(option) != index.options.get(option) for option in COMPARED):
                    found.append(IndexFault(index=index, other=name))
        return found

    async def mend_index(self, fault: IndexFault) -> None:
        """Make it as it should be. Raises `DatabaseError` where the contacts forbid it, as two of one key do."""
        collection = self._database[fault.index.collection]
        if fault.other is not None:
            await collection.drop_index(fault.other)
        await collection.create_indexes([fault.index.model()])

    async def revision_faults(self) -> list[RevisionFault]:
        """Cost: one scan of the definitions."""
        seen: dict[str, set[int]] = {}
        unreadable: dict[str, int] = {}
        async with self._database[DEFINITIONS].find({}) as cursor:
            async for document in cursor:
                account = str(document.get("account"))
                seen.setdefault(account, set())
                if not (read := read_definitions([document])):
                    unreadable[account] = unreadable.get(account, 0) + 1
                seen[account] |= {definition.revision for definition in read}
        faults = []
        for account, revisions in sorted(seen.items()):
            missing = sorted(set(range(1, max(revisions, default=0) + 1)) - revisions)
            if missing or account in unreadable:
                faults.append(
                    RevisionFault(
                        account=account, missing=tuple(missing), unreadable=unreadable.get(account, 0)
                    )
                )
        return faults
