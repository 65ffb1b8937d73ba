"""The normal form: what rules look at instead of what was entered.

Owns RULES.md section 1 for values that arrive through the API: JSON-like Python. Operands of rules go the same way.
Refuses by `InvalidValue`; empty on entry (nothing, white space, an empty list) is no value, so there is one kind of
emptiness.

Invariant: the normal form of a normal form is itself. Held by `tests/domain/fields/test_normal.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, NamedTuple, assert_never

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from domain.errors import InvalidValue
from domain.fields.definitions import Field, FieldType
from domain.fields.folding import fold
from domain.fields.settings import Settings

Normal = str | int | float | bool | datetime | list[str]

LONGEST_TEXT = 10_000
MOST_TAGS = 1_000
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_DATETIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r"([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
# Words of letters and digits before the “@”, with single points, hyphens and the like between them, which are an address wherever
# any is. Whatever else there can be, and how long it may be, is left to the library.
_PLAIN_EMAIL = re.compile(r"[a-z0-9]+(?:[._+-][a-z0-9]+)*@([a-z0-9.-]+)")
LONGEST_PLAIN_EMAIL = 64


class Entry(NamedTuple):
    """A value as a contact keeps it: as entered, what rules read, and for a date the day of the year ("MM-DD")."""

    entered: Any
    normal: Normal
    anniversary: str | None = None


def normalize(field: Field, value: Any, settings: Settings) -> Entry | None:
    """The entry of `value` in `field`; None where it is empty. `InvalidValue` says what would be taken instead."""
    if value is None or value == [] or (isinstance(value, str) and not value.strip() and "\0" not in value):
        return None
    match field.type:
        case FieldType.TEXT:
            return _text_entry(value, normal_text)
        case FieldType.EMAIL:
            return _text_entry(value, normal_email)
        case FieldType.PHONE:
            return _text_entry(value, lambda text: normal_phone(text, settings))
        case FieldType.CHOICE:
            return _text_entry(value, lambda text: normal_choice(text, field.options))
        case FieldType.NUMBER:
            return Entry(entered=value, normal=normal_number(value))
        case FieldType.BOOLEAN:
            if not isinstance(value, bool):
                raise InvalidValue(f"{_shown(value)} is neither true nor false.")
            return Entry(entered=value, normal=value)
        case FieldType.DATE:
            day = normal_date(value)
            return Entry(entered=value, normal=day, anniversary=day[5:])
        case FieldType.DATETIME:
            return Entry(entered=value, normal=normal_datetime(value))
        case FieldType.TAGS:
            return _tags_entry(value)
        case _:
            assert_never(field.type)


def _text_entry(value: Any, normal: Callable[[str], str]) -> Entry | None:
    if not isinstance(value, str):
        raise InvalidValue(f"{_shown(value)} is not a text; a text is wanted here.")
    folded = normal(value)
    return Entry(entered=value, normal=folded) if folded else None


def _tags_entry(value: Any) -> Entry | None:
    if not isinstance(value, list):
        raise InvalidValue(f"{_shown(value)} is not a list; a list of texts is wanted here.")
    spelled: dict[str, str] = {}
    for position, tag in enumerate(value):
        if not isinstance(tag, str):
            raise InvalidValue(f"{_shown(tag)} is not a text; each tag is one.", path=(position,))
        folded = normal_text(tag)
        if folded:
            spelled.setdefault(folded, tag)
    if len(spelled) > MOST_TAGS:
        raise InvalidValue(
            f"{len(spelled):,} tags are too many; a contact's field holds {MOST_TAGS:,} at most."
        )
    return Entry(entered=list(spelled.values()), normal=sorted(spelled)) if spelled else None


def normal_text(text: str) -> str:
    """Folded text; "" where nothing but white space is there."""
    if len(text) > LONGEST_TEXT:
        raise InvalidValue(f"{len(text):,} characters are too many; a text has {LONGEST_TEXT:,} at most.")
    if "\0" in text:
        raise InvalidValue("A text cannot contain the NUL character.")
    folded = fold(text)
    if len(folded) > LONGEST_TEXT:
        # Some characters fold to many (U+FDFA to 18), and an operand in normal form must be taken again.
        raise InvalidValue(f"Written out in full, this has more than {LONGEST_TEXT:,} characters.")
    if not folded.isascii():
        try:
            folded.encode()
        except UnicodeEncodeError:
            raise InvalidValue(
                "This text holds half a character (a lone surrogate), which cannot be stored."
            ) from None
    return folded


def normal_email(text: str) -> str:
    folded = normal_text(text)
    plain = len(folded) <= LONGEST_PLAIN_EMAIL and _PLAIN_EMAIL.fullmatch(folded)
    if plain and _is_domain(plain[1]):
        return folded
    try:
        validate_email(folded, check_deliverability=False)
    except EmailNotValidError as error:
        raise InvalidValue(f"{_shown(text)} is not an email address. {error}") from None
    return folded


@lru_cache(maxsize=4096)
def _is_domain(name: str) -> bool:
    """Whether there are addresses at it. Remembered, for nearly all the time of an address goes into that, and many share one."""
    try:
        validate_email(f"a@{name}", check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


def normal_phone(text: str, settings: Settings) -> str:
    folded = normal_text(text)
    try:
        number = phonenumbers.parse(folded, settings.region)
        possible = phonenumbers.is_possible_number(number)
        normal = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if number.italian_leading_zero:
            # Some countries know no such zeros: what is read of them there is another number when it is read again.
            possible = possible and phonenumbers.parse(normal) == number
    except phonenumbers.NumberParseException:
        possible = False
    if not possible:
        raise InvalidValue(
            f"{_shown(text)} is not a possible phone number. Without a leading “+” and country code it is read as one"
            f" of the region {settings.region}."
        )
    return normal


@lru_cache(maxsize=1024)
def _folded_options(options: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(fold, options))


def normal_choice(text: str, options: tuple[str, ...]) -> str:
    folded = normal_text(text)
    if options and folded not in _folded_options(options):
        raise InvalidValue(f"{_shown(text)} is not among the options, which are {_listed(options)}.")
    return folded


def normal_number(value: Any) -> int | float:
    """An int64, or a finite double that is no int64: 3.0 and 3 are one number, and -0.0 is 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidValue(f"{_shown(value)} is not a number.")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidValue("A finite number is wanted; this is none.")
        if not value.is_integer() or not INT64_MIN <= value < 2.0**63:
            return value
    whole = int(value)
    if not INT64_MIN <= whole <= INT64_MAX:
        raise InvalidValue(f"A whole number lies between {INT64_MIN} and {INT64_MAX}; this one does not.")
    return whole


