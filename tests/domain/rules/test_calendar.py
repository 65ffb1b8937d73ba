from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fields import LeapDay, Settings, Weekday
from domain.rules.calendar import (
    AFTER_ALL_DATES,
    BEFORE_ALL_DATES,
    BEYOND_ALL_INSTANTS,
    FIRST_DAY,
    FIRST_INSTANT,
    LAST_DAY,
    Now,
    Span,
    Unit,
    civil,
    date_text,
    first_observed,
    last_observed,
    month_of_year,
    number_of,
    period,
    second_of,
    shifted,
    start_of_day,
    start_of_second,
)


def _day(text: str) -> int:
    return date.fromisoformat(text).toordinal()


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _now(instant: str, time_zone: str) -> Now:
    return Now(instant=_utc(instant), settings=Settings(time_zone=time_zone))


# ---- when days begin -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_zone", "day", "begins"),
    [
        ("UTC", "2026-05-03", "2026-05-03T00:00:00"),
        ("Europe/Berlin", "2025-03-30", "2025-03-29T23:00:00"),  # clocks go on: 23 hours
        ("Europe/Berlin", "2025-03-31", "2025-03-30T22:00:00"),
        ("Europe/Berlin", "2025-10-26", "2025-10-25T22:00:00"),  # clocks go back: 25 hours
        ("Europe/Berlin", "2025-10-27", "2025-10-26T23:00:00"),
        ("America/New_York", "2025-03-09", "2025-03-09T05:00:00"),
        ("America/New_York", "2025-03-10", "2025-03-10T04:00:00"),
        ("America/New_York", "2025-11-02", "2025-11-02T04:00:00"),
        ("America/New_York", "2025-11-03", "2025-11-03T05:00:00"),
        ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00"),  # from 24:00 on to 01:00: no midnight
        ("Africa/Cairo", "2024-04-27", "2024-04-26T21:00:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00"),  # no midnight either
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00:00"),  # midnight is put back to 23:00
        ("America/Toronto", "1919-03-31", "1919-03-31T04:30:00"),  # from 23:30 on to 00:30, over midnight
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00"),  # the day that never was begins with the next
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00"),
        ("Pacific/Apia", "2012-01-01", "2011-12-31T10:00:00"),
        (
            "America/St_Johns",
            "2010-11-07",
            "2010-11-07T02:30:00",
        ),  # at 00:01 put back to 23:01: midnight twice
        ("Asia/Kathmandu", "2026-01-01", "2025-12-31T18:15:00"),
        ("Europe/Berlin", "1890-01-01", "1889-12-31T23:06:32"),  # local mean time
        ("Asia/Tokyo", "0001-01-01", "0001-01-01T00:00:00"),  # cut: it began in another year
        ("America/New_York", "0001-01-01", "0001-01-01T00:00:00"),  # cut: nothing is before it
        ("America/New_York", "9999-12-31", "9999-12-31T05:00:00"),
    ],
)
def test_a_day_begins_when_the_clocks_have_come_to_it(time_zone: str, day: str, begins: str) -> None:
    assert start_of_day(_day(day), Settings(time_zone=time_zone)) == _utc(begins)


