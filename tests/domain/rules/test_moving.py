"""What moving rules mean at an instant, and what turns when and for whom: by tables, and against brute force."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.asynchronous.database import AsyncDatabase

from domain.fields import LeapDay, Settings, Weekday
from domain.rules.calendar import (
    BEYOND_ALL_INSTANTS,
    EXACT,
    FIRST_INSTANT,
    LAST_DAY,
    Now,
    Span,
    second_of,
    start_of_day,
    start_of_second,
)
from domain.rules.canonical import to_text
from domain.rules.instants import LAST_SECOND
from domain.rules.moving import at, flips, is_moving, next_flip, next_turn, slivers
from domain.rules.operators import Fixed, Moving, Operator, operators_of
from domain.rules.predicate import to_predicate, value_at
from domain.rules.query import to_query
from domain.rules.text import parse
from domain.rules.tree import Condition, Rule, conditions, fields_used, paths_read
from tests.domain.rules.generate import FIELDS, LIMITS, NOWS, SETTINGS, SUBJECTS, Generator

Document = dict[str, Any]


def _rule(text: str) -> Rule:
    return parse(text, FIELDS, SETTINGS, LIMITS)


def _now(instant: str, time_zone: str = "UTC", **more: Any) -> Now:
    return Now(instant=_utc(instant), settings=Settings(time_zone=time_zone, **more))


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _born(day: str) -> Document:
    return {"normal": {"birthdate": day}, "anniversaries": {"birthdate": day[5:]}}


def _seen(instant: str) -> Document:
    return {"normal": {"last_seen": _utc(instant)}}


def _holds(rule: Rule, contact: Document, now: Now) -> bool:
    return to_predicate(at(rule, now))(contact)


# ---- what a condition means at an instant --------------------------------------------------------------------------

SUNDAY = _now("2026-05-10T12:00:00")
LEAP = {"leap_day": LeapDay.MARCH_1}

# A condition on birthdate, the instant, and days: those that are in, and those that are just out.
DATES: list[tuple[str, Now, list[str], list[str]]] = [
    ("in the last 7 days", SUNDAY, ["2026-05-04", "2026-05-10"], ["2026-05-03", "2026-05-11"]),
    ("in the last 1 day", SUNDAY, ["2026-05-10"], ["2026-05-09", "2026-05-11"]),
    ("in the next 7 days", SUNDAY, ["2026-05-10", "2026-05-16"], ["2026-05-09", "2026-05-17"]),
    ("in the next 2 weeks", SUNDAY, ["2026-05-10", "2026-05-23"], ["2026-05-09", "2026-05-24"]),
    ("more than 90 days ago", SUNDAY, ["2026-02-08", "0001-01-01"], ["2026-02-09", "2026-05-10"]),
    ("in the last 90 days", SUNDAY, ["2026-02-10"], ["2026-02-09"]),  # 90 days ago is in neither
    ("more than 3 months ahead", SUNDAY, ["2026-08-11", "9999-12-31"], ["2026-08-10", "2026-05-10"]),
    ("in the next 3 months", SUNDAY, ["2026-08-09"], ["2026-08-10"]),
    ("in the last 3 months", _now("2026-05-31T12:00:00"), ["2026-03-01"], ["2026-02-28"]),
    ("more than 3 months ago", _now("2026-05-31T12:00:00"), ["2026-02-27"], ["2026-02-28"]),
    ("in the next 1 month", _now("2026-01-31T12:00:00"), ["2026-02-27"], ["2026-02-28"]),
    ("in the last 1 year", _now("2024-02-29T12:00:00"), ["2023-03-01"], ["2023-02-28"]),
    ("this day", SUNDAY, ["2026-05-10"], ["2026-05-09", "2026-05-11"]),
    ("last day", SUNDAY, ["2026-05-09"], ["2026-05-08", "2026-05-10"]),
    ("next day", SUNDAY, ["2026-05-11"], ["2026-05-10", "2026-05-12"]),
    ("this week", SUNDAY, ["2026-05-04", "2026-05-10"], ["2026-05-03", "2026-05-11"]),
    ("last week", SUNDAY, ["2026-04-27", "2026-05-03"], ["2026-04-26", "2026-05-04"]),
    (
        "this week",
        _now("2026-05-10T12:00:00", first_weekday=Weekday.SUNDAY),
        ["2026-05-10", "2026-05-16"],
        ["2026-05-09", "2026-05-17"],
    ),
    ("this month", SUNDAY, ["2026-05-01", "2026-05-31"], ["2026-04-30", "2026-06-01"]),
    ("last quarter", SUNDAY, ["2026-01-01", "2026-03-31"], ["2025-12-31", "2026-04-01"]),
    ("next quarter", _now("2026-11-10T12:00:00"), ["2027-01-01", "2027-03-31"], ["2026-12-31", "2027-04-01"]),
    ("next year", SUNDAY, ["2027-01-01", "2027-12-31"], ["2026-12-31", "2028-01-01"]),
    # Which day it is depends on the zone, and what a date is does not.
    ("this day", _now("2026-05-10T22:30:00", "Europe/Berlin"), ["2026-05-11"], ["2026-05-10"]),
    ("this day", _now("2026-05-10T22:30:00", "America/New_York"), ["2026-05-10"], ["2026-05-11"]),
    ("this day", _now("2011-12-30T10:00:00", "Pacific/Apia"), ["2011-12-31"], ["2011-12-30"]),
    ("last day", _now("2011-12-30T10:00:00", "Pacific/Apia"), ["2011-12-30"], ["2011-12-29"]),
    # The calendar's ends.
    ("in the last 100000 years", SUNDAY, ["0001-01-01", "2026-05-10"], ["2026-05-11"]),
    ("in the next 100000 years", SUNDAY, ["2026-05-10", "9999-12-31"], ["2026-05-09"]),
    ("more than 100000 years ago", SUNDAY, [], ["0001-01-01", "9999-12-31"]),
    ("more than 100000 years ahead", SUNDAY, [], ["0001-01-01", "9999-12-31"]),
    ("last year", _now("0001-05-10T12:00:00"), [], ["0001-01-01"]),
    ("next year", _now("9999-05-10T12:00:00"), [], ["9999-12-31"]),
    ("this year", _now("9999-12-31T23:59:59"), ["9999-01-01", "9999-12-31"], ["9998-12-31"]),
    # The round of the year.
    ("anniversary today", SUNDAY, ["1965-05-10", "2050-05-10"], ["1965-05-09", "1965-05-11"]),
    ("anniversary in the next 14 days", SUNDAY, ["1965-05-10", "1965-05-23"], ["1965-05-09", "1965-05-24"]),
    ("anniversary in the last 7 days", SUNDAY, ["1965-05-04", "1965-05-10"], ["1965-05-03", "1965-05-11"]),
    ("anniversary in month 5", SUNDAY, ["1965-05-01", "1965-05-31"], ["1965-04-30", "1965-06-01"]),
    (
        "anniversary in the next 14 days",
        _now("2025-12-28T12:00:00"),
        ["1965-12-28", "1965-12-31", "1965-01-01", "1965-01-10"],
        ["1965-12-27", "1965-01-11"],
    ),
    (
        "anniversary in the last 2 weeks",
        _now("2026-01-03T12:00:00"),
        ["1965-12-21", "1965-01-03"],
        ["1965-12-20"],
    ),
    ("anniversary in the next 1 month", _now("2025-12-31T12:00:00"), ["1965-01-30"], ["1965-01-31"]),
    ("anniversary in the next 1 year", SUNDAY, ["1965-05-09", "1965-05-10", "2000-02-29"], []),
    ("anniversary in the last 12 months", _now("2024-02-29T12:00:00"), ["1965-02-28", "2000-02-29"], []),
    ("anniversary in the next 53 weeks", SUNDAY, ["1965-05-09"], []),
    ("anniversary in the next 365 days", SUNDAY, ["1965-05-09", "2000-02-29"], []),
    ("anniversary in the next 364 days", SUNDAY, ["1965-05-10"], ["1965-05-09"]),
    # From 1 March 2023, 29 February comes behind 365 days.
    ("anniversary in the next 365 days", _now("2023-03-01T12:00:00"), ["1965-02-28"], ["2000-02-29"]),
    # 29 February, by both settings, in years that have none and that have one.
    ("anniversary today", _now("2025-02-28T12:00:00"), ["2000-02-29", "1965-02-28"], ["1965-03-01"]),
    ("anniversary today", _now("2025-03-01T12:00:00"), ["1965-03-01"], ["2000-02-29"]),
    ("anniversary today", _now("2025-02-28T12:00:00", **LEAP), ["1965-02-28"], ["2000-02-29"]),
    ("anniversary today", _now("2025-03-01T12:00:00", **LEAP), ["2000-02-29", "1965-03-01"], ["1965-02-28"]),
    ("anniversary today", _now("2024-02-29T12:00:00"), ["2000-02-29"], ["1965-02-28", "1965-03-01"]),
    ("anniversary today", _now("2024-02-29T12:00:00", **LEAP), ["2000-02-29"], ["1965-02-28", "1965-03-01"]),
    ("anniversary in the next 2 days", _now("2025-02-27T12:00:00"), ["2000-02-29"], ["1965-03-01"]),
    ("anniversary in the next 2 days", _now("2025-02-27T12:00:00", **LEAP), ["1965-02-28"], ["2000-02-29"]),
    ("anniversary in the last 2 days", _now("2025-03-02T12:00:00"), ["1965-03-01"], ["2000-02-29"]),
    ("anniversary in the last 2 days", _now("2025-03-02T12:00:00", **LEAP), ["2000-02-29"], ["1965-02-28"]),
    ("anniversary in month 2", _now("2025-07-01T12:00:00"), ["2000-02-29"], ["1965-03-01"]),
    ("anniversary in month 2", _now("2025-07-01T12:00:00", **LEAP), ["1965-02-28"], ["2000-02-29"]),
    ("anniversary in month 3", _now("2025-07-01T12:00:00", **LEAP), ["2000-02-29"], ["1965-02-28"]),
    ("anniversary in month 2", _now("2024-07-01T12:00:00", **LEAP), ["2000-02-29"], ["1965-03-01"]),
    ("anniversary in month 3", _now("2024-07-01T12:00:00", **LEAP), ["1965-03-01"], ["2000-02-29"]),
    ("anniversary in the next 14 days", _now("9999-12-28T12:00:00"), ["1965-01-10"], ["1965-01-11"]),
    ("anniversary in the last 14 days", _now("0001-01-03T12:00:00"), ["1965-12-21"], ["1965-12-20"]),
]


@pytest.mark.parametrize(("text", "now", "inside", "outside"), DATES, ids=range(len(DATES)))
def test_a_condition_on_a_date_means(text: str, now: Now, inside: list[str], outside: list[str]) -> None:
    rule = _rule(f"birthdate {text}")
    assert is_moving(rule)
    assert [day for day in inside if not _holds(rule, _born(day), now)] == []
    assert [day for day in outside if _holds(rule, _born(day), now)] == []
    assert not _holds(rule, {}, now)


BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"

# The same of last_seen, and instants.
INSTANTS: list[tuple[str, Now, list[str], list[str]]] = [
    (
        "in the last 7 days",
        SUNDAY,
        ["2026-05-04T00:00:00", "2026-05-10T23:59:59.999"],
        ["2026-05-03T23:59:59.999", "2026-05-11T00:00:00"],
    ),
    (
        "in the next 2 days",
        SUNDAY,
        ["2026-05-10T00:00:00", "2026-05-11T23:59:59.999"],
        ["2026-05-09T23:59:59.999", "2026-05-12T00:00:00"],
    ),
    ("more than 90 days ago", SUNDAY, ["2026-02-08T23:59:59.999"], ["2026-02-09T00:00:00"]),
    ("more than 1 day ahead", SUNDAY, ["2026-05-12T00:00:00"], ["2026-05-11T23:59:59.999"]),
    (
        "in the last 2 hours",
        SUNDAY,
        ["2026-05-10T10:00:00", "2026-05-10T12:00:00.999"],
        ["2026-05-10T09:59:59.999", "2026-05-10T12:00:01"],
    ),
    (
        "in the next 90 minutes",
        SUNDAY,
        ["2026-05-10T12:00:00", "2026-05-10T13:30:00.999"],
        ["2026-05-10T11:59:59.999", "2026-05-10T13:30:01"],
    ),
    ("more than 2 hours ago", SUNDAY, ["2026-05-10T09:59:59.999"], ["2026-05-10T10:00:00"]),
    ("more than 2 hours ahead", SUNDAY, ["2026-05-10T14:00:01"], ["2026-05-10T14:00:00.999"]),
    # 23 and 25 hours.
    (
        "this day",
        _now("2025-03-30T12:00:00", BERLIN),
        ["2025-03-29T23:00:00", "2025-03-30T21:59:59.999"],
        ["2025-03-29T22:59:59.999", "2025-03-30T22:00:00"],
    ),
    (
        "this day",
        _now("2025-10-26T12:00:00", BERLIN),
        ["2025-10-25T22:00:00", "2025-10-26T22:59:59.999"],
        ["2025-10-25T21:59:59.999", "2025-10-26T23:00:00"],
    ),
    (
        "in the last 2 days",
        _now("2025-03-31T12:00:00", BERLIN),
        ["2025-03-29T23:00:00"],
        ["2025-03-29T22:59:59"],
    ),
    (
        "in the last 24 hours",
        _now("2025-03-30T12:00:00", BERLIN),
        ["2025-03-29T12:00:00"],
        ["2025-03-29T11:59:59"],
    ),
    (
        "last day",
        _now("2025-03-10T12:00:00", NEW_YORK),
        ["2025-03-09T05:00:00", "2025-03-10T03:59:59"],
        ["2025-03-09T04:59:59", "2025-03-10T04:00:00"],
    ),
    (
        "next day",
        _now("2025-11-01T12:00:00", NEW_YORK),
        ["2025-11-02T04:00:00", "2025-11-03T04:59:59"],
        ["2025-11-02T03:59:59", "2025-11-03T05:00:00"],
    ),
    (
        "this week",
        _now("2018-11-07T12:00:00", "America/Sao_Paulo"),
        ["2018-11-05T02:00:00"],
        ["2018-11-05T01:59:59"],
    ),
    (
        "last day",
        _now("2018-11-05T12:00:00", "America/Sao_Paulo"),
        ["2018-11-04T03:00:00"],
        ["2018-11-04T02:59:59"],
    ),
    ("this month", _now("2026-05-10T12:00:00", BERLIN), ["2026-04-30T22:00:00"], ["2026-05-31T22:00:00"]),
    # There was no 30 December on Samoa.
    (
        "last day",
        _now("2011-12-31T00:00:00", "Pacific/Apia"),
        [],
        ["2011-12-30T09:59:59", "2011-12-30T10:00:00"],
    ),
    (
        "in the last 3 days",
        _now("2011-12-31T00:00:00", "Pacific/Apia"),
        ["2011-12-29T10:00:00"],
        ["2011-12-29T09:59:59"],
    ),
    (
        "in the last 100000 hours",
        _now("0001-01-02T00:00:00"),
        ["0001-01-01T00:00:00"],
        ["0001-01-02T00:00:01"],
    ),
    (
        "in the next 100000 days",
        _now("9999-12-30T00:00:00"),
        ["9999-12-31T23:59:59.999"],
        ["9999-12-29T23:59:59.999"],
    ),
    ("more than 100000 days ahead", _now("9999-12-30T00:00:00"), [], ["9999-12-31T23:59:59.999"]),
    ("more than 100000 minutes ahead", _now("9999-12-30T00:00:00"), [], ["9999-12-31T23:59:59.999"]),
    ("more than 100000 days ago", _now("0001-01-02T00:00:00"), [], ["0001-01-01T00:00:00"]),
    (
        "this year",
        _now("9999-12-31T23:59:59", "Asia/Tokyo"),
        ["9999-12-31T23:59:59.999"],
        ["9998-12-31T14:59:59"],
    ),
]


@pytest.mark.parametrize(("text", "now", "inside", "outside"), INSTANTS, ids=range(len(INSTANTS)))
def test_a_condition_on_a_point_in_time_means(
    text: str, now: Now, inside: list[str], outside: list[str]
) -> None:
    rule = _rule(f"last_seen {text}")
    assert [instant for instant in inside if not _holds(rule, _seen(instant), now)] == []
    assert [instant for instant in outside if _holds(rule, _seen(instant), now)] == []
    assert not _holds(rule, {}, now)
    # Of the contact's own times it is the same.
    own = _rule(f"created {text}")
    assert all(_holds(own, {"created": _utc(instant)}, now) for instant in inside)
    assert not any(_holds(own, {"created": _utc(instant)}, now) for instant in outside)


def test_the_tables_above_have_every_moving_operator() -> None:
    rules = [_rule(f"birthdate {text}") for text, *_ in DATES] + [
        _rule(f"last_seen {text}") for text, *_ in INSTANTS
    ]
    said = {condition.operator for rule in rules for condition in conditions(rule)}
    assert said == {operator for operator in Operator if not isinstance(operator.value.means, Fixed)}


def test_a_fixed_rule_is_the_same_at_every_instant_and_a_moving_one_keeps_its_shape() -> None:
    fixed = _rule('not (city is "a" or score > 1) and role is not "staff"')
    assert not is_moving(fixed)
    assert at(fixed, SUNDAY) == fixed
    assert next_turn(fixed, SUNDAY) is None
    assert slivers(fixed, SUNDAY, replace(SUNDAY, instant=LAST_SECOND)) == []
    moving = _rule('not (city is "a" or created this day) and birthdate anniversary today')
    assert to_text(at(moving, SUNDAY)).startswith(
        'not (city is "a" or created between 2026-05-10T00:00:00Z and 2026-05-11T00:00:00Z) and birthdate between '
    )
    # Over the end of the year it has two parts, which go into an `or` around it.
    wide = at(_rule('city is "a" or birthdate anniversary in the next 14 days'), _now("2025-12-28T12:00:00"))
    assert len(list(conditions(wide))) == 3
    assert not is_moving(wide)


def test_a_moving_rule_has_no_readings_but_at_an_instant() -> None:
    for text in ("birthdate in the last 7 days", "birthdate anniversary today"):
        for reading in (to_query, to_predicate):
            with pytest.raises(TypeError, match=r"moving\.at comes first"):
                reading(_rule(text))


def test_a_moving_rule_tells_its_fields_and_paths_as_it_does_at_an_instant() -> None:
    rule = _rule(
        "birthdate anniversary today or last_seen this month or updated this day or birthdate this year"
    )
    assert fields_used(rule) == {"birthdate", "last_seen"}
    assert paths_read(rule) == {"anniversaries.birthdate", "normal.last_seen", "updated", "normal.birthdate"}
    assert paths_read(at(rule, SUNDAY)) == paths_read(rule)
    assert fields_used(at(rule, SUNDAY)) == fields_used(rule)


# ---- when it turns -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "now", "turns"),
    [
        ("birthdate in the last 7 days", _now("2026-05-10T12:00:00", BERLIN), "2026-05-10T22:00:00"),
        ("last_seen more than 90 days ago", _now("2026-05-10T22:00:00", BERLIN), "2026-05-11T22:00:00"),
        ("birthdate in the next 2 weeks", _now("2025-03-29T12:00:00", BERLIN), "2025-03-29T23:00:00"),
        ("birthdate in the next 2 weeks", _now("2025-03-30T12:00:00", BERLIN), "2025-03-30T22:00:00"),
        ("last_seen in the last 2 hours", SUNDAY, "2026-05-10T12:00:01"),
        ("last_seen more than 5 minutes ahead", SUNDAY, "2026-05-10T12:00:01"),
        ("created this month", SUNDAY, "2026-06-01T00:00:00"),
        ("created last month", _now("2026-05-10T12:00:00", NEW_YORK), "2026-06-01T04:00:00"),
        ("created this week", SUNDAY, "2026-05-11T00:00:00"),
        (
            "created this week",
            _now("2026-05-10T12:00:00", first_weekday=Weekday.SUNDAY),
            "2026-05-17T00:00:00",
        ),
        ("created next quarter", SUNDAY, "2026-07-01T00:00:00"),
        ("created this year", SUNDAY, "2027-01-01T00:00:00"),
        ("created this year or last_seen this week or created this month", SUNDAY, "2026-05-11T00:00:00"),
        # For three days one month ahead is the last of February; what comes before it moves on each day.
        ("birthdate more than 1 month ahead", _now("2026-01-28T12:00:00"), "2026-02-01T00:00:00"),
        ("birthdate more than 1 month ahead", _now("2026-01-27T12:00:00"), "2026-01-28T00:00:00"),
        ("birthdate anniversary today", SUNDAY, "2026-05-11T00:00:00"),
        ("birthdate anniversary in the next 11 months", SUNDAY, "2026-05-11T00:00:00"),
        ("birthdate anniversary in the next 1 year", SUNDAY, None),
        ("birthdate anniversary in month 2", SUNDAY, None),
        ("birthdate anniversary in month 2", _now("2025-05-10T12:00:00", **LEAP), "2028-01-01T00:00:00"),
        ("birthdate anniversary in month 3", _now("2028-05-10T12:00:00", **LEAP), "2029-01-01T00:00:00"),
        ("birthdate anniversary in month 3", _now("2096-05-10T12:00:00", **LEAP), "2097-01-01T00:00:00"),
        ("birthdate anniversary in month 2", _now("2097-05-10T12:00:00", **LEAP), "2104-01-01T00:00:00"),
        ("birthdate anniversary in month 4", _now("2025-05-10T12:00:00", **LEAP), None),
        ("birthdate more than 100000 years ago", SUNDAY, None),
        ("birthdate this day", _now("2011-12-30T09:00:00", "Pacific/Apia"), "2011-12-30T10:00:00"),
        ("birthdate this day", _now("2024-04-25T12:00:00", "Africa/Cairo"), "2024-04-25T22:00:00"),
        ("birthdate this day", _now("9999-12-31T00:00:00"), None),
        ("birthdate anniversary today", _now("9999-12-31T00:00:00"), None),
        ("last_seen in the last 1 hour", _now("9999-12-31T23:59:59"), None),
        ("last_seen more than 100000 days ago", _now("0001-01-01T00:00:00"), "0274-10-18T00:00:00"),
    ],
)
def test_a_rule_turns_next_at(text: str, now: Now, turns: str | None) -> None:
    assert next_turn(_rule(text), now) == (None if turns is None else _utc(turns))


@pytest.mark.parametrize(
    ("text", "contact", "now", "turns"),
    [
        # In: seen on the 5th, it is in the last 7 days until the 11th is over, or the 12th begins.
        ("last_seen in the last 7 days", _seen("2026-05-05T12:00:00"), SUNDAY, "2026-05-12T00:00:00"),
        ("last_seen more than 7 days ago", _seen("2026-05-05T12:00:00"), SUNDAY, "2026-05-13T00:00:00"),
        ("last_seen in the last 2 hours", _seen("2026-05-10T11:00:00.500"), SUNDAY, "2026-05-10T13:00:01"),
        ("last_seen more than 2 hours ago", _seen("2026-05-10T11:00:00.500"), SUNDAY, "2026-05-10T13:00:01"),
        ("last_seen in the last 2 hours", _seen("2026-05-10T13:00:00.500"), SUNDAY, "2026-05-10T13:00:00"),
        ("last_seen in the next 2 hours", _seen("2026-05-10T15:00:00.500"), SUNDAY, "2026-05-10T13:00:00"),
        (
            "last_seen more than 2 hours ahead",
            _seen("2026-05-10T15:00:00.500"),
            SUNDAY,
            "2026-05-10T13:00:00",
        ),
        ("last_seen in the last 2 hours", _seen("2026-05-10T09:00:00"), SUNDAY, None),
        ("birthdate anniversary today", _born("1965-05-09"), SUNDAY, "2027-05-09T00:00:00"),
        ("birthdate anniversary today", _born("1965-05-10"), SUNDAY, "2026-05-11T00:00:00"),
        ("birthdate anniversary in the next 14 days", _born("1965-05-30"), SUNDAY, "2026-05-17T00:00:00"),
        ("birthdate anniversary today", _born("2000-02-29"), SUNDAY, "2027-02-28T00:00:00"),
        (
            "birthdate anniversary today",
            _born("2000-02-29"),
            _now("2026-05-10T12:00:00", BERLIN, **LEAP),
            "2027-02-28T23:00:00",
        ),
        (
            "birthdate anniversary in month 2",
            _born("2000-02-29"),
            _now("2097-01-01T00:00:00", **LEAP),
            "2104-01-01T00:00:00",
        ),
        ("birthdate anniversary in the last 1 year", _born("2000-02-29"), SUNDAY, None),
        ("birthdate more than 1000 years ago", _born("2000-02-29"), SUNDAY, "3000-03-01T00:00:00"),
        ("birthdate next year and birthdate last year", _born("2030-01-01"), SUNDAY, None),
        ("birthdate anniversary today and city is not empty", _born("2000-02-29"), SUNDAY, None),
        ("birthdate anniversary today and birthdate this year", _born("2000-02-29"), SUNDAY, None),
        (
            "birthdate anniversary today and birthdate this year",
            _born("2500-06-01"),
            SUNDAY,
            "2500-06-01T00:00:00",
        ),
        (
            "birthdate anniversary today or not (birthdate anniversary today)",
            _born("2000-02-29"),
            SUNDAY,
            None,
        ),
    ],
)
def test_a_contact_flips_next_at(text: str, contact: Document, now: Now, turns: str | None) -> None:
    assert next_flip(_rule(text), contact, now) == (None if turns is None else _utc(turns))


def test_two_conditions_that_turn_at_one_second_are_one_flip_or_none() -> None:
    seen = _seen("2026-05-05T12:00:00")
    handed_over = _rule("last_seen in the last 7 days or last_seen more than 6 days ago")
    assert flips(handed_over, seen, SUNDAY, replace(SUNDAY, instant=LAST_SECOND)) == []
    left = _rule("last_seen in the last 7 days and last_seen in the last 1 week")
    assert flips(left, seen, SUNDAY, replace(SUNDAY, instant=LAST_SECOND)) == [(_utc("2026-05-12"), False)]


# ---- against brute force -------------------------------------------------------------------------------------------


class _Timely(Generator):
    """Draws moving rules, and stretches of time from a second to some weeks in length."""

    def moving(self, depth: int) -> Rule:
        while True:
            if is_moving(rule := self.rule(depth)):
                return rule

    def stretch(self) -> tuple[Now, Now]:
        since = self.now()
        seconds = self.random.choice([1, 1, 60, 3_600, 86_400, 3 * 86_400, 40 * 86_400])
        shift = self.random.choice([-seconds, -1, 0, 0])
        begins = start_of_second(second_of(since.instant) + shift)
        ends = start_of_second(second_of(since.instant) + shift + seconds).replace(microsecond=0)
        return replace(since, instant=begins), replace(since, instant=ends)


def _candidates(rule: Rule, contact: Document, since: Now, until: Now) -> list[datetime]:
    """Both ends, all starts of days between, and all seconds that a duration leads to; and the seconds beside each."""
    found = {since.instant, until.instant}
    for day in range(since.today - 1, min(until.today + 2, LAST_DAY + 1)):
        found.add(start_of_day(day, since.settings))
    for condition in conditions(rule):
        value = value_at(condition.subject.path)(contact)
        for part in value if isinstance(value, list) else [value]:
            for operand in condition.operands:
                if isinstance(part, datetime) and isinstance(operand, Span) and operand.unit in EXACT:
                    length = EXACT[operand.unit] * operand.count
                    found |= {start_of_second(second_of(part) + step) for step in (-length, 0, length)}
    beside = {start_of_second(second_of(each) + step) for each in found for step in (-2, -1, 0, 1, 2)}
    return sorted(each for each in beside if since.instant <= each <= until.instant)


def _brute(
    rule: Rule, contact: Document, seconds: list[datetime], now: Now
) -> Iterator[tuple[datetime, bool]]:
    was = _holds(rule, contact, replace(now, instant=seconds[0]))
    for second in seconds[1:]:
        holds = _holds(rule, contact, replace(now, instant=second))
        if holds is not was:
            was = holds
            yield second, holds


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_flips_are_those_that_trying_every_second_would_find(seed: int) -> None:
    generator = _Timely(seed)
    since, until = generator.stretch()
    rule = generator.moving(depth=generator.random.choice([0, 0, 1, 2]))
    generator.aim([rule], since, until)
    for _ in range(4):
        contact = generator.contact(odd=0.2)
        found = flips(rule, contact, since, until)
        assert found == list(_brute(rule, contact, _candidates(rule, contact, since, until), since))
        following = next_flip(rule, contact, since)
        if found:
            assert following == found[0][0]
        else:
            assert following is None or following > until.instant
        if following is not None:
            before = replace(since, instant=following - timedelta(seconds=1))
            assert _holds(rule, contact, before) is _holds(rule, contact, since)
            assert _holds(rule, contact, replace(since, instant=following)) is not _holds(
                rule, contact, since
            )


def test_flips_of_a_while_are_found_by_trying_each_single_second() -> None:
    now = _now("2025-03-29T22:58:00", BERLIN)
    until = replace(now, instant=now.instant + timedelta(seconds=150))
    seconds = [now.instant + timedelta(seconds=number) for number in range(151)]
    generator = _Timely(1)
    found = 0
    for rule in [generator.moving(depth=1) for _ in range(60)]:
        aimed = _Timely(found)
        aimed.aim([rule], now, until)
        for contact in [aimed.contact(odd=0.2) for _ in range(3)]:
            expected = list(_brute(rule, contact, seconds, now))
            assert flips(rule, contact, now, until) == expected
            found += len(expected)
    assert found > 10


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_the_next_turn_is_the_first_second_at_which_the_rule_means_something_else(seed: int) -> None:
    generator = _Timely(seed)
    since, until = generator.stretch()
    rule = generator.moving(depth=generator.random.choice([0, 1]))
    turn, here = next_turn(rule, since), at(rule, since)
    for second in _candidates(rule, {}, since, until):
        if turn is None or second < turn:
            assert at(rule, replace(since, instant=second)) == here
    if turn is not None:
        assert at(rule, replace(since, instant=turn)) != here
        assert at(rule, replace(since, instant=turn - timedelta(seconds=1))) == here


@given(st.integers(0, 2**32))
def test_no_edge_of_a_window_ever_goes_back(seed: int) -> None:
    generator = _Timely(seed)
    since, until = generator.stretch()
    key = generator.random.choice([key for key, type_ in SUBJECTS.items() if len(operators_of(type_)) > 12])
    for operator in operators_of(SUBJECTS[key]):
        means = operator.value.means
        if isinstance(means, Moving):
            condition = generator.condition(key, operator)
            assert isinstance(condition, Condition)
            before, after = (means.window(SUBJECTS[key], condition.operands, now) for now in (since, until))
            assert (before.start is None) is (after.start is None)
            assert before.start is None or before.start <= after.start
            assert before.end is None or before.end <= after.end


# ---- slivers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "since", "until", "found"),
    [
        (
            "birthdate in the last 7 days",
            "2026-05-10T23:59:59",
            "2026-05-11T00:00:00",
            [
                {"normal.birthdate": {"$gte": "2026-05-04", "$lt": "2026-05-05"}},
                {"normal.birthdate": {"$gt": "2026-05-10", "$lte": "2026-05-11"}},
            ],
        ),
        ("birthdate in the last 7 days", "2026-05-10T12:00:00", "2026-05-10T23:59:59", []),
        (
            "last_seen more than 2 hours ago",
            "2026-05-10T12:00:00",
            "2026-05-10T12:00:01",
            [{"normal.last_seen": {"$gte": _utc("2026-05-10T10:00:00"), "$lt": _utc("2026-05-10T10:00:01")}}],
        ),
        (
            "created more than 90 days ago and (city is empty or created more than 90 days ago)",
            "2026-05-10T23:59:59",
            "2026-05-11T00:00:00",
            [{"created": {"$gte": _utc("2026-02-09"), "$lt": _utc("2026-02-10")}}],
        ),
        ("created this month", "2026-05-10T00:00:00", "2026-05-31T23:59:59", []),
        (
            "birthdate anniversary today",
            "2026-05-10T23:59:59",
            "2026-05-11T00:00:00",
            [
                {"anniversaries.birthdate": {"$gte": "05-10", "$lt": "05-11"}},
                {"anniversaries.birthdate": {"$gt": "05-10", "$lte": "05-11"}},
            ],
        ),
        (
            "birthdate anniversary in the next 14 days",
            "2025-12-18T00:00:00",
            "2025-12-19T00:00:00",
            [
                {"anniversaries.birthdate": {"$gte": "12-18", "$lt": "12-19"}},
                {"anniversaries.birthdate": {"$gt": "12-31"}},
                {"anniversaries.birthdate": {"$lte": "01-01"}},
            ],
        ),
        (
            "birthdate anniversary today",
            "2026-05-10T00:00:00",
            "2027-05-10T00:00:00",
            [{"anniversaries.birthdate": {"$gte": ""}}],
        ),
        ("birthdate anniversary in the next 1 year", "2026-05-10T00:00:00", "2029-05-10T00:00:00", []),
        ("birthdate anniversary in month 2", "2026-05-10T00:00:00", "2029-05-10T00:00:00", []),
    ],
)
def test_slivers_are_what_the_edges_go_over(text: str, since: str, until: str, found: list[Document]) -> None:
    assert slivers(_rule(text), _now(since), _now(until)) == found


def test_of_a_month_of_the_year_only_29_february_is_a_sliver() -> None:
    since, until = _now("2026-05-10T00:00:00", **LEAP), _now("2029-05-10T00:00:00", **LEAP)
    for month in (2, 3):
        assert slivers(_rule(f"birthdate anniversary in month {month}"), since, until) == [
            {"anniversaries.birthdate": {"$gt": "02-28", "$lt": "03-01"}}
        ]
    assert slivers(_rule("birthdate anniversary in month 4"), since, until) == []


async def test_whoever_flips_is_found_by_the_slivers(database: AsyncDatabase[Document]) -> None:
    flipped = 0
    for number, now in enumerate(NOWS):
        generator = _Timely(number)
        steps = (1, 3_600, 86_400, 30 * 86_400, 400 * 86_400)
        until = replace(
            now,
            instant=start_of_second(second_of(now.instant) + steps[number % len(steps)]).replace(
                microsecond=0
            ),
        )
        rules = [
            generator.condition(key, operator)
            for key, type_ in SUBJECTS.items()
            for operator in operators_of(type_)
            if not isinstance(operator.value.means, Fixed)
        ] + [generator.moving(depth=2) for _ in range(4)]
        generator.aim(rules, now, until)
        contacts = database[f"contacts_{number}"]
        await contacts.insert_many([{"_id": each, **generator.contact(odd=0.2)} for each in range(40)])
        stored = await contacts.find().to_list()
        for rule in rules:
            wanted = {contact["_id"] for contact in stored if flips(rule, contact, now, until)}
            found = set()
            for sliver in slivers(rule, now, until):
                ((path, swept),) = sliver.items()
                assert path in paths_read(rule)
                assert swept
                found |= {contact["_id"] async for contact in contacts.find(sliver, {"_id": 1})}
            assert wanted <= found, f"{to_text(rule)} from {now} until {until.instant}"
            flipped += len(wanted)
    assert flipped > 250


def test_a_contact_that_nothing_comes_near_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise AssertionError("no reading is made")

    monkeypatch.setattr("domain.rules.passage.to_predicate", refused)
    rule = _rule(
        "last_seen in the last 7 days and birthdate anniversary in the next 14 days or created this month"
    )
    contact = {**_born("1965-08-01"), "created": _utc("2020-01-01")}
    contact["normal"] = {**contact["normal"], "last_seen": _utc("2026-01-01")}
    assert flips(rule, contact, _now("2026-05-10T23:59:59"), _now("2026-05-11T00:00:00")) == []


def test_there_is_nothing_beyond_the_calendar() -> None:
    first, last = (Now(instant=instant, settings=SETTINGS) for instant in (FIRST_INSTANT, LAST_SECOND))
    generator = _Timely(5)
    rules = [
        generator.condition(key, operator)
        for key, type_ in SUBJECTS.items()
        for operator in operators_of(type_)
        if not isinstance(operator.value.means, Fixed)
        for _ in range(5)
    ]
    generator.aim(rules, first, last)
    for rule in rules:
        assert next_turn(rule, last) is None
        assert slivers(rule, last, last) == []
        turn = next_turn(rule, first)
        assert turn is None or turn > FIRST_INSTANT
        for contact in [generator.contact() for _ in range(3)]:
            assert next_flip(rule, contact, last) is None
            for sliver in slivers(rule, first, last):
                assert BEYOND_ALL_INSTANTS not in [
                    edge for swept in sliver.values() for edge in swept.values()
                ]
            assert isinstance(_holds(rule, contact, first), bool)
