"""The bus: carries the engine's progress to every process that serves.

Owns one subscription for this process, over `broadcaster` (in memory, or Redis between several processes). A message is a hint:
the hub notices a lost one by its number and repairs from the log. So a bus that is away holds up nothing: what cannot be
published is dropped, and the subscription is made again. `broadcaster`'s own listener dies silently; it is watched.
Held by `tests/api/test_bus.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog
from broadcaster import Broadcast
from broadcaster._base import Subscriber

from domain.membership.messages import Progress, read_progress

log = structlog.get_logger(__name__)

FIRST_RETRY_SECONDS = 0.2
LAST_RETRY_SECONDS = 10.0

_FAILURES: tuple[type[Exception], ...] = (OSError,)
with suppress(ImportError):
    from redis.exceptions import RedisError

    _FAILURES = (OSError, RedisError)


class _ListenerEnded(OSError):
    """The task that takes messages from the backend has ended."""


class Bus:
    """One process's end of the bus."""

    def __init__(self, url: str, channel: str, receive: Callable[[Progress], None]) -> None:
        self._url = url
        self._channel = channel
        self._receive = receive
        self._broadcast: Broadcast | None = None
        self._connected = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    async def wait_connected(self) -> None:
        await self._connected.wait()

    async def publish(self, progress: Progress) -> None:
        """Tell every process, this one too. Dropped while there is no bus."""
        if self._broadcast is None:
            return
        try:
            await self._broadcast.publish(self._channel, progress.to_text())
        except _FAILURES as error:
            log.warning("bus.not_published", error=repr(error))

    async def work(self) -> None:
        """Hand on what comes, until cancelled; connect again whenever the bus fails."""
        delay = FIRST_RETRY_SECONDS
        while True:
            try:
                await self._listen()
            except _FAILURES as error:
                log.warning("bus.failed", error=repr(error), retry_in_seconds=delay)
            finally:
                came_along = self.connected
                self._connected.clear()
                self._broadcast = None
            delay = FIRST_RETRY_SECONDS if came_along else min(delay * 2, LAST_RETRY_SECONDS)
            await asyncio.sleep(delay)

    async def _receive_all(self, subscriber: Subscriber) -> None:
        while True:
            self._receive(read_progress((await subscriber.get()).message))

    async def _listen(self) -> None:
        broadcast = Broadcast(self._url)
        await broadcast.connect()
        listeners = _listeners(broadcast)
        try:
            async with broadcast.subscribe(self._channel) as subscriber:
                self._broadcast = broadcast
                self._connected.set()
                receiving = asyncio.ensure_future(self._receive_all(subscriber))
                try:
                    await asyncio.wait({receiving, *listeners}, return_when=asyncio.FIRST_COMPLETED)
                    if receiving.done():
                        receiving.result()
                    raise _ListenerEnded("the listener of the bus has ended")
                finally:
                    receiving.cancel()
        finally:
            for listener in listeners:
                listener.cancel()
            ended = await asyncio.gather(*listeners, return_exceptions=True)
            for failure in ended:
                if isinstance(failure, Exception):
                    log.warning("bus.listener_failed", error=repr(failure))
            await broadcast._backend.disconnect()  # noqa: SLF001 # its own `disconnect` raises what the listener raised


def _listeners(broadcast: Broadcast) -> list[asyncio.Task[None]]:
    """The tasks that must live for messages to come: `broadcaster`'s, and the backend's where it has one."""
    tasks = [broadcast._listener_task, getattr(broadcast._backend, "_listener", None)]  # noqa: SLF001 # not told otherwise
    return [task for task in tasks if isinstance(task, asyncio.Task)]
