"""Running: who gets a delivery, from the launch of a campaign to its end, and that each is sent.

Owns how far a campaign's run has come. Everybody in its audience is gone through by identifier, and the place is kept; an ongoing
campaign follows its audience's feed from the position at which that began, and keeps the cursor. A delivery is written before the
place or the cursor is moved, and under an identifier of campaign and contact: so a process that ends anywhere, and another that
takes up what it left, write each exactly once and leave nobody out. Where the feed can no longer tell what happened, everybody is
gone through again, and who has a delivery keeps it.

Who has left the audience by the time of sending is sent nothing. While the audience is broken, or the campaign paused, nobody gets
a delivery and nothing is sent. One process at a time does this (`domain.courier`); what one that ended was sending is sent again,
under the same identifier. Held by `tests/domain/campaigns/test_running.py`.

Cost: for each contact one write to the outbox, three for other channels; at most `AT_ONCE` messages of a campaign are on their way
at a time. A campaign that waits looks for what is due once in `LOOK_SECONDS`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import aclosing
from datetime import timedelta

import structlog
from bson import ObjectId

from domain.campaign import Campaign, CampaignState, Channel
from domain.campaigns.channels import Channels
from domain.campaigns.composing import Composer, Letter, Unreachable
from domain.campaigns.deliveries import Deliveries, Delivery, DeliveryState
from domain.campaigns.editing import Campaigns, held_because, require_campaign
from domain.campaigns.posting import Again, Answer, Never, Sent, mail, message_body, post
from domain.catalogue import Catalogue
from domain.contact import Contact
from domain.contacts import Contacts
from domain.definitions import Definitions, now
from domain.errors import InvalidState, NotFound, Unavailable
from domain.membership.feed import Feed, Reset
from domain.membership.position import Position
from domain.store.log import EntryKind, LogEntry
from domain.store.scope import Scoped

log = structlog.get_logger(__name__)

PAGE = 200
AT_ONCE = 10
LOOK_SECONDS = 1.0
MAX_ATTEMPTS = 16
FIRST_RETRY_SECONDS = 5.0
LAST_RETRY_SECONDS = 6 * 3600.0


class Runs:
    """One account's campaigns as they are sent."""

    def __init__(
        self,
        runs: Scoped,
        definitions: Definitions,
        feed: Feed,
        contacts: Contacts,
        campaigns: Campaigns,
        deliveries: Deliveries,
        channels: Channels,
        *,
        private: bool,
    ) -> None:
        self._runs = runs
        self._definitions = definitions
        self._feed = feed
        self._contacts = contacts
        self._campaigns = campaigns
        self._deliveries = deliveries
        self._channels = channels
        self._private = private

    async def send_again(self, identifier: ObjectId, deliveries: Sequence[ObjectId] | None) -> int:
        """As `Deliveries.send_again`, of a campaign that is running or finished. Raises `NotFound`, `InvalidState`."""
        campaign = require_campaign(await self._definitions.current(), identifier)
        if campaign.state not in _SENDING:
            raise InvalidState(
                "Only of a campaign that is running or finished is anything sent.", path=("campaign",)
            )
        again = await self._deliveries.send_again(identifier, deliveries)
        await self._runs.update_one({"_id": identifier}, {"$set": {"open": True}})
        return again

    async def work(self, identifier: ObjectId) -> None:
        """Do what is to be done for a campaign; return where nothing is, or where it must wait for somebody."""
        catalogue = await self._definitions.current()
        campaign = catalogue.campaigns.get(identifier)
        if campaign is None:
            await self._deliveries.remove(identifier)
            await self._runs.delete_one({"_id": identifier})
            return
        if campaign.state is CampaignState.CANCELLED:
            await self._runs.update_one({"_id": identifier}, {"$set": {"open": False}})
            return
        if not self._goes_on(identifier):
            return
        await self._deliveries.take_back(identifier)
        async with asyncio.TaskGroup() as tasks:
            filling = tasks.create_task(self._fill(identifier))
            try:
                await self._send(identifier, filling)
            finally:
                filling.cancel()

    # ---- who gets one ----------------------------------------------------------------------------------------------

    async def _fill(self, identifier: ObjectId) -> None:
        """Write the deliveries of everybody there is, and of whoever joins where it is ongoing; return where nobody is left."""
        while True:
            run = await self._runs.find_one({"_id": identifier}) or {}
            campaign = await self._still(identifier)
            if campaign is None:
                return
            ongoing = campaign.content.ongoing
            if ongoing and "cursor" not in run:
                # Before the first is read: who joins from here on is told by the feed.
                size = (await self._feed.sizes([identifier])).get(identifier)
                if size is None:
                    raise _no_audience()
                await self._note(identifier, cursor=size.position)
            elif not run.get("filled"):
                await self._go_through(identifier, after=run.get("after"))
            elif ongoing:
                await self._follow(identifier, Position(run["cursor"]))
            else:
                return

    async def _go_through(self, identifier: ObjectId, after: ObjectId | None) -> None:
        while await self._still(identifier) is not None:
            query = self._definitions.known.criterion(identifier).query(self._feed.instant)
            contacts = await self._contacts.page(query, after=after, limit=PAGE)
            if not await self._write(identifier, contacts):
                return
            if len(contacts) < PAGE:
                await self._note(identifier, filled=True)
                return
            after = contacts[-1].id
            await self._note(identifier, after=after)

    async def _follow(self, identifier: ObjectId, after: Position) -> None:
        """Whoever joins behind the cursor. Returns where everybody must be gone through again, or the campaign goes on no more."""
        try:
            async with aclosing(self._feed.watch(identifier, after)) as bursts:
                async for burst in bursts:
                    joined = []
                    for event in burst:
                        if isinstance(event, Reset):
                            await self._note(identifier, cursor=event.position, after=None, filled=False)
                            return
                        if isinstance(event, LogEntry) and event.kind is EntryKind.JOINED and event.contact:
                            joined.append(event.contact)
                    if not await self._write_members(identifier, joined):
                        return
                    await self._note(identifier, cursor=burst[-1].position)
        except NotFound:
            raise _no_audience() from None

    async def _write_members(self, identifier: ObjectId, joined: Sequence[ObjectId]) -> bool:
        """As `_write`, for those of them who are in the audience still."""
        if await self._still(identifier) is None:
            return False
        found = await self._contacts.get_many(list(dict.fromkeys(joined)))
        if not self._goes_on(identifier):
            return False
        decides = self._definitions.known.criterion(identifier).predicate(self._feed.instant)
        return await self._write(identifier, [each for each in found.values() if decides(each.document)])

    async def _write(self, identifier: ObjectId, contacts: Sequence[Contact]) -> bool:
        """Write their deliveries. Whether the campaign went on meanwhile; else nothing is written."""
        if not self._goes_on(identifier):
            return False
        catalogue = self._definitions.known
        campaign = catalogue.campaigns[identifier]
        composer = Composer(catalogue, campaign)
        kept_here = campaign.content.channel is Channel.OUTBOX
        letters: list[tuple[ObjectId, Letter | Unreachable | None]] = []
        for contact in contacts:
            composed = composer.compose(contact)
            # What is sent later is made later, of the values that the contact has then.
            later = isinstance(composed, Letter) and not kept_here
            letters.append((contact.id, None if later else composed))
        await self._deliveries.write(identifier, letters, sent=kept_here)
        return True

    async def _still(self, identifier: ObjectId) -> Campaign | None:
        """The campaign, where it goes on by everything that was defined before the call."""
        catalogue = await self._definitions.current()
        return catalogue.campaigns[identifier] if self._goes_on(identifier) else None

    def _goes_on(self, identifier: ObjectId) -> bool:
        """Whether anything of it may be sent, by what is known. To be asked again after each waiting, before a rule is read."""
        return _goes_on(self._definitions.known, identifier)

    async def _note(self, identifier: ObjectId, **news: object) -> None:
        await self._runs.update_one({"_id": identifier}, {"$set": news})

    # ---- sending ---------------------------------------------------------------------------------------------------

    async def _send(self, identifier: ObjectId, filling: asyncio.Task[None]) -> None:
        """Send what is due, until everything is sent or the campaign goes on no more."""
        while (campaign := await self._still(identifier)) is not None:
            filled = filling.done()
            if due := await self._deliveries.due(identifier):
                await self._send_batch(campaign, due)
            elif filled and not await self._deliveries.any_waiting(identifier):
                await self._runs.update_one({"_id": identifier}, {"$set": {"open": False}})
                await self._campaigns.finish(identifier)
                return
            else:
                await asyncio.wait({filling}, timeout=LOOK_SECONDS)
                if filled:
                    await asyncio.sleep(LOOK_SECONDS)

    async def _send_batch(self, campaign: Campaign, due: Sequence[Delivery]) -> None:
        contacts = await self._contacts.get_many([delivery.contact for delivery in due])
        if not self._goes_on(campaign.id):
            return
        catalogue = self._definitions.known
        decides = catalogue.criterion(campaign.id).predicate(self._feed.instant)
        composer = Composer(catalogue, campaign)
        ended: list[tuple[Delivery, DeliveryState, str | None]] = []
        letters: list[tuple[Delivery, Letter]] = []
        for delivery in due:
            contact = contacts.get(delivery.contact)
            if contact is None or not decides(contact.document):
                because = "The contact had left the audience, or was deleted, before it was sent."
                ended.append((delivery, DeliveryState.LEFT, because))
                continue
            composed = delivery.letter or composer.compose(contact)
            if isinstance(composed, Unreachable):
                ended.append((delivery, DeliveryState.UNREACHABLE, composed.because))
            else:
                letters.append((delivery, composed))
        await self._deliveries.end(ended)
        await self._deliveries.begin(letters)
        room = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for delivery, letter in letters:
                key = contacts[delivery.contact].key
                tasks.create_task(self._send_one(room, campaign, delivery, letter, key))

    async def _send_one(
        self, room: asyncio.Semaphore, campaign: Campaign, delivery: Delivery, letter: Letter, key: str | None
    ) -> None:
        async with room:
            if await self._still(campaign.id) is None:
                # Paused, or held, since the batch was begun.
                await self._deliveries.put_off(delivery, now(), None)
                return
            answer = await self._answer(campaign, delivery, letter, key)
            attempts = delivery.attempts + 1
            match answer:
                case Sent():
                    await self._deliveries.end([(delivery, DeliveryState.SENT, None)])
                case Never(because):
                    await self._fail(campaign, delivery, because)
                case Again(because) if attempts >= MAX_ATTEMPTS:
                    await self._fail(campaign, delivery, f"{because} Given up after {attempts} attempts.")
                case Again(because, wait):
                    until = now() + timedelta(seconds=max(_back_off(attempts), wait or 0))
                    await self._deliveries.put_off(delivery, until, because)

    async def _fail(self, campaign: Campaign, delivery: Delivery, because: str) -> None:
        log.warning(
            "campaign.delivery_failed", campaign=str(campaign.id), delivery=str(delivery.id), because=because
        )
        await self._deliveries.end([(delivery, DeliveryState.FAILED, because)])

    async def _answer(
        self, campaign: Campaign, delivery: Delivery, letter: Letter, key: str | None
    ) -> Answer:
        missing = Again("The channel is not set.")
        match campaign.content.channel:
            case Channel.OUTBOX:
                return Sent()
            case Channel.WEBHOOK:
                webhook = await self._channels.webhook()
                if webhook is None:
                    return missing
                body = message_body(campaign, delivery, letter, key)
                return await post(webhook, delivery.id, body, private=self._private)
            case Channel.SMTP:
                smtp = await self._channels.smtp()
                return missing if smtp is None else await mail(smtp, delivery, letter, private=self._private)


def _goes_on(catalogue: Catalogue, identifier: ObjectId) -> bool:
    """Whether anything of it may be sent at this moment. Of a finished one, what was asked to be sent again."""
    campaign = catalogue.campaigns.get(identifier)
    return campaign is not None and campaign.state in _SENDING and held_because(catalogue, campaign) is None


def _no_audience() -> Unavailable:
    """Deleted at this moment, which is seen when it is begun with again."""
    return Unavailable("The campaign's audience is not there.")


_SENDING = (CampaignState.RUNNING, CampaignState.FINISHED)


def _back_off(attempts: int) -> float:
    """Twice as long each time, and never the same for all that failed together."""
    longest = min(FIRST_RETRY_SECONDS * 2.0 ** (attempts - 1), LAST_RETRY_SECONDS)
    return longest * random.uniform(0.5, 1)  # noqa: S311 # a pause, no secret
