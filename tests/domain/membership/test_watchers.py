"""Ten thousand who come back at once, and one who does not read: what they cost the others, the database and the memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId, Timestamp

from domain.accounts import Accounts
from domain.membership import position as positions
from domain.membership.feed import FeedEvent, Started
from domain.membership.hub import Hub
from domain.membership.messages import Progress, read_progress
from domain.membership.position import Position
from domain.store.client import CODEC, connect
from domain.store.indexes import CHANGES, CUTS
from domain.store.log import EntryKind, LogEntry
from domain.store.past import NEAR
from domain.store.store import open_store
from tests.api.test_commands import Counter
from tests.domain.conftest import DEADLINE, Watched, World

WATCHERS = 10_000
MISSED = 250
FOR_A_PAGE = 4 + len(NEAR)
"""Reads of the log at most: what lies back, in parts where the server does not seek, what lies ahead, the cut, and resets."""


class Process:
    """Another process that serves, started later: it knows nothing but what it is told from then on."""

    def __init__(self, hub: Hub, accounts: Accounts, counter: Counter) -> None:
        self.hub = hub
        self.feed = accounts.get("default").feed
        self.hears = False
        self._counter = counter

    @property
    def reads(self) -> int:
        """How many commands read the log."""
        return sum(read.endswith((f" {CHANGES}", f" {CUTS}")) for read in self._counter.reads)

    async def resume(self, audience: ObjectId, after: Position | None, count: int) -> list[FeedEvent]:
        """The first events, so many and the one that they begin with."""
        events: list[FeedEvent] = []
        async with aclosing(self.feed.watch(audience, after)) as bursts:
            async for burst in bursts:
                events += burst
                if len(events) > count:
                    return events
        return events


@asynccontextmanager
async def process(world: World, uri: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Process]:
    """Told what the engine tells from the moment on at which it `hears`."""
    counter, hub, publish = Counter(), Hub(), world.publish

    async def publish_to_both(progress: Progress) -> None:
        if begun.hears:
            hub.receive(read_progress(progress.to_text()))
        await publish(progress)

    monkeypatch.setattr(world, "publish", publish_to_both)
    async with connect(uri, listeners=[counter]) as client:
        accounts = Accounts(
            await open_store(client.get_database(world.database.name, codec_options=CODEC)), hub
        )
        begun = Process(hub, accounts, counter)
        yield begun
        await accounts.close()


async def joined(world: World, audience: ObjectId, count: int, score: int = 1) -> list[LogEntry]:
    """So many contacts join at once; what the log holds of the audience then."""
    await world.database["contacts"].insert_many(
        [{"account": "default", "normal": {"score": score}} for _ in range(count)]
    )
    return await log_of(world, audience)


async def log_of(world: World, audience: ObjectId) -> list[LogEntry]:
    await world.size(audience)
    await world.hub.until_logged()
    return await world.store.log.of("default").read(audience, after="", upto="~", limit=100_000)


async def test_ten_thousand_who_resume_one_audience_cost_a_process_that_was_just_started_a_few_reads(
    world: World, mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(world, mongodb_uri, monkeypatch) as fresh, world.engine():
        segment = await world.segment("Ones", "score is 1")
        entries = await joined(world, segment, MISSED)
        # Each went away behind another entry: near each other, and ten at the same.
        cursors = [Position(entries[-1 - number % MISSED].position) for number in range(WATCHERS)]
        fresh.hears = True
        async with asyncio.timeout(DEADLINE * 6):
            told = await asyncio.gather(
                *(fresh.resume(segment, cursor, number % MISSED) for number, cursor in enumerate(cursors))
            )
        assert fresh.reads <= FOR_A_PAGE + 4
        for number, (events, cursor) in enumerate(zip(told, cursors, strict=True)):
            assert events[0] == Started(cursor, MISSED - number % MISSED)
            assert events[1:] == entries[len(entries) - number % MISSED :]
        assert fresh.hub.watchers == 0


async def histories(world: World, audiences: int, joins: int) -> list[list[LogEntry]]:
    """Logs of an hour ago. The engine must run: one that begins counts what is there, and ends whatever is not."""
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    logs = [history(ObjectId(), joins, since) for _ in range(audiences)]
    await world.store.log.write([entry for log in logs for entry in log])
    return logs


def history(audience: ObjectId, joins: int, since: datetime) -> list[LogEntry]:
    """An opening and so many joins, one in each second."""
    return [
        LogEntry(
            account="default",
            audience=audience,
            position=positions.of_change(Timestamp(since + timedelta(seconds=number), 1), ObjectId()),
            kind=EntryKind.JOINED if number else EntryKind.OPENED,
            at=since,
            size=number,
        )
        for number in range(joins + 1)
    ]


async def test_ten_thousand_who_resume_a_hundred_audiences_cost_a_few_reads_for_each(
    world: World, mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, each = 100, 20
    async with process(world, mongodb_uri, monkeypatch) as fresh, world.engine():
        logs = await histories(world, count, each)
        asked = [(logs[number % count], number // count % each) for number in range(WATCHERS)]
        fresh.hears = True
        async with asyncio.timeout(DEADLINE * 6):
            told = await asyncio.gather(
                *(
                    fresh.resume(log[0].audience, Position(log[-1 - missed].position), missed)
                    for log, missed in asked
                )
            )
        assert fresh.reads <= FOR_A_PAGE * count
    for (log, missed), events in zip(asked, told, strict=True):
        assert events[1:] == log[len(log) - missed :]


async def test_ten_thousand_who_come_back_to_a_process_that_heard_it_all_cost_no_read(
    world: World, mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(world, mongodb_uri, monkeypatch) as there, world.engine():
        there.hears = True
        segment = await world.segment("Ones", "score is 1")
        opened, *entries = await joined(world, segment, 20)
        assert opened.kind is EntryKind.OPENED
        before = there.reads
        async with asyncio.timeout(DEADLINE * 6):
            told = await asyncio.gather(
                *(
                    there.resume(segment, Position(entries[-1 - n % 20].position), n % 20)
                    for n in range(WATCHERS)
                )
            )
        assert there.reads == before
    for number, events in enumerate(told):
        assert events[1:] == entries[len(entries) - number % 20 :]


async def test_ten_thousand_who_come_without_a_cursor_cost_a_process_that_was_just_started_a_few_reads(
    world: World, mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(world, mongodb_uri, monkeypatch) as fresh, world.engine():
        logs = await histories(world, 100, 3)
        fresh.hears = True

        async def size(audience: ObjectId) -> int:
            async with aclosing(fresh.feed.watch_size(audience, 60)) as sizes:
                return (await anext(sizes)).size

        async with asyncio.timeout(DEADLINE * 6):
            told, sizes = await asyncio.gather(
                asyncio.gather(
                    *(fresh.resume(logs[n % 100][0].audience, None, 0) for n in range(WATCHERS // 2))
                ),
                asyncio.gather(*(size(logs[n % 100][0].audience) for n in range(WATCHERS // 2))),
            )
        assert fresh.reads <= 3
    assert {event.size for (event,) in told if isinstance(event, Started)} == {3} == set(sizes)
    assert len(told) + len(sizes) == WATCHERS


async def test_a_watcher_that_does_not_read_costs_nothing_and_holds_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.membership.hub.MAX_RECENT", 50)
    async with world.engine():
        segment = await world.segment("Ones", "score is 1")
        async with aclosing(world.account.feed.watch(segment, None)) as stalled:
            (started,) = await anext(stalled)
            assert isinstance(started, Started)
            quick = Watched(world, segment)
            await quick.until(1)
            entries = (await joined(world, segment, MISSED))[1:]
            assert (await quick.until(1 + MISSED))[1:] == entries
            # What memory holds for all of them is everything that is held.
            assert sum(map(len, world.hub._recent.values())) <= 50
            late: list[FeedEvent] = []
            async with asyncio.timeout(DEADLINE):
                while len(late) < MISSED:
                    late += await anext(stalled)
                await world.contact(score=1)
                late += await anext(stalled)
            assert late[:MISSED] == entries
            assert isinstance(late[-1], LogEntry)
            assert late[-1].size == MISSED + 1
        await quick.stop()
