"""An account's catalogue: its fields, groups, segments and settings as of one revision, kept in memory.

Owns how a definition's versions become the state that everything else reads, for the API (the newest revision) and for
the engine (the revision that the stream has reached) alike: who is in an audience (its criterion), which segments depend on
which, and which are broken. Applying is idempotent: a revision that is known changes nothing. Held by
`tests/domain/test_catalogue.py`.

Cost: memory grows with the number of definitions, some 2 kB for a segment; a change of a contact is judged by the
audiences that look at what changed (`domain.rules.matcher`); an edit settles the segment and those that refer to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from graphlib import TopologicalSorter
from typing import Any

from bson import ObjectId

from domain.audiences import Audience, Broken, Group, Segment, frozen_mark, frozen_members
from domain.bodies import audience_id, read_ruled, read_settings
from domain.campaign import Campaign, CampaignState, read_content
from domain.effects import Broke, Effect, Ended, Opened, Redefined
from domain.errors import BrokenSegment, NotFound, UnknownAudience
from domain.fields import Field, FieldRegistry, FieldType, Settings, fold
from domain.rules.criterion import Criterion
from domain.rules.matcher import Matcher
from domain.rules.references import carrying, follow, referred
from domain.rules.tree import AudienceKind, AudienceRef, Rule, fields_used
from domain.store.definitions import Definition, Kind
from domain.store.log import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Retyping:
    """A field got another type: the last time that it did, and as of which of its versions."""

    key: str
    version: int
    before: FieldType
    after: FieldType
    at: datetime


class Catalogue:
    """What is defined in an account. Read by anybody, changed by `apply` alone."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.revision = 0
        self.settings = Settings()
        self.fields = FieldRegistry()
        self.groups: dict[ObjectId, Group] = {}
        self.segments: dict[ObjectId, Segment] = {}
        self.campaigns: dict[ObjectId, Campaign] = {}
        self.ruled: dict[ObjectId, Segment] = {}
        """Whatever a rule decides: the segments, and the audiences of campaigns."""
        self.field_versions: dict[str, int] = {}
        self.retyped: dict[str, Retyping] = {}
        """Of each field that is there and had another type before: how it came to the one that it has."""
        self.settings_version = 0
        self.moving: dict[ObjectId, Criterion] = {}
        """The criteria of the audiences whose members change by the passing of time."""
        self.broken: set[ObjectId] = set()
        """The segments that are broken."""
        self.spent_marks: dict[str, ObjectId] = {}
        """Marks of frozen members by which their segments go no more, because they were mended or deleted."""
        self._names: dict[tuple[Kind, str], ObjectId] = {}
        self._criteria: dict[ObjectId, Criterion] = {}
        self._matcher: Matcher[ObjectId] = Matcher()
        self._referrers: dict[ObjectId, set[ObjectId]] = {}
        self._lost_fields: dict[ObjectId, tuple[str, ...]] = {}

    # ---- reading ---------------------------------------------------------------------------------------------------

    def audience(self, identifier: ObjectId) -> Audience | None:
        return self.ruled.get(identifier) or self.groups.get(identifier)

    def audiences(self) -> Iterable[Audience]:
        yield from self.groups.values()
        yield from self.ruled.values()

    def named(self, kind: Kind, name: str) -> ObjectId | None:
        """Who has this name among its kind, after folding."""
        return self._names.get((kind, fold(name)))

    def name_of(self, ref: AudienceRef) -> str:
        """The name of what a rule refers to. `KeyError` where it is not here, which no saved rule can bring about."""
        return (self.groups if ref.kind is AudienceKind.GROUP else self.segments)[ref.id].name

    def criterion(self, identifier: ObjectId) -> Criterion:
        """What decides who is in this audience. Raises `NotFound`."""
        criterion = self._criteria.get(identifier)
        if criterion is None:
            raise NotFound("There is no such group or segment. It may have been deleted.")
        return criterion

    def criterion_of(self, rule: Rule) -> Criterion:
        """What a rule would decide by that is not saved, or not yet.

        Raises `LimitExceeded`, `BrokenSegment`, and `UnknownAudience` where a segment was deleted since the rule was built.
        """
        return Criterion(rule=follow(rule, self._followed), settings=self.settings)

    def as_if(self, identifier: ObjectId, rule: Rule) -> dict[ObjectId, Criterion]:
        """By what the segment, and then those that refer to it, would decide if it had this rule.

        Those that would be broken all the same are left out. Raises as `criterion_of` does.
        """
        decided: dict[ObjectId, Criterion] = {}

        def followed(inner: ObjectId) -> Rule:
            return decided[inner].rule if inner in decided else self._followed(inner)

        for each in self.with_dependants([identifier]):
            wanted = rule if each == identifier else self.ruled[each].rule
            still_broken = {inner.id for inner in self.broken_among(wanted)} - decided.keys()
            if each == identifier or not (still_broken or each in self._lost_fields):
                decided[each] = Criterion(rule=follow(wanted, followed), settings=self.settings)
        return decided

    def referrers(self, identifier: ObjectId) -> list[Segment]:
        """The segments, and the audiences of campaigns, whose rules name this audience, by name."""
        return self._by_name(self._referrers.get(identifier, ()))

    def users(self, key: str) -> list[Segment]:
        """The segments, and the audiences of campaigns, whose rules read this field themselves, by name."""
        return self._by_name(
            identifier for identifier, segment in self.ruled.items() if key in fields_used(segment.rule)
        )

    def with_dependants(self, identifiers: Iterable[ObjectId]) -> list[ObjectId]:
        """These segments and all that refer to them, directly or through others; what is referred to comes first."""
        found: dict[ObjectId, set[ObjectId]] = {}
        waiting = list(identifiers)
        while waiting:
            identifier = waiting.pop()
            if identifier not in found:
                found[identifier] = {ref.id for ref in referred(self.ruled[identifier].rule)}
                waiting += self._referrers.get(identifier, ())
        order = TopologicalSorter({each: inner & found.keys() for each, inner in found.items()})
        return list(order.static_order())

    def moved(
        self, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, instant: datetime
    ) -> list[tuple[ObjectId, bool]]:
        """(audience, whether it was joined) for each audience that a contact's change at the instant moves it into or out of."""
        return self._matcher.moved(before, after, instant)

    def segments_of(self, contact: Mapping[str, Any], instant: datetime) -> list[Segment]:
        """The segments that a contact is in at the instant, by name."""
        matching = self._matcher.matching(contact, instant)
        return self._by_name(identifier for identifier in matching if identifier in self.segments)

    def groups_of(self, contact: Mapping[str, Any]) -> list[Group]:
        """The static groups that a contact is in, by name."""
        groups = contact.get("groups")
        found = groups if isinstance(groups, list) else [groups]
        # Whatever else other programs may have written there is no group.
        known = {each for each in found if isinstance(each, ObjectId) and each in self.groups}
        return sorted((self.groups[each] for each in known), key=lambda group: fold(group.name))

    def _by_name(self, identifiers: Iterable[ObjectId]) -> list[Segment]:
        return sorted((self.ruled[each] for each in identifiers), key=lambda segment: fold(segment.name))

    # ---- taking in versions ----------------------------------------------------------------------------------------

    def apply(self, definition: Definition) -> list[Effect]:
        """Take in a version. What it did to audiences, in the order in which one follows from the other."""
        if definition.revision <= self.revision:
            return []
        self.revision = definition.revision
        match definition.kind:
            case Kind.FIELD:
                return self._apply_field(definition)
            case Kind.SETTINGS:
                return self._apply_settings(definition)
            case Kind.GROUP:
                return self._apply_group(definition)
            case Kind.SEGMENT:
                return self._apply_segment(definition)
            case Kind.CAMPAIGN:
                return self._apply_campaign(definition)

    def _apply_field(self, definition: Definition) -> list[Effect]:
        key = str(definition.id)
        fields = {field.key: field for field in self.fields.values()}
        self.field_versions[key] = definition.version
        before, after = fields.get(key), None
        if definition.deleted:
            fields.pop(key, None)
        else:
            body = definition.body
            after = fields[key] = Field(
                key=key,
                label=body["label"],
                type=FieldType(body["type"]),
                options=tuple(body["options"]),
                built_in=before is not None and before.built_in,
            )
        self.fields = FieldRegistry(fields.values())
        if before is None or (after is not None and after.type is before.type):
            return []
        if after is None:
            self.retyped.pop(key, None)
        else:
            self.retyped[key] = Retyping(
                key=key,
                version=definition.version,
                before=before.type,
                after=after.type,
                at=definition.at,
            )
        users = [segment.id for segment in self.users(key)]
        for user in users:
            self._lost_fields[user] = tuple(sorted({*self._lost_fields.get(user, ()), key}))
        return self._settle(users, Reason.RULE_EDITED)

    def _apply_settings(self, definition: Definition) -> list[Effect]:
        self.settings = read_settings(definition.body)
        self.settings_version = definition.version
        return self._settle(list(self.ruled), Reason.SETTINGS_CHANGED)

    def _apply_group(self, definition: Definition) -> list[Effect]:
        identifier = audience_id(definition)
        known = self.groups.get(identifier)
        if definition.deleted:
            if known is None:
                return []
            del self.groups[identifier]
            return self._end(known, Kind.GROUP)
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
        if known is not None:
            return []
        criterion = Criterion(rule=carrying(identifier), settings=self.settings)
        self._decide_by(identifier, criterion)
        return [Opened(group, criterion)]

    def _apply_segment(self, definition: Definition) -> list[Effect]:
        identifier = audience_id(definition)
        known = self.segments.get(identifier)
        if definition.deleted:
            if known is None:
                return []
            del self.segments[identifier]
            return self._end_ruled(known, Kind.SEGMENT)
        segment = self.segments[identifier] = read_ruled(definition, known)
        return self._apply_rule(Kind.SEGMENT, known, segment)

    def _apply_campaign(self, definition: Definition) -> list[Effect]:
        identifier = audience_id(definition)
        known = self.campaigns.get(identifier)
        if definition.deleted:
            if known is None:
                return []
            del self.campaigns[identifier]
            return self._end_ruled(known.audience, Kind.CAMPAIGN)
        before = None if known is None else known.audience
        audience = read_ruled(definition, before)
        self.campaigns[identifier] = Campaign(
            id=identifier,
            content=read_content(definition.body),
            state=CampaignState(definition.body["state"]),
            audience=audience,
            version=definition.version,
            created=audience.created,
            updated=definition.at,
            launched=definition.body["launched"],
        )
        return self._apply_rule(Kind.CAMPAIGN, before, audience)

    def _apply_rule(self, kind: Kind, known: Segment | None, segment: Segment) -> list[Effect]:
        identifier = segment.id
        self.ruled[identifier] = segment
        self._rename(kind, known, segment)
        if known is not None and known.rule_version == segment.rule_version:
            return []
        self._lost_fields.pop(identifier, None)
        self._refer(identifier, None if known is None else known.rule, segment.rule)
        return self._settle([identifier], Reason.RULE_EDITED)

    def _end_ruled(self, segment: Segment, kind: Kind) -> list[Effect]:
        del self.ruled[segment.id]
        self._refer(segment.id, segment.rule, None)
        self._lost_fields.pop(segment.id, None)
        self._note_broken(segment.id, segment.broken, None)
        return self._end(segment, kind)

    def _rename(self, kind: Kind, before: Audience | None, after: Audience) -> None:
        if before is not None:
            self._names.pop((kind, fold(before.name)), None)
        self._names[kind, fold(after.name)] = after.id

    def _end(self, audience: Audience, kind: Kind) -> list[Effect]:
        self._names.pop((kind, fold(audience.name)), None)
        self._matcher.drop(audience.id)
        del self._criteria[audience.id]
        self.moving.pop(audience.id, None)
        return [Ended(audience)]

    # ---- what follows for segments ---------------------------------------------------------------------------------

    def _refer(self, identifier: ObjectId, before: Rule | None, after: Rule | None) -> None:
        """Keep in mind who names whom."""
        for ref in () if before is None else referred(before):
            self._referrers[ref.id].discard(identifier)
        for ref in () if after is None else referred(after):
            self._referrers.setdefault(ref.id, set()).add(identifier)

    def _settle(self, identifiers: Iterable[ObjectId], reason: Reason) -> list[Effect]:
        """Work out anew by what these segments, and all that depend on them, decide."""
        edited = set(identifiers)
        effects = []
        for identifier in self.with_dependants(edited):
            effect = self._settle_one(identifier, reason, edited=identifier in edited)
            if effect is not None:
                effects.append(effect)
        return effects

    def _settle_one(self, identifier: ObjectId, reason: Reason, *, edited: bool) -> Effect | None:
        before = self._criteria.get(identifier)
        was_broken = self.ruled[identifier].broken
        broken = self._why_broken(self.ruled[identifier])
        segment = replace(self.ruled[identifier], broken=broken)
        self._keep(segment)
        self._note_broken(identifier, was_broken, broken)
        if broken is not None and was_broken is not None:
            return None
        if broken is not None:
            mark = frozen_members(identifier, broken)
            self._decide_by(identifier, Criterion(rule=mark, settings=self.settings))
            return None if before is None else Broke(segment, before, mark)
        after = self.criterion_of(segment.rule)
        if after == before:
            return None
        self._decide_by(identifier, after)
        if before is None:
            return Opened(segment, after)
        if before.rule == after.rule and not after.is_moving:
            return None
        return Redefined(
            segment=segment,
            before=before,
            after=after,
            reason=reason,
            edited=edited and reason is Reason.RULE_EDITED,
        )

    def _keep(self, segment: Segment) -> None:
        self.ruled[segment.id] = segment
        if segment.id in self.segments:
            self.segments[segment.id] = segment
        else:
            self.campaigns[segment.id] = replace(self.campaigns[segment.id], audience=segment)

    def _note_broken(self, identifier: ObjectId, before: Broken | None, after: Broken | None) -> None:
        if after is not None:
            self.broken.add(identifier)
        elif before is not None:
            self.broken.discard(identifier)
            self.spent_marks[frozen_mark(identifier, before)] = identifier

    def _why_broken(self, segment: Segment) -> Broken | None:
        fields = self._lost_fields.get(segment.id, ())
        segments = self.broken_among(segment.rule)
        if not fields and not segments:
            return None
        since = self.revision if segment.broken is None else segment.broken.revision
        return Broken(revision=since, fields=fields, segments=tuple(each.id for each in segments))

    def broken_among(self, rule: Rule) -> list[Segment]:
        """The broken segments that a rule names itself, by name."""
        named = (self.segments.get(ref.id) for ref in referred(rule))
        return self._by_name(each.id for each in named if each is not None and each.broken)

    def _followed(self, identifier: ObjectId) -> Rule:
        segment = self.segments.get(identifier)
        if segment is None:
            raise UnknownAudience("A segment that the rule refers to has been deleted.")
        if segment.broken is not None:
            raise BrokenSegment(
                f"The rule refers to the segment “{segment.name}”, which is broken. Mend that one first.",
            )
        return self._criteria[identifier].rule

    def _decide_by(self, identifier: ObjectId, criterion: Criterion) -> None:
        self._criteria[identifier] = criterion
        self._matcher.put(identifier, criterion)
        if criterion.is_moving:
            self.moving[identifier] = criterion
        else:
            self.moving.pop(identifier, None)
