"""Which field each column goes to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidField, InvalidMapping
from domain.fields import RESERVED_KEYS, Field, FieldRegistry, FieldType, Settings
from domain.imports.dates import DateOrder
from domain.imports.inference import ColumnGuess
from domain.imports.mapping import (
    FieldChoice,
    Target,
    columns_to_guess,
    find_column,
    map_columns,
    resolve_choices,
)

BUILT_IN = FieldRegistry()


def mapped(
    headers: list[str],
    *row: str,
    known: FieldRegistry = BUILT_IN,
    choices: tuple[FieldChoice, ...] = (),
) -> tuple[Target, ...]:
    resolved = resolve_choices(headers, choices, known)
    guesses = {}
    for position in columns_to_guess(headers, known, resolved):
        guesses[position] = ColumnGuess(Settings(), separator=";")
        guesses[position].see(row[position] if row else "")
    return map_columns(headers, guesses, known, resolved)


def keys(targets: tuple[Target, ...]) -> list[str]:
    return [target.field.key for target in targets]


def test_a_header_becomes_a_key_and_the_column_gives_the_type() -> None:
    targets = mapped(
        ["Member ID", "Contact Form", "YouTube", "Terms Served"], "C000127", "https://x.org", "", "6"
    )
    assert [(target.field.key, target.field.label, target.field.type, target.made) for target in targets] == [
        ("member_id", "Member ID", FieldType.TEXT, True),
        ("contact_form", "Contact Form", FieldType.TEXT, True),
        ("youtube", "YouTube", FieldType.TEXT, True),
        ("terms_served", "Terms Served", FieldType.NUMBER, True),
    ]


def test_a_field_that_is_there_is_used_whatever_the_cells_look_like() -> None:
    (target,) = mapped(
        ["E-mail"], "none", known=FieldRegistry([Field(key="e_mail", label="E", type=FieldType.EMAIL)])
    )
    assert (target.field.type, target.made) == (FieldType.EMAIL, False)
    (target,) = mapped(["First Name"], "1965")
    assert (target.field, target.made) == (BUILT_IN["first_name"], False)


def test_a_second_column_of_the_same_key_and_a_reserved_key_get_a_number() -> None:
    assert keys(mapped(["E-mail", "E mail", "ID", "Key", "groups", "Ort", "§"])) == [
        *("e_mail", "e_mail_2", "id_2", "key_2", "groups_2", "ort", "field")
    ]


def test_importing_again_finds_the_same_fields() -> None:
    headers = ["Name", "NAME", "id", "name_2", ""]
    first = mapped(headers, "a", "b", "c", "d", "e")
    again = mapped(headers, "a", "b", "c", "d", "e", known=FieldRegistry([target.field for target in first]))
    assert keys(again) == keys(first)
    assert not any(target.made for target in again)


def test_a_column_without_header_is_named_by_its_place_or_left_out_where_it_is_empty() -> None:
    targets = mapped(["Key", "", ""], "1", "", "x")
    assert [(target.position, target.name, target.field.key) for target in targets] == [
        (0, "Key", "key_2"),
        (2, "Column 3", "column_3"),
    ]


def test_a_choice_comes_first() -> None:
    choices = (FieldChoice(header="Birthday", key="birthdate", type=FieldType.DATE),)
    targets = mapped(["Birthdate", "Birthday"], "x", "1965-01-31", choices=choices)
    assert keys(targets) == ["birthdate_2", "birthdate"]
    assert [target.made for target in targets] == [True, False]


def test_a_choice_gives_the_type_or_leaves_it_to_the_cells() -> None:
    choices = (
        FieldChoice(header="Code", key="code", type=FieldType.NUMBER),
        FieldChoice(header="Role", key="role", type=FieldType.CHOICE),
        FieldChoice(header="Age", key="years"),
    )
    targets = mapped(["Code", "Role", "Age"], "01234", "Staff", "7", choices=choices)
    assert [target.field.type for target in targets] == [FieldType.NUMBER, FieldType.CHOICE, FieldType.NUMBER]


def test_dates_that_could_mean_either_are_asked_for() -> None:
    with pytest.raises(InvalidMapping, match="“Born” may have their day first or their month"):
        mapped(["Born"], "03/05/1990")
    for order in DateOrder:
        (target,) = mapped(
            ["Born"], "03/05/1990", choices=(FieldChoice(header="Born", key="born", dates=order),)
        )
        assert (target.field.type, target.dates) == (FieldType.DATE, order)
    (target,) = mapped(["Born"], "25/05/1990")
    assert target.dates is DateOrder.DAY_FIRST
    (target,) = mapped(
        ["Born"], "03/05/1990", choices=(FieldChoice(header="Born", key="born", type=FieldType.TEXT),)
    )
    assert (target.field.type, target.dates) == (FieldType.TEXT, None)


def test_only_columns_of_unknown_type_are_looked_at() -> None:
    choices = resolve_choices(
        ["A", "B", "Email", "C"],
        (FieldChoice(header="B", key="b", type=FieldType.TEXT), FieldChoice(header="C", key="last_name")),
        BUILT_IN,
    )
    assert columns_to_guess(["A", "B", "Email", "C"], BUILT_IN, choices) == [0]


REFUSED = [
    (
        "unknown column",
        [("Birthdy", "birthdate", None)],
        r"no column “Birthdy”\. Did you mean “Birthday”\? The columns are",
    ),
    (
        "one column twice",
        [("Name", "a", None), ("Name", "b", None)],
        "Two fields are chosen for the column “Name”",
    ),
    (
        "one field twice",
        [("Name", "a", None), ("Birthday", "a", None)],
        "chosen for two columns, “Name” and “Birthday”",
    ),
    ("another type", [("Birthday", "birthdate", FieldType.TEXT)], "there already, of type date and not text"),
]


@pytest.mark.parametrize(
    ("choices", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_choice_that_cannot_be_is_refused(
    choices: list[tuple[str, str, FieldType | None]], message: str
) -> None:
    with pytest.raises(InvalidMapping, match=message):
        mapped(
            ["Name", "Birthday"], choices=tuple(FieldChoice(header=h, key=k, type=t) for h, k, t in choices)
        )


@pytest.mark.parametrize("key", ["Birth Date", "", "id", "x" * 101, "é"])
def test_a_key_that_cannot_be_is_refused(key: str) -> None:
    with pytest.raises(InvalidField):
        mapped(["Name"], choices=(FieldChoice(header="Name", key=key),))


def test_a_missing_column_is_answered_with_the_headers_and_the_nearest() -> None:
    with pytest.raises(InvalidMapping) as refused:
        find_column(["Member ID", "Name", ""], "member-id")
    assert refused.value.message == (
        "There is no column “member-id”. Did you mean “Member ID”? The columns are “Member ID”, “Name”, “Column 3”."
    )
    assert find_column(["Member ID", "Name"], " Member  ID ") == 0


@given(st.lists(st.text(max_size=8), max_size=12, unique=True), st.data())
def test_no_two_columns_go_to_one_field(headers: list[str], data: st.DataObject) -> None:
    headers = [" ".join(header.split()) for header in headers]
    rows = [data.draw(st.sampled_from(["", "x", "1", "a;b"])) for _ in headers]
    targets = mapped(headers, *rows)
    assert len(set(keys(targets))) == len(targets)
    assert not RESERVED_KEYS & set(keys(targets))
    again = mapped(headers, *rows, known=FieldRegistry(t.field for t in targets if t.made))
    assert keys(again) == keys(targets)
