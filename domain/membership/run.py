"""One run of the engine: from the checkpoint to the end of the stream, or to the first failure.

Owns the talking: it follows the stream, asks the catalogue who moved, has the rest placed, publishes what was found
and hands it to the writer. What a change is and whom it moves is decided elsewhere (`changes`, `placing`,
`domain.catalogue`).

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
from contextlib import aclosing

from bson import ObjectId

from domain.audiences import Audience, Segment
from domain.catalogue import Broke, Catalogue, Effect, Ended, Opened, Redefined
from domain.membership import position as positions
from domain.membership.changes import moment_of, transitions
from domain.membership.defining import Place, freezing, opening, redefinition
from domain.membership.passing import Passing
from domain.membership.placing import Placements
from domain.membership.position import Position, instant
from domain.membership.readings import Occurrence, Reading
from domain.membership.telling import Publish, Teller
from domain.membership.turns import Key, Turns
from domain.membership.writer import LogWriter, Output
from domain.rules.criterion import Criterion
from domain.store.checkpoint import Checkpoint
from domain.store.client import Document
from domain.store.definitions import read_definitions
from domain.store.fences import read_mark
from domain.store.indexes import CONTACTS, DEFINITIONS, FENCES
from domain.store.log import EntryKind, LogEntry
from domain.store.store import Store
from domain.store.stream import HistoryLost, Moment, StreamBatch

HEARTBEAT_SECONDS = 1.0
IDLE_CHECKPOINT_SECONDS = 10.0
CATCHING_UP_SECONDS = 5
"""How far the stream may lie behind this machine's clock before turns are taken together up to now."""

MOST_TOLD_AT_ONCE = 1_000

_STEP = {EntryKind.JOINED: 1, EntryKind.LEFT: -1}


