"""Campaigns: the type, the queries that find them, and the mutations that save, send and end them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
from bson import ObjectId

from api.audiences import Audience, Node
from api.campaign_previews import CampaignPreview, preview
from api.campaign_progress import CampaignForecast, CampaignProgress, to_forecast, to_progress
from api.connections import MAX_FIRST, After, Connection, First, Search
from api.context import Info
from api.deliveries import Delivery, DeliveryState, deliveries_page
from api.fields import Field, to_field
from api.groups import required_name, to_group
from api.growth import SizeHistory, to_size_history
from api.ids import AUDIENCES, Kind, find_id, read_id, require_id, to_id
from api.listing import by_name, named
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from api.replies import Reply, ReplyState, replies_page
from api.segments import to_segment
from domain.campaign import Campaign as StoredCampaign
from domain.campaign import Channel as StoredChannel
from domain.campaign import Content
from domain.campaigns.editing import held_because
from domain.catalogue import Catalogue
from domain.errors import InvalidValue, LimitExceeded
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


_INCLUDE = "Groups and segments: contacts in any of them are reached. At least one."
_EXCLUDE = "Groups and segments: no contact in one of them is reached."
_ADDRESS = (
    "The key of the field in which the address stands that messages go to: of type email, phone or text. For mail it is `email` "
    "where nothing is said; for other channels nothing is wanted then. A contact without an address is left out, and counted."
)
_MESSAGE = (
    "The text, with placeholders for the contact's values: `{{first_name}}`, or `{{first_name|there}}` with what stands there "
    "for lack of a value. A contact to whom a value without such a text is missing is left out, and counted."
)
_SUBJECT = "The subject, one line, with placeholders as in the message. A mail must have one."
_ASKS = (
    "The key of the field that it asks for. Only contacts without a value in it are reached, and their replies are read as values "
    "of it."
)
_ONGOING = "Whether it goes to whoever joins later, too. Else it is finished when everybody there is has been sent it."


@strawberry.input(description="A campaign to be saved as a draft.")
class CreateCampaignInput:
    name: str = strawberry.field(description="Its name, unique among campaigns without regard to case.")
    include: list[strawberry.ID] = strawberry.field(description=_INCLUDE)
    message: str = strawberry.field(description=_MESSAGE)
    channel: Channel = strawberry.field(default=Channel.OUTBOX, description="How its messages leave.")
    exclude: list[strawberry.ID] = strawberry.field(default_factory=list, description=_EXCLUDE)
    description: str | None = strawberry.field(default=None, description="What it is for.")
    subject: str | None = strawberry.field(default=None, description=_SUBJECT)
    address_field: str | None = strawberry.field(default=None, description=_ADDRESS)
    asks: str | None = strawberry.field(default=None, description=_ASKS)
    ongoing: bool = strawberry.field(default=False, description=_ONGOING)
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.input(description="What is to change about a draft. What is left out stays as it is.")
class UpdateCampaignInput:
    id: strawberry.ID = strawberry.field(description="The campaign.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="Its new name.")
    include: list[strawberry.ID] | None = strawberry.field(default=strawberry.UNSET, description=_INCLUDE)
    exclude: list[strawberry.ID] | None = strawberry.field(default=strawberry.UNSET, description=_EXCLUDE)
    message: str | None = strawberry.field(default=strawberry.UNSET, description=_MESSAGE)
    channel: Channel | None = strawberry.field(
        default=strawberry.UNSET, description="How its messages leave."
    )
    description: str | None = strawberry.field(
        default=strawberry.UNSET, description="What it is for; null removes the description."
    )
    subject: str | None = strawberry.field(
        default=strawberry.UNSET, description=f"{_SUBJECT} Null removes it."
    )
    address_field: str | None = strawberry.field(
        default=strawberry.UNSET, description=f"{_ADDRESS} Null is as if nothing had been said."
    )
    asks: str | None = strawberry.field(default=strawberry.UNSET, description=f"{_ASKS} Null: for none.")
    ongoing: bool | None = strawberry.field(default=strawberry.UNSET, description=_ONGOING)
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.input(description="A campaign that something is to be done with.")
class CampaignInput:
    id: strawberry.ID = strawberry.field(description="The campaign.")
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.input(description="What is to be sent again of a campaign.")
class ResendDeliveriesInput:
    campaign: strawberry.ID = strawberry.field(description="The campaign.")
    deliveries: list[strawberry.ID] | None = strawberry.field(
        default=None,
        description="Which deliveries; left out: all that failed, or whose contacts could not be reached.",
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `resendDeliveries`.")
class ResendDeliveriesPayload(Payload):
    resent: int | None = strawberry.field(
        description="How many are tried again; null where nothing was done."
    )


@strawberry.type(description="What became of a campaign.")
class CampaignPayload(Payload):
    campaign: Campaign | None = strawberry.field(
        description="The campaign as it is now; null where nothing was done."
    )


@strawberry.type(description="What became of `deleteCampaign`.")
class DeleteCampaignPayload(Payload):
    deleted_id: strawberry.ID | None = strawberry.field(
        description="The identifier of the campaign that was deleted; null where nothing was done."
    )


@strawberry.type
class CampaignMutations:
    @strawberry.mutation(
        description="Save a campaign as a draft. Nothing is sent. Errors: `INVALID_VALUE`, `NAME_TAKEN`, `UNKNOWN_FIELD`, "
        "`INVALID_TEMPLATE`, `UNKNOWN_AUDIENCE`, `BROKEN_SEGMENT`, `LIMIT_EXCEEDED`."
    )
    async def create_campaign(self, info: Info, input: Given[CreateCampaignInput]) -> CampaignPayload:
        content = Content(
            name=input.name,
            description=input.description,
            include=(),
            exclude=(),
            channel=StoredChannel(str(input.channel.value)),
            address=input.address_field,
            subject=input.subject,
            message=input.message,
            asks=input.asks,
            ongoing=input.ongoing,
        )

        async def act(identifier: ObjectId) -> StoredCampaign:
            wanted = replace(
                content, include=_refs(input.include, "include"), exclude=_refs(input.exclude, "exclude")
            )
            return await info.context.account.campaigns.create(identifier, wanted)

        return await _outcome(info, input, act)

    @strawberry.mutation(
        description="Edit a draft. Errors: as `createCampaign`, `NOT_FOUND`, `INVALID_STATE` where it was launched."
    )
    async def update_campaign(self, info: Info, input: Given[UpdateCampaignInput]) -> CampaignPayload:
        async def act(_: ObjectId) -> StoredCampaign:
            changes = _changes(input)
            return await info.context.account.campaigns.update(
                require_id(input.id, Kind.CAMPAIGN), lambda content: replace(content, **changes)
            )

        return await _outcome(info, input, act)

    @strawberry.mutation(
        description="Send it: to everybody in its audience once, whatever happens to the servers meanwhile. Errors: `NOT_FOUND`, "
        "`INVALID_STATE`, `CHANNEL_NOT_READY`, `BROKEN_SEGMENT`."
    )
    async def launch_campaign(self, info: Info, input: Given[CampaignInput]) -> CampaignPayload:
        return await _step(info, input, info.context.account.campaigns.launch)

    @strawberry.mutation(
        description="Send nothing more for now. What is on its way arrives. Errors: `NOT_FOUND`, `INVALID_STATE`."
    )
    async def pause_campaign(self, info: Info, input: Given[CampaignInput]) -> CampaignPayload:
        return await _step(info, input, info.context.account.campaigns.pause)

    @strawberry.mutation(
        description="Go on with a campaign that was paused, or that lost the field which it asks for. Who joined meanwhile is not "
        "forgotten. Errors: `NOT_FOUND`, `INVALID_STATE`, `UNKNOWN_FIELD`, `BROKEN_SEGMENT`."
    )
    async def resume_campaign(self, info: Info, input: Given[CampaignInput]) -> CampaignPayload:
        return await _step(info, input, info.context.account.campaigns.resume)

    @strawberry.mutation(
        description="Send nothing more, for ever. What is on its way arrives. Errors: `NOT_FOUND`, `INVALID_STATE`."
    )
    async def cancel_campaign(self, info: Info, input: Given[CampaignInput]) -> CampaignPayload:
        return await _step(info, input, info.context.account.campaigns.cancel)

    @strawberry.mutation(
        description="Have deliveries tried again from the beginning that failed, or whose contacts could not be reached. Errors: "
        "`NOT_FOUND`, `INVALID_STATE`, `LIMIT_EXCEEDED`."
    )
    async def resend_deliveries(
        self, info: Info, input: Given[ResendDeliveriesInput]
    ) -> ResendDeliveriesPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            identifier = require_id(input.campaign, Kind.CAMPAIGN, path=("campaign",))
            given = input.deliveries
            if given is not None and len(given) > MAX_FIRST:
                raise LimitExceeded(f"{MAX_FIRST} at once at most.", path=("deliveries",))
            wanted = None
            if given is not None:
                wanted = [
                    require_id(each, Kind.DELIVERY, path=("deliveries", index))
                    for index, each in enumerate(given)
                ]
            return {"resent": await info.context.account.runs.send_again(identifier, wanted)}

        outcome = await once(info, input, act)
        return ResendDeliveriesPayload(resent=outcome.made.get("resent"), errors=outcome.errors)

    @strawberry.mutation(
        description="Delete a draft, or a campaign that is finished or was cancelled, with the record of what it sent. What was "
        "replied stays. Errors: `NOT_FOUND`, `INVALID_STATE`."
    )
    async def delete_campaign(self, info: Info, input: Given[CampaignInput]) -> DeleteCampaignPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            identifier = require_id(input.id, Kind.CAMPAIGN)
            await info.context.account.campaigns.delete(identifier)
            return {"campaign": identifier}

        outcome = await once(info, input, act)
        deleted = outcome.made.get("campaign")
        return DeleteCampaignPayload(
            deleted_id=None if deleted is None else to_id(Kind.CAMPAIGN, deleted), errors=outcome.errors
        )


async def _step(
    info: Info, input: CampaignInput, take: Callable[[ObjectId], Awaitable[StoredCampaign]]
) -> CampaignPayload:
    async def act(_: ObjectId) -> StoredCampaign:
        return await take(require_id(input.id, Kind.CAMPAIGN))

    return await _outcome(info, input, act)


async def _outcome(
    info: Info, input: Any, act: Callable[[ObjectId], Awaitable[StoredCampaign]]
) -> CampaignPayload:
    async def plain(identifier: ObjectId) -> dict[str, Any]:
        return {"campaign": (await act(identifier)).id}

    outcome = await once(info, input, plain)
    return CampaignPayload(
        campaign=await campaign_of(info, outcome.made.get("campaign")), errors=outcome.errors
    )


def _changes(given: UpdateCampaignInput) -> dict[str, Any]:
    """What is to be replaced of a campaign's content."""
    changes: dict[str, Any] = {}
    for name in ("name", "include", "message", "channel", "ongoing"):
        if getattr(given, name) is None:
            raise InvalidValue("A campaign has one; it cannot be removed.", path=(name,))
    if given.name is not strawberry.UNSET:
        changes["name"] = required_name(given.name)
    for name in ("include", "exclude"):
        audiences = getattr(given, name)
        if audiences is not strawberry.UNSET:
            changes[name] = _refs(audiences or [], name)
    if given.channel is not strawberry.UNSET and given.channel is not None:
        changes["channel"] = StoredChannel(str(given.channel.value))
    for name, stored in (
        ("message", "message"),
        ("description", "description"),
        ("subject", "subject"),
        ("address_field", "address"),
        ("asks", "asks"),
        ("ongoing", "ongoing"),
    ):
        value = getattr(given, name)
        if value is not strawberry.UNSET:
            changes[stored] = value
    return changes


def _refs(identifiers: list[strawberry.ID], path: str) -> tuple[AudienceRef, ...]:
    """What groups and segments these are. Raises `NotFound` for what is none."""
    refs = []
    for index, text in enumerate(identifiers):
        identifier = require_id(text, *AUDIENCES, path=(path, index))
        known = read_id(text)
        kind = AudienceKind.GROUP if known is not None and known[0] is Kind.GROUP else AudienceKind.SEGMENT
        refs.append(AudienceRef(kind=kind, id=identifier))
    return tuple(refs)
