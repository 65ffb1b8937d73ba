"""An account's settings, as far as the meaning of values and rules depends on them.

Owns their validation. Invariant: a `Settings` that exists is usable: its time zone loads and its region is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers

from domain.errors import InvalidValue


class Weekday(StrEnum):
    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class LeapDay(StrEnum):
    """On which day 29 February is observed in years that have none."""

    FEBRUARY_28 = "february_28"
    MARCH_1 = "march_1"


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`time_zone` decides what a day is, `region` how a phone number without a country code reads."""

    time_zone: str = "UTC"
    region: str = "US"
    first_weekday: Weekday = Weekday.MONDAY
    leap_day: LeapDay = LeapDay.FEBRUARY_28

    def __post_init__(self) -> None:
        if self.time_zone not in _time_zones():
            raise InvalidValue(
                f"“{self.time_zone[:100]}” is no time zone; one of the IANA database is wanted, such as Europe/Berlin.",
                path=("time_zone",),
            )
        if self.region not in phonenumbers.SUPPORTED_REGIONS:
            raise InvalidValue(
                f"“{self.region[:100]}” is no region; a two-letter country code is wanted, such as US.",
                path=("region",),
            )

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)
