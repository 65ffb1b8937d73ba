"""The websocket protocol: what breaks it closes the socket with a code and a reason; what is wrong with one operation does not."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from api.limits import MAX_BODY_BYTES, MAX_OPERATIONS_PER_SOCKET
from api.server import Serving
from tests.api.client import WATCH, Client, Socket, raw_socket, until

INIT = {"type": "connection_init"}

MESSAGES: list[tuple[str, Any]] = [
    ("no JSON", "{"),
    ("an empty text", ""),
    ("null", "null"),
    ("a number", "1"),
    ("a list", "[]"),
    ("nested 100,000 levels deep", "[" * 100_000),
    ("an integer of 5,000 digits", "9" * 5_000),
    (
        "half a character",
        r'{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "variables": {"a": "\ud83d"}}}',
    ),
    ("no type", {}),
    ("a type that is a list", {"type": []}),
    ("an unknown type", {"type": "start"}),
    ("subscribe without an id", {"type": "subscribe", "payload": {"query": "{ __typename }"}}),
    ("an id that is a number", {"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}}),
    ("an empty id", {"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}}),
    ("an id that is a list", {"type": "complete", "id": []}),
    ("a very long id", {"type": "complete", "id": "x" * 1_000}),
    ("complete without an id", {"type": "complete"}),
    ("no payload", {"type": "subscribe", "id": "1"}),
    ("a payload that is a text", {"type": "subscribe", "id": "1", "payload": "{ __typename }"}),
    ("a query that is null", {"type": "subscribe", "id": "1", "payload": {"query": None}}),
    (
        "variables that are a list",
        {"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "variables": []}},
    ),
    (
        "an operation name that is a number",
        {"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "operationName": 1}},
    ),
]


@pytest.mark.parametrize("message", [case[1] for case in MESSAGES], ids=[case[0] for case in MESSAGES])
async def test_a_message_that_the_protocol_does_not_know_closes_the_socket_with_4400_and_a_reason(
    client: Client, message: object
) -> None:
    async with client.socket() as socket:
        await socket.send(message if isinstance(message, str) else json.dumps(message))
        code, reason = await socket.closed()
        assert code == 4400
        assert reason


async def test_a_message_of_bytes_closes_the_socket(client: Client) -> None:
    async with client.socket() as socket:
        await socket.send(b"\x00\xff")
        assert await socket.closed() == (4400, "WebSocket message type must be text")


async def test_a_message_that_is_too_large_closes_the_socket(client: Client) -> None:
    async with client.socket() as socket:
        with suppress(ConnectionClosed):
            await socket.send("x" * (MAX_BODY_BYTES + 1))
        assert (await socket.closed())[0] == 1009


async def test_a_second_introduction_closes_the_socket(client: Client) -> None:
    async with client.socket() as socket:
        await socket.send(INIT)
        assert await socket.closed() == (4429, "Too many initialisation requests")


async def test_whoever_does_not_introduce_itself_in_time_is_closed(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = server.server.config.app
    assert isinstance(app, Starlette)
    views = [route.app for route in app.routes if isinstance(route, WebSocketRoute)]
    monkeypatch.setattr(views[0], "connection_init_wait_timeout", timedelta(milliseconds=20))
    async with raw_socket(server.url) as connection:
        assert await Socket(connection).closed() == (4408, "Connection initialisation timeout")


async def test_an_operation_under_an_id_that_is_in_use_closes_the_socket(client: Client) -> None:
    segment = await client.segment("A", "email is empty")
    async with client.watching(segment) as socket:
        await socket.event()
        await socket.subscribe("{ __typename }")
        assert await socket.closed() == (4409, "Subscriber for 1 already exists")


async def test_only_the_current_protocol_is_spoken(server: Serving) -> None:
    for protocol in ("graphql-ws", "nonsense"):
        async with raw_socket(server.url, protocol) as connection:
            assert await Socket(connection).closed() == (4406, "Subprotocol not acceptable")


async def test_pings_are_answered_and_null_payloads_are_none(client: Client, server: Serving) -> None:
    async with client.socket() as socket:
        await socket.send({"type": "ping", "payload": {"at": 1}})
        assert await socket.receive() == {"type": "pong"}
        await socket.send({"type": "pong"})
        await socket.send({"type": "complete", "id": "unknown"})
        await socket.send({"type": "ping"})
        assert await socket.receive() == {"type": "pong"}
    async with raw_socket(server.url) as connection:
        socket = Socket(connection)
        await socket.send({"type": "connection_init", "payload": None})
        assert await socket.closed() == (4403, "Forbidden")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ fields { key }", "INVALID_REQUEST"),
        ("", "INVALID_REQUEST"),
        ("{ fields { nonsense } }", "INVALID_REQUEST"),
        ("fragment F on Query { __typename }", "INVALID_REQUEST"),
        ("query A { __typename } query B { __typename }", "INVALID_REQUEST"),
        ("subscription { membershipChanges { __typename } }", "INVALID_REQUEST"),
        ("subscription ($a: ID!) { membershipChanges(audience: $a) { __typename } }", "INVALID_REQUEST"),
        ("{ " + " ".join(f"a{n}: __typename" for n in range(2_000)) + " }", "LIMIT_EXCEEDED"),
    ],
)
async def test_what_is_wrong_with_one_operation_is_told_as_its_error_and_the_others_go_on(
    client: Client, query: str, code: str
) -> None:
    segment = await client.segment("A", "email is empty")
    async with client.socket() as socket:
        await socket.subscribe(WATCH, audience=segment)
        await socket.event()
        await socket.subscribe(query, operation="2")
        error = await socket.receive()
        assert (error["type"], error["id"]) == ("error", "2"), error
        assert error["payload"][0]["extensions"]["code"] == code
        await client.contact("C")
        assert (await socket.event())["kind"] == "ContactJoined"
        # The id is free again.
        await socket.subscribe("{ __typename }", operation="2")
        assert (await socket.receive())["payload"]["data"] == {"__typename": "Query"}


async def test_a_socket_carries_so_many_operations_and_no_more(client: Client) -> None:
    segment = await client.segment("A", "email is empty")
    async with client.socket() as socket:
        for number in range(MAX_OPERATIONS_PER_SOCKET):
            await socket.subscribe(WATCH, operation=str(number), audience=segment)
            assert (await socket.receive())["type"] == "next"
        await socket.subscribe("{ __typename }", operation="one more")
        error = await socket.receive()
        assert (error["type"], error["id"]) == ("error", "one more")
        assert error["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
        await socket.send({"type": "complete", "id": "0"})
        await socket.subscribe("{ __typename }", operation="one more")
        assert (await socket.receive())["payload"]["data"] == {"__typename": "Query"}


async def test_a_process_holds_so_many_sockets_and_no_more(
    client: Client, server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = server.shoal.sockets
    await until(lambda: len(sockets) == 0)
    monkeypatch.setattr("api.graphql_view.MAX_SOCKETS", 2)
    async with client.socket(), client.socket():
        with pytest.raises(InvalidStatus, match="503"):
            async with client.socket():
                pass
    await until(lambda: len(sockets) == 0)
    async with client.socket():
        pass


async def test_a_page_of_another_origin_may_not_open_a_socket(server: Serving) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        async with connect(
            server.websocket_url,
            subprotocols=[Subprotocol("graphql-transport-ws")],
            origin=Origin("https://elsewhere.example"),
            proxy=None,
        ):
            pass


async def test_mutations_over_a_socket_are_carried_out_as_over_http(client: Client) -> None:
    async with client.socket() as socket:
        mutation = 'mutation { createGroup(input: { name: "A" }) { group { name } errors { code } } }'
        for wanted in (
            {"group": {"name": "A"}, "errors": []},
            {"group": None, "errors": [{"code": "NAME_TAKEN"}]},
        ):
            await socket.subscribe(mutation)
            assert await socket.event() == wanted
            assert (await socket.receive())["type"] == "complete"
