"""Readings: placing a query of the database at one position of the stream.

A read takes time, and the stream goes on meanwhile. A reading belongs to the definition that came out of the stream at a
position; its queries begin after that, and a fence is written when they have ended. Until the fence comes out of the
stream, each contact that an event touches is noted with how the rules judged it *before* its first event: a contact that
nothing touched was read as it was at the position, and a touched one is put right by the note.

Owns the arithmetic of openings and edits, and what everything that is being placed has in common. Memory: 12 bytes for each
identifier read, one note for each contact touched meanwhile. Held by `tests/domain/membership/test_readings.py`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, Protocol

from bson import ObjectId, Timestamp

from domain.membership.changes import Transition
from domain.membership.position import Position, of_edit
from domain.membership.tally import Tally
from domain.rules.predicate import Predicate
from domain.rules.query import Query
from domain.store.checkpoint import Checkpoint
from domain.store.log import EntryKind, Reason
from domain.store.scope import Scoped

_ID_BYTES = 12
_LEFT, _JOINED = b"\x00", b"\x01"


class IdList:
    """Many ObjectIds in 12 bytes each, and their tally."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.tally = Tally()

    def append(self, identifier: ObjectId) -> None:
        self._bytes += identifier.binary
        self.tally = self.tally.after(identifier, joined=True)

    def __len__(self) -> int:
        return len(self._bytes) // _ID_BYTES

    def sort(self) -> None:
        """Into the order of identifiers, so that `holds` finds them."""
        view = bytes(self._bytes)
        self._bytes = bytearray().join(
            sorted(view[start : start + _ID_BYTES] for start in range(0, len(view), _ID_BYTES))
        )

    def holds(self, identifier: ObjectId) -> bool:
        """Whether it stands in the list, which has been sorted."""
        wanted, places = identifier.binary, range(len(self))
        place = bisect_left(places, wanted, key=self._at)
        return place < len(self) and self._at(place) == wanted

    def _at(self, place: int) -> bytes:
        return bytes(self._bytes[place * _ID_BYTES : (place + 1) * _ID_BYTES])

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
    since: Position | None = None


PassFence = Callable[[], Awaitable[None]]
"""Writes a fence, and returns when it has come out of the stream."""


@dataclass(slots=True, kw_only=True, eq=False)
class Placement(ABC):
    """Something about an audience that is on its way to being told, because the database must be asked first."""

    account: str
    audience: ObjectId
    position: Position
    restart_from: Checkpoint | None
    """Where to begin again should the process end before this is done."""
    mark: int | None = None
    """The number of the fence behind the asking, once written."""
    held: list[Occurrence] = field(default_factory=list)
    """What happened to the audience behind `position`: kept back, because cursors must rise."""
    first: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once everything of the audience before this has been told."""

    @abstractmethod
    async def ask(self, contacts: Scoped, pass_fence: PassFence) -> None:
        """Ask the database; a fence is written when this returns."""

    @abstractmethod
    def touch(self, transition: Transition, time: Timestamp) -> None:
        """Note a change of a contact that comes out of the stream behind `position`."""

    def hold(self, happened: Occurrence) -> None:
        """Keep back what happened to the audience behind `position`."""
        self.held.append(happened)

    @abstractmethod
    def end(self, second: int) -> None:
        """Another definition of the audience comes behind, in this second."""

    def settles(self, happened: Occurrence) -> bool:  # noqa: ARG002 # most settle nothing
        """Whether what happened before `position` is not to be told, because this finds out what it comes to."""
        return False

    @abstractmethod
    def occurrences(self, second: int) -> Iterable[Occurrence]:
        """Everything to be told, in the order of positions, once the fence has come out of the stream, in this second."""


class FrozenMembers(Protocol):
    """The members of a segment that is being frozen."""

    done: asyncio.Event

    def holds(self, contact: ObjectId) -> bool:
        """Whether the contact is one of them and has not been deleted."""


@dataclass(slots=True, kw_only=True, eq=False)
class Reading(Placement):
    """One definition of an audience: it opens (or is counted afresh) or gets another rule.

    `was` is the rule that ended at `position`, None where the audience opens there; `becomes` is the one that began.
    `entering` and `leaving` are the queries: of an opening, who is in; of an edit, who is in by exactly one of the two rules.
    """

    at: datetime
    kind: EntryKind | None
    """None where nothing is to be told but who moved: the audience's own rule was not edited."""
    version: int
    reason: Reason = Reason.RULE_EDITED
    was: Predicate | None
    becomes: Predicate
    entering: Query
    leaving: Query | None
    because: str | None = None
    frozen: FrozenMembers | None = None
    """Of the mending of a segment whose freezing is still under way: who decides on who was in."""
    entered: IdList = field(default_factory=IdList)
    left: IdList = field(default_factory=IdList)
    _touched: dict[ObjectId, tuple[bool, bool]] = field(default_factory=dict)

    async def ask(self, contacts: Scoped, pass_fence: PassFence) -> None:  # noqa: ARG002 # asks once
        if self.frozen is not None:
            await self.frozen.done.wait()
        for query, found in ((self.entering, self.entered), (self.leaving, self.left)):
            if query is not None:
                await read_ids(contacts, query, found)

    def touch(self, transition: Transition, time: Timestamp) -> None:  # noqa: ARG002 # its first change counts
        """Note how both rules judge a contact by its first pre-image behind the position."""
        contact, before = transition.contact, transition.before
        if contact not in self._touched:
            self._touched[contact] = (
                before is not None and self.was is not None and self.was(before),
                before is not None and self.becomes(before),
            )

    def end(self, second: int) -> None:
        """What is read here belongs to one position, whatever comes behind."""

    def tally(self) -> Tally:
        """Of an opening: who was in at the position."""
        tally = self.entered.tally.after_all((each, False) for each in self.entered.among(self._touched))
        return tally.after_all((contact, True) for contact, (_, now) in self._touched.items() if now)

    def occurrences(self, second: int) -> Iterable[Occurrence]:  # noqa: ARG002 # it belongs to one position
        return chain(self.definition(), self.moves(), self.held)

    def definition(self) -> list[Occurrence]:
        """The opening, redefinition or reset itself."""
        if self.kind is None:
            return []
        return [
            Occurrence(
                position=self.position, kind=self.kind, at=self.at, version=self.version, because=self.because
            )
        ]

    def moves(self) -> Iterator[Occurrence]:
        """Of an edit: who joined and who left at its position, in the order of contacts. An opening moves nobody."""
        for packed in sorted(self._moves()):
            contact = ObjectId(packed[:_ID_BYTES])
            yield Occurrence(
                position=of_edit(self.position, contact),
                kind=EntryKind.JOINED if packed[_ID_BYTES:] == _JOINED else EntryKind.LEFT,
                at=self.at,
                reason=self.reason,
                contact=contact,
            )

    def _moves(self) -> Iterator[bytes]:
        """Who moved, each contact in 13 bytes: there can be many."""
        if self.was is None:
            return
        for found, moved in ((self.entered, _JOINED), (self.left, _LEFT)):
            yield from (contact.binary + moved for contact in found if contact not in self._touched)
        for contact, (then, now) in self._touched.items():
            if now is not (then if self.frozen is None else self.frozen.holds(contact)):
                yield contact.binary + (_JOINED if now else _LEFT)


async def read_ids(contacts: Scoped, query: Mapping[str, Any], found: IdList) -> None:
    """The identifiers of the contacts that match. Another program's documents with other identifiers are no contacts."""
    async for document in contacts.stream(query, projection={"_id": 1}):
        if isinstance(document["_id"], ObjectId):
            found.append(document["_id"])
