"""An account's catalogue: its fields, groups, segments and settings as of one revision, kept in memory.

Owns how a definition's versions become the state that everything else reads, for the API (the newest revision) and for
the engine (the revision that the stream has reached) alike. Applying is idempotent: a revision that is known changes nothing.
Cost: memory grows with the number of definitions, some 2 kB for a segment; a change of a contact is judged by the
segments that look at what changed (`domain.rules.matcher`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from domain.audiences import Audience, Group, Segment
from domain.fields import Field, FieldRegistry, FieldType, LeapDay, Settings, Weekday, fold
from domain.rules.document import from_document, to_document
from domain.rules.matcher import Matcher
from domain.rules.tree import Rule
from domain.store.definitions import Definition, Kind


@dataclass(frozen=True, slots=True)
class Opened:
    """An audience came to be."""

    audience: Audience


@dataclass(frozen=True, slots=True)
class Redefined:
    """A segment's rule was edited."""

    before: Segment
    after: Segment


@dataclass(frozen=True, slots=True)
class Ended:
    """An audience was deleted."""

    audience: Audience


Effect = Opened | Redefined | Ended


class Catalogue:
    """What is defined in an account. Read by anybody, changed by `apply` alone."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.revision = 0
        self.settings = Settings()
        self.fields = FieldRegistry()
        self.groups: dict[ObjectId, Group] = {}
        self.segments: dict[ObjectId, Segment] = {}
        self.field_versions: dict[str, int] = {}
        self.settings_version = 0
        self._names: dict[tuple[Kind, str], ObjectId] = {}
        self._matcher: Matcher[ObjectId] = Matcher()

    def audience(self, identifier: ObjectId) -> Audience | None:
        return self.segments.get(identifier) or self.groups.get(identifier)

    def audiences(self) -> Iterable[Audience]:
        yield from self.groups.values()
        yield from self.segments.values()

    def named(self, kind: Kind, name: str) -> ObjectId | None:
        """Who has this name among its kind, after folding."""
        return self._names.get((kind, fold(name)))

    def moved(
        self, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
    ) -> list[tuple[ObjectId, bool]]:
        """(audience, whether it was joined) for each audience that a contact's change moves it into or out of."""
        moves = list(self._matcher.moved(before, after))
        old, new = _groups(before), _groups(after)
        if old != new:
            moves += [(group, True) for group in new - old if group in self.groups]
            moves += [(group, False) for group in old - new if group in self.groups]
        return moves

    def segments_of(self, contact: Mapping[str, Any]) -> list[Segment]:
        """The segments that a contact is in, by name."""
        found = [self.segments[identifier] for identifier in self._matcher.matching(contact)]
        return sorted(found, key=lambda segment: fold(segment.name))

    def groups_of(self, contact: Mapping[str, Any]) -> list[Group]:
        """The static groups that a contact is in, by name."""
        found = [self.groups[identifier] for identifier in _groups(contact) if identifier in self.groups]
        return sorted(found, key=lambda group: fold(group.name))

    def apply(self, definition: Definition) -> Effect | None:
        """Take in a version. What it did to an audience, where it did anything to one."""
        if definition.revision <= self.revision:
            return None
        self.revision = definition.revision
        match definition.kind:
            case Kind.FIELD:
                self._apply_field(definition)
                return None
            case Kind.SETTINGS:
                self.settings = read_settings(definition.body)
                self.settings_version = definition.version
                return None
            case Kind.GROUP:
                return self._apply_group(definition)
            case Kind.SEGMENT:
                return self._apply_segment(definition)

    def _apply_field(self, definition: Definition) -> None:
        key = str(definition.id)
        fields = {field.key: field for field in self.fields.values()}
        self.field_versions[key] = definition.version
        if definition.deleted:
            fields.pop(key, None)
        else:
            body = definition.body
            built_in = key in fields and fields[key].built_in
            fields[key] = Field(
                key=key,
                label=body["label"],
                type=FieldType(body["type"]),
                options=tuple(body["options"]),
                built_in=built_in,
            )
        self.fields = FieldRegistry(fields.values())

    def _apply_group(self, definition: Definition) -> Effect | None:
        identifier = _identifier(definition)
        known = self.groups.get(identifier)
        if definition.deleted:
            if known is None:
                return None
            del self.groups[identifier]
            self._names.pop((Kind.GROUP, fold(known.name)), None)
            return Ended(known)
        group = Group(
            id=identifier,
            name=definition.body["name"],
            description=definition.body["description"],
            version=definition.version,
            created=definition.at if known is None else known.created,
            updated=definition.at,
        )
        self.groups[identifier] = group
        self._rename(Kind.GROUP, known, group)
        return Opened(group) if known is None else None

    def _apply_segment(self, definition: Definition) -> Effect | None:
        identifier = _identifier(definition)
        known = self.segments.get(identifier)
        if definition.deleted:
            if known is None:
                return None
            del self.segments[identifier]
            self._names.pop((Kind.SEGMENT, fold(known.name)), None)
            self._matcher.drop(identifier)
            return Ended(known)
        segment = Segment(
            id=identifier,
            name=definition.body["name"],
            description=definition.body["description"],
            rule=from_document(definition.body["rule"]),
            version=definition.version,
            created=definition.at if known is None else known.created,
            updated=definition.at,
        )
        self.segments[identifier] = segment
        self._rename(Kind.SEGMENT, known, segment)
        if known is not None and known.rule == segment.rule:
            return None
        self._matcher.put(identifier, segment.rule)
        return Opened(segment) if known is None else Redefined(known, segment)

    def _rename(self, kind: Kind, before: Audience | None, after: Audience) -> None:
        if before is not None:
            self._names.pop((kind, fold(before.name)), None)
        self._names[kind, fold(after.name)] = after.id


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


def segment_body(name: str, description: str | None, rule: Rule) -> dict[str, Any]:
    """A segment as a definition's body: the rule as its tree, so that reading it needs neither parser nor fields."""
    return {"name": name, "description": description, "rule": to_document(rule)}


def field_body(field: Field) -> dict[str, Any]:
    """A field as a definition's body."""
    return {"label": field.label, "type": field.type.value, "options": list(field.options)}


def _groups(contact: Mapping[str, Any] | None) -> frozenset[ObjectId]:
    """As the database reads it: a lone identifier counts, and whatever else other programs may have written does not."""
    groups = None if contact is None else contact.get("groups")
    found = groups if isinstance(groups, list) else [groups]
    return frozenset(group for group in found if isinstance(group, ObjectId))


def _identifier(definition: Definition) -> ObjectId:
    if not isinstance(definition.id, ObjectId):
        raise TypeError("groups and segments have ObjectIds")
    return definition.id
