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


def _did_you_mean(name: str | None) -> str:
    return "" if name is None else f" Did you mean {name}?"


def _near_zone(name: str) -> str | None:
    """The zone of this name in other letter case, or the one whose city that is."""
    wanted = name.strip().lower().replace(" ", "_")
    known = sorted(_time_zones())
    cities = [zone for zone in known if zone.lower().rpartition("/")[2] == wanted]
    same = [zone for zone in known if zone.lower() == wanted]
    # Many cities stand in the database twice; the continents come first.
    continental = [zone for zone in cities if zone.partition("/")[0] in _CONTINENTS]
    return next(iter([*same, *continental, *cities]), None)


_CONTINENTS = frozenset(
    {"Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
)

# Codes that people use, and that are none of ISO 3166.
_OTHER_CODES = {"UK": "GB", "EN": "GB", "USA": "US", "GBR": "GB", "DEU": "DE", "EL": "GR"}


def _near_region(name: str) -> str | None:
    code = name.strip().upper()
    code = _OTHER_CODES.get(code, code)
    return code if code in phonenumbers.SUPPORTED_REGIONS else None


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
                f"“{self.time_zone[:100]}” is no time zone; one of the IANA database is wanted, such as Europe/Berlin."
                f"{_did_you_mean(_near_zone(self.time_zone))}",
                path=("time_zone",),
            )
        if self.region not in phonenumbers.SUPPORTED_REGIONS:
            raise InvalidValue(
                f"“{self.region[:100]}” is no region; a two-letter country code is wanted, such as US."
                f"{_did_you_mean(_near_region(self.region))}",
                path=("region",),
            )

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)
