"""Campaigns: saved as drafts, edited, launched, paused, resumed, cancelled and deleted.

Owns what may be saved and which step may follow which. A campaign is a definition like a segment, in versions that only get
more: so a step is decided on exactly what precedes it, however many try at once; nothing that a campaign refers to can be
deleted under it; and the engine follows its audience. How far it has come is in its definition, too, what it has sent is not.
Launching twice is launching once. Held by `tests/domain/campaigns/test_editing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from bson import ObjectId

from domain.bodies import campaign_body
from domain.breaking import why_broken
from domain.campaign import Campaign, CampaignState, Channel, Content, reached
from domain.campaigns.channels import Channels
from domain.campaigns.template import Template, keys_read, parse_template
from domain.catalogue import Catalogue
from domain.definitions import Definitions, Draft, checked_description, checked_name, now
from domain.errors import InvalidState, InvalidValue, LimitExceeded, NotFound, ShoalError
from domain.fields import Field, FieldType
from domain.referring import check_rule
from domain.rules.tree import AudienceRef, Rule, paths_read
from domain.segments import check_name_free
from domain.store.definitions import Kind
from domain.store.store import Store

MAX_CAMPAIGNS = 1_000
MOST_AUDIENCES = 100
LONGEST_SUBJECT = 200

_STEPS: dict[CampaignState, frozenset[CampaignState]] = {
    CampaignState.DRAFT: frozenset(),
    CampaignState.RUNNING: frozenset({CampaignState.DRAFT, CampaignState.PAUSED}),
    CampaignState.PAUSED: frozenset({CampaignState.RUNNING}),
    CampaignState.FINISHED: frozenset({CampaignState.RUNNING}),
    CampaignState.CANCELLED: frozenset({CampaignState.RUNNING, CampaignState.PAUSED}),
}
"""From which states each can be come to."""

Change = Callable[[Content], Content]
"""Makes what is to be saved of what is there."""


class Campaigns:
    """One account's campaigns. `begun` tells whoever sends that there is something to do."""

    def __init__(
        self, store: Store, definitions: Definitions, channels: Channels, begun: Callable[[], None]
    ) -> None:
        self._store = store
        self._channels = channels
        self._definitions = definitions
        self._runs = store.runs(definitions.known.account)
        self._begun = begun

    async def create(self, identifier: ObjectId, content: Content) -> Campaign:
        """Save a draft under `identifier`; saving it again under the same one changes nothing.

        Raises `InvalidValue`, `NameTaken`, `LimitExceeded`, `UnknownField`, `UnknownAudience`, `InvalidTemplate`, `BrokenSegment`.
        """
        wanted = _checked(content)

        def decide(catalogue: Catalogue) -> Draft | None:
            if identifier in catalogue.campaigns:
                return None
            if len(catalogue.campaigns) >= MAX_CAMPAIGNS:
                raise LimitExceeded(f"An account has {MAX_CAMPAIGNS:,} campaigns at most. Delete one first.")
            check_name_free(catalogue, Kind.CAMPAIGN, wanted.name, identifier)
            rule = _rule(catalogue, identifier, wanted)
            body = campaign_body(wanted, rule, 1, state=CampaignState.DRAFT, launched=None)
            return Draft(kind=Kind.CAMPAIGN, id=identifier, version=1, body=body)

        await self._prepare(wanted)
        return require_campaign(await self._definitions.edit(decide), identifier)

    async def update(self, identifier: ObjectId, change: Change) -> Campaign:
        """Change a draft. Raises `NotFound`, `InvalidState` where it was launched, and as `create` does."""
        known = require_campaign(await self._definitions.current(), identifier)
        await self._prepare(_checked(change(known.content)))

        def decide(catalogue: Catalogue) -> Draft | None:
            campaign = require_campaign(catalogue, identifier)
            if campaign.state is not CampaignState.DRAFT:
                raise InvalidState(
                    "A campaign that was launched stays as it was sent. Cancel it and make another.",
                    path=("id",),
                )
            wanted = _checked(change(campaign.content))
            check_name_free(catalogue, Kind.CAMPAIGN, wanted.name, identifier)
            rule = _rule(catalogue, identifier, wanted)
            if wanted == campaign.content and rule == campaign.audience.rule and not campaign.audience.broken:
                return None
            return _next(campaign, wanted, rule, CampaignState.DRAFT, launched=None)

        return require_campaign(await self._definitions.edit(decide), identifier)

    async def delete(self, identifier: ObjectId) -> None:
        """End a draft, or a campaign that has come to its end; what it sent is removed in the background, replies stay.

        Raises `NotFound`, `InvalidState`.
        """

        def decide(catalogue: Catalogue) -> Draft:
            campaign = require_campaign(catalogue, identifier)
            if campaign.state in (CampaignState.RUNNING, CampaignState.PAUSED):
                raise InvalidState("The campaign is being sent. Cancel it first.", path=("id",))
            return Draft(kind=Kind.CAMPAIGN, id=identifier, version=campaign.version + 1, deleted=True)

        await self._definitions.edit(decide)
        await self._runs.update_one({"_id": identifier}, {"$set": {"open": True}})
        self._begun()

    async def _prepare(self, content: Content) -> None:
        """Make the indexes that the rule wants, before the engine reads by it."""
        catalogue = await self._definitions.current()
        try:
            followed = catalogue.criterion_of(reached(content, asked_field(catalogue, content))).rule
        except ShoalError:
            # Refused when the edit is decided, which says where it goes wrong.
            return
        await self._store.prepare_attributes(paths_read(followed))

    # ---- steps -----------------------------------------------------------------------------------------------------

    async def launch(self, identifier: ObjectId) -> Campaign:
        """Send it. Raises `NotFound`, `InvalidState`, `ChannelNotReady`, and as `create` does for what changed since."""
        catalogue = await self._definitions.current()
        known = require_campaign(catalogue, identifier)
        if known.state is not CampaignState.DRAFT:
            return await self._step(identifier, CampaignState.RUNNING, from_=CampaignState.DRAFT)
        _rule(catalogue, identifier, known.content)
        await self._channels.require(known.content.channel)
        # Before the step, so that no campaign runs which nobody knows to send; of one that does not run nothing is sent.
        await self._runs.update_one({"_id": identifier}, {"$set": {"open": True}}, upsert=True)
        campaign = await self._step(identifier, CampaignState.RUNNING, from_=CampaignState.DRAFT)
        self._begun()
        return campaign

    async def pause(self, identifier: ObjectId) -> Campaign:
        """Send nothing more for now; who joins meanwhile is not forgotten. Raises `NotFound`, `InvalidState`."""
        return await self._step(identifier, CampaignState.PAUSED)

    async def resume(self, identifier: ObjectId) -> Campaign:
        """Go on. A campaign whose field was deleted or given another type reads it again as it is now.

        Raises `NotFound`, `InvalidState`, `UnknownField`, `BrokenSegment`.
        """
        campaign = await self._step(identifier, CampaignState.RUNNING, from_=CampaignState.PAUSED)
        self._begun()
        return campaign

    async def finish(self, identifier: ObjectId) -> None:
        """Everything has been sent. Nothing where it runs no more."""

        def decide(catalogue: Catalogue) -> Draft | None:
            campaign = catalogue.campaigns.get(identifier)
            if campaign is None or campaign.state is not CampaignState.RUNNING:
                return None
            return _next(campaign, campaign.content, None, CampaignState.FINISHED, launched=campaign.launched)

        await self._definitions.edit(decide)

    async def cancel(self, identifier: ObjectId) -> Campaign:
        """Send nothing more, for ever. Raises `NotFound`, `InvalidState`."""
        return await self._step(identifier, CampaignState.CANCELLED)

    async def _step(
        self, identifier: ObjectId, to: CampaignState, *, from_: CampaignState | None = None
    ) -> Campaign:
        def decide(catalogue: Catalogue) -> Draft | None:
            campaign = require_campaign(catalogue, identifier)
            launched = campaign.launched
            again = to is CampaignState.RUNNING and campaign.audience.broken is not None
            if campaign.state is to and not again:
                return None
            allowed = _STEPS[to] if from_ is None else {from_} | ({to} if again else set())
            if campaign.state not in allowed:
                raise InvalidState(
                    f"The campaign is {_SAID[campaign.state]}, so this cannot be done.", path=("id",)
                )
            rule = None
            if to is CampaignState.RUNNING:
                rule = _rule(catalogue, identifier, campaign.content)
                launched = launched or now()
            return _next(campaign, campaign.content, rule, to, launched=launched)

        return require_campaign(await self._definitions.edit(decide), identifier)


