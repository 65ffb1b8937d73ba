"""Reconciling: the log of an audience is held against its query at a position of the stream, and corrected by changes.

It is the answer wherever the stream cannot tell what happened: a history that is lost, a pre-image that is missing, a log in
which somebody wrote, a doctor who asks. Placed like an edit: the members are read between fences, what touches contacts
meanwhile is noted, and what happens behind is held back.

The log says how many were in, by a checksum who they were (`tally`), and of each contact with entries whether it was in by the
last of them. It does not list who was in when the audience opened and has not moved since: the *silent* ones. So

- whether log and query agree is known exactly, but for one case in 2**64;
- a contact with entries that disagrees joins or leaves here, reason `RECONCILED`;
- a silent contact is found where those that may have changed are few enough to be worked out of the checksum: those
  in quarantine, and those that were written last;
- where after all that log and query still disagree, the audience is counted afresh, and its watchers are told of a reset.

What cannot be known: when, between the last entry and here, somebody moved, how often, and why.

With a gap, entries behind the last position that is believed are removed, for a process that ended while it wrote may have
left some out; a reset that concerns nobody who stands before that position tells the others.

Memory: 12 bytes for each member, five times that while they are sorted; one note for each correction, `MOST_CORRECTIONS` at
most. Cost: where log and query agree, one read of the members' identifiers; else one scan of the audience's entries beside
it. Held by `tests/domain/membership/test_reconciling.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from bson import ObjectId, Timestamp

from domain.audiences import Audience
from domain.membership.changes import Transition
from domain.membership.defining import Place
from domain.membership.ledger import tally_of
from domain.membership.position import Position, of_edit, right_before
from domain.membership.quarantine import covers
from domain.membership.readings import IdList, Occurrence, PassFence, Placement, read_ids
from domain.membership.tally import MOST_CANDIDATES, Tally, made_up_of
from domain.rules.criterion import Criterion
from domain.rules.predicate import Predicate
from domain.rules.query import Query
from domain.store.log import AccountLog, EntryKind, Reason
from domain.store.past import Past
from domain.store.scope import Scoped

MOST_CORRECTIONS = 100_000
"""Beyond that a reset tells watchers more than changes do."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What lies behind `since` may have been lost, or told and never written."""

    since: Position
    because: str


