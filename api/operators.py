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
