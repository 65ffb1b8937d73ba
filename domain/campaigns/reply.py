"""A reply, and the keeping of replies: found, counted, and changed by whoever sees it as it is.

Owns the document of a reply; the text in it stays as it came. Held by `tests/domain/campaigns/test_replies.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bson import ObjectId

from domain.errors import InvalidState, NotFound
from domain.store.client import Document
from domain.store.scope import Scoped


class ReplyState(StrEnum):
    RECEIVED = "received"
    CAPTURED = "captured"
    NEEDS_REVIEW = "needs_review"
    UNKNOWN_SENDER = "unknown_sender"
    REJECTED = "rejected"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`field`: the key that was asked for. `candidates`: values it may mean. `value` was written where `before` was."""

    id: ObjectId
    text: str
    state: ReplyState
    sender: str | None
    contact: ObjectId | None
    campaign: ObjectId | None
    field: str | None
    candidates: Sequence[Any]
    value: Any
    before: Any
    because: str | None
    at: datetime
    decided: datetime | None


class KeptReplies:
    """One account's replies."""

    def __init__(self, collection: Scoped) -> None:
        self.collection = collection

    async def get(self, identifier: ObjectId) -> Reply | None:
        document = await self.collection.find_one({"_id": identifier})
        return None if document is None else read_stored(document)

    async def page(
        self,
        campaign: ObjectId | None,
        state: ReplyState | None,
        *,
        after: ObjectId | None,
        limit: int,
    ) -> list[Reply]:
        """In the order in which they came."""
        query = _of(campaign, state)
        if after is not None:
            query["_id"] = {"$gt": after}
        return [
            read_stored(each) for each in await self.collection.find(query, sort=[("_id", 1)], limit=limit)
        ]

    async def count(self, campaign: ObjectId | None, state: ReplyState | None) -> int:
        return await self.collection.count(_of(campaign, state))

    async def contacts_of(self, campaign: ObjectId, state: ReplyState | None = None) -> int:
        """How many contacts have replied, or have a reply in this state. Cost: a look at each reply to the campaign."""
        query = {**_of(campaign, state), "contact": {"$ne": None}}
        stages: list[Document] = [{"$group": {"_id": "$contact"}}, {"$count": "contacts"}]
        found = await self.collection.union([(query, stages)])
        return int(found[0]["contacts"]) if found else 0

    async def require(self, identifier: ObjectId) -> Reply:
        """Raises `NotFound`."""
        reply = await self.get(identifier)
        if reply is None:
            raise NotFound("There is no such reply.", path=("id",))
        return reply

    async def change(self, reply: Reply, news: dict[str, Any], *, from_: ReplyState | None = None) -> None:
        """Raises `InvalidState` where somebody else has decided meanwhile."""
        query = {"_id": reply.id} if from_ is None else {"_id": reply.id, "state": from_.value}
        matched, _ = await self.collection.update_one(query, {"$set": news})
        if not matched:
            raise InvalidState("Somebody else has decided this meanwhile. Read it again.", path=("id",))

    async def settle(self, reply: Reply, state: ReplyState, **news: Any) -> Reply:
        """The reply in that state, whatever state it was in."""
        await self.change(reply, {"state": state.value, **news})
        return await self.require(reply.id)


def _of(campaign: ObjectId | None, state: ReplyState | None) -> dict[str, Any]:
    query: dict[str, Any] = {} if campaign is None else {"campaign": campaign}
    return query if state is None else {**query, "state": state.value}


def read_stored(document: Document) -> Reply:
    """The reply of a document of this collection."""
    return Reply(
        id=document["_id"],
        text=document["text"],
        state=ReplyState(document["state"]),
        sender=document.get("sender"),
        contact=document.get("contact"),
        campaign=document.get("campaign"),
        field=document.get("field"),
        candidates=document.get("candidates", []),
        value=document.get("value"),
        before=document.get("before"),
        because=document.get("because"),
        at=document["at"],
        decided=document.get("decided"),
    )
