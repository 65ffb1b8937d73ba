"""Explanations: why a contact is in an audience, or is not. What is said is worked out in `domain.rules.explain`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import strawberry

from api.groups import Group, to_group
from api.memberships import Membership
from api.rules import Condition
from api.segments import BrokenSegment, to_broken
from api.values import AttributeValue
from domain.audiences import Audience, Segment
from domain.catalogue import Catalogue
from domain.contact import Contact
from domain.referring import KnownAudiences
from domain.rules import explain as explaining
from domain.rules.calendar import Now
from domain.rules.tree import GROUPS, Carries, MemberOf
from domain.rules.tree import Condition as StoredCondition


@strawberry.type(
    description="What one condition says of a contact: a question about a value, or membership of other audiences."
)
class Verdict:
    condition: Condition | None = strawberry.field(
        description="The condition; null where membership is asked for."
    )
    membership: Membership | None = strawberry.field(
        description="The membership that is asked for; null where that is a value."
    )
    holds: bool = strawberry.field(description="Whether it holds.")
    value: AttributeValue | None = strawberry.field(
        description="The value that it looked at, in normal form; null where there is none, and for memberships. Of an "
        "anniversary, the date."
    )
    turns: datetime | None = strawberry.field(
        description="Of a condition that depends on the time: when it turns by itself, if the contact stays as it is, with the "
        "offset of the account's time zone. Null where it never does, for other conditions, and for memberships."
    )
    verdicts: list[Verdict] = strawberry.field(
        description="Why, of a membership: of several audiences whether the contact is in each, of one segment what each condition "
        "of its rule says. Empty for one static group, and for a condition."
    )


@strawberry.type(description="Why a contact is in an audience, or is not.")
class Explanation:
    member: bool = strawberry.field(description="Whether the contact is in the audience.")
    verdicts: list[Verdict] = strawberry.field(
        description="What each condition of the rule says, in the rule's order. Empty for a static group and for a broken segment."
    )
    turning: list[Condition] = strawberry.field(
        description="What would have to change: were the answers to these conditions, and to being in `turningGroups`, the "
        "opposite, the contact would be in instead of out, or out instead of in. They may be conditions of a segment that the rule "
        "refers to. Empty for a static group, and where no such conditions were found."
    )
    turning_groups: list[Group] = strawberry.field(
        description="What would have to change beside `turning`: the static groups that the contact would have to be put into, or "
        "taken out of."
    )
    flips: datetime | None = strawberry.field(
        description="When the contact enters or leaves by the passing of time alone, if it stays as it is, with the offset of the "
        "account's time zone; null where it never does."
    )
    broken: BrokenSegment | None = strawberry.field(
        description="Of a broken segment: why it follows its rule no more. The contact is in, or not, as it was when it broke."
    )


def explain(audience: Audience, contact: Contact, catalogue: Catalogue, instant: datetime) -> Explanation:
    broken = to_broken(audience, catalogue) if isinstance(audience, Segment) else None
    if not isinstance(audience, Segment) or broken is not None:
        member = catalogue.criterion(audience.id).predicate(instant)(contact.document)
        return Explanation(
            member=member, verdicts=[], turning=[], turning_groups=[], flips=None, broken=broken
        )
    explained = explaining.explain(
        audience.rule,
        contact.document,
        Now(instant=instant, settings=catalogue.settings),
        rule_of=lambda segment: catalogue.ruled[segment].rule,
        names=KnownAudiences(catalogue).name,
    )
    turning = explained.turning
    groups = [leaf.value for leaf in turning if isinstance(leaf, Carries) and leaf.path == GROUPS]
    return Explanation(
        member=explained.holds,
        verdicts=[*_verdicts(explained.verdict, catalogue)],
        turning=[
            Condition(stored=leaf, catalogue=catalogue)
            for leaf in turning
            if isinstance(leaf, StoredCondition)
        ],
        turning_groups=[
            to_group(group, catalogue) for group in catalogue.groups.values() if group.id in groups
        ],
        flips=_local(explained.flips, catalogue),
        broken=None,
    )


def _local(instant: datetime | None, catalogue: Catalogue) -> datetime | None:
    """With the offset that the account's clocks have then, on which its days begin."""
    if instant is None:
        return None
    try:
        return instant.astimezone(catalogue.settings.zone)
    except OverflowError:
        # On the calendar's last day it can lie beyond it there.
        return instant


def _verdicts(verdict: explaining.Verdict, catalogue: Catalogue) -> Iterator[Verdict]:
    """Of each condition in the order of the text, with what stands below it."""
    below = [each for part in verdict.parts for each in _verdicts(part, catalogue)]
    match verdict.rule:
        case StoredCondition() as condition:
            yield Verdict(
                condition=Condition(stored=condition, catalogue=catalogue),
                membership=None,
                holds=verdict.holds,
                value=None if verdict.seen is None else AttributeValue(verdict.seen),
                turns=_local(verdict.turns, catalogue),
                verdicts=[],
            )
        case MemberOf() as membership:
            yield Verdict(
                condition=None,
                membership=Membership(stored=membership, catalogue=catalogue),
                holds=verdict.holds,
                value=None,
                turns=None,
                verdicts=below,
            )
        case _:
            yield from below
