"""The hub: one process's view of what the engine tells, behind its one subscription to the bus.

Owns the recent entries, kept in memory, and the queues of whoever watches. It knows how complete it is: every entry told
since `floor` is here, everything older is in the log; an audience in `held` stands still there until an edit of it is done.
A lost message, a late start or another run of the engine makes it begin anew and sends its watchers to the log. An engine that was
taken for dead may return and speak for a moment: what is of a lower term than was heard already is passed over.

Invariant: log below an attachment's `cap`, then what the attachment queues, is every entry once (`feed` puts them together).
Held by `tests/domain/membership/test_hub.py`.

Cost: an entry costs one append for each watcher of its audience. Memory: `MAX_RECENT` entries, `MAX_QUEUE` for each watcher,
one entry for each audience that moved or was asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bson import ObjectId

from domain.membership import position as positions
from domain.membership.messages import Progress
from domain.membership.position import Position
from domain.store.log import LogEntry

MAX_RECENT = 20_000
MAX_QUEUE = 5_000


@dataclass(slots=True, eq=False)
class Attachment:
    """One watcher's queue. `cut`: nothing more will come behind what is waiting, because the watcher was too slow or a
    message was lost; it attaches again behind the last entry it had.
    """

    audience: ObjectId
    waiting: deque[LogEntry] = field(default_factory=deque)
    cut: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, entry: LogEntry) -> None:
        if self.cut:
            return
        if len(self.waiting) >= MAX_QUEUE:
            self.end()
        else:
            self.waiting.append(entry)
            self.wake.set()

    def end(self) -> None:
        self.cut = True
        self.wake.set()


class Hub:
    """Takes in progress, gives out attachments."""

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
        self._order: deque[tuple[int, ObjectId, Position]] = deque()
        self._recent: dict[ObjectId, deque[LogEntry]] = {}
        self._latest: dict[ObjectId, LogEntry] = {}
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
        self._heard_at = time.monotonic()
        if progress.run != self._run or progress.number != self._number + 1:
            self._begin_anew(progress)
        self._number = progress.number
        self._logged = progress.logged
        # A message that tells a part of much tells of more than the position that it reaches.
        upto = Position(max([progress.position, *(entry.position for entry in progress.entries)]))
        for entry in progress.entries:
            self._order.append((progress.number, entry.audience, upto))
            self._recent.setdefault(entry.audience, deque()).append(entry)
            self._latest[entry.audience] = entry
            for attachment in self._attached.get(entry.audience, ()):
                attachment.offer(entry)
        self.position = progress.position
        self.furthest = max(self.furthest, progress.position)
        self._held = progress.held
        for writer, number in progress.fences.items():
            self._fences[writer] = max(number, self._fences.get(writer, 0))
        self._forget()
        self._moved_on.set()
        self._moved_on = asyncio.Event()

    def _begin_anew(self, progress: Progress) -> None:
        """Nothing before this message is known to be here: it is in the log, once the log has come as far.

        So everybody who watches attaches again, behind the last entry it had: another run may begin behind what this
        process was told, or before it.
        """
        for attached in self._attached.values():
            for attachment in attached:
                attachment.end()
        self.era += 1
        self._term = progress.term
        self._run = progress.run
        self._complete_after = progress.number - 1
        self._floor = progress.position
        self._order.clear()
        self._recent.clear()
        self._latest.clear()

    def _forget(self) -> None:
        """Let go of the oldest entries, as far as they are in the log, when there are too many."""
        while len(self._order) > MAX_RECENT and self._order[0][0] <= self._logged:
            number, _, position = self._order[0]
            # A message is let go of as a whole: the floor lies between messages.
            while self._order and self._order[0][0] == number:
                _, audience, _ = self._order.popleft()
                entries = self._recent[audience]
                entries.popleft()
                if not entries:
                    del self._recent[audience]
            self._floor = position

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
        """Remember the newest entry that the log has, unless something newer was told meanwhile."""
        self._latest.setdefault(entry.audience, entry)

    def attach(self, audience: ObjectId, after: Position) -> tuple[Attachment, Position | None]:
        """A queue that holds what was told behind `after`, and what will be.

        With it the cap below which (and above `after`) the log must be read first; None where memory reaches back to
        `after`. Nothing is awaited in between: no entry falls between the two.
        """
        attachment = Attachment(audience)
        recent = self._recent.get(audience, deque[LogEntry]())
        for entry in recent:
            if entry.position > after:
                attachment.offer(entry)
        self._attached.setdefault(audience, set()).add(attachment)
        if after >= self._floor:
            return attachment, None
        first = Position(recent[0].position) if recent else self._floor
        if first <= self._floor and recent:
            return attachment, positions.right_before(first)
        return attachment, self._floor

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
        """Wait until what has been told so far is in the log."""
        while not await self._is_logged_by_this_run():
            # The run ended with some of it unwritten: another tells it again, and writes it.
            await self.until_complete()

    async def _is_logged_by_this_run(self) -> bool:
        run, number = self._run, self._number
        await self.until(lambda: self._run != run or self._logged >= number)
        return self._run == run

    async def until_fence(self, writer: str, number: int) -> None:
        """Wait until everything committed before the fence was written has been told."""
        await self.until(lambda: self._fences.get(writer, 0) >= number)
