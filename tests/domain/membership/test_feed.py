import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId, Timestamp

from domain.errors import FeedWasReset, NotFound
from domain.membership import hub as hubs
from domain.membership import position as positions
from domain.membership.feed import Reset, Started
from domain.membership.hub import Hub
from domain.membership.position import Position
from domain.store.log import EntryKind, LogEntry
from tests.api.client import until
from tests.domain.conftest import DEADLINE, Watched, World, rule

CUSTOMERS = 'role is "customer"'


async def moved(world: World, segment: ObjectId, count: int) -> list[LogEntry]:
    """So many contacts joined; the log's entries of that."""
    for _ in range(count):
        await world.contact(role="customer")
    await world.size(segment)
    await world.hub.until_logged()
    entries = await world.store.log.of("default").read(segment, after="", upto="~", limit=10_000)
    return [entry for entry in entries if entry.kind is EntryKind.JOINED]


def forget(world: World) -> None:
    """Begin with an empty memory, as a process does that starts now."""
    fresh = Hub()
    for name, value in vars(fresh).items():
        if name not in ("_attached", "_moved_on"):
            setattr(world.hub, name, value)


async def test_a_feed_begins_with_the_size_from_which_its_changes_count(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        await moved(world, segment, 2)
        watching = asyncio.create_task(world.events(segment, 2))
        async with asyncio.timeout(DEADLINE):
            await world.hub.until(lambda: world.hub.watchers == 1)
        await world.contact(role="customer")
        started, joined = await watching
    assert isinstance(started, Started)
    assert started.size == 2
    assert isinstance(joined, LogEntry)
    assert joined.size == 3
    assert joined.position > started.position


@pytest.mark.parametrize("source", ["memory", "log"])
async def test_a_feed_resumes_at_any_cursor_without_gap_or_double(world: World, source: str) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        entries = await moved(world, segment, 12)
        for count, entry in enumerate(entries[:-1], start=1):
            if source == "log":
                forget(world)
            started, *rest = await world.events(segment, 1 + 12 - count, after=Position(entry.position))
            assert started == Started(Position(entry.position), count)
            assert rest == entries[count:]


async def test_a_slow_watcher_is_served_from_the_log_and_catches_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "MAX_RECENT", 5)
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        async with asyncio.timeout(DEADLINE), aclosing(world.account.feed.watch(segment, None)) as bursts:
            (started,) = await anext(bursts)
            assert isinstance(started, Started)
            first = asyncio.ensure_future(anext(bursts))
            await world.contact(role="customer")
            seen = list(await first)
            entries = await moved(world, segment, 30)
            while len(seen) < 31:
                seen += await anext(bursts)
            await world.contact(role="customer")
            (last,) = await anext(bursts)
        assert seen == entries
        assert isinstance(last, LogEntry)
        assert last.size == 32


async def test_a_feed_ends_with_its_audience(world: World, watched: Callable[[ObjectId], Watched]) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        watcher = watched(segment)
        await watcher.until(1)
        await world.contact(role="customer")
        await world.account.segments.delete(segment)
        started, _, ended = await watcher.until(3)
        assert isinstance(ended, LogEntry)
        assert ended.kind is EntryKind.ENDED
        assert isinstance(started, Started)
        again = await world.events(segment, 3, after=started.position)
        assert again[1:] == watcher.events[1:]
        with pytest.raises(NotFound):
            await world.events(segment, 1)
        with pytest.raises(NotFound):
            await world.events(segment, 1, after=Position(ended.position))
    await watcher.stop()


@pytest.mark.parametrize(
    "position", [positions.end_of(Timestamp(1, 1)), positions.end_of(Timestamp(2**32 - 1, 1))]
)
async def test_a_cursor_that_the_log_cannot_tell_of_gets_a_reset(world: World, position: Position) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        await moved(world, segment, 1)
        (reset,) = await world.events(segment, 1, after=position)
        assert isinstance(reset, Reset)
        assert reset.size == 1


