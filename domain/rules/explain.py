"""Why a contact is in an audience, or is not.

Owns the verdict of each condition, how the whole follows from them, and what would have to be otherwise; where time alone turns
a verdict, when it does. A reference to a segment is looked into: the conditions of that segment's rule are conditions of the
whole. Conditions are taken as independent of each other here: that no contact can be both under 18 and over 65 is not considered.

Invariant: `explain(rule, contact, now).holds == to_predicate(at(followed, now))(contact)`, and turning the conditions in
`turning` turns the whole. Held by `tests/domain/rules/test_explain.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any, assert_never

from domain.rules.calendar import Now
from domain.rules.canonical import Names, nameless, to_text
from domain.rules.moving import at, is_moving, next_flip
from domain.rules.predicate import Contact, to_predicate, value_at
from domain.rules.references import RuleOf, carrying, follow, unreferred
from domain.rules.tree import (
    UNFOLLOWED,
    All,
    AnyOf,
    AudienceKind,
    AudienceRef,
    Carries,
    Condition,
    MemberOf,
    Not,
    Quantifier,
    Rule,
    leaves,
)

# With so many different conditions all sets of them can be tried.
MOST_TRIED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rule, or a part of one, says of a contact, and what each part of it says."""

    rule: Rule
    text: str
    holds: bool
    seen: Any
    """For a condition the value that it looked at, in normal form; None where there was none, and for all other rules.

    Of the yearly operators, which look at the day of the year, it is the date.
    """
    turns: datetime | None
    """For a moving condition the second at which it turns by itself, if the contact stays as it is; None where it never does."""
    parts: tuple[Verdict, ...]
    """Of a membership of several audiences: of each one. Of one segment: of its rule. Of one group: nothing."""


Turning = Condition | Carries


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    holds: bool
    verdict: Verdict
    turning: tuple[Turning, ...]
    """Were the answers to these conditions the opposite, so would be the whole. Empty where no such conditions were found.

    What a contact carries is a condition here: that it is in a static group.
    """
    smallest: bool
    """Whether it is certain that no fewer conditions would do, or, where `turning` is empty, that none would."""
    flips: datetime | None
    """The second at which the whole turns by itself, if the contact stays as it is; None where it never does."""


