"""The types of fields, as clients name them."""

from __future__ import annotations

from enum import Enum

import strawberry


@strawberry.enum(description="What kind of value a field holds, and so which operators rules have for it.")
class FieldType(Enum):
    TEXT = strawberry.enum_value(
        "text", description="A text of up to 10,000 characters; compared without regard to case."
    )
    EMAIL = strawberry.enum_value("email", description="An email address.")
    PHONE = strawberry.enum_value(
        "phone", description="A phone number; without a country code, one of the account's region."
    )
    NUMBER = strawberry.enum_value("number", description="A finite number.")
    BOOLEAN = strawberry.enum_value(
        "boolean", description="True or false. Neither is another case than false."
    )
    DATE = strawberry.enum_value("date", description="A civil date such as `1965-01-31`, in no time zone.")
    DATETIME = strawberry.enum_value(
        "datetime",
        description="A point in time such as `2026-05-03T10:00:00+02:00`, always with its offset from UTC.",
    )
    CHOICE = strawberry.enum_value(
        "choice", description="One of the field's options, or any text where it has none."
    )
    TAGS = strawberry.enum_value("tags", description="A set of texts.")
