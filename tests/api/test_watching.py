"""Watching an audience over a websocket."""

from __future__ import annotations

import asyncio
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient

from api.ids import Kind, read_id, to_id
from api.server import Serving
from api.settings import Settings
from tests.api.client import Client, Socket, until

SIZE = """
subscription ($audience: ID!, $every: Int) {
  audienceSize(audience: $audience, atMostEveryMs: $every) { size at audience { name size } }
}
"""


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in events]


async def test_a_contact_that_comes_to_match_joins_before_the_eyes_of_a_watcher(client: Client) -> None:
    segment = await client.segment("No email", "email is empty")
    async with client.watching(segment) as watcher:
        started = await watcher.event()
        assert (started["kind"], started["size"]) == ("FeedStarted", 0)
        contact = await client.contact("C1", first_name="Ann")
        joined = await watcher.event()
        assert (joined["kind"], joined["contactId"], joined["size"]) == ("ContactJoined", contact, 1)
        assert joined["reason"] == "CONTACT_CREATED"
        await client.write(contact, email="ann@example.org")
        left = await watcher.event()
        assert (left["kind"], left["reason"], left["size"]) == ("ContactLeft", "CONTACT_UPDATED", 0)
        assert started["cursor"] < joined["cursor"] < left["cursor"]
    assert await client.size(segment) == 0


async def test_two_watchers_see_the_same_events_in_the_same_order_and_a_third_resumes_in_the_middle(
    client: Client,
) -> None:
    await client.field("Contact Form")
    contacts = list((await client.upsert({f"C{number}": {} for number in range(60)})).values())
    segment = await client.segment("No contact form", "contact_form is empty")
    async with (
        client.watching(segment) as one,
        client.watching(segment) as two,
        client.watching(segment) as cut,
    ):
        for watcher in (one, two, cut):
            started = await watcher.event()
            assert (started["kind"], started["size"]) == ("FeedStarted", 60)
        await asyncio.gather(
            *(
                client.write(contact, contact_form=f"https://example.org/{contact}")
                for contact in contacts[:50]
            )
        )
        await asyncio.gather(*(client.write(contact, contact_form=None) for contact in contacts[:10]))
        seen = await one.events(60)
        assert await two.events(60) == seen
        first_part = await cut.events(20)
        assert first_part == seen[:20]
    assert kinds(seen[:50]) == ["ContactLeft"] * 50
    assert {event["contactId"] for event in seen[:50]} == set(contacts[:50])
    assert kinds(seen[50:]) == ["ContactJoined"] * 10
    assert {event["contactId"] for event in seen[50:]} == set(contacts[:10])
    cursors = [event["cursor"] for event in seen]
    assert cursors == sorted(set(cursors))

    asked = "query ($id: ID!, $rule: RuleInput) { segment(id: $id) { size } contacts(rule: $rule) { totalCount } }"
    answer = await client.data(asked, id=segment, rule={"expression": "contact_form is empty"})
    assert seen[-1]["size"] == answer["segment"]["size"] == answer["contacts"]["totalCount"] == 20

    async with client.watching(segment, after=first_part[-1]["cursor"]) as resumed:
        started = await resumed.event()
        assert (started["kind"], started["cursor"], started["size"]) == (
            "FeedStarted",
            first_part[-1]["cursor"],
            first_part[-1]["size"],
        )
        assert await resumed.events(40) == seen[20:]
        # Nothing more: the next event is that of the next change.
        await client.write(contacts[59], contact_form="https://example.org")
        assert (await resumed.event())["contactId"] == contacts[59]


async def test_an_edited_rule_is_told_before_those_who_join_and_leave_by_it(client: Client) -> None:
    contacts = await client.upsert(
        {"A": {"first_name": "Ann"}, "B": {"first_name": "Bob"}, "C": {"first_name": "Cy"}}
    )
    segment = await client.segment("Some", 'first_name is any of ("Ann", "Bob")')
    async with client.watching(segment) as watcher:
        assert (await watcher.event())["size"] == 2
        given = {"id": segment, "rule": {"expression": 'first_name is any of ("Bob", "Cy")'}}
        edited = await client.do("updateSegment", given, "segment { version expression }")
        assert edited["segment"] == {"version": 2, "expression": 'first_name is any of ("bob", "cy")'}
        redefined, *moves = await watcher.events(3)
        assert (redefined["kind"], redefined["version"]) == ("AudienceRedefined", 2)
        assert {(move["kind"], move["contactId"], move["reason"]) for move in moves} == {
            ("ContactLeft", contacts["A"], "RULE_EDITED"),
            ("ContactJoined", contacts["C"], "RULE_EDITED"),
        }
        assert moves[-1]["size"] == 2


