"""Pages of the log, read once for all who come back to the same part of it.

Owns the sharing of log reads among those who resume. A page is a fact: every entry of an audience between two places of its
log. Entries never change, but those of a past that nobody believes any more are withdrawn; so a page is of one edition of
the log, and nobody is shown it who reads another. It is read a little back from where the first of them resumes, so that it
serves others near by as well and tells the size at each cursor in it; those who read on behind it meet at its end, and
share the next. Of an audience one page is read at a time, and whoever waited looks again before reading. What was removed of
the log is asked for after a page was read, and stands on it. Held by `tests/domain/membership/test_pages.py`.

Cost: ten thousand who resume one audience cost four reads, a few more where the server does not seek, and two more for each
`AHEAD` entries that they missed. Memory: at most `MAX_KEPT` entries, some 500 bytes each; the pages used last are kept.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from weakref import WeakValueDictionary

from bson import ObjectId

from domain.membership.hub import Edition
from domain.membership.position import BEGINNING, Position, right_behind
from domain.membership.resets import Resets, with_newest
from domain.store.log import AccountLog, LogEntry
from domain.store.past import Cut, Past, later

AROUND = 200
AHEAD = 300
MAX_KEPT = 50_000

_position = attrgetter("position")


@dataclass(frozen=True, slots=True)
class Page:
    """Every entry of an audience from `start` up to `upto`, but for those that were removed, up to `cut`.

    The first is the one at `start`, unless the log begins behind it.
    """

    start: Position
    upto: Position
    entries: Sequence[LogEntry]
    cut: Cut | None

    def is_cut(self, after: Position) -> bool:
        """Whether something behind this place was removed, or may be before long."""
        return self.cut is not None and after < self.cut.position

    def behind(self, after: Position) -> Sequence[LogEntry]:
        return self.entries[bisect_right(self.entries, after, key=_position) :]

    def newest(self, upto: Position) -> LogEntry | None:
        """The newest entry at or before a place of this page."""
        count = bisect_right(self.entries, upto, key=_position)
        return self.entries[count - 1] if count else None

    def then(self, upto: Position) -> LogEntry | Cut | None:
        """What tells the size at a place of this page; None before the audience was opened."""
        return later(self.newest(upto), self.cut)


@dataclass(frozen=True, slots=True)
class _Key:
    """An account's audience. Another account that asks for the same is shown nothing of it."""

    account: str
    audience: ObjectId
    edition: Edition


class Shelf:
    """The pages that one process keeps."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[_Key, Position], Page] = OrderedDict()
        self._starts: dict[_Key, list[Position]] = {}
        self._kept = 0
        self._resets: dict[_Key, Resets] = {}
        self._resets_of = 0
        self._reading: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()

    def reading(self, key: _Key) -> asyncio.Lock:
        """Held by whoever reads of this audience."""
        return self._reading.setdefault(key, asyncio.Lock())

    def around(self, key: _Key, after: Position) -> Page | None:
        """A page that `after` lies in, though it may end there."""
        starts = self._starts.get(key, [])
        count = bisect_right(starts, after)
        page = self._pages[key, starts[count - 1]] if count else None
        return None if page is None or page.upto < after else page

    def find(self, key: _Key, after: Position, upto: Position) -> Page | None:
        """A page that `after` lies in and that goes on behind it, unless that is as far as `upto`."""
        page = self.around(key, after)
        if page is None or (page.upto <= after and page.upto < upto):
            return None
        self._pages.move_to_end((key, page.start))
        return page

    def keep(self, key: _Key, page: Page) -> None:
        replaced = self._pages.pop((key, page.start), None)
        if replaced is None:
            insort(self._starts.setdefault(key, []), page.start)
        else:
            self._kept -= len(replaced.entries)
        self._pages[key, page.start] = page
        self._kept += len(page.entries)
        while self._kept > MAX_KEPT and len(self._pages) > 1:
            (oldest, start), let_go = self._pages.popitem(last=False)
            self._kept -= len(let_go.entries)
            self._starts[oldest].remove(start)
            if not self._starts[oldest]:
                del self._starts[oldest]

    def resets(self, era: int) -> dict[_Key, Resets]:
        """Those that were found in the log in this era of the hub."""
        if era != self._resets_of:
            self._resets_of = era
            self._resets = {}
        return self._resets


class Pages:
    """One account's, from its process's shelf where they stand there."""

    def __init__(self, account: str, log: AccountLog, past: Past, shelf: Shelf) -> None:
        self._account = account
        self._log = log
        self._past = past
        self._shelf = shelf

    async def page(self, audience: ObjectId, *, after: Position, upto: Position, edition: Edition) -> Page:
        """A page that `after` lies in and that goes on behind it, as far as `upto` does, where the log must be complete."""
        key = _Key(self._account, audience, edition)
        page = self._shelf.find(key, after, upto)
        if page is None:
            async with self._shelf.reading(key):
                page = self._shelf.find(key, after, upto)
                if page is None:
                    page = await self._read(key, after, upto)
                    self._shelf.keep(key, page)
        return page

    async def resets(self, audience: ObjectId, *, edition: Edition) -> Resets:
        """Those that the log holds, as far as they concern anybody. Those told later in the hub's era are known to the hub."""
        key = _Key(self._account, audience, edition)
        async with self._shelf.reading(key):
            known = self._shelf.resets(edition.era)
            if key not in known:
                found: Resets = ()
                for reset in await self._past.resets(audience, after=BEGINNING):
                    found = with_newest(found, reset)
                known[key] = found
            return known[key]

    async def _read(self, key: _Key, after: Position, upto: Position) -> Page:
        audience = key.audience
        ending_here = self._shelf.around(key, after)
        if ending_here is None:
            back = await self._past.back(audience, before=right_behind(after), limit=AROUND)
            back.reverse()
            start = Position(back[0].position) if len(back) == AROUND else BEGINNING
        else:
            newest = ending_here.newest(after)
            back = [] if newest is None else [newest]
            start = ending_here.start if newest is None else Position(newest.position)
        ahead = []
        if after < upto:
            ahead = await self._log.read(audience, after=after, upto=upto, limit=AHEAD)
        cut = await self._past.cut(audience)
        return Page(
            start, Position(ahead[-1].position) if len(ahead) == AHEAD else upto, [*back, *ahead], cut
        )
