"""Watching: who joins and who leaves an audience, and its size, as they change.

Owns the events as clients see them. What is told, and in which order, is the feed's. Contacts of events that are waiting
together are read together. Invariant: when a client has gone, nothing of its watching is left,
neither an attachment nor a task. Held by `tests/api/test_watching.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated

import strawberry
from bson import ObjectId

from api.audiences import Audience, ChangeReason, feed_cursor, feed_position, to_reason
from api.begun import MAX_EVERY_MS, Begun, begun, checked_every
from api.campaign_progress import CampaignSubscriptions
from api.contacts import Contact, to_contact
from api.context import Context, Info
from api.copies import CopySubscriptions
from api.groups import to_group
from api.ids import AUDIENCES, Kind, require_id, to_id
from api.imports import ImportSubscriptions
from api.segments import to_segment
from domain.audiences import Group as StoredGroup
from domain.contact import Contact as StoredContact
from domain.errors import NotFound
from domain.membership.feed import FeedEvent, Reset, Size, Started
from domain.store.log import EntryKind, LogEntry

EVERY_MS = 250
MIN_EVERY_MS = 10


class Burst:
    """Events that were waiting together. Their contacts are read when the first of them is asked for, all in one command."""

    def __init__(self, events: list[FeedEvent]) -> None:
        self.events = events
        self._contacts: dict[ObjectId, StoredContact] | None = None
        self._reading = asyncio.Lock()

    async def contact(self, context: Context, identifier: ObjectId) -> StoredContact | None:
        async with self._reading:
            if self._contacts is None:
                wanted = {
                    event.contact
                    for event in self.events
                    if isinstance(event, LogEntry) and event.contact is not None
                }
                self._contacts = await context.account.contacts.get_many(list(wanted))
        return self._contacts.get(identifier)


@strawberry.type(
    description="The first event, always exactly one, or `FeedReset` in its place: the position and the size from which the "
    "following changes count. On resume the cursor is the `after` that was given, and the size the one there."
)
class FeedStarted:
    cursor: str = strawberry.field(description="The position: `after` to resume from here.")
    size: int = strawberry.field(description="The audience's size at the position.")


@strawberry.interface(description="Somebody joined or left.")
class Move:
    cursor: str = strawberry.field(
        description="The event's place in the feed: the same for every watcher, unique, rising within an audience, good for "
        "no other. `after` to resume behind it."
    )
    at: datetime = strawberry.field(description="When it happened.")
    reason: ChangeReason = strawberry.field(description="Why.")
    contact_id: strawberry.ID = strawberry.field(
        description="Who, also where the contact has been deleted since."
    )
    size: int = strawberry.field(description="The audience's size after it.")
    contact_object_id: strawberry.Private[ObjectId]
    burst: strawberry.Private[Burst]

    @strawberry.field(description="Who, as the contact is now; null where it has been deleted since.")
    async def contact(self, info: Info) -> Contact | None:
        found = await self.burst.contact(info.context, self.contact_object_id)
        return None if found is None else to_contact(found, await info.context.catalogue())


@strawberry.type(description="A contact joined the audience.")
class ContactJoined(Move):
    pass


@strawberry.type(description="A contact left the audience.")
class ContactLeft(Move):
    pass


@strawberry.type(
    description="The rule was edited; the contacts that joined and left by it follow as their own events."
)
class AudienceRedefined:
    cursor: str = strawberry.field(description="The event's place in the feed.")
    at: datetime = strawberry.field(description="When it happened.")
    version: int = strawberry.field(description="The segment's version since.")


@strawberry.type(
    description="What lay between can no longer be told: read the audience afresh, then go on from this cursor."
)
class FeedReset:
    cursor: str = strawberry.field(description="The position from which the following changes count.")
    size: int = strawberry.field(description="The audience's size at the position.")
    because: str = strawberry.field(description="Why it can no longer be told.")


@strawberry.type(
    description="The audience was deleted; the subscription completes after this. Nobody is told to have left."
)
class FeedEnded:
    cursor: str = strawberry.field(description="The event's place in the feed.")
    because: str = strawberry.field(description="Why it ended.")


MembershipEvent = Annotated[
    FeedStarted | ContactJoined | ContactLeft | AudienceRedefined | FeedReset | FeedEnded,
    strawberry.union("MembershipEvent", description="What happens in the feed of an audience."),
]


@strawberry.type(description="How many contacts belong to an audience.")
class AudienceSize:
    audience_object_id: strawberry.Private[ObjectId]
    size: int = strawberry.field(description="Exact, never an estimate.")
    at: datetime = strawberry.field(
        description="Since when it is so: when the last of the changes counted happened."
    )

    @strawberry.field(description="The audience.")
    async def audience(self, info: Info) -> Audience:
        catalogue = await info.context.catalogue()
        found = catalogue.audience(self.audience_object_id)
        if found is None:
            raise NotFound("There is no such group or segment. It may have been deleted.")
        return to_group(found, catalogue) if isinstance(found, StoredGroup) else to_segment(found, catalogue)


AudienceArgument = Annotated[strawberry.ID, strawberry.argument(description="The group or segment to watch.")]


@strawberry.type(description="What can be watched, over a websocket by the graphql-transport-ws protocol.")
class Subscription(ImportSubscriptions, CopySubscriptions, CampaignSubscriptions):
    @strawberry.subscription(
        description="Who joins and who leaves an audience, in order, from `after` on, or from now."
    )
    async def membership_changes(
        self,
        info: Info,
        audience: AudienceArgument,
        after: Annotated[
            str | None,
            strawberry.argument(
                description="A feed cursor of this audience: every later event comes, without gap or double."
            ),
        ] = None,
    ) -> AsyncGenerator[MembershipEvent, None]:
        identifier = require_id(audience, *AUDIENCES, path=("audience",))
        position = None if after is None else feed_position(identifier, after, path="after")
        events = await begun(info.context.account.feed.watch(identifier, position))
        return _events(identifier, events)

    @strawberry.subscription(
        description="The audience's exact size: at once, and then whenever it changes, at most once in the given time."
    )
    async def audience_size(
        self,
        info: Info,
        audience: AudienceArgument,
        at_most_every_ms: Annotated[
            int | None,
            strawberry.argument(
                description=f"The least time between two events, {MIN_EVERY_MS} to {MAX_EVERY_MS:,} milliseconds."
            ),
        ] = EVERY_MS,
    ) -> AsyncGenerator[AudienceSize, None]:
        identifier = require_id(audience, *AUDIENCES, path=("audience",))
        every = EVERY_MS if at_most_every_ms is None else at_most_every_ms
        seconds = checked_every(every, least=MIN_EVERY_MS)
        return _sizes(identifier, await begun(info.context.account.feed.watch_size(identifier, seconds)))


async def _sizes(audience: ObjectId, sizes: Begun[Size]) -> AsyncGenerator[AudienceSize, None]:
    async with aclosing(sizes):
        async for size in sizes:
            yield AudienceSize(audience_object_id=audience, size=size.size, at=size.at)


async def _events(
    audience: ObjectId, bursts: Begun[list[FeedEvent]]
) -> AsyncGenerator[MembershipEvent, None]:
    async with aclosing(bursts):
        async for events in bursts:
            burst = Burst(events)
            for event in events:
                yield _to_event(audience, event, burst)


def _to_event(audience: ObjectId, event: FeedEvent, burst: Burst) -> MembershipEvent:
    cursor = feed_cursor(audience, event.position)
    match event:
        case Started(size=size):
            return FeedStarted(cursor=cursor, size=size)
        case Reset(size=size, because=because):
            return FeedReset(cursor=cursor, size=size, because=because)
        case LogEntry(kind=EntryKind.JOINED | EntryKind.LEFT, contact=ObjectId() as contact):
            move = ContactJoined if event.kind is EntryKind.JOINED else ContactLeft
            return move(
                cursor=cursor,
                at=event.at,
                reason=to_reason(event),
                contact_id=to_id(Kind.CONTACT, contact),
                size=event.size,
                contact_object_id=contact,
                burst=burst,
            )
        case LogEntry(kind=EntryKind.REDEFINED, version=int() as version):
            return AudienceRedefined(cursor=cursor, at=event.at, version=version)
        case LogEntry(kind=EntryKind.ENDED):
            return FeedEnded(cursor=cursor, because=event.because or "the audience was deleted")
        case _:
            raise ValueError(f"no event of a feed: {event}")
