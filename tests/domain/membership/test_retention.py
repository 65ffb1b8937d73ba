"""The log is cut by its age: what goes, what stays, and what is told to whoever comes back."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
import structlog
from bson import ObjectId
from pymongo.errors import AutoReconnect

from domain.errors import FeedWasReset, NotFound
from domain.membership import pages
from domain.membership import retention as retentions
from domain.membership.feed import Reset, Started
from domain.membership.position import Position, just_before
from domain.membership.retention import Retention
from domain.store.log import EntryKind, LogEntry
from domain.store.past import Cut, Past
from tests.domain.conftest import DEADLINE, World, rule
from tests.domain.membership.aging import age, entries_of

CUSTOMERS = 'role is "customer"'
KEEP = timedelta(days=90)


@pytest.fixture(autouse=True)
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rests are for whoever else uses the database: nobody does here."""
    monkeypatch.setattr(retentions, "REST", 0.0)
    monkeypatch.setattr(retentions, "BATCH", 3)


async def join(world: World, count: int) -> None:
    for _ in range(count):
        await world.contact(role="customer")


async def grown(world: World, *, old: int, young: int, days: int = 100) -> ObjectId:
    """A segment that was opened so many days ago with one member; so many joined then, and so many now."""
    await world.contact(role="customer")
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        await world.size(segment)
        await join(world, old)
        await world.size(segment)
    await age(world, segment, days)
    async with world.engine():
        await join(world, young)
        await world.size(segment)
    return segment


async def ended(world: World) -> ObjectId:
    """A segment that was deleted a hundred days ago, while others live."""
    async with world.engine():
        segment = await world.segment("Customers once", CUSTOMERS)
        await world.size(segment)
        await join(world, 4)
        await world.size(segment)
        await world.account.segments.delete(segment)
        await world.account.feed._freshness.reach_now()
    await age(world, segment, 100)
    return segment


async def retain(world: World, keep: timedelta = KEEP) -> None:
    await Retention(world.store, keep).round()


async def cut_of(world: World, audience: ObjectId) -> Cut | None:
    return await world.store.past("default").cut(audience)


def cut_at(entry: LogEntry) -> Cut:
    return Cut(position=entry.position, at=entry.at, size=entry.size)


async def test_what_is_too_old_goes_but_for_the_newest_of_it(world: World) -> None:
    segment = await grown(world, old=10, young=4)
    before = await entries_of(world, segment)
    for _ in range(2):
        await retain(world)
        assert await entries_of(world, segment) == before[10:]
        assert await cut_of(world, segment) == cut_at(before[9])
    async with world.engine():
        assert await world.size(segment) == 15
        await join(world, 1)
        assert await world.size(segment) == 16
    assert [entry.size for entry in await entries_of(world, segment)] == [11, 12, 13, 14, 15, 16]


async def test_the_newest_entry_stays_however_old_it_is(world: World) -> None:
    segment = await grown(world, old=5, young=0, days=10_000)
    before = await entries_of(world, segment)
    await retain(world)
    assert await entries_of(world, segment) == before[-1:]
    async with world.engine():
        assert await world.size(segment) == 6
        await join(world, 1)
        assert await world.size(segment) == 7


async def test_an_opening_stays_until_something_behind_it_has_grown_old(world: World) -> None:
    segment = await grown(world, old=0, young=3)
    before = await entries_of(world, segment)
    await retain(world)
    assert await entries_of(world, segment) == before
    assert before[0].kind is EntryKind.OPENED
    async with world.engine():
        assert await world.account.feed.complete_since(segment) is None


async def test_nothing_goes_that_is_young_or_lies_beyond_what_the_engine_has_come_to(world: World) -> None:
    segment = await grown(world, old=5, young=2)
    before = await entries_of(world, segment)
    await retain(world, timedelta(days=101))
    # The engine has come no further than to a time at which all of this was young.
    await world.database["checkpoints"].update_one({}, {"$set": {"position": before[3].position}})
    await retain(world)
    await world.database["checkpoints"].delete_many({})
    await retain(world)
    assert await entries_of(world, segment) == before
    assert await cut_of(world, segment) is None


async def test_an_audience_without_entries_is_passed_over(world: World) -> None:
    segment = await grown(world, old=5, young=0)
    without = await world.segment("Not seen by any engine", CUSTOMERS)
    await world.account.segments.delete(await world.segment("Neither was this", CUSTOMERS))
    await retain(world)
    assert await entries_of(world, without) == []
    assert len(await entries_of(world, segment)) == 1