@pytest.mark.parametrize(
    ("time_zone", "instant", "today"),
    [
        ("Europe/Berlin", "2025-03-29T22:59:59", "2025-03-29"),
        ("Europe/Berlin", "2025-03-29T23:00:00", "2025-03-30"),
        ("Europe/Berlin", "2025-03-30T21:59:59", "2025-03-30"),
        ("Europe/Berlin", "2025-03-30T22:00:00", "2025-03-31"),
        ("Europe/Berlin", "2025-10-26T22:59:59", "2025-10-26"),
        ("Europe/Berlin", "2025-10-26T23:00:00", "2025-10-27"),
        ("America/New_York", "2025-11-03T04:59:59", "2025-11-02"),
        ("America/New_York", "2025-11-03T05:00:00", "2025-11-03"),
        ("Africa/Cairo", "2024-04-25T21:59:59", "2024-04-25"),
        ("Africa/Cairo", "2024-04-25T22:00:00", "2024-04-26"),
        ("America/Sao_Paulo", "2018-11-04T02:59:59", "2018-11-03"),
        ("America/Sao_Paulo", "2018-11-04T03:00:00", "2018-11-04"),
        ("Pacific/Apia", "2011-12-30T09:59:59", "2011-12-29"),
        ("Pacific/Apia", "2011-12-30T10:00:00", "2011-12-31"),
        ("America/St_Johns", "2010-11-07T02:29:59", "2010-11-06"),
        ("America/St_Johns", "2010-11-07T02:30:00", "2010-11-07"),
        ("America/St_Johns", "2010-11-07T02:31:00", "2010-11-07"),  # clocks say 23:01 of the day before
        ("America/St_Johns", "2010-11-08T03:29:59", "2010-11-07"),
        ("Asia/Tokyo", "0001-01-01T00:00:00", "0001-01-01"),
        ("America/New_York", "0001-01-01T00:00:00", "0001-01-01"),  # clocks say 31 December of no year
        ("America/New_York", "9999-12-31T23:59:59", "9999-12-31"),
        ("Asia/Tokyo", "9999-12-31T14:59:59", "9999-12-31"),
        ("Asia/Tokyo", "9999-12-31T23:59:59", "9999-12-31"),  # clocks say 1 January of no year
    ],
)
def test_today_is_the_day_in_which_the_instant_lies(time_zone: str, instant: str, today: str) -> None:
    assert _now(instant, time_zone).today == _day(today)


ZONES = sorted(available_timezones())


@given(st.sampled_from(ZONES), st.integers(second_of(_utc("1850-01-01")), second_of(_utc("2200-01-01"))))
def test_today_is_the_last_day_that_has_begun_in_every_zone(time_zone: str, moment: int) -> None:
    now = Now(instant=start_of_second(moment), settings=Settings(time_zone=time_zone))
    begins, ends = (start_of_day(day, now.settings) for day in (now.today, now.today + 1))
    assert begins <= now.instant < ends
    # And it has begun just when the clocks came to it.
    zone, second = ZoneInfo(time_zone), timedelta(seconds=1)
    assert begins.astimezone(zone).toordinal() >= now.today
    assert (begins - second).astimezone(zone).toordinal() < now.today


def test_a_day_begins_with_its_first_second_wherever_clocks_have_ever_changed_near_midnight() -> None:
    checked = 0
    for time_zone in (
        "America/St_Johns",
        "Pacific/Apia",
        "Africa/Cairo",
        "America/Toronto",
        "Pacific/Kwajalein",
    ):
        zone, settings = ZoneInfo(time_zone), Settings(time_zone=time_zone)
        for day in range(_day("1900-01-01"), _day("2030-01-01")):
            begins = start_of_day(day, settings)
            if start_of_day(day + 1, settings) - begins == timedelta(days=1):
                continue
            checked += 1
            assert begins.astimezone(zone).toordinal() >= day
            assert (begins - timedelta(seconds=1)).astimezone(zone).toordinal() < day
    assert checked > 500


def test_every_zone_has_a_first_and_a_last_day() -> None:
    for time_zone in ZONES:
        settings = Settings(time_zone=time_zone)
        assert start_of_day(FIRST_DAY, settings) == start_of_day(-5, settings) == FIRST_INSTANT
        assert start_of_day(LAST_DAY + 1, settings) == start_of_day(10**7, settings) == BEYOND_ALL_INSTANTS
        assert Now(instant=FIRST_INSTANT, settings=settings).today == FIRST_DAY
        last = BEYOND_ALL_INSTANTS.replace(microsecond=0)
        assert Now(instant=last, settings=settings).today == LAST_DAY


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2026, 5, 3),  # noqa: DTZ001 # that is what is refused
        datetime(2026, 5, 3, tzinfo=timezone(timedelta(hours=2))),
        datetime(2026, 5, 3, microsecond=1_000, tzinfo=UTC),
    ],
)
def test_now_is_in_utc_and_whole_seconds(instant: datetime) -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        Now(instant=instant, settings=Settings())


