import random
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from domain.accounts import Accounts
from domain.fields import FieldType, LeapDay, Weekday
from domain.membership import position as positions
from domain.membership.hub import Hub
from domain.store.client import open_database
from domain.store.log import EntryKind, LogEntry, Reason
from domain.store.store import open_store
from tests.domain.conftest import World, rule
from tests.domain.membership.test_dependants import segment
from tests.domain.membership.test_engine import check_against_the_query, logged
from tests.domain.membership.turning import TurnedStore, berlin


class TurnedWorld(World):
    """A world whose clock a test turns."""

    store: TurnedStore

    async def turn_to(self, wanted: datetime) -> None:
        """Come to this time, and wait until the engine has found whom that moves."""
        await self.store.turn_to(wanted)
        await self.account.feed.sizes([each.id for each in self.account.definitions.known.audiences()])

    async def moves(
        self, audience: ObjectId
    ) -> list[tuple[ObjectId | None, EntryKind, datetime, Reason | None]]:
        """Who joined and left, when, and why."""
        return [
            (each.contact, each.kind, each.at, each.reason) for each in (await logged(self, audience))[1:]
        ]


@pytest.fixture
async def turned(database: AsyncDatabase[dict[str, Any]]) -> AsyncGenerator[TurnedWorld, None]:
    opened = open_database(database.client, database.name)
    store = TurnedStore(opened, (await open_store(opened)).traits)
    hub = Hub()
    accounts = Accounts(store, hub)
    found = TurnedWorld(opened, store, hub, accounts)
    await found.account.settings.update(time_zone="Europe/Berlin")
    for key, type_ in (
        ("plan", FieldType.TEXT),
        ("due", FieldType.DATE),
        ("last_seen", FieldType.DATETIME),
    ):
        await found.account.fields.create(key=key, label=key.title(), type=type_)
    yield found
    await accounts.close()


def joined(contact: ObjectId, at: datetime) -> tuple[ObjectId, EntryKind, datetime, Reason]:
    return contact, EntryKind.JOINED, at, Reason.TIME_PASSED


def left(contact: ObjectId, at: datetime) -> tuple[ObjectId, EntryKind, datetime, Reason]:
    return contact, EntryKind.LEFT, at, Reason.TIME_PASSED


async def test_a_contact_joins_and_leaves_at_the_midnight_of_the_accounts_time_zone(
    turned: TurnedWorld,
) -> None:
    await turned.store.turn_to(berlin("2027-06-01T12:00"))
    async with turned.engine():
        contact = await turned.contact(due="2027-06-03")
        segment = await turned.segment("Due today", "due this day")
        await turned.turn_to(berlin("2027-06-02T23:59:30"))
        assert await turned.moves(segment) == []
        await turned.turn_to(berlin("2027-06-03T00:00:10"))
        assert await turned.size(segment) == 1
        await turned.turn_to(berlin("2027-06-04T08:00"))
        moves = await turned.moves(segment)
        await check_against_the_query(turned, segment, set())
    assert moves == [
        joined(contact, berlin("2027-06-03T00:00")),
        left(contact, berlin("2027-06-04T00:00")),
    ]


@pytest.mark.parametrize(
    ("leap_day", "observed"), [(LeapDay.FEBRUARY_28, "2027-02-28"), (LeapDay.MARCH_1, "2027-03-01")]
)
async def test_a_birthday_on_a_leap_day_comes_every_year(
    turned: TurnedWorld, leap_day: LeapDay, observed: str
) -> None:
    await turned.account.settings.update(leap_day=leap_day)
    await turned.store.turn_to(berlin("2027-01-15T12:00"))
    async with turned.engine():
        contact = await turned.contact(birthdate="1996-02-29")
        segment = await turned.segment("Birthday", "birthdate anniversary today")
        for day in (
            "2027-02-27",
            "2027-02-28",
            "2027-03-01",
            "2027-03-02",
            "2028-02-28",
            "2028-02-29",
            "2028-03-01",
        ):
            await turned.turn_to(berlin(f"{day}T09:00"))
            await check_against_the_query(turned, segment, set())
        moves = await turned.moves(segment)
    midnight = berlin(f"{observed}T00:00")
    assert moves == [
        joined(contact, midnight),
        left(contact, midnight + timedelta(days=1)),
        joined(contact, berlin("2028-02-29T00:00")),
        left(contact, berlin("2028-03-01T00:00")),
    ]


@pytest.mark.parametrize("day", ["2027-03-28", "2027-10-31"])
async def test_a_day_is_as_long_as_the_clocks_of_the_zone_make_it_and_hours_are_exact(
    turned: TurnedWorld, day: str
) -> None:
    before = berlin(f"{day}T00:00") - timedelta(hours=6)
    await turned.store.turn_to(before)
    seen = berlin(f"{day}T00:30")
    async with turned.engine():
        contact = await turned.contact(last_seen=seen.isoformat())
        that_day = await turned.segment("That day", "last_seen this day")
        hours = await turned.segment("Three hours", "last_seen in the last 3 hours")
        for hour in range(1, 40, 7):
            await turned.turn_to(before + timedelta(hours=hour))
        for segment in (that_day, hours):
            await check_against_the_query(turned, segment, set())
        tomorrow = berlin(f"{day}T00:00").astimezone(UTC) + timedelta(hours=23 if "03" in day else 25)
        assert await turned.moves(that_day) == [
            joined(contact, berlin(f"{day}T00:00")),
            left(contact, tomorrow),
        ]
        assert await turned.moves(hours) == [
            joined(contact, seen),
            left(contact, seen + timedelta(hours=3, seconds=1)),
        ]


