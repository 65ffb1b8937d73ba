"""One contact in one audience: whether it is in, since when and why, and how it came and went.

What can be told of it is `domain.membership.history`'s to say. Held by `tests/api/test_history.py`.
"""

from __future__ import annotations

from datetime import datetime

import strawberry
from bson import ObjectId

from api.audiences import ChangeReason, MembershipChange, to_change
from api.connections import First, checked_first
from domain.membership.history import Membership


@strawberry.type(
    description="A contact and an audience: whether it is a member, since when, and how it came and went."
)
class ContactMembership:
    stored: strawberry.Private[Membership]
    audience_object_id: strawberry.Private[ObjectId]

    @strawberry.field(description="Whether the contact is in the audience.")
    def member(self) -> bool:
        return self.stored.member

    @strawberry.field(
        description="Of a member: when it joined. Null where the log does not tell: it was in when the audience was made, or has "
        "been in since before the log was cut."
    )
    def since(self) -> datetime | None:
        return self.stored.since

    @strawberry.field(description="Of a member: why it joined. Null wherever `since` is.")
    def reason(self) -> ChangeReason | None:
        return None if self.stored.reason is None else ChangeReason(self.stored.reason.value)

    @strawberry.field(
        description="What happened up to this time is not kept any more; of all that came later nothing is missing. Null where "
        "nothing was cut off."
    )
    def complete_since(self) -> datetime | None:
        return self.stored.complete_since

    @strawberry.field(
        description="How it joined and left this audience, newest first: the last of it, `first` at most."
    )
    def changes(self, first: First = 50) -> list[MembershipChange]:
        moves = self.stored.moves[: checked_first(first)]
        return [to_change(self.audience_object_id, entry) for entry in moves]


def to_contact_membership(audience: ObjectId, membership: Membership) -> ContactMembership:
    return ContactMembership(stored=membership, audience_object_id=audience)
