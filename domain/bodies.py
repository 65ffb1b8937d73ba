"""The bodies of definitions: what is stored of fields, groups, segments, campaigns and settings, written and read in one place.

Held by `tests/domain/test_catalogue.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from domain.audiences import Segment
from domain.campaign import CampaignState, Content, content_body
from domain.fields import Field, LeapDay, Settings, Weekday
from domain.rules.document import from_document, to_document
from domain.rules.tree import Rule
from domain.store.definitions import Definition


def read_settings(body: Mapping[str, Any]) -> Settings:
    return Settings(
        time_zone=body["time_zone"],
        region=body["region"],
        first_weekday=Weekday(body["first_weekday"]),
        leap_day=LeapDay(body["leap_day"]),
    )


def group_body(name: str, description: str | None) -> dict[str, Any]:
    """A group as a definition's body."""
    return {"name": name, "description": description}


def segment_body(name: str, description: str | None, rule: Rule, rule_version: int) -> dict[str, Any]:
    """A segment as a definition's body: the rule as its tree, so that reading it needs neither parser nor fields.

    `rule_version` is the segment's version as of which the rule was last saved: saving the very rule again mends what broke.
    """
    return {
        "name": name,
        "description": description,
        "rule": to_document(rule),
        "rule_version": rule_version,
    }


def campaign_body(
    content: Content, rule: Rule, rule_version: int, *, state: CampaignState, launched: datetime | None
) -> dict[str, Any]:
    """A campaign as a definition's body: what people say of it, the rule that follows from that, and how far it has come."""
    return {
        **content_body(content),
        "rule": to_document(rule),
        "rule_version": rule_version,
        "state": state.value,
        "launched": launched,
    }


def field_body(field: Field) -> dict[str, Any]:
    """A field as a definition's body."""
    return {"label": field.label, "type": field.type.value, "options": list(field.options)}


def read_ruled(definition: Definition, known: Segment | None) -> Segment:
    """The segment of a definition, or the audience of a campaign's; `known` is what it was before."""
    return Segment(
        id=audience_id(definition),
        name=definition.body["name"],
        description=definition.body["description"],
        rule=from_document(definition.body["rule"]),
        rule_version=definition.body["rule_version"],
        version=definition.version,
        created=definition.at if known is None else known.created,
        updated=definition.at,
        broken=None if known is None else known.broken,
    )


def audience_id(definition: Definition) -> ObjectId:
    """Of what is none, or a field: a `TypeError`."""
    if not isinstance(definition.id, ObjectId):
        raise TypeError("groups, segments and campaigns have ObjectIds")
    return definition.id
