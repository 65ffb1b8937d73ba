"""The bus: what is published arrives, whatever fails is noticed and mended, and nobody is held up meanwhile."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import structlog
from broadcaster import Broadcast, BroadcastBackend, Event
from pymongo.asynchronous.database import AsyncDatabase

from api import bus as buses
from api.bus import Bus, opening
from domain.membership.messages import Progress
from domain.membership.position import Position
from domain.store.client import connect, open_database
from domain.store.mailbox import Mailbox
from tests.api.client import until
from tests.api.wire import wire

Database = AsyncDatabase[dict[str, Any]]


def progress(number: int) -> Progress:
    place = Position("0" * 16 + "f")
    return Progress(term=1, run="run", number=number, since=place, position=place, logged=0)


class Heard:
    """What came over a bus, and how often it was there again."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.returns = 0

    def receive(self, told: Progress) -> None:
        self.numbers.append(told.number)

    async def returned(self) -> None:
        self.returns += 1


@asynccontextmanager
async def working(
    open_: Callable[[], Broadcast], heard: Heard, channel: str = "channel"
) -> AsyncIterator[Bus]:
    bus = Bus(open_, channel, heard.receive, heard.returned)
    work = asyncio.create_task(bus.work())
    try:
        yield bus
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert not bus.connected


def in_memory() -> Broadcast:
    return Broadcast("memory://")


@pytest.fixture(autouse=True)
async def _impatient(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(buses, "RETRY_SECONDS", 0.01)
    before = listening()
    yield
    # Nothing is left behind, however often it failed.
    assert listening() <= before


def listening() -> set[asyncio.Task[Any]]:
    """The tasks that `broadcaster` runs in this loop, those of servers that other tests use too among them."""
    return {task for task in asyncio.all_tasks() if "broadcaster" in repr(task)}


async def test_what_is_published_arrives_in_its_order() -> None:
    heard = Heard()
    async with working(in_memory, heard) as bus:
        await bus.wait_connected()
        for number in range(1, 101):
            await bus.publish(progress(number))
        await until(lambda: len(heard.numbers) == 100)
    assert heard.numbers == list(range(1, 101))
    assert heard.returns == 0


async def test_a_listener_that_dies_is_noticed_and_replaced() -> None:
    heard = Heard()
    async with working(in_memory, heard) as bus:
        await bus.wait_connected()
        await bus.publish(progress(1))
        await until(lambda: heard.numbers == [1])
        broken = bus._broadcast
        assert isinstance(broken, Broadcast)
        broken._listener_task.cancel()
        await until(lambda: bus._broadcast is not broken and bus.connected)
        await bus.publish(progress(2))
        await until(lambda: heard.numbers == [1, 2])
        assert heard.returns == 1


async def test_what_is_published_while_there_is_no_bus_is_dropped_and_holds_up_nobody() -> None:
    heard = Heard()
    bus = Bus(in_memory, "channel", heard.receive, heard.returned)
    await bus.publish(progress(1))
    assert heard.numbers == []


async def test_a_message_of_another_version_is_passed_over() -> None:
    heard = Heard()
    texts = ["{", "[]", "1", "{}", progress(1).to_text().replace('"since"', '"sense"'), progress(2).to_text()]
    async with working(in_memory, heard) as bus:
        await bus.wait_connected()
        assert bus._broadcast is not None
        with structlog.testing.capture_logs() as logs:
            for text in texts:
                await bus._broadcast.publish("channel", text)
            await until(lambda: heard.numbers == [2])
        assert [entry["event"] for entry in logs] == ["bus.unreadable"] * 5


async def test_a_defect_of_whoever_is_told_ends_the_bus() -> None:
    def receive(_: Progress) -> None:
        raise KeyError("a defect")

    bus = Bus(in_memory, "channel", receive, Heard().returned)
    work = asyncio.create_task(bus.work())
    await bus.wait_connected()
    await bus.publish(progress(1))
    with pytest.raises(KeyError, match="a defect"):
        await work


class Unreliable(BroadcastBackend):
    """Fails, hangs, or swallows what it is given, in one of its calls, for as often as it is told to."""

    failing = ""
    how = ""
    times = 0

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def _call(self, name: str) -> bool:
        """Whether to go on as if nothing had happened."""
        if name != Unreliable.failing or Unreliable.times == 0:
            return True
        Unreliable.times -= 1
        if Unreliable.how == "hangs":
            await asyncio.Event().wait()
        if Unreliable.how == "fails":
            raise ConnectionError(name)
        return False

    async def connect(self) -> None:
        await self._call("connect")

    async def disconnect(self) -> None:
        await self._call("disconnect")

    async def subscribe(self, group: str) -> None:
        del group
        await self._call("subscribe")

    async def unsubscribe(self, group: str) -> None:
        del group
        await self._call("unsubscribe")

    async def publish(self, channel: str, message: Any) -> None:
        if await self._call("publish"):
            await self._events.put(Event(channel, message))

    async def next_published(self) -> Event:
        event = await self._events.get()
        await self._call("next_published")
        return event


@pytest.mark.parametrize(
    ("failing", "how"),
    [
        ("connect", "fails"),
        ("connect", "hangs"),
        ("subscribe", "fails"),
        ("subscribe", "hangs"),
        ("publish", "fails"),
        ("publish", "hangs"),
        ("publish", "swallows"),
        ("next_published", "fails"),
        ("next_published", "hangs"),
    ],
)
async def test_whatever_a_bus_does_it_is_there_again_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, failing: str, how: str
) -> None:
    for name in ("CONNECT_SECONDS", "PUBLISH_SECONDS", "QUIET_SECONDS", "CLOSE_SECONDS"):
        monkeypatch.setattr(buses, name, 0.1)
    monkeypatch.setattr(Unreliable, "failing", failing)
    monkeypatch.setattr(Unreliable, "how", how)
    # A bus that swallows one message is none that has failed: it is the probe that must not come.
    monkeypatch.setattr(Unreliable, "times", 2)
    heard = Heard()
    async with working(lambda: Broadcast(backend=Unreliable()), heard) as bus:
        if failing not in {"connect", "subscribe"}:
            await bus.wait_connected()
            await bus.publish(progress(1))
        await until(lambda: heard.returns >= 1 and Unreliable.times == 0 and bus.connected)
        while 2 not in heard.numbers:
            # What is published while it fails is lost.
            await bus.publish(progress(2))
            await asyncio.sleep(0)


