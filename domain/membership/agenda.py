"""The agenda of a run: what is in force where it stands, and what must be placed because of it.

Owns the definitions and the turns of moving rules. Whatever is defined, turns, or is to be held against its query becomes a
placement here, or happens at once; what it comes to is told elsewhere (`run`). Held by
`tests/domain/membership/test_engine.py`, `tests/domain/membership/test_time.py` and
`tests/domain/membership/test_reconciling.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Protocol

from bson import ObjectId

from domain.audiences import Audience
from domain.effects import Broke, Effect, Ended, Opened, Redefined
from domain.membership import position as positions
from domain.membership.defining import Place, freezing, opening, redefinition
from domain.membership.in_force import InForce
from domain.membership.passing import Passing
from domain.membership.placing import Placements
from domain.membership.position import Position, instant
from domain.membership.readings import Occurrence
from domain.membership.reconciling import Gap, reconciling
from domain.membership.turns import Key, Turns
from domain.rules.criterion import Criterion
from domain.store.checkpoint import Checkpoint
from domain.store.client import Document
from domain.store.definitions import read_definitions
from domain.store.log import EntryKind
from domain.store.requests import Believed
from domain.store.store import Store

CATCHING_UP_SECONDS = 5
"""How far the stream may lie behind this machine's clock before turns are taken together up to now."""

Happen = Callable[[str, ObjectId, Occurrence], Awaitable[None]]
"""Told what happened to an account's audience without anything to be asked."""


class Places(Protocol):
    """The place of one event, for whichever account it concerns."""

    def __call__(self, *, account: str) -> Place: ...


class Agenda:
    """One run's. `tasks`: where what must be asked is asked."""

    tasks: asyncio.TaskGroup

    def __init__(
        self,
        store: Store,
        placements: Placements,
        until_logged: Callable[[], Awaitable[None]],
        happen: Happen,
    ) -> None:
        self._store = store
        self._placements = placements
        self._until_logged = until_logged
        self._happen = happen
        self._turns = Turns()
        self.in_force = InForce()

    # ---- time ------------------------------------------------------------------------------------------------------

    def begin(self, second: int) -> None:
        """Everything up to this second is done of all that moves by itself."""
        for account, catalogue in self.in_force.catalogues.items():
            for audience, criterion in catalogue.moving.items():
                self._turns.put(Key(account, audience), criterion, instant(second))

    def come_to(self, second: int, reached: Checkpoint | None) -> None:
        """Before any event of a second: whoever moving rules move by its coming is looked for."""
        due = self._turns.due(instant(second))
        now = int(time.time()) if due else second
        until = now if now - second > CATCHING_UP_SECONDS else second
        for key, turn in due:
            criterion = self.in_force.catalogues[key.account].criterion(key.audience)
            turned = int(turn.timestamp())
            self._placements.put(
                self.tasks,
                Passing(
                    account=key.account,
                    audience=key.audience,
                    position=positions.of_turn(turned),
                    restart_from=reached,
                    criterion=criterion,
                    since=turned - 1,
                    until=until,
                ),
            )
            self._turns.put(key, criterion, instant(until))

    def passed(self, passing: Passing) -> None:
        """Whoever moved by the coming of time has been found, up to where that went."""
        key = Key(passing.account, passing.audience)
        self._turns.put(key, passing.criterion, instant(passing.until))

    # ---- definitions -----------------------------------------------------------------------------------------------

    async def define(self, document: Document, places: Places) -> None:
        """Take in a version of a definition; audiences are opened, edited, frozen and ended by it."""
        for definition in read_definitions([document]):
            for effect in self.in_force.apply(definition):
                await self._effect(effect, places(account=definition.account))

    async def _effect(self, effect: Effect, place: Place) -> None:
        match effect:
            case Opened(audience, criterion):
                self._open(place, audience, criterion, EntryKind.OPENED)
            case Redefined(segment=segment, after=criterion):
                self._turns.put(Key(place.account, segment.id), criterion, place.instant)
                found = redefinition(place, effect, self._placements.last(segment.id))
                if found is not None:
                    self._placements.put(self.tasks, found)
            case Broke(segment=segment):
                self._turns.drop(Key(place.account, segment.id))
                self._placements.put(self.tasks, freezing(place, effect))
            case Ended(audience):
                self._turns.drop(Key(place.account, audience.id))
                await self.end(place, audience.id)

    def _open(
        self,
        place: Place,
        audience: Audience,
        criterion: Criterion,
        kind: EntryKind,
        because: str | None = None,
    ) -> None:
        self._turns.put(Key(place.account, audience.id), criterion, place.instant)
        self._placements.put(self.tasks, opening(place, audience, criterion, kind, because))

    async def end(self, place: Place, audience: ObjectId) -> None:
        """The audience is not there any more."""
        ended = Occurrence(position=place.position, kind=EntryKind.ENDED, at=place.at)
        await self._happen(place.account, audience, ended)

    # ---- where the stream cannot tell ------------------------------------------------------------------------------

    def count_afresh(self, key: Key, place: Place, because: str) -> None:
        """Begin the audience's log anew, where there is such an audience."""
        if (found := self.in_force.find(key)) is not None:
            self._open(place, *found, EntryKind.RESET, because)

    def reconcile(
        self, key: Key, place: Place, *, suspects: Mapping[ObjectId, Position] | None = None
    ) -> None:
        """Hold the audience's log against its query, where there is such an audience."""
        if (found := self.in_force.find(key)) is not None:
            self._reconcile(place, *found, suspects=suspects)

    def _reconcile(
        self,
        place: Place,
        audience: Audience,
        criterion: Criterion,
        *,
        gap: Gap | None = None,
        suspects: Mapping[ObjectId, Position] | None = None,
    ) -> None:
        self._turns.put(Key(place.account, audience.id), criterion, place.instant)
        found = reconciling(
            place,
            audience,
            criterion,
            self._store.log.of(place.account),
            self._store.past(place.account),
            self._until_logged,
            gap=gap,
            suspects=suspects,
        )
        self._placements.put(self.tasks, found)

    async def begin_afresh(
        self, places: Places, because: str, believed: Believed | None, known: Container[ObjectId]
    ) -> None:
        """Hold every audience's log against its query, or count it afresh where nothing vouches for the log, that has `known`.

        A segment that broke in the part of the stream that is lost, so that its members may not all have been marked, is looked at
        by the rule that it had, and is frozen here.
        """
        for account, catalogue in self.in_force.catalogues.items():
            place = places(account=account)
            for audience in catalogue.audiences():
                breaking = self.in_force.unfinished_breaking(
                    account, audience, believed, known=audience.id in known
                )
                criterion = catalogue.criterion(audience.id) if breaking is None else breaking.before
                if believed is not None:
                    self._reconcile(place, audience, criterion, gap=Gap(Position(believed.position), because))
                elif audience.id in known:
                    self._open(place, audience, criterion, EntryKind.RESET, because)
                else:
                    self._open(place, audience, criterion, EntryKind.OPENED)
                if breaking is not None:
                    await self._effect(breaking, place)
