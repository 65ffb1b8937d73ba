"""Whatever the bus loses, doubles or mixes up, whoever watches has every entry once, and what it cannot have yet comes late."""

from __future__ import annotations

import asyncio
import random

import pytest
from bson import ObjectId
from pymongo import UpdateOne

from domain.membership.feed import Started
from domain.membership.messages import Progress, read_progress
from domain.membership.position import Position
from domain.store.log import EntryKind, LogEntry
from tests.domain.conftest import Watched, World, rule

SEED = 1


class BadBus:
    """Loses a part of what it is given, and tells other parts again: one message, or many as from an old place."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._generator = random.Random(seed)
        self._carried: list[str] = []
        self.lost = self.doubled = 0

    async def publish(self, progress: Progress) -> None:
        chance = self._generator.random()
        self._carried.append(progress.to_text())
        if chance < 0.2:
            self.lost += 1
            return
        if chance < 0.4:
            self.doubled += 1
            for text in self._carried[-self._generator.randrange(2, 20) : -1]:
                self._world.hub.receive(read_progress(text))
        self._world.hub.receive(progress)


async def churn(world: World, contacts: list[ObjectId], seed: int, stop: asyncio.Event) -> None:
    """Change scores, from one contact to forty at a time, until told to stop."""
    generator = random.Random(seed)
    while not stop.is_set():
        await world.database["contacts"].bulk_write(
            [
                UpdateOne({"_id": contact}, {"$set": {"normal.score": generator.randrange(10)}})
                for contact in generator.sample(contacts, generator.choice((1, 1, 1, 5, 40)))
            ],
            ordered=False,
        )
        await asyncio.sleep(0)


async def log_of(world: World, audience: ObjectId) -> list[LogEntry]:
    await world.size(audience)
    await world.hub.until_logged()
    return await world.store.log.of("default").read(audience, after="", upto="~", limit=100_000)


async def test_over_a_bus_that_loses_and_doubles_every_watcher_has_every_entry_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.membership.hub.MAX_RECENT", 30)
    monkeypatch.setattr("domain.membership.run.MOST_TOLD_AT_ONCE", 10)
    monkeypatch.setattr("domain.membership.pages.AHEAD", 20)
    monkeypatch.setattr("domain.membership.pages.AROUND", 5)
    bus = BadBus(world, SEED)
    monkeypatch.setattr(world, "publish", bus.publish)
    generator = random.Random(SEED)
    contacts = [ObjectId() for _ in range(100)]
    await world.database["contacts"].insert_many(
        [
            {"_id": contact, "account": "default", "normal": {"score": generator.randrange(10)}}
            for contact in contacts
        ]
    )
    stop = asyncio.Event()
    async with world.engine():
        edited = await world.segment("High", "score >= 5")
        plain = await world.segment("Low", "score < 3")
        watchers = [Watched(world, segment) for segment in (edited, plain) for _ in range(2)]
        for watcher in watchers:
            await watcher.until(1)
    writer = asyncio.create_task(churn(world, contacts, SEED, stop))
    for edit in range(4):
        async with world.killed_engine():
            await world.account.segments.update(edited, rule=rule(f"score >= {4 + edit % 2}"))
            for segment in (edited, plain):
                await world.size(segment)
                # Somebody comes back with a cursor from the middle of what was told.
                had = generator.choice(watchers[0 if segment == edited else 2].events)
                watchers.append(Watched(world, segment, Position(had.position)))
    async with world.engine():
        stop.set()
        await writer
        logs = {segment: await log_of(world, segment) for segment in (edited, plain)}
        for watcher in watchers:
            started = (await watcher.until(1))[0]
            assert isinstance(started, Started)
            wanted = [entry for entry in logs[watcher.audience] if entry.position > started.position]
            before = [entry for entry in logs[watcher.audience] if entry.position <= started.position]
            assert started.size == before[-1].size
            assert (await watcher.until(1 + len(wanted)))[1:] == wanted
            await watcher.stop()
    assert bus.lost > 5
    assert bus.doubled > 5
    assert sum(entry.kind is EntryKind.REDEFINED for entry in logs[edited]) == 4
