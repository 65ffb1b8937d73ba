"""Freezing: a segment breaks, and whoever was in it at that position of the stream stays in.

Its members are read between fences like those of an opening, and then each of them is given the segment's mark: from there
on "carries the mark" is the segment's rule like any other. Until every mark has been written, nobody can be told by marks, so
what the marks say meanwhile is passed over, and the deletion of a member, which alone lets it leave, is told from here.

Owns the arithmetic and the writing of marks, which does nothing where it is done again: who is marked follows from the position,
and a mark is of one breaking alone. So an engine that was stopped in the middle and returns after another took over writes marks
that are there already, or that nothing looks at any more. Memory: the identifiers of the members, and one note for each contact
that anything but a mark touches meanwhile. Cost: one write for each member. Held by `tests/domain/membership/test_freezing.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from bson import ObjectId, Timestamp

from domain.membership import position as positions
from domain.membership.changes import Transition
from domain.membership.readings import IdList, Occurrence, PassFence, Placement, read_ids
from domain.rules.predicate import Predicate
from domain.rules.query import Query
from domain.rules.tree import Carries
from domain.store.log import MOVES, EntryKind, Reason
from domain.store.scope import Scoped

MARKS_AT_ONCE = 500


@dataclass(slots=True, kw_only=True, eq=False)
class Freezing(Placement):
    """`was` and `query` read the rule that ended at `position`."""

    was: Predicate
    query: Query
    frozen: Carries
    done: asyncio.Event = field(default_factory=asyncio.Event)
    _read: IdList = field(default_factory=IdList)
    _touched: dict[ObjectId, bool] = field(default_factory=dict)
    _deleted: dict[ObjectId, Occurrence] = field(default_factory=dict)
    _members: set[ObjectId] | None = None
    _ended: bool = False

    async def ask(self, contacts: Scoped, pass_fence: PassFence) -> None:
        await read_ids(contacts, self.query, self._read)
        await pass_fence()
        self._members = {contact for contact in self._read if contact not in self._touched}
        self._members |= {contact for contact, was in self._touched.items() if was}
        mark = {self.frozen.path: self.frozen.value}
        await _write(contacts, self._members - self._deleted.keys(), {"$addToSet": mark})
        await pass_fence()
        # Whoever was deleted and made again under the same identifier meanwhile has left, and may have got the mark.
        await _write(contacts, self._members & self._deleted.keys(), {"$pull": mark})

    def touch(self, transition: Transition, time: Timestamp) -> None:
        contact = transition.contact
        if self._only_marked(transition):
            return
        self._touched.setdefault(contact, transition.before is not None and self.was(transition.before))
        if transition.after is None and not self._ended:
            self._deleted.setdefault(
                contact,
                Occurrence(
                    position=positions.of_change(time, contact),
                    kind=EntryKind.LEFT,
                    at=transition.at,
                    reason=Reason.CONTACT_DELETED,
                    contact=contact,
                ),
            )

    def _only_marked(self, transition: Transition) -> bool:
        """Whether nothing but marks has changed, which no rule reads that can break: else a million would be noted."""
        before, after, path = transition.before, transition.after, self.frozen.path
        if before is None or after is None or before.keys() - {path} != after.keys() - {path}:
            return False
        # What an update does not touch is shared between the two.
        return all(after[name] is value for name, value in before.items() if name != path)

    def hold(self, happened: Occurrence) -> None:
        if happened.kind not in MOVES:
            self.held.append(happened)

    def end(self, second: int) -> None:  # noqa: ARG002 # this has no instants
        self._ended = True

    def holds(self, contact: ObjectId) -> bool:
        return self._members is not None and contact in self._members and contact not in self._deleted

    def occurrences(self, second: int) -> list[Occurrence]:  # noqa: ARG002 # as above
        self.done.set()
        members = self._members or set()
        told = [happened for contact, happened in self._deleted.items() if contact in members]
        return sorted([*told, *self.held], key=lambda happened: happened.position)


async def _write(contacts: Scoped, identifiers: Collection[ObjectId], update: Query) -> None:
    ordered = sorted(identifiers)
    for start in range(0, len(ordered), MARKS_AT_ONCE):
        some = ordered[start : start + MARKS_AT_ONCE]
        await contacts.write(updates=[({"_id": contact}, update) for contact in some])
