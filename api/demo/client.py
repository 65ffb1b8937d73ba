"""A client of Shoal: operations over HTTP, subscriptions over one websocket by the graphql-transport-ws protocol.

Owns the wire and nothing of its meaning. What the server refuses is raised as `Refused`; nothing is tried again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PROTOCOL = Subprotocol("graphql-transport-ws")
TIMEOUT_SECONDS = 30.0


class Refused(Exception):
    """The server did not do what it was asked for; the message says why."""


class Client:
    """Queries and mutations. Made by `open_client`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(self, operation: str, **variables: Any) -> dict[str, Any]:
        """The data of a query. Raises `Refused`."""
        try:
            response = await self._http.post("/graphql", json={"query": operation, "variables": variables})
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Refused(f"The server did not answer: {error!r}") from error
        if answer.get("errors"):
            raise Refused("; ".join(error["message"] for error in answer["errors"]))
        data: dict[str, Any] = answer["data"]
        return data

    async def change(self, mutation: str, **given: Any) -> dict[str, Any]:
        """The payload of a mutation that takes `$input`. Raises `Refused`, also for errors that the payload tells."""
        (payload,) = (await self.ask(mutation, input=given)).values()
        if payload["errors"]:
            raise Refused("; ".join(error["message"] for error in payload["errors"]))
        outcome: dict[str, Any] = payload
        return outcome


@asynccontextmanager
async def open_client(url: str, key: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"}
    # Proxies that the environment names are for the world outside.
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
    ) as http:
        yield Client(http)


class Socket:
    """Any number of subscriptions over one websocket. Made by `open_socket`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count(1)
        self._waiting: dict[str, asyncio.Queue[Mapping[str, Any]]] = {}
        self._ended = "The server completed the subscription."

    async def subscribe(self, operation: str, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
        """The data of each event, until the server completes the subscription. Raises `Refused`."""
        number = str(next(self._numbers))
        queue = self._waiting[number] = asyncio.Queue()
        await self._send(type="subscribe", id=number, payload={"query": operation, "variables": variables})
        try:
            while True:
                message = await queue.get()
                match message["type"]:
                    case "next" if not message["payload"].get("errors"):
                        data: dict[str, Any] = message["payload"]["data"]
                        yield data
                    case "next":
                        raise Refused("; ".join(error["message"] for error in message["payload"]["errors"]))
                    case "error":
                        raise Refused("; ".join(error["message"] for error in message["payload"]))
                    case "complete":
                        return
                    case _:
                        raise Refused(self._ended)
        finally:
            if self._waiting.pop(number, None) is not None:
                await self._send(type="complete", id=number)

    async def introduce(self, key: str) -> None:
        """Say who we are, and wait until the server has agreed. Raises `Refused`."""
        await self._send(type="connection_init", payload={"authorization": f"Bearer {key}"})
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answer = json.loads(await self._connection.recv())
        except (ConnectionClosed, TimeoutError) as error:
            raise Refused(f"The server did not take the websocket: {error!r}") from error
        if answer["type"] != "connection_ack":
            raise Refused(f"The server answered {answer['type']} to the introduction.")

    async def read(self) -> None:
        """Hand each message to the subscription that it is for, until the websocket is closed."""
        try:
            async for text in self._connection:
                message = json.loads(text)
                if message["type"] == "ping":
                    await self._send(type="pong")
                elif (queue := self._waiting.get(message.get("id", ""))) is not None:
                    if message["type"] != "next":
                        del self._waiting[message["id"]]
                    queue.put_nowait(message)
        except ConnectionClosed as closed:
            self._ended = f"The websocket was closed: {closed}"
        for queue in self._waiting.values():
            queue.put_nowait({"type": "closed"})
        self._waiting.clear()

    async def _send(self, **message: Any) -> None:
        try:
            await self._connection.send(json.dumps(message))
        except ConnectionClosed as closed:
            self._ended = f"The websocket was closed: {closed}"


@asynccontextmanager
async def open_socket(url: str, key: str) -> AsyncIterator[Socket]:
    """A websocket to the server at `url`, an address of HTTP. Raises `Refused`."""
    address = f"ws{url.removeprefix('http')}/graphql"
    try:
        connection = await connect(address, subprotocols=[PROTOCOL], proxy=None, max_size=None)
    except (OSError, ConnectionClosed) as error:
        raise Refused(f"The server did not take the websocket: {error!r}") from error
    async with connection:
        socket = Socket(connection)
        await socket.introduce(key)
        reading = asyncio.create_task(socket.read())
        try:
            yield socket
        finally:
            reading.cancel()
            await asyncio.wait({reading})
