"""The bus: carries the engine's progress to every process that serves.

Owns one subscription for this process, over `broadcaster`: in memory, over Redis, or over the database (`log_backend`). A message
is a hint: the hub notices a lost one by its number and repairs from the log. So a bus that is away holds up nobody for long: what
cannot be published within two seconds is dropped, and the subscription is made again, twice a second, until there is one. The
engine is asked to speak then, so that what was lost is noticed at once.

`broadcaster`'s own listener dies silently; it is watched. A connection may die silently, too, as where a machine on the way is
gone: a bus on which nothing comes for a while must at least bring what is sent over it from here.
Held by `tests/api/test_bus.py` and, over a real Redis, `tests/api/test_redis.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import structlog
from broadcaster import Broadcast
from broadcaster._base import Subscriber

from api.log_backend import LogBackend
from api.settings import variable
from domain.errors import StartupError
from domain.membership.messages import Progress, read_progress
from domain.store.client import DatabaseError
from domain.store.mailbox import Mailbox
from domain.store.stream import HistoryLost

log = structlog.get_logger(__name__)

OVER_DATABASE = "log:"

RETRY_SECONDS = 0.5
CONNECT_SECONDS = 5.0
PUBLISH_SECONDS = 2.0
CLOSE_SECONDS = 1.0
QUIET_SECONDS = 3.0
"""After which a bus must show that it lives. An engine says something every second."""

PROBE = ""
"""What is sent over a quiet bus; nobody takes it for a message."""

_FAILURES = (OSError, DatabaseError, HistoryLost)


class _BusEnded(OSError):
    """Nothing comes any more, though nothing has failed."""


class Bus:
    """One process's end of the bus. `returned` is called when it is there again after it was away."""

    def __init__(
        self,
        open_: Callable[[], Broadcast],
        channel: str,
        receive: Callable[[Progress], None],
        returned: Callable[[], Awaitable[None]],
    ) -> None:
        self._open = open_
        self._channel = channel
        self._receive = receive
        self._returned = returned
        self._broadcast: Broadcast | None = None
        self._connected = asyncio.Event()
        self._not_published: asyncio.Future[Exception] | None = None
        self._heard_at = 0.0
        self._away_since: float | None = None

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    async def wait_connected(self) -> None:
        await self._connected.wait()

    async def publish(self, progress: Progress) -> None:
        """Tell every process, this one too. Dropped while there is no bus, and where it does not take it."""
        broadcast = self._broadcast
        if broadcast is None:
            return
        try:
            await self._send(broadcast, progress.to_text())
        except _FAILURES as error:
            if self._broadcast is broadcast and self._not_published is not None:
                self._broadcast = None
                self._not_published.set_result(error)

    async def _send(self, broadcast: Broadcast, text: str) -> None:
        async with asyncio.timeout(PUBLISH_SECONDS):
            await broadcast.publish(self._channel, text)

    async def work(self) -> None:
        """Hand on what comes, until cancelled; connect again whenever the bus fails."""
        while True:
            try:
                await self._listen()
            except _FAILURES as error:
                if self._away_since is None:
                    self._away_since = time.monotonic()
                    log.warning("bus.failed", error=repr(error), retry_in_seconds=RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        """Connect, and hand on what comes until something fails. Raises what did."""
        broadcast, subscription = self._open(), AsyncExitStack()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await broadcast.connect()
                subscriber = await self._subscribe(broadcast, subscription)
            await self._attend(broadcast, subscriber)
        finally:
            self._connected.clear()
            self._broadcast = None
            await _close(broadcast, subscription)

    async def _subscribe(self, broadcast: Broadcast, subscription: AsyncExitStack) -> Subscriber:
        try:
            return await subscription.enter_async_context(broadcast.subscribe(self._channel))
        except KeyError as error:
            # Where it cannot subscribe, `broadcaster` trips over clearing away after itself.
            raise _BusEnded(f"it cannot be subscribed to: {error.__context__!r}") from error

    async def _attend(self, broadcast: Broadcast, subscriber: Subscriber) -> None:
        """Hand on what comes, and watch whether it still may."""
        failed = self._not_published = asyncio.get_running_loop().create_future()
        self._broadcast = broadcast
        self._heard_at = time.monotonic()
        self._connected.set()
        works = [
            asyncio.ensure_future(self._receive_all(subscriber)),
            asyncio.ensure_future(self._keep_sure(broadcast)),
        ]
        listeners = _listeners(broadcast)
        try:
            await asyncio.wait({failed, *works, *listeners}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                raise failed.result()
            for task in works:
                if task.done():
                    task.result()
            how = [task.exception() for task in listeners if task.done() and not task.cancelled()]
            raise _BusEnded(f"its listener has ended: {how}")
        finally:
            for task in works:
                task.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    async def _receive_all(self, subscriber: Subscriber) -> None:
        while True:
            text = (await subscriber.get()).message
            self._heard_at = time.monotonic()
            if text != PROBE:
                try:
                    progress = read_progress(text)
                except ValueError as error:
                    # Of another version, while one replaces the other: what it told is in the log.
                    log.warning("bus.unreadable", error=str(error))
                else:
                    self._receive(progress)
            # Where much has been waiting, others have their turn in between.
            await asyncio.sleep(0)

    async def _keep_sure(self, broadcast: Broadcast) -> None:
        """Find out what was lost while it was away, and then, again and again, that it is not away unnoticed."""
        if self._away_since is not None:
            log.info("bus.returned", after_seconds=round(time.monotonic() - self._away_since, 1))
            self._away_since = None
            with suppress(DatabaseError):
                # Where the database is away as well, the engine speaks by itself when that returns.
                await self._returned()
        while True:
            await asyncio.sleep(QUIET_SECONDS)
            if time.monotonic() - self._heard_at >= QUIET_SECONDS:
                sent_at = time.monotonic()
                await self._send(broadcast, PROBE)
                await asyncio.sleep(PUBLISH_SECONDS)
                if self._heard_at < sent_at:
                    raise _BusEnded("not even what was sent from here has come")


async def _close(broadcast: Broadcast, subscription: AsyncExitStack) -> None:
    """Leave nothing running and nothing open, however far it had come; it may be that nobody answers."""
    listeners = _listeners(broadcast)
    for listener in listeners:
        listener.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)
    with suppress(*_FAILURES):
        async with asyncio.timeout(CLOSE_SECONDS):
            await subscription.aclose()
    with suppress(*_FAILURES):
        async with asyncio.timeout(CLOSE_SECONDS):
            await broadcast._backend.disconnect()  # noqa: SLF001 # its own `disconnect` raises what the listener raised


def _listeners(broadcast: Broadcast) -> list[asyncio.Task[None]]:
    """The tasks that must live for messages to come: `broadcaster`'s, and the backend's where it has one."""
    tasks = [getattr(broadcast, "_listener_task", None), getattr(broadcast._backend, "_listener", None)]  # noqa: SLF001 # not told otherwise
    return [task for task in tasks if isinstance(task, asyncio.Task)]


def opening(url: str, mailbox: Mailbox) -> Callable[[], Broadcast]:
    """How to make a connection to the bus of this address. Raises `StartupError`."""
    if url == OVER_DATABASE:
        backend = LogBackend(mailbox)
        return lambda: Broadcast(backend=backend)
    if url.startswith("redis"):
        try:
            from api.redis_backend import PlainRedisBackend  # noqa: PLC0415 # its package is an extra
        except ImportError:
            raise StartupError(f'{variable("bus")}: Redis needs more: pip install "shoal[redis]".') from None
        return lambda: Broadcast(backend=PlainRedisBackend(url))
    return lambda: Broadcast(url)
