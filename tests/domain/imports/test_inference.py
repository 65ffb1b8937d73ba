"""Which type a column gets by its cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fields import Field, FieldType, Settings, parse_cell
from domain.imports.dates import readings
from domain.imports.inference import ColumnGuess

SETTINGS = Settings()


def guessed(cells: list[str], *, separator: str = ";", settings: Settings = SETTINGS) -> FieldType:
    guess = ColumnGuess(settings, separator=separator)
    for cell in cells:
        guess.see(cell)
    return guess.type


BOOLEAN, NUMBER, DATE, DATETIME = FieldType.BOOLEAN, FieldType.NUMBER, FieldType.DATE, FieldType.DATETIME
EMAIL, PHONE, TEXT, TAGS = FieldType.EMAIL, FieldType.PHONE, FieldType.TEXT, FieldType.TAGS

CASES: list[tuple[FieldType, list[str]]] = [
    (TEXT, []),
    (TEXT, ["", "  ", "\t"]),
    (TEXT, ["Ann", "Bob"]),
    # yes and no
    (BOOLEAN, ["yes", "no"]),
    (BOOLEAN, ["TRUE", "False", ""]),
    (BOOLEAN, [" Y ", "n"]),
    (BOOLEAN, ["yes", "false", "n"]),
    (TEXT, ["yes", "no", "maybe"]),
    (NUMBER, ["0", "1"]),
    (NUMBER, ["1"]),
    (TEXT, ["yes", "0"]),
    # numbers
    (NUMBER, ["3", "-7", "+5", "0"]),
    (NUMBER, ["1,250.50", "3"]),
    (NUMBER, ["0.5", ".5", "5.", "-0.25"]),
    (NUMBER, ["1965", "2024"]),
    (NUMBER, ["1.5E+20", "2e-7"]),
    (NUMBER, ["9223372036854775807"]),
    (NUMBER, ["2022243441"]),
    (NUMBER, ["19900503", "20001231"]),
    (TEXT, ["9223372036854775808"]),
    (TEXT, ["01234"]),
    (TEXT, ["01234", "56789"]),
    (TEXT, ["12", "-07"]),
    (TEXT, ["00.5"]),
    (TEXT, ["12E3", "45E7"]),
    (TEXT, ["1e999"]),
    (TEXT, ["NaN", "1"]),
    (TEXT, ["inf"]),
    (TEXT, ["1,2", "3"]),
    (TEXT, ["1.250,50"]),
    (TEXT, ["٣", "٤"]),
    (TEXT, ["."]),
    (TEXT, ["-"]),
    (TEXT, ["5 %"]),
    (TEXT, ["9" * 5_000]),
    # days and instants
    (DATE, ["1965-01-31", "2000-02-29"]),
    (TEXT, ["1965-01-31", "2001-02-29"]),
    (TEXT, ["0000-01-01"]),
    (DATE, ["03.05.1990", "1990-05-03"]),
    (DATE, ["05/03/1990"]),
    (DATE, ["1990/05/03", "3 May 1990"]),
    (TEXT, ["25/12/1990", "12/25/1990"]),
    (DATETIME, ["25/12/1990 10:30", "26.12.1990"]),
    (TEXT, ["1965-01-31", "1965"]),
    (DATETIME, ["2026-05-03T10:00:00Z", "2026-05-03 10:00"]),
    (DATETIME, ["2026-05-03", "2026-05-03T10:00:00.123+02:00"]),
    (TEXT, ["2026-05-03T25:00:00Z"]),
    (TEXT, ["2026-05-03 in the morning"]),
    # addresses
    (EMAIL, ["ann@example.org", " Bob.Smith@Example.COM "]),
    (TEXT, ["ann@example.org", "bob"]),
    (TEXT, ["@ann", "@bob"]),
    (TEXT, ["ann@localhost@example.org"]),
    # telephones
    (PHONE, ["202-224-3441"]),
    (PHONE, ["(202) 224-3441", "2022243441", "+49 30 1234567"]),
    (PHONE, ["+12022243441"]),
    (PHONE, ["202-224-3441 ext. 5"]),
    (PHONE, ["202.224.3441"]),
    (TEXT, ["202-224-3441", "none"]),
    (TEXT, ["Suite 202-224-3441"]),
    (TEXT, ["192.168.10.100"]),
    (TEXT, ["12-34"]),
    (TEXT, ["123-45-6789"]),
    (TEXT, ["2020-2021"]),
    (TEXT, ["1-800-FLOWERS"]),
    # several in one cell
    (TAGS, ["House;Senate", "House"]),
    (TAGS, ["House;Senate", *["House"] * 19]),
    (TEXT, ["House;Senate", *["House"] * 20]),
    (TAGS, ["House;Senate", *["House"] * 19, *[""] * 100]),
    (TAGS, ["1;2", "3"]),
    (TAGS, ["ann@example.org;bob@example.org"]),
    (TEXT, ["House|Senate", "House"]),
    (TEXT, ["nothing\0there"]),
]


@pytest.mark.parametrize(
    ("type", "cells"), CASES, ids=[f"{type}-{len(cells)}-{str(cells)[:40]}" for type, cells in CASES]
)
def test_a_column_gets_the_narrowest_type_that_every_cell_fits(type: FieldType, cells: list[str]) -> None:
    assert guessed(cells) is type
    assert guessed(cells[::-1]) is type


def test_another_separator_makes_tags() -> None:
    assert guessed(["House|Senate", "House"], separator="|") is TAGS
    assert guessed(["House;Senate", "House"], separator="|") is TEXT


def test_a_narrower_type_is_preferred_to_tags() -> None:
    assert guessed(["1,250", "3,000"], separator=",") is NUMBER
    assert guessed(["1965-01-31"], separator="-") is DATE


def test_telephones_are_read_by_the_region_of_the_account() -> None:
    cells = ["030 1234567", "0170 1234567"]
    assert guessed(cells, settings=Settings(region="DE")) is PHONE
    assert guessed(cells, settings=Settings(region="US")) is TEXT


def test_postal_codes_and_dates_are_no_telephones_in_a_region_of_short_numbers() -> None:
    germany = Settings(region="DE")
    assert guessed(["01234", "10115"], settings=germany) is TEXT
    assert guessed(["03.05.1990"], settings=germany) is DATE


ODD = st.sampled_from(
    ["", "0", "1", "yes", "n", "01", "1.5", "-3", "1,000", "2020-02-29", "2020-02-29T10:00Z", "a@b.org", "x"]
)
CELLS = st.lists(
    st.one_of(ODD, st.text(max_size=12), st.from_regex(r"[0-9+\-(). ]{1,16}", fullmatch=True)), max_size=8
)


@given(CELLS)
def test_what_a_type_was_inferred_from_its_field_takes(cells: list[str]) -> None:
    type = guessed(cells)
    field = Field(key="x", label="x", type=type)
    for cell in cells:
        if "\0" not in cell and cell.isprintable():
            for read in readings(cell).values() if type in {DATE, DATETIME} else [cell]:
                parse_cell(field, read, SETTINGS)


@given(CELLS, st.randoms())
def test_the_order_of_the_cells_does_not_matter(cells: list[str], random: object) -> None:
    shuffled = list(cells)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert guessed(shuffled) is guessed(cells)


@given(CELLS)
def test_empty_cells_do_not_matter(cells: list[str]) -> None:
    assert guessed([part for cell in cells for part in ("", cell, " ")]) is guessed(cells)
