"""Audiences: what groups and segments have in common. Their size, members, and who came and went.

Owns the reading of the feed as lists; as events it is `watching`. Sizes, members and contacts go through loaders, so that
a page of audiences costs as many database commands as one audience.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from enum import Enum
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Annotated

import strawberry
from bson import ObjectId

from api.connections import (
    After,
    Connection,
    First,
    PageInfo,
    by_identifier,
    checked_first,
    page_info,
)
from api.context import Info
from api.growth import SizeHistory, to_size_history
from api.ids import Kind, to_id
from api.loaders import MembersPage
from domain.audiences import Audience as StoredAudience
from domain.audiences import Group as StoredGroup
from domain.catalogue import Catalogue
from domain.contact import Contact as StoredContact
from domain.errors import InvalidCursor, InvalidValue, NotFound
from domain.membership import position as positions
from domain.membership.feed import Feed, Size
from domain.membership.history import MAX_POINTS
from domain.membership.position import Position
from domain.store.log import EntryKind, LogEntry

if TYPE_CHECKING:
    from api.contacts import Contact


@strawberry.interface(description="Anything that has an identifier.")
class Node:
    id: strawberry.ID = strawberry.field(
        description="Opaque, unique over all types, the same for ever. `node` finds the thing again."
    )


@strawberry.enum(description="Why somebody joined or left.")
class ChangeReason(Enum):
    CONTACT_CREATED = strawberry.enum_value("CONTACT_CREATED", description="The contact was created.")
    CONTACT_UPDATED = strawberry.enum_value(
        "CONTACT_UPDATED", description="A value of the contact was changed."
    )
    CONTACT_DELETED = strawberry.enum_value("CONTACT_DELETED", description="The contact was deleted.")
    IMPORTED = strawberry.enum_value("IMPORTED", description="An import created or changed the contact.")
    REPLIED = strawberry.enum_value("REPLIED", description="A reply of the contact's changed a value.")
    GROUP_EDITED = strawberry.enum_value(
        "GROUP_EDITED", description="The contact was put into a static group or taken out of one."
    )
    RULE_EDITED = strawberry.enum_value("RULE_EDITED", description="The segment's rule was edited.")
    SETTINGS_CHANGED = strawberry.enum_value(
        "SETTINGS_CHANGED",
        description="A setting was changed on which the rule depends, such as the time zone.",
    )
    TIME_PASSED = strawberry.enum_value(
        "TIME_PASSED", description="The rule looks at the time, and it went by."
    )
    RECONCILED = strawberry.enum_value(
        "RECONCILED", description="Found by comparison, where what exactly happened can no longer be told."
    )


@strawberry.enum(description="The two ways in which membership changes.")
class MembershipChangeKind(Enum):
    JOINED = strawberry.enum_value("joined", description="The contact became a member.")
    LEFT = strawberry.enum_value("left", description="The contact ceased to be a member.")


@strawberry.type(description="Somebody joined or left an audience.")
class MembershipChange:
    cursor: str = strawberry.field(
        description="Its place in the audience's feed: the same one that its event had."
    )
    at: datetime = strawberry.field(description="When it happened.")
    kind: MembershipChangeKind = strawberry.field(description="Whether the contact joined or left.")
    reason: ChangeReason = strawberry.field(description="Why.")
    contact_id: strawberry.ID = strawberry.field(
        description="Who, also where the contact has been deleted since."
    )
    size: int = strawberry.field(description="The audience's size after it.")
    contact_object_id: strawberry.Private[ObjectId]

    @strawberry.field(description="Who, as the contact is now; null where it has been deleted since.")
    async def contact(self, info: Info) -> Annotated[Contact, strawberry.lazy("api.contacts")] | None:
        from api.contacts import load_contact  # noqa: PLC0415 # contacts have groups, and groups contacts

        return await load_contact(info, self.contact_object_id)


@strawberry.type(description="A change of membership with its place in the feed.")
class MembershipChangeEdge:
    cursor: str = strawberry.field(description="The change's place in the audience's feed.")
    node: MembershipChange = strawberry.field(description="The change.")


@strawberry.type(description="A page of changes of membership.")
class MembershipChangeConnection:
    edges: list[MembershipChangeEdge] = strawberry.field(description="The changes, each with its cursor.")
    page_info: PageInfo = strawberry.field(description="Where the page stands in the list.")
    count: strawberry.Private[Callable[[], Awaitable[int]]]
    cut: strawberry.Private[Callable[[], Awaitable[datetime | None]]]

    @strawberry.field(description="The changes without their cursors.")
    def nodes(self) -> list[MembershipChange]:
        return [edge.node for edge in self.edges]

    @strawberry.field(
        description="How many changes the log holds in the whole list, with its filter: counted only where it is asked for."
    )
    async def total_count(self) -> int:
        return await self.count()

    @strawberry.field(
        description="What happened up to this time is not kept any more; of all that came later nothing is missing. Null where "
        "nothing was cut off."
    )
    async def complete_since(self) -> datetime | None:
        return await self.cut()


def to_reason(entry: LogEntry) -> ChangeReason:
    assert entry.reason is not None
    return ChangeReason(entry.reason.value)


@lru_cache(maxsize=4096)
def feed_cursor(audience: ObjectId, position: str) -> str:
    """Remembered, because every watcher of an audience is given the same ones at the same time."""
    return positions.to_cursor(audience, Position(position))


def feed_position(audience: ObjectId, cursor: str, *, path: str) -> Position:
    """Raises `InvalidCursor`."""
    try:
        return positions.from_cursor(audience, cursor)
    except InvalidCursor as error:
        raise error.at(path) from None


def to_change(audience: ObjectId, entry: LogEntry) -> MembershipChange:
    """Of an entry that is a join or a leave."""
    assert entry.contact is not None
    return MembershipChange(
        cursor=feed_cursor(audience, entry.position),
        at=entry.at,
        kind=MembershipChangeKind.JOINED if entry.kind is EntryKind.JOINED else MembershipChangeKind.LEFT,
        reason=to_reason(entry),
        contact_id=to_id(Kind.CONTACT, entry.contact),
        size=entry.size,
        contact_object_id=entry.contact,
    )


def _changes(
    feed: Feed,
    audience: ObjectId,
    entries: Sequence[LogEntry],
    *,
    first: int,
    after: str | None,
    count: Callable[[], Awaitable[int]],
) -> MembershipChangeConnection:
    changes = [to_change(audience, entry) for entry in entries[:first]]
    return MembershipChangeConnection(
        edges=[MembershipChangeEdge(cursor=change.cursor, node=change) for change in changes],
        page_info=page_info([change.cursor for change in changes], after=after, more=len(entries) > first),
        count=count,
        cut=partial(feed.complete_since, audience),
    )


@strawberry.interface(
    description="A named set of contacts: a Group, whose members people choose, or a Segment, whose members its rule chooses."
)
class Audience(Node):
    stored: strawberry.Private[StoredAudience]
    catalogue: strawberry.Private[Catalogue]

    @strawberry.field(description="Its name, unique among its kind.")
    def name(self) -> str:
        return self.stored.name

    @strawberry.field(description="What it is for, if anybody said so.")
    def description(self) -> str | None:
        return self.stored.description

    @strawberry.field(description="When it was made.")
    def created_at(self) -> datetime:
        return self.stored.created

    @strawberry.field(description="When its name, description or rule was last edited.")
    def updated_at(self) -> datetime:
        return self.stored.updated

    @strawberry.field(description="How many contacts belong to it now: exact, never an estimate.")
    async def size(self, info: Info) -> int:
        return (await size_of(info, self.stored)).size

    @strawberry.field(
        description="The feed's position as of this read: `size` counts exactly the changes up to it. Subscribe with "
        "`after: cursor` to miss none of the later ones."
    )
    async def cursor(self, info: Info) -> str:
        return feed_cursor(self.stored.id, (await size_of(info, self.stored)).position)

    @strawberry.field(
        description="The members, by a stable order. Later pages are read later: a client that pages through all of them while "
        "contacts change takes `cursor` first, and applies the changes after it, as set operations, to what it read."
    )
    async def members(
        self, info: Info, first: First = 50, after: After = None
    ) -> Connection[Annotated[Contact, strawberry.lazy("api.contacts")]]:
        from api.contacts import to_contact  # noqa: PLC0415 # contacts have groups, and groups contacts

        stored, catalogue = self.stored, self.catalogue

        async def read(behind: ObjectId | None, limit: int) -> Sequence[StoredContact]:
            if stored.id in catalogue.broken:
                # Until the last of them has been marked, nobody could tell them all.
                await info.context.account.feed.settled([stored.id])
            query = catalogue.criterion(stored.id).query(info.context.instant)
            return await info.context.load.members.load(
                MembersPage(audience=stored.id, query=query, after=behind, limit=limit)
            )

        async def count() -> int:
            return (await size_of(info, stored)).size

        return await by_identifier(
            f"members:{stored.id}",
            read,
            lambda contact: to_contact(contact, catalogue),
            count,
            first=first,
            after=after,
        )

    @strawberry.field(description="Who joined and left, newest first; `after` pages into the past.")
    async def changes(
        self,
        info: Info,
        first: First = 50,
        after: After = None,
        since: Annotated[
            datetime | None,
            strawberry.argument(description="None that is older, by `at`; with its offset from UTC."),
        ] = None,
    ) -> MembershipChangeConnection:
        _check_offset(since, "since")
        audience = self.stored.id
        limit = checked_first(first)
        before = None if after is None else feed_position(audience, after, path="after")
        feed = info.context.account.feed
        entries = await feed.history(audience, before=before, since=since, limit=limit + 1)
        count = partial(feed.count_history, audience, since=since)
        return _changes(feed, audience, entries, first=limit, after=after, count=count)

    @strawberry.field(
        description="The same, oldest first, from a feed cursor on: for partners who poll instead of holding a socket."
    )
    async def changes_since(
        self,
        info: Info,
        cursor: Annotated[
            str,
            strawberry.argument(
                description="A feed cursor: of `cursor`, of an event, or of an earlier change."
            ),
        ],
        first: First = 100,
    ) -> MembershipChangeConnection:
        audience = self.stored.id
        limit = checked_first(first, 100)
        after = feed_position(audience, cursor, path="cursor")
        feed = info.context.account.feed
        entries = await feed.history_since(audience, after=after, limit=limit + 1)
        count = partial(feed.count_history, audience, after=after)
        return _changes(feed, audience, entries, first=limit, after=cursor, count=count)

    @strawberry.field(
        description="How big it was over time: the exact sizes at evenly spaced instants, as far back as the log is kept."
    )
    async def size_over_time(
        self,
        info: Info,
        since: Annotated[
            datetime, strawberry.argument(description="The first instant, with its offset from UTC.")
        ],
        until: Annotated[
            datetime | None, strawberry.argument(description="The last instant; left out, it is now.")
        ] = None,
        points: Annotated[
            int | None,
            strawberry.argument(
                description=f"How many instants, from 2 to {MAX_POINTS}; fewer where there are fewer seconds."
            ),
        ] = 100,
    ) -> SizeHistory:
        _check_offset(since, "since")
        _check_offset(until, "until")
        growth = await info.context.account.history.growth(
            self.stored.id, since=since, until=until, points=100 if points is None else points
        )
        return to_size_history(growth)


def _check_offset(at: datetime | None, argument: str) -> None:
    """Raises `InvalidValue` for a point in time that may mean several."""
    if at is not None and at.tzinfo is None:
        raise InvalidValue(
            "A point in time with its offset is wanted, such as 2026-05-03T10:00:00Z.", path=(argument,)
        )


async def size_of(info: Info, audience: StoredAudience) -> Size:
    """Raises `NotFound` where it was deleted in the meantime."""
    size = await info.context.load.sizes.load(audience.id)
    if size is None:
        kind = "group" if isinstance(audience, StoredGroup) else "segment"
        raise NotFound(f"There is no such {kind}. It may have been deleted.")
    return size
