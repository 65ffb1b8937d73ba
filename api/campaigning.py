"""Campaigning: the mutations that save campaigns, send them, hold them and end them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import strawberry
from bson import ObjectId

from api.campaigns import Campaign, Channel, campaign_of
from api.connections import MAX_FIRST
from api.context import Info
from api.groups import required_name
from api.ids import AUDIENCES, Kind, read_id, require_id, to_id
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from domain.campaign import Campaign as StoredCampaign
from domain.campaign import Channel as StoredChannel
from domain.campaign import Content
from domain.errors import InvalidValue, LimitExceeded
from domain.rules.tree import AudienceKind, AudienceRef

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
