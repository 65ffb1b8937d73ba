"""Operators as clients see them: an enumeration printed from the table of operators, and the shapes of what they compare with.

Held by `tests/api/test_rules.py`, which compares it with the table.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import strawberry

from domain.rules.operators import Operator as StoredOperator

if TYPE_CHECKING:

    class Operator(Enum):
        """One value for each row of the table: an operator is part of the schema as soon as it has a row."""

else:
    Operator = strawberry.enum(
        Enum(
            "Operator",
            {
                operator.name: strawberry.enum_value(
                    operator.name, description=f"`{operator.value.words}`: {operator.value.doc}"
                )
                for operator in StoredOperator
            },
        ),
        description="What a condition asks of a value. Each has the words by which the text form says it.",
    )


@strawberry.enum(description="How many values an operator compares with.")
class OperandShape(Enum):
    NONE = strawberry.enum_value("none", description="None.")
    ONE = strawberry.enum_value("one", description="One: `value`.")
    TWO = strawberry.enum_value("two", description="Two, the lower one first: `values`. As text: `x and y`.")
    MANY = strawberry.enum_value(
        "many", description="A list of one at least: `values`. As text: `(x, y, z)`."
    )


@strawberry.enum(description="What the values are that an operator compares with.")
class OperandKind(Enum):
    VALUE = strawberry.enum_value(
        "value", description="Values that the field itself can hold; of tags, single tags."
    )
    PART = strawberry.enum_value("part", description="Parts of the field's text.")
    DOMAIN = strawberry.enum_value("domain", description="Domains of email addresses.")
    SPAN = strawberry.enum_value(
        "span",
        description="Lengths of time: a whole number and one of the operator's `units`, as the text `7 days`.",
    )
    PERIOD = strawberry.enum_value(
        "period", description="Periods of the calendar: one of the operator's `units`, as the text `month`."
    )
    MONTH = strawberry.enum_value("month", description="Months of the year by number, 1 to 12.")


@strawberry.enum(description="A unit of time.")
class TimeUnit(Enum):
    MINUTE = strawberry.enum_value("minute", description="An exact minute.")
    HOUR = strawberry.enum_value("hour", description="An exact hour.")
    DAY = strawberry.enum_value("day", description="A calendar day in the account's time zone.")
    WEEK = strawberry.enum_value(
        "week", description="Seven days; as a period, from the account's first weekday on."
    )
    MONTH = strawberry.enum_value("month", description="A calendar month.")
    QUARTER = strawberry.enum_value(
        "quarter", description="Three calendar months from January, April, July or October on."
    )
    YEAR = strawberry.enum_value("year", description="A calendar year.")