async def test_an_audience_of_another_account_is_not_found(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        (entry,) = await moved(world, segment, 1)
        stranger = world.accounts.get("other").feed
        for after in (None, Position(entry.position)):
            with pytest.raises(NotFound):
                async with asyncio.timeout(DEADLINE), aclosing(stranger.watch(segment, after)) as events:
                    await anext(events)
        assert await stranger.sizes([segment]) == {}
        assert await stranger.history(segment, before=None, since=None, limit=10) == []
        assert await stranger.count_history(segment) == 0
        with pytest.raises(FeedWasReset):
            await stranger.history_since(segment, after=Position(entry.position), limit=10)


async def test_a_size_read_while_the_hub_begins_anew_is_not_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        (entry,) = await moved(world, segment, 1)
        older = replace(entry, size=77)
        log = world.account.feed._log
        newest_of = log.newest_of

        async def interrupted(audiences: Sequence[ObjectId]) -> dict[ObjectId, LogEntry]:
            monkeypatch.setattr(log, "newest_of", newest_of)
            world.hub.receive(replace(world.told[-1], number=world.told[-1].number + 5, entries=()))
            world.hub.receive(replace(world.told[-1], run="another", number=1, entries=()))
            return dict.fromkeys(audiences, older)

        forget(world)
        world.hub.receive(replace(world.told[-1], number=world.told[-1].number))
        monkeypatch.setattr(log, "newest_of", interrupted)
        assert await world.size(segment) == 1


async def test_history_reads_newest_first_and_from_a_cursor_on_oldest_first(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        entries = await moved(world, segment, 5)
        feed = world.account.feed
        newest = await feed.history(segment, before=None, since=None, limit=2)
        older = await feed.history(segment, before=Position(newest[-1].position), since=None, limit=10)
        assert [*newest, *older] == entries[::-1]
        assert await feed.history(segment, before=None, since=entries[3].at, limit=10) == [
            entry for entry in reversed(entries) if entry.at >= entries[3].at
        ]
        second = Position(entries[1].position)
        assert await feed.history_since(segment, after=second, limit=2) == entries[2:4]
        assert (await feed.count_history(segment), await feed.count_history(segment, after=second)) == (5, 3)
        for beyond in (positions.end_of(Timestamp(1, 1)), positions.end_of(Timestamp(2**32 - 1, 1))):
            with pytest.raises(FeedWasReset):
                await feed.history_since(segment, after=beyond, limit=10)


async def test_sizes_are_coalesced_and_the_last_one_is_true(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        sizes: list[int] = []
        done = asyncio.Event()

        async def watch() -> None:
            async with aclosing(world.account.feed.watch_size(segment, 0.2)) as found:
                async for size in found:
                    sizes.append(size.size)
                    if size.size == 40:
                        done.set()

        watching = asyncio.create_task(watch())
        async with asyncio.timeout(DEADLINE):
            await world.hub.until(lambda: world.hub.watchers == 1)
        await moved(world, segment, 40)
        await asyncio.wait_for(done.wait(), DEADLINE)
        assert sizes == sorted(set(sizes))
        assert len(sizes) < 30
        await world.account.segments.update(segment, rule=rule('role is "nobody"'))
        await world.account.segments.delete(segment)
        await asyncio.wait_for(watching, DEADLINE)
    assert world.hub.watchers == 0


def watching() -> set[asyncio.Task[Any]]:
    """The tasks that serve watchers: not the engine's, nor those that the driver starts for each read."""
    return {
        task
        for task in asyncio.all_tasks()
        if "feed" in repr(task.get_coro()) or "Rounds" in repr(task.get_coro())
    }


async def test_a_watcher_that_goes_leaves_nothing_running(
    world: World, watched: Callable[[ObjectId], Watched]
) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        watcher = watched(segment)
        await watcher.until(1)
        await world.contact(role="customer")
        await watcher.until(2)
        await watcher.stop()
        assert world.hub.watchers == 0
        await until(lambda: watching() == set())


async def test_members_that_were_there_before_a_segment_are_counted(world: World) -> None:
    documents: list[dict[str, Any]] = [
        {"_id": ObjectId(), "account": "default", "normal": {"role": "customer"}} for _ in range(1000)
    ]
    async with world.engine():
        await world.database["contacts"].insert_many(documents)
        segment = await world.segment("Customers", CUSTOMERS)
        assert await world.size(segment) == 1000
