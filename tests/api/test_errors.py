"""Errors: each refusal has its stable code, its place in the input, and says what to do; a defect says nothing but its number."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog
from bson import ObjectId
from pymongo import AsyncMongoClient

from api.ids import Kind, find_id, to_id
from api.limits import OPERATION_SECONDS
from api.settings import Settings
from domain.contacts import Contacts
from domain.definitions import Definitions
from domain.store.client import DatabaseUnreachable
from tests.api.client import Client

UNKNOWN = to_id(Kind.CONTACT, ObjectId())


async def test_a_rule_that_reads_well_and_means_nothing_tells_line_and_column(client: Client) -> None:
    given = {"name": "A", "rule": {"expression": "email is empty\nand frst_name is empty"}}
    (error,) = (await client.attempt("createSegment", given, "segment { id }"))["errors"]
    assert (error["code"], error["line"], error["column"]) == ("UNKNOWN_FIELD", 2, 5)
    assert error["expected"] == []


async def test_a_malformed_rule_tells_line_column_and_what_could_have_stood_there(client: Client) -> None:
    given = {"name": "A", "rule": {"expression": 'email is empty\nand first_name iz "Ann"'}}
    (error,) = (await client.attempt("createSegment", given, "segment { id }"))["errors"]
    assert error["code"] == "RULE_SYNTAX"
    assert (error["line"], error["column"]) == (2, 16)
    assert "is" in error["expected"]
    assert error["path"] == ["rule", "expression"]
    answer = await client.ask(
        "query ($rule: RuleInput!) { previewRule(rule: $rule) { size } }", rule=given["rule"]
    )
    (error,) = answer["errors"]
    extensions = error["extensions"]
    assert (extensions["code"], extensions["line"], extensions["column"]) == ("RULE_SYNTAX", 2, 16)
    assert extensions["inputPath"] == ["rule", "expression"]
    assert answer["data"] is None


SEGMENTS: list[tuple[str, dict[str, Any], str, list[str]]] = [
    ("an unknown field", {"expression": "emial is empty"}, "UNKNOWN_FIELD", ["rule", "expression"]),
    (
        "an unknown field in a tree",
        {"all": [{"expression": "email is empty"}, {"where": {"field": "emial", "operator": "IS_EMPTY"}}]},
        "UNKNOWN_FIELD",
        ["rule", "all", "1", "where", "field"],
    ),
    (
        "an operator that the type lacks",
        {"not": {"where": {"field": "birthdate", "operator": "CONTAINS", "value": "1965"}}},
        "INVALID_RULE",
        ["rule", "not", "where", "operator"],
    ),
    (
        "a value of another type",
        {"any": [{"where": {"field": "birthdate", "operator": "BEFORE", "value": "yesterday"}}]},
        "INVALID_VALUE",
        ["rule", "any", "0", "where", "value"],
    ),
    (
        "a number for a text",
        {"where": {"field": "first_name", "operator": "IS_ANY_OF", "values": ["Ann", 7]}},
        "INVALID_VALUE",
        ["rule", "where", "values", "1"],
    ),
    (
        "an empty list",
        {"where": {"field": "first_name", "operator": "IS_ANY_OF", "values": []}},
        "INVALID_RULE",
        ["rule", "where", "values"],
    ),
    (
        "no value where one is wanted",
        {"where": {"field": "first_name", "operator": "IS"}},
        "INVALID_RULE",
        ["rule", "where", "values"],
    ),
    (
        "value and values",
        {"where": {"field": "first_name", "operator": "IS", "value": "a", "values": ["b"]}},
        "INVALID_RULE",
        ["rule", "where", "values"],
    ),
    (
        "missing values of a positive operator",
        {"where": {"field": "first_name", "operator": "IS", "value": "a", "includeMissing": True}},
        "INVALID_RULE",
        ["rule", "where", "includeMissing"],
    ),
    ("no rule at all", {"all": []}, "INVALID_RULE", ["rule", "all"]),
    ("an empty text", {"expression": ""}, "RULE_SYNTAX", ["rule", "expression"]),
    (
        "a fault in a text in a tree",
        {"all": [{"expression": "email is empty"}, {"expression": "email is is"}]},
        "RULE_SYNTAX",
        ["rule", "all", "1", "expression"],
    ),
    (
        "membership of other audiences",
        {"all": [{"expression": "email is empty"}, {"memberOf": {"anyOf": ["x"]}}]},
        "UNKNOWN_AUDIENCE",
        ["rule", "all", "1", "memberOf", "anyOf", "0"],
    ),
    (
        "too many conditions",
        {
            "any": [
                {"where": {"field": "email", "operator": "IS", "value": f"{n}@example.org"}}
                for n in range(251)
            ]
        },
        "LIMIT_EXCEEDED",
        ["rule"],
    ),
]


@pytest.mark.parametrize(
    ("rule", "code", "path"), [case[1:] for case in SEGMENTS], ids=[case[0] for case in SEGMENTS]
)
async def test_a_rule_that_cannot_be_is_refused_with_the_path_to_its_fault(
    client: Client, rule: dict[str, Any], code: str, path: list[str]
) -> None:
    payload = await client.attempt("createSegment", {"name": "A", "rule": rule}, "segment { id }")
    (error,) = payload["errors"]
    assert (error["code"], error["path"]) == (code, path), error
    assert payload["segment"] is None
    assert (await client.data("{ segments { totalCount } }"))["totalCount"] == 0


@pytest.mark.parametrize(
    ("mutation", "given", "code", "path"),
    [
        ("createContact", {"key": "TAKEN"}, "DUPLICATE_KEY", ["key"]),
        ("createContact", {"key": " "}, "INVALID_VALUE", ["key"]),
        (
            "createContact",
            {"attributes": [{"key": "emial", "value": "a"}]},
            "UNKNOWN_FIELD",
            ["attributes", "0", "key"],
        ),
        (
            "createContact",
            {"attributes": [{"key": "email", "value": "a"}]},
            "INVALID_VALUE",
            ["attributes", "0", "value"],
        ),
        (
            "createContact",
            {"attributes": [{"key": "birthdate", "value": 7}]},
            "INVALID_VALUE",
            ["attributes", "0", "value"],
        ),
        (
            "createContact",
            {"attributes": [{"key": "email", "value": None}, {"key": "email", "value": None}]},
            "INVALID_VALUE",
            ["attributes", "1", "key"],
        ),
        ("updateContact", {"id": UNKNOWN, "attributes": []}, "NOT_FOUND", ["id"]),
        ("updateContact", {"id": "nonsense", "attributes": []}, "NOT_FOUND", ["id"]),
        ("deleteContact", {"id": UNKNOWN}, "NOT_FOUND", ["id"]),
        (
            "upsertContacts",
            {"contacts": [{"key": str(n)} for n in range(1_001)]},
            "LIMIT_EXCEEDED",
            ["contacts"],
        ),
        ("createField", {"label": "X", "type": "TEXT", "key": "X y"}, "INVALID_FIELD", ["key"]),
        ("createField", {"label": "X", "type": "TEXT", "key": "created"}, "INVALID_FIELD", ["key"]),
        ("createField", {"label": "X", "type": "DATE", "key": "email"}, "NAME_TAKEN", ["key"]),
        ("createField", {"label": "X", "type": "TEXT", "options": ["a"]}, "INVALID_FIELD", ["options"]),
        ("updateField", {"key": "nonsense", "label": "X"}, "UNKNOWN_FIELD", []),
        ("updateField", {"key": "email", "label": None}, "INVALID_VALUE", ["label"]),
        ("deleteField", {"key": "email"}, "INVALID_FIELD", ["key"]),
        ("deleteField", {"key": "used"}, "FIELD_IN_USE", ["key"]),
        ("createGroup", {"name": "taken"}, "NAME_TAKEN", ["name"]),
        ("createGroup", {"name": " "}, "INVALID_VALUE", ["name"]),
        ("createGroup", {"name": "x" * 201}, "INVALID_VALUE", ["name"]),
        ("updateGroup", {"id": "nonsense", "name": "A"}, "NOT_FOUND", ["id"]),
        ("deleteGroup", {"id": to_id(Kind.GROUP, ObjectId())}, "NOT_FOUND", ["id"]),
        ("addContactsToGroup", {"group": "nonsense", "contacts": {}}, "NOT_FOUND", ["group"]),
        (
            "createSegment",
            {"name": "TAKEN", "rule": {"expression": "email is empty"}},
            "NAME_TAKEN",
            ["name"],
        ),
        ("deleteSegment", {"id": to_id(Kind.SEGMENT, ObjectId())}, "NOT_FOUND", ["id"]),
        ("updateSettings", {"timeZone": "Berlin"}, "INVALID_VALUE", ["timeZone"]),
        ("updateSettings", {"region": None}, "INVALID_VALUE", ["region"]),
    ],
)
async def test_what_cannot_be_done_is_refused_with_its_code_and_the_path_to_its_fault(
    client: Client, mutation: str, given: dict[str, Any], code: str, path: list[str]
) -> None:
    await client.contact("TAKEN")
    await client.field("Used")
    await client.group("Taken")
    await client.segment("Taken", "used is empty")
    (error,) = (await client.attempt(mutation, given))["errors"]
    assert (error["code"], error["path"]) == (code, path), error
    assert error["message"].endswith((".", "?"))


async def test_a_201st_group_of_a_contact_is_refused_and_the_other_contacts_go_in(
    client: Client, shared_settings: Settings
) -> None:
    contacts = await client.upsert({"FULL": {}, "FREE": {}})
    full = find_id(contacts["FULL"], Kind.CONTACT)
    async with AsyncMongoClient[dict[str, Any]](shared_settings.mongodb_uri) as mongodb:
        groups = [ObjectId() for _ in range(200)]
        await mongodb[shared_settings.database]["contacts"].update_one(
            {"_id": full}, {"$set": {"groups": groups}}
        )
    given = {"group": await client.group("One more"), "contacts": {"keys": ["FULL", "FREE", "UNKNOWN"]}}
    payload = await client.attempt(
        "addContactsToGroup", given, "moved unchanged group { members { nodes { key } } }"
    )
    assert (payload["moved"], payload["unchanged"]) == (1, 0)
    assert {(error["code"], tuple(error["path"])) for error in payload["errors"]} == {
        ("TOO_MANY_GROUPS", ("contacts", "keys", "0")),
        ("NOT_FOUND", ("contacts", "keys", "2")),
    }
    assert payload["group"]["members"]["nodes"] == [{"key": "FREE"}]


async def test_queries_tell_what_they_cannot_answer(client: Client) -> None:
    segment, another = (
        await client.segment("A", "email is empty"),
        await client.segment("B", "email is empty"),
    )
    contact = await client.contact("A")
    await client.contact("B")
    page = await client.data(
        """
        query ($id: ID!) {
          segment(id: $id) { cursor members(first: 1) { pageInfo { endCursor } } }
          contacts(first: 1) { pageInfo { endCursor } }
        }
        """,
        id=another,
    )
    feed, members = page["segment"]["cursor"], page["segment"]["members"]["pageInfo"]["endCursor"]
    contacts = page["contacts"]["pageInfo"]["endCursor"]
    cases: list[tuple[str, dict[str, Any], str]] = [
        (
            "query ($a: String) { segment(id: $id) { members(after: $a) { totalCount } } }",
            {"a": members},
            "INVALID_CURSOR",
        ),
        (
            "query ($a: String) { segment(id: $id) { members(after: $a) { totalCount } } }",
            {"a": contacts},
            "INVALID_CURSOR",
        ),
        (
            "query ($a: String) { segment(id: $id) { members(after: $a) { totalCount } } }",
            {"a": "nonsense"},
            "INVALID_CURSOR",
        ),
        (
            "query ($a: String) { segment(id: $id) { changes(after: $a) { nodes { at } } } }",
            {"a": feed},
            "INVALID_CURSOR",
        ),
        (
            "query ($a: String!) { segment(id: $id) { changesSince(cursor: $a) { nodes { at } } } }",
            {"a": feed},
            "INVALID_CURSOR",
        ),
        ("query ($a: String) { contacts(after: $a) { totalCount } }", {"a": members}, "INVALID_CURSOR"),
        ("query ($a: String) { groups(after: $a) { totalCount } }", {"a": contacts}, "INVALID_CURSOR"),
        (
            "query ($a: ID!) { contact(id: $c) { explain(audience: $a) { member } } }",
            {"a": "nonsense"},
            "NOT_FOUND",
        ),
        (
            "query ($a: ID!) { contact(id: $c) { explain(audience: $a) { member } } }",
            {"a": contact},
            "NOT_FOUND",
        ),
        (
            "query ($a: String!) { contact(id: $c) { attribute(key: $a) { value } } }",
            {"a": "emial"},
            "UNKNOWN_FIELD",
        ),
        (
            "query ($a: [String!]) { contact(id: $c) { attributes(keys: $a) { value } } }",
            {"a": ["emial"]},
            "UNKNOWN_FIELD",
        ),
        ("query { contact { key } }", {}, "INVALID_VALUE"),
        ('query { contact(id: $c, key: "A") { key } }', {}, "INVALID_VALUE"),
        (
            'query { segment(id: $id) { changes(since: "2026-01-01T00:00:00") { nodes { at } } } }',
            {},
            "INVALID_VALUE",
        ),
        (
            'query { segment(id: $id) { changes(since: "yesterday") { nodes { at } } } }',
            {},
            "INVALID_REQUEST",
        ),
    ]
    for query, variables, code in cases:
        text = (
            query.replace("$id", f'"{segment}"')
            .replace("$c)", f'"{contact}")')
            .replace("$c,", f'"{contact}",')
        )
        assert await client.code(text, **variables) == code, text


async def test_what_is_not_there_is_null_in_a_query(client: Client) -> None:
    group = await client.group("A")
    query = "query ($id: ID!) { node(id: $id) { id } contact(id: $id) { id } segment(id: $id) { id } }"
    for identifier in ("nonsense", "", "R3JvdXA6", UNKNOWN, to_id(Kind.SEGMENT, ObjectId())):
        assert await client.data(query, id=identifier) == {"node": None, "contact": None, "segment": None}
    assert await client.data(query, id=group) == {"node": {"id": group}, "contact": None, "segment": None}
    assert await client.data('{ contact(key: "nobody") { id } }') is None


async def test_a_defect_is_masked_by_a_number_under_which_it_is_logged(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise KeyError("a secret of the implementation")

    monkeypatch.setattr(Contacts, "page", broken)
    with structlog.testing.capture_logs() as logs:
        answer = await client.ask("{ contacts { nodes { key } } }")
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert "secret" not in str(answer)
    (logged,) = [entry for entry in logs if entry["event"] == "request.failed"]
    assert logged["id"] == error["extensions"]["id"]
    assert logged["id"] in error["message"]
    assert "secret" in str(logged["exc_info"])

    monkeypatch.setattr(Contacts, "create", broken)
    with structlog.testing.capture_logs() as logs:
        answer = await client.ask('mutation { createContact(input: { key: "A" }) { errors { code } } }')
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert len([entry for entry in logs if entry["event"] == "request.failed"]) == 1


async def test_a_database_that_does_not_answer_is_told_as_such(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(_: object) -> None:
        raise DatabaseUnreachable("no server")

    monkeypatch.setattr(Definitions, "current", unreachable)
    assert await client.code("{ fields { key } }") == "UNAVAILABLE"


async def test_an_operation_that_takes_too_long_is_given_up(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    assert OPERATION_SECONDS > 1
    monkeypatch.setattr("api.limits.OPERATION_SECONDS", 0.05)
    monkeypatch.setattr(Contacts, "page", endless)
    assert await client.code("{ contacts { nodes { key } } }") == "TIMEOUT"
    async with client.socket() as socket:
        await socket.subscribe("{ contacts { nodes { key } } }")
        message = await socket.receive()
        (error,) = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
        assert error["extensions"]["code"] == "TIMEOUT"
