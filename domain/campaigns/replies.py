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
from typing import Any

from bson import ObjectId

from domain.background import Background
from domain.campaigns.deliveries import Deliveries
from domain.campaigns.reading import read_reply
from domain.campaigns.reply import KeptReplies, Reply, ReplyState, read_stored
from domain.campaigns.senders import Sender, Senders, asked_by
from domain.contact import Contact
from domain.contacts import Contacts
from domain.definitions import Definitions, now
from domain.errors import InvalidState, InvalidValue, NotFound, Unavailable, ValueChanged
from domain.fields import Entry, Field, normalize
from domain.store.client import Document
from domain.store.log import Reason
from domain.store.scope import Duplicate, Scoped

LONGEST_REPLY = 10_000
MOST_AT_ONCE = 50
"""Of those looked at that an earlier process has left, or that a contact has sent before."""
MAX_ATTEMPTS = 5

_UNDECIDED = (
    ReplyState.NEEDS_REVIEW,
    ReplyState.UNKNOWN_SENDER,
    ReplyState.REJECTED,
    ReplyState.UNDONE,
)
"""What a person may decide, or decide again."""


class Replies(Background):
    """One account's."""

    def __init__(
        self, collection: Scoped, definitions: Definitions, contacts: Contacts, deliveries: Deliveries
    ) -> None:
        super().__init__()
        self.kept = KeptReplies(collection)
        self._definitions = definitions
        self._contacts = contacts
        self._senders = Senders(contacts, deliveries)
        self._reading = asyncio.Lock()

    def resume(self) -> None:
        """Finish what an earlier process has begun."""
        self._start(self._finish_received)

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
        contact, campaign, because = await self._senders.whose(catalogue, sender, campaign)
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
            await self.kept.collection.insert_one(document)
        except Duplicate:
            found = await self.kept.collection.find_one(
                {"_id": identifier} if message is None else {"message": message}
            )
            if found is None:
                raise Unavailable("The reply could not be kept. Send it again.") from None
            document = found
        return await self._finish(read_stored(document))

    async def _finish_received(self) -> None:
        after: ObjectId | None = None
        while page := await self.kept.page(None, ReplyState.RECEIVED, after=after, limit=MOST_AT_ONCE):
            for reply in page:
                await self._finish(reply)
            after = page[-1].id

    async def _finish(self, reply: Reply) -> Reply:
        """Read it, where that was not done."""
        if reply.state is not ReplyState.RECEIVED:
            return reply
        catalogue = await self._definitions.current()
        field = asked_by(catalogue, reply.campaign)
        if field is None:
            because = "It is not known what the contact was asked for."
            return await self.kept.settle(reply, ReplyState.NEEDS_REVIEW, because=because)
        settings = catalogue.settings
        # One at a time: what reads dates keeps things in mind that threads must not share.
        async with self._reading:
            readings = await asyncio.to_thread(
                read_reply, reply.text, field, settings, now().astimezone(settings.zone).date()
            )
        if len(readings) != 1:
            because = "It may mean one of several values." if readings else "No value was found in it."
            candidates = [entry.entered for entry in readings]
            return await self.kept.settle(
                reply, ReplyState.NEEDS_REVIEW, because=because, field=field.key, candidates=candidates
            )
        return await self._capture(reply, field, readings[0], by_person=False)

    # ---- writing into the contact ----------------------------------------------------------------------------------

    async def _capture(self, reply: Reply, field: Field, entry: Entry, *, by_person: bool) -> Reply:
        """Write the value into the contact."""
        assert reply.contact is not None
        for _ in range(MAX_ATTEMPTS):
            contact = await self._contacts.get(reply.contact)
            if contact is None:
                return await self.kept.settle(
                    reply, ReplyState.NEEDS_REVIEW, because="The contact has been deleted."
                )
            there = _normal(contact, field.key)
            if there == entry.normal:
                # What it was before, an earlier attempt has noted.
                begun = await self._begun(reply, field.key, entry.entered)
                before = begun if begun is not None else {"before": contact.values.get(field.key)}
                return await self.kept.settle(
                    reply,
                    ReplyState.CAPTURED,
                    field=field.key,
                    value=entry.entered,
                    candidates=[],
                    because=None,
                    **before,
                )
            if there is not None and not by_person and not await self._is_own(reply, field, there):
                return await self.kept.settle(
                    reply,
                    ReplyState.NEEDS_REVIEW,
                    because="Another value has been entered meanwhile.",
                    field=field.key,
                    candidates=[entry.entered],
                )
            begun = {"field": field.key, "value": entry.entered, "before": contact.values.get(field.key)}
            await self.kept.change(reply, {"begun": begun})
            if await self._contacts.exchange(contact, {field.key: entry}, reason=Reason.REPLIED):
                return await self.kept.settle(
                    reply, ReplyState.CAPTURED, candidates=[], because=None, **begun
                )
        raise Unavailable("Others are changing the contact over and over. Try again in a few seconds.")

    async def _begun(self, reply: Reply, key: str, value: Any) -> dict[str, Any] | None:
        """What was there before an attempt that wrote this value, and could not say so."""
        document = await self.kept.collection.find_one({"_id": reply.id})
        begun = (document or {}).get("begun")
        if not isinstance(begun, dict) or begun["field"] != key or begun["value"] != value:
            return None
        return {"before": begun["before"]}

    async def _is_own(self, reply: Reply, field: Field, there: Any) -> bool:
        """Whether what is there is what the contact itself has replied before."""
        captured = await self.kept.collection.find(
            {"contact": reply.contact, "field": field.key, "state": ReplyState.CAPTURED.value},
            sort=[("_id", -1)],
            limit=MOST_AT_ONCE,
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
        reply = await self.kept.require(identifier)
        if reply.state not in _UNDECIDED:
            raise InvalidState("The reply has been captured. Undo it first.", path=("id",))
        if reject:
            return await self.kept.settle(reply, ReplyState.REJECTED, decided=now())
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
            _, campaign, _ = await self._senders.whose(catalogue, Sender(contact=whose), None)
        known = {"contact": whose, "campaign": campaign, "decided": now()}
        if value is None:
            await self.kept.change(reply, {**known, "state": ReplyState.RECEIVED.value}, from_=reply.state)
            return await self._finish(await self.kept.require(identifier))
        field = asked_by(catalogue, campaign)
        if field is None:
            raise InvalidValue("It is not known what the contact was asked for.", path=("campaign",))
        try:
            entry = normalize(field, value, catalogue.settings)
        except InvalidValue as error:
            raise error.at("value") from None
        if entry is None:
            raise InvalidValue("A value is wanted; to take none, reject the reply.", path=("value",))
        await self.kept.change(reply, known, from_=reply.state)
        return await self._capture(await self.kept.require(identifier), field, entry, by_person=True)

    async def undo(self, identifier: ObjectId) -> Reply:
        """Put back what was there before, where it was not changed again. Raises `NotFound`, `InvalidState`, `ValueChanged`."""
        reply = await self.kept.require(identifier)
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
        undone_before = (await self.kept.collection.find_one({"_id": identifier}) or {}).get("undoing")
        if undone_before and there == (None if before is None else before.normal):
            return await self.kept.settle(reply, ReplyState.UNDONE, decided=now())
        if written is None or there != written.normal:
            raise changed
        await self.kept.change(reply, {"undoing": True})
        if not await self._contacts.exchange(contact, {field.key: before}, reason=Reason.CONTACT_UPDATED):
            now_there = await self._contacts.get(contact.id)
            # Whoever undoes the same reply at the same time has put back the same.
            if now_there is None or _normal(now_there, field.key) != (before and before.normal):
                raise changed
        return await self.kept.settle(reply, ReplyState.UNDONE, decided=now())


def _storable(*texts: str) -> bool:
    """Whether they hold neither NUL nor half a character (a lone surrogate)."""
    try:
        return not any("\0" in text or not text.encode() for text in texts if text)
    except UnicodeEncodeError:
        return False


def _normal(contact: Contact, key: str) -> Any:
    normal = contact.document.get("normal")
    return normal.get(key) if isinstance(normal, dict) else None