@dataclass(slots=True, kw_only=True, eq=False)
class Reconciling(Placement):
    """`becomes` and `query` say who is in at `position`; the log says who was in before it.

    `suspects` are contacts of which nothing was told from a position on.
    """

    at: datetime
    version: int
    becomes: Predicate
    query: Query
    log: AccountLog
    past: Past
    until_logged: Callable[[], Awaitable[None]]
    gap: Gap | None = None
    suspects: Mapping[ObjectId, Position] = field(default_factory=dict)
    because: str = "its log and its members did not agree"
    _read: IdList = field(default_factory=IdList)
    _touched: dict[ObjectId, bool] = field(default_factory=dict)
    _kind: EntryKind | None = None
    _before: Tally = field(default_factory=Tally)
    _moves: list[tuple[ObjectId, bool]] = field(default_factory=list)

    async def ask(self, contacts: Scoped, pass_fence: PassFence) -> None:
        await read_ids(contacts, self.query, self._read)
        await pass_fence()
        await self.first.wait()
        # What was told just now is handed to the writer before the next fence comes out of the stream.
        await pass_fence()
        await self.until_logged()
        await self._compare(contacts)

    def touch(self, transition: Transition, time: Timestamp) -> None:  # noqa: ARG002 # its first change counts
        before = transition.before
        self._touched.setdefault(transition.contact, before is not None and self.becomes(before))

    def end(self, second: int) -> None:
        """What is found here belongs to one position, whatever comes behind."""

    def settles(self, happened: Occurrence) -> bool:
        return happened.position < self.position and covers(self.suspects, happened)

    # ---- finding ---------------------------------------------------------------------------------------------------

    async def _compare(self, contacts: Scoped) -> None:
        upto = right_before(self.position)
        if self.gap is not None:
            await self.log.withdraw(self.audience, after=self.gap.since, before=self.position)
        newest = await self.log.newest(self.audience, upto=upto)
        now = self._tally()
        if newest is None or newest.kind is EntryKind.ENDED:
            self._kind, self._before = EntryKind.OPENED, now
            return
        self._before = tally_of(newest)
        if self._before != now:
            await self._correct(contacts, upto, now)
        if self._before.after_all(self._moves) != now:
            self._kind, self._before, self._moves = EntryKind.RESET, now, []

    def _tally(self) -> Tally:
        """Who is in at the position, by the query."""
        tally = self._read.tally.after_all((each, False) for each in self._read.among(self._touched))
        return tally.after_all((contact, True) for contact, was_in in self._touched.items() if was_in)

    async def _correct(self, contacts: Scoped, upto: Position, now: Tally) -> None:
        self._read.sort()
        candidates = await self._candidates(contacts)
        beginning = await self.log.beginning(self.audience, upto=upto)
        removed, after = None, beginning
        while removed != after:
            # Where retention removes what is being read, it is read again.
            removed, silent = after, dict(candidates)
            if not await self._correct_movers(after, upto, silent):
                return
            cut = await self.past.cut(self.audience)
            after = beginning if cut is None else max(beginning, cut.position)
        rest = self._before.after_all(self._moves).checksum ^ now.checksum
        self._moves += [(contact, self._is_in(contact)) for contact in made_up_of(rest, list(silent)) or ()]

    async def _correct_movers(self, after: str, upto: Position, silent: dict[ObjectId, None]) -> bool:
        """Correct whoever has entries behind `after`, and is not silent then. Whether these are few enough."""
        self._moves.clear()
        async for contact, joined in self.log.last_moves(self.audience, after=after, upto=upto):
            silent.pop(contact, None)
            if self._is_in(contact) is not joined:
                self._moves.append((contact, not joined))
                if len(self._moves) > MOST_CORRECTIONS:
                    return False
        return True

    def _is_in(self, contact: ObjectId) -> bool:
        was_in = self._touched.get(contact)
        return self._read.holds(contact) if was_in is None else was_in

    async def _candidates(self, contacts: Scoped) -> dict[ObjectId, None]:
        """Who may have changed unseen: those in quarantine first, then those that were written last."""
        found = dict.fromkeys(self.suspects)
        for name in ("updated", "_id"):
            wanted = (MOST_CANDIDATES - len(found)) // (2 if name == "updated" else 1)
            if wanted > 0:
                recent = await contacts.find({}, projection={"_id": 1}, sort=[(name, -1)], limit=wanted)
                identifiers = (document["_id"] for document in recent)
                found |= dict.fromkeys(each for each in identifiers if isinstance(each, ObjectId))
        return found

    # ---- telling ---------------------------------------------------------------------------------------------------

    @property
    def before(self) -> Tally:
        """The tally that holds before the first of `occurrences`; to be asked once this is done."""
        return self._before

    def occurrences(self, second: int) -> Iterable[Occurrence]:  # noqa: ARG002 # it belongs to one position
        return chain(self._definition(), self._corrections(), self.held)

    def _definition(self) -> list[Occurrence]:
        """The opening or the reset, where there is one."""
        kind, since, because = self._kind, None, None
        if kind is None and self.gap is not None:
            kind, since = EntryKind.RESET, self.gap.since
        if kind is None:
            return []
        if self.gap is not None:
            because = self.gap.because
        elif kind is EntryKind.RESET:
            because = self.because
        return [
            Occurrence(
                position=self.position,
                kind=kind,
                at=self.at,
                version=self.version,
                because=because,
                since=since,
            )
        ]

    def _corrections(self) -> Iterable[Occurrence]:
        for contact, joined in sorted(self._moves):
            yield Occurrence(
                position=of_edit(self.position, contact),
                kind=EntryKind.JOINED if joined else EntryKind.LEFT,
                at=self.at,
                reason=Reason.RECONCILED,
                contact=contact,
            )


def reconciling(
    place: Place,
    audience: Audience,
    criterion: Criterion,
    log: AccountLog,
    past: Past,
    until_logged: Callable[[], Awaitable[None]],
    *,
    gap: Gap | None = None,
    suspects: Mapping[ObjectId, Position] | None = None,
) -> Reconciling:
    """Holds the log of an audience against its criterion."""
    return Reconciling(
        account=place.account,
        audience=audience.id,
        position=place.position,
        restart_from=place.restart_from,
        at=place.at,
        version=audience.version,
        becomes=criterion.predicate(place.instant),
        query=criterion.query(place.instant),
        log=log,
        past=past,
        until_logged=until_logged,
        gap=gap,
        suspects=suspects or {},
    )
