"""Previews: what a rule would select, before anybody saves it, and what its author should know."""

from __future__ import annotations

from enum import Enum

import strawberry

from api.connections import First, checked_first
from api.contacts import Contact, to_contact
from api.context import Info
from api.rules import Condition, Rule, to_rule
from domain.audiences import difference
from domain.catalogue import Catalogue
from domain.rules.query import to_query
from domain.rules.text import to_text
from domain.rules.tree import Rule as StoredRule
from domain.rules.warnings import Caution, cautions, including_missing, questions
from domain.rules.words import sentence

MOST_WARNINGS = 50


@strawberry.type(
    description="Contacts that a rule takes in only because a negative condition includes those without a value."
)
class TakenIn:
    condition: Condition = strawberry.field(description="The condition, which includes missing values.")
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
        description="A negative condition takes in contacts only because they have no value.",
    )
    UNUSED_FIELD = strawberry.enum_value(
        "unused_field", description="No contact has a value in a field that the rule asks for."
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


def _to_warning(caution: Caution, rule: StoredRule) -> RuleWarning:
    return RuleWarning(
        kind=RuleWarningKind(caution.kind.value),
        message=caution.message,
        about=None if caution.about is rule else to_text(caution.about),
        parts=[to_text(part) for part in caution.parts],
    )


@strawberry.type(description="What a rule would select at this moment.")
class RulePreview:
    stored: strawberry.Private[StoredRule]
    catalogue: strawberry.Private[Catalogue]

    @strawberry.field(description="How many contacts: exact.")
    async def size(self, info: Info) -> int:
        return await info.context.account.contacts.count(to_query(self.stored))

    @strawberry.field(description="Some of the contacts.")
    async def sample(
        self,
        info: Info,
        first: First = 10,
    ) -> list[Contact]:
        limit = checked_first(first, 10)
        if not limit:
            return []
        found = await info.context.account.contacts.page(to_query(self.stored), after=None, limit=limit)
        return [to_contact(contact, self.catalogue) for contact in found]

    @strawberry.field(description="The rule in its canonical text form.")
    def expression(self) -> str:
        return to_text(self.stored)

    @strawberry.field(description="The rule as one plain English sentence, for people who write none.")
    def words(self) -> str:
        return sentence(self.stored, self.catalogue.fields)

    @strawberry.field(description="The rule as a tree, in its canonical form.")
    def rule(self) -> Rule:
        return to_rule(self.stored, self.catalogue)

    @strawberry.field(
        description="For each negative condition that includes contacts without a value: how many contacts that takes in. A "
        "surprising number is a reason to say `excluding missing`."
    )
    async def taken_in_for_lack_of_a_value(self, info: Info) -> list[TakenIn]:
        selected = to_query(self.stored)
        found = []
        for condition, excluding in including_missing(self.stored):
            contacts = await info.context.account.contacts.count(difference(selected, to_query(excluding)))
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
        found = cautions(self.stored)
        for question in questions(self.stored):
            if len(found) >= MOST_WARNINGS:
                break
            contacts = await info.context.account.contacts.count(to_query(question.counted))
            if (caution := question.told(contacts)) is not None:
                found.append(caution)
        return [_to_warning(caution, self.stored) for caution in found[:MOST_WARNINGS]]
