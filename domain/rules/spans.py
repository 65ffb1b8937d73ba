"""The operands of moving operators, as they are entered: lengths of time, periods, months of the year.

Owns which of them there are for a type of field, and what is said where one is not. Refuses by `InvalidValue` and
`LimitExceeded`. They come as `"90 days"`, `"month"` and `5`, from a rule's text, from the tree and from storage alike.

Invariant: what is taken is taken again as its own text. Held by `tests/domain/rules/test_spans.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from domain.errors import InvalidValue, LimitExceeded
from domain.fields import FieldType
from domain.rules.calendar import LARGEST_COUNT, Span, Unit
from domain.rules.operators import Reads, units_of

# A sign and a fraction are read to be refused for what they are.
_SPAN = re.compile(r"([+-]?[0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]+)", re.IGNORECASE)
_LONGEST = 100


def span_operand(given: Any, type_: FieldType) -> Span:
    """`"7 days"`, `"1 Week"`: a whole number and a unit, singular or plural."""
    units = units_of(Reads.SPAN, type_)
    found = _SPAN.fullmatch(given.strip()) if isinstance(given, str) and len(given) < _LONGEST else None
    if found is None:
        raise InvalidValue(
            f"A length of time such as “7 days” is wanted: a whole number of {_plurals(units)}."
        )
    count, word = found[1], found[2].lower()
    unit = _unit(word.removesuffix("s"), units)
    if unit is None:
        raise InvalidValue(
            f"“{_short(found[2])}” is no unit of time here. Of a {type_} there are {_plurals(units)}."
        )
    if not count.isdecimal() or int(count) < 1:
        raise InvalidValue(
            f"A whole number of {unit}s from 1 to {LARGEST_COUNT:,} is wanted; {count} is none."
        )
    if int(count) > LARGEST_COUNT:
        raise LimitExceeded(
            f"A length of time has {LARGEST_COUNT:,} {unit}s at most; this one has {int(count):,}."
        )
    return Span(int(count), unit)


def period_operand(given: Any, type_: FieldType) -> Unit:
    """`"month"`."""
    units = units_of(Reads.PERIOD, type_)
    unit = _unit(given.strip().lower(), units) if isinstance(given, str) else None
    if unit is None:
        shown = f"; “{_short(given)}” is none" if isinstance(given, str) else ""
        raise InvalidValue(f"A {_one_of(list(units))} is wanted here{shown}.")
    return unit


def month_operand(given: Any) -> int:
    """A month by its number."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or given not in range(1, 13):
        raise InvalidValue(
            "A month of the year is wanted by its number, from 1 for January to 12 for December."
        )
    return int(given)


def _unit(word: str, units: Sequence[Unit]) -> Unit | None:
    return next((unit for unit in units if unit == word), None)


def _plurals(units: Sequence[Unit]) -> str:
    return _one_of([f"{unit}s" for unit in units])


def _one_of(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _short(text: str) -> str:
    return (text if len(text) <= 40 else f"{text[:40]}…").encode(errors="replace").decode()
