"""Defining: what must be placed because an audience opens, because another criterion decides, or because a segment breaks.

Pure. Owns which queries and predicates belong to which definition, each read at the second in which it comes out of the stream.
Held by `tests/domain/membership/test_engine.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.audiences import Audience, difference
from domain.effects import Broke, Redefined
from domain.membership.freezing import Freezing
from domain.membership.position import Position, instant, second_of
from domain.membership.readings import Placement, Reading
from domain.rules.criterion import Criterion
from domain.store.checkpoint import Checkpoint
from domain.store.log import EntryKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the stream a definition came out, when it was made, and where to begin again to meet it once more."""

    account: str
    position: Position
    at: datetime
    restart_from: Checkpoint | None

    @property
    def instant(self) -> datetime:
        """The second as of which its rules are read."""
        return instant(second_of(self.position))


def opening(
    place: Place, audience: Audience, criterion: Criterion, kind: EntryKind, because: str | None
) -> Reading:
    """Counts the members of an audience that opens, or that is counted afresh."""
    return Reading(
        account=place.account,
        audience=audience.id,
        position=place.position,
        at=place.at,
        version=audience.version,
        kind=kind,
        was=None,
        becomes=criterion.predicate(place.instant),
        entering=criterion.query(place.instant),
        leaving=None,
        restart_from=place.restart_from,
        because=because,
    )


def redefinition(place: Place, effect: Redefined, last: Placement | None) -> Reading | None:
    """Finds who joins and who leaves because another criterion decides. None where there is nothing to find nor to tell.

    `last` is what of the audience is still under way: it is to learn that it ends here.
    """
    before, after = effect.before.query(place.instant), effect.after.query(place.instant)
    if before == after and not effect.edited and last is None:
        return None
    return Reading(
        account=place.account,
        audience=effect.segment.id,
        position=place.position,
        at=place.at,
        version=effect.segment.version,
        kind=EntryKind.REDEFINED if effect.edited else None,
        reason=effect.reason,
        was=effect.before.predicate(place.instant),
        becomes=effect.after.predicate(place.instant),
        entering=difference(after, before),
        leaving=difference(before, after),
        restart_from=place.restart_from,
        frozen=last if isinstance(last, Freezing) else None,
    )


def freezing(place: Place, effect: Broke) -> Freezing:
    """Marks whoever is in a segment that breaks."""
    return Freezing(
        account=place.account,
        audience=effect.segment.id,
        position=place.position,
        restart_from=place.restart_from,
        was=effect.before.predicate(place.instant),
        query=effect.before.query(place.instant),
        frozen=effect.mark,
    )
