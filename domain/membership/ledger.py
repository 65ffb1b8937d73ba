"""The ledger of a run: what happened becomes entries of the log, each with the tally that follows from the one before.

Owns the tallies, one for each audience that has moved in this run, and the entries that are not handed on yet. Held by
`tests/domain/membership/test_engine.py`. Cost: an audience's first entry in a run costs one look-up in the log.
"""

from __future__ import annotations

from bson import ObjectId

from domain.membership import position as positions
from domain.membership.readings import Occurrence
from domain.membership.tally import Tally
from domain.store.log import MOVES, EntryKind, LogEntry, MembershipLog
from domain.store.stream import HistoryLost


class Ledger:
    """One run's. `start` is the position behind which it makes all entries itself."""

    def __init__(self, log: MembershipLog) -> None:
        self._log = log
        self._tallies: dict[ObjectId, Tally] = {}
        self._entries: list[LogEntry] = []
        self.start = positions.BEGINNING

    def __len__(self) -> int:
        """How many entries are not handed on yet."""
        return len(self._entries)

    def put(self, audience: ObjectId, tally: Tally) -> None:
        """The tally from which the audience's next entry follows."""
        self._tallies[audience] = tally

    async def add(self, account: str, audience: ObjectId, happened: Occurrence) -> None:
        """Make an entry of what happened. Raises `HistoryLost` where the log does not know the audience."""
        tally = await self._tally(account, audience)
        if happened.kind in MOVES and happened.contact is not None:
            tally = tally.after(happened.contact, joined=happened.kind is EntryKind.JOINED)
        self._tallies[audience] = tally
        self._entries.append(
            LogEntry(
                account=account,
                audience=audience,
                position=happened.position,
                kind=happened.kind,
                at=happened.at,
                size=tally.size,
                checksum=tally.checksum,
                reason=happened.reason,
                contact=happened.contact,
                version=happened.version,
                because=happened.because,
                since=happened.since,
            )
        )
        if happened.kind is EntryKind.ENDED:
            del self._tallies[audience]

    def take(self) -> tuple[LogEntry, ...]:
        """The entries since the last call, in their order."""
        entries, self._entries = tuple(self._entries), []
        return entries

    async def _tally(self, account: str, audience: ObjectId) -> Tally:
        tally = self._tallies.get(audience)
        if tally is None:
            newest = await self._log.of(account).newest(audience, upto=self.start)
            if newest is None:
                raise HistoryLost(f"the log holds no opening of audience {audience}")
            tally = tally_of(newest)
        return tally


def tally_of(entry: LogEntry) -> Tally:
    """Who is in after an entry."""
    return Tally(entry.size, entry.checksum)
