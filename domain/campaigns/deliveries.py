"""Deliveries: the record of what a campaign sent to whom, one for each contact that it ever reached out to.

Owns their identifier, which follows from campaign and contact: whoever writes one again, after a crash or beside another process,
writes the same one, and what is there stays. Owns the states and the ways between them, too. A delivery keeps its text from the
first attempt on, so that every attempt says the same under the same identifier. Held by `tests/domain/campaigns/test_running.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bson import ObjectId

from domain.campaigns.composing import Letter, Unreachable
from domain.definitions import now
from domain.errors import InvalidState, NotFound, Unavailable
from domain.store.client import Document
from domain.store.scope import DUPLICATE, Scoped

BATCH = 100


class DeliveryState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    UNREACHABLE = "unreachable"
    LEFT = "left"
    FAILED = "failed"


WAITING = (DeliveryState.PENDING, DeliveryState.SENDING)
ENDED_UNSENT = (DeliveryState.FAILED, DeliveryState.UNREACHABLE)
"""What can be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """`letter` is None until it is tried for the first time; `because` says why it was not sent, or not yet."""

    id: ObjectId
    campaign: ObjectId
    contact: ObjectId
    state: DeliveryState
    letter: Letter | None
    attempts: int
    due: datetime
    made: datetime
    sent: datetime | None
    because: str | None


def delivery_id(campaign: ObjectId, contact: ObjectId) -> ObjectId:
    return ObjectId(hashlib.sha256(campaign.binary + contact.binary).digest()[:12])


