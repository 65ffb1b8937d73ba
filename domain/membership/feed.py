"""The feed: who joined and who left an audience, in order, without gap or double, from any cursor on.

Owns the joining of the log and what is told live. A watcher has a place, behind the last entry it had, and is served from
the hub's memory where that reaches back to its place, else from the log, at its own pace, until it has caught up. So nothing
falls between the two, nothing is queued for whoever is slow, and nobody is held up by it. Held by
`tests/domain/membership/test_feed.py` and, for ten thousand at once, `tests/domain/membership/test_watchers.py`.

Cost: a live event costs nothing but its delivery; a resume reads the entries it missed, from memory where they are recent,
and else from pages of the log that all who resume near by share (`pages`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bson import ObjectId

from domain.errors import FeedWasReset, NotFound, Unavailable
from domain.membership.freshness import Freshness
from domain.membership.hub import Hub
from domain.membership.pages import Pages
from domain.membership.position import (
    BEGINNING,
    Position,
    before_second,
    instant,
    names_contact,
    right_behind,
    second_of,
)
from domain.membership.resets import concerns, newest_concerning
from domain.rounds import Rounds
from domain.store.log import AccountLog, EntryKind, LogEntry
from domain.store.past import Cut, Past, later

BURST = 100
OPENING_TIMEOUT_SECONDS = 60.0
_REMOVED = "what happened since the cursor is not kept any more"
_UNKNOWN = "the cursor lies outside of what the log can tell"
_BEGUN_ANEW = "its log was begun anew"
_BEING_PLACED = "An edit is still being placed. Try again in a minute."


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

    def __init__(
        self, account: str, log: AccountLog, past: Past, hub: Hub, freshness: Freshness, pages: Pages
    ) -> None:
        self._account = account
        self._log = log
        self._past = past
        self._hub = hub
        self._freshness = freshness
        self._pages = pages
        self._unknown: set[ObjectId] = set()
        self._learning = Rounds(self._learn)

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

        Cost: one fence; one log query for the audiences that this process has not met yet. Whoever asks at the same time
        shares both. A new audience is waited for until its members are counted. Raises `Unavailable`.
        """
        await self._freshness.reach_now()
        return await self._sizes_here(audiences)

    async def _sizes_here(self, audiences: Sequence[ObjectId]) -> dict[ObjectId, Size]:
        async with _in_time("The members are still being counted. Try again in a minute."):
            await self._settled(audiences)
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
            self._unknown.update(unknown)
            await self._learning.join()
            if self._hub.era == era:
                # Else the hub began anew meanwhile, and has forgotten what was read, which may be older than what it missed.
                return

    async def _learn(self) -> None:
        """Look up the newest entry of each audience that somebody waits for, all in one command."""
        wanted, self._unknown = self._unknown, set()
        era = self._hub.era
        found = await self._log.newest_of(sorted(wanted))
        if self._hub.era == era:
            for entry in found.values():
                self._hub.learn(entry)

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
        async with _in_time(_BEING_PLACED):
            # One after the other: each stands still for a moment, all of them together perhaps never.
            for audience in waiting:
                await self._placed(audience)

    async def _placed(self, audience: ObjectId) -> None:
        await self._hub.until(lambda: self._hub.is_complete() and not self._hub.is_held(audience))

    async def watch_size(self, audience: ObjectId, at_most_every: float) -> AsyncGenerator[Size, None]:
        """The size at once, and then whenever it changed, at most once in so many seconds; ends with the audience."""
        attachment = self._hub.attach(audience)
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
        first = await self._first(audience, after)
        yield [first]
        last = first.position
        while True:
            try:
                async with aclosing(self._behind(audience, last)) as bursts:
                    async for burst in bursts:
                        events = []
                        for entry in burst:
                            if entry.kind is not EntryKind.RESET or concerns(entry, last):
                                events.append(_event(entry))
                            last = Position(entry.position)
                        if events:
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
        try:
            then = await self._then(audience, after)
        except FeedWasReset as removed:
            return await self._reset(audience, removed.message)
        if then is None:
            return await self._reset(audience, _UNKNOWN)
        if isinstance(then, LogEntry) and then.kind is EntryKind.ENDED:
            raise _no_audience()
        reset = await self._last_reset(audience, after)
        if reset is not None:
            return Reset(Position(reset.position), reset.size, reset.because or _BEGUN_ANEW)
        if not _is_known(after, then):
            return await self._reset(audience, _UNKNOWN)
        return Started(after, then.size)

    async def _reset(self, audience: ObjectId, because: str) -> Reset:
        size = (await self._sizes_here([audience])).get(audience)
        if size is None or self._has_ended(audience):
            raise _no_audience()
        return Reset(size.position, size.size, because)

    async def _then(self, audience: ObjectId, upto: Position) -> LogEntry | Cut | None:
        """What tells the size at a place, from memory, else from the log. None before the audience was opened, and for a place
        to which nothing has come. Raises `FeedWasReset` where what stood behind it was removed.
        """
        while True:
            async with _in_time(_BEING_PLACED):
                await self._hub.until(
                    lambda: (
                        self._hub.is_complete()
                        and self._hub.position_of(audience) >= min(upto, self._hub.position)
                    )
                )
            if upto > self._hub.position:
                return None
            known = self._hub.told_before(audience, upto)
            if known is not None and upto >= self._hub.reaches_back_to(audience):
                return known if known.account == self._account else None
            logged = await self._hub.until_logged_of(audience)
            if logged >= upto:
                edition = self._hub.edition(audience)
                page = await self._pages.page(audience, after=upto, upto=logged, edition=edition)
                if page.is_cut(upto):
                    raise FeedWasReset(_REMOVED)
                return page.then(upto)

    async def _last_reset(self, audience: ObjectId, after: Position) -> LogEntry | None:
        """The newest reset behind `after` that concerns who stands there: between the two nobody can tell what happened."""
        while True:
            edition = self._hub.edition(audience)
            told = newest_concerning(self._hub.resets(audience), after)
            if told is not None or after >= self._hub.reaches_back_to(audience):
                return told
            logged = await self._pages.resets(audience, edition=edition)
            if self._hub.edition(audience) == edition:
                return newest_concerning(logged, after)

    async def _behind(self, audience: ObjectId, after: Position) -> AsyncGenerator[list[LogEntry], None]:
        """The entries behind `after`, without end: from the log and then live.

        Raises `FeedWasReset` where what is still to be read was removed, and where `after` is of a past that was taken back.
        """
        attachment = self._hub.attach(audience)
        era = self._hub.era
        try:
            while True:
                await self._hub.until_complete()
                if self._hub.is_of_another_past(after, era):
                    raise FeedWasReset(_UNKNOWN)
                era = self._hub.era
                attachment.wake.clear()
                logged = self._hub.reaches_back_to(audience)
                if after < logged:
                    edition = self._hub.edition(audience)
                    page = await self._pages.page(audience, after=after, upto=logged, edition=edition)
                    if page.is_cut(after):
                        raise FeedWasReset(_REMOVED)
                    missed = page.behind(after)
                    for start in range(0, len(missed), BURST):
                        yield list(missed[start : start + BURST])
                    after = page.upto
                elif told := self._hub.told(audience, after=after, limit=BURST):
                    after = Position(told[-1].position)
                    yield told
                else:
                    await attachment.wake.wait()
        finally:
            self._hub.detach(attachment)

    # ---- history ---------------------------------------------------------------------------------------------------

    async def history(
        self, audience: ObjectId, *, before: Position | None, since: datetime | None, limit: int
    ) -> list[LogEntry]:
        """Joins and leaves below `before`, newest first, none older than `since`, as far back as the log is kept."""
        await self._freshness.reach_now()
        logged = await self._hub.until_logged_of(audience)
        # The stream's seconds are never behind those that the server's clock shows, but for the one that is just ending.
        after = BEGINNING if since is None else before_second(int(since.timestamp()) - 1)
        entries = await self._past.moves_back(
            audience, before=before or right_behind(logged), after=after, since=since, limit=limit
        )
        cut = await self._past.cut(audience)
        return [entry for entry in entries if cut is None or entry.position > cut.position]

    async def history_since(self, audience: ObjectId, *, after: Position, limit: int) -> list[LogEntry]:
        """Joins and leaves behind `after`, oldest first, everything counted that was committed before the call.

        Raises `FeedWasReset` where the log cannot tell all of them: passing over that would be a gap.
        """
        upto = await self.reach_now(audience)
        newest = await self._log.newest(audience, upto=after)
        reset = await self._last_reset(audience, after)
        entries = await self._past.moves_ahead(audience, after=after, upto=upto, limit=limit)
        cut = await self._past.cut(audience)
        then = later(newest, cut)
        told = then is not None and _is_known(after, then) and not _is_before(after, cut)
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
        async with _in_time(_BEING_PLACED):
            while True:
                await self._placed(audience)
                told = self._hub.position_of(audience)
                logged = await self._hub.until_logged_of(audience)
                if logged >= told:
                    return logged


@asynccontextmanager
async def _in_time(else_: str) -> AsyncIterator[None]:
    """What is waited for comes within a minute, or is told to be `Unavailable`."""
    try:
        async with asyncio.timeout(OPENING_TIMEOUT_SECONDS):
            yield
    except TimeoutError:
        raise Unavailable(else_) from None


def _is_before(position: Position, cut: Cut | None) -> bool:
    """Whether something behind the position was removed, or may be before long."""
    return cut is not None and position < cut.position


def _is_known(cursor: Position, then: LogEntry | Cut) -> bool:
    """Whether the cursor of an event is that of an entry that there is, by the newest one up to it. Others are of no entry."""
    return not names_contact(cursor) or then.position == cursor


def _event(entry: LogEntry) -> FeedEvent:
    if entry.kind in (EntryKind.RESET, EntryKind.OPENED):
        # Who watches has been told of something before, so an opening is that of a log which begins anew.
        return Reset(Position(entry.position), entry.size, entry.because or _BEGUN_ANEW)
    return entry


def _no_audience() -> NotFound:
    return NotFound("There is no such group or segment. It may have been deleted.")
