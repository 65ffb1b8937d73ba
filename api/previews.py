"""Previews: what a rule would select, before anybody saves it, and what its author should know."""

from __future__ import annotations

from enum import Enum

import strawberry
from bson import ObjectId

from api.connections import First, checked_first
from api.contacts import Contact, to_contact
from api.context import Info
from api.differences import SegmentDifference
from api.rules import Condition, Rule, to_rule
from domain.audiences import difference
from domain.catalogue import Catalogue
from domain.differences import differences
from domain.errors import NotFound
from domain.referring import KnownAudiences, check_rule
from domain.rules.calendar import Now
from domain.rules.canonical import Names
from domain.rules.criterion import Criterion
from domain.rules.text import to_text
from domain.rules.tree import Rule as StoredRule
from domain.rules.warnings import Caution, cautions, including_missing, questions
from domain.rules.words import sentence

MOST_WARNINGS = 50


@strawberry.type(
    description="Contacts that a rule takes in only because a negative condition, or one within a `not`, includes those without "
    "a value."
)
class TakenIn:
    condition: Condition = strawberry.field(
        description="The condition: it includes missing values, or stands within a `not`."
    )
    contacts: int = strawberry.field(
        description="How many contacts would not be selected if the condition excluded missing values."
    )


@strawberry.enum(description="What a warning is about.")
class RuleWarningKind(Enum):
    NEVER_MATCHES = strawberry.enum_value(
        "never_matches", description="The rule, or a part of it, can match no contact."
    )
    ALWAYS_MATCHES = strawberry.enum_value(
        "always_matches", description="The rule, or a part of it, matches every contact."
    )
    ADDS_NOTHING = strawberry.enum_value(
        "adds_nothing", description="A part changes nothing, because of what stands beside it."
    )
    LACK_OF_A_VALUE = strawberry.enum_value(
        "lack_of_a_value",
        description="A negative condition, or one within a `not`, takes in contacts only because they have no value.",
    )
    UNUSED_FIELD = strawberry.enum_value(
        "unused_field", description="No contact has a value in a field that the rule asks for."
    )
    NOBODY_AHEAD = strawberry.enum_value(
        "nobody_ahead",
        description="A date is asked for that is still to come, and no contact has one; perhaps its anniversary is meant.",
    )


@strawberry.type(
    description="Something that the author of a rule should know before saving it. It is no error: the rule can be saved."
)
class RuleWarning:
    kind: RuleWarningKind = strawberry.field(description="What it is about.")
    message: str = strawberry.field(description="What there is to know, fit to be shown to a person.")
    about: str | None = strawberry.field(
        description="The part of the rule of which it is so, as text; null where that is the whole rule."
    )
    parts: list[str] = strawberry.field(
        description="The parts that make it so, as text. Of one that adds nothing, that one first, then what stands for it."
    )


def _to_warning(caution: Caution, rule: StoredRule, names: Names) -> RuleWarning:
    return RuleWarning(
        kind=RuleWarningKind(caution.kind.value),
        message=caution.message,
        about=None if caution.about is rule else to_text(caution.about, names),
        parts=[to_text(part, names) for part in caution.parts],
    )


def to_preview(rule: StoredRule, catalogue: Catalogue, segment: ObjectId | None) -> RulePreview:
    """What the rule would select, and what it would change as the rule of `segment`, where one is given.

    Raises what keeps the rule from being followed to all that it refers to, or from being the segment's.
    """
    if segment is not None:
        saved = catalogue.segments.get(segment)
        if saved is None:
            raise NotFound("There is no such segment. It may have been deleted.", path=("segment",))
        check_rule(catalogue, segment, saved.name, rule)
    return RulePreview(
        stored=rule, criterion=catalogue.criterion_of(rule), catalogue=catalogue, instead_of=segment
    )


@strawberry.type(description="What a rule would select at this moment.")
class RulePreview:
    stored: strawberry.Private[StoredRule]
    criterion: strawberry.Private[Criterion]
    catalogue: strawberry.Private[Catalogue]
    instead_of: strawberry.Private[ObjectId | None]

    @strawberry.field(description="How many contacts: exact.")
    async def size(self, info: Info) -> int:
        return await info.context.account.contacts.count(self.criterion.query(info.context.instant))

    @strawberry.field(description="Some of the contacts.")
    async def sample(
        self,
        info: Info,
        first: First = 10,
    ) -> list[Contact]:
        limit = checked_first(first, 10)
        if not limit:
            return []
        found = await info.context.account.contacts.page(
            self.criterion.query(info.context.instant), after=None, limit=limit
        )
        return [to_contact(contact, self.catalogue) for contact in found]

    @strawberry.field(description="The rule in its canonical text form.")
    def expression(self) -> str:
        return to_text(self.stored, KnownAudiences(self.catalogue).name)

    @strawberry.field(description="The rule as one plain English sentence, for people who write none.")
    def words(self) -> str:
        return sentence(self.stored, self.catalogue.fields, KnownAudiences(self.catalogue).name)

    @strawberry.field(description="The rule as a tree, in its canonical form.")
    def rule(self) -> Rule:
        return to_rule(self.stored, self.catalogue)

    @strawberry.field(
        description="What would change if the rule were saved as that of `segment`: who would join and who would leave. Null where "
        "no segment is given."
    )
    def difference(self, info: Info) -> SegmentDifference | None:
        return next(iter(self._differences(info)), None)

    @strawberry.field(
        description="The other segments whose members would change, because they refer to this one, directly or by way of others."
    )
    def other_segments(self, info: Info, first: First = 20) -> list[SegmentDifference]:
        return self._differences(info)[1:][: checked_first(first, 20)]

    def _differences(self, info: Info) -> list[SegmentDifference]:
        if self.instead_of is None:
            return []
        found = differences(self.catalogue, self.instead_of, self.stored, info.context.instant)
        return [SegmentDifference(stored=each, catalogue=self.catalogue) for each in found]

    @strawberry.field(
        description="For each negative condition that includes contacts without a value, and each condition within a `not`: how "
        "many contacts that takes in. A surprising number is a reason to say `excluding missing`, or to ask `F is not empty`, too."
    )
    async def taken_in_for_lack_of_a_value(self, info: Info) -> list[TakenIn]:
        selected = self.criterion.query(info.context.instant)
        found = []
        for condition, excluding in including_missing(self.stored):
            without = self.catalogue.criterion_of(excluding).query(info.context.instant)
            contacts = await info.context.account.contacts.count(difference(selected, without))
            found.append(
                TakenIn(condition=Condition(stored=condition, catalogue=self.catalogue), contacts=contacts)
            )
        return found

    @strawberry.field(
        description="What its author should know. First what is certain of the rule by itself, for every contact; more may be true "
        "than is found. Then what only counting shows: fields that nobody has a value in, and the conditions of "
        f"`takenInForLackOfAValue`. The first {MOST_WARNINGS} at most."
    )
    async def warnings(self, info: Info) -> list[RuleWarning]:
        names = KnownAudiences(self.catalogue).name
        now = Now(instant=info.context.instant, settings=self.catalogue.settings)
        found = cautions(self.stored, now, names)
        for question in questions(self.stored):
            if len(found) >= MOST_WARNINGS:
                break
            counted = self.catalogue.criterion_of(question.counted).query(info.context.instant)
            contacts = await info.context.account.contacts.count(counted)
            if (caution := question.told(contacts)) is not None:
                found.append(caution)
        return [_to_warning(caution, self.stored, names) for caution in found[:MOST_WARNINGS]]
