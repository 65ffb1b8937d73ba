"""Rules: written as text or tree, read back as both, previewed and explained."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from api.explanations import explain
from api.rules import LIMITS
from api.schema import schema
from domain.audiences import Segment
from domain.catalogue import Catalogue
from domain.contact import Contact
from domain.fields import Settings
from domain.rules.operators import Operator, Shape
from domain.rules.text import parse
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
    (where("birthdate", "IN_THE_LAST", "7 Days"), "birthdate in the last 7 days"),
    (where("created", "MORE_THAN_AGO", "90 minutes"), "created more than 90 minutes ago"),
    (where("updated", "LAST", "quarter"), "updated last quarter"),
    (where("birthdate", "ANNIVERSARY_TODAY"), "birthdate anniversary today"),
    (where("birthdate", "ANNIVERSARY_IN_THE_NEXT", "2 weeks"), "birthdate anniversary in the next 2 weeks"),
    (where("birthdate", "ANNIVERSARY_IN_MONTH", 5), "birthdate anniversary in month 5"),
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


@pytest.mark.parametrize(
    ("condition", "values", "words"),
    [
        (
            where("created", "IN_THE_LAST", "1 hours"),
            ["1 hour"],
            "Contacts who were created in the last hour.",
        ),
        (
            where("created", "THIS", "month"),
            ["month"],
            "Contacts who were created in this calendar month.",
        ),
        (
            where("birthdate", "ANNIVERSARY_IN_MONTH", 5),
            [5],
            "Contacts whose birthdate has its anniversary in May.",
        ),
    ],
)
async def test_a_moving_condition_stays_what_was_said(
    client: Client, condition: dict[str, Any], values: list[Any], words: str
) -> None:
    shown = await client.data(PREVIEW % "words rule { where { operator values } }", rule=condition)
    assert shown == {
        "words": words,
        "rule": {"where": {"operator": condition["where"]["operator"], "values": values}},
    }


@pytest.mark.parametrize(
    ("condition", "code", "path"),
    [
        (where("birthdate", "IN_THE_LAST", "3 hours"), "INVALID_VALUE", ["rule", "where", "value"]),
        (where("birthdate", "IN_THE_LAST", 3), "INVALID_VALUE", ["rule", "where", "value"]),
        (where("created", "THIS", "minute"), "INVALID_VALUE", ["rule", "where", "value"]),
        (where("birthdate", "ANNIVERSARY_IN_MONTH", 13), "INVALID_VALUE", ["rule", "where", "value"]),
        (where("created", "IN_THE_NEXT", "100001 days"), "LIMIT_EXCEEDED", ["rule", "where", "value"]),
        (where("created", "ANNIVERSARY_TODAY"), "INVALID_RULE", ["rule", "where", "operator"]),
        (where("birthdate", "ANNIVERSARY_TODAY", "1 day"), "INVALID_RULE", ["rule", "where", "values"]),
    ],
    ids=range(7),
)
async def test_an_operand_that_a_moving_condition_cannot_have_is_refused_at_its_place(
    client: Client, condition: dict[str, Any], code: str, path: list[str]
) -> None:
    answer = await client.ask(PREVIEW % "size", rule=condition)
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], error["extensions"]["inputPath"]) == (code, path)


async def test_a_moving_rule_is_asked_as_of_now(client: Client) -> None:
    await client.upsert({"A": {}, "B": {"birthdate": "1965-02-28"}})
    sizes = {
        "created in the last 2 hours": 2,
        "created more than 1 day ago": 0,
        "created in the last 2 hours and birthdate anniversary in the last 1 year": 1,
        "birthdate anniversary in month 2": 1,
        "birthdate anniversary in month 3": 0,
        "birthdate in the last 100 years": 1,
        "not (updated this day or updated last day)": 0,
    }
    for text, size in sizes.items():
        assert await client.data(PREVIEW % "size", rule={"expression": text}) == {"size": size}, text
        found = await client.data(
            "query ($rule: RuleInput) { contacts(rule: $rule) { totalCount } }", rule={"expression": text}
        )
        assert found == {"totalCount": size}


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
      member verdicts { condition { expression } holds value turns } turning { expression } flips
    } } }
    """
    explained = (await client.data(query, id=contact, audience=segment))["explain"]
    assert explained["member"] is False
    assert explained["flips"] is None
    assert [one["turns"] for one in explained["verdicts"]] == [None] * 3
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
        "flips": None,
    }
    await client.regroup(group, contact)
    assert (await client.data(query, id=contact, audience=group))["explain"]["member"] is True


def test_an_explanation_says_what_time_alone_will_turn() -> None:
    catalogue = Catalogue("default")
    catalogue.settings = Settings(time_zone="Europe/Berlin")
    instant = datetime(2026, 5, 10, 8, tzinfo=UTC)
    text = "birthdate anniversary in the next 14 days and created in the last 2 hours"
    segment = Segment(
        id=ObjectId(),
        name="Soon",
        description=None,
        rule=parse(text, catalogue.fields, catalogue.settings, LIMITS),
        rule_version=1,
        version=1,
        created=instant,
        updated=instant,
    )
    contact = Contact(
        {
            "normal": {"birthdate": "1965-05-20"},
            "anniversaries": {"birthdate": "05-20"},
            "created": datetime(2026, 5, 10, 7, 30, tzinfo=UTC),
        }
    )
    explained = explain(segment, contact, catalogue, instant)
    assert [(one.holds, one.value, one.turns) for one in explained.verdicts] == [
        (True, "1965-05-20", datetime(2026, 5, 20, 22, tzinfo=UTC)),
        (True, datetime(2026, 5, 10, 7, 30, tzinfo=UTC), datetime(2026, 5, 10, 9, 30, 1, tzinfo=UTC)),
    ]
    assert explained.flips == datetime(2026, 5, 10, 9, 30, 1, tzinfo=UTC)


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
