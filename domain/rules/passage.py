"""A moving rule on its way from one instant to another: when it turns for a contact whose data stay as they are.

Owns the search. An edge of a window only goes forwards, so that the second in which it passes a value is found by halving the time;
whether the condition turns there is asked of `at`, which is the definition. The windows on the round of the year are tried day
by day, a year of each kind once.

Invariant: these are exactly the seconds at which the answer of `at` changes. Held by `tests/domain/rules/test_moving.py`.
Cost: for a contact with nothing near an edge, some comparisons of values, a microsecond for each moving condition; some tens of
microseconds for each turn. What comes next, however far it is, takes the same for each turn up to it, and a millisecond for each
yearly condition.
"""

from __future__ import annotations

import operator
from calendar import isleap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any

from domain.fields import FieldType
from domain.rules.calendar import Now, civil, number_of, start_of_day
from domain.rules.instants import at, first_second, turn_of
from domain.rules.operators import Moving, Yearly
from domain.rules.predicate import Contact, Predicate, to_predicate, value_at
from domain.rules.readings import type_check
from domain.rules.tree import All, AnyOf, Condition, Not, Rule, Subject, read_subject
from domain.rules.windows import Arc

_INSTANT = itemgetter(0)

_Turn = tuple[datetime, int, bool | None]
"""A second at which the answer of a leaf of the rule can change, which of the leaves it is, and to what, where that is known."""


class Passage:
    """A rule on its way from one instant to another, to be asked for any number of contacts."""

    __slots__ = ("_arcs", "_leaves", "_predicate", "_rule", "_since", "_until", "_windows")

    def __init__(self, rule: Rule, since: Now, until: Now) -> None:
        self._rule, self._since, self._until = rule, since, until
        self._leaves = list(dict.fromkeys(_leaves(rule)))
        self._windows: list[tuple[int, _Windows]] = []
        self._arcs: list[tuple[int, _Arcs]] = []
        for place, leaf in enumerate(self._leaves):
            if isinstance(leaf, Condition):
                if (windows := _windows(leaf, since, until)) is not None:
                    self._windows.append((place, windows))
                if (arcs := _arcs(leaf, since, until)) is not None:
                    self._arcs.append((place, arcs))
        self._predicate = lru_cache(maxsize=512)(self._read)

    def flips(self, contact: Contact) -> list[tuple[datetime, bool]]:
        """The seconds of the passage at which the rule's answer for the contact changes, and to what."""
        possible = self._passing(contact)
        for place, arcs in self._arcs:
            if (turns := arcs(contact)) is not None:
                possible += _placed(place, turns(self._since.today, self._until.today))
        if not possible:
            return []
        answers = self._answers(contact, self._leaves, self._since.instant)
        was, found = _answer(self._rule, answers), []
        for instant, holds in self._changes(contact, answers, sorted(possible, key=_INSTANT)):
            if holds is not was:
                was = holds
                found.append((instant, holds))
        return found

    def next_flip(self, contact: Contact) -> datetime | None:
        """The first of these; found without the others."""
        rounds = {place: turns for place, arcs in self._arcs if (turns := arcs(contact)) is not None}
        passing = sorted(self._passing(contact), key=_INSTANT)
        steady = [leaf for place, leaf in enumerate(self._leaves) if place not in rounds]
        yearly = [leaf for place, leaf in enumerate(self._leaves) if place in rounds]
        answers, was = self._answers(contact, steady, self._since.instant), None
        # From one turn that passes for good to the next only the year goes round.
        stages: list[datetime] = [self._since.instant, *dict.fromkeys(map(_INSTANT, passing))]
        for begins, ends in zip(stages, [*stages[1:], None], strict=True):
            for _ in self._changes(contact, answers, (turn for turn in passing if turn[0] == begins)):
                pass
            settled = _answer(self._rule, answers)
            all_answers = answers if settled is not None else answers | self._answers(contact, yearly, begins)
            holds = _answer(self._rule, all_answers)
            if was is not None and holds is not was:
                return begins
            was = holds
            if settled is None:
                for instant, holds in self._changes(contact, all_answers, self._round(rounds, begins, ends)):
                    if holds is not was:
                        return instant
        return None

    def _passing(self, contact: Contact) -> list[_Turn]:
        return [(turn, place, None) for place, turns in self._windows for turn in turns(contact)]

    def _round(
        self, rounds: Mapping[int, _Round], begins: datetime, ends: datetime | None
    ) -> Iterator[_Turn]:
        """What turns with the year behind `begins` and before `ends`; if that is long, as long as anything new comes."""
        first = replace(self._since, instant=begins).today
        last = min(_round_from(first), self._until.today)
        each = (_placed(place, turns(first, last)) for place, turns in rounds.items())
        for turn in merge(*each, key=_INSTANT):
            if ends is not None and turn[0] >= ends:
                return
            yield turn

    def _changes(
        self, contact: Contact, answers: dict[Rule, bool], turns: Iterable[_Turn]
    ) -> Iterator[tuple[datetime, bool]]:
        """The answer of the whole at each of the seconds of `turns`, whose leaves are asked anew."""
        for instant, those in groupby(turns, key=_INSTANT):
            for _, place, holds in those:
                leaf = self._leaves[place]
                answers[leaf] = self._predicate(leaf, instant)(contact) if holds is None else holds
            yield instant, bool(_answer(self._rule, answers))

    def _answers(self, contact: Contact, leaves: Iterable[Rule], instant: datetime) -> dict[Rule, bool]:
        return {leaf: self._predicate(leaf, instant)(contact) for leaf in leaves}

    def _read(self, leaf: Rule, instant: datetime) -> Predicate:
        return to_predicate(at(leaf, replace(self._since, instant=instant)))