_SAID = {
    CampaignState.DRAFT: "a draft",
    CampaignState.RUNNING: "running",
    CampaignState.PAUSED: "paused",
    CampaignState.FINISHED: "finished",
    CampaignState.CANCELLED: "cancelled",
}


def require_campaign(catalogue: Catalogue, identifier: ObjectId) -> Campaign:
    """Raises `NotFound`."""
    campaign = catalogue.campaigns.get(identifier)
    if campaign is None:
        raise NotFound("There is no such campaign. It may have been deleted.", path=("id",))
    return campaign


def templates(catalogue: Catalogue, content: Content) -> tuple[Template, Template]:
    """The subject (empty where there is none) and the message, by the fields as they are now. Raises as `parse_template` does."""
    try:
        subject = parse_template(content.subject or "", catalogue.fields)
    except ShoalError as error:
        raise error.at("subject") from None
    try:
        message = parse_template(content.message, catalogue.fields)
    except ShoalError as error:
        raise error.at("message") from None
    return subject, message


def held_because(catalogue: Catalogue, campaign: Campaign) -> str | None:
    """Why nothing of it is sent although it runs; None where nothing stands in the way."""
    if campaign.audience.broken is not None:
        inner = catalogue.broken_among(campaign.audience.rule)
        if inner:
            first = inner[0]
            assert first.broken is not None
            return why_broken(catalogue, first, first.broken).message
        lost = ", ".join(f"“{key}”" for key in campaign.audience.broken.fields)
        return (
            f"The field {lost}, which the campaign asks for, was deleted or has another type now."
            " Resume the campaign to ask for it as it is, or cancel it."
        )
    try:
        templates(catalogue, campaign.content)
    except ShoalError as error:
        return f"The message cannot be made any more: {error.message}"
    if campaign.content.address is not None and campaign.content.address not in catalogue.fields:
        return f"The field “{campaign.content.address}”, in which addresses stand, was deleted."
    return None


