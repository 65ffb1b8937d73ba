"""Explanations: why a contact is in an audience, or is not. What is said is worked out in `domain.rules.explain`."""

from __future__ import annotations

from collections.abc import Iterator

import strawberry

from api.rules import Condition
from api.values import AttributeValue
from domain.audiences import Audience, Segment, is_member
from domain.catalogue import Catalogue
from domain.contact import Contact
from domain.rules import explain as explaining
from domain.rules.tree import Condition as StoredCondition


@strawberry.type(description="What one condition says of a contact.")
class Verdict:
    condition: Condition = strawberry.field(description="The condition.")
    holds: bool = strawberry.field(description="Whether it holds.")
    value: AttributeValue | None = strawberry.field(
        description="The value that it looked at, in normal form; null where there is none."
    )


@strawberry.type(description="Why a contact is in an audience, or is not.")
class Explanation:
    member: bool = strawberry.field(description="Whether the contact is in the audience.")
    verdicts: list[Verdict] = strawberry.field(
        description="What each condition of the rule says, in the rule's order. Empty for a static group."
    )
    turning: list[Condition] = strawberry.field(
        description="What would have to change: were the answers to these conditions the opposite, the contact would be in "
        "instead of out, or out instead of in. Empty for a static group, and where no such conditions were found."
    )


def explain(audience: Audience, contact: Contact, catalogue: Catalogue) -> Explanation:
    if not isinstance(audience, Segment):
        return Explanation(member=is_member(audience)(contact.document), verdicts=[], turning=[])
    explained = explaining.explain(audience.rule, contact.document)
    return Explanation(
        member=explained.holds,
        verdicts=[
            Verdict(
                condition=Condition(stored=condition, catalogue=catalogue),
                holds=verdict.holds,
                value=None if verdict.seen is None else AttributeValue(verdict.seen),
            )
            for condition, verdict in _leaves(explained.verdict)
        ],
        turning=[Condition(stored=condition, catalogue=catalogue) for condition in explained.turning],
    )


def _leaves(verdict: explaining.Verdict) -> Iterator[tuple[StoredCondition, explaining.Verdict]]:
    if isinstance(verdict.rule, StoredCondition):
        yield verdict.rule, verdict
    for part in verdict.parts:
        yield from _leaves(part)
