"""How an audience grew, and how one contact came and went."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId, Timestamp

from domain.errors import InvalidValue, LimitExceeded
from domain.membership import history as histories
from domain.membership import position as positions
from domain.membership.history import Growth, Membership
from domain.membership.position import instant
from domain.membership.retention import Retention
from domain.store.log import EntryKind, LogEntry, Reason
from domain.store.past import Cut
from tests.domain.conftest import World, rule
from tests.domain.membership.aging import age, entries_of

CUSTOMERS = 'role is "customer"'
DAY = timedelta(days=1)
BEGAN = 1_790_000_000
"""Long before the test."""


async def blank(world: World) -> ObjectId:
    """A segment of which the log tells what the test puts there."""
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        await world.size(segment)
    await world.database["changes"].delete_many({"audience": segment})
    return segment


def entry(segment: ObjectId, second: int, size: int, kind: EntryKind = EntryKind.JOINED) -> LogEntry:
    contact = ObjectId() if kind is EntryKind.JOINED else None
    time = Timestamp(second, 1)
    return LogEntry(
        account="default",
        audience=segment,
        position=positions.of_change(time, contact) if contact else positions.of_definition(time),
        kind=kind,
        at=instant(second),
        size=size,
        reason=Reason.CONTACT_UPDATED if contact else None,
        contact=contact,
    )


async def growth(world: World, segment: ObjectId, since: int, until: int, points: int) -> Growth:
    async with world.engine():
        return await world.account.history.growth(
            segment, since=instant(since), until=instant(until), points=points
        )


def seconds(found: Growth) -> list[tuple[int, int]]:
    return [(int(at.timestamp()), size) for at, size in found.sizes]


@pytest.mark.parametrize(
    ("since", "until", "points"),
    [(-20, 700, 100), (1, 9, 9), (20, 40, 5), (-50, -40, 5), (-1, 600, 2), (0, 1_000_000, 500), (3, 6, 50)],
)
async def test_sizes_are_those_that_the_log_counts_up_to_each_instant(
    world: World, monkeypatch: pytest.MonkeyPatch, since: int, until: int, points: int
) -> None:
    monkeypatch.setattr(histories, "READ_AT_ONCE", 4)
    segment = await blank(world)
    entries = [entry(segment, BEGAN, 5, EntryKind.OPENED)]
    # Crowded here, quiet there.
    for number, after in enumerate([*range(1, 11), 60, 61, *[361] * 6, 561]):
        entries.append(entry(segment, BEGAN + after, 6 + number))
    # Those of one second in the order of their positions, as an engine writes them.
    entries.sort(key=lambda each: each.position)
    entries = [replace(each, size=5 + number) for number, each in enumerate(entries)]
    await world.store.log.write(entries)
    found = await growth(world, segment, BEGAN + since, BEGAN + until, points)
    instants = {BEGAN + since + (until - since) * number // (points - 1) for number in range(points)}
    # An event of the very second is not counted yet.
    behind = {at: [e.size for e in entries if int(e.position[:8], 16) < at] for at in sorted(instants)}
    assert seconds(found) == [(at, sizes[-1]) for at, sizes in behind.items() if sizes]
    assert found.left_out == len([at for at, sizes in behind.items() if not sizes])
    assert found.complete_since is None


async def test_what_the_coming_of_a_second_moves_is_counted_in_it(world: World) -> None:
    segment = await blank(world)
    moved = entry(segment, BEGAN + 10, 6)
    assert moved.contact is not None
    turned = replace(moved, position=positions.of_passing(BEGAN + 10, moved.contact))
    await world.store.log.write([entry(segment, BEGAN, 5, EntryKind.OPENED), turned])
    found = await growth(world, segment, BEGAN + 9, BEGAN + 11, 3)
    assert seconds(found) == [(BEGAN + 9, 5), (BEGAN + 10, 6), (BEGAN + 11, 6)]


async def test_a_quiet_audience_is_read_by_one_query_and_a_busy_one_by_one_for_each_instant_at_most(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = await blank(world)
    await world.store.log.write([entry(segment, BEGAN + 100 * number, number) for number in range(20)])
    asked: list[str] = []
    past = world.account.history._past
    back = past.back

    async def counted(audience: ObjectId, *, before: str, limit: int) -> list[LogEntry]:
        asked.append(before)
        return await back(audience, before=before, limit=limit)

    monkeypatch.setattr(past, "back", counted)
    assert len((await growth(world, segment, BEGAN + 1, BEGAN + 2_000, 100)).sizes) == 100
    assert len(asked) == 1
    asked.clear()
    await world.store.log.write(
        [entry(segment, BEGAN + second, 7) for second in range(1_000) if second % 100]
    )
    found = await growth(world, segment, BEGAN + 1, BEGAN + 1_000, 10)
    assert len(found.sizes) == len(asked) == 10


async def test_sizes_from_before_the_cut_are_left_out_and_those_behind_it_are_told(world: World) -> None:
    segment = await blank(world)
    entries = [entry(segment, BEGAN, 5, EntryKind.OPENED)]
    entries += [entry(segment, BEGAN + number * 100, 5 + number) for number in range(1, 10)]
    await world.store.log.write(entries)
    checkpoint = await world.store.checkpoints.load()
    assert checkpoint is not None
    keep = int(checkpoint.position[:8], 16) - (BEGAN + 550)
    await Retention(world.store, timedelta(seconds=keep)).round()
    # The sixth is the newest that is old enough, so the one before it is the last that went.
    assert await entries_of(world, segment) == entries[5:]
    found = await growth(world, segment, BEGAN + 50, BEGAN + 950, 10)
    assert seconds(found) == [(BEGAN + 50 + number * 100, 5 + number) for number in range(4, 10)]
    assert (found.left_out, found.complete_since) == (4, instant(BEGAN + 400))


@pytest.mark.parametrize("cut", [False, True])
async def test_no_size_is_told_where_history_was_lost(world: World, cut: bool) -> None:  # noqa: FBT001 # a table
    segment = await blank(world)
    entries = [
        entry(segment, BEGAN, 5, EntryKind.OPENED),
        entry(segment, BEGAN + 100, 6),
        entry(segment, BEGAN + 300, 40, EntryKind.RESET),
        entry(segment, BEGAN + 400, 41),
        entry(segment, BEGAN + 500, 43, EntryKind.RESET),
        entry(segment, BEGAN + 700, 44),
    ]
    await world.store.log.write(entries)
    if cut:
        past, gone = world.store.past("default"), entries[1]
        await past.remember(segment, Cut(position=gone.position, at=gone.at, size=gone.size))
        await past.remove(segment, first="", last=gone.position)
    found = await growth(world, segment, BEGAN + 50, BEGAN + 850, 9)
    told = [(50, 5), (350, 40), (550, 43), (650, 43), (750, 44), (850, 44)]
    assert seconds(found) == [(BEGAN + at, size) for at, size in told[1 if cut else 0 :]]
    assert found.left_out == 9 - len(found.sizes)


async def test_the_present_is_told_as_of_now_and_the_future_is_left_out(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        await world.size(segment)
        await world.contact(role="customer")
        await world.size(segment)
        began = world.account.feed.instant
        while world.account.feed.instant < began + timedelta(seconds=2):
            await world.size(segment)
        now = world.account.feed.instant
        ask = world.account.history.growth
        found = await ask(segment, since=now - DAY, until=now + DAY, points=3)
        assert (found.sizes, found.left_out) == ([(now, 1)], 2)
        ((at, size),) = (await ask(segment, since=now - DAY, until=None, points=2)).sizes
        assert size == 1
        assert now <= at <= world.account.feed.instant


async def test_what_cannot_be_asked_is_refused(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        now = world.account.feed.instant
        ask = world.account.history.growth
        for since, until, points, path in (
            (now, now, 5, "until"),
            (now + DAY, now, 5, "until"),
            (now + DAY, None, 5, "until"),
            (now - DAY, now, 1, "points"),
        ):
            with pytest.raises(InvalidValue) as refused:
                await ask(segment, since=since, until=until, points=points)
            assert refused.value.path == (path,)
        with pytest.raises(LimitExceeded):
            await ask(segment, since=now - DAY, until=now, points=501)
        first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
        assert (await ask(segment, since=first, until=last, points=500)).left_out == 500


# ---- memberships ---------------------------------------------------------------------------------------------------


async def membership(world: World, segment: ObjectId, contact: ObjectId) -> Membership:
    """As for whoever has read the contact."""
    found = await world.account.contacts.get(contact)
    assert found is not None
    catalogue = await world.account.definitions.current()
    by_rule = catalogue.criterion(segment).predicate(world.account.feed.instant)(found.document)
    return (await world.account.history.memberships(segment, {contact: by_rule}))[contact]


def told(of: Membership) -> tuple[bool, datetime | None, Reason | None, Sequence[EntryKind]]:
    return (of.member, of.since, of.reason, [move.kind for move in of.moves])


JOINED, LEFT = EntryKind.JOINED, EntryKind.LEFT


async def test_a_membership_tells_since_when_and_why_and_how_it_came_about(world: World) -> None:
    there, stranger = await world.contact(role="customer"), await world.contact(role="nobody")
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        assert told(await membership(world, segment, there)) == (True, None, None, [])
        assert told(await membership(world, segment, stranger)) == (False, None, None, [])
        made = await world.contact(role="customer")
        found = await membership(world, segment, made)
        assert told(found) == (True, found.moves[0].at, Reason.CONTACT_CREATED, [JOINED])
        await world.change(made, role="nobody")
        await world.change(there, role="nobody")
        await world.change(there, role="customer")
        assert told(await membership(world, segment, made)) == (False, None, None, [LEFT, JOINED])
        found = await membership(world, segment, there)
        assert told(found) == (True, found.moves[0].at, Reason.CONTACT_UPDATED, [JOINED, LEFT])
        await world.account.segments.update(segment, rule=rule('role is "nobody"'))
        assert told(await membership(world, segment, there))[:3] == (False, None, None)
        found = await membership(world, segment, stranger)
        assert told(found) == (True, found.moves[0].at, Reason.RULE_EDITED, [JOINED])


async def test_many_contacts_are_asked_for_at_once_and_what_is_read_of_them_is_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "MOST_MOVES", 3)
    monkeypatch.setattr(histories, "MOST_MOVES_TOGETHER", 6)
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        one, two, three = [await world.contact(role="customer") for _ in range(3)]
        for role in ("nobody", "customer", "nobody"):
            await world.change(one, role=role)
        await world.change(two, role="nobody")
        found = await world.account.history.memberships(segment, {one: True, two: True})
        # The newest three of four.
        assert told(found[one]) == (False, None, None, [LEFT, JOINED, LEFT])
        assert told(found[two]) == (False, None, None, [LEFT, JOINED])
        assert await membership(world, segment, one) == found[one]
        with pytest.raises(LimitExceeded):
            await world.account.history.memberships(segment, {one: True, two: True, three: True})


async def test_a_joining_from_before_the_cut_is_not_told_and_the_rule_says_who_is_in(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        stayed, went, returned = [await world.contact(role="customer") for _ in range(3)]
        await world.change(went, role="nobody")
        await world.change(returned, role="nobody")
        last = await world.contact(role="customer")
        await world.size(segment)
    await age(world, segment, 100)
    async with world.engine():
        await world.change(returned, role="customer")
        await world.size(segment)
    await Retention(world.store, 90 * DAY).round()
    async with world.engine():
        assert told(await membership(world, segment, stayed)) == (True, None, None, [])
        assert told(await membership(world, segment, went)) == (False, None, None, [])
        found = await membership(world, segment, returned)
        assert told(found) == (True, found.moves[0].at, Reason.CONTACT_UPDATED, [JOINED])
        assert found.complete_since == await world.account.feed.complete_since(segment) is not None
        # The newest that was old enough stayed.
        assert told(await membership(world, segment, last))[3] == [JOINED]


async def test_a_joining_from_before_a_reset_is_not_told_as_the_last_one(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        await world.size(segment)
        contact = await world.contact(role="customer")
        await world.size(segment)
    await world.database["checkpoints"].delete_many({})
    async with world.engine():
        assert told(await membership(world, segment, contact)) == (True, None, None, [JOINED])
        await world.change(contact, role="nobody")
        assert told(await membership(world, segment, contact)) == (False, None, None, [LEFT, JOINED])


async def test_a_contact_that_moved_after_it_was_read_is_told_as_the_log_tells_it(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        await world.size(segment)
        contact = await world.contact(role="nobody")
        for role in ("customer", "nobody") * 3:
            await world.change(contact, role=role)
            stale = role != "customer"
            found = await world.account.history.memberships(segment, {contact: stale})
            assert found[contact].member is not stale
