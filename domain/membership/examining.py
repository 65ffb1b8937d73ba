"""Examining: who is in each audience by its query, at a place in the stream, while everything goes on.

A second reader of the stream beside the engine, that tells nothing and holds nothing up: members are read between fences, as for
an opening, and contacts that are touched meanwhile are put right by their pre-images (`readings`). So a tally belongs to one
position, and the log of the engine, which is another matter, can be held against it there once the engine has come past it.

Owns the reading. Memory: the members of `READ_AT_ONCE` audiences, 12 bytes each. Held by
`tests/domain/doctor/test_audiences.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from domain.effects import Broke, Ended, Opened, Redefined
from domain.membership import position as positions
from domain.membership.changes import transitions
from domain.membership.defining import Place, opening
from domain.membership.in_force import InForce
from domain.membership.placing import Placements
from domain.membership.position import Position, instant, second_of
from domain.membership.readings import Reading
from domain.membership.tally import Tally
from domain.membership.turns import Key
from domain.store.client import Document
from domain.store.definitions import read_definitions
from domain.store.fences import read_mark
from domain.store.indexes import CONTACTS, DEFINITIONS, FENCES
from domain.store.log import EntryKind
from domain.store.requests import ComeHere
from domain.store.store import Store
from domain.store.stream import Moment

READ_AT_ONCE = 8
LOOK_EVERY_SECONDS = 0.05
ASK_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in an audience by its query, at a position."""

    position: Position
    tally: Tally


@dataclass(slots=True)
class Read:
    """What a reading came to. `disturbed`: audiences that were edited, or whose contacts could not be told, meanwhile."""

    members: dict[Key, Members] = field(default_factory=dict)
    disturbed: set[Key] = field(default_factory=set)


class Reader:
    """Reads once."""

    def __init__(self, store: Store, told: Callable[[int, int], None]) -> None:
        self._store = store
        self._told = told
        self._fences = store.fences()
        self._placements = Placements(store, self._fences)
        self._in_force = InForce()
        self._position = positions.BEGINNING
        self._seen = 0
        self._loaded = 0
        self._waiting: list[Key] = []
        self._reading: dict[Key, Position] = {}
        self._read = Read()

    async def read(self, wanted: Collection[Key] | None) -> tuple[Read, InForce]:
        """The members of these audiences, all there are for None; and the definitions as they are at the end.

        Raises an exception group; `HistoryLost` is in it where the stream was ended.
        """
        async with asyncio.TaskGroup() as tasks, aclosing(self._store.follow(None)) as batches:
            first = 0
            total: int | None = None
            async for batch in batches:
                first = first or await self._placements.mark()
                for moment in batch.moments:
                    await self._take(moment)
                if self._seen >= first and not self._loaded:
                    await self._in_force.load(self._store, None)
                    self._loaded = await self._placements.mark()
                elif self._loaded and self._seen >= self._loaded and total is None:
                    # From here on the definitions are those of this place in the stream.
                    self._waiting = [key for key in self._audiences() if wanted is None or key in wanted]
                    total = len(self._waiting)
                self._finish()
                while self._waiting and len(self._reading) < READ_AT_ONCE:
                    self._put(tasks, self._waiting.pop())
                if total is not None:
                    self._told(total - len(self._waiting) - len(self._reading), total)
                    if not self._reading:
                        break
            self._placements.cancel()
        await self._fences.remove()
        return self._read, self._in_force

    def _audiences(self) -> list[Key]:
        return [
            Key(account, audience.id)
            for account, catalogue in self._in_force.catalogues.items()
            for audience in catalogue.audiences()
        ]

    async def _take(self, moment: Moment) -> None:
        contacts: list[Document] = []
        for event in moment.events:
            match event["ns"]["coll"]:
                case collection if collection == CONTACTS:
                    contacts.append(event)
                case collection if collection == DEFINITIONS:
                    if self._loaded and event["operationType"] == "insert":
                        self._define(event["fullDocument"])
                case collection if collection == FENCES:
                    if (mark := read_mark(event)) is not None and mark[0] == self._fences.writer:
                        self._seen = mark[1]
                        await self._placements.saw(mark[1])
        changes, unclear = transitions(contacts)
        for transition in changes:
            self._placements.touch(transition, moment.time)
        if unclear:
            self._disturb(self._reading)
        self._position = positions.end_of(moment.time)

    def _define(self, document: Document) -> None:
        for definition in read_definitions([document]):
            for effect in self._in_force.apply(definition):
                match effect:
                    case Opened(audience) | Ended(audience):
                        self._disturb([Key(definition.account, audience.id)])
                    case Redefined(segment=segment) | Broke(segment=segment):
                        self._disturb([Key(definition.account, segment.id)])

    def _disturb(self, keys: Collection[Key] | Mapping[Key, Position]) -> None:
        self._read.disturbed.update(keys)
        self._waiting = [key for key in self._waiting if key not in keys]

    def _put(self, tasks: asyncio.TaskGroup, key: Key) -> None:
        found = self._in_force.find(key)
        if found is None:
            return
        place = Place(
            account=key.account,
            position=self._position,
            at=instant(second_of(self._position)),
            restart_from=None,
        )
        self._reading[key] = self._position
        self._placements.put(tasks, opening(place, *found, EntryKind.OPENED, None))

    def _finish(self) -> None:
        for placement, _ in self._placements.finish(second_of(self._position)):
            key = Key(placement.account, placement.audience)
            position = self._reading.pop(key)
            if isinstance(placement, Reading) and key not in self._read.disturbed:
                self._read.members[key] = Members(position, placement.tally())


async def present(store: Store) -> Position:
    """A place in the stream behind everything that was committed before this call."""
    fences = store.fences()
    number: int | None = None
    try:
        async with aclosing(store.follow(None)) as batches:
            async for batch in batches:
                if number is None:
                    number = await fences.mark()
                for moment in batch.moments:
                    for event in moment.events:
                        if event["ns"]["coll"] == FENCES and read_mark(event) == (fences.writer, number):
                            return positions.end_of(moment.time)
    finally:
        await fences.remove()
    raise AssertionError("a stream does not end by itself")


async def until_worked(store: Store, upto: Position, *, patience: float) -> bool:
    """Wait until the engine has worked up to there, and written what it found; whether it has, in so many seconds."""
    try:
        async with asyncio.timeout(patience):
            while True:
                await store.requests.put(ComeHere())
                for _ in range(int(ASK_EVERY_SECONDS / LOOK_EVERY_SECONDS)):
                    checkpoint = await store.checkpoints.load()
                    # One of a time to which the database has not come says nothing; the engine has yet to find that out.
                    if checkpoint is not None and upto <= checkpoint.position <= await present(store):
                        return True
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
    except TimeoutError:
        return False


async def is_at_work(store: Store, *, patience: float) -> bool:
    """Whether an engine answers, in so many seconds: it saves its checkpoint behind whatever is asked of it."""
    known = await store.checkpoints.load()
    try:
        async with asyncio.timeout(patience):
            await store.requests.put(ComeHere())
            while await store.checkpoints.load() == known:  # noqa: ASYNC110 # another process, and it tells nobody
                await asyncio.sleep(LOOK_EVERY_SECONDS)
    except TimeoutError:
        return False
    return True
