"""The feed: who joined and who left an audience, in order, without gap or double, from any cursor on.

Owns the joining of the log and what is told live. A watcher attaches to the hub first and reads the log after, up to
where the attachment takes over; so nothing falls between the two. A watcher that is too slow is served from the log at its
own pace until it has caught up, and holds up nobody. Held by `tests/domain/membership/test_feed.py`.

Cost: a live event costs nothing but its delivery; a resume reads the entries it missed, from memory where they are recent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from bson import ObjectId

from domain.errors import FeedWasReset, NotFound, Unavailable
from domain.membership.freshness import Freshness
from domain.membership.hub import Attachment, Hub
from domain.membership.position import BEGINNING, Position, before_second, instant, second_of
from domain.store.log import AccountLog, EntryKind, LogEntry
from domain.store.past import Cut, Past, later

BURST = 100
OPENING_TIMEOUT_SECONDS = 60.0
LATEST = Position("~")
"""Behind every position."""

_REMOVED = "what happened since the cursor is not kept any more"


@dataclass(frozen=True, slots=True)
class Started:
    """The position and the size from which the following changes count."""

    position: Position
    size: int


@dataclass(frozen=True, slots=True)
class Reset:
    """What lay between can no longer be told: begin afresh from here."""

    position: Position
    size: int
    because: str


FeedEvent = Started | Reset | LogEntry
"""A log entry in a feed is a join, a leave, a redefinition, or the end."""


@dataclass(frozen=True, slots=True)
class Size:
    """An audience's exact size, counting the changes up to the position."""

    size: int
    position: Position
    at: datetime


