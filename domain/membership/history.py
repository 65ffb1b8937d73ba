"""History: how an audience grew, and how one contact came and went, as far back as the log is kept.

Owns what can be said of the past and what cannot. Nothing is told of the time before retention cut the log; nor is a size or a
joining told that lies in a lost part of the stream, between a reset and the last entry before it. Everything is read with what was
committed before the call counted. Held by `tests/domain/membership/test_history.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from domain.errors import InvalidValue, LimitExceeded
from domain.membership.feed import Feed
from domain.membership.position import Position, at_second, instant, second_of
from domain.store.log import EntryKind, LogEntry, Reason
from domain.store.past import Past, later

MAX_POINTS = 500
READ_AT_ONCE = 50
MOST_MOVES = 200
"""Of one contact."""
MOST_MOVES_TOGETHER = 20_000
"""Of several contacts, each of which is read whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Sizes at instants, in order. `left_out`: at how many more it was asked for and cannot be told."""

    sizes: Sequence[tuple[datetime, int]]
    left_out: int
    complete_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Of one contact in one audience. `since` and `reason` are a member's, of its joining; None where the log does not tell.

    `moves` are its newest joins and leaves, newest first.
    """

    member: bool
    since: datetime | None
    reason: Reason | None
    moves: Sequence[LogEntry]
    complete_since: datetime | None


class History:
    """One account's."""

    def __init__(self, feed: Feed, past: Past) -> None:
        self._feed = feed
        self._past = past

    # ---- sizes -----------------------------------------------------------------------------------------------------

    async def growth(
        self, audience: ObjectId, *, since: datetime, until: datetime | None, points: int
    ) -> Growth:
        """The sizes at so many evenly spaced instants from `since` to `until`, or to now, in whole seconds.

        A size counts what the coming of its second moved, as by a rule about today at midnight, and no event of that second.

        Cost: a query for every `READ_AT_ONCE` entries between the instants, and never more than one for an instant, for where
        more lies between two of them it is passed over. Raises `InvalidValue`, `LimitExceeded` and `Unavailable`.
        """
        upto = await self._feed.reach_now(audience)
        last = second_of(upto)
        seconds = _evenly(int(since.timestamp()), last if until is None else int(until.timestamp()), points)
        places = {second: at_second(second) for second in seconds if 0 <= second <= last}
        newest = await self._newest(audience, list(places.values()))
        lost = await self._lost(audience, after=min(places.values(), default=upto))
        cut = await self._past.cut(audience)
        sizes = []
        for second, place in places.items():
            then = later(newest.get(place), cut)
            if then is None or place <= then.position or any(start < place <= end for start, end in lost):
                continue
            sizes.append((instant(second), then.size))
        return Growth(
            sizes=sizes,
            left_out=len(seconds) - len(sizes),
            complete_since=None if cut is None else cut.at,
        )

    async def _newest(self, audience: ObjectId, places: Sequence[Position]) -> dict[Position, LogEntry]:
        """The newest entry before each place, as far as there is one. The places rise."""
        found: dict[Position, LogEntry] = {}
        waiting = list(places)
        while waiting:
            page = await self._past.back(audience, before=waiting[-1], limit=READ_AT_ONCE)
            for entry in page:
                while waiting and entry.position < waiting[-1]:
                    found[waiting.pop()] = entry
            if len(page) < READ_AT_ONCE:
                break
        return found

    async def _lost(self, audience: ObjectId, after: Position) -> list[tuple[str, str]]:
        """Between which places behind `after` nobody can tell what happened."""
        lost = []
        for reset in await self._past.resets(audience, after=after):
            before = await self._past.back(audience, before=reset.position, limit=1)
            believed = reset.since or (before[0].position if before else "")
            lost.append((believed, reset.position))
        return lost

    # ---- memberships -----------------------------------------------------------------------------------------------

    async def memberships(
        self, audience: ObjectId, contacts: Mapping[ObjectId, bool]
    ) -> dict[ObjectId, Membership]:
        """Of each of these contacts, which were read before the call: with it, whether the rule says that it is a member.

        The log's word stands above the rule's, because it is later; of a contact that it says nothing of, the rule's is as good.

        Cost: one query, for several contacts as for one. Raises `LimitExceeded` and `Unavailable`.
        """
        await self._feed.reach_now(audience)
        alone = len(contacts) == 1
        most = MOST_MOVES if alone else MOST_MOVES_TOGETHER
        moves = await self._past.moves_of(audience, list(contacts), limit=most if alone else most + 1)
        if sum(map(len, moves.values())) > most:
            raise LimitExceeded(
                f"These contacts joined and left more than {most:,} times. Ask for fewer of them at once."
            )
        # Those of everybody: where the others stand, the log's word holds on both sides.
        resets = [each for each in await self._past.resets(audience, after="") if each.since is None]
        cut = await self._past.cut(audience)
        removed = "" if cut is None else cut.position
        lost = max(removed, resets[-1].position if resets else "")
        found = {}
        for contact, by_rule in contacts.items():
            kept = [entry for entry in moves[contact] if entry.position > removed][:MOST_MOVES]
            last = kept[0] if kept and kept[0].position > lost else None
            member = by_rule if last is None else last.kind is EntryKind.JOINED
            joining = last if member else None
            found[contact] = Membership(
                member=member,
                since=None if joining is None else joining.at,
                reason=None if joining is None else joining.reason,
                moves=kept,
                complete_since=None if cut is None else cut.at,
            )
        return found


def _evenly(first: int, last: int, points: int) -> list[int]:
    """Rising seconds from the first to the last, no two the same: fewer than `points` where there are not as many."""
    if points > MAX_POINTS:
        raise LimitExceeded(f"A size is told at {MAX_POINTS} points at most.", path=("points",))
    if points < 2:
        raise InvalidValue("At least two points are wanted: the first and the last.", path=("points",))
    if first >= last:
        raise InvalidValue("A time after “since” is wanted, and now is not.", path=("until",))
    return sorted({first + (last - first) * number // (points - 1) for number in range(points)})