def asked_field(catalogue: Catalogue, content: Content) -> Field | None:
    """The field that is asked for. Raises `UnknownField`."""
    if content.asks is None:
        return None
    try:
        return catalogue.fields.require(content.asks)
    except ShoalError as error:
        raise error.at("asks") from None


def _checked(content: Content) -> Content:
    """What can be told without a catalogue. Raises `InvalidValue`, `LimitExceeded`."""
    subject = None if content.subject is None or not content.subject.strip() else content.subject.strip()
    if subject is not None and (len(subject) > LONGEST_SUBJECT or "\n" in subject or "\r" in subject):
        raise InvalidValue(
            f"A subject is one line of {LONGEST_SUBJECT} characters at most.", path=("subject",)
        )
    if content.channel is Channel.SMTP and subject is None:
        raise InvalidValue("A mail has a subject.", path=("subject",))
    if not content.message.strip():
        raise InvalidValue("A message is wanted.", path=("message",))
    if not content.include:
        raise InvalidValue("At least one group or segment to be reached is wanted.", path=("include",))
    address = content.address
    if content.channel is Channel.SMTP and address is None:
        address = "email"
    return replace(
        content,
        name=checked_name(content.name),
        description=checked_description(content.description),
        subject=subject,
        address=address,
        include=_each_once(content.include, "include"),
        exclude=_each_once(content.exclude, "exclude"),
    )


def _each_once(audiences: Sequence[AudienceRef], path: str) -> tuple[AudienceRef, ...]:
    if len(audiences) > MOST_AUDIENCES:
        raise LimitExceeded(f"{MOST_AUDIENCES} groups and segments at most can stand here.", path=(path,))
    return tuple(dict.fromkeys(audiences))


def _rule(catalogue: Catalogue, identifier: ObjectId, content: Content) -> Rule:
    """The rule of whom it reaches; everything else that must be there has been looked at by then."""
    subject, message = templates(catalogue, content)
    address = content.address
    if address is not None:
        field = catalogue.fields.get(address)
        types = (
            (FieldType.EMAIL,)
            if content.channel is Channel.SMTP
            else (FieldType.EMAIL, FieldType.PHONE, FieldType.TEXT)
        )
        if field is None or field.type not in types:
            raise InvalidValue(
                f"“{address[:100]}” is no field that addresses can stand in: one of type {' or '.join(types)} is wanted.",
                path=("addressField",),
            )
    asked = asked_field(catalogue, content)
    if asked is not None and asked.key in keys_read(subject) | keys_read(message):
        raise InvalidValue(
            f"Whom this reaches has no value in “{asked.key}”, for that is what it asks for: it cannot stand in the text.",
            path=("message",),
        )
    rule = reached(content, asked)
    try:
        check_rule(catalogue, identifier, content.name, rule)
    except ShoalError as error:
        error.path = ("include", *error.path[1:])
        raise
    return rule


def _next(
    campaign: Campaign,
    content: Content,
    rule: Rule | None,
    state: CampaignState,
    *,
    launched: datetime | None,
) -> Draft:
    """Its next version. The rule is saved anew where it is another one, or mends what broke."""
    version = campaign.version + 1
    audience = campaign.audience
    saved = rule is not None and (rule != audience.rule or audience.broken is not None)
    body = campaign_body(
        content,
        audience.rule if rule is None else rule,
        version if saved else audience.rule_version,
        state=state,
        launched=launched,
    )
    return Draft(kind=Kind.CAMPAIGN, id=campaign.id, version=version, body=body)
