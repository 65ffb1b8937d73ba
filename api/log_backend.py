"""The bus over the database: a backend of `broadcaster`'s that needs nothing but MongoDB.

Owns this process's place in the stream of messages: a connection that comes back goes on where the last one was, so that nothing
is lost while it is away. What the database no longer remembers is lost, and noticed by whoever counts. Why it
is made so: `docs/decisions/0010-the-bus-over-the-database.md`. Held by `tests/api/test_bus.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import structlog
from broadcaster import BroadcastBackend, Event

from domain.store.mailbox import Delivery, Mailbox
from domain.store.stream import HistoryLost

log = structlog.get_logger(__name__)


class LogBackend(BroadcastBackend):
    """One for a process; it may be connected again and again."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._token: Mapping[str, Any] | None = None
        self._deliveries: AsyncGenerator[Delivery, None] | None = None

    async def connect(self) -> None:
        try:
            await self._open()
        except HistoryLost as error:
            log.warning("bus.history_lost", because=str(error))
            self._token = None
            await self._open()

    async def _open(self) -> None:
        self._deliveries = self._mailbox.follow(self._token)
        self._token = (await anext(self._deliveries)).token

    async def disconnect(self) -> None:
        if self._deliveries is not None:
            await self._deliveries.aclose()

    async def subscribe(self, group: str) -> None:
        """Nothing is to be done: the stream has every channel's messages."""

    async def unsubscribe(self, group: str) -> None:
        """Nor here."""

    async def publish(self, channel: str, message: Any) -> None:
        await self._mailbox.put(channel, message)

    async def next_published(self) -> Event:
        assert self._deliveries is not None
        while True:
            delivery = await anext(self._deliveries)
            self._token = delivery.token or self._token
            if delivery.text is not None:
                return Event(channel=delivery.channel, message=delivery.text)
