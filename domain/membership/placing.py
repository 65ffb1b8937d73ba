"""Placing: what must ask the database before it can be told, each audience's in the order of the stream.

Owns the queues, the tasks that ask, and the fences behind them. An audience with something in its queue is held: what
happens to it is kept back, because cursors must rise; the others do not wait. Held by
`tests/domain/membership/test_engine.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from bson import ObjectId, Timestamp

from domain.membership import position as positions
from domain.membership.changes import Transition
from domain.membership.position import Position
from domain.membership.readings import Occurrence, Placement
from domain.rounds import Rounds
from domain.store.checkpoint import Checkpoint
from domain.store.fences import Fences
from domain.store.log import EntryKind
from domain.store.store import Store

ASKING_AT_ONCE = 4


class Placements:
    """One run's."""

    def __init__(self, store: Store, fences: Fences) -> None:
        self._store = store
        self._fences = fences
        self._queues: dict[ObjectId, list[Placement]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(ASKING_AT_ONCE)
        self._written = 0
        self._marking = Rounds(self._write_mark)
        self._seen = 0
        self._seen_more = asyncio.Condition()

    def put(self, tasks: asyncio.TaskGroup, placement: Placement) -> None:
        """Begin to ask; to be called while the stream stands at the placement's position."""
        queue = self._queues.setdefault(placement.audience, [])
        if queue:
            queue[-1].end(positions.second_of(placement.position))
        else:
            placement.first.set()
        queue.append(placement)
        task = tasks.create_task(self._ask(placement))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def last(self, audience: ObjectId) -> Placement | None:
        """What was put last of this audience and is not done."""
        queue = self._queues.get(audience)
        return queue[-1] if queue else None

    def hold(self, audience: ObjectId, happened: Occurrence) -> bool:
        """Keep back what happened, where something before it is not done."""
        last = self.last(audience)
        if last is None:
            return False
        if happened.kind is EntryKind.ENDED:
            last.end(positions.second_of(happened.position))
        last.hold(happened)
        return True

    def touch(self, transition: Transition, time: Timestamp) -> None:
        """Let everything that is under way in the account note a change of a contact."""
        for queue in self._queues.values():
            for placement in queue:
                if placement.account == transition.account:
                    placement.touch(transition, time)

    def finish(self, second: int) -> Iterator[tuple[Placement, Iterable[Occurrence]]]:
        """What is done by now, each audience's in order, with what is to be told of it."""
        for audience, queue in list(self._queues.items()):
            while queue and queue[0].mark is not None and queue[0].mark <= self._seen:
                placement = queue.pop(0)
                yield placement, placement.occurrences(second)
            if queue:
                queue[0].first.set()
            else:
                del self._queues[audience]

    def settles(self, audience: ObjectId, happened: Occurrence) -> bool:
        """Whether something that is under way finds out what this came to."""
        return any(placement.settles(happened) for placement in self._queues.get(audience, ()))

    def held(self) -> Mapping[ObjectId, Position]:
        """Up to where everything of each audience that is held has been told."""
        return {
            audience: positions.just_before(queue[0].position)
            for audience, queue in self._queues.items()
            if queue
        }

    def restart_from(self, reached: Checkpoint | None) -> Checkpoint | None:
        """Before the oldest thing that is not done, so that a new run meets its definition again."""
        oldest = min(
            (queue[0] for queue in self._queues.values()),
            key=lambda placement: placement.position,
            default=None,
        )
        return reached if oldest is None else oldest.restart_from

    def cancel(self) -> None:
        """What is not done is begun again from the checkpoint, which stands before it."""
        for task in self._tasks:
            task.cancel()

    # ---- fences ----------------------------------------------------------------------------------------------------

    async def mark(self) -> int:
        """Write a fence, together with whoever else wants one; its number."""
        await self._marking.join()
        return self._written

    async def saw(self, number: int) -> None:
        """A fence of this run has come out of the stream."""
        self._seen = number
        async with self._seen_more:
            self._seen_more.notify_all()

    async def _write_mark(self) -> None:
        self._written = await self._fences.mark()

    async def _pass_fence(self) -> None:
        number = await self.mark()
        async with self._seen_more:
            await self._seen_more.wait_for(lambda: self._seen >= number)

    async def _ask(self, placement: Placement) -> None:
        async with self._slots:
            await placement.ask(self._store.contacts(placement.account), self._pass_fence)
        placement.mark = await self.mark()
