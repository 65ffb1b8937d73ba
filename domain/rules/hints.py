"""What the operands of a rule look like, for whoever offers a place to enter them.

Owns these words, and as which type of value an operand is entered. Whether one can be taken is `build.py`'s to say.

Invariant: every kind of operand of every type has its words. Held by `tests/domain/rules/test_completion.py`.
"""

from __future__ import annotations

from typing import assert_never

from domain.fields import FieldType
from domain.rules.calendar import Unit
from domain.rules.operators import Reads, units_of

UNITS = {
    Unit.MINUTE: "Exact minutes.",
    Unit.HOUR: "Exact hours.",
    Unit.DAY: "Calendar days in the account's time zone; today counts as one.",
    Unit.WEEK: "Seven calendar days each; today counts as one of them.",
    Unit.MONTH: "Calendar months, back or ahead to the same day of the month, or to its last.",
    Unit.YEAR: "Calendar years.",
}

PERIODS = {
    Unit.DAY: "A calendar day in the account's time zone.",
    Unit.WEEK: "A calendar week; it begins on the account's first weekday.",
    Unit.MONTH: "A calendar month.",
    Unit.QUARTER: "January to March, April to June, July to September, or October to December.",
    Unit.YEAR: "A calendar year.",
}


def operand_type(type_: FieldType, reads: Reads) -> FieldType:
    """The type as which an operand is entered, for a field of `type_`."""
    match reads:
        case Reads.VALUE:
            return FieldType.TEXT if type_ is FieldType.TAGS else type_
        case Reads.MONTH:
            return FieldType.NUMBER
        case Reads.PART | Reads.DOMAIN | Reads.SPAN | Reads.PERIOD:
            return FieldType.TEXT
        case _:
            assert_never(reads)


def described(type_: FieldType, reads: Reads) -> str:
    """What an operand looks like in a rule's text."""
    match reads:
        case Reads.PART if type_ is FieldType.PHONE:
            return 'a part of the international form in double quotes, such as "+44"'
        case Reads.PART:
            return 'a part of the text in double quotes, such as "ann"'
        case Reads.DOMAIN:
            return 'a domain in double quotes, such as "example.org"'
        case Reads.SPAN:
            return f"a whole number and a unit ({', '.join(f'{unit}s' for unit in units_of(reads, type_))}), such as 7 days"
        case Reads.PERIOD:
            return f"one of {', '.join(units_of(reads, type_))}"
        case Reads.MONTH:
            return "the number of a month, from 1 for January to 12 for December"
        case Reads.VALUE:
            return _DESCRIBED[type_]
        case _:
            assert_never(reads)


_DESCRIBED = {
    FieldType.TEXT: 'a text in double quotes, such as "Bonn"',
    FieldType.EMAIL: 'an address in double quotes, such as "ann@example.org"',
    FieldType.PHONE: 'a phone number in double quotes, such as "+1 202 224 3441"',
    FieldType.NUMBER: "a number, such as 3 or -0.5",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: "a date, such as 1965-01-31",
    FieldType.DATETIME: "a point in time, such as 2026-05-03T10:00:00+02:00",
    FieldType.CHOICE: "an option in double quotes",
    FieldType.TAGS: 'a tag in double quotes, such as "shoes"',
}
