"""One run of the engine: from the checkpoint to the end of the stream, or to the first failure.

Owns the talking: it follows the stream, asks the catalogue who moved, places readings by fences, publishes what was found
and hands it to the writer. What a change is and whom it moves is decided elsewhere (`changes`, `readings`,
`domain.catalogue`).

Invariant: each entry follows from the stream and from the log before it, never from when the engine looked.
Held by `tests/domain/membership/test_engine.py`.

Cost: an event costs one match against the segments that look at what changed in it; an edit costs one query of the
difference; a new segment one read of its members' identifiers; an audience's first change in a run one look-up in the log.
Memory: the definitions, and one number for each audience that has moved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing

from bson import ObjectId

from domain.audiences import Audience, difference, is_member, members_query
from domain.catalogue import Catalogue, Effect, Ended, Opened, Redefined
from domain.membership import position as positions
from domain.membership.changes import moment_of, transitions
from domain.membership.position import Position
from domain.membership.readings import IdList, Occurrence, Reading
from domain.membership.telling import Publish, Teller
from domain.membership.writer import LogWriter, Output
from domain.store.checkpoint import Checkpoint
from domain.store.client import Document
from domain.store.definitions import Definition, read_definitions
from domain.store.fences import read_mark
from domain.store.indexes import CONTACTS, DEFINITIONS, FENCES
from domain.store.log import EntryKind, LogEntry
from domain.store.scope import Query
from domain.store.store import Store
from domain.store.stream import HistoryLost, Moment, StreamBatch

HEARTBEAT_SECONDS = 1.0
IDLE_CHECKPOINT_SECONDS = 10.0
READINGS_AT_ONCE = 2

_STEP = {EntryKind.JOINED: 1, EntryKind.LEFT: -1}


class Run:
    """Works until `stopping` is set. `begun` is set once it follows the stream; `came_along` says that it ever did."""

    def __init__(self, store: Store, publish: Publish, stopping: asyncio.Event, begun: asyncio.Event) -> None:
        self._store = store
        self._teller = Teller(publish)
        self._stopping = stopping
        self._begun = begun
        self.came_along = False

        self._fences = store.fences()
        self._own_fence = 0
        self._baseline_fence: int | None = None
        self._baseline_because: str | None = None

        self._catalogues: dict[str, Catalogue] = {}
        self._revisions: dict[str, int] = {}
        self._start = positions.BEGINNING
        self._position = positions.BEGINNING
        self._reached: Checkpoint | None = None
        self._idle_saved_at = time.monotonic()

        self._sizes: dict[ObjectId, int] = {}
        self._readings: dict[ObjectId, list[Reading]] = {}
        self._reading_tasks: set[asyncio.Task[None]] = set()
        self._reading_slots = asyncio.Semaphore(READINGS_AT_ONCE)
        self._entries: list[LogEntry] = []

    async def work(self, afresh: str | None) -> None:
        """Follow the stream from the checkpoint. Without one, or where `afresh` says why, from now, counting every audience.

        Raises an exception group of what went wrong.
        """
        checkpoint = None if afresh else await self._store.checkpoints.load()
        if checkpoint is not None:
            self._reached = checkpoint
            self._start = self._position = Position(checkpoint.position)
            await self._load_definitions(dict(checkpoint.revisions))
        self._writer = LogWriter(self._store.log, self._store.checkpoints, self._teller.wrote)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._writer.work())
            async with aclosing(self._store.follow(checkpoint.token if checkpoint else None)) as batches:
                async for batch in batches:
                    if not self.came_along and self._baseline_fence is None:
                        if checkpoint is None:
                            self._baseline_because = afresh
                            self._baseline_fence = await self._fences.mark()
                        else:
                            await self._begin()
                    await self._take(batch)
                    if self._stopping.is_set():
                        break
            for task in self._reading_tasks:
                # Unfinished readings are begun again from the checkpoint, which stands before them.
                task.cancel()
            await self._writer.close()
        await self._fences.remove()

    async def _begin(self) -> None:
        self.came_along = True
        self._settle()
        await self._teller.tell()
        self._begun.set()

    async def _load_definitions(self, revisions: dict[str, int] | None) -> None:
        for account, definitions in (await self._store.definitions_in_force(revisions)).items():
            catalogue = self._catalogues[account] = Catalogue(account)
            for definition in definitions:
                catalogue.apply(definition)
        self._revisions = {account: catalogue.revision for account, catalogue in self._catalogues.items()}

    # ---- taking in what the stream says ----------------------------------------------------------------------------

    async def _take(self, batch: StreamBatch) -> None:
        fences: dict[str, int] = {}
        for moment in batch.moments:
            await self._take_moment(moment, fences)
        if not self.came_along:
            return
        await self._finish_readings()
        self._reached = Checkpoint(token=batch.token, position=self._position, revisions=self._revisions)
        entries, self._entries = tuple(self._entries), []
        self._settle()
        if entries or fences or self._teller.silent_for() >= HEARTBEAT_SECONDS:
            await self._teller.tell(entries, fences)
        # A reading may end in a quiet batch: its fence can come out of the stream before its write is acknowledged.
        now = time.monotonic()
        if entries or batch.moments or now - self._idle_saved_at >= IDLE_CHECKPOINT_SECONDS:
            self._idle_saved_at = now
            await self._writer.put(
                Output(
                    number=self._teller.number,
                    entries=entries,
                    checkpoint=self._restart_from(),
                )
            )

    async def _take_moment(self, moment: Moment, fences: dict[str, int]) -> None:
        changed: list[Document] = []
        for event in moment.events:
            match event["ns"]["coll"]:
                case collection if collection == CONTACTS:
                    changed.append(event)
                case collection if collection == DEFINITIONS:
                    if event["operationType"] == "insert" and self.came_along:
                        await self._define(event)
                case collection if collection == FENCES:
                    if (mark := read_mark(event)) is not None:
                        await self._pass_fence(event, *mark, fences)
        if changed and self.came_along:
            await self._change(moment, changed)
        self._position = positions.end_of(moment.time)

    async def _pass_fence(self, event: Document, writer: str, number: int, fences: dict[str, int]) -> None:
        if writer != self._fences.writer:
            fences[writer] = number
            return
        self._own_fence = number
        if not self.came_along and number == self._baseline_fence:
            await self._count_afresh(event)

    async def _define(self, event: Document) -> None:
        for definition in read_definitions([event["fullDocument"]]):
            await self._apply(definition, event)

    async def _apply(self, definition: Definition, event: Document) -> None:
        catalogue = self._catalogues.setdefault(definition.account, Catalogue(definition.account))
        effect = catalogue.apply(definition)
        if catalogue.revision != self._revisions.get(definition.account):
            self._revisions = {**self._revisions, definition.account: catalogue.revision}
        if effect is not None:
            await self._effect(definition.account, effect, event)

    async def _effect(self, account: str, effect: Effect, event: Document) -> None:
        position = positions.of_definition(event["clusterTime"])
        match effect:
            case Opened(audience):
                self._read(account, audience, event, EntryKind.OPENED)
            case Redefined(before, after):
                self._read(account, after, event, EntryKind.REDEFINED, before)
            case Ended(audience):
                ended = Occurrence(position=position, kind=EntryKind.ENDED, at=moment_of(event))
                await self._happen(account, audience.id, ended)

    async def _change(self, moment: Moment, events: list[Document]) -> None:
        for transition in transitions(events):
            catalogue = self._catalogues.get(transition.account)
            if catalogue is None:
                continue
            for readings in self._readings.values():
                for reading in readings:
                    if reading.account == transition.account:
                        reading.touch(transition.contact, transition.before)
            for audience, joined in catalogue.moved(transition.before, transition.after):
                await self._happen(
                    transition.account,
                    audience,
                    Occurrence(
                        position=positions.of_change(moment.time, transition.contact),
                        kind=EntryKind.JOINED if joined else EntryKind.LEFT,
                        at=transition.at,
                        reason=transition.reason,
                        contact=transition.contact,
                    ),
                )

    # ---- telling what happened to an audience ----------------------------------------------------------------------

    async def _happen(self, account: str, audience: ObjectId, happened: Occurrence) -> None:
        """Tell it, or keep it back behind an unfinished reading of the audience."""
        if (readings := self._readings.get(audience)) is not None:
            readings[-1].held.append(happened)
        else:
            await self._tell_of(account, audience, happened)

    async def _tell_of(self, account: str, audience: ObjectId, happened: Occurrence) -> None:
        size = await self._size(account, audience) + _STEP.get(happened.kind, 0)
        self._sizes[audience] = size
        self._entries.append(
            LogEntry(
                account=account,
                audience=audience,
                position=happened.position,
                kind=happened.kind,
                at=happened.at,
                size=size,
                reason=happened.reason,
                contact=happened.contact,
                version=happened.version,
                because=happened.because,
            )
        )
        if happened.kind is EntryKind.ENDED:
            del self._sizes[audience]

    async def _size(self, account: str, audience: ObjectId) -> int:
        size = self._sizes.get(audience)
        if size is None:
            newest = await self._store.log.of(account).newest(audience, upto=self._start)
            if newest is None:
                raise HistoryLost(f"the log holds no opening of audience {audience}")
            size = newest.size
        return size

    # ---- readings --------------------------------------------------------------------------------------------------

    async def _count_afresh(self, event: Document) -> None:
        """Take the definitions as they are and open every audience here; those that the log knows are told of a reset."""
        await self._load_definitions(None)
        audiences = [
            (catalogue.account, audience)
            for catalogue in self._catalogues.values()
            for audience in catalogue.audiences()
        ]
        known = await self._store.log.newest_of_all()
        self._position = positions.of_definition(event["clusterTime"])
        for account, audience in audiences:
            kind = EntryKind.RESET if audience.id in known else EntryKind.OPENED
            self._read(account, audience, event, kind)
        present = {audience.id for _, audience in audiences}
        for identifier, newest in known.items():
            if identifier not in present and newest.kind is not EntryKind.ENDED:
                # Deleted in the part of the stream that is lost.
                self._sizes[identifier] = newest.size
                ended = Occurrence(position=self._position, kind=EntryKind.ENDED, at=moment_of(event))
                await self._happen(newest.account, identifier, ended)
        await self._begin()

    def _read(
        self,
        account: str,
        audience: Audience,
        event: Document,
        kind: EntryKind,
        before: Audience | None = None,
    ) -> None:
        """Begin to place the audience's members, or the difference that its edit makes, at the position of `event`."""
        reading = Reading(
            account=account,
            audience=audience.id,
            position=positions.of_definition(event["clusterTime"]),
            at=moment_of(event),
            version=audience.version,
            kind=kind,
            was=None if before is None else is_member(before),
            becomes=is_member(audience),
            restart_from=self._reached,
            because=self._baseline_because if kind is EntryKind.RESET else None,
        )
        query = members_query(audience)
        if before is None:
            parts = [(query, reading.entered)]
        else:
            earlier = members_query(before)
            parts = [
                (difference(query, earlier), reading.entered),
                (difference(earlier, query), reading.left),
            ]
        self._readings.setdefault(audience.id, []).append(reading)
        task = self._tasks.create_task(self._carry_out(reading, parts))
        self._reading_tasks.add(task)
        task.add_done_callback(self._reading_tasks.discard)

    async def _carry_out(self, reading: Reading, parts: Sequence[tuple[Query, IdList]]) -> None:
        contacts = self._store.contacts(reading.account)
        async with self._reading_slots:
            for query, found in parts:
                async for document in contacts.stream(query, projection={"_id": 1}):
                    if isinstance(document["_id"], ObjectId):
                        found.append(document["_id"])
            reading.mark = await self._fences.mark()

    async def _finish_readings(self) -> None:
        """Tell the readings whose fence has come out of the stream, each audience's in their order."""
        for audience, readings in list(self._readings.items()):
            while readings and readings[0].mark is not None and readings[0].mark <= self._own_fence:
                reading = readings.pop(0)
                if reading.was is None:
                    self._sizes[audience] = reading.size()
                for occurrence in (reading.definition(), *reading.moves(), *reading.held):
                    await self._tell_of(reading.account, audience, occurrence)
            if not readings:
                del self._readings[audience]

    # ---- handing on ------------------------------------------------------------------------------------------------

    def _restart_from(self) -> Checkpoint | None:
        """Before the oldest unfinished reading, so that a new run meets its definition again."""
        oldest = min(
            (readings[0] for readings in self._readings.values()),
            key=lambda reading: reading.position,
            default=None,
        )
        return self._reached if oldest is None else oldest.restart_from

    def _settle(self) -> None:
        """What has been found up to here is complete and may be told."""
        self._teller.settle(
            self._position,
            {
                audience: positions.just_before(readings[0].position)
                for audience, readings in self._readings.items()
            },
        )