async def test_a_change_of_the_settings_moves_the_members_of_moving_segments_and_of_no_others(
    turned: TurnedWorld,
) -> None:
    await turned.store.turn_to(berlin("2027-06-01T12:00"))
    settings = turned.account.settings
    async with turned.engine():
        seen = await turned.contact(last_seen=berlin("2027-06-01T22:00").isoformat(), due="2027-06-06")
        today = await turned.segment("Today", "last_seen this day")
        week = await turned.segment("This week", "due this week")
        fixed = await turned.segment("Fixed", "last_seen is not empty")
        await settings.update(time_zone="Asia/Tokyo")
        await settings.update(first_weekday=Weekday.SUNDAY)
        await settings.update(time_zone="Pacific/Honolulu")
        moves = [[each[:2] + each[3:] for each in await turned.moves(each)] for each in (today, week, fixed)]
        for each in (today, week, fixed):
            await check_against_the_query(turned, each, {seen})
    changed = Reason.SETTINGS_CHANGED
    assert moves == [
        [(seen, EntryKind.LEFT, changed), (seen, EntryKind.JOINED, changed)],
        [(seen, EntryKind.LEFT, changed)],
        [],
    ]


async def test_what_three_weeks_without_an_engine_brought_is_told_as_if_it_had_run(
    turned: TurnedWorld,
) -> None:
    start = berlin("2027-05-01T12:00")
    await turned.store.turn_to(start)
    async with turned.engine():
        one, two, three = [await turned.contact(due=f"2027-05-{day:02}") for day in (3, 10, 30)]
        segment = await turned.segment("Due this week", "due this week")
        await turned.size(segment)
    await turned.store.turn_to(berlin("2027-05-04T10:00"))
    await turned.change(three, due="2027-05-05")
    await turned.store.turn_to(berlin("2027-05-12T10:00"))
    await turned.change(two, due="2027-06-20")
    await turned.store.turn_to(berlin("2027-05-22T10:00"))
    async with turned.engine():
        moves = await turned.moves(segment)
        await check_against_the_query(turned, segment, set())
    monday = berlin("2027-05-03T00:00")
    assert moves[:2] == [joined(one, monday), (three, EntryKind.JOINED, moves[1][2], Reason.CONTACT_UPDATED)]
    assert moves[2:] == [
        left(one, monday + timedelta(days=7)),
        joined(two, monday + timedelta(days=7)),
        left(three, monday + timedelta(days=7)),
        (two, EntryKind.LEFT, moves[5][2], Reason.CONTACT_UPDATED),
    ]


async def test_a_group_and_a_moving_segment_are_told_together_in_one_rule(turned: TurnedWorld) -> None:
    await turned.store.turn_to(berlin("2027-06-01T12:00"))
    async with turned.engine():
        vip = (await turned.account.groups.create(ObjectId(), name="VIP", description=None)).id
        contact = await turned.contact(due="2027-06-02")
        await turned.account.groups.add(vip, ids=[contact])
        await segment(turned, "Soon", "due in the next 1 day")
        outer = await segment(turned, "Outer", 'in all of (group "VIP", segment "Soon")')
        await turned.turn_to(berlin("2027-06-02T07:00"))
        await turned.account.groups.remove(vip, ids=[contact])
        moves = await turned.moves(outer)
        await check_against_the_query(turned, outer, set())
    assert moves[0] == joined(contact, berlin("2027-06-02T00:00"))
    assert [each[1:2] + each[3:] for each in moves[1:]] == [(EntryKind.LEFT, Reason.GROUP_EDITED)]


@pytest.mark.parametrize("others", [500, pytest.param(100_000, marks=pytest.mark.soak)])
async def test_a_tick_reads_as_many_contacts_as_come_to_an_edge_whatever_the_number_of_the_others(
    turned: TurnedWorld, others: int
) -> None:
    start = berlin("2027-06-01T12:00")
    await turned.store.turn_to(start)
    long_ago = start - timedelta(days=200)
    for first in range(0, others, 5_000):
        await turned.database["contacts"].insert_many(
            [
                {
                    "account": "default",
                    "normal": {
                        "last_seen": long_ago + timedelta(minutes=number % 100_000),
                        "plan": "paid",
                    },
                }
                for number in range(first, min(first + 5_000, others))
            ]
        )
    async with turned.engine():
        lapsed = await turned.segment("Lapsed", 'last_seen more than 90 days ago and plan is not "free"')
        edge = (start - timedelta(days=90)).isoformat()
        coming = [
            await turned.contact(last_seen=edge, plan=plan) for plan in ("paid", "paid", "free", "paid")
        ]
        before = await turned.size(lapsed)
        criterion = (await turned.account.definitions.current()).criterion(lapsed)
        slivers = criterion.slivers(start, start + timedelta(days=1))
        await turned.turn_to(start + timedelta(days=1))
        passed = [each for each in await turned.moves(lapsed) if each[3] is Reason.TIME_PASSED]
        assert await turned.size(lapsed) == before + 3
    assert [each[0] for each in passed] == [coming[0], coming[1], coming[3]]
    read = 0
    for sliver in slivers:
        explained = await turned.database.command(
            {
                "explain": {"find": "contacts", "filter": {"account": "default", **sliver}},
                "verbosity": "executionStats",
            }
        )
        read += explained["executionStats"]["totalDocsExamined"]
    assert read == len(coming)