async def test_a_deleted_audience_ends_its_feed_and_tells_nobody_to_have_left(client: Client) -> None:
    await client.contact("A")
    segment, group = await client.segment("All", "email is empty"), await client.group("Some")
    for audience, mutation in ((segment, "deleteSegment"), (group, "deleteGroup")):
        async with client.watching(audience) as watcher:
            await watcher.event()
            await client.do(mutation, {"id": audience}, "deletedId")
            ended = await watcher.event()
            assert ended["kind"] == "FeedEnded"
            assert await watcher.receive() == {"id": "1", "type": "complete"}


async def test_a_group_has_a_feed_like_a_segment(client: Client) -> None:
    group = await client.group("VIP")
    contacts = list((await client.upsert({"A": {}, "B": {}})).values())
    async with client.watching(group) as watcher:
        await watcher.event()
        await client.regroup(group, *contacts)
        joined = await watcher.events(2)
        assert [(event["kind"], event["reason"]) for event in joined] == [
            ("ContactJoined", "GROUP_EDITED")
        ] * 2
        await client.do("deleteContact", {"id": contacts[0]}, "deletedId")
        left = await watcher.event()
        assert (left["kind"], left["reason"], left["contactId"]) == (
            "ContactLeft",
            "CONTACT_DELETED",
            contacts[0],
        )


async def test_a_contact_that_another_program_changes_in_the_database_moves_through_the_same_feed(
    client: Client, shared_settings: Settings
) -> None:
    contact = await client.contact("A")
    segment = await client.segment("No email", "email is empty")
    identifier = read_id(contact)
    assert identifier is not None
    async with (
        client.watching(segment) as watcher,
        AsyncMongoClient[dict[str, Any]](shared_settings.mongodb_uri) as mongodb,
    ):
        await watcher.event()
        await mongodb[shared_settings.database]["contacts"].update_one(
            {"_id": identifier[1]},
            {"$set": {"values.email": "Ann@Example.org", "normal.email": "ann@example.org"}},
        )
        left = await watcher.event()
        assert (left["kind"], left["contactId"], left["reason"]) == (
            "ContactLeft",
            contact,
            "CONTACT_UPDATED",
        )
    read = await client.data(
        'query ($id: ID!) { contact(id: $id) { attribute(key: "email") { value } } }', id=contact
    )
    assert read == {"attribute": {"value": "Ann@Example.org"}}


async def test_the_contact_of_an_event_is_read_afresh_and_null_once_deleted(client: Client) -> None:
    query = """
    subscription ($audience: ID!) {
      membershipChanges(audience: $audience) {
        kind: __typename
        ... on Move { contactId contact { key attribute(key: "first_name") { value } segments { name } } }
      }
    }
    """
    segment = await client.segment("No email", "email is empty")
    async with client.socket() as watcher:
        await watcher.subscribe(query, audience=segment)
        await watcher.event()
        contact = await client.contact("A", first_name="Ann")
        joined = await watcher.event()
        assert joined["contact"] == {
            "key": "A",
            "attribute": {"value": "Ann"},
            "segments": [{"name": "No email"}],
        }
        await client.write(contact, first_name="Anna", email="anna@example.org")
        assert (await watcher.event())["contact"] == {
            "key": "A",
            "attribute": {"value": "Anna"},
            "segments": [],
        }
        await client.write(contact, email=None)
        await watcher.event()
        await client.do("deleteContact", {"id": contact}, "deletedId")
        left = await watcher.event()
        assert (left["kind"], left["contactId"], left["contact"]) == ("ContactLeft", contact, None)


async def test_the_size_is_told_at_once_and_then_as_it_changes_but_not_more_often_than_wanted(
    client: Client,
) -> None:
    segment = await client.segment("No email", "email is empty")
    async with client.socket() as watcher:
        await watcher.subscribe(SIZE, audience=segment, every=400)
        first = await watcher.event()
        assert (first["size"], first["audience"]) == (0, {"name": "No email", "size": 0})
        await client.upsert({f"C{number}": {} for number in range(20)})
        sizes = [0]
        while sizes[-1] != 20:
            sizes.append((await watcher.event())["size"])
        assert sizes == sorted(set(sizes))
        assert len(sizes) < 20
        await client.do("deleteSegment", {"id": segment}, "deletedId")
        assert (await watcher.receive())["type"] == "complete"


