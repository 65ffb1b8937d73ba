"""The calendar of an account: what today is, when a day begins, and where 90 days, 3 months or a quarter lead.

Owns civil arithmetic. Days are whole numbers, 1 being 1 January of year 1, and seconds are whole numbers from the same
midnight in UTC; both go on beyond the years 1 to 9999, so that adding never fails, and are cut where they become a text or an
instant. A day begins at the first instant at which the zone's clocks have come to it: where midnight is skipped, when they jump
over it; a day that is skipped as a whole begins with the next one, and no instant lies in it.

Invariant: `today` is the last day that has begun, for every instant of every zone. Held by `tests/domain/rules/test_calendar.py`.
Cost: some microseconds; starts of days are remembered.
"""

from __future__ import annotations

from calendar import isleap
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import assert_never
from zoneinfo import ZoneInfo

from domain.fields import LeapDay, Settings, Weekday


class Unit(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


# Units that are so many seconds long, whatever the calendar says.
EXACT = {Unit.MINUTE: 60, Unit.HOUR: 3_600}

LARGEST_COUNT = 100_000


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time as people say it: `90 days`."""

    count: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"


# ---- numbers of days -----------------------------------------------------------------------------------------------

FIRST_DAY, LAST_DAY = date.min.toordinal(), date.max.toordinal()

# What the Gregorian calendar repeats itself after.
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097

_MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def civil(day: int) -> tuple[int, int, int]:
    """Year, month and day of the month."""
    cycles, within = divmod(day - 1, _CYCLE_DAYS)
    found = date.fromordinal(within + 1)
    return found.year + cycles * _CYCLE_YEARS, found.month, found.day


def number_of(year: int, month: int, day: int) -> int:
    """The number of a day; one that the month does not have is cut to its last."""
    cycles, within = divmod(year - 1, _CYCLE_YEARS)
    day = min(day, _month_length(year, month))
    return date(within + 1, month, day).toordinal() + cycles * _CYCLE_DAYS


def _month_length(year: int, month: int) -> int:
    return 29 if month == 2 and isleap(year) else _MONTH_LENGTHS[month - 1]


def shifted(day: int, count: int, unit: Unit) -> int:
    """The day so far from `day`, back where `count` is negative. 31 May less 3 months is the last of February."""
    match unit:
        case Unit.DAY:
            return day + count
        case Unit.WEEK:
            return day + 7 * count
        case Unit.MONTH:
            year, month, day_of_month = civil(day)
            years, month = divmod(month - 1 + count, 12)
            return number_of(year + years, month + 1, day_of_month)
        case Unit.QUARTER:
            return shifted(day, 3 * count, Unit.MONTH)
        case Unit.YEAR:
            return shifted(day, 12 * count, Unit.MONTH)
        case Unit.HOUR | Unit.MINUTE:
            raise ValueError(f"a day is not moved by {unit}s")
        case _:
            assert_never(unit)


def period(day: int, unit: Unit, settings: Settings) -> tuple[int, int]:
    """The first and the last day of the week, month, quarter or year that `day` lies in."""
    year, month, _ = civil(day)
    match unit:
        case Unit.DAY:
            first = day
        case Unit.WEEK:
            # Day 1 is a Monday.
            first = day - (day - 1 - list(Weekday).index(settings.first_weekday)) % 7
        case Unit.MONTH:
            first = number_of(year, month, 1)
        case Unit.QUARTER:
            first = number_of(year, month - (month - 1) % 3, 1)
        case Unit.YEAR:
            first = number_of(year, 1, 1)
        case Unit.HOUR | Unit.MINUTE:
            raise ValueError(f"no {unit} is a period of days")
        case _:
            assert_never(unit)
    return first, shifted(first, 1, unit) - 1


def month_of_year(day: int, month: int) -> tuple[int, int]:
    """The first and the last day of that month of the year that `day` lies in."""
    return period(number_of(civil(day)[0], month, 1), Unit.MONTH, Settings())


# ---- days as texts -------------------------------------------------------------------------------------------------

# Texts that sort before and after every date. No date is one of them.
BEFORE_ALL_DATES, AFTER_ALL_DATES = "0000-12-31", "9999-12-32"


def date_text(day: int) -> str:
    """The ISO text of a day, as dates are kept; beyond the calendar, one that sorts beyond all of them."""
    if day < FIRST_DAY:
        return BEFORE_ALL_DATES
    return AFTER_ALL_DATES if day > LAST_DAY else date.fromordinal(day).isoformat()


def first_observed(day: int, settings: Settings) -> str:
    """The first of the days of the year (`MM-DD`) that are observed on `day`."""
    text, leap = _day_of_year(day)
    return "02-29" if text == "03-01" and not leap and settings.leap_day is LeapDay.MARCH_1 else text


def last_observed(day: int, settings: Settings) -> str:
    """The last of the days of the year (`MM-DD`) that are observed on `day`."""
    text, leap = _day_of_year(day)
    return "02-29" if text == "02-28" and not leap and settings.leap_day is LeapDay.FEBRUARY_28 else text


@lru_cache(maxsize=8_192)
def _day_of_year(day: int) -> tuple[str, bool]:
    """`MM-DD`, and whether the year has a 29 February."""
    year, month, day_of_month = civil(day)
    return f"{month:02}-{day_of_month:02}", isleap(year)


# ---- instants ------------------------------------------------------------------------------------------------------

FIRST_INSTANT = datetime.min.replace(tzinfo=UTC)

# Values are kept in milliseconds, so every one of them lies before this. It is never given to the database, which would cut it
# to the last of them.
BEYOND_ALL_INSTANTS = datetime.max.replace(tzinfo=UTC)

_A_SECOND = timedelta(seconds=1)


def second_of(instant: datetime) -> int:
    return (instant - FIRST_INSTANT) // _A_SECOND


_LAST_SECOND = second_of(BEYOND_ALL_INSTANTS)


def start_of_second(second: int) -> datetime:
    """The instant at which a second begins, cut to the calendar."""
    if second > _LAST_SECOND:
        return BEYOND_ALL_INSTANTS
    return FIRST_INSTANT + timedelta(seconds=max(second, 0))


def start_of_day(day: int, settings: Settings) -> datetime:
    """The instant at which a day begins in the account's time zone, cut to the calendar."""
    return _start_of_day(day, settings.time_zone)


@lru_cache(maxsize=16_384)
def _start_of_day(day: int, time_zone: str) -> datetime:
    if day <= FIRST_DAY:
        return FIRST_INSTANT
    if day > LAST_DAY:
        return BEYOND_ALL_INSTANTS
    zone = ZoneInfo(time_zone)
    midnight = datetime.fromordinal(day).replace(tzinfo=UTC)
    # The offsets before and after a change of the clocks, if there is one at midnight.
    before, after = (midnight.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    assert before is not None
    assert after is not None
    if after <= before:
        # Midnight comes once; or twice, and then the day begins with the first.
        return midnight - before
    # Midnight is skipped. The clocks jump over it somewhere between these two.
    early, late = second_of(midnight - after), second_of(midnight - before)
    while late - early > 1:
        middle = (early + late) // 2
        if _local_day(start_of_second(middle), zone) >= day:
            late = middle
        else:
            early = middle
    return start_of_second(late)


def _local_day(instant: datetime, zone: ZoneInfo) -> int:
    try:
        return instant.astimezone(zone).toordinal()
    except OverflowError:
        # Local time there is in another year than those from 1 to 9999.
        return FIRST_DAY if instant.year == 1 else LAST_DAY


@lru_cache(maxsize=1024)
def _today(instant: datetime, time_zone: str) -> int:
    day = _local_day(instant, ZoneInfo(time_zone))
    # Clocks that are put back over midnight have already been in the next day.
    while _start_of_day(day + 1, time_zone) <= instant:
        day += 1
    return day


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """An instant, in UTC and in whole seconds, and the settings that say what it is in the account's calendar."""

    instant: datetime
    settings: Settings

    def __post_init__(self) -> None:
        if self.instant.utcoffset() != timedelta() or self.instant.microsecond:
            raise ValueError("an instant in UTC and in whole seconds is wanted")

    @property
    def today(self) -> int:
        return _today(self.instant, self.settings.time_zone)

    @property
    def second(self) -> int:
        return second_of(self.instant)