@lru_cache(maxsize=256)
def passage(rule: Rule, since: Now, until: Now) -> Passage:
    return Passage(rule, since, until)


def _leaves(rule: Rule) -> Iterator[Rule]:
    match rule:
        case Not(child=child):
            yield from _leaves(child)
        case All(children=children) | AnyOf(children=children):
            for child in children:
                yield from _leaves(child)
        case _:
            yield rule


def _answer(rule: Rule, answers: Mapping[Rule, bool]) -> bool | None:
    """The rule's answer, if it follows from those of some of its leaves."""
    match rule:
        case Not(child=child):
            inner = _answer(child, answers)
            return None if inner is None else not inner
        case All(children=children) | AnyOf(children=children):
            decisive = isinstance(rule, AnyOf)
            open_ = False
            for child in children:
                answer = _answer(child, answers)
                if answer is decisive:
                    return decisive
                open_ = open_ or answer is None
            return None if open_ else not decisive
        case _:
            return answers.get(rule)


_Windows = Callable[[Contact], Sequence[datetime]]
"""The seconds at which the answer of a condition with a window can change for a contact."""


def _windows(condition: Condition, since: Now, until: Now) -> _Windows | None:
    """None where the condition does not turn in that time."""
    means, subject = condition.operator.value.means, condition.subject
    if not isinstance(means, Moving):
        return None
    reading = partial(means.window, subject.type, condition.operands)
    before, after = reading(since), reading(until)
    if before == after:
        return None
    start_moves, end_moves = before.start != after.start, before.end != after.end
    # Of dates the end is the last that is in, of points in time the first that is out.
    ends_behind = operator.ge if subject.type is FieldType.DATE else operator.gt
    look = _extremes(subject)

    def turns(contact: Contact) -> Sequence[datetime]:
        found = look(contact)
        if found is None:
            return ()
        # Where several values are stored, the database lets one of them lie behind the start, and another before the end.
        lowest, highest = found
        possible = []
        if start_moves and before.start <= highest < after.start:
            possible.append(first_second(lambda now: reading(now).start > highest, since, until.instant))
        if end_moves and ends_behind(after.end, lowest) and not ends_behind(before.end, lowest):
            possible.append(
                first_second(lambda now: ends_behind(reading(now).end, lowest), since, until.instant)
            )
        return [turn for turn in possible if turn is not None]

    return turns


