"""A lease: one document that says which process does a work that one at a time is to do, such as running the engine.

Owns the document and the ways in which it changes, each one conditional update of it. A lease is *taken* by naming exactly what
was seen of it, so that of any number of processes one succeeds, and the term rises with each holder; so a term has one holder, and
whoever acts for it can be told from those before (`checkpoint`, `domain.membership.hub`). It is *renewed* and *given up* by naming
the term: as long as nobody else has taken the lease. When it may be taken is decided elsewhere (`domain.membership.lease`).

Needs of the database no more than that an update of one document is atomic, and stays once a majority has acknowledged it. An
update whose outcome is not known harms nobody: a renewal that comes late lets others wait longer, and a lease that was taken
unknowingly bears its taker's name. Held by `tests/domain/store/test_lease.py`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError

from domain.store.client import Database, Document
from domain.store.indexes import LEASES

ENGINE = "engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """As it stands. `holder` is None once it was given up; `renewal` counts how often its holder has renewed it."""

    term: int
    renewal: int
    holder: str | None


class Leases:
    """Reading and changing it."""

    def __init__(self, database: Database, name: str = ENGINE) -> None:
        self._collection = database[LEASES]
        self._name = name

    async def load(self) -> Lease | None:
        document = await self._collection.find_one({"_id": self._name})
        if document is None:
            return None
        return Lease(term=document["term"], renewal=document["renewal"], holder=document["holder"])

    async def take(self, seen: Lease | None, holder: str) -> Lease | None:
        """The next term, for this holder; None where the lease is not as it was seen any more."""
        lease = Lease(term=_next_term(seen), renewal=0, holder=holder)
        document: Document = {"term": lease.term, "renewal": lease.renewal, "holder": holder}
        if seen is None:
            try:
                await self._collection.insert_one({"_id": self._name, **document})
            except DuplicateKeyError:
                return None
            return lease
        as_seen = {"_id": self._name, "term": seen.term, "renewal": seen.renewal}
        result = await self._collection.update_one(as_seen, {"$set": document})
        return lease if result.matched_count else None

    async def renew(self, term: int) -> bool:
        """Whether the lease was still of this term."""
        result = await self._collection.update_one(
            {"_id": self._name, "term": term}, {"$inc": {"renewal": 1}}
        )
        return result.matched_count == 1

    async def give_up(self, term: int) -> None:
        """Let anybody take it, unless somebody has."""
        await self._collection.update_one({"_id": self._name, "term": term}, {"$set": {"holder": None}})


def _next_term(seen: Lease | None) -> int:
    """Higher than the term seen, and in the ordinary course of things than any there was before.

    The clock only keeps terms rising where the lease is not there any more or the database was put back to an earlier state,
    while checkpoint and hubs remember a higher one; nothing is measured by it.
    """
    return max(int(time.time()), 0 if seen is None else seen.term + 1)