# ---- arithmetic ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "count", "unit", "there"),
    [
        ("2026-05-10", -7, Unit.DAY, "2026-05-03"),
        ("2026-05-10", 2, Unit.WEEK, "2026-05-24"),
        ("2026-05-31", -3, Unit.MONTH, "2026-02-28"),
        ("2024-05-31", -3, Unit.MONTH, "2024-02-29"),
        ("2026-01-31", 1, Unit.MONTH, "2026-02-28"),
        ("2026-01-30", 1, Unit.MONTH, "2026-02-28"),
        ("2026-03-31", 1, Unit.MONTH, "2026-04-30"),
        ("2026-12-31", 2, Unit.MONTH, "2027-02-28"),
        ("2026-01-15", -1, Unit.MONTH, "2025-12-15"),
        ("2026-01-15", -13, Unit.MONTH, "2024-12-15"),
        ("2026-05-31", 1, Unit.QUARTER, "2026-08-31"),
        ("2026-05-31", -1, Unit.QUARTER, "2026-02-28"),
        ("2024-02-29", 1, Unit.YEAR, "2025-02-28"),
        ("2024-02-29", 4, Unit.YEAR, "2028-02-29"),
        ("2024-02-29", -124, Unit.YEAR, "1900-02-28"),
        ("2024-02-29", -24, Unit.YEAR, "2000-02-29"),
    ],
)
def test_a_span_leads_to_a_day_and_months_are_cut_to_their_end(
    day: str, count: int, unit: Unit, there: str
) -> None:
    assert shifted(_day(day), count, unit) == _day(there)


def test_days_go_on_beyond_the_calendar_and_are_cut_where_they_become_texts() -> None:
    before, after = shifted(_day("2026-05-10"), -100_000, Unit.YEAR), shifted(LAST_DAY, 100_000, Unit.MONTH)
    assert before < FIRST_DAY
    assert after > LAST_DAY
    assert civil(before) == (2026 - 100_000, 5, 10)
    assert number_of(2026 - 100_000, 5, 10) == before
    assert [date_text(day) for day in (before, FIRST_DAY, LAST_DAY, after)] == [
        BEFORE_ALL_DATES,
        "0001-01-01",
        "9999-12-31",
        AFTER_ALL_DATES,
    ]
    assert BEFORE_ALL_DATES < "0001-01-01"
    assert AFTER_ALL_DATES > "9999-12-31"
    assert start_of_second(-1) == FIRST_INSTANT
    assert start_of_second(second_of(BEYOND_ALL_INSTANTS) + 1) == BEYOND_ALL_INSTANTS


@given(st.dates())
def test_numbers_of_days_are_those_of_python_within_the_calendar(day: date) -> None:
    assert civil(day.toordinal()) == (day.year, day.month, day.day)
    assert number_of(day.year, day.month, day.day) == day.toordinal()
    assert date_text(day.toordinal()) == day.isoformat()


@given(st.integers(-(10**7), 10**7), st.integers(-2_000, 2_000), st.sampled_from(Unit))
def test_a_later_day_never_leads_before_an_earlier_one(day: int, count: int, unit: Unit) -> None:
    if unit in (Unit.MINUTE, Unit.HOUR):
        with pytest.raises(ValueError, match="not moved"):
            shifted(day, count, unit)
        with pytest.raises(ValueError, match="is a period of days"):
            period(day, unit, Settings())
        return
    assert number_of(*civil(day)) == day
    assert shifted(day, count, unit) <= shifted(day + 1, count, unit)
    assert shifted(day, count, unit) < shifted(day, count + 1, unit)
    first, last = period(day, unit, Settings())
    assert first <= day <= last
    assert period(first, unit, Settings()) == period(last, unit, Settings()) == (first, last)
    assert period(last + 1, unit, Settings())[0] == last + 1


