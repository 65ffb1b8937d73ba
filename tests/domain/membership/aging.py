"""Audiences that grew old within a test: what happened is the engine's, and only when it happened is moved back."""

from dataclasses import replace
from datetime import timedelta

from bson import ObjectId

from domain.membership.position import Position
from domain.store.log import LogEntry
from tests.domain.conftest import World

DAY = 24 * 3600


def earlier(position: str, days: int) -> Position:
    return Position(f"{int(position[:8], 16) - days * DAY:08x}{position[8:]}")


async def entries_of(world: World, audience: ObjectId, account: str = "default") -> list[LogEntry]:
    """Everything the log holds, oldest first."""
    return await world.store.log.of(account).read(audience, after="", upto="~", limit=100_000)


async def age(world: World, audience: ObjectId, days: int) -> list[LogEntry]:
    """Move everything that has happened to the audience so many days back. No engine may run, for what it told stays told."""
    before = await entries_of(world, audience)
    after = [
        replace(entry, position=earlier(entry.position, days), at=entry.at - timedelta(days=days))
        for entry in before
    ]
    await world.database["changes"].delete_many({"audience": audience})
    await world.store.log.write(after)
    return after
