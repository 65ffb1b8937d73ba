"""Campaigns: the type, and the queries that find them."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry
from bson import ObjectId

from api.audiences import Audience, Node
from api.campaign_previews import CampaignPreview, preview
from api.campaign_progress import CampaignForecast, CampaignProgress, to_forecast, to_progress
from api.connections import After, Connection, First, Search
from api.context import Info
from api.deliveries import Delivery, DeliveryState, deliveries_page
from api.fields import Field, to_field
from api.groups import to_group
from api.growth import SizeHistory, to_size_history
from api.ids import Kind, find_id, to_id
from api.listing import by_name, named
from api.replies import Reply, ReplyState, replies_page
from api.segments import to_segment
from domain.campaign import Campaign as StoredCampaign
from domain.campaigns.editing import held_because
from domain.catalogue import Catalogue
from domain.membership.history import MAX_POINTS
from domain.rules.tree import AudienceKind, AudienceRef


@strawberry.enum(description="How far a campaign has come.")
class CampaignState(Enum):
    DRAFT = strawberry.enum_value("draft", description="Being written; nothing is sent.")
    RUNNING = strawberry.enum_value(
        "running",
        description="Being sent: to whoever its audience has and, where it is ongoing, to whoever joins.",
    )
    PAUSED = strawberry.enum_value("paused", description="Nothing is sent until it is resumed.")
    FINISHED = strawberry.enum_value("finished", description="Everything has been sent. Replies still count.")
    CANCELLED = strawberry.enum_value("cancelled", description="Nothing more is sent. Replies still count.")


@strawberry.enum(description="How messages leave.")
class Channel(Enum):
    OUTBOX = strawberry.enum_value(
        "outbox", description="They are kept here, for a program of yours to read and send."
    )
    WEBHOOK = strawberry.enum_value(
        "webhook", description="Each is posted to a web address, signed by the Standard Webhooks scheme."
    )
    SMTP = strawberry.enum_value("smtp", description="Each is sent as mail by an SMTP server.")


@strawberry.type(
    description="A message to an audience of its own: whoever is in any of some groups and segments and in none of others; where "
    "the campaign asks for a field, whoever has no value in it yet. So the campaign empties its own audience by the replies."
)
class Campaign(Node):
    stored: strawberry.Private[StoredCampaign]
    catalogue: strawberry.Private[Catalogue]

    @strawberry.field(description="Its name, unique among campaigns.")
    def name(self) -> str:
        return self.stored.name

    @strawberry.field(description="What it is for, if anybody said so.")
    def description(self) -> str | None:
        return self.stored.content.description

    @strawberry.field(description="How far it has come.")
    def state(self) -> CampaignState:
        return CampaignState(self.stored.state.value)

    @strawberry.field(
        description="Why nothing is sent although it runs, and what is to be done: a segment that it refers to is broken, or a "
        "field is gone. It goes on by itself when that is mended. Null where nothing stands in the way."
    )
    def held_because(self) -> str | None:
        return held_because(self.catalogue, self.stored)

    @strawberry.field(description="Contacts in any of these are reached.")
    def include(self) -> list[Audience]:
        return self._audiences(self.stored.content.include)

    @strawberry.field(description="But none who are in one of these.")
    def exclude(self) -> list[Audience]:
        return self._audiences(self.stored.content.exclude)

    @strawberry.field(description="How its messages leave.")
    def channel(self) -> Channel:
        return Channel(self.stored.content.channel.value)

    @strawberry.field(
        description="The key of the field in which the address stands that messages go to; null where the channel needs none."
    )
    def address_field(self) -> str | None:
        return self.stored.content.address

    @strawberry.field(description="The subject, with placeholders; null where there is none.")
    def subject(self) -> str | None:
        return self.stored.content.subject

    @strawberry.field(description="The message, with placeholders.")
    def message(self) -> str:
        return self.stored.content.message

    @strawberry.field(
        description="The field that it asks for; null where it asks for none, or the field is gone."
    )
    def asks(self) -> Field | None:
        field = self.catalogue.fields.get(self.stored.content.asks or "")
        return None if field is None else to_field(field)

    @strawberry.field(description="Whether it goes to whoever joins its audience later, too.")
    def ongoing(self) -> bool:
        return self.stored.content.ongoing

    @strawberry.field(description="Rises with each edit and each step.")
    def version(self) -> int:
        return self.stored.version

    @strawberry.field(description="When it was made.")
    def created_at(self) -> datetime:
        return self.stored.created

    @strawberry.field(description="When it was launched; null for a draft.")
    def launched_at(self) -> datetime | None:
        return self.stored.launched

    @strawberry.field(
        description="Whom it would reach at this moment, of a campaign in any state, counted afresh. `BROKEN_SEGMENT` "
        "where that cannot be told."
    )
    async def preview(self, info: Info) -> CampaignPreview:
        return await preview(info, self.stored, self.catalogue)

    @strawberry.field(description="How far it has come. `campaignProgress` watches it.")
    async def progress(self, info: Info) -> CampaignProgress:
        return to_progress(await info.context.account.progresses.of(self.stored.id))

    @strawberry.field(
        description="How many contacts its audience had, from the launch to now: of a campaign that asks for a field, "
        "how many were "
        "missing. `INVALID_STATE` for a draft."
    )
    async def missing_over_time(
        self,
        info: Info,
        points: Annotated[
            int,
            strawberry.argument(description=f"At how many evenly spaced instants, 2 to {MAX_POINTS}."),
        ] = 30,
    ) -> SizeHistory:
        return to_size_history(
            await info.context.account.progresses.missing_over_time(self.stored.id, points)
        )

    @strawberry.field(
        description="When nobody will be missing any more, at this pace. Null where that cannot be told: nothing is "
        "asked for or nobody is "
        "missing, few have answered lately, more join than leave, or it would be more than a year."
    )
    async def forecast(self, info: Info) -> CampaignForecast | None:
        return to_forecast(await info.context.account.progresses.forecast(self.stored.id))

    @strawberry.field(description="What was sent to whom, by an order that does not change.")
    async def deliveries(
        self,
        info: Info,
        first: First = 50,
        after: After = None,
        state: Annotated[
            DeliveryState | None, strawberry.argument(description="Only those in this state.")
        ] = None,
    ) -> Connection[Delivery]:
        return await deliveries_page(info, self.stored.id, state, first, after)

    @strawberry.field(description="What was replied to it, in the order in which it came.")
    async def replies(
        self,
        info: Info,
        first: First = 50,
        after: After = None,
        state: Annotated[
            ReplyState | None, strawberry.argument(description="Only those in this state.")
        ] = None,
    ) -> Connection[Reply]:
        return await replies_page(info, self.stored.id, state, first, after)

    def _audiences(self, refs: tuple[AudienceRef, ...]) -> list[Audience]:
        groups, segments = self.catalogue.groups, self.catalogue.segments
        return [
            to_group(groups[ref.id], self.catalogue)
            if ref.kind is AudienceKind.GROUP
            else to_segment(segments[ref.id], self.catalogue)
            for ref in refs
        ]


def to_campaign(campaign: StoredCampaign, catalogue: Catalogue) -> Campaign:
    return Campaign(id=to_id(Kind.CAMPAIGN, campaign.id), stored=campaign, catalogue=catalogue)


async def campaign_of(info: Info, identifier: ObjectId | None) -> Campaign | None:
    catalogue = await info.context.catalogue()
    campaign = None if identifier is None else catalogue.campaigns.get(identifier)
    return None if campaign is None else to_campaign(campaign, catalogue)


@strawberry.type
class CampaignQueries:
    @strawberry.field(description="One campaign; null where there is none.")
    async def campaign(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its identifier.")]
    ) -> Campaign | None:
        return await campaign_of(info, find_id(id, Kind.CAMPAIGN))

    @strawberry.field(description="The campaigns, by name.")
    async def campaigns(
        self, info: Info, first: First = 50, after: After = None, search: Search = None
    ) -> Connection[Campaign]:
        catalogue = await info.context.catalogue()
        found = by_name(catalogue.campaigns.values(), search)
        return named("campaigns", [to_campaign(campaign, catalogue) for campaign in found], first, after)
