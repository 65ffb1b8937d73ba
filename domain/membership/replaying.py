"""Replaying: whether the entries of an audience's log follow from each other.

Pure. Each entry's tally must be that of the one before with its own move. What does not follow is a *break*: an entry is
missing there, or one too many, or one was written over; who goes through the log from before it to behind it is told
something else than happened. The first entry, an opening and a reset of everybody begin anew. Held by
`tests/domain/membership/test_replaying.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from domain.membership.ledger import tally_of
from domain.membership.tally import Tally
from domain.store.log import MOVES, EntryKind, LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How many breaks there are behind the last beginning, the entry at the first of them, and the size that should stand there."""

    breaks: int = 0
    first: LogEntry | None = None
    follows: int = 0


async def replay(entries: AsyncIterator[LogEntry]) -> Replayed:
    """Go through the entries from first to last. Memory: one of them."""
    found = Replayed()
    tally: Tally | None = None
    async for entry in entries:
        if entry.begins:
            found, tally = Replayed(), None
        if tally is not None:
            if entry.kind in MOVES and entry.contact is not None:
                tally = tally.after(entry.contact, joined=entry.kind is EntryKind.JOINED)
            if tally != tally_of(entry):
                found = Replayed(
                    breaks=found.breaks + 1,
                    first=found.first or entry,
                    follows=found.follows if found.first else tally.size,
                )
        # What comes behind a break is held against what the entry there says.
        tally = tally_of(entry)
    return found
