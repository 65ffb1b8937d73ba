from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.fields import Field, FieldType, Settings, normalize, parse_cell

BERLIN = Settings(time_zone="Europe/Berlin", region="DE")


def _field(type_: FieldType) -> Field:
    return Field(key="f", label="Field", type=type_)


@pytest.mark.parametrize(
    ("type_", "cell", "entered", "normal"),
    [
        (FieldType.TEXT, " Acme ", " Acme ", "acme"),
        (FieldType.EMAIL, "Ann@Example.org", "Ann@Example.org", "ann@example.org"),
        (FieldType.PHONE, "030 901820", "030 901820", "+4930901820"),
        (FieldType.CHOICE, "Staff", "Staff", "staff"),
        (FieldType.NUMBER, "1,250.50", 1250.5, 1250.5),
        (FieldType.NUMBER, " 1,000,000 ", 1000000, 1000000),
        (FieldType.NUMBER, "-0.5", -0.5, -0.5),
        (FieldType.NUMBER, "+.5e1", 5, 5),
        (FieldType.NUMBER, "01234", 1234, 1234),
        (FieldType.NUMBER, "9223372036854775807", 2**63 - 1, 2**63 - 1),
        (FieldType.BOOLEAN, "Yes", True, True),
        (FieldType.BOOLEAN, "TRUE", True, True),
        (FieldType.BOOLEAN, "1", True, True),
        (FieldType.BOOLEAN, " y ", True, True),
        (FieldType.BOOLEAN, "no", False, False),
        (FieldType.BOOLEAN, "False", False, False),
        (FieldType.BOOLEAN, "0", False, False),
        (FieldType.BOOLEAN, "n", False, False),
        (FieldType.DATE, " 1965-01-01 ", "1965-01-01", "1965-01-01"),
        (FieldType.DATETIME, "2026-05-03T10:00Z", "2026-05-03T10:00Z", datetime(2026, 5, 3, 10, tzinfo=UTC)),
        (
            FieldType.DATETIME,
            "2026-05-03 10:00",
            "2026-05-03T10:00:00+02:00",
            datetime(2026, 5, 3, 8, tzinfo=UTC),
        ),
        (FieldType.DATETIME, "2026-01-03", "2026-01-03T00:00:00+01:00", datetime(2026, 1, 2, 23, tzinfo=UTC)),
        (FieldType.TAGS, "House; Senate;;house", ["House", "Senate"], ["house", "senate"]),
    ],
)
def test_a_cell_becomes_an_entry(type_: FieldType, cell: str, entered: Any, normal: Any) -> None:
    entry = parse_cell(_field(type_), cell, BERLIN)
    assert entry is not None
    assert (entry.entered, entry.normal) == (entered, normal)


@pytest.mark.parametrize("type_", FieldType)
@pytest.mark.parametrize("cell", ["", "  "])
def test_an_empty_cell_is_no_value(type_: FieldType, cell: str) -> None:
    assert parse_cell(_field(type_), cell, BERLIN) is None


def test_tags_are_split_by_the_separator_that_is_given() -> None:
    entry = parse_cell(_field(FieldType.TAGS), "a;b | c", BERLIN, separator="|")
    assert entry is not None
    assert entry.entered == ["a;b", "c"]


def test_a_time_before_standard_time_keeps_its_meaning() -> None:
    entry = parse_cell(_field(FieldType.DATETIME), "1870-01-01 12:00", BERLIN)
    assert entry is not None
    assert entry.entered == "1870-01-01T11:06:32+00:00"


@pytest.mark.parametrize(
    ("type_", "cell"),
    [
        (FieldType.NUMBER, "1,25"),
        (FieldType.NUMBER, "1.250,50"),
        (FieldType.NUMBER, "."),
        (FieldType.NUMBER, "e5"),
        (FieldType.NUMBER, "1e999"),
        (FieldType.NUMBER, "nan"),
        (FieldType.NUMBER, "inf"),
        (FieldType.NUMBER, "1_000"),
        (FieldType.NUMBER, "0x10"),
        (FieldType.NUMBER, "٣"),
        (FieldType.NUMBER, "9" * 5_000),
        (FieldType.NUMBER, "9" * 500),
        (FieldType.BOOLEAN, "maybe"),
        (FieldType.BOOLEAN, "2"),
        (FieldType.DATE, "01/02/2020"),
        (FieldType.DATETIME, "yesterday"),
        (FieldType.PHONE, "1"),
        (FieldType.EMAIL, "nobody"),
        (FieldType.TEXT, "a\0"),
    ],
)
def test_a_cell_that_cannot_be_is_refused(type_: FieldType, cell: str) -> None:
    with pytest.raises(InvalidValue):
        parse_cell(_field(type_), cell, BERLIN)


_CELLS = st.text() | st.from_regex(
    r"\A([0-9]{1,4}([.,][0-9]{1,3}){0,3}|[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9])?)\Z"
)


@given(st.sampled_from(FieldType), _CELLS)
def test_what_a_cell_stores_the_api_would_take(type_: FieldType, cell: str) -> None:
    field = _field(type_)
    try:
        entry = parse_cell(field, cell, BERLIN)
    except InvalidValue:
        return
    assert entry is None or normalize(field, entry.entered, BERLIN) == entry
