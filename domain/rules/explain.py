"""Why a contact is in an audience, or is not.

Owns the verdict of each condition, how the whole follows from them, and what would have to be otherwise. Conditions are
taken as independent of each other here: that no contact can be both under 18 and over 65 is not considered.

Invariant: `explain(rule, contact).holds == to_predicate(rule)(contact)`, and turning the conditions in `turning` turns the
whole. Held by `tests/domain/rules/test_explain.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, assert_never

from domain.rules.canonical import to_text
from domain.rules.predicate import Contact, to_predicate, value_at
from domain.rules.tree import All, AnyOf, Condition, Not, Rule, conditions

# With so many different conditions all sets of them can be tried.
MOST_TRIED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rule, or a part of one, says of a contact, and what each part of it says."""

    rule: Rule
    text: str
    holds: bool
    seen: Any
    """For a condition the value that it looked at, in normal form; None where there was none, and for all other rules."""
    parts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    holds: bool
    verdict: Verdict
    turning: tuple[Condition, ...]
    """Were the answers to these conditions the opposite, so would be the whole. Empty where no such conditions were found."""
    smallest: bool
    """Whether it is certain that no fewer conditions would do, or, where `turning` is empty, that none would."""


def explain(rule: Rule, contact: Contact) -> Explanation:
    verdict = _judge(rule, contact)
    turning, smallest = _turning(verdict)
    in_order = dict.fromkeys(condition for condition in conditions(rule) if condition in turning)
    return Explanation(holds=verdict.holds, verdict=verdict, turning=tuple(in_order), smallest=smallest)


def _judge(rule: Rule, contact: Contact) -> Verdict:
    seen: Any = None
    parts: tuple[Verdict, ...] = ()
    match rule:
        case Condition():
            seen = value_at(rule.subject.path)(contact)
            holds = to_predicate(rule)(contact)
        case All(children=children):
            parts = tuple(_judge(child, contact) for child in children)
            holds = all(part.holds for part in parts)
        case AnyOf(children=children):
            parts = tuple(_judge(child, contact) for child in children)
            holds = any(part.holds for part in parts)
        case Not(child=child):
            parts = (_judge(child, contact),)
            holds = not parts[0].holds
        case _:
            assert_never(rule)
    return Verdict(rule=rule, text=to_text(rule), holds=holds, seen=seen, parts=parts)


def _turning(verdict: Verdict) -> tuple[frozenset[Condition], bool]:
    """Conditions whose opposites turn the verdict, and whether fewer cannot."""
    counts = Counter(conditions(verdict.rule))
    cheapest = _cheapest(verdict)
    if max(counts.values()) == 1:
        return cheapest, True
    # A condition that stands in several places turns in all of them at once, so the parts cannot be weighed one by one.
    answers = dict(_answers(verdict))
    tried = (
        _tried(counts) if len(counts) <= MOST_TRIED else [cheapest, *(frozenset({each}) for each in counts)]
    )
    for turned in tried:
        if (
            _follows(verdict.rule, {each: answers[each] is not (each in turned) for each in answers})
            is not verdict.holds
        ):
            return turned, len(counts) <= MOST_TRIED or len(turned) == 1
    return frozenset(), len(counts) <= MOST_TRIED


def _tried(choices: Iterable[Condition]) -> Iterator[frozenset[Condition]]:
    every = list(choices)
    for size in range(1, len(every) + 1):
        yield from map(frozenset, combinations(every, size))


def _answers(verdict: Verdict) -> Iterator[tuple[Condition, bool]]:
    if isinstance(verdict.rule, Condition):
        yield verdict.rule, verdict.holds
    for part in verdict.parts:
        yield from _answers(part)


def _cheapest(verdict: Verdict) -> frozenset[Condition]:
    """The smallest set that turns the verdict, if each condition stands in one place only."""
    match verdict.rule:
        case Condition():
            return frozenset({verdict.rule})
        case Not():
            return _cheapest(verdict.parts[0])
        case All() | AnyOf():
            # `all` is turned to false, and `any` to true, by one part; the other way by every part that is in its way.
            one_is_enough = verdict.holds is isinstance(verdict.rule, All)
            if one_is_enough:
                return min(map(_cheapest, verdict.parts), key=len)
            in_the_way = [_cheapest(part) for part in verdict.parts if part.holds is verdict.holds]
            return frozenset().union(*in_the_way)
        case _:
            assert_never(verdict.rule)


def _follows(rule: Rule, answers: Mapping[Condition, bool]) -> bool:
    match rule:
        case Condition():
            return answers[rule]
        case Not(child=child):
            return not _follows(child, answers)
        case All(children=children):
            return all(_follows(child, answers) for child in children)
        case AnyOf(children=children):
            return any(_follows(child, answers) for child in children)
        case _:
            assert_never(rule)
