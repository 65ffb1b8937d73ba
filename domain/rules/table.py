"""The table of operators for people: what `docs/rules.md` shows, printed from the operators themselves.

Owns the example of each operator and the knowledge which of them an index can serve. The rest is asked of the two readings.

Invariants: the documentation holds this very table, held by `tests/domain/rules/test_table.py`; an index serves what is said
here and nothing else, held by `tests/domain/rules/test_index_use.py`, which asks the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, assert_never

from domain.fields import FieldType, Settings
from domain.rules.calendar import Now, Span, Unit
from domain.rules.canonical import instant_text, to_text
from domain.rules.moving import at
from domain.rules.operators import Moving, Operator, Reads, Shape
from domain.rules.predicate import to_predicate
from domain.rules.query import to_query
from domain.rules.readings import Operands
from domain.rules.tree import Condition, field_subject

# Where an index of the account and the field exists, these read from it what they look for on every server that is known. The
# others read every contact of the account, or what the rest of the rule leaves of them.
SERVED_BY_AN_INDEX = frozenset(
    {
        Operator.IS_EMPTY,
        Operator.IS,
        Operator.IS_ANY_OF,
        Operator.STARTS_WITH,
        Operator.LESS_THAN,
        Operator.AT_MOST,
        Operator.MORE_THAN,
        Operator.AT_LEAST,
        Operator.BETWEEN,
        Operator.ON,
        Operator.BEFORE,
        Operator.AFTER,
        Operator.ON_OR_BEFORE,
        Operator.ON_OR_AFTER,
        Operator.AT_OR_BEFORE,
        Operator.AT_OR_AFTER,
        Operator.HAS_ANY_OF,
        Operator.IN_THE_LAST,
        Operator.IN_THE_NEXT,
        Operator.MORE_THAN_AGO,
        Operator.MORE_THAN_AHEAD,
        Operator.THIS,
        Operator.LAST,
        Operator.NEXT,
        Operator.ANNIVERSARY_TODAY,
        Operator.ANNIVERSARY_IN_THE_NEXT,
        Operator.ANNIVERSARY_IN_THE_LAST,
        Operator.ANNIVERSARY_IN_MONTH,
    }
)

# For each type a field to speak of, and two values of it. An operator's example is about the first type that has it.
_SPOKEN_OF: Mapping[FieldType, tuple[str, Operands]] = {
    FieldType.CHOICE: ("role", ("customer", "partner")),
    FieldType.TEXT: ("city", ("bonn", "ulm")),
    FieldType.EMAIL: ("email", ("ann@example.org", "bob@example.org")),
    FieldType.PHONE: ("phone", ("+12022243441", "+12022243442")),
    FieldType.NUMBER: ("score", (3, 7.5)),
    FieldType.BOOLEAN: ("newsletter", (True, False)),
    FieldType.DATE: ("birthdate", ("1965-01-01", "1989-12-31")),
    FieldType.DATETIME: (
        "last_seen",
        (datetime(2026, 5, 3, 8, tzinfo=UTC), datetime(2026, 5, 10, 8, tzinfo=UTC)),
    ),
    FieldType.TAGS: ("interests", ("shoes", "boots")),
}

# The queries of moving operators are those of this instant.
EXAMPLE_NOW = Now(instant=datetime(2026, 5, 10, 8, tzinfo=UTC), settings=Settings())

_HEAD = ("operator", "field types", "example", "it matches", "without a value", "MongoDB query", "index")


def example(operator: Operator, *, include_missing: bool = True) -> Condition:
    """A condition of this operator; `include_missing` counts for negative ones only."""
    row = operator.value
    # Of dates people speak in other ways than of times at which somebody was last seen.
    type_ = (
        FieldType.DATETIME
        if isinstance(row.means, Moving)
        else next(each for each in _SPOKEN_OF if each in row.types)
    )
    key, values = _SPOKEN_OF[type_]
    match row.reads:
        case Reads.VALUE:
            operands: Operands = values
        case Reads.PART:
            operands = ("bo", "ul")
        case Reads.DOMAIN:
            operands = ("example.org", "example.com")
        case Reads.SPAN:
            operands = (Span(7, Unit.DAY),)
        case Reads.PERIOD:
            operands = (Unit.MONTH,)
        case Reads.MONTH:
            operands = (5,)
        case _:
            assert_never(row.reads)
    count = {Shape.NONE: 0, Shape.ONE: 1, Shape.TWO: 2, Shape.MANY: 2}[row.shape]
    return Condition(
        subject=field_subject(key, type_),
        operator=operator,
        operands=operands[:count],
        include_missing=include_missing if row.negative else None,
    )


def operator_table() -> str:
    """The table in Markdown, one line for each operator."""
    lines = [_HEAD, ("---",) * len(_HEAD), *map(_line, Operator)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _line(operator: Operator) -> tuple[str, ...]:
    row, condition = operator.value, example(operator)
    queries = [_code(_shown(to_query(at(condition, EXAMPLE_NOW))))]
    if row.negative:
        queries.append(f"excluding: {_code(_shown(to_query(example(operator, include_missing=False))))}")
    types = (
        "all"
        if row.types == frozenset(FieldType)
        else ", ".join(each for each in FieldType if each in row.types)
    )
    return (
        _code(row.words),
        types,
        _code(to_text(condition).removesuffix(" including missing")),
        row.doc,
        _without_a_value(condition),
        "<br>".join(queries),
        "yes" if operator in SERVED_BY_AN_INDEX else "no",
    )


def _without_a_value(condition: Condition) -> str:
    if not to_predicate(at(condition, EXAMPLE_NOW))({}):
        return "no match"
    return "match" if condition.include_missing is None else "match, unless `excluding missing`"


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`"


def _shown(value: Any) -> str:
    """A query as the MongoDB shell writes it."""
    match value:
        case dict():
            return f"{{ {', '.join(f'{_key(key)}: {_shown(inner)}' for key, inner in value.items())} }}"
        case list():
            return f"[{', '.join(map(_shown, value))}]"
        case re.Pattern():
            return f"/{value.pattern}/"
        case datetime():
            return f'ISODate("{instant_text(value)}")'
        case _:
            return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return f'"{key}"' if "." in key else key