def explain(
    rule: Rule, contact: Contact, now: Now, *, rule_of: RuleOf = unreferred, names: Names = nameless
) -> Explanation:
    """A rule that refers to audiences wants their names, and the rules of those that are segments."""
    followed = follow(rule, rule_of)
    verdict = _Judging(contact=contact, now=now, rule_of=rule_of, names=names).verdict(rule)
    answers = {leaf: to_predicate(at(leaf, now))(contact) for leaf in _turnable(followed)}
    flips = next_flip(followed, contact, now)
    ripe = frozenset(
        leaf
        for leaf in answers
        if flips is not None and is_moving(leaf) and next_flip(leaf, contact, now) == flips
    )
    turning, smallest = _turning(followed, answers, ripe, holds=verdict.holds)
    return Explanation(
        holds=verdict.holds,
        verdict=verdict,
        turning=tuple(leaf for leaf in answers if leaf in turning),
        smallest=smallest,
        flips=flips,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judging:
    contact: Contact
    now: Now
    rule_of: RuleOf
    names: Names

    def verdict(self, rule: Rule) -> Verdict:
        match rule:
            case Condition():
                return Verdict(
                    rule=rule,
                    text=to_text(rule),
                    holds=to_predicate(at(rule, self.now))(self.contact),
                    seen=value_at(rule.subject.path)(self.contact),
                    turns=next_flip(rule, self.contact, self.now),
                    parts=(),
                )
            case Carries():
                raise TypeError(
                    "the rule as it was said is explained, and not what it becomes when it is followed"
                )
            case MemberOf(quantifier=quantifier, audiences=audiences):
                return self._membership(rule, quantifier, audiences)
            case All(children=children):
                parts = tuple(map(self.verdict, children))
                return self._said(rule, parts, holds=all(part.holds for part in parts))
            case AnyOf(children=children):
                parts = tuple(map(self.verdict, children))
                return self._said(rule, parts, holds=any(part.holds for part in parts))
            case Not(child=child):
                part = self.verdict(child)
                return self._said(rule, (part,), holds=not part.holds)
            case _:
                assert_never(rule)

    def _membership(
        self, rule: MemberOf, quantifier: Quantifier, audiences: tuple[AudienceRef, ...]
    ) -> Verdict:
        each = tuple(map(self._in, audiences))
        match quantifier:
            case Quantifier.ANY:
                holds = any(part.holds for part in each)
            case Quantifier.ALL:
                holds = all(part.holds for part in each)
            case Quantifier.NONE:
                holds = not any(part.holds for part in each)
            case _:
                assert_never(quantifier)
        return self._said(rule, each if len(each) > 1 else each[0].parts, holds=holds)

    def _in(self, audience: AudienceRef) -> Verdict:
        """Whether the contact is in this one."""
        alone = MemberOf(quantifier=Quantifier.ANY, audiences=(audience,))
        if audience.kind is AudienceKind.GROUP:
            return self._said(alone, (), holds=to_predicate(carrying(audience.id))(self.contact))
        inner = self.verdict(self.rule_of(audience.id))
        return self._said(alone, (inner,), holds=inner.holds)

    def _said(self, rule: Rule, parts: tuple[Verdict, ...], *, holds: bool) -> Verdict:
        """Of what is no condition."""
        text = to_text(rule, self.names)
        return Verdict(rule=rule, text=text, holds=holds, seen=None, turns=None, parts=parts)


_Answers = Mapping[Turning, bool]

_Cost = Callable[[frozenset[Turning]], tuple[int, int]]


def _turnable(followed: Rule) -> Iterator[Turning]:
    return (leaf for leaf in leaves(followed) if not isinstance(leaf, MemberOf))


def _turning(
    rule: Rule, answers: _Answers, ripe: AbstractSet[Turning], *, holds: bool
) -> tuple[frozenset[Turning], bool]:
    """Conditions of a followed rule whose opposites turn its answer, and whether fewer cannot.

    Of sets that are equally small, one is taken that has the most of those that are `ripe`: time turns them next.
    """
    counts = Counter(_turnable(rule))

    def cost(turned: frozenset[Turning]) -> tuple[int, int]:
        return len(turned), -len(turned & ripe)

    _, cheapest = _cheapest(rule, answers, cost)
    if max(counts.values()) == 1:
        return cheapest, True
    # A condition that stands in several places turns in all of them at once, so the parts cannot be weighed one by one.
    tried = (
        _tried(counts, cost)
        if len(counts) <= MOST_TRIED
        else [cheapest, *(frozenset({each}) for each in counts)]
    )
    for turned in tried:
        if _follows(rule, {each: answers[each] is not (each in turned) for each in answers}) is not holds:
            return turned, len(counts) <= MOST_TRIED or len(turned) == 1
    return frozenset(), len(counts) <= MOST_TRIED


def _tried(choices: Iterable[Turning], cost: _Cost) -> Iterator[frozenset[Turning]]:
    every = list(choices)
    for size in range(1, len(every) + 1):
        yield from sorted(map(frozenset, combinations(every, size)), key=cost)


def _cheapest(rule: Rule, answers: _Answers, cost: _Cost) -> tuple[bool, frozenset[Turning]]:
    """The answer, and the set of the least cost that turns it, if each condition stands in one place only."""
    match rule:
        case Condition() | Carries():
            return answers[rule], frozenset({rule})
        case MemberOf():
            raise TypeError(UNFOLLOWED)
        case Not(child=child):
            holds, turned = _cheapest(child, answers, cost)
            return not holds, turned
        case All(children=children) | AnyOf(children=children):
            parts = [_cheapest(child, answers, cost) for child in children]
            # `all` is turned to false, and `any` to true, by one part; the other way by every part that is in its way.
            every = isinstance(rule, All)
            holds = all(answer for answer, _ in parts) if every else any(answer for answer, _ in parts)
            if holds is every:
                return holds, min((turned for _, turned in parts), key=cost)
            return holds, frozenset().union(*(turned for answer, turned in parts if answer is holds))
        case _:
            assert_never(rule)


def _follows(rule: Rule, answers: _Answers) -> bool:
    match rule:
        case Condition() | Carries():
            return answers[rule]
        case MemberOf():
            raise TypeError(UNFOLLOWED)
        case Not(child=child):
            return not _follows(child, answers)
        case All(children=children):
            return all(_follows(child, answers) for child in children)
        case AnyOf(children=children):
            return any(_follows(child, answers) for child in children)
        case _:
            assert_never(rule)
