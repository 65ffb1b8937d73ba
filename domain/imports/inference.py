"""Inference: which type a column has, by its cells.

Pure. A column gets the narrowest type that every one of its filled cells fits: boolean, number, date, datetime, email, phone,
then text; a date in whatever form people write it (`dates`); tags in place of text where the separator stands in at least one
filled cell of twenty. Stricter than what a field takes when it is told its type, for a type must not cost anything: `01234` is a
postal code and not 1234, `0` and `1` are numbers and not answers, `12E3` is an article and not 12,000.

Invariant: what a column's type was inferred from, its field takes. Memory: a few numbers for a column.
Held by `tests/domain/imports/test_inference.py`.
"""

from __future__ import annotations

import re

from domain.errors import InvalidValue
from domain.fields import Field, FieldType, Settings, parse_cell
from domain.imports.dates import DateGuess, readings

_NARROW: tuple[FieldType, ...] = (
    FieldType.BOOLEAN,
    FieldType.NUMBER,
    FieldType.DATE,
    FieldType.DATETIME,
    FieldType.EMAIL,
    FieldType.PHONE,
)
_PROBES = {type: Field(key="probe", label="Probe", type=type) for type in _NARROW}

# What each type's cells look like. The field decides; this keeps out what it would take and what is not meant.
_SHAPES = {
    FieldType.BOOLEAN: re.compile(r"[a-z]{1,5}", re.IGNORECASE),
    # No leading zero, no “+” before the many digits of a phone number, no exponent without a sign.
    FieldType.NUMBER: re.compile(
        r"(?:\+(?![0-9]{7})|-)?(?!0[0-9])[0-9,]*(?:\.[0-9]*)?(?:[eE][+-][0-9]+)?",
    ),
    FieldType.EMAIL: re.compile(r"[^@]+@[^@]+"),
    # Digits with something between them, neither a date (03.05.1990) nor an address of a computer (192.168.10.100).
    FieldType.PHONE: re.compile(
        r"(?![0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}$)(?!(?:[0-9]{1,3}\.){3}[0-9]{1,3}$)"
        r"(?=(?:[^0-9]*[0-9]){7})\+?[(0-9][0-9\s()./-]*(?:(?:ext\.?|x|\#)\s*[0-9]{1,7})?",
        re.IGNORECASE,
    ),
}
_LONGEST_NARROW = 500


class ColumnGuess:
    """What the cells of one column, seen one after the other, leave possible."""

    __slots__ = ("_days", "_only_digits", "_possible", "_separated", "_separator", "_settings", "filled")

    def __init__(self, settings: Settings, *, separator: str) -> None:
        self._settings = settings
        self._days: DateGuess | None = DateGuess()
        self._separator = separator
        self._possible = _NARROW
        self._separated = 0
        self._only_digits = True
        self.filled = 0

    def see(self, cell: str) -> None:
        """Take in the next cell of the column."""
        text = cell.strip()
        if not text:
            return
        self.filled += 1
        if self._separator in cell:
            self._separated += 1
        if self._possible:
            if self._days is not None and not self._days.see(text):
                self._days = None
            self._possible = tuple(type for type in self._possible if self._fits(type, text))
            self._only_digits = self._only_digits and text.isdigit()

    def _fits(self, type: FieldType, text: str) -> bool:
        if type is FieldType.DATE or type is FieldType.DATETIME:
            # The order is not known yet; whatever it is, the field takes what that makes of the cell.
            return (
                self._days is not None
                and not (type is FieldType.DATE and self._days.timed)
                and all(_takes(type, iso, self._settings) for iso in readings(text).values())
            )
        return (
            len(text) <= _LONGEST_NARROW
            and bool(_SHAPES[type].fullmatch(text))
            and _takes(type, text, self._settings)
        )

    @property
    def dates(self) -> DateGuess | None:
        """What the cells leave of the order of days and months; None where they are no dates."""
        return self._days if self.filled else None

    @property
    def type(self) -> FieldType:
        """The type that the cells so far call for; text for a column without any."""
        if self.filled:
            for type in self._possible:
                # A column of nothing but digits that is no number has leading zeros, or too many digits: no phone numbers.
                if not (type is FieldType.PHONE and self._only_digits):
                    return type
            if self._separated * 20 >= self.filled:
                return FieldType.TAGS
        return FieldType.TEXT


def _takes(type: FieldType, text: str, settings: Settings) -> bool:
    try:
        return parse_cell(_PROBES[type], text, settings) is not None
    except InvalidValue:
        return False
