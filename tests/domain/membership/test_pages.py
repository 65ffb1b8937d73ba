"""Pages of the log: read once for all who come back near the same place, and true whoever asks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId, Timestamp
from pymongo.asynchronous.database import AsyncDatabase

from domain.membership import pages as paging
from domain.membership import position as positions
from domain.membership.hub import Edition
from domain.membership.pages import Pages, Shelf
from domain.membership.position import BEGINNING, Position
from domain.store.client import open_database
from domain.store.log import EntryKind, LogEntry
from domain.store.past import Cut
from domain.store.store import Store, open_store

AUDIENCE = ObjectId()
FIRST = Edition(1, BEGINNING)


def end(second: int) -> Position:
    return positions.end_of(Timestamp(second, 1))


def entry(second: int, kind: EntryKind = EntryKind.JOINED) -> LogEntry:
    return LogEntry(
        account="a",
        audience=AUDIENCE,
        position=positions.of_change(Timestamp(second, 1), ObjectId(f"{second:024x}")),
        kind=kind,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        size=second,
    )


ENTRIES = [entry(second) for second in range(1, 101)]


class Reader:
    """A process's pages of an account, over a log that counts how often it is read for them."""

    def __init__(self, store: Store, account: str = "a", shelf: Shelf | None = None) -> None:
        self.shelf = shelf or Shelf()
        self.reads: list[str] = []
        log, past = store.log.of(account), store.past(account)
        for part, names in ((log, ["read"]), (past, ["back", "resets"])):
            for name in names:
                setattr(part, name, self._counted(name, getattr(part, name)))
        self.pages = Pages(account, log, past, self.shelf)

    def _counted(self, name: str, read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*arguments: Any, **more: Any) -> Any:
            self.reads.append(name)
            return await read(*arguments, **more)

        return counted

    async def missed(self, after: Position, upto: Position) -> list[LogEntry]:
        """Everything behind a place, page by page, as a watcher reads it."""
        found: list[LogEntry] = []
        while after < upto:
            page = await self.pages.page(AUDIENCE, edition=FIRST, after=after, upto=upto)
            assert page.start <= after < page.upto
            found += page.behind(after)
            after = page.upto
        return found


@pytest.fixture
async def store(database: AsyncDatabase[dict[str, Any]]) -> Store:
    """With a hundred entries, one in each second."""
    opened = await open_store(open_database(database.client, database.name))
    await opened.log.write(ENTRIES)
    return opened


@pytest.fixture
def reader(store: Store) -> Reader:
    return Reader(store)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "AROUND", 5)
    monkeypatch.setattr(paging, "AHEAD", 20)


async def test_all_who_resume_at_one_place_or_near_it_share_the_reads(reader: Reader) -> None:
    places = [end(second) for second in (40, 42, 38, 40, 37, 41) for _ in range(50)]
    found = await asyncio.gather(*(reader.missed(place, end(100)) for place in places))
    for place, entries in zip(places, found, strict=True):
        assert entries == [each for each in ENTRIES if each.position > place]
    # A little back, and then four pages.
    assert reader.reads == ["back", *["read"] * 4]


async def test_a_page_knows_the_newest_entry_at_every_place_in_it(reader: Reader) -> None:
    page = await reader.pages.page(AUDIENCE, edition=FIRST, after=end(50), upto=end(100))
    assert page.start == ENTRIES[45].position
    assert page.upto == ENTRIES[69].position
    for second in range(46, 71):
        assert page.newest(end(second)) == page.then(end(second)) == ENTRIES[second - 1]
        assert page.newest(Position(ENTRIES[second - 1].position)) == ENTRIES[second - 1]
    first = await reader.pages.page(AUDIENCE, edition=FIRST, after=end(0), upto=end(100))
    assert first.start == BEGINNING
    assert first.then(end(0)) is None


async def test_what_came_behind_a_page_that_reached_the_end_is_read_when_it_is_there(
    store: Store, reader: Reader
) -> None:
    assert await reader.missed(end(95), end(100)) == ENTRIES[95:]
    await store.log.write([entry(101), entry(102)])
    assert await reader.missed(end(95), end(101)) == [*ENTRIES[95:], entry(101)]
    assert await reader.missed(end(101), end(102)) == [entry(102)]
    page = await reader.pages.page(AUDIENCE, edition=FIRST, after=end(103), upto=end(103))
    assert page.newest(end(103)) == entry(102)


