"""Previews of campaigns: whom one would reach at this moment, and what they would be sent."""

from __future__ import annotations

import strawberry

from api.connections import First, checked_first
from api.contacts import Contact, to_contact
from api.context import Info
from domain.campaign import Campaign as StoredCampaign
from domain.campaigns.previewing import Preview
from domain.catalogue import Catalogue


@strawberry.type(description="What one contact would be sent.")
class CampaignSample:
    contact: Contact = strawberry.field(description="To whom.")
    address: str | None = strawberry.field(
        description="Where it would go to; null where the channel needs no address."
    )
    subject: str | None = strawberry.field(description="The subject; null where there is none.")
    text: str = strawberry.field(description="The text.")


@strawberry.type(
    description="Whom a campaign would reach at this moment. Every contact in any of `include` is in one of the "
    "figures, and in one only."
)
class CampaignPreview:
    campaign: strawberry.Private[StoredCampaign]
    catalogue: strawberry.Private[Catalogue]
    counted: strawberry.Private[Preview]

    @strawberry.field(description="How many contacts are in any of `include`: the sum of the other figures.")
    def included(self) -> int:
        return self.counted.included

    @strawberry.field(description="How many would be sent the message.")
    def reached(self) -> int:
        return self.counted.reached

    @strawberry.field(description="How many are left out because they are in one of `exclude`.")
    def excluded(self) -> int:
        return self.counted.excluded

    @strawberry.field(
        description="How many of the others have a value already in the field that is asked for."
    )
    def answered(self) -> int:
        return self.counted.answered

    @strawberry.field(description="How many of the others have no address in the channel's field.")
    def without_address(self) -> int:
        return self.counted.without_address

    @strawberry.field(
        description="How many of the others lack a value for a placeholder that has no other words."
    )
    def without_values(self) -> int:
        return self.counted.without_values

    @strawberry.field(description="What some of those who are reached would be sent.")
    async def sample(self, info: Info, first: First = 5) -> list[CampaignSample]:
        found = await info.context.account.previews.sample(
            self.catalogue, self.campaign, info.context.instant, limit=checked_first(first, 5)
        )
        return [
            CampaignSample(
                contact=to_contact(contact, self.catalogue),
                address=letter.address,
                subject=letter.subject,
                text=letter.text,
            )
            for contact, letter in found
        ]


async def preview(info: Info, campaign: StoredCampaign, catalogue: Catalogue) -> CampaignPreview:
    counted = await info.context.account.previews.counts(catalogue, campaign, info.context.instant)
    return CampaignPreview(campaign=campaign, catalogue=catalogue, counted=counted)
