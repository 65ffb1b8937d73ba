"""Explanations: why a contact is in an audience, or is not."""

from __future__ import annotations

import strawberry

from api.rules import Condition
from api.values import AttributeValue
from domain.audiences import Audience, Segment, is_member
from domain.catalogue import Catalogue
from domain.contacts import Contact
from domain.rules.predicate import to_predicate
from domain.rules.tree import conditions


@strawberry.type(description="What became of one condition for one contact.")
class Verdict:
    condition: Condition = strawberry.field(description="The condition.")
    holds: bool = strawberry.field(description="Whether it holds for the contact.")
    value: AttributeValue | None = strawberry.field(description="The value seen; null where there is none.")


@strawberry.type(description="Why a contact is in an audience, or is not.")
class Explanation:
    member: bool = strawberry.field(description="Whether the contact is in the audience.")
    verdicts: list[Verdict] = strawberry.field(
        description="Each condition of the rule, in its order. Empty for a static group."
    )


def explain(audience: Audience, contact: Contact, catalogue: Catalogue) -> Explanation:
    found = conditions(audience.rule) if isinstance(audience, Segment) else ()
    verdicts = [
        Verdict(
            condition=Condition(stored=condition, catalogue=catalogue),
            holds=to_predicate(condition)(contact.document),
            value=AttributeValue(contact.values.get(condition.subject.key)),
        )
        for condition in found
    ]
    return Explanation(member=is_member(audience)(contact.document), verdicts=verdicts)
