"""A client for tests, over HTTP and websockets: as thin as can be, so that what is tested is the server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

PATIENCE_SECONDS = 60.0


class Client:
    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self.http = httpx.AsyncClient(
            headers={"authorization": f"Bearer {key}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
            # Nothing here is encrypted, and to read whose certificates would be believed takes longer than many a test.
            verify=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer."""
        response = await self.http.post(self.url, json={"query": query, "variables": variables})
        answer: dict[str, Any] = response.json()
        return answer

    async def data(self, query: str, **variables: Any) -> Any:
        """The data; there must be no errors. Of a single root field, its value."""
        answer = await self.ask(query, **variables)
        assert "errors" not in answer, answer
        data = answer["data"]
        return next(iter(data.values())) if len(data) == 1 else data

    async def code(self, query: str, **variables: Any) -> str:
        """The code of the one error of a query, or of the one user error of a mutation."""
        answer = await self.ask(query, **variables)
        if "errors" in answer:
            (error,) = answer["errors"]
            return str(error["extensions"]["code"])
        (payload,) = answer["data"].values()
        (error,) = payload["errors"]
        return str(error["code"])

    async def do(self, mutation: str, given: dict[str, Any], wanted: str) -> Any:
        """Carry out a mutation that must succeed: `wanted` of its payload."""
        payload = await self.attempt(mutation, given, wanted)
        assert payload["errors"] == [], payload
        return payload

    async def attempt(self, mutation: str, given: dict[str, Any], wanted: str = "") -> Any:
        kind = mutation[0].upper() + mutation[1:]
        if "Group" in mutation and "Contacts" in mutation:
            kind = "GroupMembers"
        query = (
            f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) {{"
            f" errors {{ code message path line column expected }} {wanted} }} }}"
        )
        return await self.data(query, input=given)

    async def contact(self, key: str | None = None, **values: Any) -> str:
        """Make a contact; its identifier."""
        attributes = [{"key": name, "value": value} for name, value in values.items()]
        made = await self.do("createContact", {"key": key, "attributes": attributes}, "contact { id }")
        return str(made["contact"]["id"])

    async def write(self, contact: str, **values: Any) -> None:
        attributes = [{"key": name, "value": value} for name, value in values.items()]
        await self.do("updateContact", {"id": contact, "attributes": attributes}, "contact { id }")

    async def upsert(self, contacts: dict[str, dict[str, Any]]) -> dict[str, str]:
        """Make or change contacts; their identifiers by their keys."""
        given = [
            {"key": key, "attributes": [{"key": name, "value": value} for name, value in values.items()]}
            for key, values in contacts.items()
        ]
        made = await self.do("upsertContacts", {"contacts": given}, "contacts { key contactId }")
        return {contact["key"]: contact["contactId"] for contact in made["contacts"]}

    async def field(self, label: str, type_: str = "TEXT", **more: Any) -> str:
        made = await self.do("createField", {"label": label, "type": type_, **more}, "field { key }")
        return str(made["field"]["key"])

    async def segment(self, name: str, rule: str) -> str:
        made = await self.do("createSegment", {"name": name, "rule": {"expression": rule}}, "segment { id }")
        return str(made["segment"]["id"])

    async def group(self, name: str) -> str:
        return str((await self.do("createGroup", {"name": name}, "group { id }"))["group"]["id"])

    async def regroup(self, group: str, *contacts: str, add: bool = True) -> Any:
        mutation = "addContactsToGroup" if add else "removeContactsFromGroup"
        return await self.do(mutation, {"group": group, "contacts": {"ids": contacts}}, "moved unchanged")

    async def size(self, audience: str) -> int:
        found = await self.data(
            "query ($id: ID!) { node(id: $id) { ... on Audience { size } } }", id=audience
        )
        return int(found["size"])

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        """A websocket that has introduced itself."""
        async with raw_socket(self.url) as connection:
            socket = Socket(connection)
            await socket.send({"type": "connection_init", "payload": {"authorization": f"Bearer {self.key}"}})
            assert (await socket.receive())["type"] == "connection_ack"
            yield socket

    @asynccontextmanager
    async def watching(self, audience: str, after: str | None = None) -> AsyncIterator[Socket]:
        """A websocket that watches an audience. Its first event is still to be read."""
        async with self.socket() as socket:
            await socket.subscribe(WATCH, audience=audience, after=after)
            yield socket


WATCH = """
subscription ($audience: ID!, $after: String) {
  membershipChanges(audience: $audience, after: $after) {
    kind: __typename
    ... on FeedStarted { cursor size }
    ... on Move { cursor at reason contactId size }
    ... on AudienceRedefined { cursor at version }
    ... on FeedReset { cursor size because }
    ... on FeedEnded { cursor because }
  }
}
"""


def raw_socket(url: str, protocol: str = "graphql-transport-ws") -> connect:
    return connect(
        url.replace("http", "ws", 1),
        subprotocols=[Subprotocol(protocol)],
        max_size=None,
        max_queue=None,
        proxy=None,
        close_timeout=5,
    )


class Socket:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: Any) -> None:
        await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        with anyio.fail_after(PATIENCE_SECONDS):
            message: dict[str, Any] = json.loads(await self.connection.recv())
        return message

    async def subscribe(self, query: str, operation: str = "1", **variables: Any) -> None:
        await self.send(
            {"type": "subscribe", "id": operation, "payload": {"query": query, "variables": variables}}
        )

    async def event(self) -> dict[str, Any]:
        """The next event of the one subscription of this socket: of its root field, the value."""
        message = await self.receive()
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        (event,) = message["payload"]["data"].values()
        return dict(event)

    async def events(self, count: int) -> list[dict[str, Any]]:
        return [await self.event() for _ in range(count)]

    async def closed(self) -> tuple[int | None, str | None]:
        """The code and the reason with which the server closes the socket."""
        with anyio.fail_after(PATIENCE_SECONDS):
            await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason


async def until(condition: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Return when the condition is true; it must be within that time."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 # conditions of parts that tell nobody of their changes
            await anyio.sleep(0.005)