async def test_an_engine_that_begins_at_an_older_checkpoint_finds_the_size_it_goes_on_from(
    world: World,
) -> None:
    segment = await grown(world, old=6, young=0)
    checkpoint = await world.database["checkpoints"].find_one({})
    assert checkpoint is not None
    async with world.engine():
        await join(world, 2)
        await world.size(segment)
    await world.database["checkpoints"].replace_one({}, checkpoint)
    await retain(world)
    async with world.engine():
        assert await world.size(segment) == 9
    assert [entry.size for entry in await entries_of(world, segment)] == [7, 8, 9]


# ---- coming back ---------------------------------------------------------------------------------------------------


def places(entries: Sequence[LogEntry]) -> list[Position]:
    """At each entry, and between each two; but not before the first."""
    at = [Position(entry.position) for entry in entries]
    return [place for position in at for place in (just_before(position), position)][1:]


async def check_cursors(world: World, audience: ObjectId, before: Sequence[LogEntry], cut: Cut) -> None:
    """What is told at every place: of those behind the cut all that it would be without one, of the others a reset."""
    last = before[-1]
    for place in places(before):
        behind = [entry for entry in before if entry.position > place]
        if place < cut.position:
            (reset,) = await world.events(audience, 1, after=place)
            assert isinstance(reset, Reset)
            assert (reset.size, reset.position >= last.position) == (last.size, True)
            with pytest.raises(FeedWasReset):
                await world.account.feed.history_since(audience, after=place, limit=100)
        else:
            size = [entry.size for entry in before if entry.position <= place][-1]
            events = await world.events(audience, 1 + len(behind), after=place)
            assert events == [Started(place, size), *behind]
            assert await world.account.feed.history_since(audience, after=place, limit=100) == behind
            assert await world.account.feed.count_history(audience, after=place) == len(behind)


async def test_only_cursors_from_before_what_was_removed_are_told_to_begin_afresh(world: World) -> None:
    segment = await grown(world, old=7, young=3)
    before = await entries_of(world, segment)
    await retain(world)
    async with world.engine():
        await check_cursors(world, segment, before, cut_at(before[6]))
        feed = world.account.feed
        assert await feed.history(segment, before=None, since=None, limit=100) == before[:6:-1]
        assert await feed.count_history(segment) == 4
        assert await feed.complete_since(segment) == before[6].at


async def test_a_watcher_whom_retention_overtakes_is_told_so_in_the_middle(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "AHEAD", 2)
    segment = await grown(world, old=8, young=0)
    before = await entries_of(world, segment)
    async with world.engine():
        after = Position(before[0].position)
        async with asyncio.timeout(DEADLINE), aclosing(world.account.feed.watch(segment, after)) as bursts:
            assert await anext(bursts) == [Started(after, 1)]
            assert await anext(bursts) == before[1:3]
            await retain(world)
            (reset,) = await anext(bursts)
            assert isinstance(reset, Reset)
            assert reset.size == 9
            await join(world, 1)
            (joined,) = await anext(bursts)
            assert isinstance(joined, LogEntry)
            assert joined.size == 10


# ---- breaking off --------------------------------------------------------------------------------------------------


class BrokenOff(BaseException):
    """As of a process that is killed: nothing catches it."""


async def break_off(world: World, monkeypatch: pytest.MonkeyPatch, count: int) -> bool:
    """Whether a round was broken off after so many writes; else it had no more."""
    left = count

    def counted(write: Callable[..., Any]) -> Callable[..., Any]:
        async def written(*arguments: Any, **named: Any) -> None:
            nonlocal left
            if left == 0:
                raise BrokenOff
            left -= 1
            await write(*arguments, **named)

        return written

    with monkeypatch.context() as patched:
        for name in ("remember", "remove", "forget"):
            patched.setattr(Past, name, counted(getattr(Past, name)))
        try:
            await retain(world)
        except BrokenOff:
            return True
        return False


@pytest.mark.parametrize("writes", range(5))
async def test_a_round_that_is_broken_off_anywhere_tells_no_lies_and_is_finished_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    segment = await grown(world, old=7, young=2)
    before = await entries_of(world, segment)
    # It is remembered first, then removed in three batches.
    assert await break_off(world, monkeypatch, writes) is (writes < 4)
    assert await cut_of(world, segment) == (cut_at(before[6]) if writes else None)
    assert len(await entries_of(world, segment)) == [10, 10, 7, 4, 3][writes]
    async with world.engine():
        if writes:
            await check_cursors(world, segment, before, cut_at(before[6]))
        history = await world.account.feed.history(segment, before=None, since=None, limit=100)
        assert history == (before[:6:-1] if writes else before[:0:-1])
        assert await world.account.feed.count_history(segment) == len(history)
    await retain(world)
    assert await entries_of(world, segment) == before[7:]
    assert await cut_of(world, segment) == cut_at(before[6])


