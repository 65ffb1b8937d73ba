"""Telling: what the engine says over the bus, in numbered messages of one run.

Owns the numbers, and what each message may claim: a position only once everything up to it has been found and said, and
which messages the log holds by now. Held by `tests/domain/membership/test_telling.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from bson import ObjectId

from domain.membership import position as positions
from domain.membership.messages import Progress
from domain.membership.position import Position
from domain.store.log import LogEntry

Publish = Callable[[Progress], Awaitable[None]]


class Teller:
    """Made once for a run. `number` is that of the last message."""

    def __init__(self, publish: Publish, *, term: int) -> None:
        self._publish = publish
        self._term = term
        self._run = str(ObjectId())
        self.number = 0
        self._number_with_entries = 0
        self._logged = 0
        self._said_logged = 0
        self._position = positions.BEGINNING
        self._since = positions.BEGINNING
        self._held: Mapping[ObjectId, Position] = {}
        self._at = 0.0
        self._telling = asyncio.Lock()
        self._wrote_more = asyncio.Condition()
        self._afresh = False

    def begin_afresh(self) -> None:
        """What earlier runs have told binds this one no more: the database may have come to another past."""
        self._afresh = True

    def settle(self, position: Position, held: Mapping[ObjectId, Position]) -> None:
        """Everything up to `position` is among what is told from here on, but for the audiences that are held."""
        self._position = position
        self._since = self._since or position
        self._held = held

    def hold(self, held: Mapping[ObjectId, Position]) -> None:
        """These audiences are held, too: what is told before the next `settle` is a part, and may lie behind theirs."""
        self._held = {**held, **self._held}

    def silent_for(self) -> float:
        """Seconds since the last message."""
        return time.monotonic() - self._at

    async def wrote(self, number: int) -> None:
        """The log holds the messages up to this number. Said at once when that is all of them."""
        self._logged = number
        if self._said_logged < self._number_with_entries <= number:
            await self.tell()
        async with self._wrote_more:
            self._wrote_more.notify_all()

    async def until_logged(self) -> None:
        """Return once the log holds what was told before this call."""
        number = self._number_with_entries
        async with self._wrote_more:
            await self._wrote_more.wait_for(lambda: self._logged >= number)

    async def tell(self, entries: tuple[LogEntry, ...] = (), fences: Mapping[str, int] | None = None) -> None:
        """Publish, in the order of numbers. What is told need not be written yet: working it through again tells the same."""
        async with self._telling:
            self.number += 1
            if entries:
                self._number_with_entries = self.number
            self._said_logged = self.number if self._logged >= self._number_with_entries else self._logged
            self._at = time.monotonic()
            since = self._since
            self._since = Position(max([since, self._position, *(entry.position for entry in entries)]))
            await self._publish(
                Progress(
                    term=self._term,
                    run=self._run,
                    number=self.number,
                    since=since,
                    position=self._position,
                    logged=self._said_logged,
                    entries=entries,
                    fences=fences or {},
                    held=self._held,
                    afresh=self._afresh,
                )
            )
