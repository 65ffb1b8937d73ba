"""A campaign: a message to an audience of its own, and the field that it asks for.

Pure. Owns what a campaign is, and by which rule it reaches contacts: whoever is in any of some audiences and in none of others,
and, where it asks for a field, has no value there yet. So its audience is one like any other: it changes by itself, it breaks with
the segments that it refers to, and a campaign that asks empties it. Held by `tests/domain/campaigns/test_editing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bson import ObjectId

from domain.audiences import Segment
from domain.fields import Field
from domain.rules.operators import Operator
from domain.rules.tree import (
    AudienceKind,
    AudienceRef,
    Condition,
    MemberOf,
    Quantifier,
    Rule,
    all_of,
    field_subject,
)


class CampaignState(StrEnum):
    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Channel(StrEnum):
    """How messages leave: kept here to be read, sent to a web address, or as mail."""

    OUTBOX = "outbox"
    WEBHOOK = "webhook"
    SMTP = "smtp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What people say of a campaign. `address` is the field that the channel's address stands in, `asks` the one to be filled."""

    name: str
    description: str | None
    include: tuple[AudienceRef, ...]
    exclude: tuple[AudienceRef, ...]
    channel: Channel
    address: str | None
    subject: str | None
    message: str
    asks: str | None
    ongoing: bool
    """Whether it goes to whoever joins its audience later, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """`audience` is whom it reaches: it bears the campaign's identifier, and is no segment of the account's."""

    id: ObjectId
    content: Content
    state: CampaignState
    audience: Segment
    version: int
    created: datetime
    updated: datetime
    launched: datetime | None

    @property
    def name(self) -> str:
        return self.content.name


def reached(content: Content, asked: Field | None) -> Rule:
    """The rule of whom a campaign reaches."""
    parts = [included(content)]
    if content.exclude:
        parts.append(MemberOf(quantifier=Quantifier.NONE, audiences=content.exclude))
    if asked is not None:
        parts.append(lacking(asked))
    return all_of(parts)


def included(content: Content) -> Rule:
    return MemberOf(quantifier=Quantifier.ANY, audiences=content.include)


def lacking(field: Field) -> Rule:
    """Has no value in the field."""
    return Condition(subject=field_subject(field.key, field.type), operator=Operator.IS_EMPTY)


def content_body(content: Content) -> dict[str, Any]:
    """As a definition's body."""
    return {
        "name": content.name,
        "description": content.description,
        "include": [[ref.kind.value, ref.id] for ref in content.include],
        "exclude": [[ref.kind.value, ref.id] for ref in content.exclude],
        "channel": content.channel.value,
        "address": content.address,
        "subject": content.subject,
        "message": content.message,
        "asks": content.asks,
        "ongoing": content.ongoing,
    }


def read_content(body: Mapping[str, Any]) -> Content:
    return Content(
        name=body["name"],
        description=body["description"],
        include=_refs(body["include"]),
        exclude=_refs(body["exclude"]),
        channel=Channel(body["channel"]),
        address=body["address"],
        subject=body["subject"],
        message=body["message"],
        asks=body["asks"],
        ongoing=body["ongoing"],
    )


def _refs(stored: Sequence[Sequence[Any]]) -> tuple[AudienceRef, ...]:
    return tuple(AudienceRef(kind=AudienceKind(kind), id=identifier) for kind, identifier in stored)
