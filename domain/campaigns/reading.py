"""Reading: what somebody replied, as a value of the field that was asked for.

Pure. Owns what people may mean by a text. What can be read in one way is that; what can be read in several, as 03/05/90, is given
back as all of them, and never guessed at; in what is left nothing is found. A year of two digits is every year that it can be,
from 100 years ago to 10 years ahead. What stands below in the mail that is answered is not read. Held by
`tests/domain/campaigns/test_reading.py`.

Cost: bounded by `LONGEST_READ` characters. A date in words takes some ten milliseconds and an odd text a hundred times that, so
texts are read off the loop (`replies`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime
from typing import Any, assert_never

import phonenumbers

from domain.errors import InvalidValue
from domain.fields import Entry, Field, FieldType, Settings, fold, normalize, reread

LONGEST_READ = 500
LONGEST_DATE = 200
MOST_READINGS = 10

Readings = tuple[Entry, ...]
"""What a text may mean: one where there is no doubt, none where nothing is found."""

_QUOTED = re.compile(
    r"^(>|on .{5,200} wrote:|am .{5,200} schrieb .*:|le .{5,200} a écrit ?:|-{2,} ?(original|forwarded) message|_{10,}|from: )",
    re.IGNORECASE,
)

_LANGUAGES = ["en", "de", "fr", "es", "it", "nl", "pt"]
_WHOLE_DATES: Any = {
    "STRICT_PARSING": True,
    "REQUIRE_PARTS": ["day", "month", "year"],
    "PARSERS": ["absolute-time"],
    "RETURN_AS_TIMEZONE_AWARE": False,
}
_YEAR_FIRST = re.compile(r"(?<![\w./-])(\d{4})([-/. ])(\d{1,2})\2(\d{1,2})(?![\w/]|[.-]\d)")
_YEAR_LAST = re.compile(r"(?<![\w./-])(\d{1,2})([-/. ])\s?(\d{1,2})\2\s?(\d{4}|\d{2})(?![\w/]|[.-]\d)")
_FOUR_DIGITS = re.compile(r"\d{4}")
_TWO_DIGITS = re.compile(r"(?<!\d)\d{2}(?!.*\d)")
_TIME = re.compile(r"\b(\d{1,2})[:.h](\d{2})(?:\s*([ap])\.?m\.?)?\b", re.IGNORECASE)

_NUMBER = re.compile(r"(?<![\w.,:/])[+-]?\d[\d.,]*\d|(?<![\w.,:/])[+-]?\d")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:([.,])\d{3})(?:\1\d{3})*(?:([.,])\d+)?")
_PLAIN = re.compile(r"[+-]?\d+(?:([.,])\d+)?")

_YES = {"yes", "y", "yeah", "yep", "yup", "true", "sure", "ja", "oui", "si", "sí", "sim"}
_NO = {"no", "n", "nope", "nah", "false", "nein", "non", "nee", "não"}
_DOUBT = {"not", "don't", "dont", "never", "maybe", "perhaps", "but", "unless", "if"}
_WORDS = re.compile(r"[\w']+")

_EMAIL = re.compile(r"[^\s<>()\[\]\",;:]+@[^\s<>()\[\]\",;:]+")


def read_reply(text: str, field: Field, settings: Settings, today: date) -> Readings:
    """What the text may mean, at most `MOST_READINGS`."""
    own = unquoted(text)
    if not own or "\0" in own:
        return ()
    if field.type in (FieldType.TEXT, FieldType.TAGS) or (
        field.type is FieldType.CHOICE and not field.options
    ):
        return _entries(field, [_tags(own) if field.type is FieldType.TAGS else own], settings)
    if len(own) > (LONGEST_DATE if field.type in (FieldType.DATE, FieldType.DATETIME) else LONGEST_READ):
        # Nobody who was asked for a birthdate answers at such length; what is found there may be anything.
        return ()
    match field.type:
        case FieldType.DATE:
            return _entries(field, (day.isoformat() for day in _dates(own, today)), settings)
        case FieldType.DATETIME:
            return _datetimes(field, own, settings, today)
        case FieldType.NUMBER:
            return _entries(field, _numbers(own), settings)
        case FieldType.BOOLEAN:
            return _entries(field, _answers(own), settings)
        case FieldType.EMAIL:
            return _entries(field, (found.rstrip(".!?'") for found in _EMAIL.findall(own)), settings)
        case FieldType.PHONE:
            return _entries(field, _phones(own, settings), settings)
        case FieldType.CHOICE:
            return _entries(field, _options(own, field.options), settings)
        case _:
            assert_never(field.type)


def unquoted(text: str) -> str:
    """What whoever replied has written, without what a mail program puts below it."""
    lines = []
    for line in text.strip().splitlines():
        if _QUOTED.match(line.strip()) or line in ("-- ", "--"):
            break
        lines.append(line)
    return "\n".join(lines).strip()


def _entries(field: Field, values: Iterable[Any], settings: Settings) -> Readings:
    """Those that the field takes, each meaning once."""
    found: dict[str, Entry] = {}
    for value in values:
        with suppress(InvalidValue):
            entry = normalize(field, value, settings)
            if entry is not None:
                found.setdefault(repr(entry.normal), entry)
        if len(found) == MOST_READINGS:
            break
    return tuple(found.values())


# ---- dates -------------------------------------------------------------------------------------------------------------


def _dates(text: str, today: date) -> Iterator[date]:
    """Every day that it may name, in order. Of a text that names several, all of them."""
    rest = text
    for found in _YEAR_FIRST.finditer(text):
        rest = rest.replace(found[0], " | ")
        yield from _days([int(found[1])], [(int(found[3]), int(found[4]))])
    for found in _YEAR_LAST.finditer(rest):
        rest = rest.replace(found[0], " | ")
        first, second = int(found[1]), int(found[3])
        yield from _days(_years(found[4], today), [(first, second), (second, first)])
    if not any(letter.isdigit() for letter in rest):
        return
    for part in rest.split("|"):
        for words, moment in _in_words(part):
            short = None if _FOUR_DIGITS.search(words) else _TWO_DIGITS.search(words)
            years = [moment.year] if short is None else _years(short[0], today)
            yield from _days(years, [(moment.month, moment.day)])


def _in_words(text: str) -> list[tuple[str, datetime]]:
    """The days that stand in it in words, each with its words."""
    # Here, because importing it takes half a second, and most processes never read a date in words.
    from dateparser.search import search_dates  # noqa: PLC0415

    try:
        return search_dates(text, languages=_LANGUAGES, settings=_WHOLE_DATES) or []
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        # What it looks for it cuts out of the text by guesses, which come to odd ends in odd texts.
        return []


def _years(digits: str, today: date) -> list[int]:
    if len(digits) == 4:
        return [int(digits)]
    return [
        century + int(digits)
        for century in range((today.year - 100) // 100 * 100, today.year + 11, 100)
        if today.year - 100 <= century + int(digits) <= today.year + 10
    ]


def _days(years: Iterable[int], months_and_days: Iterable[tuple[int, int]]) -> Iterator[date]:
    days = set()
    for year in years:
        for month, day in months_and_days:
            with suppress(ValueError):
                days.add(date(year, month, day))
    yield from sorted(days)


def _datetimes(field: Field, text: str, settings: Settings, today: date) -> Readings:
    """A point in time as an import takes it, or a day and a time in the account's time zone."""
    with suppress(InvalidValue):
        entry = reread(field, text, settings)
        if entry is not None:
            return (entry,)
    times = _TIME.findall(text)
    if len(times) != 1:
        return ()
    hour, minute, half = times[0]
    hours = int(hour) % 12 + (12 if half.lower() == "p" else 0) if half else int(hour)
    entries = []
    for day in _dates(_TIME.sub(" ", text), today):
        with suppress(InvalidValue):
            entry = reread(field, f"{day}T{hours:02}:{minute}", settings)
            if entry is not None:
                entries.append(entry)
    return tuple({repr(entry.normal): entry for entry in entries[:MOST_READINGS]}.values())


