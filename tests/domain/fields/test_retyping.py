"""Every pair of types: what is left of a value of the one when its field gets the other."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Int64

from domain.errors import InvalidValue
from domain.fields import Field, FieldType, Settings, normalize, reread

SETTINGS = Settings(time_zone="Europe/Berlin", region="US")
NOTHING = object()
"""The new type can make nothing of the value."""

TEXT, EMAIL, PHONE, NUMBER = FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE, FieldType.NUMBER
BOOLEAN, DATE, DATETIME, CHOICE, TAGS = (
    FieldType.BOOLEAN,
    FieldType.DATE,
    FieldType.DATETIME,
    FieldType.CHOICE,
    FieldType.TAGS,
)


def field(type_: FieldType, options: tuple[str, ...] = ()) -> Field:
    return Field(key="f", label="F", type=type_, options=options)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc] # a year, a month, a day, and so on


# What was entered while the field was of the first type, and what each other type reads in it.
PAIRS: dict[FieldType, list[tuple[Any, dict[FieldType, Any]]]] = {
    TEXT: [
        ("  Ann  Lee ", {CHOICE: "ann lee", TAGS: ["ann lee"]}),
        ("1,250.50", {CHOICE: "1,250.50", NUMBER: 1250.5, TAGS: ["1", "250.50"]}),
        ("-7", {CHOICE: "-7", NUMBER: -7, TAGS: ["-7"]}),
        ("Yes", {CHOICE: "yes", BOOLEAN: True, TAGS: ["yes"]}),
        ("0", {CHOICE: "0", NUMBER: 0, BOOLEAN: False, TAGS: ["0"]}),
        (
            " 1965-01-31 ",
            {CHOICE: "1965-01-31", DATE: "1965-01-31", DATETIME: utc(1965, 1, 30, 23), TAGS: ["1965-01-31"]},
        ),
        (
            "2026-05-03T23:30:00Z",
            {
                CHOICE: "2026-05-03t23:30:00z",
                DATE: "2026-05-04",
                DATETIME: utc(2026, 5, 3, 23, 30),
                TAGS: ["2026-05-03t23:30:00z"],
            },
        ),
        (
            "2026-05-03 10:00",
            {
                CHOICE: "2026-05-03 10:00",
                DATE: "2026-05-03",
                DATETIME: utc(2026, 5, 3, 8),
                TAGS: ["2026-05-03 10:00"],
            },
        ),
        ("Ann@Example.org", {CHOICE: "ann@example.org", EMAIL: "ann@example.org", TAGS: ["ann@example.org"]}),
        ("(202) 224-3441", {CHOICE: "(202) 224-3441", PHONE: "+12022243441", TAGS: ["(202) 224-3441"]}),
        ("Shoes, hats", {CHOICE: "shoes, hats", TAGS: ["hats", "shoes"]}),
        ("Doe, Ann; Roe, Bob", {CHOICE: "doe, ann; roe, bob", TAGS: ["doe, ann", "roe, bob"]}),
        ("one\ntwo, three", {CHOICE: "one two, three", TAGS: ["one", "two, three"]}),
    ],
    EMAIL: [
        ("Ann@Example.org", {TEXT: "ann@example.org", CHOICE: "ann@example.org", TAGS: ["ann@example.org"]})
    ],
    PHONE: [
        ("(202) 224-3441", {TEXT: "(202) 224-3441", CHOICE: "(202) 224-3441", TAGS: ["(202) 224-3441"]}),
        ("2022243441", {TEXT: "2022243441", CHOICE: "2022243441", NUMBER: 2022243441, TAGS: ["2022243441"]}),
    ],
    NUMBER: [
        (1250.5, {TEXT: "1250.5", CHOICE: "1250.5", TAGS: ["1250.5"]}),
        (3.0, {TEXT: "3", CHOICE: "3", TAGS: ["3"]}),
        (1, {TEXT: "1", CHOICE: "1", BOOLEAN: True, TAGS: ["1"]}),
        (-0.0, {TEXT: "0", CHOICE: "0", BOOLEAN: False, TAGS: ["0"]}),
        (1e-7, {TEXT: "0.0000001", CHOICE: "0.0000001", TAGS: ["0.0000001"]}),
        (1e20, {TEXT: "1" + 20 * "0", CHOICE: "1" + 20 * "0", TAGS: ["1" + 20 * "0"]}),
        (
            Int64(2022243441),
            {TEXT: "2022243441", CHOICE: "2022243441", PHONE: "+12022243441", TAGS: ["2022243441"]},
        ),
    ],
    BOOLEAN: [
        (True, {TEXT: "true", CHOICE: "true", NUMBER: 1, TAGS: ["true"]}),
        (False, {TEXT: "false", CHOICE: "false", NUMBER: 0, TAGS: ["false"]}),
    ],
    DATE: [
        (
            "1965-07-31",
            {TEXT: "1965-07-31", CHOICE: "1965-07-31", DATETIME: utc(1965, 7, 30, 23), TAGS: ["1965-07-31"]},
        )
    ],
    DATETIME: [
        (
            "2026-05-03T10:00:00+02:00",
            {
                TEXT: "2026-05-03t10:00:00+02:00",
                CHOICE: "2026-05-03t10:00:00+02:00",
                DATE: "2026-05-03",
                TAGS: ["2026-05-03t10:00:00+02:00"],
            },
        ),
        (
            "9999-12-31T23:30:00Z",
            {TEXT: "9999-12-31t23:30:00z", CHOICE: "9999-12-31t23:30:00z", TAGS: ["9999-12-31t23:30:00z"]},
        ),
    ],
    CHOICE: [
        ("Senator", {TEXT: "senator", TAGS: ["senator"]}),
        ("n", {TEXT: "n", BOOLEAN: False, TAGS: ["n"]}),
    ],
    TAGS: [
        (["Shoes", "Hats"], {TEXT: "shoes; hats"}),
        (["7"], {TEXT: "7", CHOICE: "7", NUMBER: 7}),
        (["yes"], {TEXT: "yes", CHOICE: "yes", BOOLEAN: True}),
        (
            ["2020-02-29"],
            {TEXT: "2020-02-29", CHOICE: "2020-02-29", DATE: "2020-02-29", DATETIME: utc(2020, 2, 28, 23)},
        ),
        (["a@b.org"], {TEXT: "a@b.org", CHOICE: "a@b.org", EMAIL: "a@b.org"}),
        (["+1 202 224 3441"], {TEXT: "+1 202 224 3441", CHOICE: "+1 202 224 3441", PHONE: "+12022243441"}),
    ],
}


@pytest.mark.parametrize(
    ("before", "value", "after", "expected"),
    [
        (before, value, after, expected.get(after, NOTHING))
        for before, cases in PAIRS.items()
        for value, expected in cases
        for after in FieldType
        if after is not before
    ],
)
def test_a_value_of_one_type_is_read_as_another_where_that_makes_sense(
    before: FieldType, value: Any, after: FieldType, expected: Any
) -> None:
    assert normalize(field(before), value, SETTINGS) is not None
    if expected is NOTHING:
        with pytest.raises(InvalidValue) as refused:
            reread(field(after), value, SETTINGS)
        assert refused.value.message.endswith(".")
        return
    entry = reread(field(after), value, SETTINGS)
    assert entry is not None
    assert (entry.normal, type(entry.normal)) == (expected, type(expected))
    assert entry.anniversary == (expected[5:] if after is DATE else None)


@pytest.mark.parametrize(
    ("type_", "value"), [(before, value) for before, cases in PAIRS.items() for value, _ in cases]
)
def test_what_the_type_takes_anyway_is_read_as_it_takes_it(type_: FieldType, value: Any) -> None:
    given = normalize(field(type_), value, SETTINGS)
    again = reread(field(type_), value, SETTINGS)
    assert given is not None
    assert again is not None
    assert (again.normal, again.anniversary) == (given.normal, given.anniversary)


@pytest.mark.parametrize("type_", FieldType)
@pytest.mark.parametrize("value", [None, "", " \n", [], [" "]])
def test_what_is_empty_is_empty_for_every_type(type_: FieldType, value: Any) -> None:
    assert reread(field(type_), value, SETTINGS) is None


@pytest.mark.parametrize("type_", FieldType)
@pytest.mark.parametrize(
    "value", [{"a": 1}, utc(2026, 1, 1), b"x", float("nan"), "a\0b", [{"a": 1}, {"b": 2}]]
)
def test_what_no_field_holds_is_refused_or_empty_and_nothing_worse(type_: FieldType, value: Any) -> None:
    with suppress(InvalidValue):
        assert reread(field(type_), value, SETTINGS) is None


def test_options_decide_what_a_choice_can_be() -> None:
    choice = field(CHOICE, ("Gold", "Silver"))
    entry = reread(choice, " GOLD", SETTINGS)
    assert entry is not None
    assert entry.normal == "gold"
    with pytest.raises(InvalidValue, match="not among the options"):
        reread(choice, "Bronze", SETTINGS)