async def test_what_cannot_be_watched_is_told_as_an_error_of_the_operation(
    client: Client, other_client: Client
) -> None:
    segment, another = (
        await client.segment("One", "email is empty"),
        await client.segment("Two", "email is empty"),
    )
    async with client.watching(another) as watcher:
        cursor = (await watcher.event())["cursor"]
    foreign = await other_client.segment("Foreign", "email is empty")
    contact = await client.contact("A")
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("membershipChanges", {"audience": "nonsense"}, "NOT_FOUND"),
        ("membershipChanges", {"audience": contact}, "NOT_FOUND"),
        ("membershipChanges", {"audience": foreign}, "NOT_FOUND"),
        ("membershipChanges", {"audience": segment, "after": cursor}, "INVALID_CURSOR"),
        ("membershipChanges", {"audience": segment, "after": "nonsense"}, "INVALID_CURSOR"),
        ("audienceSize", {"audience": foreign}, "NOT_FOUND"),
        ("audienceSize", {"audience": segment, "atMostEveryMs": 0}, "INVALID_VALUE"),
    ]
    async with client.socket() as socket:
        for number, (name, arguments, code) in enumerate(cases):
            given = ", ".join(f"{key}: {_literal(value)}" for key, value in arguments.items())
            await socket.subscribe(
                f"subscription {{ {name}({given}) {{ __typename }} }}", operation=str(number)
            )
            message = await socket.receive()
            assert (message["type"], message["id"]) == ("error", str(number)), message
            assert message["payload"][0]["extensions"]["code"] == code


def _literal(value: str | int) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


async def test_an_unknown_audience_of_a_readable_identifier_is_not_found(client: Client) -> None:
    unknown = to_id(Kind.SEGMENT, ObjectId())
    async with client.watching(unknown) as watcher:
        assert (await watcher.receive())["payload"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_a_dropped_socket_a_finished_operation_and_a_client_that_hangs_up_leave_nothing_running(
    client: Client, server: Serving
) -> None:
    hub = server.shoal.hub
    await until(lambda: hub.watchers == 0)
    await until(lambda: len(server.shoal.sockets) == 0)
    before = set(_tasks())
    segment = await client.segment("No email", "email is empty")
    async with (
        client.watching(segment) as dropped,
        client.watching(segment) as finished,
        client.socket() as sizes,
    ):
        await sizes.subscribe(SIZE, audience=segment)
        for watcher in (dropped, finished, sizes):
            await watcher.event()
        await until(lambda: hub.watchers == 3)
        await finished.send({"type": "complete", "id": "1"})
        await until(lambda: hub.watchers == 2)
        # Cut while events are under way: no closing handshake, no goodbye.
        writing = asyncio.create_task(client.upsert({f"C{number}": {} for number in range(200)}))
        await dropped.event()
        dropped.connection.transport.abort()
        await until(lambda: hub.watchers == 1)
        await writing
    await until(lambda: hub.watchers == 0)
    await until(lambda: len(server.shoal.sockets) == 0)
    await until(lambda: not set(_tasks()) - before)


def _tasks() -> list[str]:
    """What runs, but for the tasks that belong to the server's connections over HTTP."""
    running = [task.get_coro() for task in asyncio.all_tasks()]
    named = [getattr(coroutine, "__qualname__", "") for coroutine in running]
    return [
        name for name in named if "Socket" in name or "operation" in name.lower() or "burst" in name.lower()
    ]


async def test_every_operation_of_a_socket_reads_afresh(client: Client) -> None:
    query = 'query ($id: ID!) { contact(id: $id) { attribute(key: "first_name") { value } } }'
    contact = await client.contact("A", first_name="Ann")
    async with client.socket() as socket:
        assert await _asked(socket, query, id=contact) == {"contact": {"attribute": {"value": "Ann"}}}
        await client.write(contact, first_name="Bob")
        assert await _asked(socket, query, id=contact) == {"contact": {"attribute": {"value": "Bob"}}}


async def _asked(socket: Socket, query: str, **variables: Any) -> Any:
    await socket.subscribe(query, **variables)
    answer, complete = await socket.receive(), await socket.receive()
    assert complete == {"id": "1", "type": "complete"}
    return answer["payload"]["data"]