RULES = (
    "due in the last 3 days",
    'due in the next 2 weeks and plan is not "free"',
    "last_seen in the last 5 hours",
    "last_seen more than 2 days ago",
    "birthdate anniversary in the next 10 days",
    "due this month or last_seen this week",
    "not (due more than 1 month ahead)",
)


async def everything(world: TurnedWorld) -> dict[str, dict[str, Any]]:
    documents = [document async for document in world.database["changes"].find({})]
    return {document["_id"]: document for document in documents}


@pytest.mark.parametrize("seed", range(3))
async def test_the_log_does_not_depend_on_when_the_engine_looked(turned: TurnedWorld, seed: int) -> None:
    """Changes, edits, settings and turns of the clock with an engine that comes and goes, then all of it again in one go."""
    chance = random.Random(seed)
    moment = berlin("2027-02-20T12:00") if seed % 2 else datetime.now(UTC) - timedelta(days=60)
    await turned.store.turn_to(moment)

    def values() -> dict[str, Any]:
        near = moment + timedelta(hours=chance.randint(-200, 400))
        return {
            "plan": chance.choice(["free", "paid", None]),
            "due": chance.choice([near.date().isoformat(), None]),
            "last_seen": chance.choice([(near - timedelta(days=3)).isoformat(), None]),
            "birthdate": chance.choice([near.replace(year=1996).date().isoformat(), "1996-02-29", None]),
        }

    contacts: list[ObjectId] = []
    segments: list[ObjectId] = []
    async with turned.engine():
        await turned.contact()
        first = await turned.segment("First", RULES[0])
        await turned.size(first)
    # From here on the stream is read twice.
    checkpoint = await turned.database["checkpoints"].find_one({})
    segments.append(first)
    before = await everything(turned)

    async def act() -> None:
        nonlocal moment
        match chance.randrange(10):
            case 0 | 1 | 2:
                contacts.append(await turned.contact(**values()))
            case 3 | 4 | 5 if contacts:
                await turned.change(chance.choice(contacts), **values())
            case 6 if contacts:
                await turned.account.contacts.delete(contacts.pop(chance.randrange(len(contacts))))
            case 7 if len(segments) < 6:
                segments.append(await turned.segment(f"S{len(segments)}", chance.choice(RULES)))
            case 7:
                await turned.account.segments.update(chance.choice(segments), rule=rule(chance.choice(RULES)))
            case 8:
                zone = chance.choice(["Europe/Berlin", "America/New_York", "Asia/Tokyo"])
                await turned.account.settings.update(time_zone=zone)
            case _:
                moment += timedelta(hours=chance.choice([1, 5, 30, 90]), seconds=chance.randrange(3600))
                await turned.store.turn_to(moment)

    for _ in range(4):
        for _ in range(8):
            await act()
        async with turned.engine() if chance.random() < 0.6 else turned.killed_engine():
            for _ in range(12):
                await act()
    async with turned.engine():
        for segment in segments:
            await check_replay(turned, segment)
    once = await everything(turned)

    # All of it again, by an engine that meets the whole stream at once.
    await turned.database["changes"].delete_many({"_id": {"$nin": list(before)}})
    assert checkpoint is not None
    await turned.database["checkpoints"].replace_one({}, checkpoint)
    turned.hub = Hub()
    turned.accounts = Accounts(turned.store, turned.hub)
    async with turned.engine():
        for segment in segments:
            await check_replay(turned, segment)
    again = await everything(turned)
    assert again.keys() == once.keys()
    assert again == once


async def check_replay(world: TurnedWorld, segment: ObjectId) -> list[LogEntry]:
    """Entries rise, sizes follow from each other, and the last size is what the query says at the engine's second."""
    entries = await logged(world, segment)
    assert [entry.position for entry in entries] == sorted({entry.position for entry in entries})
    size = entries[0].size
    for entry in entries[1:]:
        size += {EntryKind.JOINED: 1, EntryKind.LEFT: -1}.get(entry.kind, 0)
        assert entry.size == size
        if entry.reason is Reason.TIME_PASSED:
            assert entry.at == positions.instant(positions.second_of(positions.Position(entry.position)))
    criterion = (await world.account.definitions.current()).criterion(segment)
    query = criterion.query(positions.instant(positions.second_of(world.hub.position)))
    assert await world.store.contacts("default").count(query) == size
    return entries