# ---- everything else ---------------------------------------------------------------------------------------------------


def _numbers(text: str) -> Iterator[int | float]:
    """Every number that it may name. A sign and three digits behind it may mean thousands, or thousandths."""
    for found in _NUMBER.finditer(text):
        digits = found[0]
        behind = text[found.end() : found.end() + 1]
        if behind and (behind.isalnum() or behind in "/:"):
            # A part of something else: of 3k, of 10:30.
            continue
        plain, grouped = _PLAIN.fullmatch(digits), _GROUPED.fullmatch(digits)
        if plain:
            yield _number(digits.replace(",", "."))
        if grouped and grouped[1] != grouped[2]:
            yield _number(digits.replace(grouped[1], "").replace(",", "."))


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _answers(text: str) -> Iterator[bool]:
    words = set(_WORDS.findall(fold(text)))
    said = [answer for answer, known in ((True, _YES), (False, _NO)) if words & known]
    if said and words & _DOUBT:
        # “Yes, but not before Christmas.”
        yield from (True, False)
    else:
        yield from said


def _phones(text: str, settings: Settings) -> Iterator[str]:
    matcher = phonenumbers.PhoneNumberMatcher(text, settings.region, leniency=phonenumbers.Leniency.POSSIBLE)
    for found in matcher:
        yield phonenumbers.format_number(found.number, phonenumbers.PhoneNumberFormat.E164)


def _options(text: str, options: tuple[str, ...]) -> Iterator[str]:
    """Those that stand in it as whole words; the longer one where one stands within another."""
    folded = fold(text)
    stand = {
        option: [found.span() for found in re.finditer(rf"(?<!\w){re.escape(fold(option))}(?!\w)", folded)]
        for option in options
    }
    spans = [span for found in stand.values() for span in found]
    for option, found in stand.items():
        if any(not any(_within(span, other) for other in spans) for span in found):
            yield option


def _within(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span != other and other[0] <= span[0] and span[1] <= other[1]


def _tags(text: str) -> list[str]:
    parts = re.split(r"[;,\n]|\band\b|\bund\b|&", text)
    return [part.strip(" .!") for part in parts if part.strip(" .!")]
