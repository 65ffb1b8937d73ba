"""Websockets: the graphql-transport-ws protocol, made robust.

Owns the sockets that are open, so that they can be counted and closed when the server ends, and the ways in which a message can be
wrong. What is wrong with the protocol closes the socket with 4400 and a reason; what is wrong with one operation is told as that
operation's error, and the others go on. Owns the introduction, too: `connection_init` with a key, within ten seconds. Held by
`tests/api/test_sockets.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import structlog
from graphql import GraphQLError
from starlette.websockets import WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    SubscribeMessage,
)

from api.context import Session
from api.errors import to_graphql_error
from api.limits import LONGEST_OPERATION_ID
from domain.errors import LimitExceeded

if TYPE_CHECKING:
    from api.graphql_view import GraphQLView

log = structlog.get_logger(__name__)

GOING_AWAY = 1001
CLOSE_SECONDS = 2.0
SEND_SECONDS = 30.0
"""How long a client may leave an event unread before its socket counts as gone."""


class Sockets:
    """The websockets that are open."""

    def __init__(self) -> None:
        self.open = True
        self._operations: set[SocketOperations] = set()

    def __len__(self) -> int:
        return len(self._operations)

    @contextmanager
    def holding(self, operations: SocketOperations) -> Iterator[None]:
        self._operations.add(operations)
        try:
            yield
        finally:
            self._operations.discard(operations)

    async def close(self) -> None:
        """Take no more, and tell those who are here to go elsewhere."""
        self.open = False
        # A client that does not read holds up its own goodbye, and nobody else's.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(
                    *(
                        operations.websocket.close(GOING_AWAY, "The server is ending")
                        for operations in self._operations
                    )
                )


class SocketAdapter(ASGIWebSocketAdapter):
    """A websocket on which nothing is said after its end."""

    async def send_json(self, message: Mapping[str, object]) -> None:
        if self._ended():
            raise WebSocketDisconnected
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await super().send_json(message)
        except TimeoutError:
            raise WebSocketDisconnected from None

    async def close(self, code: int, reason: str) -> None:
        if not self._ended():
            # A control frame has room for 123 bytes.
            await super().close(code, reason.encode()[:120].decode(errors="ignore"))

    def _ended(self) -> bool:
        return WebSocketState.DISCONNECTED in (self.ws.application_state, self.ws.client_state)


class SocketOperations(BaseGraphQLTransportWSHandler[Session, None]):
    """What goes on over one websocket."""

    view: GraphQLView

    async def handle(self) -> None:
        with self.view.sockets.holding(self):
            await super().handle()

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        # `payload` may be null, which counts as none.
        await super().handle_connection_init({**message, "payload": message.get("payload") or {}})

    async def handle_message(self, message: Message) -> None:
        if (wrong := _wrong_with(message)) is not None:
            await self.handle_invalid_message(wrong)
        else:
            await super().handle_message(message)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        limit = self.max_subscriptions_per_connection
        full = limit is not None and len(self.operations) >= limit
        if self.connection_acknowledged and full and message["id"] not in self.operations:
            error = LimitExceeded(f"{limit} operations at a time are the most that one websocket carries.")
            await self.send_message({"id": message["id"], "type": "error", "payload": [_formatted(error)]})
        else:
            await super().handle_subscribe(message)

    async def handle_task_exception(self, error: Exception) -> None:
        if not isinstance(error, WebSocketDisconnected):
            log.error("socket.operation_failed", exc_info=error)

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:
        """None: whatever is wrong with an operation is told as its error, and closes nothing."""
        del error
        return None


def _formatted(error: LimitExceeded) -> Any:
    return to_graphql_error(error).formatted


def _wrong_with(message: object) -> str | None:
    """What the protocol does not allow about a message, as far as its shape goes."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return "A message is an object with a type"
    given = cast("dict[str, Any]", message)
    if given["type"] in {"subscribe", "complete"}:
        identifier = given.get("id")
        if not isinstance(identifier, str) or not 0 < len(identifier) <= LONGEST_OPERATION_ID:
            return f"The id of an operation is a text of 1 to {LONGEST_OPERATION_ID} characters"
    if given["type"] != "subscribe":
        return None
    payload = given.get("payload")
    if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
        return "The payload of subscribe is an object with a query"
    for name, kind in (("variables", dict), ("operationName", str)):
        if payload.get(name) is not None and not isinstance(payload[name], kind):
            return f"The {name} of subscribe are of the wrong type"
    return None
