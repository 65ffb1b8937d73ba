"""The bus over a real Redis, which is killed, stopped and restarted. Where there is no `redis-server`, these are skipped."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from broadcaster import Broadcast
from pymongo.asynchronous.database import AsyncDatabase
from redis import asyncio as client
from redis.exceptions import RedisError

from api import bus as buses
from api.bus import opening
from api.server import serving
from api.settings import Settings
from domain.store.client import Document, open_database
from domain.store.mailbox import Mailbox
from tests.api.client import Client, until
from tests.api.conftest import CALLERS, key_of
from tests.api.test_bus import Heard, progress, working

PROGRAM = os.environ.get("SHOAL_TEST_REDIS") or shutil.which("redis-server")

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no redis-server on this machine")


class Redis:
    """A server of the test's own, on one port from its first start to its last."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Return when it answers."""
        assert PROGRAM is not None
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._directory)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(20), client.Redis.from_url(self.url) as probe:
            while True:
                with suppress(RedisError):
                    await probe.ping()
                    return

    async def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    server = Redis(tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
def mailbox(database: AsyncDatabase[Document]) -> Mailbox:
    return Mailbox(open_database(database.client, database.name))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buses, "RETRY_SECONDS", 0.05)


async def test_every_process_has_every_message_in_its_order(redis: Redis, mailbox: Mailbox) -> None:
    one, two = Heard(), Heard()
    async with (
        working(opening(redis.url, mailbox), one) as bus,
        working(opening(redis.url, mailbox), two) as other,
    ):
        await bus.wait_connected()
        await other.wait_connected()
        await _through(redis, 2)
        for number in range(1, 101):
            await bus.publish(progress(number))
        await until(lambda: len(one.numbers) == len(two.numbers) == 100)
    assert one.numbers == two.numbers == list(range(1, 101))
    assert (one.returns, two.returns) == (0, 0)


async def _through(redis: Redis, subscribers: int) -> None:
    """Return when so many have been subscribed: it is sent for, and not waited for."""
    async with asyncio.timeout(20), client.Redis.from_url(redis.url) as probe:
        while (await probe.pubsub_numsub("channel"))[0][1] < subscribers:  # noqa: ASYNC110 # another process
            await asyncio.sleep(0.005)


async def test_a_redis_that_is_killed_and_started_again_is_there_again(
    redis: Redis, mailbox: Mailbox
) -> None:
    heard = Heard()
    async with working(opening(redis.url, mailbox), heard) as bus:
        await bus.wait_connected()
        for start in range(3):
            await _through(redis, 1)
            await bus.publish(progress(start))
            await until(lambda start=start: heard.numbers == list(range(start + 1)))  # type: ignore[misc]
            await redis.kill()
            await until(lambda: not bus.connected)
            await bus.publish(progress(99))
            await redis.start()
            await until(lambda start=start: heard.returns == start + 1)  # type: ignore[misc]
    assert heard.numbers == [0, 1, 2]


async def test_a_subscription_that_redis_ends_is_noticed_and_made_again(
    redis: Redis, mailbox: Mailbox
) -> None:
    heard = Heard()
    async with working(opening(redis.url, mailbox), heard) as bus, client.Redis.from_url(redis.url) as admin:
        await bus.wait_connected()
        await _through(redis, 1)
        await admin.client_kill_filter(_type="pubsub")
        await until(lambda: heard.returns == 1)
        await _through(redis, 1)
        await bus.publish(progress(1))
        await until(lambda: heard.numbers == [1])


async def test_a_redis_that_does_not_answer_holds_up_nobody_for_long(
    redis: Redis, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONNECT_SECONDS", "PUBLISH_SECONDS", "CLOSE_SECONDS"):
        monkeypatch.setattr(buses, name, 0.2)
    heard = Heard()
    async with working(opening(redis.url, mailbox), heard) as bus:
        await bus.wait_connected()
        redis.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(5):
            for number in range(100):
                await bus.publish(progress(number))
        await until(lambda: not bus.connected)
        redis.send_signal(signal.SIGCONT)
        await until(lambda: heard.returns == 1)
        await _through(redis, 1)
        heard.numbers.clear()
        await bus.publish(progress(100))
        await until(lambda: 100 in heard.numbers)


async def test_a_connection_is_not_made_again_behind_the_back_of_the_bus(
    redis: Redis, mailbox: Mailbox
) -> None:
    broadcast: Broadcast = opening(redis.url, mailbox)()
    await broadcast.connect()
    await redis.kill()
    with pytest.raises(ConnectionError):
        async with asyncio.timeout(5):
            await broadcast.publish("channel", "text")
    for task in (broadcast._listener_task, broadcast._backend._listener):  # type: ignore[attr-defined]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await broadcast._backend.disconnect()


async def test_watchers_notice_nothing_but_a_delay_while_redis_is_away(
    redis: Redis, settings: Settings
) -> None:
    settings = replace(settings, bus=redis.url)
    key = key_of("default")
    async with (
        serving(settings, CALLERS) as one,
        serving(settings, CALLERS) as two,
        Client(one.url, key) as writer,
        Client(two.url, key) as reader,
    ):
        segment = await writer.segment("No email", "email is empty")
        assert await reader.size(segment) == 0
        async with writer.watching(segment) as near, reader.watching(segment) as far:
            for watcher in (near, far):
                assert (await watcher.event())["kind"] == "FeedStarted"
            told: list[str] = []
            for round_ in range(3):
                await writer.contact(f"before {round_}")
                told += [(await watcher.event())["cursor"] for watcher in (near, far)]
                await redis.kill()
                for number in range(5):
                    await writer.contact(f"{round_}-{number}")
                await redis.start()
                for _ in range(5):
                    told += [(await watcher.event())["cursor"] for watcher in (near, far)]
            assert told[::2] == told[1::2] == sorted(set(told))
            assert len(told) == 2 * 3 * 6
            assert await reader.size(segment) == await writer.size(segment) == 18
