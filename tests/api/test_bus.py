"""The bus: what is published arrives, and a listener that dies is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from broadcaster import Broadcast

from api.bus import Bus
from domain.membership.messages import Progress
from domain.membership.position import Position
from tests.api.client import until


def progress(number: int) -> Progress:
    return Progress(term=1, run="run", number=number, position=Position("0" * 16 + "f"), logged=0)


@asynccontextmanager
async def working(received: list[int]) -> AsyncIterator[Bus]:
    bus = Bus("memory://", "channel", lambda told: received.append(told.number))
    work = asyncio.create_task(bus.work())
    await bus.wait_connected()
    try:
        yield bus
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert not bus.connected


async def test_what_is_published_arrives_in_its_order() -> None:
    received: list[int] = []
    async with working(received) as bus:
        for number in range(1, 101):
            await bus.publish(progress(number))
        await until(lambda: len(received) == 100)
    assert received == list(range(1, 101))


async def test_a_listener_that_dies_is_noticed_and_replaced() -> None:
    received: list[int] = []
    async with working(received) as bus:
        await bus.publish(progress(1))
        await until(lambda: received == [1])
        broken = bus._broadcast
        assert isinstance(broken, Broadcast)
        broken._listener_task.cancel()
        await until(lambda: bus._broadcast is not broken and bus.connected)
        await bus.publish(progress(2))
        await until(lambda: received == [1, 2])


async def test_what_is_published_while_there_is_no_bus_is_dropped_and_holds_up_nobody() -> None:
    received: list[int] = []
    bus = Bus("memory://", "channel", lambda told: received.append(told.number))
    await bus.publish(progress(1))
    assert received == []


async def test_a_bus_that_cannot_be_reached_is_tried_again_and_again() -> None:
    bus = Bus("redis://127.0.0.1:1", "channel", lambda _: None)
    work = asyncio.create_task(bus.work())
    try:
        with structlog.testing.capture_logs() as logs:
            await until(lambda: len([entry for entry in logs if entry["event"] == "bus.failed"]) >= 2)
        assert not bus.connected
        assert not work.done()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
