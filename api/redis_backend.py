"""The bus over Redis: `broadcaster`'s backend, put right in two places.

Owns these. `broadcaster` begins to listen before it has subscribed, finds nothing to listen to, and never does again; here it
begins after. And redis-py mends a lost connection by itself, as if nothing had been lost, and waits up to a second between two
tries; here it fails, for whoever holds the bus must know. Imported only where Redis is used: its package is an extra.
Held by `tests/api/test_redis.py`.
"""

from __future__ import annotations

from broadcaster._backends.redis import RedisBackend
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


class PlainRedisBackend(RedisBackend):
    """One connection to Redis and no second."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._conn.set_retry(Retry(NoBackoff(), 0))

    async def subscribe(self, channel: str) -> None:
        await self._pubsub.subscribe(channel)
        self._ready.set()
