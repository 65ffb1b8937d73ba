"""Differences: what saving a rule would change, before it is saved. What is said is worked out in `domain.differences`."""

from __future__ import annotations

import strawberry

from api.connections import First, checked_first
from api.contacts import Contact, to_contact
from api.context import Info
from api.segments import Segment, to_segment
from domain.catalogue import Catalogue
from domain.differences import Difference
from domain.rules.query import Query


@strawberry.type(
    description="How the members of a segment would change, if a rule were saved at this moment."
)
class SegmentDifference:
    stored: strawberry.Private[Difference]
    catalogue: strawberry.Private[Catalogue]

    @strawberry.field(description="The segment, as it is now.")
    def segment(self) -> Segment:
        return to_segment(self.stored.segment, self.catalogue)

    @strawberry.field(description="How many contacts would join: exact.")
    async def joining(self, info: Info) -> int:
        return await info.context.account.contacts.count(self.stored.joining)

    @strawberry.field(description="How many contacts would leave: exact.")
    async def leaving(self, info: Info) -> int:
        return await info.context.account.contacts.count(self.stored.leaving)

    @strawberry.field(description="Some of those who would join.")
    async def joining_sample(self, info: Info, first: First = 10) -> list[Contact]:
        return await self._sample(info, self.stored.joining, first)

    @strawberry.field(description="Some of those who would leave.")
    async def leaving_sample(self, info: Info, first: First = 10) -> list[Contact]:
        return await self._sample(info, self.stored.leaving, first)

    async def _sample(self, info: Info, query: Query, first: int | None) -> list[Contact]:
        limit = checked_first(first, 10)
        found = await info.context.account.contacts.page(query, after=None, limit=limit) if limit else []
        return [to_contact(contact, self.catalogue) for contact in found]
