"""A log of which every entry follows from the one before, and what is said where one does not."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from bson import ObjectId

from domain.membership.replaying import Replayed, replay
from domain.membership.tally import Tally
from domain.store.log import EntryKind, LogEntry

AUDIENCE = ObjectId()
CONTACTS = [ObjectId() for _ in range(5)]


def entry(number: int, kind: EntryKind, tally: Tally, contact: ObjectId | None = None) -> LogEntry:
    return LogEntry(
        account="a",
        audience=AUDIENCE,
        position=str(number),
        kind=kind,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        size=tally.size,
        checksum=tally.checksum,
        contact=contact,
    )


def sound() -> list[LogEntry]:
    """An opening, five that join, and an edit that moves nobody."""
    tally = Tally()
    entries = [entry(0, EntryKind.OPENED, tally)]
    for number, contact in enumerate(CONTACTS, 1):
        tally = tally.after(contact, joined=True)
        entries.append(entry(number, EntryKind.JOINED, tally, contact))
    return [*entries, entry(9, EntryKind.REDEFINED, tally)]


async def replayed(entries: Sequence[LogEntry]) -> Replayed:
    async def each() -> AsyncIterator[LogEntry]:
        for one in entries:
            yield one

    return await replay(each())


@pytest.mark.parametrize("removed", range(4))
async def test_what_follows_from_each_other_has_no_breaks_wherever_it_begins(removed: int) -> None:
    """As after retention, which takes the beginning."""
    assert await replayed(sound()[removed:]) == Replayed()


async def test_nothing_has_no_breaks() -> None:
    assert await replayed([]) == Replayed()


@pytest.mark.parametrize("missing", [1, 2, 5])
async def test_a_missing_entry_is_a_break_at_the_one_behind_it(missing: int) -> None:
    entries = sound()
    behind = entries[missing + 1]
    moved = 0 if behind.contact is None else 1
    expected = Replayed(breaks=1, first=behind, follows=missing - 1 + moved)
    assert await replayed([*entries[:missing], *entries[missing + 1 :]]) == expected


async def test_another_contact_of_the_same_size_is_a_break() -> None:
    entries = sound()
    entries[2] = replace(entries[2], contact=ObjectId())
    found = await replayed(entries)
    assert (found.breaks, found.first, found.follows) == (1, entries[2], 2)


async def test_a_wrong_size_is_a_break_there_and_another_where_it_is_right_again() -> None:
    entries = sound()
    entries[3] = replace(entries[3], size=7)
    found = await replayed(entries)
    assert (found.breaks, found.first, found.follows) == (2, entries[3], 3)


@pytest.mark.parametrize("since", [None, "3"])
async def test_only_a_reset_of_everybody_begins_anew(since: str | None) -> None:
    entries = sound()
    del entries[2]
    reset = replace(entry(10, EntryKind.RESET, Tally(2, 99)), since=since)
    found = await replayed([*entries, reset])
    assert found.breaks == (0 if since is None else 2)
