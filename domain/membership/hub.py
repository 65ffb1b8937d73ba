"""The hub: one process's view of what the engine tells, behind its one subscription to the bus.

Owns the recent entries, kept in memory once for all who watch, and the bells by which they are woken. Nothing is queued for a
watcher: each reads on in what all share, from the last entry it had, and whoever falls behind what memory holds is served from
the log. The hub knows how complete it is: how far back each audience's entries are here, and that all older ones are in the log.
An audience in `held` stands still until an edit of it is done. A lost message, a late start or another run of the engine
makes the hub begin anew; that sends its watchers to the log, and shows them nothing but a delay. An engine that was taken for dead
may return and speak for a moment: what is of a lower term than was heard already is passed over.

Invariant: the log up to `reaches_back_to`, then `told`, is every entry once (`feed` puts them together). Held by
`tests/domain/membership/test_hub.py`.

Cost: a message costs one bell for each watcher of an audience that it tells of. Memory: `MAX_RECENT` entries, or what is not in
the log yet; an entry and a position for each audience that moved or was asked for; a bell for each watcher.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter

from bson import ObjectId

from domain.membership import position as positions
from domain.membership.messages import Progress
from domain.membership.position import Position
from domain.membership.resets import Resets, with_newest
from domain.store.log import EntryKind, LogEntry

MAX_RECENT = 20_000
MAX_CAME_BACK = 100


@dataclass(frozen=True, slots=True)
class Edition:
    """What the log held of an audience behind its newest reset, in one era of the hub."""

    era: int
    reset: Position


@dataclass(slots=True, eq=False)
class Attachment:
    """One watcher's bell: set when there may be something for it."""

    audience: ObjectId
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Hub:
    """Takes in progress, tells whoever watches."""

    def __init__(self) -> None:
        self.position: Position = positions.BEGINNING
        self.furthest: Position = positions.BEGINNING
        """The furthest position told by any run. A new run begins at its checkpoint, behind it."""
        self.era = 0
        """Rises whenever what is known here is forgotten and begun anew."""
        self._heard_at = time.monotonic()
        self._term = 0
        self._run: str | None = None
        self._number = 0
        self._logged = 0
        self._complete_after = 0
        self._floor: Position = positions.BEGINNING
        self._held: Mapping[ObjectId, Position] = {}
        self._fences: dict[str, int] = {}
        self._order: deque[tuple[int, ObjectId]] = deque()
        self._recent: dict[ObjectId, deque[LogEntry]] = {}
        self._forgotten: dict[ObjectId, Position] = {}
        self._latest: dict[ObjectId, LogEntry] = {}
        self._resets: dict[ObjectId, Resets] = {}
        self._came_back: list[tuple[int, Position]] = []
        """The eras that began with a run that began afresh, and where: a later one leaves what an earlier one says."""
        self._attached: dict[ObjectId, set[Attachment]] = {}
        self._moved_on: asyncio.Event = asyncio.Event()

    @property
    def watchers(self) -> int:
        """How many attachments there are."""
        return sum(len(attached) for attached in self._attached.values())

    def silent_for(self) -> float:
        """Seconds since the engine's last message came, or since the beginning."""
        return time.monotonic() - self._heard_at

    # ---- what the engine tells -------------------------------------------------------------------------------------

    def receive(self, progress: Progress) -> None:
        """Take in a message. Messages of a run come in the order of their numbers, or are noticed to be missing."""
        if progress.term < self._term or (progress.run == self._run and progress.number <= self._number):
            return
        if progress.run != self._run or progress.number != self._number + 1:
            self._begin_anew(progress)
        self._number = progress.number
        self._heard_at = time.monotonic()
        self._logged = progress.logged
        for entry in progress.entries:
            self._order.append((progress.number, entry.audience))
            self._recent.setdefault(entry.audience, deque()).append(entry)
            self.learn(entry)
            if entry.kind is EntryKind.RESET:
                self._resets[entry.audience] = with_newest(self.resets(entry.audience), entry)
        self.position = progress.position
        self.furthest = max(self.furthest, progress.position)
        released = self._held.keys() - progress.held.keys()
        self._held = progress.held
        for writer, number in progress.fences.items():
            self._fences[writer] = max(number, self._fences.get(writer, 0))
        self._forget()
        for audience in released.union(entry.audience for entry in progress.entries):
            self._ring(audience)
        self._moved_on.set()
        self._moved_on = asyncio.Event()

    def _begin_anew(self, progress: Progress) -> None:
        """Nothing before this message is known to be here: it is in the log, once the log has come as far.

        Everybody who watches goes on behind the last entry it had: another run may begin behind what this process was told,
        or before it.
        """
        self.era += 1
        if progress.afresh and progress.run != self._run:
            # What was told of another past stands in nobody's way.
            self.furthest = positions.BEGINNING
            self._came_back = [earlier for earlier in self._came_back if earlier[1] < progress.position] + [
                (self.era, progress.position)
            ]
            if len(self._came_back) > MAX_CAME_BACK:
                # As one: whoever stood before the later is told rather once too often than not at all.
                (_, lowest), (later, _), *newer = self._came_back
                self._came_back = [(later, lowest), *newer]
        self._term = progress.term
        self._run = progress.run
        self._complete_after = progress.number - 1
        self._floor = progress.since
        for known in (self._order, self._recent, self._forgotten, self._latest, self._resets):
            known.clear()
        for audience in self._attached:
            self._ring(audience)

    def _forget(self) -> None:
        """Let go of the oldest entries, as far as they are in the log, when there are too many."""
        while len(self._order) > MAX_RECENT and self._order[0][0] <= self._logged:
            _, audience = self._order.popleft()
            entries = self._recent[audience]
            self._forgotten[audience] = Position(entries.popleft().position)
            if not entries:
                del self._recent[audience]

    def _ring(self, audience: ObjectId) -> None:
        for attachment in self._attached.get(audience, ()):
            attachment.wake.set()

    # ---- what watchers ask -----------------------------------------------------------------------------------------

    def position_of(self, audience: ObjectId) -> Position:
        """Up to where everything of this audience has been told."""
        return self._held.get(audience, self.position)

    def is_held(self, audience: ObjectId) -> bool:
        """Whether an edit (or the opening) of this audience is still being placed."""
        return audience in self._held

    def latest(self, audience: ObjectId) -> LogEntry | None:
        """The newest entry told, where it is known here."""
        return self._latest.get(audience)

    def learn(self, entry: LogEntry) -> None:
        """Remember it as the newest of its audience, told or found in the log, unless a newer one is known."""
        known = self._latest.get(entry.audience)
        if known is None or known.position < entry.position:
            self._latest[entry.audience] = entry

    def resets(self, audience: ObjectId) -> Resets:
        """Those told in this era, as far as they concern anybody."""
        return self._resets.get(audience, ())

    def edition(self, audience: ObjectId) -> Edition:
        """Another whenever entries of the audience may have been withdrawn from the log that were read of it before."""
        resets = self.resets(audience)
        return Edition(self.era, Position(resets[-1].position) if resets else positions.BEGINNING)

    def is_of_another_past(self, place: Position, era: int) -> bool:
        """Whether somebody who stood there in that era was told what no run since has told: the database was put back."""
        return any(era < since and place > came_back_to for since, came_back_to in self._came_back)

    def reaches_back_to(self, audience: ObjectId) -> Position:
        """Behind it, every entry of the audience that has been told is here; up to it, every one is in the log."""
        if (forgotten := self._forgotten.get(audience)) is not None:
            return forgotten
        if recent := self._recent.get(audience):
            # What was held back while others went on is told late, below the floor.
            return min(self._floor, positions.right_before(Position(recent[0].position)))
        return min(self._floor, self._held.get(audience, self._floor))

    def told(self, audience: ObjectId, *, after: Position, limit: int) -> list[LogEntry]:
        """The first entries behind `after` that are here. Cost: the logarithm of how many the audience has here."""
        recent = self._recent.get(audience)
        if not recent or recent[-1].position <= after:
            return []
        first = bisect_right(recent, after, key=attrgetter("position"))
        return [recent[index] for index in range(first, min(first + limit, len(recent)))]

    def told_before(self, audience: ObjectId, after: Position) -> LogEntry | None:
        """The newest entry at or before `after`, where it is known here."""
        latest = self._latest.get(audience)
        if latest is not None and latest.position <= after:
            return latest
        recent = self._recent.get(audience, ())
        first = bisect_right(recent, after, key=attrgetter("position"))
        return recent[first - 1] if first else None

    def attach(self, audience: ObjectId) -> Attachment:
        """A bell that rings when an entry of the audience has been told, and when its watchers must look for themselves."""
        attachment = Attachment(audience)
        self._attached.setdefault(audience, set()).add(attachment)
        return attachment

    def detach(self, attachment: Attachment) -> None:
        attached = self._attached.get(attachment.audience)
        if attached is not None:
            attached.discard(attachment)
            if not attached:
                del self._attached[attachment.audience]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a message makes the condition true."""
        while not condition():
            await self._moved_on.wait()

    async def until_complete(self) -> None:
        """Wait until the log holds what was told before this hub began to listen, and a new run has come as far as the last."""
        await self.until(self.is_complete)

    def is_complete(self) -> bool:
        return (
            self._run is not None and self._logged >= self._complete_after and self.position >= self.furthest
        )

    async def until_logged(self) -> None:
        """Wait until what has been told so far is in the log, by the run that told it or by one after it."""
        while True:
            await self.until_complete()
            run, number = self._run, self._number
            await self.until(partial(self._has_logged, run, number))
            if self._run == run:
                return

    async def until_logged_of(self, audience: ObjectId) -> Position:
        """Wait until what has been told of the audience so far is in the log; up to where that is.

        What is told meanwhile may not be in the log yet, so the place is taken first; and a run that has come as far may be
        placing an edit again, so it is no further than that.
        """
        told = self.position_of(audience)
        await self.until_logged()
        return min(told, self.position_of(audience))

    def _has_logged(self, run: str | None, number: int) -> bool:
        return self._run != run or self._logged >= number

    async def until_fence(self, writer: str, number: int) -> None:
        """Wait until everything committed before the fence was written has been told."""
        await self.until(lambda: self._fences.get(writer, 0) >= number)