@pytest.mark.parametrize("seed", range(3))
async def test_whoever_asks_in_whatever_order_has_every_entry_once(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(paging, "MAX_KEPT", 60)
    generator = random.Random(seed)

    async def one() -> None:
        upto = generator.randrange(1, 105)
        after = generator.randrange(upto + 1)
        page = await reader.pages.page(AUDIENCE, edition=FIRST, after=end(after), upto=end(upto))
        newest = page.newest(end(after))
        assert (newest.size if newest else 0) == min(after, 100)
        found = await reader.missed(end(after), end(upto))
        assert found[: upto - after] == ENTRIES[after:upto]
        assert [each.position for each in found] == sorted({each.position for each in found})

    for _ in range(8):
        await asyncio.gather(*(one() for _ in range(10)))
    shelf = reader.shelf
    assert sum(len(page.entries) for page in shelf._pages.values()) == shelf._kept <= 60
    assert sum(map(len, shelf._starts.values())) == len(shelf._pages)


async def test_one_who_gives_up_while_reading_takes_nobody_along(reader: Reader) -> None:
    first = asyncio.create_task(reader.missed(end(90), end(100)))
    second = asyncio.create_task(reader.missed(end(90), end(100)))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == ENTRIES[90:]
    assert first.cancelled()
    assert not reader.shelf._reading


async def test_a_page_says_what_was_removed_of_it(store: Store, reader: Reader) -> None:
    past, removed = store.past("a"), ENTRIES[49]
    await past.remember(AUDIENCE, Cut(position=removed.position, at=removed.at, size=removed.size))
    await past.remove(AUDIENCE, first=ENTRIES[0].position, last=removed.position)
    page = await reader.pages.page(AUDIENCE, edition=FIRST, after=end(49), upto=end(100))
    assert page.is_cut(end(49))
    assert not page.is_cut(Position(removed.position))
    # The size at the cut is known, though its entry is gone.
    then = page.then(end(50))
    assert then is not None
    assert then.size == 50
    assert await reader.missed(end(50), end(100)) == ENTRIES[50:]


async def test_another_account_is_shown_nothing(store: Store, reader: Reader) -> None:
    await store.log.write([entry(101, EntryKind.RESET)])
    stranger = Reader(store, "b", reader.shelf)
    assert await reader.missed(end(90), end(100)) == ENTRIES[90:]
    assert await stranger.missed(end(90), end(100)) == []
    assert await reader.pages.resets(AUDIENCE, edition=FIRST) == (entry(101, EntryKind.RESET),)
    assert await stranger.pages.resets(AUDIENCE, edition=FIRST) == ()


async def test_the_resets_are_looked_up_once_in_an_edition(store: Store, reader: Reader) -> None:
    await store.log.write([entry(second, EntryKind.RESET) for second in (105, 103)])
    behind = Edition(1, Position(entry(105).position))
    for edition, reads in ((FIRST, 1), (FIRST, 1), (behind, 2), (Edition(2, BEGINNING), 3)):
        found = await asyncio.gather(*(reader.pages.resets(AUDIENCE, edition=edition) for _ in range(10)))
        assert found == [(entry(105, EntryKind.RESET),)] * 10
        assert reader.reads == ["resets"] * reads


async def test_what_was_withdrawn_from_the_log_is_shown_to_nobody_of_another_edition(
    store: Store, reader: Reader
) -> None:
    assert await reader.missed(end(90), end(100)) == ENTRIES[90:]
    await store.log.of("a").withdraw(AUDIENCE, after=end(95), before=end(100))
    # Of the same edition nobody asks any more.
    for edition in (Edition(1, end(100)), Edition(2, BEGINNING)):
        page = await reader.pages.page(AUDIENCE, after=end(90), upto=end(100), edition=edition)
        assert page.behind(end(90)) == ENTRIES[90:95]