_Round = Callable[[int, int], Iterator[tuple[datetime, bool]]]
"""The seconds, behind the beginning of one day up to that of another, at which a yearly condition's answer changes, and to what."""

_Arcs = Callable[[Contact], _Round | None]


def _arcs(condition: Condition, since: Now, until: Now) -> _Arcs | None:
    """None where the condition does not turn in that time; for a contact, where it has no value there."""
    means, settings = condition.operator.value.means, since.settings
    if not isinstance(means, Yearly) or since.today == until.today or turn_of(condition, since) is None:
        return None
    look = _extremes(read_subject(condition))
    arcs: dict[int, Arc] = {}

    def holds(day: int, lowest: str, highest: str) -> bool:
        if (arc := arcs.get(day)) is None:
            arc = arcs[day] = means.arc(condition.operands, day, settings)
        if arc.first <= arc.last:
            return arc.first <= highest and lowest <= arc.last
        return arc.first <= highest or lowest <= arc.last

    def of_contact(contact: Contact) -> _Round | None:
        found = look(contact)
        if found is None:
            return None
        lowest, highest = found
        known: _Known = {}

        def tried(first_day: int, last_day: int) -> Iterator[tuple[int, bool]]:
            was = holds(first_day, lowest, highest)
            for day in range(first_day + 1, last_day + 1):
                if holds(day, lowest, highest) is not was:
                    was = not was
                    yield day, was

        def turns(first_day: int, last_day: int) -> Iterator[tuple[datetime, bool]]:
            days = tried if last_day - first_day <= 366 else partial(_by_years, tried, known)
            return ((start_of_day(day, settings), is_in) for day, is_in in days(first_day, last_day))

        return turns

    return of_contact


_Kind = tuple[bool, bool, bool]
"""Whether the year before, the year and the year after are leap years: for the yearly operators years differ in nothing else."""


def _kind(year: int) -> _Kind:
    return isleap(year - 1), isleap(year), isleap(year + 1)


_KINDS = 4


def _round_from(day: int) -> int:
    """The day by which, from this one on, a year of every kind has passed: behind it comes only what there has been."""
    year, seen = civil(day)[0], set[_Kind]()
    while len(seen) < _KINDS:
        year += 1
        seen.add(_kind(year))
    return number_of(year, 12, 31)


_Known = dict[_Kind, list[tuple[int, bool]]]


def _by_years(
    tried: Callable[[int, int], Iterator[tuple[int, bool]]], known: _Known, first_day: int, last_day: int
) -> Iterator[tuple[int, bool]]:
    """The same days as `tried`, which tries a year of each kind once."""
    for year in range(civil(first_day)[0], civil(last_day)[0] + 1):
        begins, kind = number_of(year, 1, 1), _kind(year)
        if kind not in known:
            found = tried(begins - 1, number_of(year, 12, 31))
            known[kind] = [(day - begins, is_in) for day, is_in in found]
        for number, is_in in known[kind]:
            if first_day < begins + number <= last_day:
                yield begins + number, is_in


def _placed(place: int, turns: Iterator[tuple[datetime, bool]]) -> Iterator[_Turn]:
    return ((turn, place, is_in) for turn, is_in in turns)


def _extremes(subject: Subject) -> Callable[[Contact], tuple[Any, Any] | None]:
    """The least and the greatest of the values that a contact has there, as far as they are of the subject's type."""
    look, fits = value_at(subject.path), type_check(subject.type)

    def extremes(contact: Contact) -> tuple[Any, Any] | None:
        value = look(contact)
        if fits(value):
            return value, value
        if value.__class__ is not list:
            return None
        values = [part for part in value if fits(part)]
        return (min(values), max(values)) if values else None

    return extremes
