"""Retention: the log is kept for so long, and what is older is removed, here and there a little.

Owns what may go. Of each audience the newest entry that is old enough stays, for the sizes behind it rest on it; what stands before
it goes. So the newest entry of all stays, and an opening behind which nothing has grown old. An audience that has ended goes
wholly, its end last of all. Age is that of the stream, as far as the engine's checkpoint: a clock that is wrong removes
nothing, and an engine that begins again finds the size that it goes on from.

What will be gone is remembered before it goes (`domain.store.past`), so that whoever reads meanwhile is told so and misses
nothing; and all of it may be broken off anywhere, begun again, and done by several processes at once. Held by
`tests/domain/membership/test_retention.py`.

Cost: a look at each audience in every round, and the entries removed, `BATCH` at a time; after each step it rests longer than
that took, so that most of what the database can do is left to others.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

import structlog
from bson import ObjectId

from domain.membership.position import Position, before_second, second_of
from domain.store.client import DatabaseError
from domain.store.log import EntryKind, LogEntry
from domain.store.past import Cut, Past
from domain.store.store import Store

log = structlog.get_logger(__name__)

EVERY_SECONDS = 3600.0
FIRST_WITHIN_SECONDS = 600.0
"""At a time drawn at random, so that processes which were started together do not all look at once."""
BATCH = 100
REST = 3.0
"""How many times as long as a step took."""

T = TypeVar("T")


class Retention:
    """For all accounts. Made once for a process."""

    def __init__(self, store: Store, keep: timedelta) -> None:
        self._store = store
        self._keep = keep
        self._gone: set[ObjectId] = set()

    async def work(self) -> None:
        """A round in every hour, without end."""
        await asyncio.sleep(random.uniform(0, FIRST_WITHIN_SECONDS))  # noqa: S311 # no secret
        while True:
            try:
                await self.round()
            except DatabaseError as error:
                log.warning("retention.interrupted", error=repr(error))
            await asyncio.sleep(EVERY_SECONDS)

    async def round(self) -> None:
        """Remove what has grown too old by now."""
        checkpoint = await self._store.checkpoints.load()
        if checkpoint is None:
            return
        now = second_of(Position(checkpoint.position))
        bound = before_second(now - int(self._keep.total_seconds()))
        for account in checkpoint.revisions:
            past, definitions = self._store.past(account), self._store.definitions(account)
            deleted = {definition.id for definition in await definitions.deleted()}
            for audience in await definitions.audiences():
                if audience not in self._gone:
                    await self._cut(past, audience, bound)
                    if audience in deleted and await self._is_gone(past, audience):
                        self._gone.add(audience)

    async def _cut(self, past: Past, audience: ObjectId, bound: Position) -> None:
        """Remove of an audience what stands before the newest entry below `bound`, and that one, too, where it is the end."""
        match await _at_leisure(past.back(audience, before=bound, limit=2)):
            case [LogEntry(kind=EntryKind.ENDED) as end, *_]:
                await past.remember(audience, _cut_at(end))
                await self._remove(past, audience, before=end.position)
                # The end stays until nothing else is left, for it is what a round that was broken off begins with.
                await past.forget(audience)
                await past.remove(audience, first=end.position, last=end.position)
            case [kept, older]:
                await past.remember(audience, _cut_at(older))
                await self._remove(past, audience, before=kept.position)
            case _:
                pass

    async def _remove(self, past: Past, audience: ObjectId, before: str) -> None:
        while page := await _at_leisure(past.back(audience, before=before, limit=BATCH)):
            before = page[-1].position
            await _at_leisure(past.remove(audience, first=before, last=page[0].position))

    async def _is_gone(self, past: Past, audience: ObjectId) -> bool:
        """Whether nothing of a deleted audience is left, nor ever will be."""
        if await _at_leisure(past.back(audience, before="~", limit=1)):
            return False
        # Left behind by a process that broke off while another one finished.
        await past.forget(audience)
        return True


def _cut_at(entry: LogEntry) -> Cut:
    return Cut(position=entry.position, at=entry.at, size=entry.size)


async def _at_leisure(step: Awaitable[T]) -> T:
    """What the step gives, after a rest."""
    began = time.monotonic()
    result = await step
    await asyncio.sleep(REST * (time.monotonic() - began))
    return result