@pytest.mark.parametrize("writes", range(7))
async def test_an_audience_that_has_ended_goes_wholly_wherever_a_round_is_broken_off(
    world: World, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    segment = await ended(world)
    before = await entries_of(world, segment)
    kinds = [entry.kind for entry in before]
    assert kinds == [EntryKind.OPENED, *[EntryKind.JOINED] * 4, EntryKind.ENDED]
    # Remembered, removed in two batches, forgotten; then its end is removed, and it is forgotten for good.
    assert await break_off(world, monkeypatch, writes) is (writes < 6)
    assert len(await entries_of(world, segment)) == [6, 6, 3, 1, 1, 0, 0][writes]
    assert await cut_of(world, segment) == (cut_at(before[-1]) if 0 < writes < 4 else None)
    async with world.engine():
        for place in places(before):
            behind = [entry for entry in before if entry.position > place]
            if not writes and behind:
                assert (await world.events(segment, 1 + len(behind), after=place))[1:] == behind
            else:
                with pytest.raises(NotFound):
                    await world.events(segment, 1, after=place)
    await retain(world)
    assert await entries_of(world, segment) == []
    assert await cut_of(world, segment) is None


async def test_what_a_process_left_behind_of_an_ended_audience_goes_too(world: World) -> None:
    segment = await ended(world)
    (*_, end) = await entries_of(world, segment)
    await retain(world)
    await world.store.past("default").remember(segment, cut_at(end))
    await retain(world)
    assert await cut_of(world, segment) is None


async def test_an_audience_that_ended_lately_stays(world: World) -> None:
    segment = await grown(world, old=4, young=1)
    async with world.engine():
        await world.account.segments.delete(segment)
        await world.account.feed._freshness.reach_now()
    opened, *_, joined, end = await entries_of(world, segment)
    assert end.kind is EntryKind.ENDED
    await retain(world)
    assert (await entries_of(world, segment))[-2:] == [joined, end]
    async with world.engine():
        after = Position(joined.position)
        assert await world.events(segment, 2, after=after) == [Started(after, joined.size), end]
        with pytest.raises(NotFound):
            await world.events(segment, 1, after=Position(opened.position))


async def test_several_at_once_do_no_more_than_the_one_that_keeps_least(world: World) -> None:
    segment = await grown(world, old=9, young=1, days=200)
    before = await entries_of(world, segment)
    gone = await ended(world)
    lately = (await entries_of(world, segment))[len(before) :]
    await asyncio.gather(*(retain(world, timedelta(days=days)) for days in (300, 90, 90, 190)))
    assert await entries_of(world, segment) == [*before[9:], *lately]
    assert await cut_of(world, segment) == cut_at(before[8])
    assert await entries_of(world, gone) == []


async def test_what_is_removed_while_others_join_and_leave_changes_no_size(world: World) -> None:
    segment = await grown(world, old=12, young=0)
    async with world.engine():
        await asyncio.gather(join(world, 10), retain(world))
        assert await world.size(segment) == 23
        await world.account.segments.update(segment, rule=rule('role is "nobody"'))
        assert await world.size(segment) == 0
    sizes = [entry.size for entry in await entries_of(world, segment)]
    assert sizes == [*range(13, 24), 23, *range(22, -1, -1)]


# ---- rounds --------------------------------------------------------------------------------------------------------


async def test_a_database_that_goes_away_is_waited_for_until_the_next_round(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retentions, "FIRST_WITHIN_SECONDS", 0.0)
    monkeypatch.setattr(retentions, "EVERY_SECONDS", 0.0)
    segment = await grown(world, old=3, young=0)
    done = asyncio.Event()
    failing = [AutoReconnect("gone"), AutoReconnect("gone again")]
    round_ = Retention.round

    async def unlucky(self: Retention) -> None:
        if failing:
            raise failing.pop()
        await round_(self)
        done.set()

    monkeypatch.setattr(Retention, "round", unlucky)
    with structlog.testing.capture_logs() as logged:
        working = asyncio.create_task(Retention(world.store, KEEP).work())
        await asyncio.wait_for(done.wait(), DEADLINE)
        working.cancel()
        await asyncio.wait({working})
    said = [each["event"] for each in logged]
    assert [each for each in said if each.startswith("retention")] == ["retention.interrupted"] * 2
    assert len(await entries_of(world, segment)) == 1
