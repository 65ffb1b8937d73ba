"""What the doctor finds of audiences: whether their logs add up, and to what their rules say.

Needs an engine at work. Held by `tests/domain/doctor/test_audiences.py`. Cost: one read of each audience's members'
identifiers, and one of its log from its beginning or its last reset on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from bson import ObjectId

from domain.audiences import Audience, Group
from domain.doctor.findings import Finding, Mend, Told, What
from domain.membership.examining import Members, Reader, present, until_worked
from domain.membership.in_force import InForce
from domain.membership.ledger import tally_of
from domain.membership.position import LATEST, Position
from domain.membership.replaying import replay
from domain.membership.turns import Key
from domain.store.log import EntryKind, LogEntry
from domain.store.requests import CountAfresh, Reconcile, Request
from domain.store.store import Store

ROUNDS = 4
PATIENCE_SECONDS = 600.0
"""For the engine to come past a place: an edit that moves many may have to be done before."""


async def examine_audiences(store: Store, told: Told) -> list[Finding]:
    """Hold the log of every audience against itself and against its query."""
    newest = await store.log.newest_of_all(upto=LATEST)
    here = await present(store)
    await until_worked(store, here, patience=PATIENCE_SECONDS)
    findings: list[Finding] = []
    wanted: set[Key] | None = None
    in_force = InForce()
    for _ in range(ROUNDS):
        read, in_force = await Reader(store, partial(told, "Reading members")).read(wanted)
        if read.members:
            furthest = max(members.position for members in read.members.values())
            await until_worked(store, furthest, patience=PATIENCE_SECONDS)
        for done, (key, members) in enumerate(read.members.items()):
            told("Reading the log", done, len(read.members))
            if (found := in_force.find(key)) is not None:
                findings += await _examine_one(store, key, found[0], members)
        wanted = read.disturbed
        if not wanted:
            break
    for key in wanted or ():
        if (found := in_force.find(key)) is not None:
            findings.append(
                _finding(
                    What.NOT_EXAMINED, key, found[0], "was edited over and over and could not be examined."
                )
            )
    return [*_ahead(store, newest, here, in_force), *findings, *await _undefined(store, newest, in_force)]


async def _examine_one(store: Store, key: Key, audience: Audience, members: Members) -> list[Finding]:
    log = store.log.of(key.account)
    newest = await log.newest(key.audience, upto=members.position)
    reconcile = partial(_ask, store, Reconcile(account=key.account, audience=key.audience))
    if newest is None or newest.kind is EntryKind.ENDED:
        return [_finding(What.NOT_OPENED, key, audience, "is not in the log.", reconcile)]

    past, removed = store.past(key.account), ""
    while True:
        found = await replay(log.entries(key.audience, after=removed, upto=members.position))
        cut = await past.cut(key.audience)
        if cut is None or cut.position == removed:
            break
        # Up to there entries are only left over, and some may have been removed while they were read.
        removed = cut.position
    if (first := found.first) is not None:
        because = "its log did not add up and was begun anew"
        afresh = CountAfresh(account=key.account, audience=key.audience, because=because)
        places = "one place" if found.breaks == 1 else f"{found.breaks:,} places, of which the first is"
        says = (
            f"has a log that does not add up, at {places} of {first.at:%Y-%m-%d %H:%M:%S} UTC: it says {_count(first.size)}"
            f" where {_count(found.follows)} would follow{_or_others(first.size, found.follows)}."
        )
        return [_finding(What.LOG_BROKEN, key, audience, says, partial(_ask, store, afresh))]
    by_log, by_rule = tally_of(newest), members.tally
    if by_log == by_rule:
        return []
    finds = "it really has" if isinstance(audience, Group) else "its rule finds"
    if by_log.size == by_rule.size:
        says = f"has {_count(by_log.size)} by its log, and as many of whom others are those that {finds}."
    else:
        says = f"has {_count(by_log.size)} by its log, while {finds} {by_rule.size:,}."
    return [_finding(What.MEMBERS_DIFFER, key, audience, says, reconcile)]


def _or_others(says: int, follows: int) -> str:
    return ", but others" if says == follows else ""


def _count(size: int) -> str:
    return "1 member" if size == 1 else f"{size:,} members"


def _ahead(
    store: Store, newest: Mapping[ObjectId, LogEntry], here: Position, in_force: InForce
) -> list[Finding]:
    """Audiences with entries that were there before the database came to `here`, and stand behind it."""
    findings = []
    for audience, entry in newest.items():
        if entry.position > here:
            key = Key(entry.account, audience)
            found = in_force.find(key)
            findings.append(
                _finding(
                    What.LOG_AHEAD,
                    key,
                    None if found is None else found[0],
                    f"has entries in its log up to {entry.at:%Y-%m-%d %H:%M:%S} UTC, a time to which the database has not come.",
                    partial(_cut, store, key, here),
                )
            )
    return findings


async def _undefined(store: Store, newest: Mapping[ObjectId, LogEntry], in_force: InForce) -> list[Finding]:
    """Audiences that the log knows and nobody has defined or ended."""
    findings = []
    for audience, entry in newest.items():
        key = Key(entry.account, audience)
        if entry.kind is not EntryKind.ENDED and in_force.find(key) is None:
            now = await store.log.of(entry.account).newest(audience, upto=LATEST)
            if now is not None and now.kind is not EntryKind.ENDED:
                findings.append(
                    _finding(What.NOT_DEFINED, key, None, "is in the log, but not among the definitions.")
                )
    return findings


async def _cut(store: Store, key: Key, here: Position) -> None:
    await store.log.of(key.account).withdraw(key.audience, after=here, before=LATEST)
    because = "its log was of a time to which the database had not come"
    await _ask(store, CountAfresh(account=key.account, audience=key.audience, because=because))


async def _ask(store: Store, request: Request) -> None:
    await store.requests.put(request)


def _finding(what: What, key: Key, audience: Audience | None, says: str, mend: Mend | None = None) -> Finding:
    kind = "audience" if audience is None else audience.ref.kind.value
    name = str(key.audience) if audience is None else audience.name
    return Finding(
        what=what,
        account=key.account,
        audience=key.audience,
        name=name,
        says=f"The {kind} “{name}” {says}",
        mend=mend,
    )
