"""What a moving rule means at an instant, and when it comes to mean something else.

Owns the way from moving conditions to fixed ones. At each instant a moving condition is a fixed one, and `at` is the definition of
what it means: all else about moving rules follows from it.

Invariant: `next_turn` is the first second at which `at` differs. Held by `tests/domain/rules/test_moving.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import assert_never

from domain.fields import FieldType
from domain.rules.calendar import (
    BEYOND_ALL_INSTANTS,
    LAST_DAY,
    Now,
    civil,
    number_of,
    second_of,
    start_of_day,
    start_of_second,
)
from domain.rules.operators import Fixed, Moving, Operator, Yearly
from domain.rules.tree import Condition, Rule, Subject, any_of, conditions, read_subject, replaced
from domain.rules.windows import Arc, Window

LAST_SECOND = start_of_second(second_of(BEYOND_ALL_INSTANTS))
_LAST_MILLISECOND = LAST_SECOND + timedelta(milliseconds=999)

# Within so many years a leap year comes, and one that is none.
_LEAP_YEARS = 8


def is_moving(rule: Rule) -> bool:
    return any(not isinstance(each.operator.value.means, Fixed) for each in conditions(rule))


# ---- what a rule means at an instant -------------------------------------------------------------------------------


def at(rule: Rule, now: Now) -> Rule:
    """What the rule means at that instant, without moving conditions."""
    return replaced(rule, partial(_at, now=now))


def _at(condition: Condition, now: Now) -> Rule:
    means, subject = condition.operator.value.means, read_subject(condition)
    match means:
        case Fixed():
            return condition
        case Moving(window=window):
            return _within(subject, window(subject.type, condition.operands, now))
        case Yearly(arc=arc):
            return _on(subject, arc(condition.operands, now.today, now.settings))
        case _:
            assert_never(means)


def _within(subject: Subject, window: Window) -> Condition:
    dates = subject.type is FieldType.DATE
    match window:
        case Window(start=datetime() as start) if start == BEYOND_ALL_INSTANTS:
            return Condition(subject=subject, operator=Operator.AFTER, operands=(_LAST_MILLISECOND,))
        case Window(start=None, end=end) if end is not None:
            return Condition(
                subject=subject,
                operator=Operator.ON_OR_BEFORE if dates else Operator.BEFORE,
                operands=(end,),
            )
        case Window(start=start, end=end) if start is not None:
            if end is None or end == BEYOND_ALL_INSTANTS:
                return Condition(
                    subject=subject,
                    operator=Operator.ON_OR_AFTER if dates else Operator.AT_OR_AFTER,
                    operands=(start,),
                )
            return Condition(subject=subject, operator=Operator.BETWEEN, operands=(start, end))
        case _:
            raise ValueError("a window that is open on both sides says nothing")


def _on(subject: Subject, arc: Arc) -> Rule:
    if arc.first <= arc.last:
        return Condition(subject=subject, operator=Operator.BETWEEN, operands=(arc.first, arc.last))
    return any_of(
        [
            Condition(subject=subject, operator=Operator.ON_OR_AFTER, operands=(arc.first,)),
            Condition(subject=subject, operator=Operator.ON_OR_BEFORE, operands=(arc.last,)),
        ]
    )


# ---- when that changes ---------------------------------------------------------------------------------------------


def next_turn(rule: Rule, now: Now) -> datetime | None:
    """The first second after `now` at which the rule means something else; None where that never comes."""
    turns = (turn_of(condition, now) for condition in set(conditions(rule)))
    return min((turn for turn in turns if turn is not None), default=None)


def turn_of(condition: Condition, now: Now) -> datetime | None:
    """The same of a condition by itself."""
    means, subject = condition.operator.value.means, read_subject(condition)
    match means:
        case Fixed():
            return None
        case Moving(window=window):
            reading = partial(window, subject.type, condition.operands)
            here = reading(now)
            return first_second(lambda then: reading(then) != here, now, LAST_SECOND)
        case Yearly(arc=arc):
            # Windows that creep do so every day; those that lie in the year as it is change with the years, if at all.
            year = civil(now.today)[0]
            years = (number_of(year + after, 1, 1) for after in range(1, _LEAP_YEARS + 1))
            for day in chain([now.today + 1], years):
                if arc(condition.operands, day, now.settings) != arc(
                    condition.operands, now.today, now.settings
                ):
                    return start_of_day(day, now.settings) if day <= LAST_DAY else None
            return None
        case _:
            assert_never(means)


def first_second(changed: Callable[[Now], bool], since: Now, until: datetime) -> datetime | None:
    """The first second after `since`, up to `until`, at which something has `changed` that then stays so."""
    before, last, step = since.second, second_of(until), 1
    while True:
        if before >= last:
            return None
        probe = min(before + step, last)
        if changed(replace(since, instant=start_of_second(probe))):
            break
        before, step = probe, 2 * step
    while probe - before > 1:
        middle = (before + probe) // 2
        if changed(replace(since, instant=start_of_second(middle))):
            probe = middle
        else:
            before = middle
    return start_of_second(probe)