@pytest.mark.parametrize("failing", ["disconnect", "unsubscribe"])
async def test_a_bus_that_cannot_be_left_in_order_is_left_all_the_same(
    monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    monkeypatch.setattr(buses, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(Unreliable, "failing", failing)
    for how in ("fails", "hangs"):
        monkeypatch.setattr(Unreliable, "how", how)
        monkeypatch.setattr(Unreliable, "times", 1)
        async with working(lambda: Broadcast(backend=Unreliable()), Heard()) as bus:
            await bus.wait_connected()
        assert Unreliable.times == 0


async def test_a_quiet_bus_that_lives_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buses, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(buses, "PUBLISH_SECONDS", 1.0)
    heard = Heard()
    async with working(in_memory, heard) as bus:
        await bus.wait_connected()
        first, probes = bus._broadcast, 0
        assert first is not None
        publish = first.publish

        async def counted(channel: str, text: str) -> None:
            nonlocal probes
            probes += 1
            await publish(channel, text)

        monkeypatch.setattr(first, "publish", counted)
        await until(lambda: probes >= 3)
        assert bus._broadcast is first
    assert heard.numbers == []


async def test_a_bus_that_cannot_be_reached_is_tried_again_and_again(mailbox: Mailbox) -> None:
    tries = 0
    open_ = opening("redis://127.0.0.1:1", mailbox)

    def counted() -> Broadcast:
        nonlocal tries
        tries += 1
        return open_()

    with structlog.testing.capture_logs() as logs:
        async with working(counted, Heard()) as bus:
            await until(lambda: tries >= 3)
            assert not bus.connected
    # Said once, not with every try.
    assert [entry["event"] for entry in logs] == ["bus.failed"]


# ---- over the database -------------------------------------------------------------------------------------------------


@pytest.fixture
def mailbox(database: Database) -> Mailbox:
    return Mailbox(open_database(database.client, database.name))


async def test_over_the_database_every_process_has_every_message_in_its_order(mailbox: Mailbox) -> None:
    everybody = [Heard() for _ in range(3)]
    async with (
        working(opening("log:", mailbox), everybody[0]) as bus,
        working(opening("log:", mailbox), everybody[1]) as two,
        working(opening("log:", mailbox), everybody[2]) as three,
        working(opening("log:", mailbox), stranger := Heard(), "another channel") as other,
    ):
        for each in (bus, two, three, other):
            await each.wait_connected()
        for number in range(1, 101):
            await bus.publish(progress(number))
        await until(lambda: all(len(heard.numbers) == 100 for heard in everybody))
    assert all(heard.numbers == list(range(1, 101)) for heard in everybody)
    assert stranger.numbers == []


async def test_over_the_database_nothing_is_lost_while_the_connection_is_away(
    mailbox: Mailbox, database: Database, mongodb_uri: str
) -> None:
    address = urlsplit(mongodb_uri)
    assert address.hostname is not None
    assert address.port is not None
    heard = Heard()
    async with wire(address.hostname, address.port) as between:
        place = address.netloc.replace(f":{address.port}", f":{between.port}")
        through = connect(urlunsplit(address._replace(netloc=place)), timeout_seconds=1)
        async with (
            through,
            working(opening("log:", mailbox), Heard()) as speaker,
            working(opening("log:", Mailbox(open_database(through, database.name))), heard) as listener,
        ):
            await speaker.wait_connected()
            await listener.wait_connected()
            sent = 0

            async def speak(count: int) -> None:
                nonlocal sent
                for _ in range(count):
                    sent += 1
                    await speaker.publish(progress(sent))

            await speak(5)
            await until(lambda: len(heard.numbers) == sent)
            # The driver takes up the stream by itself where it can be reached at once.
            between.break_connections()
            await speak(5)
            await until(lambda: len(heard.numbers) == sent)
            # Where not, the bus does.
            await between.cut()
            await speak(20)
            await until(lambda: not listener.connected)
            await between.mend()
            await until(lambda: len(heard.numbers) == sent)
            await speak(1)
            await until(lambda: len(heard.numbers) == sent)
            assert heard.returns >= 1
    assert heard.numbers == list(range(1, sent + 1))


async def test_over_the_database_a_connection_that_dies_silently_is_replaced(
    mailbox: Mailbox, database: Database, mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("QUIET_SECONDS", "PUBLISH_SECONDS"):
        monkeypatch.setattr(buses, name, 0.3)
    address = urlsplit(mongodb_uri)
    assert address.hostname is not None
    assert address.port is not None
    heard = Heard()
    async with wire(address.hostname, address.port) as between:
        place = address.netloc.replace(f":{address.port}", f":{between.port}")
        through = connect(urlunsplit(address._replace(netloc=place)), timeout_seconds=1)
        async with (
            through,
            working(opening("log:", Mailbox(open_database(through, database.name))), heard) as listener,
        ):
            await listener.wait_connected()
            between.freeze()
            await mailbox.put("channel", progress(1).to_text())
            await until(lambda: not listener.connected)
            between.thaw()
            await until(lambda: heard.numbers == [1] and heard.returns >= 1)


async def test_over_the_database_a_place_that_is_forgotten_there_is_given_up(mailbox: Mailbox) -> None:
    heard = Heard()
    async with working(opening("log:", mailbox), heard) as bus:
        await bus.wait_connected()
        await bus.publish(progress(1))
        await until(lambda: heard.numbers == [1])
        assert bus._broadcast is not None
        with structlog.testing.capture_logs() as logs:
            bus._broadcast._backend._token = {"_data": secrets.token_hex(8)}  # type: ignore[attr-defined]
            bus._broadcast._listener_task.cancel()
            await until(lambda: heard.returns == 1)
        assert "bus.history_lost" in [entry["event"] for entry in logs]
        await bus.publish(progress(2))
        await until(lambda: heard.numbers == [1, 2])
