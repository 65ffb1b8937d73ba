"""A cancelled operation of the database's ends its task, in whichever moment the cancellation comes."""

from __future__ import annotations

import asyncio

import pytest

from domain.store.client import Database

MOMENTS = 100
"""More turns of the loop than it takes until a request is on its way."""


async def test_whoever_is_cancelled_stops(database: Database) -> None:
    """An operation that has ended before the cancellation is no loss; one that goes on in spite of it is."""
    things = database["things"]

    async def write() -> None:
        await things.update_one({"_id": 1}, {"$inc": {"times": 1}}, upsert=True)

    await write()
    cancelled = 0
    for moment in range(MOMENTS):
        task = asyncio.create_task(write())
        for _ in range(moment):
            await asyncio.sleep(0)
        if not task.cancel():
            break
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled += 1
    assert cancelled