class Feed:
    """The feeds of all audiences, for one account."""

    def __init__(self, account: str, log: AccountLog, past: Past, hub: Hub, freshness: Freshness) -> None:
        self._account = account
        self._log = log
        self._past = past
        self._hub = hub
        self._freshness = freshness

    @property
    def instant(self) -> datetime:
        """The second as of which rules are read: this machine's, or the engine's where that is ahead.

        Behind it the engine lies by a second at most while it runs. Of a contact that was written just now, by the time of this
        machine, it must be true that it was.
        """
        return max(datetime.now(UTC).replace(microsecond=0), instant(second_of(self._hub.position)))

    # ---- sizes -----------------------------------------------------------------------------------------------------

    async def sizes(self, audiences: Sequence[ObjectId]) -> dict[ObjectId, Size]:
        """The exact sizes now, everything counted that was committed before the call.

        Cost: one fence; one log query for the audiences that this process has not met yet. A new audience is waited for
        until its members are counted. Raises `Unavailable`.
        """
        await self._freshness.reach_now()
        return await self._sizes_here(audiences)

    async def _sizes_here(self, audiences: Sequence[ObjectId]) -> dict[ObjectId, Size]:
        try:
            async with asyncio.timeout(OPENING_TIMEOUT_SECONDS):
                await self._settled(audiences)
        except TimeoutError:
            raise Unavailable("The members are still being counted. Try again in a minute.") from None
        sizes = {}
        for audience in audiences:
            latest = self._latest(audience)
            if latest is not None:
                position = max(self._hub.position_of(audience), Position(latest.position))
                sizes[audience] = Size(latest.size, position, latest.at)
        return sizes

    async def _settled(self, audiences: Sequence[ObjectId]) -> None:
        """Wait until no edit of these audiences is under way and the hub knows the newest entry of each."""
        while True:
            await self._hub.until(
                lambda: (
                    self._hub.is_complete() and not any(self._hub.is_held(audience) for audience in audiences)
                )
            )
            unknown = [audience for audience in audiences if self._hub.latest(audience) is None]
            if not unknown:
                return
            era = self._hub.era
            found = await self._log.newest_of(unknown)
            if self._hub.era == era:
                # Else the hub began anew during the read, and what was read may be older than what it missed.
                for entry in found.values():
                    self._hub.learn(entry)
                return

    def _latest(self, audience: ObjectId) -> LogEntry | None:
        """The newest entry that the hub knows; the hub serves all accounts, so it is here that a foreign one is none."""
        latest = self._hub.latest(audience)
        return latest if latest is not None and latest.account == self._account else None

    async def settled(self, audiences: Iterable[ObjectId]) -> None:
        """Return when everything that was defined of these audiences before the call has been placed in the stream.

        So a segment that broke has been frozen by then: all of its members carry its mark. Raises `Unavailable`.
        """
        waiting = list(audiences)
        if not waiting:
            return
        await self._freshness.reach_now()
        try:
            async with asyncio.timeout(OPENING_TIMEOUT_SECONDS):
                # One after the other: each stands still for a moment, all of them together perhaps never.
                for audience in waiting:
                    await self._placed(audience)
        except TimeoutError:
            raise Unavailable("An edit is still being placed. Try again in a minute.") from None

    async def _placed(self, audience: ObjectId) -> None:
        await self._hub.until(lambda: self._hub.is_complete() and not self._hub.is_held(audience))

    async def watch_size(self, audience: ObjectId, at_most_every: float) -> AsyncGenerator[Size, None]:
        """The size at once, and then whenever it changed, at most once in so many seconds; ends with the audience."""
        attachment, _ = self._hub.attach(audience, LATEST)
        try:
            told = (await self.sizes([audience])).get(audience)
            if told is None:
                raise _no_audience()
            yield told
            while True:
                told_at = time.monotonic()
                await attachment.wake.wait()
                await asyncio.sleep(max(0.0, told_at + at_most_every - time.monotonic()))
                attachment.wake.clear()
                attachment.waiting.clear()
                if attachment.cut:
                    self._hub.detach(attachment)
                    attachment, _ = self._hub.attach(audience, LATEST)
                size = (await self._sizes_here([audience])).get(audience)
                if size is None or self._has_ended(audience):
                    return
                if size.size != told.size:
                    told = size
                    yield size
        finally:
            self._hub.detach(attachment)

    def _has_ended(self, audience: ObjectId) -> bool:
        latest = self._latest(audience)
        return latest is not None and latest.kind is EntryKind.ENDED

    # ---- events ----------------------------------------------------------------------------------------------------

    async def watch(
        self, audience: ObjectId, after: Position | None
    ) -> AsyncGenerator[list[FeedEvent], None]:
        """Every event behind `after`, or from now: first `Started` (or `Reset` in its place), at last the end, if it comes.

        Events that are waiting together come together, at most `BURST` of them.
        Raises `NotFound` where the account has no such audience, and has had none.
        """
        await self._freshness.reach_now()
        await self._hub.until_complete()
        first = await self._first(audience, after)
        yield [first]
        last = first.position
        while True:
            try:
                async with aclosing(self._from(audience, last)) as bursts:
                    async for burst in bursts:
                        last = Position(burst[-1].position)
                        if events := [_event(entry) for entry in burst if entry.kind is not EntryKind.OPENED]:
                            yield events
                        if burst[-1].kind is EntryKind.ENDED:
                            return
            except FeedWasReset as overtaken:
                reset = await self._reset(audience, overtaken.message)
                yield [reset]
                last = reset.position

    async def _first(self, audience: ObjectId, after: Position | None) -> Started | Reset:
        if after is None:
            size = (await self._sizes_here([audience])).get(audience)
            if size is None or self._has_ended(audience):
                raise _no_audience()
            return Started(size.position, size.size)
        await self._hub.until_logged()
        newest = await self._log.newest(audience, upto=after)
        if newest is not None and newest.kind is EntryKind.ENDED:
            raise _no_audience()
        reset = await self._log.last_reset(audience, after=after)
        cut = await self._past.cut(audience)
        if _is_before(after, cut):
            return await self._reset(audience, _REMOVED)
        then = later(newest, cut)
        if then is not None:
            if reset is not None:
                return Reset(Position(reset.position), reset.size, reset.because or "")
            if after <= max(self._hub.furthest, Position(then.position)):
                return Started(after, then.size)
        return await self._reset(audience, "the cursor lies outside of what the log can tell")

    async def _reset(self, audience: ObjectId, because: str) -> Reset:
        size = (await self._sizes_here([audience])).get(audience)
        if size is None or self._has_ended(audience):
            raise _no_audience()
        return Reset(size.position, size.size, because)

    async def _from(self, audience: ObjectId, after: Position) -> AsyncGenerator[list[LogEntry], None]:
        """The entries behind `after`, from the log and then live, until the attachment is cut.

        Raises `FeedWasReset` where retention removes what is still to be read.
        """
        await self._hub.until_complete()
        attachment, cap = self._hub.attach(audience, after)
        try:
            while cap is not None and after < cap:
                page = await self._log.read(audience, after=after, upto=cap, limit=BURST)
                if _is_before(after, await self._past.cut(audience)):
                    raise FeedWasReset(_REMOVED)
                if page:
                    after = Position(page[-1].position)
                    yield page
                if len(page) < BURST:
                    break
            async with aclosing(_live(attachment)) as bursts:
                async for burst in bursts:
                    # A run of the engine that begins at its checkpoint tells again what a watcher has had.
                    if new := [entry for entry in burst if entry.position > after]:
                        after = Position(new[-1].position)
                        yield new
        finally:
            self._hub.detach(attachment)

    # ---- history ---------------------------------------------------------------------------------------------------

    async def history(
        self, audience: ObjectId, *, before: Position | None, since: datetime | None, limit: int
    ) -> list[LogEntry]:
        """Joins and leaves below `before`, newest first, none older than `since`, as far back as the log is kept."""
        await self._freshness.reach_now()
        await self._hub.until_complete()
        await self._hub.until_logged()
        # The stream's seconds are never behind those that the server's clock shows, but for the one that is just ending.
        after = BEGINNING if since is None else before_second(int(since.timestamp()) - 1)
        entries = await self._past.moves_back(
            audience, before=before or self._hub.furthest, after=after, since=since, limit=limit
        )
        cut = await self._past.cut(audience)
        return [entry for entry in entries if cut is None or entry.position > cut.position]

    async def history_since(self, audience: ObjectId, *, after: Position, limit: int) -> list[LogEntry]:
        """Joins and leaves behind `after`, oldest first, everything counted that was committed before the call.

        Raises `FeedWasReset` where the log cannot tell all of them: passing over that would be a gap.
        """
        upto = await self.reach_now(audience)
        newest = await self._log.newest(audience, upto=after)
        reset = await self._log.last_reset(audience, after=after)
        entries = await self._past.moves_ahead(audience, after=after, upto=upto, limit=limit)
        cut = await self._past.cut(audience)
        told = later(newest, cut) is not None and not _is_before(after, cut)
        if not told or after > upto or reset is not None:
            raise FeedWasReset(
                "What happened since this cursor can no longer be told. Read the members afresh, and go on from the"
                " audience's `cursor`.",
                path=("cursor",),
            )
        return entries

    async def count_history(
        self, audience: ObjectId, *, after: Position = BEGINNING, since: datetime | None = None
    ) -> int:
        """How many joins and leaves the log holds behind `after`, none older than `since`."""
        cut = await self._past.cut(audience)
        start = after if cut is None else max(after, Position(cut.position))
        return await self._past.count_moves(audience, after=start, since=since)

    async def complete_since(self, audience: ObjectId) -> datetime | None:
        """Behind which time the log holds everything. None where nothing of it was removed."""
        cut = await self._past.cut(audience)
        return None if cut is None else cut.at

    async def reach_now(self, audience: ObjectId) -> Position:
        """Return when the log holds everything of the audience that was committed before the call; up to where that is.

        Raises `Unavailable`.
        """
        await self._freshness.reach_now()
        try:
            async with asyncio.timeout(OPENING_TIMEOUT_SECONDS):
                await self._placed(audience)
                await self._hub.until_logged()
        except TimeoutError:
            raise Unavailable("An edit is still being placed. Try again in a minute.") from None
        return self._hub.position_of(audience)


async def _live(attachment: Attachment) -> AsyncGenerator[list[LogEntry], None]:
    """What is waiting and what comes, until the attachment is cut and empty."""
    waiting = attachment.waiting
    while True:
        while waiting:
            yield [waiting.popleft() for _ in range(min(len(waiting), BURST))]
        if attachment.cut:
            return
        attachment.wake.clear()
        await attachment.wake.wait()


def _is_before(position: Position, cut: Cut | None) -> bool:
    """Whether something behind the position was removed, or may be before long."""
    return cut is not None and position < cut.position


def _event(entry: LogEntry) -> FeedEvent:
    if entry.kind is EntryKind.RESET:
        return Reset(Position(entry.position), entry.size, entry.because or "")
    return entry


def _no_audience() -> NotFound:
    return NotFound("There is no such group or segment. It may have been deleted.")
