"""Rules that all look at one value, or all at memberships, and what can be said of their answers together.

Owns the questions that `warnings.py` asks of `witnesses.py`: can they all hold, which of them cannot, which does another make
needless? A “no” is certain; a “perhaps” need not be.

Invariant: as of `witnesses.py`, and held by `tests/domain/rules/test_warnings.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import combinations

from domain.rules.calendar import Now
from domain.rules.moving import at
from domain.rules.predicate import Contact, Predicate, to_predicate
from domain.rules.references import carrying, follow, referred
from domain.rules.tree import AudienceRef, Condition, Not, Rule, Subject, conditions, leaves
from domain.rules.witnesses import Demand, contact_with, exclude, is_known, memberships, witnesses

# Beyond so many conditions on one value they are not compared in pairs.
_MOST_COMPARED = 60


class Together:
    """Rules of which as much can be said together as their witnesses tell, of moving ones at an instant."""

    def __init__(self, rules: Sequence[Rule], now: Now) -> None:
        self.rules = rules
        if (condition := next(conditions(rules[0]), None)) is None:
            # What a segment means is not looked into: it is taken for a group, which anybody may be in.
            contacts = memberships(frozenset[AudienceRef]().union(*map(referred, rules)))
            self._meant = [follow(rule, carrying) for rule in rules] if contacts else [*rules]
            self._judge(contacts, [True] * len(rules))
            return
        self._meant = [at(rule, now) for rule in rules]
        subject = condition.subject
        asked = [list(conditions(rule)) for rule in self._meant]
        known = [all(map(is_known, each)) for each in asked]
        values = witnesses(
            subject, [one for each, is_it in zip(asked, known, strict=True) if is_it for one in each]
        )
        self._judge([contact_with(subject, value) for value in values or ()], known)

    def _judge(self, contacts: Sequence[Contact], known: Sequence[bool]) -> None:
        # For each rule, one bit for each witness: whether the rule accepts it. None where witnesses cannot tell.
        self._accepted = [
            _bits(to_predicate(rule), contacts) if contacts and is_it else None
            for rule, is_it in zip(self._meant, known, strict=True)
        ]
        self._every = (1 << len(contacts)) - 1

    def impossible(self, places: AbstractSet[int], *, wanted: bool, but: int | None = None) -> bool:
        """Whether no value is judged by `wanted` by all of these, `but` one, of which the opposite is asked. In doubt False."""
        asked = dict.fromkeys(places, wanted)
        if but is not None:
            asked[but] = not wanted
        possible = self._every
        for place, answer in asked.items():
            accepted = self._accepted[place]
            if accepted is not None:
                possible &= accepted if answer else ~accepted
        if self._every and not possible:
            return True
        if len(asked) > _MOST_COMPARED:
            return False
        demands = {place: _demand(self._meant[place], wanted=answer) for place, answer in asked.items()}
        pairs = combinations(asked, 2) if but is None else ((but, place) for place in places)
        return any(
            exclude(first, second)
            for one, other in pairs
            if (first := demands[one]) is not None and (second := demands[other]) is not None
        )

    def conflict(self, *, wanted: bool) -> tuple[Rule, ...] | None:
        """Some of the rules, few if possible, that no value makes all answer by `wanted`."""
        every = range(len(self.rules))
        if not self.impossible(set(every), wanted=wanted):
            return None
        for one, other in combinations(every[:_MOST_COMPARED], 2):
            if self.impossible({one, other}, wanted=wanted):
                return self.rules[one], self.rules[other]
        return tuple(self.rules)

    def needless(self, *, wanted: bool) -> Iterator[tuple[Rule, tuple[Rule, ...]]]:
        """The rules that cannot but answer by `wanted` where the others do, each with those others, the last one first."""
        left = set(range(len(self.rules)))
        for place in sorted(left, reverse=True):
            others = left - {place}
            if self.impossible(set(), wanted=wanted, but=place) or not self.impossible(
                others, wanted=wanted, but=place
            ):
                continue
            left = others
            enough = next(
                (one for one in sorted(others) if self.impossible({one}, wanted=wanted, but=place)), None
            )
            because = sorted(others) if enough is None else [enough]
            yield self.rules[place], tuple(self.rules[one] for one in because)


def _demand(rule: Rule, *, wanted: bool) -> Demand | None:
    match rule:
        case Condition():
            return Demand(condition=rule, wanted=wanted)
        case Not(child=Condition() as condition):
            return Demand(condition=condition, wanted=not wanted)
        case _:
            return None


def _bits(predicate: Predicate, contacts: Sequence[Contact]) -> int:
    return sum(1 << place for place, contact in enumerate(contacts) if predicate(contact))


def by_subject(rules: Sequence[Rule], now: Now) -> list[Together]:
    """The groups, of two at least, of those that look at one value only, or at memberships only."""
    found: dict[Subject | None, list[Rule]] = {}
    for rule in rules:
        subjects = {leaf.subject if isinstance(leaf, Condition) else None for leaf in leaves(rule)}
        if len(subjects) == 1:
            found.setdefault(subjects.pop(), []).append(rule)
    return [Together(group, now) for group in found.values() if len(group) > 1]
