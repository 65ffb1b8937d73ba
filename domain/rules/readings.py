"""The pieces of which the operators' two readings are made.

Owns, side by side, what is asked of the database and how one stored value is judged in Python. The database's ways are
followed: a value of another BSON type never matches (`true` is no number), and where a list is stored, each of its
elements is asked. Numbers compare by value across int64 and double. The values are those of the normal form; others, such
as Decimal128, are nobody's.

Invariant: the two readings that a row of `operators.py` puts together accept the same values. Held by
`tests/domain/rules/test_two_readings.py`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from domain.fields import FieldType
from domain.rules.calendar import Span, Unit

Operand = str | int | float | bool | datetime | Span | Unit
"""A unit stands for a period: `this month`."""

Operands = tuple[Operand, ...]

QueryReading = Callable[[FieldType, Operands], dict[str, Any]]
"""From the subject's type and the operands to the document under the subject's path."""

Test = Callable[[Any], bool]
"""Judges what is stored under the path; None where nothing is."""

PredicateReading = Callable[[FieldType, Operands], Test]

_Accepts = Callable[[Any], object]
"""Judges one value of the right type; only the truth of its answer counts."""


# ---- how a stored value is judged ----------------------------------------------------------------------------------


def _is_text(value: Any) -> bool:
    return value.__class__ is str


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and value.__class__ is not bool


def _is_boolean(value: Any) -> bool:
    return value is True or value is False


def _is_datetime(value: Any) -> bool:
    return isinstance(value, datetime)


def type_check(type_: FieldType) -> Callable[[Any], bool]:
    match type_:
        case FieldType.NUMBER:
            return _is_number
        case FieldType.BOOLEAN:
            return _is_boolean
        case FieldType.DATETIME:
            return _is_datetime
        case _:
            return _is_text


def _accepted(type_: FieldType, accepts: _Accepts) -> Test:
    """A value of the type that is accepted, or a list with such a value in it."""
    if (fits := type_check(type_)) is _is_text:

        def test_text(value: Any) -> bool:
            # Apart from the general form because most conditions are of this kind.
            if value.__class__ is str:
                return bool(accepts(value))
            return value.__class__ is list and any(accepts(part) for part in value if part.__class__ is str)

        return test_text

    def test(value: Any) -> bool:
        if fits(value):
            return bool(accepts(value))
        return value.__class__ is list and any(accepts(part) for part in value if fits(part))

    return test


def _accepted_by_both(type_: FieldType, lower: _Accepts, upper: _Accepts) -> Test:
    """Accepted by both; where a list is stored, the database lets another element satisfy each."""
    fits = type_check(type_)
    lower_test, upper_test = _accepted(type_, lower), _accepted(type_, upper)

    def test(value: Any) -> bool:
        if fits(value):
            return bool(lower(value) and upper(value))
        return lower_test(value) and upper_test(value)

    return test


# ---- negation ------------------------------------------------------------------------------------------------------


def denied(predicate: PredicateReading) -> PredicateReading:
    """The opposite of a positive reading; it holds where nothing is stored."""

    def build(type_: FieldType, operands: Operands) -> Test:
        test = predicate(type_, operands)
        return lambda value: not test(value)

    return build


def negated(query: QueryReading) -> QueryReading:
    """The opposite of a positive reading; it finds what has nothing stored."""
    return lambda type_, operands: {"$not": query(type_, operands)}


# ---- missing or not ------------------------------------------------------------------------------------------------


def null_under(key: str) -> QueryReading:
    return lambda _type, _operands: {key: None}


def missing(value: Any) -> bool:
    """Whether the database's `{path: null}` matches: nothing stored, null, or a list with null in it."""
    return value is None or (value.__class__ is list and None in value)


def is_missing(_type: FieldType, _operands: Operands) -> Test:
    return missing


def is_there(_type: FieldType, _operands: Operands) -> Test:
    return lambda value: not missing(value)


# ---- equality ------------------------------------------------------------------------------------------------------


def first_under(key: str) -> QueryReading:
    return lambda _type, operands: {key: operands[0]}


def all_under(key: str) -> QueryReading:
    return lambda _type, operands: {key: list(operands)}


def equal_to_any(type_: FieldType, operands: Operands) -> Test:
    # A set compares numbers by value, and the type check keeps true apart from 1.
    return _accepted(type_, frozenset(operands).__contains__)


