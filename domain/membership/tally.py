"""Tallies: how many contacts are in an audience, and a checksum of who they are.

Pure. A tally follows from the one before and from who joined or left, as a size does; so each entry of the log carries one,
and whether the members by the log are those by the query is told without listing either. Two sets of as many contacts have
one checksum by chance once in 2**64. A checksum is the exclusive or of its members' own, so from the difference between two
of them it can be worked out which of some contacts make it up (`made_up_of`).

Held by `tests/domain/membership/test_tally.py`. Cost: one hash of twelve bytes for each move.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bson import ObjectId

_BYTES = 8
MOST_CANDIDATES = 32
"""Of so many contacts some make up a given checksum by chance once in 2**32."""


def checksum_of(contact: ObjectId) -> int:
    """A contact's own checksum: 64 bits, with a sign, as the database keeps whole numbers."""
    digest = hashlib.blake2b(contact.binary, digest_size=_BYTES).digest()
    return int.from_bytes(digest, "big", signed=True)


@dataclass(frozen=True, slots=True)
class Tally:
    size: int = 0
    checksum: int = 0

    def after(self, contact: ObjectId, *, joined: bool) -> Tally:
        """The tally once the contact has joined, or left."""
        return Tally(self.size + (1 if joined else -1), self.checksum ^ checksum_of(contact))

    def after_all(self, moves: Iterable[tuple[ObjectId, bool]]) -> Tally:
        """The tally once each of these contacts has joined (True) or left."""
        tally = self
        for contact, joined in moves:
            tally = tally.after(contact, joined=joined)
        return tally


def made_up_of(checksum: int, candidates: Sequence[ObjectId]) -> frozenset[ObjectId] | None:
    """Which of the candidates together have this checksum; None where no choice of them has, or where they are too many.

    Elimination over bits: a system of as many unknowns as there are candidates, and 64 equations.
    """
    if len(candidates) > MOST_CANDIDATES:
        return None
    reduced: list[tuple[int, frozenset[ObjectId]]] = []
    for candidate in candidates:
        rest, who = _reduce(checksum_of(candidate), frozenset({candidate}), reduced)
        if rest:
            reduced.append((rest, who))
    rest, who = _reduce(checksum, frozenset(), reduced)
    return None if rest else who


def _reduce(
    checksum: int, who: frozenset[ObjectId], reduced: list[tuple[int, frozenset[ObjectId]]]
) -> tuple[int, frozenset[ObjectId]]:
    for other, others in reduced:
        # The lowest bit of `other` stands in none of those behind it.
        if checksum & other & -other:
            checksum, who = checksum ^ other, who ^ others
    return checksum, who
