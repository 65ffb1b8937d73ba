"""The bus over Redis: `broadcaster`'s backend, put right in three places.

Owns these. `broadcaster` begins to listen before it has subscribed, finds nothing to listen to, and never does again; here it
begins after. And redis-py mends a lost connection by itself, as if nothing had been lost, and waits up to a second between two
tries; here it fails, for whoever holds the bus must know. What fails is a `ConnectionError`, so that they need not know Redis:
this is imported only where it is used, since its package is an extra. Held by `tests/api/test_redis.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from broadcaster._backends.redis import RedisBackend
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError


class PlainRedisBackend(RedisBackend):
    """One connection to Redis and no second."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._conn.set_retry(Retry(NoBackoff(), 0))

    async def connect(self) -> None:
        with _failing():
            await super().connect()

    async def disconnect(self) -> None:
        with _failing():
            await super().disconnect()

    async def subscribe(self, channel: str) -> None:
        with _failing():
            await self._pubsub.subscribe(channel)
        self._ready.set()

    async def unsubscribe(self, channel: str) -> None:
        with _failing():
            await super().unsubscribe(channel)

    async def publish(self, channel: str, message: Any) -> None:
        with _failing():
            await super().publish(channel, message)


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise ConnectionError(str(error)) from error
