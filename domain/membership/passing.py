"""Passing: time goes by, and a moving rule says something else, although no contact has changed.

Whoever that moves is found by the slivers of the rule, read between fences like any other reading: a contact that no
event touches meanwhile is judged as it was read, one that is touched by its states, each for the time for which it was so.
Every move stands at the very second at which the rule turned for that contact, before any event of that second; so what is
told does not depend on when the engine looked, nor on how much time it had to catch up with at once.

Owns the arithmetic. Memory: one note for each contact that moves, and for each that is touched what the rule reads of it.
Cost: the contacts in the slivers, whatever the number of the others. Held by `tests/domain/membership/test_time.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId, Timestamp

from domain.membership import position as positions
from domain.membership.changes import ContactDocument, Transition
from domain.membership.position import instant
from domain.membership.readings import Occurrence, PassFence, Placement
from domain.rules.criterion import Criterion
from domain.rules.tree import paths_read
from domain.store.log import EntryKind, Reason
from domain.store.scope import Scoped

Flips = list[tuple[datetime, bool]]


@dataclass(slots=True, kw_only=True, eq=False)
class Passing(Placement):
    """The moves of one audience after the second `since`, up to and in the second `until`, which only ever comes nearer."""

    criterion: Criterion
    since: int
    until: int
    ended: bool = False
    """Another definition of the audience has come behind: nothing is to be looked for after `until`."""
    _read: dict[ObjectId, Flips] = field(default_factory=dict)
    _touched: dict[ObjectId, _Touched] = field(default_factory=dict)

    _paths: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._paths = paths_read(self.criterion.rule)

    async def ask(self, contacts: Scoped, pass_fence: PassFence) -> None:  # noqa: ARG002 # asks once
        for sliver in self.criterion.slivers(instant(self.since), instant(self.until)):
            async for document in contacts.stream(sliver, projection=dict.fromkeys(self._paths, 1)):
                contact = document["_id"]
                if isinstance(contact, ObjectId) and (found := self._flips(document, self.since, self.until)):
                    self._read[contact] = found

    def touch(self, transition: Transition, time: Timestamp) -> None:
        contact, upto = transition.contact, min(time.time, self.until)
        touched = self._touched.get(contact)
        if touched is None:
            touched = self._touched[contact] = _Touched(since=self.since, state=transition.before)
        if touched.since < upto:
            touched.flips += self._flips(touched.state, touched.since, upto)
            touched.since = upto
        touched.state = self._kept(transition.after) if time.time <= self.until else None

    def end(self, second: int) -> None:
        if not self.ended:
            self.until = min(self.until, second)
            self.ended = True

    def occurrences(self, second: int) -> list[Occurrence]:
        self.until = min(self.until, second)
        told = list(self.held)
        for contact, flips in self._read.items():
            if contact not in self._touched:
                told += self._moves(contact, flips)
        for contact, touched in self._touched.items():
            flips = touched.flips
            if touched.since < self.until:
                flips = [*flips, *self._flips(touched.state, touched.since, self.until)]
            told += self._moves(contact, flips)
        return sorted(told, key=lambda happened: happened.position)

    def _flips(self, contact: ContactDocument | None, since: int, until: int) -> Flips:
        return [] if contact is None else self.criterion.flips(contact, instant(since), instant(until))

    def _kept(self, contact: ContactDocument | None) -> ContactDocument | None:
        """What the rule reads of a contact."""
        if contact is None:
            return None
        kept: dict[str, Any] = {}
        for path in self._paths:
            whole, _, key = path.partition(".")
            value = contact.get(whole)
            if not key:
                kept[whole] = value
            elif isinstance(value, Mapping) and key in value:
                kept.setdefault(whole, {})[key] = value[key]
        return kept

    def _moves(self, contact: ObjectId, flips: Flips) -> list[Occurrence]:
        until = instant(self.until)
        return [
            Occurrence(
                position=positions.of_passing(int(at.timestamp()), contact),
                kind=EntryKind.JOINED if joined else EntryKind.LEFT,
                at=at,
                reason=Reason.TIME_PASSED,
                contact=contact,
            )
            for at, joined in flips
            if at <= until
        ]


@dataclass(slots=True, kw_only=True)
class _Touched:
    """A contact as of the second `since`, and the flips found before. None: it is not there, or no longer looked at."""

    since: int
    state: ContactDocument | None
    flips: Flips = field(default_factory=list)
