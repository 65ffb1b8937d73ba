"""Replies: what contacts answered, read as a value of the field that was asked for; and what people decide where that is not clear.

Owns the way from a text to a value. A reply that can be read in one way is written into its contact at once, with the reason
`REPLIED`, so that the contact leaves the segment as by any other change. What can be read in several ways waits for a person with
all of them; so does what cannot be read at all, for it may be a question or a complaint, and only a person rejects. So does a value
that somebody else than the contact has put there meanwhile. A reply of nobody that is known is kept, and waits for somebody to say
whose it is. The text stays as it came.

A reply is written down before it is read, and what is to be written into the contact before that is; so a process that ends in
the middle leaves nothing behind that the next one cannot finish (`resume`), and doing it twice is doing it once. A value is taken
back only where it is still the one that was written. Held by `tests/domain/campaigns/test_replies.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from enum import StrEnum
from typing import Any

from bson import ObjectId

from domain.background import Background
from domain.campaigns.deliveries import Deliveries
from domain.campaigns.reading import read_reply
from domain.catalogue import Catalogue
from domain.contact import Contact
from domain.contacts import Contacts
from domain.definitions import Definitions, now
from domain.errors import InvalidState, InvalidValue, NotFound, Unavailable, ValueChanged
from domain.fields import Entry, Field, normalize
from domain.fields.normal import normal_email, normal_phone
from domain.store.client import Document
from domain.store.log import Reason
from domain.store.scope import Duplicate, Scoped

LONGEST_REPLY = 10_000
MOST_ALIKE = 50
MAX_ATTEMPTS = 5


class ReplyState(StrEnum):
    RECEIVED = "received"
    CAPTURED = "captured"
    NEEDS_REVIEW = "needs_review"
    UNKNOWN_SENDER = "unknown_sender"
    REJECTED = "rejected"
    UNDONE = "undone"


_UNDECIDED = (
    ReplyState.NEEDS_REVIEW,
    ReplyState.UNKNOWN_SENDER,
    ReplyState.REJECTED,
    ReplyState.UNDONE,
)
"""What a person may decide, or decide again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who replied, by one of these; `delivery` is the one that the reply is to."""

    contact: ObjectId | None = None
    key: str | None = None
    email: str | None = None
    phone: str | None = None
    delivery: ObjectId | None = None

    def said(self) -> str | None:
        """As it is kept where nobody is found."""
        return self.email or self.phone or self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`field` is the key that was asked for, `candidates` are values it may mean; `value` was written, `before` was
    there.
    """

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


