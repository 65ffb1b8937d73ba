"""Dates as people write them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.imports.dates import DateGuess, DateOrder, readings, to_iso

DAY, MONTH = DateOrder

CASES = [
    ("1990-05-03", "1990-05-03", "1990-05-03"),
    ("1990/5/3", "1990-05-03", "1990-05-03"),
    ("1990.05.03", "1990-05-03", "1990-05-03"),
    ("19900503", "1990-05-03", "1990-05-03"),
    (" 03.05.1990 ", "1990-05-03", None),
    ("3.5.90", "1990-05-03", None),
    ("03/05/1990", "1990-05-03", "1990-03-05"),
    ("3-5-1990", "1990-05-03", "1990-03-05"),
    ("25/12/1990", "1990-12-25", None),
    ("12/25/1990", None, "1990-12-25"),
    ("29/02/00", "2000-02-29", None),
    ("1/1/29", "2029-01-01", "2029-01-01"),
    ("1/1/30", "1930-01-01", "1930-01-01"),
    ("3 May 1990", "1990-05-03", "1990-05-03"),
    ("3-May-90", "1990-05-03", "1990-05-03"),
    ("May 3, 1990", "1990-05-03", "1990-05-03"),
    ("Sept. 3rd, 1990", "1990-09-03", "1990-09-03"),
    ("3rd December 1990", "1990-12-03", "1990-12-03"),
    ("03/05/1990 10:30", "1990-05-03T10:30:00", "1990-03-05T10:30:00"),
    ("5/3/1990 1:05 PM", "1990-03-05T13:05:00", "1990-05-03T13:05:00"),
    ("5/3/1990, 12:05:09 am", "1990-03-05T00:05:09", "1990-05-03T00:05:09"),
    ("1990-05-03T10:30:00.5+02:00", "1990-05-03T10:30:00.5+02:00", "1990-05-03T10:30:00.5+02:00"),
    ("1990-05-03 10:30:00Z", "1990-05-03T10:30:00Z", "1990-05-03T10:30:00Z"),
    ("30/02/1990", None, None),
    ("31.04.1990", None, None),
    ("1990-13-01", None, None),
    ("13/13/1990", None, None),
    ("3 Mai 1990", None, None),
    ("5/3/1990 25:00", None, None),
    ("5/3/1990 13:05 PM", None, None),
    ("1990", None, None),
    ("5/1990", None, None),
    ("03.05-1990", None, None),
    ("192.168.10.100", None, None),
    ("202-224-3441", None, None),
    ("2020-2021", None, None),
    ("19901303", None, None),
    ("01230405", None, None),
    ("1990050", None, None),
    ("", None, None),
    ("x" * 1_000, None, None),
]


@pytest.mark.parametrize(("text", "day_first", "month_first"), CASES, ids=[case[0][:30] for case in CASES])
def test_a_date_is_read_as_it_was_meant(text: str, day_first: str | None, month_first: str | None) -> None:
    wanted = {DAY: day_first, MONTH: month_first}
    assert readings(text) == {order: iso for order, iso in wanted.items() if iso is not None}
    for order, iso in wanted.items():
        assert to_iso(text, order) == (text if iso is None else iso)


COLUMNS: list[tuple[list[str], DateOrder | None, bool]] = [
    (["03/05/1990", "04/06/1991"], None, True),
    (["03/05/1990", "25/06/1991"], DAY, False),
    (["03/05/1990", "06/25/1991"], MONTH, False),
    (["25/06/1991", "06/25/1991"], None, False),
    (["03/05/1990", "04.06.1991"], DAY, False),
    (["05/05/1990", "1990-03-04"], DAY, False),
    (["03/05/1990", "none"], None, False),
]


@pytest.mark.parametrize(("cells", "order", "is_open"), COLUMNS)
def test_a_column_tells_the_order_or_leaves_it_open(
    cells: list[str],
    order: DateOrder | None,
    is_open: bool,  # noqa: FBT001
) -> None:
    for some in (cells, cells[::-1]):
        guess = DateGuess()
        for cell in some:
            guess.see(cell)
        assert (guess.order, guess.is_open) == (order, is_open)


@given(
    st.dates(min_value=date(1930, 1, 1), max_value=date(2029, 12, 31)),
    st.sampled_from(["%d/%m/%Y", "%d.%m.%Y", "%d-%m-%y", "%d %B %Y", "%B %d, %Y", "%Y/%m/%d"]),
)
def test_every_day_is_read_in_every_form(day: date, form: str) -> None:
    assert readings(day.strftime(form))[DAY] == day.isoformat()
