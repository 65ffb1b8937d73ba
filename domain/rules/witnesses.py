"""Which values can tell conditions on one field apart: enough of them to answer “can any value do all this?” for certain.

Owns the reasoning behind the warnings. For most types a few values stand for all: the operands, their neighbours, and the lack
of a value. Texts of which parts are asked have no such few; there only what follows from one part to another is known.
Values are those of the normal form: one for each field, a set for tags. More values may be considered than a field can hold,
never fewer, so that “none can” is always true. Operators that are not known here are not reasoned about.

Invariant: where `witnesses` answers, each value that a contact can have is judged by the conditions as one of the answers is; and
no value satisfies two demands of which `exclude` says that they exclude each other. Held by `tests/domain/rules/test_witnesses.py`.
"""

from __future__ import annotations

import math
import sys
from calendar import isleap
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from typing import Any, assert_never

from domain.fields import FieldType
from domain.fields.normal import INT64_MAX, INT64_MIN
from domain.fields.phones import begins_a_number
from domain.rules.calendar import (
    AFTER_ALL_DATES,
    BEFORE_ALL_DATES,
    FIRST_DAY,
    LAST_DAY,
    civil,
    date_text,
    number_of,
)
from domain.rules.operators import Operator
from domain.rules.predicate import to_predicate
from domain.rules.readings import Operand
from domain.rules.tree import GROUPS, AudienceRef, Condition, Subject

# Beyond so many operands on one field nothing is reasoned: the time that it takes grows with their number.
_MOST_OPERANDS = 500
_MOST_TAGS = 10
_MOST_AUDIENCES = 8

_EQUALITY = frozenset({Operator.IS, Operator.IS_NOT, Operator.IS_ANY_OF, Operator.IS_NONE_OF})
_PRESENCE = frozenset({Operator.IS_EMPTY, Operator.IS_NOT_EMPTY})
_NUMBERS = _EQUALITY | {
    Operator.LESS_THAN,
    Operator.AT_MOST,
    Operator.MORE_THAN,
    Operator.AT_LEAST,
    Operator.BETWEEN,
}
_DATES = frozenset(
    {
        Operator.ON,
        Operator.NOT_ON,
        Operator.BEFORE,
        Operator.AFTER,
        Operator.ON_OR_BEFORE,
        Operator.ON_OR_AFTER,
        Operator.BETWEEN,
    }
)
_DATETIMES = frozenset(
    {Operator.BEFORE, Operator.AFTER, Operator.AT_OR_BEFORE, Operator.AT_OR_AFTER, Operator.BETWEEN}
)
_TAGS = frozenset({Operator.HAS_ANY_OF, Operator.HAS_ALL_OF, Operator.HAS_NONE_OF, Operator.LACKS_ANY_OF})
_BEGINNINGS = frozenset({Operator.STARTS_WITH, Operator.DOES_NOT_START_WITH})


def contact_with(subject: Subject, value: Any) -> dict[str, Any]:
    """A contact that has this under the subject's path, and nothing else; None is the lack of a value."""
    if value is None:
        return {}
    if not subject.is_field:
        return {subject.path: value}
    contact = {"normal": {subject.key: value}}
    # Beside a date stands its day of the year.
    return (
        contact | {"anniversaries": {subject.key: value[5:]}} if subject.type is FieldType.DATE else contact
    )


def witnesses(subject: Subject, conditions: Iterable[Condition]) -> list[Any] | None:
    """Values that stand for all that the subject can have, as far as `conditions` can tell. None where that is not known."""
    asked = list(conditions)
    if not all(map(is_known, asked)):
        return None
    operands = {
        operand for condition in asked if condition.subject == subject for operand in condition.operands
    }
    # Of a date, the day of the year may be asked, too.
    marks = {
        str(operand) for condition in asked if condition.subject != subject for operand in condition.operands
    }
    if max(len(operands), 1) * max(len(marks), 1) > _MOST_OPERANDS:
        return None
    match subject.type:
        case FieldType.NUMBER:
            values: Iterable[Any] = _numbers(operands)
        case FieldType.BOOLEAN:
            values = (True, False)
        case FieldType.DATE:
            days = {str(operand) for operand in operands}
            found = [*_around(days or {"2000-01-01"}, _next_days), *_anniversaries(days, marks)]
            values = filter(_is_date, found)
        case FieldType.DATETIME:
            values = _around(operands or {datetime(2000, 1, 1, tzinfo=UTC)}, _next_instants)
        case FieldType.TAGS:
            if len(operands) > _MOST_TAGS:
                return None
            values = _sets([str(operand) for operand in operands])
        case FieldType.TEXT | FieldType.EMAIL | FieldType.CHOICE:
            values = [*operands, _another(operands)]
        case FieldType.PHONE:
            numbers = [operand for operand in operands if begins_a_number(str(operand))]
            values = [*numbers, f"+{_another(operands)}"]
        case _:
            assert_never(subject.type)
    # The contact's own times are always there.
    return [None, *values] if subject.is_field else [*values]