def normal_date(value: Any) -> str:
    """The civil date as ISO text, which sorts as it reads."""
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        try:
            return date(*map(int, found.groups())).isoformat()
        except ValueError:
            pass
    raise InvalidValue(f"{_shown(value)} is not a date; one such as 1965-01-31 is wanted.")


def normal_datetime(value: Any, *, zone: Any = None) -> datetime:
    """The UTC instant in milliseconds, cut off and not rounded.

    Without an offset it is read in `zone`, or refused where that is None.
    """
    found = _DATETIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidValue(
            f"{_shown(value)} is not a point in time; one such as 2026-05-03T10:00:00+02:00 is wanted."
        )
    *numbers, fraction, offset = found.groups()
    year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
    if offset is None and zone is None:
        raise InvalidValue(
            f"{_shown(value)} does not say its offset from UTC; “Z” or one such as “+02:00” is wanted at its end."
        )
    microsecond = int((fraction or "0").ljust(3, "0")[:3]) * 1000
    try:
        where = zone if offset is None else _offset(offset)
        return datetime(year, month, day, hour, minute, second, microsecond, where).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidValue(f"{_shown(value)} is not a point in time between the years 1 and 9999.") from None


def states_offset(text: str) -> bool:
    """Whether a point in time says how far it is from UTC."""
    found = _DATETIME.fullmatch(text)
    return found is not None and found[8] is not None


def _offset(text: str) -> timezone:
    if text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].removeprefix(":") or 0)
    if minutes > 59:
        raise ValueError
    distance = timedelta(hours=hours, minutes=minutes)
    return timezone(-distance if text[0] == "-" else distance)


def _shown(value: Any) -> str:
    """The refused value, short enough for a message. Only its beginning is looked at: it may be of any size."""
    if isinstance(value, str):
        return f"“{value[:60]}{'…' if len(value) > 60 else ''}”".encode(errors="replace").decode()
    if value is None or isinstance(value, (bool, float)):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if INT64_MIN <= value <= INT64_MAX else "This whole number"
    return "A list" if isinstance(value, list) else "This"


def _listed(options: tuple[str, ...]) -> str:
    shown = ", ".join(f"“{option}”" for option in options[:20])
    return f"{shown} and {len(options) - 20:,} more" if len(options) > 20 else shown
