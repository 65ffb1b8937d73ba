"""Turns: when each moving audience's rule says something else next.

Pure. Owns the schedule. Cost: logarithmic in the number of moving audiences for each turn, nothing for a second in which
none is due. Held by `tests/domain/membership/test_time.py`.
"""

from __future__ import annotations

from datetime import datetime
from heapq import heappop, heappush
from typing import NamedTuple

from bson import ObjectId

from domain.rules.criterion import Criterion


class Key(NamedTuple):
    """An audience of an account."""

    account: str
    audience: ObjectId


class Turns:
    """The next turn of each audience."""

    def __init__(self) -> None:
        self._next: dict[Key, datetime] = {}
        self._order: list[tuple[datetime, Key]] = []

    def put(self, key: Key, criterion: Criterion, instant: datetime) -> None:
        """The audience is decided by the criterion, and everything up to the instant is done."""
        turn = criterion.next_turn(instant) if criterion.is_moving else None
        if turn is None:
            self.drop(key)
        elif self._next.get(key) != turn:
            self._next[key] = turn
            heappush(self._order, (turn, key))

    def drop(self, key: Key) -> None:
        """The audience moves no more by itself."""
        self._next.pop(key, None)

    def due(self, instant: datetime) -> list[tuple[Key, datetime]]:
        """The audiences whose turn has come by the instant, each with it; they are to be put again."""
        found = []
        while self._order and self._order[0][0] <= instant:
            turn, key = heappop(self._order)
            if self._next.get(key) == turn:
                del self._next[key]
                found.append((key, turn))
        return found