@pytest.mark.parametrize(
    ("day", "unit", "first_weekday", "first", "last"),
    [
        ("2026-05-10", Unit.DAY, Weekday.MONDAY, "2026-05-10", "2026-05-10"),
        ("2026-05-10", Unit.WEEK, Weekday.MONDAY, "2026-05-04", "2026-05-10"),  # a Sunday
        ("2026-05-10", Unit.WEEK, Weekday.SUNDAY, "2026-05-10", "2026-05-16"),
        ("2026-05-10", Unit.WEEK, Weekday.SATURDAY, "2026-05-09", "2026-05-15"),
        ("2026-05-11", Unit.WEEK, Weekday.MONDAY, "2026-05-11", "2026-05-17"),
        ("2025-12-31", Unit.WEEK, Weekday.MONDAY, "2025-12-29", "2026-01-04"),
        ("2024-02-10", Unit.MONTH, Weekday.MONDAY, "2024-02-01", "2024-02-29"),
        ("2025-12-31", Unit.MONTH, Weekday.MONDAY, "2025-12-01", "2025-12-31"),
        ("2026-05-10", Unit.QUARTER, Weekday.MONDAY, "2026-04-01", "2026-06-30"),
        ("2026-01-01", Unit.QUARTER, Weekday.MONDAY, "2026-01-01", "2026-03-31"),
        ("2026-12-31", Unit.QUARTER, Weekday.MONDAY, "2026-10-01", "2026-12-31"),
        ("2024-02-29", Unit.YEAR, Weekday.MONDAY, "2024-01-01", "2024-12-31"),
    ],
)
def test_a_period_is_that_of_the_calendar(
    day: str, unit: Unit, first_weekday: Weekday, first: str, last: str
) -> None:
    assert period(_day(day), unit, Settings(first_weekday=first_weekday)) == (_day(first), _day(last))


def test_a_month_of_the_year_is_that_of_the_year_as_it_is() -> None:
    assert month_of_year(_day("2025-07-01"), 2) == (_day("2025-02-01"), _day("2025-02-28"))
    assert month_of_year(_day("2024-12-31"), 2) == (_day("2024-02-01"), _day("2024-02-29"))


@pytest.mark.parametrize(
    ("day", "leap_day", "first", "last"),
    [
        ("2025-02-28", LeapDay.FEBRUARY_28, "02-28", "02-29"),
        ("2025-03-01", LeapDay.FEBRUARY_28, "03-01", "03-01"),
        ("2025-02-28", LeapDay.MARCH_1, "02-28", "02-28"),
        ("2025-03-01", LeapDay.MARCH_1, "02-29", "03-01"),
        ("2024-02-28", LeapDay.FEBRUARY_28, "02-28", "02-28"),
        ("2024-02-29", LeapDay.FEBRUARY_28, "02-29", "02-29"),
        ("2024-02-29", LeapDay.MARCH_1, "02-29", "02-29"),
        ("2024-03-01", LeapDay.MARCH_1, "03-01", "03-01"),
        ("1900-03-01", LeapDay.MARCH_1, "02-29", "03-01"),
        ("2000-03-01", LeapDay.MARCH_1, "03-01", "03-01"),
        ("2025-12-31", LeapDay.MARCH_1, "12-31", "12-31"),
    ],
)
def test_29_february_is_observed_on_the_28th_or_on_1_march(
    day: str, leap_day: LeapDay, first: str, last: str
) -> None:
    settings = Settings(leap_day=leap_day)
    assert (first_observed(_day(day), settings), last_observed(_day(day), settings)) == (first, last)


def test_a_span_is_said_in_the_singular_or_plural() -> None:
    assert [str(Span(1, Unit.DAY)), str(Span(2, Unit.DAY)), str(Span(90, Unit.MINUTE))] == [
        "1 day",
        "2 days",
        "90 minutes",
    ]