def _another(operands: Iterable[Operand]) -> str:
    """A text that none of the operands is, nor begins like."""
    return "x" * (1 + max((len(str(operand)) for operand in operands), default=0))


def is_known(condition: Condition) -> bool:
    """Whether a few values can stand for all, as far as this condition can tell."""
    return (
        condition.operator in _PRESENCE
        or condition.operator in _known(condition.subject.type)
        or begins_no_number(condition)
    )


def begins_no_number(condition: Condition) -> bool:
    """Whether it asks for a beginning that no phone number has in its normal form."""
    return (
        condition.subject.type is FieldType.PHONE
        and condition.operator in _BEGINNINGS
        and not begins_a_number(str(condition.operands[0]))
    )


def _known(type_: FieldType) -> frozenset[Operator]:
    match type_:
        case FieldType.NUMBER:
            return _NUMBERS
        case FieldType.DATE:
            return _DATES
        case FieldType.DATETIME:
            return _DATETIMES
        case FieldType.TAGS:
            return _TAGS
        case _:
            return _EQUALITY


def _numbers(operands: Iterable[Any]) -> Iterator[Any]:
    """The operands, and a number in each gap that has one: before the first, between two, behind the last."""
    ordered = sorted(operands)
    yield from ordered
    for low, high in zip([-math.inf, *ordered], [*ordered, math.inf], strict=True):
        yield from _between(low, high)


def _between(low: float, high: float) -> Iterator[float]:
    if low == -math.inf:
        candidates: tuple[float, ...] = (-sys.float_info.max, INT64_MIN)
    else:
        # The next whole number, and the next double: one of them lies between, if anything does.
        double = float(low)
        candidates = (math.floor(low) + 1, double if double > low else math.nextafter(double, math.inf))
    for candidate in candidates:
        whole = isinstance(candidate, int)
        possible = INT64_MIN <= candidate <= INT64_MAX if whole else math.isfinite(candidate)
        if possible and low < candidate < high:
            yield candidate
            return


def _around(operands: Iterable[Any], neighbours: Any) -> Iterator[Any]:
    for operand in operands:
        yield operand
        yield from neighbours(operand)


def _next_days(day: str) -> Iterator[str]:
    if not _is_date(day):
        yield date_text(FIRST_DAY if day == BEFORE_ALL_DATES else LAST_DAY)
        return
    for step in (-1, 1):
        try:
            yield (date.fromisoformat(day) + timedelta(days=step)).isoformat()
        except OverflowError:
            continue


def _anniversaries(days: Iterable[str], marks: Iterable[str]) -> Iterator[str]:
    """Behind each of `days`, and at the calendar's beginning, the first date of each part into which `marks` cut the year."""
    firsts = {first for mark in marks for first in (mark, _day_after(mark), "01-01")}
    if "02-29" in firsts:
        # In most years that part begins with the next day.
        firsts.add("03-01")
    begins = [FIRST_DAY - 1, *(date.fromisoformat(day).toordinal() for day in days if _is_date(day))]
    for first in firsts:
        month, day_of_month = int(first[:2]), int(first[3:])
        for begin in begins:
            # Leap years are eight years apart at most.
            years = range(civil(begin)[0], civil(begin)[0] + 10)
            found = [
                number_of(year, month, day_of_month) for year in years if first != "02-29" or isleap(year)
            ]
            yield from (date_text(day) for day in found[:2] if begin < day <= LAST_DAY)


def _day_after(mark: str) -> str:
    return date_text(number_of(2000, int(mark[:2]), int(mark[3:])) + 1)[5:]


def _is_date(day: str) -> bool:
    return day not in (BEFORE_ALL_DATES, AFTER_ALL_DATES)


def _next_instants(instant: datetime) -> Iterator[datetime]:
    for step in (-1, 1):
        try:
            yield instant + timedelta(milliseconds=step)
        except OverflowError:
            continue


