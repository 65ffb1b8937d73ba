from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.campaigns.reading import LONGEST_READ, MOST_READINGS, read_reply, unquoted
from domain.fields import Field, FieldType, Settings
from tests import pace

TODAY = date(2026, 11, 22)
OPTIONS = ("Sales", "Support", "Sales Europe")


def read(text: str, type_: str, options: tuple[str, ...] = ()) -> list[Any]:
    field = Field(key="asked", label="Asked", type=FieldType(type_), options=options)
    return [entry.normal for entry in read_reply(text, field, Settings(), TODAY)]


@pytest.mark.parametrize(
    "text",
    [
        "1990-05-03",
        "1990/05/03",
        "1990/5/3",
        "3rd of May 1990",
        "3 May 1990",
        "3 may 90",
        "03 May 1990",
        "3-May-1990",
        "3/May/1990",
        "May 3, 1990",
        "May 3rd 1990",
        "May the 3rd, 1990",
        "1990 May 3",
        "Thursday, 3 May 1990",
        "3. Mai 1990",
        "le 3 mai 1990",
        "3 de mayo de 1990",
        "It's 3 May 1990.",
        "I was born on the 3rd of May 1990, thanks!",
        "3rd May, 1990\n\nOn Mon, Nov 3, 2026 at 10:00 Shoal wrote:\n> When were you born? Not 4 May 1991?",
    ],
)
def test_a_date_is_read_however_it_is_written(text: str) -> None:
    assert read(text, "date") == ["1990-05-03"]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("03/05/90", ["1990-03-05", "1990-05-03"]),
        ("3.5.1990", ["1990-03-05", "1990-05-03"]),
        ("03 05 1990", ["1990-03-05", "1990-05-03"]),
        # Only one of the two can be a month, or both are the same.
        ("13/05/1990", ["1990-05-13"]),
        ("05-13-1990", ["1990-05-13"]),
        ("05/05/90", ["1990-05-05"]),
        # Of two digits, each year from 100 years ago to 10 years ahead.
        ("13/05/30", ["1930-05-13", "2030-05-13"]),
        ("13/05/26", ["1926-05-13", "2026-05-13"]),
        ("13/05/37", ["1937-05-13"]),
        ("13 May 30", ["1930-05-13", "2030-05-13"]),
        ("3 May 1990 or 4 May 1990", ["1990-05-03", "1990-05-04"]),
    ],
)
def test_a_date_that_can_be_read_in_several_ways_is_given_back_in_all_of_them(
    text: str, days: list[str]
) -> None:
    assert read(text, "date") == days


@pytest.mark.parametrize(
    "text",
    [
        "31/31/1990",
        "30 February 1990",
        "yesterday",
        "tomorrow",
        "no idea",
        "banana",
        "1990",
        "May 1990",
        "5",
        "12:30",
        "1.2.3.4",
        "my order 12/34/567",
        "call me at 202-224-3441",
        "I'm 36",
        "?",
        "\0",
        "x" * 10_000 + " 3 May 1990",
    ],
)
def test_what_names_no_whole_day_is_no_date(text: str) -> None:
    assert read(text, "date") == []


@pytest.mark.parametrize(
    ("type_", "text", "values"),
    [
        ("number", "42", [42]),
        ("number", "I am 42 years old.", [42]),
        ("number", "about 1,250.50 I think", [1250.5]),
        ("number", "1.250,50 €", [1250.5]),
        ("number", "12,5", [12.5]),
        ("number", "-5", [-5]),
        ("number", "$40", [40]),
        ("number", "1,250", [1.25, 1250]),
        ("number", "1.250", [1.25, 1250]),
        ("number", "1 or 2", [1, 2]),
        ("number", "3k", []),
        ("number", "10:30", []),
        ("number", "1.2.3", []),
        ("number", "many", []),
        ("boolean", "Yes", [True]),
        ("boolean", "YES!!!", [True]),
        ("boolean", "yes please, thank you", [True]),
        ("boolean", "Ja", [True]),
        ("boolean", "No thanks", [False]),
        ("boolean", "nope.", [False]),
        ("boolean", "yes and no", [True, False]),
        ("boolean", "yes, but not before Christmas", [True, False]),
        ("boolean", "I do not know", []),
        ("boolean", "yesterday", []),
        ("email", "It's Ann <Ann@Example.org>.", ["ann@example.org"]),
        ("email", "write to ann@example.org!", ["ann@example.org"]),
        ("email", "a@example.org or b@example.org", ["a@example.org", "b@example.org"]),
        ("email", "ann at example dot org", []),
        ("email", "ann@", []),
        ("phone", "call (202) 224-3441 please", ["+12022243441"]),
        ("phone", "+49 30 901820", ["+4930901820"]),
        ("phone", "202-224-3441 or 202-224-3442", ["+12022243441", "+12022243442"]),
        ("phone", "12", []),
        ("choice", "I am in sales.", ["sales"]),
        ("choice", "Sales Europe please", ["sales europe"]),
        ("choice", "support or sales", ["sales", "support"]),
        ("choice", "salesman", []),
        ("tags", "Shoes and hats, Boots", [["boots", "hats", "shoes"]]),
        ("text", "  What I say \n> quoted", ["what i say"]),
        ("datetime", "2026-05-03T10:00:00+02:00", [datetime(2026, 5, 3, 8, tzinfo=UTC)]),
        ("datetime", "3 May 2026 at 3:15 pm", [datetime(2026, 5, 3, 15, 15, tzinfo=UTC)]),
        ("datetime", "3 May 2026", []),
        (
            "datetime",
            "03/05/2026 10:00",
            [datetime(2026, 3, 5, 10, tzinfo=UTC), datetime(2026, 5, 3, 10, tzinfo=UTC)],
        ),
    ],
)
def test_a_reply_is_read_as_the_type_of_the_field(type_: str, text: str, values: list[Any]) -> None:
    assert read(text, type_, OPTIONS if type_ == "choice" else ()) == values


def test_a_choice_without_options_takes_any_text() -> None:
    assert read("Whatever", "choice") == ["whatever"]


@pytest.mark.parametrize(
    "text",
    [
        "Yes\n\nOn Mon, 3 Nov 2026, Shoal <a@b.org> wrote:\n> no?",
        "Yes\n> no?",
        "Yes\n-- \nNo Body",
        "Yes\nAm 3. November schrieb Shoal <a@b.org>:\nno?",
        "Yes\n-----Original Message-----\nno?",
        "Yes\nFrom: Shoal\nno?",
    ],
)
def test_what_a_mail_program_puts_below_is_not_read(text: str) -> None:
    assert unquoted(text) == "Yes"
    assert read(text, "boolean") == [True]


@pytest.mark.parametrize("type_", [type_.value for type_ in FieldType])
@given(text=st.text(max_size=60) | st.text(alphabet="0123456789./-: ,@+may ", max_size=60))
def test_no_text_brings_reading_down_and_never_are_there_too_many_readings(type_: str, text: str) -> None:
    found = read(text, type_, OPTIONS if type_ == "choice" else ())
    assert len(found) <= MOST_READINGS
    assert len({repr(each) for each in found}) == len(found)


def test_the_worst_texts_take_no_long_time() -> None:
    with pace.at_most(6_000):
        for text in ("3 may " * 80, "1/" * 240, "a@" * 240, "1," * 240, "ü" * 490, "may 3 " * 30, "1," * 99):
            for type_ in ("date", "number", "email", "phone", "boolean"):
                assert len(read(text[:LONGEST_READ], type_)) <= MOST_READINGS