def has_every(_type: FieldType, operands: Operands) -> Test:
    wanted = frozenset(operands)

    def test(value: Any) -> bool:
        parts = value if value.__class__ is list else (value,)
        return wanted.issubset([part for part in parts if part.__class__ is str])

    return test


# ---- order ---------------------------------------------------------------------------------------------------------


def _bounds(operands: Operands) -> tuple[Any, ...]:
    """The operands, all of the subject's type and so of one order."""
    return operands


def below(type_: FieldType, operands: Operands) -> Test:
    (bound,) = _bounds(operands)
    return _accepted(type_, partial(operator.gt, bound))


def at_most(type_: FieldType, operands: Operands) -> Test:
    (bound,) = _bounds(operands)
    return _accepted(type_, partial(operator.ge, bound))


def above(type_: FieldType, operands: Operands) -> Test:
    (bound,) = _bounds(operands)
    return _accepted(type_, partial(operator.lt, bound))


def at_least(type_: FieldType, operands: Operands) -> Test:
    (bound,) = _bounds(operands)
    return _accepted(type_, partial(operator.le, bound))


def between_query(type_: FieldType, operands: Operands) -> dict[str, Any]:
    """Both ends in, but for instants: there the end is out, so that one span can follow another."""
    start, end = operands
    return {"$gte": start, "$lt" if type_ is FieldType.DATETIME else "$lte": end}


def between(type_: FieldType, operands: Operands) -> Test:
    start, end = _bounds(operands)
    keeps = operator.gt if type_ is FieldType.DATETIME else operator.ge
    return _accepted_by_both(type_, partial(operator.le, start), partial(keeps, end))


# ---- parts of a text -----------------------------------------------------------------------------------------------

# Exactly what PCRE2 reads as more than itself outside of brackets. A backslash before one of these means the character
# itself in PCRE2, in Python's `re` and in Rust's `regex`; before others, such as `<`, it does not everywhere.
_ESCAPES = str.maketrans({character: f"\\{character}" for character in "\\^$.|?*+()[]{}"})

# The end of the text. `$` would also stop before a closing line feed, and `\z` is not known to every server's dialect.
_END = r"(?![\s\S])"


def _escaped(part: Operand) -> str:
    return str(part).translate(_ESCAPES)


def contains_query(_type: FieldType, operands: Operands) -> dict[str, Any]:
    return {"$regex": _escaped(operands[0])}


def contains(type_: FieldType, operands: Operands) -> Test:
    part = operands[0]
    return _accepted(type_, lambda value: part in value)


def starts_query(_type: FieldType, operands: Operands) -> dict[str, Any]:
    """A range and no regular expression: every server can answer it from an index."""
    start = str(operands[0])
    after = _first_after(start)
    return {"$gte": start} if after is None else {"$gte": start, "$lt": after}


def starts(type_: FieldType, operands: Operands) -> Test:
    start = str(operands[0])
    after = _first_after(start)
    if after is None:
        return _accepted(type_, partial(operator.le, start))
    return _accepted_by_both(type_, partial(operator.le, start), partial(operator.gt, after))


def _first_after(start: str) -> str | None:
    """The first text, by code points, that comes after all texts beginning with `start`; None where none does."""
    kept = start.rstrip("\U0010ffff")
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Surrogates are no characters: a text cannot hold them.
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)


def ends_query(_type: FieldType, operands: Operands) -> dict[str, Any]:
    return {"$regex": _escaped(operands[0]) + _END}


def ends(type_: FieldType, operands: Operands) -> Test:
    end = str(operands[0])
    return _accepted(type_, lambda value: value.endswith(end))


def other_domain_query(_type: FieldType, operands: Operands) -> dict[str, Any]:
    """One short pattern for each domain: some servers refuse patterns of more than 1,000 characters.

    The positive reading is this one denied, and not `$in`, for which some servers ask an index for the pattern's own text.
    """
    return {"$nin": [re.compile(f"@{_escaped(domain)}{_END}") for domain in operands]}


def ends_in_domain(type_: FieldType, operands: Operands) -> Test:
    ends = tuple(f"@{domain}" for domain in operands)
    return _accepted(type_, lambda value: value.endswith(ends))
