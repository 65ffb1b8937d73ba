"""Dates: the forms in which people write days and times into spreadsheets, read as ISO text.

Pure. Year first (1990-05-03, 1990/5/3, 19900503), day or month first (03.05.1990, 5/3/90), with the month's English name (3 May
1990, May 3rd, 1990), each with a time behind it or without (10:30, 1:05 PM). Points stand between day, month and year in that order
only; with strokes or hyphens the order is either, and only a whole column can tell: 25/12/1990 has its day first. Two digits of a
year are read as spreadsheets do: 30 to 99 are of the last century.

Invariant: what is read is what was meant under the order given, or is left as it was. Held by `tests/domain/imports/test_dates.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum


class DateOrder(StrEnum):
    """What stands first where a day and a month are both written as numbers."""

    DAY_FIRST = "day_first"
    MONTH_FIRST = "month_first"


_ORDERS = tuple(DateOrder)  # an enumeration takes its time to be gone through

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_SPELLED = {name: number for names in (_MONTHS, _NAMES) for number, name in enumerate(names, 1)} | {"sept": 9}

_TIME = (
    r"(?:(?:\s*,\s*|\s+|T)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?P<fraction>[.,][0-9]{1,9})?)?"
    r"\s?(?P<half>[AaPp]\.?[Mm]\.?)?\s?(?P<offset>[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_YEAR = r"(?P<year>[0-9]{4}|[0-9]{2})"
_YEAR_FIRST = re.compile(r"(?P<year>[0-9]{4})([./-])(?P<month>[0-9]{1,2})\2(?P<day>[0-9]{1,2})" + _TIME)
# As programs write it. A new column of nothing else is one of numbers, unless somebody says that they are dates.
_PACKED = re.compile(r"(?P<year>(?:19|20)[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})" + _TIME)
_YEAR_LAST = re.compile(
    r"(?P<one>[0-9]{1,2})(?P<between>[./-])(?P<two>[0-9]{1,2})(?P=between)" + _YEAR + _TIME
)
_NAMED = (
    re.compile(
        r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th|\.)?[ -]?(?P<name>[A-Za-z]{3,9})\.?,?[ -]" + _YEAR + _TIME
    ),
    re.compile(r"(?P<name>[A-Za-z]{3,9})\.? (?P<day>[0-9]{1,2})(?:st|nd|rd|th)?,? " + _YEAR + _TIME),
)
_LONGEST = 60
_LAST_OF_THIS_CENTURY = 29


def readings(text: str) -> dict[DateOrder, str]:
    """What a cell says under each order, as ISO text; empty where it is no date under any."""
    text = text.strip()
    if len(text) > _LONGEST or not text[:1].isalnum():
        return {}
    if (found := _YEAR_FIRST.fullmatch(text) or _PACKED.fullmatch(text)) is not None:
        return _both(_iso(found, found["month"], found["day"]))
    if (found := _YEAR_LAST.fullmatch(text)) is not None:
        read = {DateOrder.DAY_FIRST: _iso(found, found["two"], found["one"])}
        if found["between"] != ".":
            read[DateOrder.MONTH_FIRST] = _iso(found, found["one"], found["two"])
        return {order: iso for order, iso in read.items() if iso is not None}
    for form in _NAMED:
        if (found := form.fullmatch(text)) is not None:
            month = _SPELLED.get(found["name"].lower())
            return {} if month is None else _both(_iso(found, str(month), found["day"]))
    return {}


def to_iso(text: str, order: DateOrder | None) -> str:
    """The cell as ISO text, or as it is where it is no date, or one that could mean either while `order` is not known."""
    read = readings(text)
    if order is not None:
        return read.get(order, text)
    return next(iter(read.values())) if len(set(read.values())) == 1 else text


class DateGuess:
    """What the cells of one column, seen one after the other, leave of the order."""

    __slots__ = ("_differ", "_possible", "timed")

    def __init__(self) -> None:
        self._possible = set(DateOrder)
        self._differ = False
        self.timed = False
        """Whether any of them has a time of the day."""

    def see(self, text: str) -> bool:
        """Take in the next filled cell. Whether it is a date under some order that all others so far have, too."""
        return self.take(readings(text))

    def take(self, read: Mapping[DateOrder, str]) -> bool:
        """As `see`, for who has its readings already."""
        self._possible &= read.keys()
        self._differ |= len(set(read.values())) > 1
        self.timed |= any("T" in iso for iso in read.values())
        return bool(self._possible)

    @property
    def order(self) -> DateOrder | None:
        """The order that the cells call for; None where they leave it open, or contradict each other."""
        if len(self._possible) == 2:
            return None if self._differ else DateOrder.DAY_FIRST
        return next(iter(self._possible), None)

    @property
    def is_open(self) -> bool:
        """Whether both orders read every cell, and not the same out of it."""
        return len(self._possible) == 2 and self._differ


def _both(iso: str | None) -> dict[DateOrder, str]:
    return {} if iso is None else dict.fromkeys(_ORDERS, iso)


def _iso(found: re.Match[str], month: str, day: str) -> str | None:
    year = int(found["year"])
    if len(found["year"]) == 2:
        year += 2000 if year <= _LAST_OF_THIS_CENTURY else 1900
    try:
        text = date(year, int(month), int(day)).isoformat()
    except ValueError:
        return None
    if found["hour"] is None:
        return text
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    if found["half"] is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"][0] in "Pp" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    fraction = (found["fraction"] or "").replace(",", ".")
    return f"{text}T{hour:02}:{minute:02}:{second:02}{fraction}{found['offset'] or ''}"