class Run:
    """Works until `stopping` is set. `begun` is set once it follows the stream; `came_along` says that it ever did."""

    def __init__(
        self, store: Store, publish: Publish, stopping: asyncio.Event, begun: asyncio.Event, *, term: int
    ) -> None:
        self._store = store
        self._term = term
        self._teller = Teller(publish, term=term)
        self._stopping = stopping
        self._begun = begun
        self.came_along = False

        self._fences = store.fences()
        self._placements = Placements(store, self._fences)
        self._baseline_fence: int | None = None
        self._baseline_because: str | None = None

        self._catalogues: dict[str, Catalogue] = {}
        self._revisions: dict[str, int] = {}
        self._turns = Turns()
        self._start = positions.BEGINNING
        self._position = positions.BEGINNING
        self._second = 0
        self._reached: Checkpoint | None = None
        self._saved: Checkpoint | None = None
        self._idle_saved_at = float("-inf")

        self._sizes: dict[ObjectId, int] = {}
        self._entries: list[LogEntry] = []

    async def work(self, afresh: str | None) -> None:
        """Follow the stream from the checkpoint. Without one, or where `afresh` says why, from now, counting every audience.

        Raises an exception group of what went wrong.
        """
        self._saved = await self._store.checkpoints.load()
        checkpoint = None if afresh else self._saved
        if checkpoint is not None:
            self._reached = checkpoint
            self._start = self._position = Position(checkpoint.position)
            self._second = positions.second_of(self._position)
            await self._load_definitions(dict(checkpoint.revisions))
        self._writer = LogWriter(
            self._store.log, self._store.checkpoints, self._teller.wrote, term=self._term
        )
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._writer.work())
            clock = tasks.create_task(self._keep_time())
            async with aclosing(self._store.follow(checkpoint.token if checkpoint else None)) as batches:
                async for batch in batches:
                    if not self.came_along and self._baseline_fence is None:
                        if checkpoint is None:
                            self._baseline_because = afresh
                            self._baseline_fence = await self._placements.mark()
                        else:
                            await self._begin()
                    await self._take(batch)
                    if self._stopping.is_set():
                        break
            clock.cancel()
            self._placements.cancel()
            await self._writer.close()
        await self._fences.remove()

    async def _keep_time(self) -> None:
        """A fence in each second, as soon as it begins: it brings the second into a quiet stream."""
        while True:
            await asyncio.sleep(1 - time.time() % 1)
            await self._placements.mark()

    async def _begin(self) -> None:
        self.came_along = True
        for account, catalogue in self._catalogues.items():
            for audience, criterion in catalogue.moving.items():
                self._turns.put(Key(account, audience), criterion, instant(self._second))
        self._settle()
        await self._teller.tell()
        self._begun.set()

    async def _load_definitions(self, revisions: dict[str, int] | None) -> dict[ObjectId, Broke]:
        """Take them in. How each segment broke that ever did, the last time."""
        broke: dict[ObjectId, Broke] = {}
        for account, definitions in (await self._store.definitions_in_force(revisions)).items():
            catalogue = self._catalogues[account] = Catalogue(account)
            for definition in definitions:
                effects = catalogue.apply(definition)
                broke |= {effect.segment.id: effect for effect in effects if isinstance(effect, Broke)}
        self._revisions = {account: catalogue.revision for account, catalogue in self._catalogues.items()}
        return broke

    # ---- taking in what the stream says ----------------------------------------------------------------------------

    async def _take(self, batch: StreamBatch) -> None:
        fences: dict[str, int] = {}
        changed = False
        for moment in batch.moments:
            changed = await self._take_moment(moment, fences) or changed
        if not self.came_along:
            return
        await self._finish_placements()
        self._reached = Checkpoint(token=batch.token, position=self._position, revisions=self._revisions)
        entries, self._entries = tuple(self._entries), []
        self._settle()
        if entries or fences or self._teller.silent_for() >= HEARTBEAT_SECONDS:
            await self._teller.tell(entries, fences)
        # A reading may end in a quiet batch: its fence can come out of the stream before its write is acknowledged.
        now = time.monotonic()
        if entries or changed or now - self._idle_saved_at >= IDLE_CHECKPOINT_SECONDS:
            self._idle_saved_at = now
            await self._writer.put(
                Output(
                    number=self._teller.number,
                    entries=entries,
                    checkpoint=self._placements.restart_from(self._reached),
                )
            )

    async def _take_moment(self, moment: Moment, fences: dict[str, int]) -> bool:
        """Work through all events of one cluster time. Whether there was anything but fences."""
        if self.came_along:
            self._come_to(moment.time.time)
        contacts: list[Document] = []
        defined = False
        for event in moment.events:
            match event["ns"]["coll"]:
                case collection if collection == CONTACTS:
                    contacts.append(event)
                case collection if collection == DEFINITIONS:
                    if event["operationType"] == "insert" and self.came_along:
                        await self._define(event)
                        defined = True
                case collection if collection == FENCES:
                    if (mark := read_mark(event)) is not None:
                        await self._pass_fence(event, *mark, fences)
        if contacts and self.came_along:
            await self._change(moment, contacts)
        self._position = positions.end_of(moment.time)
        return defined or bool(contacts)

    async def _pass_fence(self, event: Document, writer: str, number: int, fences: dict[str, int]) -> None:
        if writer != self._fences.writer:
            fences[writer] = number
            return
        await self._placements.saw(number)
        if not self.came_along and self._baseline_fence is not None and number >= self._baseline_fence:
            await self._count_afresh(event)

    def _come_to(self, second: int) -> None:
        """Before any event of a second: whoever moving rules move by its coming is looked for."""
        if second <= self._second:
            return
        self._second = second
        due = self._turns.due(instant(second))
        now = int(time.time()) if due else second
        until = now if now - second > CATCHING_UP_SECONDS else second
        for key, turn in due:
            criterion = self._catalogues[key.account].criterion(key.audience)
            turned = int(turn.timestamp())
            self._placements.put(
                self._tasks,
                Passing(
                    account=key.account,
                    audience=key.audience,
                    position=positions.of_turn(turned),
                    restart_from=self._reached,
                    criterion=criterion,
                    since=turned - 1,
                    until=until,
                ),
            )
            self._turns.put(key, criterion, instant(until))

    async def _define(self, event: Document) -> None:
        for definition in read_definitions([event["fullDocument"]]):
            account = definition.account
            catalogue = self._catalogues.setdefault(account, Catalogue(account))
            for effect in catalogue.apply(definition):
                await self._effect(effect, self._place(account, event))
            if catalogue.revision != self._revisions.get(account):
                self._revisions = {**self._revisions, account: catalogue.revision}

    async def _effect(self, effect: Effect, place: Place) -> None:
        match effect:
            case Opened(audience, criterion):
                self._open(place, audience, criterion, EntryKind.OPENED)
            case Redefined(segment=segment, after=criterion):
                self._turns.put(Key(place.account, segment.id), criterion, place.instant)
                found = redefinition(place, effect, self._placements.last(segment.id))
                if found is not None:
                    self._placements.put(self._tasks, found)
            case Broke(segment=segment):
                self._turns.drop(Key(place.account, segment.id))
                self._placements.put(self._tasks, freezing(place, effect))
            case Ended(audience):
                self._turns.drop(Key(place.account, audience.id))
                await self._end(place, audience.id)

    def _open(self, place: Place, audience: Audience, criterion: Criterion, kind: EntryKind) -> None:
        self._turns.put(Key(place.account, audience.id), criterion, place.instant)
        because = self._baseline_because if kind is EntryKind.RESET else None
        self._placements.put(self._tasks, opening(place, audience, criterion, kind, because))

    async def _end(self, place: Place, audience: ObjectId) -> None:
        ended = Occurrence(position=place.position, kind=EntryKind.ENDED, at=place.at)
        await self._happen(place.account, audience, ended)

    def _place(self, account: str, event: Document) -> Place:
        return Place(
            account=account,
            position=positions.of_definition(event["clusterTime"]),
            at=moment_of(event),
            restart_from=self._reached,
        )

    async def _change(self, moment: Moment, events: list[Document]) -> None:
        now = instant(self._second)
        for transition in transitions(events):
            catalogue = self._catalogues.get(transition.account)
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
        if not self._placements.hold(audience, happened):
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
        if len(self._entries) >= MOST_TOLD_AT_ONCE:
            await self._tell_so_far()

    async def _size(self, account: str, audience: ObjectId) -> int:
        size = self._sizes.get(audience)
        if size is None:
            newest = await self._store.log.of(account).newest(audience, upto=self._start)
            if newest is None:
                raise HistoryLost(f"the log holds no opening of audience {audience}")
            size = newest.size
        return size

    # ---- what must be placed ---------------------------------------------------------------------------------------

    async def _count_afresh(self, event: Document) -> None:
        """Take the definitions as they are and open every audience here; those that the log knows are told of a reset.

        A segment that broke in the part of the stream that is lost, so that its members may not all have been marked, opens by the
        rule that it had, and is frozen here.
        """
        broke = await self._load_definitions(None)
        known = await self._store.log.newest_of_all()
        self._second = event["clusterTime"].time
        self._position = positions.of_definition(event["clusterTime"])
        present = set()
        for account, catalogue in self._catalogues.items():
            place = self._place(account, event)
            for audience in catalogue.audiences():
                present.add(audience.id)
                kind = EntryKind.RESET if audience.id in known else EntryKind.OPENED
                breaking = broke.get(audience.id)
                if breaking is None or self._is_done(account, audience, known=audience.id in known):
                    self._open(place, audience, catalogue.criterion(audience.id), kind)
                else:
                    self._open(place, audience, breaking.before, kind)
                    await self._effect(breaking, place)
        for identifier, newest in known.items():
            if identifier not in present and newest.kind is not EntryKind.ENDED:
                # Deleted in the part of the stream that is lost.
                self._sizes[identifier] = newest.size
                await self._end(self._place(newest.account, event), identifier)
        await self._begin()

    def _is_done(self, account: str, audience: Audience, *, known: bool) -> bool:
        """Whether an audience that broke at some time has been mended, or frozen by a run that came to its end with that."""
        if not isinstance(audience, Segment) or audience.broken is None:
            return True
        return known and (
            self._saved is None or self._saved.revisions.get(account, 0) >= audience.broken.revision
        )

    async def _finish_placements(self) -> None:
        """Tell of what has been placed, each audience's in its order."""
        for placement, occurrences in self._placements.finish(self._second):
            match placement:
                case Reading(was=None):
                    self._sizes[placement.audience] = placement.size()
                case Passing(ended=False, until=until, criterion=criterion):
                    self._turns.put(Key(placement.account, placement.audience), criterion, instant(until))
                case _:
                    pass
            for occurrence in occurrences:
                await self._tell_of(placement.account, placement.audience, occurrence)

    # ---- handing on ------------------------------------------------------------------------------------------------

    async def _tell_so_far(self) -> None:
        """Tell a part of what a batch brings where that is much, as of an edit that moves many. No position is reached by it."""
        entries, self._entries = tuple(self._entries), []
        self._teller.hold(self._placements.held())
        await self._teller.tell(entries)
        await self._writer.put(Output(number=self._teller.number, entries=entries, checkpoint=None))

    def _settle(self) -> None:
        """What has been found up to here is complete and may be told."""
        self._teller.settle(self._position, self._placements.held())
