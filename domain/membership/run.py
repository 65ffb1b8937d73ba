"""One run of the engine: from the checkpoint to the end of the stream, or to the first failure.

Owns the talking: it follows the stream, asks the catalogue who moved, has the rest placed, publishes what was found
and hands it to the writer. What a change is and whom it moves is decided elsewhere (`changes`, `placing`,
`domain.catalogue`).

Where the stream cannot be followed from the checkpoint, a run begins at a request of its own: each audience's log is held
against its query there (`reconciling`). The place is kept as the checkpoint before anything is told of it, so that a run which
ends in the middle is carried on like any other.

Time is in the stream: an event is judged by the rules as they are in the second of its cluster time, and a fence in every
second carries a quiet stream on. Invariant: each entry follows from the stream and from the log before it, never from when
the engine looked. Held by `tests/domain/membership/test_engine.py` and `tests/domain/membership/test_time.py`.

Cost: an event costs one match against the audiences that look at what changed in it; an edit costs one query of the
difference; a new segment one read of its members' identifiers; a turn of a moving rule one query for each of its bounds; an
audience's first change in a run one look-up in the log. Memory: the definitions, one number for each audience that has
moved, and what an edit under way has read, some 60 bytes for each contact that it moves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from bson import ObjectId, Timestamp

from domain.membership import position as positions
from domain.membership.agenda import Agenda, Places
from domain.membership.changes import Unclear, moment_of, transitions
from domain.membership.defining import Place
from domain.membership.lease import LeaseLost
from domain.membership.ledger import Ledger, tally_of
from domain.membership.passing import Passing
from domain.membership.placing import Placements
from domain.membership.position import Position, instant
from domain.membership.quarantine import MOST_CONTACTS, Quarantine
from domain.membership.readings import Occurrence, Reading
from domain.membership.reconciling import Reconciling
from domain.membership.telling import Publish, Teller
from domain.membership.turns import Key
from domain.membership.writer import LogWriter, Output, Written
from domain.store.checkpoint import Checkpoint
from domain.store.client import Document
from domain.store.fences import read_mark
from domain.store.indexes import CONTACTS, DEFINITIONS, FENCES, REQUESTS
from domain.store.log import EntryKind, LogEntry
from domain.store.requests import (
    BeginAfresh,
    Believed,
    ComeHere,
    CountAfresh,
    Reconcile,
    Request,
    read_request,
)
from domain.store.store import Store
from domain.store.stream import HistoryLost, Moment, StreamBatch

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 1.0
IDLE_CHECKPOINT_SECONDS = 10.0
MOST_TOLD_AT_ONCE = 1_000
PUT_BACK = "the database was put back to an earlier state"


class Run:
    """Works until `stopping` is set. `begun` is set once it follows the stream; `came_along` says that it ever did."""

    def __init__(
        self,
        store: Store,
        publish: Publish,
        stopping: asyncio.Event,
        begun: asyncio.Event,
        written: Written,
        *,
        term: int,
    ) -> None:
        self._store = store
        self._term = term
        self._teller = Teller(publish, term=term)
        self._written = written
        self._writer = LogWriter(store.log, store.checkpoints, self._teller.wrote, written, term=term)
        self._stopping = stopping
        self._begun = begun
        self.came_along = False

        self._fences = store.fences()
        self._placements = Placements(store, self._fences)
        self._asked_to_begin: ObjectId | None = None
        self._written_before: Mapping[ObjectId, LogEntry] = {}

        self._quarantine = Quarantine()
        self._ledger = Ledger(store.log)
        self._agenda = Agenda(store, self._placements, self._teller.until_logged, self._happen)
        self._in_force = self._agenda.in_force
        self._position = positions.BEGINNING
        self._second = 0
        self._reached: Checkpoint | None = None
        self._idle_saved_at = float("-inf")

    async def work(self, lost: str | None) -> None:
        """Follow the stream from the checkpoint. Without one, or where `lost` says why, from now, reconciling every audience.

        Raises an exception group of what went wrong; of `PutBack` where the next run is to be told `PUT_BACK`.
        """
        known = await self._store.checkpoints.load()
        if lost is None and known is not None and await self._written.is_gone_from(known, self._store.log):
            lost = PUT_BACK
        checkpoint = None if lost else known
        if checkpoint is None:
            # What the stream told of may have been dropped, with its indexes and its pre-images.
            await self._store.prepare()
        else:
            self._reached = checkpoint
            self._writer.seen = Position(checkpoint.position)
            self._ledger.start = self._position = Position(checkpoint.position)
            self._second = positions.second_of(self._position)
            await self._in_force.load(self._store, checkpoint.revisions)
        async with asyncio.TaskGroup() as tasks:
            self._agenda.tasks = tasks
            writing = tasks.create_task(self._writer.work())
            clock = tasks.create_task(self._keep_time())
            try:
                async with aclosing(self._store.follow(checkpoint.token if checkpoint else None)) as batches:
                    async for batch in batches:
                        if not self.came_along and self._asked_to_begin is None:
                            if checkpoint is None:
                                await self._ask_to_begin(batch.token, lost, known)
                            else:
                                await self._begin()
                        await self._take(batch)
                        if self._stopping.is_set():
                            break
            except HistoryLost:
                # No run will find again what has been told, so it is written first.
                await self._end_tasks(clock, writing)
                raise
            await self._end_tasks(clock, writing)
        await self._fences.remove()

    async def _end_tasks(self, clock: asyncio.Task[None], writing: asyncio.Task[None]) -> None:
        clock.cancel()
        self._placements.cancel()
        if self.came_along:
            # Up to here watchers have been told, be it of nothing.
            await self._writer.put(
                Output(number=self._teller.number, entries=(), checkpoint=self._restart_from())
            )
        await self._writer.close()
        await writing

    def _restart_from(self) -> Checkpoint | None:
        """Before the oldest thing that is not done."""
        return self._quarantine.restart_from(self._placements.restart_from(self._reached))

    async def _keep_time(self) -> None:
        """A fence in each second, as soon as it begins: it brings the second into a quiet stream."""
        while True:
            await asyncio.sleep(1 - time.time() % 1)
            await self._placements.mark()

    async def _begin(self) -> None:
        self.came_along = True
        self._agenda.begin(self._second)
        self._settle()
        await self._teller.tell()
        self._begun.set()

    # ---- taking in what the stream says ----------------------------------------------------------------------------

    async def _take(self, batch: StreamBatch) -> None:
        fences: dict[str, int] = {}
        changed = False
        for moment in batch.moments:
            changed = await self._take_moment(moment, fences) or changed
        if not self.came_along:
            return
        await self._finish_placements()
        self._reached = Checkpoint(
            token=batch.token, position=self._position, revisions=self._in_force.revisions
        )
        entries = self._ledger.take()
        self._settle()
        if entries or fences or self._teller.silent_for() >= HEARTBEAT_SECONDS:
            await self._teller.tell(entries, fences)
        # A reading may end in a quiet batch: its fence can come out of the stream before its write is acknowledged.
        now = time.monotonic()
        if entries or changed or now - self._idle_saved_at >= IDLE_CHECKPOINT_SECONDS:
            self._idle_saved_at = now
            await self._writer.put(
                Output(number=self._teller.number, entries=entries, checkpoint=self._restart_from())
            )

    async def _take_moment(self, moment: Moment, fences: dict[str, int]) -> bool:
        """Work through all events of one cluster time. Whether there was anything but fences."""
        if positions.end_of(moment.time) <= self._ledger.start:
            # The token may lie before the checkpoint's position.
            self._check_time(moment)
            return False
        if self.came_along and moment.time.time > self._second:
            self._second = moment.time.time
            self._agenda.come_to(self._second, self._reached)
        contacts: list[Document] = []
        defined = False
        for event in moment.events:
            match event["ns"]["coll"]:
                case collection if collection == CONTACTS:
                    contacts.append(event)
                case collection if collection == DEFINITIONS:
                    if event["operationType"] == "insert" and self.came_along:
                        await self._agenda.define(event["fullDocument"], self._places(event))
                        defined = True
                case collection if collection == REQUESTS:
                    if (asked := read_request(event)) is not None:
                        await self._take_request(event, *asked)
                        defined = True
                case collection if collection == FENCES:
                    if (mark := read_mark(event)) is not None:
                        await self._pass_fence(*mark, fences)
        if contacts and self.came_along:
            await self._change(moment, contacts)
        self._position = positions.end_of(moment.time)
        return defined or bool(contacts)

    async def _pass_fence(self, writer: str, number: int, fences: dict[str, int]) -> None:
        if writer != self._fences.writer:
            fences[writer] = number
            return
        await self._placements.saw(number)

    def _check_time(self, moment: Moment) -> None:
        """What this run has written itself comes after the checkpoint, unless that is of another time."""
        if any(event["documentKey"]["_id"] == self._fences.writer for event in moment.events):
            raise HistoryLost("the checkpoint is of a time to which the database has not come")

    def _places(self, event: Document) -> Places:
        return partial(
            Place,
            position=positions.of_definition(event["clusterTime"]),
            at=moment_of(event),
            restart_from=self._reached,
        )

    async def _change(self, moment: Moment, events: list[Document]) -> None:
        now = instant(self._second)
        changes, unclear = transitions(events)
        for each in unclear:
            await self._lose_sight(each, positions.of_change(moment.time, each.contact))
        for transition in changes:
            catalogue = self._in_force.catalogues.get(transition.account)
            if catalogue is None:
                continue
            self._placements.touch(transition, moment.time)
            for audience, joined in catalogue.moved(transition.before, transition.after, now):
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
        """Tell it, or keep it back behind what is still being placed."""
        if not self._is_unclear(account, audience, happened) and not self._placements.hold(
            audience, happened
        ):
            await self._tell_of(account, audience, happened)

    async def _tell_of(self, account: str, audience: ObjectId, happened: Occurrence) -> None:
        await self._ledger.add(account, audience, happened)
        if len(self._ledger) >= MOST_TOLD_AT_ONCE:
            await self._tell_so_far()

    # ---- where the stream cannot tell ------------------------------------------------------------------------------

    async def _ask_to_begin(
        self, token: Mapping[str, Any], lost: str | None, known: Checkpoint | None
    ) -> None:
        """Ask for a place in the stream to begin at, behind `token` and whatever the log holds."""
        self._written_before = await self._store.log.newest_of_all(upto=positions.LATEST)
        self._reached = Checkpoint(token=token, position=positions.BEGINNING, revisions={})
        believed = None if known is None else Believed(position=known.position, revisions=known.revisions)
        because = lost or "it was not known up to where the engine had worked"
        log.info(
            "run.begins_afresh", because=because, believed=None if believed is None else believed.position
        )
        self._asked_to_begin = await self._store.requests.put(BeginAfresh(because=because, believed=believed))

    async def _take_request(self, event: Document, identifier: ObjectId, request: Request) -> None:
        begins = not self.came_along and identifier == self._asked_to_begin
        if begins:
            await self._stand_at(event["clusterTime"])
        if not (begins or self.came_along):
            return
        places = self._places(event)
        for key, contacts in self._quarantine.release().items():
            self._agenda.reconcile(key, places(account=key.account), suspects=contacts)
        match request:
            case BeginAfresh(because=because, believed=believed):
                # To whoever has followed the stream up to here nothing is lost.
                if self._ledger.start == _before_request(event["clusterTime"]):
                    await self._begin_afresh(places, because, believed)
            case Reconcile(account=account, audience=audience):
                self._agenda.reconcile(Key(account, audience), places(account=account))
            case CountAfresh(account=account, audience=audience, because=because):
                self._agenda.count_afresh(Key(account, audience), places(account=account), because)
            case ComeHere():
                pass
        if begins:
            await self._begin()

    async def _stand_at(self, time: Timestamp) -> None:
        """Begin here, with the definitions as they are. Another run that ends before the next checkpoint begins here, too."""
        assert self._reached is not None
        self._second = time.time
        start = self._ledger.start = self._position = _before_request(time)
        await self._in_force.load(self._store, None)
        await self._store.prepare_attributes(self._in_force.paths_read())
        self._reached = replace(self._reached, position=start, revisions=self._in_force.revisions)
        if not await self._writer.save(self._reached, back=True) or not await self._leads():
            # Another engine may go on from an older checkpoint, and what is withdrawn here may be its word.
            raise LeaseLost("another process has taken it")
        for audience, newest in self._written_before.items():
            if newest.position > start:
                # Of a time to which the database has not come.
                ahead = positions.right_behind(Position(newest.position))
                await self._store.log.of(newest.account).withdraw(audience, after=start, before=ahead)
        self._teller.begin_afresh()

    async def _leads(self) -> bool:
        """Whether no other engine has begun until now, so that each that does begins where this one has saved."""
        lease = await self._store.leases.load()
        return lease is not None and lease.term == self._term

    async def _begin_afresh(self, places: Places, because: str, believed: Believed | None) -> None:
        """Hold every audience's log against its query, and end what was deleted in the part of the stream that is lost."""
        known = await self._store.log.newest_of_all(upto=self._ledger.start)
        if believed is not None and believed.position >= self._ledger.start:
            # Of a time to which the database has not come.
            believed = None
        await self._agenda.begin_afresh(places, because, believed, known.keys())
        for identifier, newest in known.items():
            gone = self._in_force.find(Key(newest.account, identifier)) is None
            if gone and newest.kind is not EntryKind.ENDED:
                self._ledger.put(identifier, tally_of(newest))
                await self._agenda.end(places(account=newest.account), identifier)

    async def _lose_sight(self, unclear: Unclear, position: Position) -> None:
        """What this contact does is not told any more until it has been looked at."""
        if not self._quarantine:
            # Somebody may have switched the images off.
            await self._store.prepare()
            await self._store.requests.put(ComeHere())
        elif len(self._quarantine) >= MOST_CONTACTS:
            raise HistoryLost(f"more than {MOST_CONTACTS:,} contacts were changed without pre-images")
        concerned = self._in_force.concerned_by(unclear.paths)
        self._quarantine.add(unclear.contact, concerned, position, self._reached)

    def _is_unclear(self, account: str, audience: ObjectId, happened: Occurrence) -> bool:
        """Whether what this came to is found out at a request behind it."""
        return self._quarantine.holds(Key(account, audience), happened) or self._placements.settles(
            audience, happened
        )

    # ---- what must be placed ---------------------------------------------------------------------------------------

    async def _finish_placements(self) -> None:
        """Tell of what has been placed, each audience's in its order."""
        for placement, occurrences in self._placements.finish(self._second):
            match placement:
                case Reading(was=None):
                    self._ledger.put(placement.audience, placement.tally())
                case Reconciling():
                    self._ledger.put(placement.audience, placement.before)
                case Passing(ended=False):
                    self._agenda.passed(placement)
                case _:
                    pass
            for occurrence in occurrences:
                if not self._is_unclear(placement.account, placement.audience, occurrence):
                    await self._tell_of(placement.account, placement.audience, occurrence)

    # ---- handing on ------------------------------------------------------------------------------------------------

    async def _tell_so_far(self) -> None:
        """Tell a part of what a batch brings where that is much, as of an edit that moves many. No position is reached by it."""
        entries = self._ledger.take()
        self._teller.hold(self._held())
        await self._teller.tell(entries)
        await self._writer.put(Output(number=self._teller.number, entries=entries, checkpoint=None))
        # Nothing of this need ever wait, and others must have their turn: the lease is to be renewed, watchers are to be told.
        await asyncio.sleep(0)

    def _settle(self) -> None:
        """What has been found up to here is complete and may be told."""
        self._teller.settle(self._position, self._held())

    def _held(self) -> Mapping[ObjectId, Position]:
        """Up to where everything of each audience has been told of which not everything has."""
        held = dict(self._placements.held())
        for audience, position in self._quarantine.held().items():
            held[audience] = min(position, held.get(audience, position))
        return held


def _before_request(time: Timestamp) -> Position:
    """Where a run stands that begins at a request of this time."""
    return positions.just_before(positions.of_definition(time))
