"""An edit that moves very many, broken off again and again: told once, in order, in memory that does not grow with it."""

from __future__ import annotations

import asyncio
import time
import tracemalloc

import pytest

from domain.membership.position import Position
from domain.store.log import EntryKind
from tests.domain.conftest import DEADLINE, World, rule


async def until_told(world: World, enough: int) -> None:
    """Return when the engine has told so many entries, none of which is kept here."""
    count = 0

    def reached() -> bool:
        nonlocal count
        count += sum(len(progress.entries) for progress in world.told)
        world.told.clear()
        return count >= enough

    # As the engine tells of it, with every second, be it nothing.
    await world.hub.until(reached)


@pytest.mark.parametrize(
    ("contacts", "kills"), [(1_000, 1), pytest.param(100_000, 3, marks=pytest.mark.soak)]
)
async def test_an_edit_that_moves_everybody_is_told_once_however_often_the_engine_is_killed(
    world: World, contacts: int, kills: int
) -> None:
    for _ in range(contacts // 1_000):
        await world.database["contacts"].insert_many(
            [{"account": "default", "normal": {"score": 1}} for _ in range(1_000)]
        )
    log = world.store.log.of("default")
    async with world.engine():
        segment = await world.segment("Everybody by and by", "score is 2")
        assert await world.size(segment) == 0
    began = time.monotonic()
    await world.account.segments.update(segment, rule=rule("score is 1"))
    tracemalloc.start()
    for kill in range(kills):
        async with world.killed_engine():
            async with asyncio.timeout(DEADLINE * 10):
                await until_told(world, contacts * (kill + 1) // 8)
    async with world.engine():
        async with asyncio.timeout(DEADLINE * 30):
            while (newest := await log.newest(segment, upto="~")) is None or newest.size < contacts:
                world.told.clear()
                await world.hub.until_logged_of(segment)
                await asyncio.sleep(0.05)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{contacts:,} contacts: {time.monotonic() - began:.1f} s, {peak / 1e6:.1f} MB at most")  # noqa: T201
    entries = await log.read(segment, after="", upto="~", limit=contacts + 10)
    assert [each.kind for each in entries[:2]] == [EntryKind.OPENED, EntryKind.REDEFINED]
    joined = entries[2:]
    assert {each.kind for each in joined} == {EntryKind.JOINED}
    assert len({each.contact for each in joined}) == len(joined) == contacts
    assert [each.size for each in joined] == list(range(1, contacts + 1))
    positions = [Position(each.position) for each in entries]
    assert positions == sorted(set(positions))
    # What is read, some hundred bytes for each contact that moves; and what does not grow with it: what is told, and what waits to
    # be written, `MAX_WAITING_BATCHES` of `MOST_TOLD_AT_ONCE` entries.
    assert peak < 80_000_000 + 400 * contacts