def _sets(tags: Sequence[str]) -> Iterator[list[str]]:
    """Every set of these tags, each beside one more tag that is none of them."""
    other = "x" * (1 + max(map(len, tags), default=0))
    for size in range(len(tags) + 1):
        for chosen in combinations(tags, size):
            yield sorted([*chosen, other])


def memberships(audiences: Collection[AudienceRef]) -> list[dict[str, Any]]:
    """A contact in each choice of these audiences, of which each may mean anything. Empty where those are too many."""
    if len(audiences) > _MOST_AUDIENCES:
        return []
    sizes = range(len(audiences) + 1)
    return [
        {GROUPS: [audience.id for audience in chosen]}
        for size in sizes
        for chosen in combinations(audiences, size)
    ]


# ---- parts of texts ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A condition that is to hold, or, where `wanted` is False, not to hold."""

    condition: Condition
    wanted: bool

    def accepts(self, value: Any) -> bool:
        return to_predicate(self.condition)(contact_with(self.condition.subject, value)) is self.wanted


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a demand says of a value that is there: that it has one of these parts, or, denied, none of them."""

    pieces: tuple[tuple[Operator, str], ...]
    denied: bool


def exclude(one: Demand, other: Demand) -> bool:
    """Whether no value, nor the lack of one, satisfies both, which are about one text. In doubt False."""
    if one.accepts(None) and other.accepts(None):
        return False
    for first, second in ((one, other), (other, one)):
        values = _only_values(first)
        if values is not None:
            return not any(first.accepts(value) and second.accepts(value) for value in values)
    parts, others = _parts(one), _parts(other)
    if parts is None or others is None or (parts.denied and others.denied):
        return False
    if parts.denied:
        parts, others = others, parts
    if others.denied:
        return all(any(_follows(piece, denied) for denied in others.pieces) for piece in parts.pieces)
    return all(_clash(piece, another) for piece in parts.pieces for another in others.pieces)


def _only_values(demand: Demand) -> tuple[Operand, ...] | None:
    """The values among which are all that satisfy the demand; None where they cannot be listed."""
    match demand.condition.operator, demand.wanted:
        case (Operator.IS_EMPTY, True) | (Operator.IS_NOT_EMPTY, False):
            return ()
        case (Operator.IS | Operator.IS_ANY_OF, True) | (Operator.IS_NOT | Operator.IS_NONE_OF, False):
            return demand.condition.operands
        case _:
            return None


_POSITIVE = {
    Operator.DOES_NOT_CONTAIN: Operator.CONTAINS,
    Operator.DOES_NOT_START_WITH: Operator.STARTS_WITH,
    Operator.DOES_NOT_END_WITH: Operator.ENDS_WITH,
    Operator.DOMAIN_IS_NONE_OF: Operator.DOMAIN_IS_ANY_OF,
}


def _parts(demand: Demand) -> _Parts | None:
    operator = demand.condition.operator
    positive = _POSITIVE.get(operator, operator)
    texts = [str(operand) for operand in demand.condition.operands]
    denied = demand.wanted is (operator in _POSITIVE)
    match positive:
        case Operator.CONTAINS | Operator.STARTS_WITH | Operator.ENDS_WITH:
            return _Parts(tuple((positive, text) for text in texts), denied)
        case Operator.DOMAIN_IS_ANY_OF:
            return _Parts(tuple((Operator.ENDS_WITH, f"@{text}") for text in texts), denied)
        case _:
            return None


def _follows(piece: tuple[Operator, str], other: tuple[Operator, str]) -> bool:
    """Whether each text that has `piece` has `other`, too."""
    (where, text), (other_where, other_text) = piece, other
    match other_where:
        case Operator.CONTAINS:
            return other_text in text
        case Operator.STARTS_WITH:
            return where is Operator.STARTS_WITH and text.startswith(other_text)
        case _:
            return where is Operator.ENDS_WITH and text.endswith(other_text)


def _clash(piece: tuple[Operator, str], other: tuple[Operator, str]) -> bool:
    """Whether no text has both."""
    (where, text), (other_where, other_text) = piece, other
    if where is not other_where:
        return False
    if where is Operator.STARTS_WITH:
        return not (text.startswith(other_text) or other_text.startswith(text))
    if where is Operator.ENDS_WITH:
        return not (text.endswith(other_text) or other_text.endswith(text))
    return False
