"""References: what a rule means that refers to groups and to other segments.

Owns *following*: each reference is replaced by what it means, a group by what its contacts carry, a segment by its rule, so that
what is left looks at nothing but the contact. Owns how far that may go, too. Refuses a circle, spelled by names, and more
conditions or levels than the limits allow; both are found by counting, before anything is built, so segments that refer to each
other many times over cost as little to refuse as others.

Cost: each segment that is referred to, directly or not, is counted once and built once, however often it is referred to.

Invariant: a followed rule has no reference left, and accepts whom the referring one means. Held by
`tests/domain/rules/test_references.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn, assert_never

from bson import ObjectId

from domain.errors import InvalidRule, LimitExceeded
from domain.rules.tree import (
    GROUPS,
    All,
    AnyOf,
    AudienceKind,
    AudienceRef,
    Carries,
    Condition,
    Limits,
    MemberOf,
    Not,
    Quantifier,
    Rule,
    all_of,
    any_of,
    leaves,
    negate,
)

RuleOf = Callable[[ObjectId], Rule]
"""A segment's rule, as it was saved."""

NameOf = Callable[[ObjectId], str]
"""A segment's name."""

LIMITS = Limits()


def unreferred(segment: ObjectId) -> Rule:
    """For rules that refer to no segment."""
    raise TypeError(f"a rule that refers to the segment {segment} is followed by that one's rule")


def carrying(group: ObjectId) -> Carries:
    """Being in a static group."""
    return Carries(path=GROUPS, value=group)


def referred(rule: Rule) -> frozenset[AudienceRef]:
    """The audiences that the rule itself refers to, and not those that they refer to."""
    return frozenset(
        audience for leaf in leaves(rule) if isinstance(leaf, MemberOf) for audience in leaf.audiences
    )


def follow(rule: Rule, rule_of: RuleOf, limits: Limits = LIMITS) -> Rule:
    """The rule with each reference replaced by what it means.

    Raises `LimitExceeded`, and `InvalidRule` for segments that refer to each other in a circle.
    """
    if not referred(rule):
        return rule
    counting = _Counting(rule_of=rule_of, name_of=str, limits=limits)
    _refuse_beyond(counting.of(rule, 0), limits, "this one has more")
    return _Following(rule_of).of(rule)


def check_edit(
    segment: ObjectId,
    rule: Rule,
    *,
    dependants: Iterable[ObjectId],
    rule_of: RuleOf,
    name_of: NameOf,
    limits: Limits = LIMITS,
) -> None:
    """Whether a segment may be given this rule. `dependants` are those that refer to it, directly or by way of others.

    Raises `InvalidRule` where the rule leads back to its own segment, and `LimitExceeded` where it goes too far, or where by it
    one of the dependants would.
    """

    def edited(other: ObjectId) -> Rule:
        return rule if other == segment else rule_of(other)

    counting = _Counting(rule_of=edited, name_of=name_of, limits=limits)
    _refuse_beyond(counting.of_segment(segment, 0), limits, "this one has more")
    for dependant in dependants:
        but = f"by this one, to which it refers, the rule of “{name_of(dependant)}” would have more"
        _refuse_beyond(counting.of_segment(dependant, 0), limits, but)


@dataclass(frozen=True, slots=True)
class _Extent:
    """How large a rule is with its references followed. Beyond the limits it is not counted on."""

    conditions: int
    depth: int


_ONE = _Extent(conditions=1, depth=0)


def _refuse_beyond(extent: _Extent, limits: Limits, but: str) -> None:
    if extent.conditions > limits.followed_conditions:
        raise LimitExceeded(
            f"A rule has {limits.followed_conditions:,} conditions at most, with those of all segments and all groups that it"
            f" refers to; {but}."
        )
    if extent.depth > limits.followed_depth:
        raise LimitExceeded(
            f"A rule has {limits.followed_depth} levels at most, with those of all segments that it refers to, where each"
            f" reference is one more; {but}."
        )


class _Counting:
    """Counts rules without building them, each segment's once."""

    def __init__(self, *, rule_of: RuleOf, name_of: NameOf, limits: Limits) -> None:
        self._rule_of = rule_of
        self._name_of = name_of
        self._limits = limits
        self._known: dict[ObjectId, _Extent] = {}
        self._under_way: list[ObjectId] = []

    def of(self, rule: Rule, level: int) -> _Extent:
        """The extent of a rule that stands so many levels within the one that is asked about."""
        if level > self._limits.followed_depth:
            return _Extent(conditions=1, depth=level)
        match rule:
            case Condition() | Carries():
                return _ONE
            case MemberOf(audiences=audiences):
                return self._around([self._of_audience(audience, level + 1) for audience in audiences])
            case Not(child=child):
                return self._around([self.of(child, level + 1)])
            case All(children=children) | AnyOf(children=children):
                return self._around([self.of(child, level + 1) for child in children])
            case _:
                assert_never(rule)

    def _of_audience(self, audience: AudienceRef, level: int) -> _Extent:
        return _ONE if audience.kind is AudienceKind.GROUP else self.of_segment(audience.id, level)

    def of_segment(self, segment: ObjectId, level: int) -> _Extent:
        if (known := self._known.get(segment)) is not None:
            return known
        if segment in self._under_way:
            self._refuse_circle([*self._under_way[self._under_way.index(segment) :], segment])
        self._under_way.append(segment)
        found = self.of(self._rule_of(segment), level)
        self._under_way.pop()
        self._known[segment] = found
        return found

    def _around(self, parts: list[_Extent]) -> _Extent:
        # Numbers that would otherwise double with each reference stay small.
        conditions = min(sum(part.conditions for part in parts), self._limits.followed_conditions + 1)
        return _Extent(conditions=conditions, depth=1 + max(part.depth for part in parts))

    def _refuse_circle(self, path: list[ObjectId]) -> NoReturn:
        names = [f"“{self._name_of(segment)}”" for segment in path]
        if len(names) == 2:
            raise InvalidRule(
                f"A segment cannot refer to itself: {names[0]} -> {names[1]}. Take the reference to {names[0]} out of its own rule."
            )
        spelled = " -> ".join(names)
        raise InvalidRule(
            f"A segment cannot refer to itself, directly or by way of others: {spelled}. Take one of these references out."
        )


class _Following:
    """Builds followed rules, each segment's once. Those that it is given were counted before."""

    def __init__(self, rule_of: RuleOf) -> None:
        self._rule_of = rule_of
        self._known: dict[ObjectId, Rule] = {}

    def of(self, rule: Rule) -> Rule:
        match rule:
            case Condition() | Carries():
                return rule
            case MemberOf(quantifier=quantifier, audiences=audiences):
                return self._membership(quantifier, map(self._of_audience, audiences))
            case Not(child=child):
                return negate(self.of(child))
            case All(children=children):
                return all_of(map(self.of, children))
            case AnyOf(children=children):
                return any_of(map(self.of, children))
            case _:
                assert_never(rule)

    def _membership(self, quantifier: Quantifier, meant: Iterable[Rule]) -> Rule:
        match quantifier:
            case Quantifier.ANY:
                return any_of(meant)
            case Quantifier.ALL:
                return all_of(meant)
            case Quantifier.NONE:
                return negate(any_of(meant))
            case _:
                assert_never(quantifier)

    def _of_audience(self, audience: AudienceRef) -> Rule:
        if audience.kind is AudienceKind.GROUP:
            return carrying(audience.id)
        if (known := self._known.get(audience.id)) is None:
            known = self._known[audience.id] = self.of(self._rule_of(audience.id))
        return known