class Deliveries:
    """One account's."""

    def __init__(self, collection: Scoped) -> None:
        self._collection = collection

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def get(self, identifier: ObjectId) -> Delivery | None:
        document = await self._collection.find_one({"_id": identifier})
        return None if document is None else _read(document)

    async def page(
        self, campaign: ObjectId, state: DeliveryState | None, *, after: ObjectId | None, limit: int
    ) -> list[Delivery]:
        """By their identifiers, which say nothing."""
        query = _of(campaign, state)
        if after is not None:
            query["_id"] = {"$gt": after}
        return [_read(each) for each in await self._collection.find(query, sort=[("_id", 1)], limit=limit)]

    async def count(self, campaign: ObjectId, state: DeliveryState | None = None) -> int:
        return await self._collection.count(_of(campaign, state))

    async def counts(self, campaign: ObjectId) -> Mapping[DeliveryState, int]:
        """How many are in each state. Cost: one index scan over the campaign's deliveries."""
        stages = [{"$group": {"_id": "$state", "count": {"$sum": 1}}}]
        found = await self._collection.union([({"campaign": campaign}, stages)])
        counted = {document["_id"]: document["count"] for document in found}
        return {state: counted.get(state.value, 0) for state in DeliveryState}

    async def due(self, campaign: ObjectId, limit: int = BATCH) -> list[Delivery]:
        """Those whose time has come, the longest due first."""
        query = {"campaign": campaign, "state": DeliveryState.PENDING.value, "due": {"$lte": now()}}
        return [_read(each) for each in await self._collection.find(query, sort=[("due", 1)], limit=limit)]

    async def any_waiting(self, campaign: ObjectId) -> bool:
        """Whether any is still to be sent, now or later."""
        for state in WAITING:
            if await self._collection.find_one(_of(campaign, state)) is not None:
                return True
        return False

    async def of_contact(self, contacts: Sequence[ObjectId]) -> list[Delivery]:
        """All that these contacts were sent, the newest first."""
        found = await self._collection.find_among("contact", contacts)
        deliveries = [_read(each) for each in found]
        return sorted(deliveries, key=lambda each: (each.sent or each.made, each.id), reverse=True)

    # ---- writing ---------------------------------------------------------------------------------------------------

    async def write(
        self,
        campaign: ObjectId,
        letters: Iterable[tuple[ObjectId, Letter | Unreachable | None]],
        *,
        sent: bool,
    ) -> None:
        """One for each contact; those that are there already stay as they are. `sent`: a letter counts as sent by being written."""
        moment = now()
        documents = []
        for contact, letter in letters:
            document = {
                "_id": delivery_id(campaign, contact),
                "campaign": campaign,
                "contact": contact,
                "attempts": 0,
                "due": moment,
                "made": moment,
                "sent": None,
            }
            if isinstance(letter, Unreachable):
                document |= {"state": DeliveryState.UNREACHABLE.value, "because": letter.because}
            elif letter is not None and sent:
                document |= {**_letter(letter), "state": DeliveryState.SENT.value, "sent": moment}
            else:
                document["state"] = DeliveryState.PENDING.value
            documents.append(document)
        for start in range(0, len(documents), BATCH):
            written = await self._collection.write(inserts=documents[start : start + BATCH])
            if any(code != DUPLICATE for code in written.refused.values()):
                raise Unavailable("The deliveries could not be written.")

    async def begin(self, letters: Sequence[tuple[Delivery, Letter]]) -> None:
        """Before they are sent: what is said in this attempt is said in every later one."""
        await self._collection.write(
            updates=[
                (
                    {"_id": delivery.id},
                    {
                        "$set": {"state": DeliveryState.SENDING.value, **_letter(letter)},
                        "$inc": {"attempts": 1},
                    },
                )
                for delivery, letter in letters
            ]
        )

    async def end(self, ended: Sequence[tuple[Delivery, DeliveryState, str | None]]) -> None:
        """They come to this, and nothing more is tried."""
        await self._collection.write(
            updates=[
                (
                    {"_id": delivery.id},
                    {
                        "$set": {
                            "state": state.value,
                            "because": because,
                            "sent": now() if state is DeliveryState.SENT else None,
                        }
                    },
                )
                for delivery, state, because in ended
            ]
        )

    async def put_off(self, delivery: Delivery, until: datetime, because: str | None) -> None:
        """Try it again then."""
        news = {"state": DeliveryState.PENDING.value, "due": until, "because": because}
        await self._collection.update_one({"_id": delivery.id}, {"$set": news})

    async def take_back(self, campaign: ObjectId) -> None:
        """Make those pending again of which an earlier process did not say what became of them."""
        while found := await self._collection.find(
            _of(campaign, DeliveryState.SENDING), projection={"_id": 1}, limit=BATCH
        ):
            news = {"$set": {"state": DeliveryState.PENDING.value, "due": now()}}
            await self._collection.write(updates=[({"_id": each["_id"]}, news) for each in found])

    async def send_again(self, campaign: ObjectId, identifiers: Sequence[ObjectId] | None) -> int:
        """Let those that failed, or could not be reached, be tried from the beginning; of these, or all. How many there were.

        Raises `NotFound` and `InvalidState` where a single one is none of these.
        """
        again = 0
        for identifier in identifiers or ():
            delivery = await self.get(identifier)
            if delivery is None or delivery.campaign != campaign:
                raise NotFound("There is no such delivery of this campaign.", path=("deliveries",))
            if delivery.state not in ENDED_UNSENT:
                raise InvalidState(
                    "Only what has failed, or could not be reached, can be sent again.", path=("deliveries",)
                )
        for state in ENDED_UNSENT:
            query = _of(campaign, state)
            if identifiers is not None:
                query["_id"] = {"$in": list(identifiers)}
            while found := await self._collection.find(query, projection={"_id": 1}, limit=BATCH):
                news = {"state": DeliveryState.PENDING.value, "attempts": 0, "due": now()}
                as_found = [{"_id": each["_id"], "state": state.value} for each in found]
                written = await self._collection.write(updates=[(each, {"$set": news}) for each in as_found])
                again += written.modified
        return again

    async def remove(self, campaign: ObjectId) -> None:
        """All of a campaign that was deleted."""
        while found := await self._collection.find(
            {"campaign": campaign}, projection={"_id": 1}, limit=BATCH
        ):
            await self._collection.write(deletes=[{"_id": each["_id"]} for each in found])


def _of(campaign: ObjectId, state: DeliveryState | None) -> dict[str, Any]:
    return {"campaign": campaign} if state is None else {"campaign": campaign, "state": state.value}


def _letter(letter: Letter) -> Document:
    return {"address": letter.address, "subject": letter.subject, "text": letter.text}


def _read(document: Document) -> Delivery:
    text = document.get("text")
    letter = None
    if text is not None:
        letter = Letter(address=document["address"], subject=document["subject"], text=text)
    return Delivery(
        id=document["_id"],
        campaign=document["campaign"],
        contact=document["contact"],
        state=DeliveryState(document["state"]),
        letter=letter,
        attempts=document["attempts"],
        due=document["due"],
        made=document["made"],
        sent=document["sent"],
        because=document.get("because"),
    )
