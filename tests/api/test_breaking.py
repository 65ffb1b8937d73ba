"""Segments that lose a field: what is asked before, what they say of themselves, and how they are mended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.server import Serving
from tests.api.client import PATIENCE_SECONDS, Client
from tests.domain.membership.halfway import Halfway

SEGMENT = """
query ($id: ID!) { segment(id: $id) {
  name status size members { totalCount nodes { key } } expression rule { words }
  broken { code message fields segments { name } }
} }
"""
CONTACT = """
query ($key: String!, $audience: ID!) { contact(key: $key) {
  segments { name status } explain(audience: $audience) { member verdicts { holds } broken { code message fields } }
} }
"""
RULES = "query ($rule: RuleInput!) { %s }"


async def _populated(client: Client) -> tuple[str, str, str]:
    """A segment over a field, one that refers to it, and one that has nothing to do with it."""
    await client.field("Score", "NUMBER")
    await client.upsert({"A": {"score": 9}, "B": {"score": 1}, "C": {"score": 7, "first_name": "Cy"}})
    return (
        await client.segment("High", "score >= 5"),
        await client.segment("Outer", 'in none of (segment "High")'),
        await client.segment("Named", "first_name is not empty"),
    )


async def test_a_field_in_use_goes_only_if_segments_may_break(client: Client) -> None:
    high, outer, named = await _populated(client)
    for mutation, more in (("deleteField", {}), ("updateField", {"type": "TEXT"})):
        for said in ({}, {"breakSegments": False}):
            (error,) = (await client.attempt(mutation, {"key": "score", **more, **said}))["errors"]
            assert (error["code"], error["path"]) == ("FIELD_IN_USE", ["key"])
            assert "“High”" in error["message"]
            assert "with them “Outer” by reference" in error["message"]
    deletion = await client.do("deleteField", {"key": "score", "breakSegments": True}, "deletedKey")
    assert deletion["deletedKey"] == "score"
    found = [await client.data(SEGMENT, id=segment) for segment in (high, outer, named)]
    assert [each["status"] for each in found] == ["BROKEN", "BROKEN", "LIVE"]


async def test_a_broken_segment_says_why_and_keeps_its_members(client: Client) -> None:
    high, outer, named = await _populated(client)
    await client.do("deleteField", {"key": "score", "breakSegments": True}, "deletedKey")
    await client.contact("D", first_name="Di")
    await client.do("deleteContact", {"id": (await client.upsert({"C": {}}))["C"]}, "deletedId")
    assert await client.data(SEGMENT, id=high) == {
        "name": "High",
        "status": "BROKEN",
        "size": 1,
        "members": {"totalCount": 1, "nodes": [{"key": "A"}]},
        "expression": "score >= 5",
        "rule": {"words": "Contacts whose “score” is 5 or more."},
        "broken": {
            "code": "BROKEN_SEGMENT",
            "message": "The segment “High” does not follow its rule any more, and its members stay as they are: the field “score”"
            " was deleted. Save its rule again, written for the fields as they are now.",
            "fields": ["score"],
            "segments": [],
        },
    }
    found = await client.data(SEGMENT, id=outer)
    assert (found["size"], found["members"]["nodes"]) == (1, [{"key": "B"}])
    assert (found["broken"]["fields"], found["broken"]["segments"]) == ([], [{"name": "High"}])
    found = await client.data(SEGMENT, id=named)
    assert (found["broken"], found["size"]) == (None, 1)


async def test_an_explanation_says_that_the_segment_is_broken(client: Client) -> None:
    high, outer, named = await _populated(client)
    live = await client.data(CONTACT, key="A", audience=high)
    assert live["explain"] == {"member": True, "verdicts": [{"holds": True}], "broken": None}
    await client.do("deleteField", {"key": "score", "breakSegments": True}, "deletedKey")
    for key, member, segments in (
        ("A", True, [{"name": "High", "status": "BROKEN"}]),
        ("B", False, [{"name": "Outer", "status": "BROKEN"}]),
        ("C", True, [{"name": "High", "status": "BROKEN"}, {"name": "Named", "status": "LIVE"}]),
    ):
        found = await client.data(CONTACT, key=key, audience=high)
        assert found["segments"] == segments
        explained = found["explain"]
        assert (explained["member"], explained["verdicts"]) == (member, [])
        assert explained["broken"]["code"] == "BROKEN_SEGMENT"
        assert "“score” was deleted" in explained["broken"]["message"]
    assert (await client.data(CONTACT, key="B", audience=outer))["explain"]["broken"]["fields"] == []
    assert (await client.data(CONTACT, key="B", audience=named))["explain"]["broken"] is None


async def test_a_rule_that_refers_to_a_broken_segment_is_refused_with_its_code(client: Client) -> None:
    _, _, named = await _populated(client)
    await client.do("updateField", {"key": "score", "type": "TEXT", "breakSegments": True}, "field { type }")
    rule = {"expression": 'email is empty or in any of (segment "Outer")'}
    for query in (
        "contacts(rule: $rule) { nodes { key } }",
        "contacts(rule: $rule) { totalCount }",
        "previewRule(rule: $rule) { size }",
        "previewRule(rule: $rule) { words }",
    ):
        assert await client.code(RULES % query, rule=rule) == "BROKEN_SEGMENT"
    for mutation, given in (("createSegment", {"name": "New"}), ("updateSegment", {"id": named})):
        payload = await client.attempt(mutation, {**given, "rule": rule}, "segment { id }")
        (error,) = payload["errors"]
        assert (error["code"], error["path"], payload["segment"]) == ("BROKEN_SEGMENT", ["rule"], None)
        assert "“Outer”, which is broken. Mend that one first." in error["message"]


async def test_mending_makes_the_segment_live_and_its_watchers_are_told_the_difference(
    client: Client,
) -> None:
    high, outer, _ = await _populated(client)
    await client.do("deleteField", {"key": "score", "breakSegments": True}, "deletedKey")
    async with client.watching(high) as watcher:
        assert (await watcher.event())["size"] == 2
        renamed = await client.do(
            "updateSegment", {"id": high, "name": "Higher"}, "segment { status version }"
        )
        assert renamed["segment"] == {"status": "BROKEN", "version": 2}
        rule = {"expression": "first_name is empty"}
        mended = await client.do(
            "updateSegment", {"id": high, "rule": rule}, "segment { status broken { code } size }"
        )
        assert mended["segment"] == {"status": "LIVE", "broken": None, "size": 2}
        events = await watcher.events(3)
    assert [event["kind"] for event in events[:1]] == ["AudienceRedefined"]
    assert {(event["kind"], event["reason"]) for event in events[1:]} == {
        ("ContactJoined", "RULE_EDITED"),
        ("ContactLeft", "RULE_EDITED"),
    }
    found = await client.data(SEGMENT, id=outer)
    assert (found["status"], found["size"], found["members"]["nodes"]) == ("LIVE", 1, [{"key": "C"}])


async def test_whoever_asks_for_members_that_are_being_frozen_waits_for_all_of_them(
    server: Serving, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await server.shoal.ready()
    high, _, _ = await _populated(client)
    await client.size(high)
    halfway = Halfway(monkeypatch)
    await client.do("deleteField", {"key": "score", "breakSegments": True}, "deletedKey")
    await asyncio.wait_for(halfway.reached.wait(), PATIENCE_SECONDS)
    asked: list[asyncio.Task[Any]] = [
        asyncio.create_task(
            client.data("query ($id: ID!) { segment(id: $id) { members { nodes { key } } } }", id=high)
        ),
        *(asyncio.create_task(client.data(CONTACT, key=key, audience=high)) for key in ("A", "C")),
    ]
    assert await client.data("{ segments { nodes { status } } }") == {
        "nodes": [{"status": "BROKEN"}, {"status": "LIVE"}, {"status": "BROKEN"}]
    }
    assert not any(task.done() for task in asked)
    halfway.go_on.set()
    members, *contacts = await asyncio.wait_for(asyncio.gather(*asked), PATIENCE_SECONDS)
    assert members["members"]["nodes"] == [{"key": "A"}, {"key": "C"}]
    for contact in contacts:
        assert contact["segments"][0] == {"name": "High", "status": "BROKEN"}
        assert contact["explain"]["member"]


async def test_another_accounts_field_of_the_same_key_stays(client: Client, other_client: Client) -> None:
    await _populated(client)
    theirs, _, _ = await _populated(other_client)
    await client.do("deleteField", {"key": "score", "breakSegments": True}, "deletedKey")
    found = await other_client.data(SEGMENT, id=theirs)
    assert (found["status"], found["size"], found["broken"]) == ("LIVE", 2, None)
