"""Replies as clients record them and decide what they mean."""

from __future__ import annotations

from typing import Any

from tests.api.client import Client
from tests.api.test_campaigns import campaign

REPLY = """
reply { id state text candidates value previousValue because sender contact { key } campaign { name } field { key } decidedAt }
"""
WAITING = """
query ($id: ID!) {
  campaign(id: $id) { replies(state: NEEDS_REVIEW) { totalCount nodes { id } } } replies(state: CAPTURED) { totalCount }
}
"""


async def do(client: Client, mutation: str, **given: Any) -> dict[str, Any]:
    kind = mutation[0].upper() + mutation[1:]
    query = f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) {{ errors {{ code path }} {REPLY} }} }}"
    payload: dict[str, Any] = await client.data(query, input=given)
    return payload


async def test_a_reply_is_recorded_reviewed_resolved_and_undone(client: Client, other_client: Client) -> None:
    contacts = await client.upsert({"A": {"first_name": "Ann"}})
    segment = await client.segment("No birthdate", "birthdate is empty")
    asks = await campaign(client, segment, asks="birthdate")
    recorded = await do(client, "recordReply", contact=contacts["A"], campaign=asks, text="03/05/90")
    reply = recorded["reply"]
    identifier = reply.pop("id")
    assert recorded["errors"] == []
    assert reply == {
        "state": "NEEDS_REVIEW",
        "text": "03/05/90",
        "candidates": ["1990-03-05", "1990-05-03"],
        "value": None,
        "previousValue": None,
        "because": "It may mean one of several values.",
        "sender": None,
        "contact": {"key": "A"},
        "campaign": {"name": "Birthdays"},
        "field": {"key": "birthdate"},
        "decidedAt": None,
    }
    assert await client.data(WAITING, id=asks) == {
        "campaign": {"replies": {"totalCount": 1, "nodes": [{"id": identifier}]}},
        "replies": {"totalCount": 0},
    }
    for mutation, given in (("resolveReply", {"value": "1990-05-03"}), ("undoReply", {})):
        stolen = await do(other_client, mutation, id=identifier, **given)
        assert stolen["errors"][0]["code"] == "NOT_FOUND"
    resolved = (await do(client, "resolveReply", id=identifier, value="1990-05-03"))["reply"]
    assert (resolved["state"], resolved["value"], resolved["because"]) == ("CAPTURED", "1990-05-03", None)
    assert resolved["decidedAt"] is not None
    assert await client.size(segment) == 0
    assert (await do(client, "resolveReply", id=identifier, reject=True))["errors"][0][
        "code"
    ] == "INVALID_STATE"
    assert (await do(client, "undoReply", id=identifier))["reply"]["state"] == "UNDONE"
    assert await client.size(segment) == 1
    assert (await do(client, "resolveReply", id=identifier, reject=True))["reply"]["state"] == "REJECTED"
    assert (
        await client.data("query ($id: ID!) { node(id: $id) { ... on Reply { text } } }", id=identifier)
    ) == {"text": "03/05/90"}


async def test_what_was_changed_since_is_not_undone(client: Client) -> None:
    contacts = await client.upsert({"A": {}})
    asks = await campaign(
        client, await client.segment("No birthdate", "birthdate is empty"), asks="birthdate"
    )
    taken = await do(client, "recordReply", key="A", campaign=asks, text="1990-05-03")
    await client.write(contacts["A"], birthdate="1991-01-01")
    assert (await do(client, "undoReply", id=taken["reply"]["id"]))["errors"] == [
        {"code": "VALUE_CHANGED", "path": ["id"]}
    ]


async def test_a_reply_that_says_too_little_is_refused(client: Client) -> None:
    contact = await client.contact("A")
    for given, code, path in (
        ({"text": "x"}, "INVALID_VALUE", ["contact"]),
        ({"text": "x", "key": "A", "email": "a@b.org"}, "INVALID_VALUE", ["contact"]),
        ({"text": " ", "contact": contact}, "INVALID_VALUE", ["text"]),
        ({"text": "x", "contact": "nonsense"}, "NOT_FOUND", ["contact"]),
        ({"text": "x", "contact": contact, "campaign": "nonsense"}, "NOT_FOUND", ["campaign"]),
    ):
        assert (await do(client, "recordReply", **given))["errors"] == [{"code": code, "path": path}]
    kept = await do(client, "recordReply", email="nobody@example.org", text="Hello?")
    assert (kept["reply"]["state"], kept["reply"]["sender"]) == ("UNKNOWN_SENDER", "nobody@example.org")
    both = await do(client, "resolveReply", id=kept["reply"]["id"], value="x", reject=True)
    assert both["errors"] == [{"code": "INVALID_VALUE", "path": ["value"]}]


async def test_a_reply_recorded_twice_under_one_mutation_id_is_one(client: Client) -> None:
    await client.contact("A")
    for _ in range(2):
        await do(client, "recordReply", key="A", text="Hello", clientMutationId="1")
    assert await client.data("{ replies { totalCount } }") == {"totalCount": 1}
