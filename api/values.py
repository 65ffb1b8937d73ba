"""The scalar of attribute values: JSON-like, each by its field's type."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError

AttributeValue = NewType("AttributeValue", object)


def _give(value: Any) -> Any:
    """A stored value as JSON. What another program stored in some other form is given as text."""
    match value:
        case str() | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case list():
            return [_give(item) for item in value]
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


def _take(value: Any) -> Any:
    """What a caller gave, as far as some field could hold it; whether this one can is the field's to say."""
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | bool | int | float) for item in items):
        raise GraphQLError("A text, a number, true or false, or a list of texts is wanted here.")
    return value


ATTRIBUTE_VALUE = strawberry.scalar(
    name="AttributeValue",
    description='The value of one attribute, by its field\'s type: text, choice, email, phone, date (`"1965-01-01"`) and datetime '
    "(ISO 8601 with offset) are strings, number a number, boolean a boolean, tags a list of strings. A value that was entered "
    "while the field had another type stays as it was entered. A field without a value is not listed; `attribute(key)` is then "
    "null.",
    serialize=_give,
    parse_value=_take,
)
