"""Readings: placing a query of the database at one position of the stream.

A read takes time, and the stream goes on meanwhile. A reading belongs to the definition that came out of the stream at a
position; its queries begin after that, and a fence is written when they have ended. Until the fence comes out of the
stream, each contact that an event touches is noted with how the rules judged it *before* its first event: a contact that
nothing touched was read as it was at the position, and a touched one is put right by the note.

Owns the arithmetic; the engine owns the talking. Memory: 12 bytes for each identifier read, one note for each contact
touched meanwhile. Held by `tests/domain/membership/test_readings.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId

from domain.audiences import Predicate
from domain.membership.position import Position, of_edit
from domain.store.checkpoint import Checkpoint
from domain.store.log import EntryKind, Reason

_ID_BYTES = 12


class IdList:
    """Many ObjectIds in 12 bytes each."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def append(self, identifier: ObjectId) -> None:
        self._bytes += identifier.binary

    def __len__(self) -> int:
        return len(self._bytes) // _ID_BYTES

    def __iter__(self) -> Iterator[ObjectId]:
        for start in range(0, len(self._bytes), _ID_BYTES):
            yield ObjectId(bytes(self._bytes[start : start + _ID_BYTES]))

    def among(self, wanted: Iterable[ObjectId]) -> set[ObjectId]:
        """Which of `wanted` stand in the list. One pass over it, whatever the number wanted."""
        sought = {identifier.binary for identifier in wanted}
        if not sought:
            return set()
        view = bytes(self._bytes)
        found = (view[start : start + _ID_BYTES] for start in range(0, len(view), _ID_BYTES))
        return {ObjectId(identifier) for identifier in found if identifier in sought}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """Something that happened to an audience at a position: an entry of the log but for the size, which follows from order."""

    position: Position
    kind: EntryKind
    at: datetime
    reason: Reason | None = None
    contact: ObjectId | None = None
    version: int | None = None
    because: str | None = None


@dataclass(slots=True, kw_only=True)
class Reading:
    """One definition of an audience on its way to being told.

    `was` is the rule that ended at `position`, None where the audience opens (or is counted afresh) there; `becomes` is the
    one that began. `read` takes what the queries found: of an opening, who is in; of an edit, who is in by exactly one of the
    two rules.
    """

    account: str
    audience: ObjectId
    position: Position
    at: datetime
    version: int
    kind: EntryKind
    was: Predicate | None
    becomes: Predicate
    restart_from: Checkpoint | None
    """Where to begin again should the process end before this reading is done."""
    because: str | None = None
    mark: int | None = None
    """The number of the fence behind the reading, once written."""
    entered: IdList = field(default_factory=IdList)
    left: IdList = field(default_factory=IdList)
    held: list[Occurrence] = field(default_factory=list)
    """What happened to the audience behind this definition: kept back, because cursors must rise."""
    _touched: dict[ObjectId, tuple[bool, bool]] = field(default_factory=dict)

    def touch(self, contact: ObjectId, before: Mapping[str, Any] | None) -> None:
        """Note how both rules judge a contact by its first pre-image behind the position."""
        if contact not in self._touched:
            self._touched[contact] = (
                before is not None and self.was is not None and self.was(before),
                before is not None and self.becomes(before),
            )

    def size(self) -> int:
        """Of an opening: how many were in at the position."""
        read = self.entered.among(self._touched)
        truly = sum(1 for _, now in self._touched.values() if now)
        return len(self.entered) - len(read) + truly

    def definition(self) -> Occurrence:
        """The opening, redefinition or reset itself."""
        return Occurrence(
            position=self.position, kind=self.kind, at=self.at, version=self.version, because=self.because
        )

    def moves(self) -> list[Occurrence]:
        """Of an edit: who joined and who left at its position, in the order of contacts. An opening moves nobody."""
        if self.was is None:
            return []
        moves = [(contact, True) for contact in self.entered if contact not in self._touched]
        moves += [(contact, False) for contact in self.left if contact not in self._touched]
        moves += [(contact, now) for contact, (then, now) in self._touched.items() if then != now]
        return [
            Occurrence(
                position=of_edit(self.position, contact),
                kind=EntryKind.JOINED if joined else EntryKind.LEFT,
                at=self.at,
                reason=Reason.RULE_EDITED,
                contact=contact,
            )
            for contact, joined in sorted(moves)
        ]
