"""A field gets another type: what becomes of the values, as clients are told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import anyio
import pytest

from tests.api.client import PATIENCE_SECONDS, Client

CONVERSION = """
conversion { from to state progress total done converted failed startedAt finishedAt
  failures { contactId value message contact { key attributes { value } } } }
"""


async def _converted(client: Client, key: str = "code") -> dict[str, Any]:
    """The field's conversion, once it is done."""
    with anyio.fail_after(PATIENCE_SECONDS):
        while True:
            fields = await client.data(f"{{ fields {{ key {CONVERSION} }} }}")
            found: dict[str, Any] = next(each["conversion"] for each in fields if each["key"] == key)
            if found["state"] == "DONE":
                return found


async def test_values_are_converted_and_what_cannot_be_is_reported(client: Client) -> None:
    await client.field("Code")
    contacts = await client.upsert({"A": {"code": "1,250.50"}, "B": {"code": "none"}, "C": {}})
    wanted = f"field {{ key type {CONVERSION} }}"
    before = await client.do("updateField", {"key": "code", "label": "Code"}, wanted)
    assert before["field"] == {"key": "code", "type": "TEXT", "conversion": None}
    changed = (await client.do("updateField", {"key": "code", "type": "NUMBER"}, wanted))["field"]
    assert changed["type"] == "NUMBER"
    assert (changed["conversion"]["from"], changed["conversion"]["to"]) == ("TEXT", "NUMBER")
    found = await _converted(client)
    times = [datetime.fromisoformat(found.pop(name)) for name in ("startedAt", "finishedAt")]
    assert times == sorted(times)
    assert found == {
        "from": "TEXT",
        "to": "NUMBER",
        "state": "DONE",
        "progress": 100,
        "total": 2,
        "done": 2,
        "converted": 1,
        "failed": 1,
        "failures": [
            {
                "contactId": contacts["B"],
                "value": "none",
                "message": "“none” is not a number; one such as 1250.5 or 1,250.50 is wanted.",
                "contact": {"key": "B", "attributes": [{"value": "none"}]},
            }
        ],
    }
    await client.segment("Large", "code > 1000")
    await client.segment("None", "code is empty")
    found = await client.data("{ segments { nodes { members { nodes { key } } } } }")
    assert [[each["key"] for each in segment["members"]["nodes"]] for segment in found["nodes"]] == [
        ["A"],
        ["B", "C"],
    ]
    query = '{ contact(key: "A") { attribute(key: "code") { value field { type } } } }'
    assert (await client.data(query))["attribute"] == {"value": "1,250.50", "field": {"type": "NUMBER"}}


async def test_failures_come_in_pages(client: Client) -> None:
    await client.field("Code")
    await client.upsert({f"C{number}": {"code": f"none {number}"} for number in range(7)})
    await client.do("updateField", {"key": "code", "type": "DATE"}, "field { key }")
    assert (await _converted(client))["failed"] == 7
    query = """
    query ($first: Int, $after: ID) { fields { key conversion { failures(first: $first, after: $after) { contactId value } } } }
    """

    async def page(first: int, after: str | None = None) -> list[dict[str, Any]]:
        fields = await client.data(query, first=first, after=after)
        found: list[dict[str, Any]] = next(
            each["conversion"]["failures"] for each in fields if each["key"] == "code"
        )
        return found

    first = await page(5)
    rest = await page(5, after=first[-1]["contactId"])
    assert [each["value"] for each in first + rest] == [f"none {number}" for number in range(7)]
    assert await page(5, after="nonsense") == []
    assert await client.code(query, first=201) == "LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"key": "email", "type": "TEXT"}, "INVALID_FIELD", ["type"]),
        ({"key": "email", "type": "TEXT", "breakSegments": True}, "INVALID_FIELD", ["type"]),
        ({"key": "code", "type": None}, "INVALID_VALUE", ["type"]),
        ({"key": "code", "type": "NUMBER", "options": ["a"]}, "INVALID_FIELD", ["options"]),
        ({"key": "used", "type": "NUMBER"}, "FIELD_IN_USE", ["key"]),
        ({"key": "nonsense", "type": "NUMBER"}, "UNKNOWN_FIELD", []),
    ],
)
async def test_a_type_that_cannot_be_given_is_refused(
    client: Client, given: dict[str, Any], code: str, path: list[str]
) -> None:
    await client.field("Code")
    await client.field("Used")
    await client.segment("Users", "used is empty")
    (error,) = (await client.attempt("updateField", given))["errors"]
    assert (error["code"], error["path"]) == (code, path), error
    assert [field["conversion"] for field in await client.data("{ fields { conversion { state } } }")] == [
        None
    ] * 7


async def test_a_choice_made_of_a_text_takes_its_options_at_once(client: Client) -> None:
    await client.field("Level")
    await client.upsert({"A": {"level": " GOLD"}, "B": {"level": "bronze"}})
    given = {"key": "level", "type": "CHOICE", "options": ["Gold", "Silver"]}
    changed = await client.do("updateField", given, "field { type options }")
    assert changed["field"] == {"type": "CHOICE", "options": ["Gold", "Silver"]}
    found = await _converted(client, "level")
    assert [failure["value"] for failure in found["failures"]] == ["bronze"]
