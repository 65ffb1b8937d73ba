"""What helps people to write rules: warnings before saving, operators for a rule builder, completion of the text."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from api.__main__ import commands
from api.previews import MOST_WARNINGS
from domain.fields import FieldType
from domain.rules.operators import Shape, operators_of, units_of
from domain.rules.table import operator_table
from tests.api.client import Client

WARNINGS = "query ($rule: RuleInput!) { previewRule(rule: $rule) { warnings { kind message about parts } } }"


async def _warnings(client: Client, expression: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.data(WARNINGS, rule={"expression": expression}))["warnings"]
    return found


async def test_a_rule_that_can_match_nobody_is_warned_of(client: Client) -> None:
    await client.contact("A", first_name="Ann")
    assert await _warnings(client, 'first_name is "Ann" and first_name is empty') == [
        {
            "kind": "NEVER_MATCHES",
            "message": 'No contact matches “first_name is "ann"” and “first_name is empty” at once. The whole rule matches nobody.',
            "about": None,
            "parts": ['first_name is "ann"', "first_name is empty"],
        }
    ]


async def test_a_rule_that_can_match_nobody_at_this_moment_is_warned_of_as_such(client: Client) -> None:
    await client.contact("A", birthdate="1965-01-01")
    (warning,) = await _warnings(client, "birthdate in the last 7 days and birthdate more than 90 days ago")
    assert warning == {
        "kind": "NEVER_MATCHES",
        "message": "Right now no contact matches “birthdate in the last 7 days” and “birthdate more than 90 days ago” at once. "
        "The whole rule matches nobody.",
        "about": None,
        "parts": ["birthdate in the last 7 days", "birthdate more than 90 days ago"],
    }


async def test_warnings_by_count_follow_the_contacts(client: Client) -> None:
    rule = 'first_name is not "Ann" and last_name is not empty'
    (first, last) = await _warnings(client, rule)
    assert (first["kind"], first["message"]) == (
        "UNUSED_FIELD",
        "No contact has a value in “first_name”, which the rule asks for.",
    )
    assert last["parts"] == ["last_name is not empty"]
    await client.upsert({"A": {"first_name": "Ann"}, "B": {"last_name": "Lee"}, "C": {"last_name": "Low"}})
    (taken_in,) = await _warnings(client, rule)
    assert taken_in == {
        "kind": "LACK_OF_A_VALUE",
        "message": '“first_name is not "ann" including missing” takes in 2 contacts only for lack of a value; “excluding missing”'
        " would leave them out.",
        "about": None,
        "parts": ['first_name is not "ann" including missing'],
    }
    assert (
        await _warnings(client, 'first_name is not "Ann" excluding missing and last_name is not empty') == []
    )


async def test_whom_a_not_takes_in_for_lack_of_a_value_is_counted(client: Client) -> None:
    await client.upsert({"A": {"first_name": "Ann"}, "B": {"last_name": "Lee"}, "C": {"first_name": "Cy"}})
    (taken_in,) = await _warnings(client, 'not (first_name is "Ann")')
    assert (taken_in["kind"], taken_in["parts"]) == ("LACK_OF_A_VALUE", ['first_name is "ann"'])
    assert "takes in 1 contact only for lack of a value" in taken_in["message"]
    assert await _warnings(client, 'not (first_name is "Ann") and first_name is not empty') == []


async def test_a_beginning_that_no_phone_number_has_is_told_by_the_account_s_region(client: Client) -> None:
    await client.contact("A", phone="+44 20 7946 0958")
    await client.attempt("updateSettings", {"region": "GB"}, "settings { region }")
    (never,) = await _warnings(client, 'phone starts with "020"')
    assert never["kind"] == "NEVER_MATCHES"
    assert "Write “+4420”." in never["message"]
    assert await _warnings(client, 'phone starts with "+4420"') == []


async def test_other_accounts_contacts_are_not_counted(client: Client, other_client: Client) -> None:
    await other_client.contact("A", first_name="Ann")
    assert [each["kind"] for each in await _warnings(client, "first_name is not empty")] == ["UNUSED_FIELD"]
    assert await _warnings(other_client, "first_name is not empty") == []


async def test_warnings_about_a_part_name_the_part_and_are_bounded(client: Client) -> None:
    part = 'first_name is "a" and first_name is "b"'
    (warned, *_) = await _warnings(client, f"email is empty or {part}")
    assert (warned["kind"], warned["about"]) == ("NEVER_MATCHES", part)
    many = "email is empty or " + " or ".join(
        f'first_name is "{number}" and first_name is empty' for number in range(MOST_WARNINGS + 10)
    )
    assert len(await _warnings(client, many)) == MOST_WARNINGS


OPERATORS = "operators { operator words shape operand operandType units hint negative description }"


async def test_each_field_says_which_operators_it_has_as_the_table_has_them(client: Client) -> None:
    for type_ in FieldType:
        await client.field(f"A {type_}", type_.name)
    for field in await client.data(f"{{ fields {{ type {OPERATORS} }} }}"):
        stored = operators_of(FieldType[field["type"]])
        assert [each["operator"] for each in field["operators"]] == [operator.name for operator in stored]
        for shown, operator in zip(field["operators"], stored, strict=True):
            row = operator.value
            compares = row.shape is not Shape.NONE
            assert (shown["words"], shown["shape"], shown["negative"], shown["description"]) == (
                row.words,
                row.shape.name,
                row.negative,
                row.doc,
            )
            assert (shown["operand"], bool(shown["hint"])) == (row.reads.name if compares else None, compares)
            assert (shown["operandType"] is not None) is compares
            assert shown["units"] == [unit.name for unit in units_of(row.reads, FieldType[field["type"]])]
        assert field["operators"] == (
            await client.data(
                f"query ($type: FieldType!) {{ operators(type: $type) {{ {OPERATORS[12:-2]} }} }}",
                type=field["type"],
            )
        )


async def test_operands_are_entered_as_what_they_are(client: Client) -> None:
    wanted = (
        "query ($type: FieldType!) { operators(type: $type) { operator operand operandType hint units } }"
    )
    shown = {
        (type_, each["operator"]): (each["operand"], each["operandType"], each["hint"], each["units"])
        for type_ in ("EMAIL", "NUMBER", "TAGS", "DATE", "DATETIME")
        for each in await client.data(wanted, type=type_)
    }
    assert shown["EMAIL", "IS"] == (
        "VALUE",
        "EMAIL",
        'an address in double quotes, such as "ann@example.org"',
        [],
    )
    assert shown["EMAIL", "CONTAINS"][:2] == ("PART", "TEXT")
    assert shown["EMAIL", "DOMAIN_IS_ANY_OF"][:2] == ("DOMAIN", "TEXT")
    assert shown["EMAIL", "IS_EMPTY"] == (None, None, None, [])
    assert shown["NUMBER", "BETWEEN"][:2] == ("VALUE", "NUMBER")
    assert shown["TAGS", "HAS_ALL_OF"][:2] == ("VALUE", "TEXT")
    assert shown["DATETIME", "BEFORE"][:2] == ("VALUE", "DATETIME")
    assert shown["DATETIME", "IN_THE_LAST"][:2] == ("SPAN", "TEXT")
    assert shown["DATETIME", "IN_THE_LAST"][3] == ["MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR"]
    assert shown["DATE", "ANNIVERSARY_IN_THE_NEXT"][3] == ["DAY", "WEEK", "MONTH", "YEAR"]
    assert shown["DATE", "LAST"][:2] == ("PERIOD", "TEXT")
    assert shown["DATE", "LAST"][3] == ["DAY", "WEEK", "MONTH", "QUARTER", "YEAR"]
    assert shown["DATE", "ANNIVERSARY_IN_MONTH"] == (
        "MONTH",
        "NUMBER",
        "the number of a month, from 1 for January to 12 for December",
        [],
    )


COMPLETE = """
query ($expression: String!, $position: Int) {
  completeRule(expression: $expression, position: $position) { start operand suggestions { text kind description } }
}
"""


async def test_a_text_is_completed_with_the_account_s_own_fields(client: Client) -> None:
    await client.field("Plan", "CHOICE", options=["Free", "Paid"])
    assert await client.data(COMPLETE, expression="email is empty and pl") == {
        "start": 19,
        "operand": None,
        "suggestions": [{"text": "plan", "kind": "FIELD", "description": "Plan (choice)"}],
    }
    completion = await client.data(COMPLETE, expression="plan is  and email is empty", position=8)
    assert (completion["start"], completion["operand"]) == (8, "an option in double quotes")
    assert [(each["kind"], each["text"]) for each in completion["suggestions"]] == [
        ("OPERATOR", "empty"),
        ("OPERATOR", "not empty"),
        ("OPERATOR", "not"),
        ("OPERATOR", "any of"),
        ("OPERATOR", "none of"),
        ("VALUE", '"Free"'),
        ("VALUE", '"Paid"'),
    ]


@pytest.mark.parametrize(
    ("expression", "position"),
    [("", 0), ("", 99), ("x", -1), (")((", None), ('"', None), ("`", 1), ("\\", 1), ("a" * 200_000, None)],
    ids=range(8),
)
async def test_no_text_and_no_place_is_an_error(
    client: Client, expression: str, position: int | None
) -> None:
    completion = await client.data(COMPLETE, expression=expression, position=position)
    assert 0 <= completion["start"] <= len(expression)


def test_the_table_of_operators_is_printed() -> None:
    printed = CliRunner().invoke(commands, ["rules-table"])
    assert (printed.exit_code, printed.output) == (0, operator_table())
