"""What people write instead of an operator, and what they mean.

Owns one table: each row has what is written from the field's key on, and what to write. It is asked only where a rule is
refused, so no row gives a text a meaning. Held by `tests/domain/rules/test_slips.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from domain.fields import FieldType

_EVERY = frozenset(FieldType)
_TEXTS = frozenset({FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE})
_COMPARED = _TEXTS | {FieldType.NUMBER, FieldType.BOOLEAN, FieldType.CHOICE}
_LISTED = _COMPARED - {FieldType.BOOLEAN}
_NUMBER = frozenset({FieldType.NUMBER})
_DATE = frozenset({FieldType.DATE})
_TIMES = frozenset({FieldType.DATE, FieldType.DATETIME})
_TAGS = frozenset({FieldType.TAGS})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slip:
    written: re.Pattern[str]
    """As it stands behind a field's key, or, for a membership, behind nothing."""
    meant: str
    """A template of the match; `key` in it is the field's."""
    types: frozenset[FieldType] = _EVERY


def _slips(*rows: tuple[str, str, frozenset[FieldType]]) -> tuple[_Slip, ...]:
    key = r"(?P<key>`[^`]*`|\w+)\s*"
    return tuple(
        _Slip(written=re.compile(key + written, re.IGNORECASE), meant=meant, types=types)
        for written, meant, types in rows
    )


_UNIT = r"(?:minute|hour|day|week|month|quarter|year)"
_MONTHS = [date(2000, month, 1).strftime("%B").lower() for month in range(1, 13)]

# Of several that match the first one is told.
_BEHIND_A_KEY = _slips(
    (r"==?\s*(?=null|none|missing)", "Write “is empty”.", _EVERY),
    (r"(?:!=|<>)\s*(?=null|none|missing)", "Write “is not empty”.", _EVERY),
    (r"==?", "Write “is”.", _COMPARED),
    (r"==?", "Write “on”.", _DATE),
    (r"==?", "Write “has any of (…)”.", _TAGS),
    (r"(?:!=|<>)", "Write “is not”.", _COMPARED),
    (r"(?:!=|<>)", "Write “not on”.", _DATE),
    (r"(?:!=|<>)", "Write “has none of (…)”.", _TAGS),
    (r"from\s+(\S+)\s+(?:to|until|till)\s+(\S+)", r"Write “between \2 and \3”.", _NUMBER | _TIMES),
    (r"(?:contain|include|includes|has|like)\b", "Write “contains”.", _TEXTS),
    (r"(?:contain|contains|include|includes|is|have)\b", "Write “has any of (…)”.", _TAGS),
    (
        r"(?:(?:is|are)\s+not|isn't|not)\s+(?:missing|null|blank|unknown)\b",
        "Write “is not empty”.",
        _EVERY,
    ),
    (r"(?:exists|present|known)\b", "Write “is not empty”.", _EVERY),
    (r"(?:is\s+)?(?:missing|null|blank|unknown|empty)\b", "Write “is empty”.", _EVERY),
    (r"is\s+none\s*\Z", "Write “is empty”.", _EVERY),
    (r"not\s+in\s*\(", "Write “is none of (…)”.", _LISTED),
    (r"in\s*\(", "Write “is any of (…)”.", _LISTED),
    (
        rf"within\s+(?:the\s+)?(?:last\s+|next\s+)?([0-9]+\s+{_UNIT}s?)\b",
        r"Write “in the last \2” or “in the next \2”.",
        _TIMES,
    ),
    (r"within\b", "Write “in the last …” or “in the next …”.", _TIMES),
    (
        r"not\s+((?:in\s+the\s+)?(?:last|next)|this|more\s+than|anniversary)\b",
        r"Write “not (\g<key> \2 …)”.",
        _TIMES,
    ),
    (r"(?:is\s+|on\s+|=\s*)?today\b", "Write “this day”.", _TIMES),
    (r"(?:is\s+|on\s+|=\s*)?yesterday\b", "Write “last day”.", _TIMES),
    (r"(?:is\s+|on\s+|=\s*)?tomorrow\b", "Write “next day”.", _TIMES),
    (
        r"(?:is\s+)?on\b",
        "Write “between … and …”, from one point in time to another.",
        frozenset({FieldType.DATETIME}),
    ),
    (
        rf"(?:anniversary\s+)?(in\s+the\s+(?:last|next))\s+(?:\w+\s+)?(?P<unit>{_UNIT})s?\b",
        r"Write a number in digits, such as “\2 1 \g<unit>”.",
        _TIMES,
    ),
    *(
        (
            rf"(?:anniversary\s+)?(?:is\s+)?in\s+(?:month\s+)?{name[:3]}(?:{name[3:]})?\b",
            f"Write “anniversary in month {number}”.",
            _DATE,
        )
        for number, name in enumerate(_MONTHS, start=1)
    ),
    (r"is\b", "Write “on”.", _DATE),
    (r"(?:is\s+)?(?:over|above|(?:more|greater|larger|higher)\s+than)\b", "Write “>”.", _NUMBER),
    (r"(?:is\s+)?(?:under|below|(?:less|fewer|lower|smaller)\s+than)\b", "Write “<”.", _NUMBER),
    (r"(?:is\s+)?at\s+least\b", "Write “>=”.", _NUMBER),
    (r"(?:is\s+)?at\s+most\b", "Write “<=”.", _NUMBER),
)

_MEMBERSHIP = re.compile(r"in\s+(?:the\s+)?(group|segment)(\s+\"(?:[^\"\\]|\\.)*\")?", re.IGNORECASE)

# Curly ones, low ones, guillemets, and single ones.
_QUOTES = r"\u2018-\u201a\u201c-\u201f\u00ab\u00bb'"
_OTHER_QUOTES = re.compile(rf"[{_QUOTES}]([^{_QUOTES}\"\n]{{1,60}})")


def meant(text: str, begins: int | None, type_: FieldType | None, at: int) -> str | None:
    """What to write instead, where a text cannot go on `at` a place; what stands there belongs to what `begins` there.

    That is a condition on a field of `type_`, or a membership.
    """
    if (quoted := _OTHER_QUOTES.match(text, at)) is not None:
        return f'Use straight quotes: "{quoted[1]}".'
    if begins is None:
        return None
    if type_ is None:
        found = _MEMBERSHIP.match(text, begins)
        return None if found is None else f"Write “in any of ({found[1].lower()}{found[2] or ' …'})”."
    return next(_found(text, begins, type_, at), None)


def _found(text: str, begins: int, type_: FieldType, at: int) -> Iterator[str]:
    for slip in _BEHIND_A_KEY:
        if type_ in slip.types:
            found = slip.written.match(text, begins)
            # What ends before that place is no slip: it could be read.
            if found is not None and (found.end() > at or at == len(text)):
                yield found.expand(slip.meant)
