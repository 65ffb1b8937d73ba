"""Many engines on one database: one runs, another takes over, and whoever returns from the dead harms nothing.

All of them tell the same hub, as over a bus between processes.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import structlog
from bson import ObjectId

from domain.membership.engine import Engine
from domain.membership.feed import Started
from domain.membership.lease import DEAD_SECONDS, Vacancy
from domain.membership.messages import Progress
from domain.store.checkpoint import Checkpoint
from domain.store.log import LogEntry
from domain.store.store import Store
from domain.store.stream import StreamBatch
from tests.domain.conftest import DEADLINE, Watched, World, rule
from tests.domain.membership.test_engine import check_against_the_query, churn, members, populated

CHANGES_OF_THE_LEASE = {"lease.taken", "lease.lost", "lease.given_up"}
"""What is logged of every engine's renewals, those of the server that other tests use too among them, is none."""


class Candidate:
    """An engine of many, with a task of its own. What it tells is kept, and goes to the hub of all."""

    def __init__(self, world: World, store: Store | None = None) -> None:
        self.told: list[Progress] = []
        self._world = world
        self.engine = Engine(store or world.store, self._publish)
        self.work = asyncio.create_task(self.engine.work())

    async def _publish(self, progress: Progress) -> None:
        self.told.append(progress)
        await self._world.publish(progress)

    @property
    def runs(self) -> bool:
        return self.engine._begun.is_set()

    async def leading(self) -> int:
        """Its term, once it follows the stream."""
        ready = asyncio.create_task(self.engine.wait_ready())
        await asyncio.wait({ready, self.work}, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            raise AssertionError(f"it does not lead: {self.work}")
        lease = await self._world.store.leases.load()
        assert lease is not None
        assert self.engine.leads
        return lease.term

    async def stop(self) -> None:
        self.engine.stop()
        await asyncio.wait_for(self.work, DEADLINE)

    async def kill(self) -> None:
        """End it as kill -9 does: in the middle of whatever it was doing, and the lease is left to die."""
        self.work.cancel()
        await asyncio.wait({self.work})


@asynccontextmanager
async def candidates(world: World, *stores: Store | None) -> AsyncIterator[list[Candidate]]:
    """So many, of which the first leads."""
    found = [Candidate(world, stores[0])]
    await found[0].leading()
    found += [Candidate(world, store) for store in stores[1:]]
    try:
        yield found
    finally:
        for each in found:
            await each.kill()


async def until(world: World, condition: Callable[[], bool]) -> None:
    """Return when it is true, as seen upon a message of whoever leads: there is one in each second."""
    async with asyncio.timeout(DEADLINE):
        await world.hub.until(condition)


def told_of(told: list[Progress], audience: ObjectId) -> list[LogEntry]:
    return [entry for progress in told for entry in progress.entries if entry.audience == audience]


async def test_of_many_engines_one_runs(world: World) -> None:
    async with candidates(world, None, None, None) as (first, *others):
        segment = await world.segment("High", "score >= 5")
        begun = time.monotonic()
        await until(world, lambda: time.monotonic() > begun + DEAD_SECONDS + 1)
        await world.contact(score=7)
        await check_against_the_query(world, segment, set())
        assert first.engine.leads
        assert not any(other.told or other.engine.leads or other.runs for other in others)
        assert {progress.term for progress in world.told} == {await first.leading()}


async def test_an_engine_that_stops_properly_hands_over_at_once(world: World) -> None:
    async with candidates(world, None, None) as (first, second):
        segment = await world.segment("High", "score >= 5")
        await world.contact(score=7)
        before = await first.leading()
        with structlog.testing.capture_logs() as logs:
            await first.stop()
            assert await second.leading() > before
        await world.contact(score=8)
        entries = await check_against_the_query(world, segment, set())
        assert len(entries) == 3
    said = [
        (entry["event"], entry.get("because")) for entry in logs if entry["event"] in CHANGES_OF_THE_LEASE
    ]
    assert said == [("lease.given_up", None), ("lease.taken", Vacancy.GIVEN_UP)]


async def test_where_the_leading_engine_is_killed_another_goes_on_without_gap_or_double(
    world: World, watched: Callable[[ObjectId], Watched]
) -> None:
    async with candidates(world, None, None, None) as three:
        contacts = await populated(world, 100)
        segment = await world.segment("High", "score >= 5")
        inside = await members(world, segment)
        watcher = watched(segment)
        await watcher.until(1)
        stop = asyncio.Event()
        writer = asyncio.create_task(churn(world, contacts, 1, stop))
        terms = [await three[0].leading()]
        with structlog.testing.capture_logs() as logs:
            for least in (4, 5):
                leader = next(each for each in three if each.engine.leads)
                told = len(world.told)
                await until(world, lambda told=told: len(world.told) > told + 5)  # type: ignore[misc]
                await world.account.segments.update(segment, rule=rule(f"score >= {least}"))
                await leader.kill()
                three.remove(leader)
                await until(world, lambda: world.told[-1].term > terms[-1])
                terms.append(world.told[-1].term)
        stop.set()
        await writer
        entries = await check_against_the_query(world, segment, inside)
        seen = await watcher.until(len(entries))
        assert isinstance(seen[0], Started)
        assert seen[1:] == entries[1:]
        await watcher.stop()
    assert terms == sorted(set(terms))
    assert [entry["because"] for entry in logs if entry["event"] == "lease.taken"] == [
        Vacancy.NOT_RENEWED
    ] * 2


class PausedStore(Store):
    """The store of a process that can be stopped from outside: nothing comes out of the stream, no renewal gets through."""

    go_on: asyncio.Event
    renewing: asyncio.Event
    saved: list[tuple[str, int]]
    """Of each checkpoint that it saved, or tried to: the position, and the term of what is stored after that."""

    @classmethod
    def like(cls, store: Store) -> "PausedStore":
        found = cls(store._database, store.traits)
        found.go_on, found.renewing = asyncio.Event(), asyncio.Event()
        found.go_on.set()
        found.renewing.set()
        found.saved = []
        renew, save = found.leases.renew, found.checkpoints.save

        async def renewed(term: int) -> bool:
            await found.renewing.wait()
            return await renew(term)

        async def saved(
            checkpoint: Checkpoint, *, term: int, seen: str | None = None, back: bool = False
        ) -> bool:
            stands = await save(checkpoint, term=term, seen=seen, back=back)
            stored = await found._database["checkpoints"].find_one({})
            assert stored is not None
            found.saved.append((checkpoint.position, stored["term"]))
            return stands

        found.leases.renew = renewed  # type: ignore[method-assign]
        found.checkpoints.save = saved  # type: ignore[method-assign]
        return found

    async def follow(self, token: Mapping[str, Any] | None) -> AsyncGenerator[StreamBatch, None]:
        async with aclosing(super().follow(token)) as batches:
            async for batch in batches:
                await self.go_on.wait()
                yield batch


async def test_an_engine_that_returns_after_another_took_over_changes_nothing_and_stops(
    world: World, watched: Callable[[ObjectId], Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PausedStore.like(world.store)
    async with candidates(world, store, None) as (paused, other):
        contacts = await populated(world, 30)
        segment = await world.segment("High", "score >= 5")
        inside = await members(world, segment)
        watcher = watched(segment)
        await watcher.until(1)
        stands_still = time.monotonic()
        monkeypatch.setattr(paused.engine._candidate._holding, "_clock", lambda: stands_still)
        store.go_on.clear()
        store.renewing.clear()
        stop = asyncio.Event()
        writer = asyncio.create_task(churn(world, contacts, 3, stop))
        await world.account.segments.update(segment, rule=rule("score >= 4"))
        term = await other.leading()
        await world.account.segments.update(segment, rule=rule("score >= 6"))
        stop.set()
        await writer
        entries = await check_against_the_query(world, segment, inside)
        before, upto, era = len(paused.told), world.hub.position, world.hub.era
        # It goes on, in the belief that no time has passed, and finds and writes the same once more.
        store.saved.clear()
        store.go_on.set()
        await until(world, lambda: len(told_of(paused.told[before:], segment)) == len(entries) - 1)
        assert told_of(paused.told[before:], segment) == entries[1:]
        await world.contact(score=7)
        entries = await check_against_the_query(world, segment, inside)
        await until(world, lambda: bool(store.saved) and store.saved[-1][0] > upto)
        assert store.saved[0][0] < upto
        assert {stored for _, stored in store.saved} == {term}
        assert world.hub.era == era
        assert (await watcher.until(len(entries)))[1:] == entries[1:]
        # Its renewal gets through.
        assert paused.engine.leads
        with structlog.testing.capture_logs() as logs:
            store.renewing.set()
            await until(world, lambda: not paused.engine.leads and not paused.runs)
        assert "another process has taken it" in [entry.get("because") for entry in logs]
        assert other.engine.leads
        await world.contact(score=8)
        assert len(await check_against_the_query(world, segment, inside)) == len(entries) + 1
        await watcher.stop()


async def test_an_engine_whose_database_was_slow_to_renew_goes_on_in_its_term(world: World) -> None:
    store = PausedStore.like(world.store)
    async with candidates(world, store) as (alone,):
        segment = await world.segment("High", "score >= 5")
        await world.contact(score=7)
        before = await alone.leading()
        store.renewing.clear()
        await until(world, lambda: not alone.engine.leads)
        await world.contact(score=8)
        store.renewing.set()
        await until(world, lambda: alone.engine.leads)
        assert await alone.leading() == before
        assert len(await check_against_the_query(world, segment, set())) == 3


async def test_an_engine_that_could_not_renew_stops_and_leads_again_where_nobody_took_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.membership.engine.LATE_SECONDS", 0.5)
    store = PausedStore.like(world.store)
    async with candidates(world, store) as (alone,):
        segment = await world.segment("High", "score >= 5")
        await world.contact(score=7)
        before = await alone.leading()
        with structlog.testing.capture_logs() as logs:
            store.renewing.clear()
            await until(world, lambda: alone.told[-1].term > before)
        store.renewing.set()
        await world.contact(score=8)
        assert len(await check_against_the_query(world, segment, set())) == 3
    said = [
        (entry["event"], entry.get("because")) for entry in logs if entry["event"] in CHANGES_OF_THE_LEASE
    ]
    assert said == [("lease.lost", "it was not renewed in time"), ("lease.taken", Vacancy.LEFT_BEHIND)]
