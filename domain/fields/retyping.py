"""Retyping: a value that was entered while its field had another type, as the type that it has now reads it.

Pure. Owns what of one type makes sense as another: what people would have meant by it, had the field been of the new type from
the beginning. A text is read as an import reads a cell, anything else by its plain spelling. Refuses with `InvalidValue` what
makes no sense: `true` is no date.

Invariant: what the type takes anyway is read as it takes it. Held by `tests/domain/fields/test_retyping.py`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from domain.errors import InvalidValue
from domain.fields.cells import parse_cell
from domain.fields.definitions import Field, FieldType
from domain.fields.normal import Entry, normal_datetime, normal_number, normalize
from domain.fields.settings import Settings

_LIST = re.compile(r"[;\r\n]")


def reread(field: Field, value: Any, settings: Settings) -> Entry | None:
    """The entry of a value of whatever type; None where it is empty. Raises `InvalidValue`, which says why it cannot be."""
    match value:
        case None:
            return None
        case str():
            return _read_text(field, value, settings)
        case list():
            return _read_list(field, value, settings)
        case bool() if field.type is FieldType.NUMBER:
            return normalize(field, int(value), settings)
        case int() | float():
            if field.type is FieldType.NUMBER:
                return normalize(field, value, settings)
            return _read_text(field, _spelled(value), settings)
        case _:
            raise InvalidValue("This is of a kind that no field holds.")


def _read_text(field: Field, text: str, settings: Settings) -> Entry | None:
    match field.type:
        case FieldType.TAGS:
            # What is written as a list has semicolons or lines of its own; else the commas are what makes it one.
            parts = _LIST.split(text) if _LIST.search(text) else text.split(",")
            return normalize(field, [part.strip() for part in parts], settings)
        case FieldType.DATE:
            return parse_cell(field, _day(text, settings) or text, settings)
        case _:
            return parse_cell(field, text, settings)


def _read_list(field: Field, values: list[Any], settings: Settings) -> Entry | None:
    if field.type is FieldType.TAGS:
        return normalize(field, values, settings)
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if field.type is FieldType.TEXT:
        return _read_text(field, "; ".join(texts), settings)
    if len(texts) > 1:
        raise InvalidValue(f"These are {len(texts):,} texts; a field of type {field.type} holds one value.")
    return _read_text(field, texts[0], settings) if texts else None


def _day(text: str, settings: Settings) -> str | None:
    """The account's calendar day of a point in time; None where the text is none."""
    try:
        instant = normal_datetime(text.strip(), zone=settings.zone)
        return instant.astimezone(settings.zone).date().isoformat()
    except (InvalidValue, OverflowError):
        return None


def _spelled(value: float) -> str:
    """As people write it: no exponent, and nothing behind a whole number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    number = normal_number(value)
    return str(number) if isinstance(number, int) else format(Decimal(repr(number)), "f")