class Replies(Background):
    """One account's."""

    def __init__(
        self, collection: Scoped, definitions: Definitions, contacts: Contacts, deliveries: Deliveries
    ) -> None:
        super().__init__()
        self._collection = collection
        self._definitions = definitions
        self._contacts = contacts
        self._deliveries = deliveries
        self._reading = asyncio.Lock()

    def resume(self) -> None:
        """Finish what an earlier process has begun."""
        self._start(self._finish_received)

    # ---- finding ---------------------------------------------------------------------------------------------------

    async def get(self, identifier: ObjectId) -> Reply | None:
        document = await self._collection.find_one({"_id": identifier})
        return None if document is None else _read(document)

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
        return [_read(each) for each in await self._collection.find(query, sort=[("_id", 1)], limit=limit)]

    async def count(self, campaign: ObjectId | None, state: ReplyState | None) -> int:
        return await self._collection.count(_of(campaign, state))

    async def contacts_of(self, campaign: ObjectId, state: ReplyState | None = None) -> int:
        """How many contacts have replied, or have a reply in this state. Cost: a look at each reply to the campaign."""
        query = {**_of(campaign, state), "contact": {"$ne": None}}
        stages: list[Document] = [{"$group": {"_id": "$contact"}}, {"$count": "contacts"}]
        found = await self._collection.union([(query, stages)])
        return int(found[0]["contacts"]) if found else 0

    # ---- taking in -------------------------------------------------------------------------------------------------

    async def record(
        self,
        identifier: ObjectId,
        *,
        text: str,
        sender: Sender,
        campaign: ObjectId | None = None,
        message: str | None = None,
    ) -> Reply:
        """Take a reply in and read it. The same identifier, or the same `message` of whoever sends them, is one reply.

        Without a campaign it is to the last one that was sent to the contact and asks for something. Raises `InvalidValue`, and
        `NotFound` for a contact or campaign that is named and is not there.
        """
        if not text.strip() or len(text) > LONGEST_REPLY or not _storable(text, sender.said() or ""):
            raise InvalidValue(f"A text of 1 to {LONGEST_REPLY:,} characters is wanted.", path=("text",))
        catalogue = await self._definitions.current()
        if campaign is not None and campaign not in catalogue.campaigns:
            raise NotFound("There is no such campaign. It may have been deleted.", path=("campaign",))
        contact, campaign, because = await self._whose(catalogue, sender, campaign)
        said = sender.said()
        if contact is None and sender.delivery is not None:
            said = str(sender.delivery)
        document: Document = {
            "_id": identifier,
            "text": text,
            "state": (ReplyState.UNKNOWN_SENDER if contact is None else ReplyState.RECEIVED).value,
            "sender": said,
            "contact": contact,
            "campaign": campaign,
            "because": because,
            "at": now(),
        }
        if message is not None:
            document["message"] = message
        try:
            await self._collection.insert_one(document)
        except Duplicate:
            found = await self._collection.find_one(
                {"_id": identifier} if message is None else {"message": message}
            )
            if found is None:
                raise Unavailable("The reply could not be kept. Send it again.") from None
            document = found
        return await self._finish(_read(document))

    async def _finish_received(self) -> None:
        after: ObjectId | None = None
        while page := await self.page(None, ReplyState.RECEIVED, after=after, limit=MOST_ALIKE):
            for reply in page:
                await self._finish(reply)
            after = page[-1].id

    async def _finish(self, reply: Reply) -> Reply:
        """Read it, where that was not done."""
        if reply.state is not ReplyState.RECEIVED:
            return reply
        catalogue = await self._definitions.current()
        field = _asked(catalogue, reply.campaign)
        if field is None:
            because = "It is not known what the contact was asked for."
            return await self._settle(reply, ReplyState.NEEDS_REVIEW, because=because)
        settings = catalogue.settings
        # One at a time: what reads dates keeps things in mind that threads must not share.
        async with self._reading:
            readings = await asyncio.to_thread(
                read_reply, reply.text, field, settings, now().astimezone(settings.zone).date()
            )
        if len(readings) != 1:
            because = "It may mean one of several values." if readings else "No value was found in it."
            candidates = [entry.entered for entry in readings]
            return await self._settle(
                reply, ReplyState.NEEDS_REVIEW, because=because, field=field.key, candidates=candidates
            )
        return await self._capture(reply, field, readings[0], by_person=False)

    async def _whose(
        self, catalogue: Catalogue, sender: Sender, campaign: ObjectId | None
    ) -> tuple[ObjectId | None, ObjectId | None, str | None]:
        """The contact, the campaign, and why there is no contact."""
        if sender.delivery is not None:
            delivery = await self._deliveries.get(sender.delivery)
            if delivery is None:
                # Of a campaign that was deleted, say: the reply is kept all the same.
                return None, campaign, "Nothing that was sent has this reference."
            return delivery.contact, delivery.campaign, None
        alike = await self._alike(catalogue, sender)
        sent = await self._deliveries.of_contact([contact.id for contact in alike])
        asking = [each for each in sent if _asked(catalogue, each.campaign) is not None]
        if campaign is None and asking:
            campaign = asking[0].campaign
        if len(alike) > 1:
            reached = {each.contact for each in sent if each.campaign == campaign}
            alike = [contact for contact in alike if contact.id in reached] or alike
        if len(alike) == 1:
            return alike[0].id, campaign, None
        because = f"{len(alike)} contacts have this address." if alike else "Nobody has this address."
        return None, campaign, because

    async def _alike(self, catalogue: Catalogue, sender: Sender) -> list[Contact]:
        """Whoever it may be."""
        if sender.contact is not None:
            return [await self._contacts.require(sender.contact)]
        if sender.key is not None:
            found = await self._contacts.get_by_key(sender.key.strip())
            return [] if found is None else [found]
        try:
            if sender.email is not None:
                query = {"normal.email": normal_email(parseaddr(sender.email)[1] or sender.email)}
            else:
                query = {"normal.phone": normal_phone(sender.phone or "", catalogue.settings)}
        except InvalidValue:
            # An address that nobody can have.
            return []
        return await self._contacts.page(query, after=None, limit=MOST_ALIKE)

    # ---- writing into the contact ----------------------------------------------------------------------------------

    async def _capture(self, reply: Reply, field: Field, entry: Entry, *, by_person: bool) -> Reply:
        """Write the value into the contact."""
        assert reply.contact is not None
        for _ in range(MAX_ATTEMPTS):
            contact = await self._contacts.get(reply.contact)
            if contact is None:
                return await self._settle(
                    reply, ReplyState.NEEDS_REVIEW, because="The contact has been deleted."
                )
            there = _normal(contact, field.key)
            if there == entry.normal:
                # What it was before, an earlier attempt has noted.
                begun = await self._begun(reply, field.key, entry.entered)
                before = begun if begun is not None else {"before": contact.values.get(field.key)}
                return await self._settle(
                    reply,
                    ReplyState.CAPTURED,
                    field=field.key,
                    value=entry.entered,
                    candidates=[],
                    because=None,
                    **before,
                )
            if there is not None and not by_person and not await self._is_own(reply, field, there):
                return await self._settle(
                    reply,
                    ReplyState.NEEDS_REVIEW,
                    because="Another value has been entered meanwhile.",
                    field=field.key,
                    candidates=[entry.entered],
                )
            begun = {"field": field.key, "value": entry.entered, "before": contact.values.get(field.key)}
            await self._change(reply, {"begun": begun})
            if await self._contacts.exchange(contact, {field.key: entry}, reason=Reason.REPLIED):
                return await self._settle(reply, ReplyState.CAPTURED, candidates=[], because=None, **begun)
        raise Unavailable("Others are changing the contact over and over. Try again in a few seconds.")

    async def _begun(self, reply: Reply, key: str, value: Any) -> dict[str, Any] | None:
        """What was there before an attempt that wrote this value, and could not say so."""
        document = await self._collection.find_one({"_id": reply.id})
        begun = (document or {}).get("begun")
        if not isinstance(begun, dict) or begun["field"] != key or begun["value"] != value:
            return None
        return {"before": begun["before"]}

    async def _is_own(self, reply: Reply, field: Field, there: Any) -> bool:
        """Whether what is there is what the contact itself has replied before."""
        captured = await self._collection.find(
            {"contact": reply.contact, "field": field.key, "state": ReplyState.CAPTURED.value},
            sort=[("_id", -1)],
            limit=MOST_ALIKE,
        )
        settings = self._definitions.known.settings
        for document in captured:
            try:
                entry = normalize(field, document["value"], settings)
            except InvalidValue:
                continue
            if entry is not None and entry.normal == there:
                return True
        return False

    # ---- deciding --------------------------------------------------------------------------------------------------

    async def resolve(
        self,
        identifier: ObjectId,
        *,
        value: Any = None,
        contact: ObjectId | None = None,
        campaign: ObjectId | None = None,
        reject: bool = False,
    ) -> Reply:
        """Decide what it means: a value, or nothing (`reject`); whose it is, and to which campaign, where that was not known.

        Without a value it is read again. Raises `NotFound`, `InvalidState`, `InvalidValue`.
        """
        reply = await self._require(identifier)
        if reply.state not in _UNDECIDED:
            raise InvalidState("The reply has been captured. Undo it first.", path=("id",))
        if reject:
            return await self._settle(reply, ReplyState.REJECTED, decided=now())
        catalogue = await self._definitions.current()
        if campaign is not None and campaign not in catalogue.campaigns:
            raise NotFound("There is no such campaign. It may have been deleted.", path=("campaign",))
        whose = contact or reply.contact
        if whose is None:
            raise InvalidValue("It is wanted whose reply this is.", path=("contact",))
        if await self._contacts.get(whose) is None:
            raise NotFound("There is no such contact. It may have been deleted.", path=("contact",))
        campaign = campaign or reply.campaign
        if campaign is None:
            _, campaign, _ = await self._whose(catalogue, Sender(contact=whose), None)
        known = {"contact": whose, "campaign": campaign, "decided": now()}
        if value is None:
            await self._change(reply, {**known, "state": ReplyState.RECEIVED.value}, from_=reply.state)
            return await self._finish(await self._require(identifier))
        field = _asked(catalogue, campaign)
        if field is None:
            raise InvalidValue("It is not known what the contact was asked for.", path=("campaign",))
        try:
            entry = normalize(field, value, catalogue.settings)
        except InvalidValue as error:
            raise error.at("value") from None
        if entry is None:
            raise InvalidValue("A value is wanted; to take none, reject the reply.", path=("value",))
        await self._change(reply, known, from_=reply.state)
        return await self._capture(await self._require(identifier), field, entry, by_person=True)

    async def undo(self, identifier: ObjectId) -> Reply:
        """Put back what was there before, where it was not changed again. Raises `NotFound`, `InvalidState`, `ValueChanged`."""
        reply = await self._require(identifier)
        if reply.state is ReplyState.UNDONE:
            return reply
        if reply.state is not ReplyState.CAPTURED or reply.contact is None or reply.field is None:
            raise InvalidState("Only a reply that was captured can be undone.", path=("id",))
        catalogue = await self._definitions.current()
        field = catalogue.fields.get(reply.field)
        contact = await self._contacts.get(reply.contact)
        changed = ValueChanged("The value was changed since, and stays as it is.", path=("id",))
        if field is None or contact is None:
            raise changed
        try:
            written = normalize(field, reply.value, catalogue.settings)
            before = normalize(field, reply.before, catalogue.settings)
        except InvalidValue:
            raise changed from None
        there = _normal(contact, field.key)
        undone_before = (await self._collection.find_one({"_id": identifier}) or {}).get("undoing")
        if undone_before and there == (None if before is None else before.normal):
            return await self._settle(reply, ReplyState.UNDONE, decided=now())
        if written is None or there != written.normal:
            raise changed
        await self._change(reply, {"undoing": True})
        if not await self._contacts.exchange(contact, {field.key: before}, reason=Reason.CONTACT_UPDATED):
            now_there = await self._contacts.get(contact.id)
            # Whoever undoes the same reply at the same time has put back the same.
            if now_there is None or _normal(now_there, field.key) != (before and before.normal):
                raise changed
        return await self._settle(reply, ReplyState.UNDONE, decided=now())

    async def _require(self, identifier: ObjectId) -> Reply:
        reply = await self.get(identifier)
        if reply is None:
            raise NotFound("There is no such reply.", path=("id",))
        return reply

    async def _change(self, reply: Reply, news: dict[str, Any], *, from_: ReplyState | None = None) -> None:
        """Raises `InvalidState` where somebody else has decided meanwhile."""
        query = {"_id": reply.id} if from_ is None else {"_id": reply.id, "state": from_.value}
        matched, _ = await self._collection.update_one(query, {"$set": news})
        if not matched:
            raise InvalidState("Somebody else has decided this meanwhile. Read it again.", path=("id",))

    async def _settle(self, reply: Reply, state: ReplyState, **news: Any) -> Reply:
        await self._change(reply, {"state": state.value, **news})
        return await self._require(reply.id)


def _storable(*texts: str) -> bool:
    """Whether they hold neither NUL nor half a character (a lone surrogate)."""
    try:
        return not any("\0" in text or not text.encode() for text in texts if text)
    except UnicodeEncodeError:
        return False


def _asked(catalogue: Catalogue, campaign: ObjectId | None) -> Field | None:
    """What a campaign asks for; None where it is not there, or asks for nothing that is."""
    known = None if campaign is None else catalogue.campaigns.get(campaign)
    return None if known is None or known.content.asks is None else catalogue.fields.get(known.content.asks)


def _normal(contact: Contact, key: str) -> Any:
    normal = contact.document.get("normal")
    return normal.get(key) if isinstance(normal, dict) else None


def _of(campaign: ObjectId | None, state: ReplyState | None) -> dict[str, Any]:
    query: dict[str, Any] = {} if campaign is None else {"campaign": campaign}
    return query if state is None else {**query, "state": state.value}


def _read(document: Document) -> Reply:
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
