"""How much may be asked at once: whatever a request looks like, it is refused in milliseconds, by a bound that it names."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import get_introspection_query, parse

from api.connections import MAX_FIRST
from api.cost import MAX_SELECTIONS, check_cost
from api.schema import schema
from domain.errors import LimitExceeded
from tests import pace
from tests.api.client import Client

BRIEFLY = 100
"""Floors, of server and client: other processes do not count."""
NESTED = "segments { nodes { members { nodes { segments { members { nodes { groups { members { nodes { id } } } } } } } } } }"


def doubling(levels: int) -> str:
    """Fragments each of which spreads the next one twice."""
    parts = [
        f"fragment F{level} on Query {{ a: fields {{ key }} ...F{level + 1} b: fields {{ key }} ...F{level + 1} }}"
        for level in range(levels)
    ]
    return f"{{ ...F0 }} {' '.join(parts)} fragment F{levels} on Query {{ fields {{ key }} }}"


def doubling_below(levels: int) -> str:
    """The same along a path of lists, so that each level doubles what it really costs."""
    members = "members {{ nodes {{ ...F{} }} }}"
    parts = [
        f"fragment F{level} on Contact {{ groups {{ {members.format(level + 1)} }} segments {{ {members.format(level + 1)} }} }}"
        for level in range(levels)
    ]
    return f"{{ contacts {{ nodes {{ ...F0 }} }} }} {' '.join(parts)} fragment F{levels} on Contact {{ id }}"


TOO_MUCH = {
    "lists in lists": f"{{ {NESTED} }}",
    "an expensive field under many aliases": "{ "
    + " ".join(
        f"a{n}: segments(first: 200) {{ nodes {{ members(first: 200) {{ nodes {{ id key }} }} }} }}"
        for n in range(3)
    )
    + " }",
    "fragments that double each other": doubling(22),
    "fragments that double each other along lists": doubling_below(22),
    "many fields": "{ " + " ".join(f"a{n}: __typename" for n in range(MAX_SELECTIONS + 1)) + " }",
    "one field many times": "{ " + "__typename " * (MAX_SELECTIONS + 1) + "}",
    "many fields in a fragment that nobody uses": "{ __typename } fragment F on Query { "
    + "__typename " * 9_000
    + "}",
    "deep": '{ previewRule(rule: { expression: "email is empty" }) { rule { '
    + "not { " * 30
    + "expression"
    + " }" * 33,
    "introspection in introspection": "{ __schema { types "
    + "{ fields { type " * 4
    + "{ name }"
    + " } }" * 4
    + " } }",
    "many mutations": "mutation { "
    + " ".join(f'a{n}: createGroup(input: {{ name: "{n}" }}) {{ errors {{ code }} }}' for n in range(101))
    + " }",
    "very many tokens": "{ " + "a " * 20_001 + "}",
    "very deeply nested": "{ a " * 3_000 + "}" * 3_000,
    "a very deeply nested value": "{ segments(search: " + "[" * 8_000 + "]" * 8_000 + ") { totalCount } }",
}
CYCLE = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"


@pytest.mark.parametrize("query", TOO_MUCH.values(), ids=TOO_MUCH.keys())
async def test_a_query_that_asks_for_too_much_is_refused_in_no_time(client: Client, query: str) -> None:
    await client.data("{ __typename }")
    with pace.at_most(BRIEFLY):
        answer = await client.ask(query)
    codes = {error["extensions"]["code"] for error in answer["errors"]}
    assert codes <= {"LIMIT_EXCEEDED", "INVALID_REQUEST"}, answer
    assert answer.get("data") is None


async def test_fragments_that_go_round_in_circles_are_refused(client: Client) -> None:
    assert await client.ask(CYCLE) != {}
    assert await client.code(CYCLE) == "INVALID_REQUEST"


async def test_what_clients_commonly_ask_is_allowed(client: Client) -> None:
    answer = await client.ask(get_introspection_query(descriptions=True, input_value_deprecation=True))
    assert "errors" not in answer
    page = """
    { segments(first: 50) { totalCount pageInfo { endCursor hasNextPage } nodes {
        id name size cursor expression
        members(first: 20) { nodes { id key attributes { key value } groups { name } segments { name } } }
    } } }
    """
    assert await client.data(page) == {
        "totalCount": 0,
        "pageInfo": {"endCursor": None, "hasNextPage": False},
        "nodes": [],
    }


@pytest.mark.parametrize(
    ("query", "variables", "cost"),
    [
        ("{ __typename }", {}, 1),
        ("{ groups(first: 10) { nodes { id name } } }", {}, 22),
        ("{ groups(first: 10) { edges { node { id name } } } }", {}, 32),
        ("query ($n: Int = 7) { groups(first: $n) { nodes { id } } }", {}, 9),
        ("query ($n: Int = 7) { groups(first: $n) { nodes { id } } }", {"n": 3}, 5),
        ("query ($n: Int = 7) { groups(first: $n) { nodes { id } } }", {"n": None}, 52),
        ("{ groups(first: null) { nodes { id } } }", {}, 52),
        ("{ groups { nodes { id } } }", {}, 52),
        ("{ groups(first: 100000000000) { nodes { id } } }", {}, MAX_FIRST + 2),
        (
            "{ ...F } fragment F on Query { groups(first: 10) { nodes { ...G } } } fragment G on Group { id }",
            {},
            12,
        ),
    ],
)
def test_a_query_costs_each_field_once_for_each_item_of_the_lists_around_it(
    monkeypatch: pytest.MonkeyPatch, query: str, variables: dict[str, Any], cost: int
) -> None:
    document = parse(query)
    monkeypatch.setattr("api.cost.MAX_COST", cost)
    check_cost(schema._schema, document, None, variables)
    monkeypatch.setattr("api.cost.MAX_COST", cost - 1)
    with pytest.raises(LimitExceeded, match=f"cost {cost:,};"):
        check_cost(schema._schema, document, None, variables)


def test_a_list_that_no_page_bounds_is_bounded_by_what_is_listed_in_all() -> None:
    from types import SimpleNamespace

    from api.context import MAX_LISTED, Context

    context = Context(SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type] # neither is asked anything
    context.spend(MAX_LISTED)
    with pytest.raises(LimitExceeded):
        context.spend(1)


@pytest.mark.parametrize("first", [-1, MAX_FIRST + 1, 2**31 - 1])
async def test_a_page_of_a_size_that_cannot_be_is_refused(client: Client, first: int) -> None:
    segment = await client.segment("A", "email is empty")
    wanted = "INVALID_VALUE" if first < 0 else "LIMIT_EXCEEDED"
    for query in (
        "contacts(first: $first) { totalCount }",
        "groups(first: $first) { totalCount }",
        "segment(id: $id) { members(first: $first) { totalCount } }",
        "segment(id: $id) { changes(first: $first) { nodes { at } } }",
    ):
        answer = await client.ask(
            f"query ($first: Int, $id: ID!) {{ __typename {query} node(id: $id) {{ id }} }}",
            first=first,
            id=segment,
        )
        assert answer["errors"][0]["extensions"]["code"] == wanted
