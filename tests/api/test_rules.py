"""Rules: written as text or tree, read back as both, previewed and explained."""

from __future__ import annotations

from typing import Any

import pytest

from api.schema import schema
from domain.rules.operators import Operator, Shape
from tests.api.client import Client

PREVIEW = "query ($rule: RuleInput!) { previewRule(rule: $rule) { %s } }"


def where(field: str, operator: str, *values: Any, **more: Any) -> dict[str, Any]:
    given = {"value": values[0]} if len(values) == 1 else {"values": list(values)} if values else {}
    return {"where": {"field": field, "operator": operator, **given, **more}}


SAME: list[tuple[dict[str, Any], str]] = [
    (where("email", "IS_EMPTY"), "email is empty"),
    (where("first_name", "IS_ANY_OF", "Ann", "Bob"), 'first_name is any of ("ann", "bob")'),
    (where("first_name", "IS_NOT", "Ann"), 'first_name is not "ann" including missing'),
    (where("first_name", "IS_NOT", "Ann", includeMissing=False), 'first_name is not "ann" excluding missing'),
    (
        where("birthdate", "BETWEEN", "1960-01-01", "1969-12-31"),
        "birthdate between 1960-01-01 and 1969-12-31",
    ),
    (where("created", "AFTER", "2026-01-01T00:00:00+01:00"), "created after 2025-12-31T23:00:00Z"),
    ({"not": where("email", "IS_EMPTY")}, "not (email is empty)"),
    (
        {
            "any": [
                where("email", "IS_EMPTY"),
                {"all": [where("phone", "IS_EMPTY"), {"expression": 'last_name is "x"'}]},
            ]
        },
        'email is empty or phone is empty and last_name is "x"',
    ),
    ({"all": [{"all": [where("email", "IS_EMPTY")]}]}, "email is empty"),
]


@pytest.mark.parametrize(("rule", "text"), SAME)
async def test_a_tree_and_its_text_are_one_rule(client: Client, rule: dict[str, Any], text: str) -> None:
    shown = await client.data(PREVIEW % "expression rule { expression }", rule=rule)
    assert shown["expression"] == shown["rule"]["expression"]
    assert (await client.data(PREVIEW % "expression", rule={"expression": text}))["expression"] == shown[
        "expression"
    ]
    assert _spaceless(shown["expression"]) == _spaceless(text)


def _spaceless(text: str) -> str:
    return text.replace("2025-12-31T23:00:00Z", "T").replace("2025-12-31T23:00:00.000Z", "T")


async def test_a_rule_is_read_back_as_the_tree_that_it_is(client: Client) -> None:
    await client.segment(
        "A", 'email is empty and not (first_name is "Ann" or last_name is none of ("Lee", "Low"))'
    )
    leaf = "where { key field { label } operator values includeMissing expression }"
    read = await client.data(
        f"{{ segments {{ nodes {{ rule {{ any {{ expression }} all {{ {leaf} not {{ any {{ {leaf} }} }} }} }} }} }} }}"
    )
    (segment,) = read["nodes"]
    first, second = segment["rule"]["all"]
    assert segment["rule"]["any"] is None
    assert first["where"] == {
        "key": "email",
        "field": {"label": "Email"},
        "operator": "IS_EMPTY",
        "values": [],
        "includeMissing": None,
        "expression": "email is empty",
    }
    assert second["where"] is None
    assert [part["where"]["values"] for part in second["not"]["any"]] == [["ann"], ["lee", "low"]]
    assert [part["where"]["includeMissing"] for part in second["not"]["any"]] == [None, True]


async def test_a_preview_tells_size_sample_and_whom_negative_conditions_take_in_for_lack_of_a_value(
    client: Client,
) -> None:
    await client.upsert(
        {
            "A": {"first_name": "Ann"},
            "B": {"first_name": "Bob", "last_name": "Lee"},
            "C": {"last_name": "Lee"},
            "D": {},
        }
    )
    wanted = "size words rule { words } sample(first: 2) { key } takenInForLackOfAValue { contacts condition { expression } }"
    rule = {"expression": 'first_name is not "Ann" and last_name is not "Low" and email is empty'}
    shown = await client.data(PREVIEW % wanted, rule=rule)
    assert shown["size"] == 3
    assert shown["words"] == shown["rule"]["words"]
    assert shown["words"].startswith("Contacts")
    assert shown["sample"] == [{"key": "B"}, {"key": "C"}]
    assert [(one["condition"]["expression"], one["contacts"]) for one in shown["takenInForLackOfAValue"]] == [
        ('first_name is not "ann" including missing', 2),
        ('last_name is not "low" including missing', 1),
    ]
    rule = {"expression": 'first_name is not "Ann" excluding missing'}
    assert (await client.data(PREVIEW % wanted, rule=rule))["takenInForLackOfAValue"] == []
    assert (await client.data(PREVIEW % "size sample(first: 0) { key }", rule=rule)) == {
        "size": 1,
        "sample": [],
    }
    assert (await client.data("{ segments { totalCount } }"))["totalCount"] == 0


async def test_an_explanation_tells_each_verdict_and_what_would_have_to_change(client: Client) -> None:
    contact = await client.contact("A", first_name="Ann", email="ann@example.org")
    segment = await client.segment("A", 'first_name is "Ann" and (email is empty or phone is not empty)')
    query = """
    query ($id: ID!, $audience: ID!) { contact(id: $id) { explain(audience: $audience) {
      member verdicts { condition { expression } holds value } turning { expression }
    } } }
    """
    explained = (await client.data(query, id=contact, audience=segment))["explain"]
    assert explained["member"] is False
    assert [
        (one["condition"]["expression"], one["holds"], one["value"]) for one in explained["verdicts"]
    ] == [
        ('first_name is "ann"', True, "ann"),
        ("email is empty", False, "ann@example.org"),
        ("phone is not empty", False, None),
    ]
    assert [condition["expression"] for condition in explained["turning"]] in (
        ["email is empty"],
        ["phone is not empty"],
    )
    group = await client.group("G")
    assert (await client.data(query, id=contact, audience=group))["explain"] == {
        "member": False,
        "verdicts": [],
        "turning": [],
    }
    await client.regroup(group, contact)
    assert (await client.data(query, id=contact, audience=group))["explain"]["member"] is True


def test_every_operator_of_the_table_is_in_the_schema_with_its_words() -> None:
    enum = schema._schema.type_map["Operator"]
    values = enum.values  # type: ignore[attr-defined]
    assert list(values) == [operator.name for operator in Operator]
    for operator in Operator:
        assert f"`{operator.value.words}`" in values[operator.name].description
    assert {operator.value.shape for operator in Operator} == set(Shape)


async def test_a_rule_may_be_written_into_the_query_itself(client: Client) -> None:
    await client.contact("A")
    query = """
    { contacts(rule: { all: [
        { where: { field: "email", operator: IS_EMPTY } }
        { not: { where: { field: "first_name", operator: IS_ANY_OF, values: ["Ann", "Bob"] } } }
    ] }) { totalCount } }
    """
    assert await client.data(query) == {"totalCount": 1}
