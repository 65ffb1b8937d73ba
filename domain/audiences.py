"""Audiences: named sets of contacts. A group's members are put in by people, a segment's are chosen by its rule.

Pure. Owns what the two have in common: both are read as a query over contacts and as a predicate on one contact, and the
rest of Shoal does not ask which of them it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from domain.rules.predicate import to_predicate
from domain.rules.query import to_query
from domain.rules.tree import Rule

Predicate = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A static group: contacts carry its identifier in `groups`."""

    id: ObjectId
    name: str
    description: str | None
    version: int
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A dynamic segment: whoever its rule matches, at every moment."""

    id: ObjectId
    name: str
    description: str | None
    rule: Rule
    version: int
    created: datetime
    updated: datetime


Audience = Group | Segment


def members_query(audience: Audience) -> dict[str, Any]:
    """Who is in: a query document over contacts, without the account."""
    match audience:
        case Group():
            return {"groups": audience.id}
        case Segment():
            return to_query(audience.rule)


def is_member(audience: Audience) -> Predicate:
    """Whether one contact is in: the same, as a predicate on its document."""
    match audience:
        case Group():
            identifier = audience.id
            return lambda contact: _has(contact.get("groups"), identifier)
        case Segment():
            return to_predicate(audience.rule)


def _has(groups: Any, group: ObjectId) -> bool:
    return group in groups if isinstance(groups, list) else bool(groups == group)


def difference(of: dict[str, Any], without: dict[str, Any]) -> dict[str, Any]:
    """The query of what `of` selects and `without` does not. Conditions of `of` stay at top level, where indexes serve them."""
    return {**of, "$nor": [*of.get("$nor", ()), without]}
