"""Audiences: named sets of contacts. A group's members are put in by people, a segment's are chosen by its rule.

Pure. Owns what the two are. Who is in one is decided by its criterion, which the catalogue knows: the rest of Shoal does not
ask which of them it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from domain.rules.tree import AudienceKind, AudienceRef, Carries, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A static group: contacts carry its identifier in `groups`."""

    id: ObjectId
    name: str
    description: str | None
    version: int
    created: datetime
    updated: datetime

    @property
    def ref(self) -> AudienceRef:
        return AudienceRef(kind=AudienceKind.GROUP, id=self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Why a segment follows its rule no more, and since which revision of the account's definitions.

    `fields` are keys that the rule reads and that are gone or of another type; `segments` are broken ones that it refers to.
    """

    revision: int
    fields: tuple[str, ...] = ()
    segments: tuple[ObjectId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A dynamic segment: whoever its rule matches, at every moment; a broken one: whoever it matched when it broke."""

    id: ObjectId
    name: str
    description: str | None
    rule: Rule
    rule_version: int
    """The version as of which the rule was last saved."""
    version: int
    created: datetime
    updated: datetime
    broken: Broken | None = None

    @property
    def ref(self) -> AudienceRef:
        return AudienceRef(kind=AudienceKind.SEGMENT, id=self.id)


Audience = Group | Segment

FROZEN = "frozen"
"""Where a contact lists the marks of the broken segments that it was in when they broke."""


def frozen_mark(segment: ObjectId, broken: Broken) -> str:
    """The mark that each member of a broken segment carries. No other breaking uses it again, not even of the same segment."""
    return f"{segment}:{broken.revision}"


def frozen_members(segment: ObjectId, broken: Broken) -> Carries:
    """The rule of a broken segment."""
    return Carries(path=FROZEN, value=frozen_mark(segment, broken))


def difference(of: Mapping[str, Any], without: Mapping[str, Any]) -> dict[str, Any]:
    """The query of what `of` selects and `without` does not. Conditions of `of` stay at top level, where indexes serve them."""
    return {**of, "$nor": [*of.get("$nor", ()), without]}
