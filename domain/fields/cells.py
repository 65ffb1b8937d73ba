"""Cells: the texts of a spreadsheet as entries of fields.

Owns what an import takes beyond the API: digits in groups, yes and no, tags in one cell, and times without an offset, which
are read in the account's time zone. An explicit type is taken at its word (`01234` in a number field is 1234); what type a
column *should* have is the import's question.

Invariant: what a cell stores as entered, the API would take. Held by `tests/domain/fields/test_cells.py`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import assert_never

from domain.errors import InvalidValue
from domain.fields.definitions import Field, FieldType
from domain.fields.folding import fold
from domain.fields.normal import Entry, normal_datetime, normal_number, normalize, states_offset
from domain.fields.settings import Settings

_WHOLE = re.compile(r"[+-]?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,4})?")
_BOOLEANS = {
    "yes": True,
    "true": True,
    "1": True,
    "y": True,
    "no": False,
    "false": False,
    "0": False,
    "n": False,
}
_DAY_ONLY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOST_DIGITS = 1_000


def parse_cell(field: Field, text: str, settings: Settings, *, separator: str = ";") -> Entry | None:
    """The entry of a cell in `field`; None where it is empty. `separator` stands between the tags of one cell."""
    if not text.strip() and "\0" not in text:
        return None
    match field.type:
        case FieldType.TEXT | FieldType.EMAIL | FieldType.PHONE | FieldType.CHOICE:
            return normalize(field, text, settings)
        case FieldType.DATE:
            return normalize(field, text.strip(), settings)
        case FieldType.TAGS:
            return normalize(field, [tag.strip() for tag in text.split(separator)], settings)
        case FieldType.NUMBER:
            number = _number(text.strip())
            return Entry(entered=number, normal=number)
        case FieldType.BOOLEAN:
            answer = _BOOLEANS.get(fold(text[:20]))
            if answer is None:
                raise InvalidValue(f"“{text[:60]}” is neither yes nor no (or true, false, 1, 0, y, n).")
            return Entry(entered=answer, normal=answer)
        case FieldType.DATETIME:
            return _datetime(text.strip(), settings)
        case _:
            assert_never(field.type)


def _number(text: str) -> int | float:
    # The bound keeps Python from refusing, or taking its time over, an integer of many thousand digits.
    if len(text) <= _MOST_DIGITS:
        if _WHOLE.fullmatch(text):
            return normal_number(int(text.replace(",", "")))
        if _DECIMAL.fullmatch(text) and any(
            digit in text.lower().partition("e")[0] for digit in "0123456789"
        ):
            return normal_number(float(text.replace(",", "")))
    raise InvalidValue(f"“{text[:60]}” is not a number; one such as 1250.5 or 1,250.50 is wanted.")


def _datetime(text: str, settings: Settings) -> Entry:
    whole = f"{text}T00:00" if _DAY_ONLY.fullmatch(text) else text
    instant = normal_datetime(whole, zone=settings.zone)
    if states_offset(whole):
        return Entry(entered=whole, normal=instant)
    # What is kept must not change its meaning when the account's time zone is changed: the offset is written down. Local
    # mean times before standard time have odd seconds, which no ISO offset shows; those are kept in UTC.
    local = instant.astimezone(settings.zone)
    odd = (local.utcoffset() or timedelta()) % timedelta(minutes=1)
    kept = (instant if odd else local).isoformat(timespec="milliseconds").replace(".000", "")
    return Entry(entered=kept, normal=instant)
