"""The pieces of which moving operators are made: which values are in at an instant.

Owns the edges of windows. As time passes an edge goes forwards or stays, never back, and it is this that `moving.py` finds turns
by. The windows of the yearly operators lie on the round of the year.

Invariant: no edge of a window ever goes back. Held by `tests/domain/rules/test_moving.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from domain.fields import FieldType, Settings
from domain.rules.calendar import (
    EXACT,
    Now,
    Span,
    Unit,
    date_text,
    first_observed,
    last_observed,
    month_of_year,
    period,
    shifted,
    start_of_day,
    start_of_second,
)
from domain.rules.readings import Operands


@dataclass(frozen=True, slots=True)
class Window:
    """What is in at an instant, by the operands that `between` would have, texts of dates or instants; None for an open side."""

    start: Any
    end: Any


WindowReading = Callable[[FieldType, Operands, Now], Window]


@dataclass(frozen=True, slots=True)
class Arc:
    """The days of the year (`MM-DD`) that are in, from the first to the last; over the year's end where the last sorts first."""

    first: str
    last: str


ArcReading = Callable[[Operands, int, Settings], Arc]
"""From the operands and the number of today."""


# ---- windows of days and of seconds --------------------------------------------------------------------------------


def _of_days(type_: FieldType, now: Now, first: int | None, last: int | None) -> Window:
    if type_ is FieldType.DATE:
        return Window(
            None if first is None else date_text(first),
            None if last is None else date_text(last),
        )
    return Window(
        None if first is None else start_of_day(first, now.settings),
        None if last is None else start_of_day(last + 1, now.settings),
    )


def _of_seconds(first: int | None, last: int | None) -> Window:
    return Window(
        None if first is None else start_of_second(first),
        None if last is None else start_of_second(last + 1),
    )


def in_the_last(type_: FieldType, operands: Operands, now: Now) -> Window:
    span = _span(operands)
    if (seconds := _seconds(span)) is not None:
        return _of_seconds(now.second - seconds, now.second)
    return _of_days(type_, now, shifted(now.today, -span.count, span.unit) + 1, now.today)


def in_the_next(type_: FieldType, operands: Operands, now: Now) -> Window:
    span = _span(operands)
    if (seconds := _seconds(span)) is not None:
        return _of_seconds(now.second, now.second + seconds)
    return _of_days(type_, now, now.today, shifted(now.today, span.count, span.unit) - 1)


def more_than_ago(type_: FieldType, operands: Operands, now: Now) -> Window:
    span = _span(operands)
    if (seconds := _seconds(span)) is not None:
        return _of_seconds(None, now.second - seconds - 1)
    return _of_days(type_, now, None, shifted(now.today, -span.count, span.unit) - 1)


def more_than_ahead(type_: FieldType, operands: Operands, now: Now) -> Window:
    span = _span(operands)
    if (seconds := _seconds(span)) is not None:
        return _of_seconds(now.second + seconds + 1, None)
    return _of_days(type_, now, shifted(now.today, span.count, span.unit) + 1, None)


def this(type_: FieldType, operands: Operands, now: Now) -> Window:
    return _of_days(type_, now, *period(now.today, _unit(operands), now.settings))


def last(type_: FieldType, operands: Operands, now: Now) -> Window:
    begins, _ = period(now.today, _unit(operands), now.settings)
    return _of_days(type_, now, *period(begins - 1, _unit(operands), now.settings))


def next_(type_: FieldType, operands: Operands, now: Now) -> Window:
    _, ends = period(now.today, _unit(operands), now.settings)
    return _of_days(type_, now, *period(ends + 1, _unit(operands), now.settings))


def _span(operands: Operands) -> Span:
    (span,) = operands
    if not isinstance(span, Span):
        raise TypeError("the builder makes a span of this operand")
    return span


def _seconds(span: Span) -> int | None:
    """How long an exact duration is; None of days and what is counted in them."""
    return EXACT[span.unit] * span.count if span.unit in EXACT else None


def _unit(operands: Operands) -> Unit:
    (unit,) = operands
    if not isinstance(unit, Unit):
        raise TypeError("the builder makes a unit of this operand")
    return unit


# ---- the round of the year -----------------------------------------------------------------------------------------

# Every date has an anniversary within so much.
_A_YEAR = {Unit.DAY: 366, Unit.WEEK: 53, Unit.MONTH: 12, Unit.YEAR: 1}

_EVERY_DAY = Arc("01-01", "12-31")


def _observed(first_day: int, last_day: int, settings: Settings) -> Arc:
    return Arc(first_observed(first_day, settings), last_observed(last_day, settings))


def anniversary_today(_operands: Operands, today: int, settings: Settings) -> Arc:
    return _observed(today, today, settings)


def anniversary_in_the_next(operands: Operands, today: int, settings: Settings) -> Arc:
    span = _span(operands)
    if span.count >= _A_YEAR[span.unit]:
        return _EVERY_DAY
    return _observed(today, shifted(today, span.count, span.unit) - 1, settings)


def anniversary_in_the_last(operands: Operands, today: int, settings: Settings) -> Arc:
    span = _span(operands)
    if span.count >= _A_YEAR[span.unit]:
        return _EVERY_DAY
    return _observed(shifted(today, -span.count, span.unit) + 1, today, settings)


def anniversary_in_month(operands: Operands, today: int, settings: Settings) -> Arc:
    (month,) = operands
    if not isinstance(month, int):
        raise TypeError("the builder makes a month's number of this operand")
    return _observed(*month_of_year(today, month), settings)
