from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from bson import ObjectId, Timestamp
from pymongo.asynchronous.database import AsyncDatabase

from domain.membership import position as positions
from domain.membership.position import instant
from domain.store.client import open_database
from domain.store.log import MOVES, EntryKind, LogEntry, Reason
from domain.store.past import Cut, Past
from domain.store.store import Store, open_store

BEGAN = 1_790_000_000
AUDIENCE, OTHER = ObjectId(), ObjectId()
CONTACTS = [ObjectId() for _ in range(7)]


def entries(random: Random, audience: ObjectId, count: int) -> list[LogEntry]:
    """From close together to far apart, with what befalls the audience itself among them."""
    found = []
    second = BEGAN
    for number in range(count):
        second += random.choice((0, 0, 1, 40, 3_000, 90_000, 40 * 86_400))
        time = Timestamp(second, number + 1)
        contact = random.choice(CONTACTS)
        kind = EntryKind.OPENED if number == 0 else random.choice((*MOVES, *MOVES, *MOVES, *EntryKind))
        entry = LogEntry(
            account="a",
            audience=audience,
            position=positions.of_definition(time),
            kind=kind,
            at=instant(second),
            size=number,
        )
        if kind in MOVES:
            entry = replace(
                entry,
                position=positions.of_change(time, contact),
                contact=contact,
                reason=Reason.CONTACT_UPDATED,
            )
        found.append(entry)
    return found


@pytest.fixture
async def store(database: AsyncDatabase[dict[str, Any]]) -> Store:
    return await open_store(open_database(database.client, database.name))


@pytest.fixture(params=[True, False], ids=["seeks", "seeks not"])
def past(store: Store, database: AsyncDatabase[dict[str, Any]], request: pytest.FixtureRequest) -> Past:
    """As on a server that has the trait, and on one that has not: both answer the same."""
    traits = replace(store.traits, seeks=request.param)
    return Store(open_database(database.client, database.name), traits).past("a")


@pytest.fixture
async def log(store: Store) -> Sequence[LogEntry]:
    random = Random(7)
    ours = entries(random, AUDIENCE, 120)
    await store.log.write([*ours, *entries(random, OTHER, 30)])
    return ours


async def test_the_newest_entries_before_a_place_are_found_however_far_back_they_lie(
    past: Past, log: Sequence[LogEntry]
) -> None:
    random = Random(3)
    for _ in range(150):
        after, before = sorted(
            random.choice(("", "~", random.choice(log).position, _any_place(random))) for _ in range(2)
        )
        limit = random.choice((1, 2, 10, 500))
        between = [entry for entry in log if after < entry.position < before]
        assert await past.back(AUDIENCE, after=after, before=before, limit=limit) == between[::-1][:limit]


def _any_place(random: Random) -> str:
    return positions.before_second(BEGAN + random.randrange(-10, 1_000 * 86_400))


async def test_moves_are_told_from_what_befell_the_audience_itself(
    past: Past, log: Sequence[LogEntry]
) -> None:
    moves = [entry for entry in log if entry.kind in MOVES]
    middle = log[60]
    for limit in (1, 5, 500):
        found = await past.moves_back(AUDIENCE, before="~", after=middle.position, since=None, limit=limit)
        assert found == [entry for entry in moves[::-1] if entry.position > middle.position][:limit]
        ahead = await past.moves_ahead(AUDIENCE, after=middle.position, upto=log[-2].position, limit=limit)
        assert (
            ahead == [entry for entry in moves if middle.position < entry.position < log[-1].position][:limit]
        )
    since = middle.at + timedelta(seconds=1)
    young = [entry for entry in moves if entry.at >= since]
    assert (
        await past.moves_back(AUDIENCE, before="~", after="", since=since, limit=500) == young[::-1] != moves
    )
    assert await past.count_moves(AUDIENCE, after="", since=None) == len(moves)
    assert await past.count_moves(AUDIENCE, after="", since=since) == len(young)
    assert await past.count_moves(AUDIENCE, after=middle.position, since=None) == len(
        [entry for entry in moves if entry.position > middle.position]
    )


async def test_each_contacts_moves_are_found_and_bounded(past: Past, log: Sequence[LogEntry]) -> None:
    def of(contact: ObjectId) -> list[LogEntry]:
        return [entry for entry in log[::-1] if entry.contact == contact]

    stranger = ObjectId()
    asked = [*CONTACTS[:3], stranger]
    assert await past.moves_of(AUDIENCE, asked, limit=500) == {contact: of(contact) for contact in asked}
    assert await past.moves_of(AUDIENCE, asked[:1], limit=2) == {asked[0]: of(asked[0])[:2]}
    assert sum(map(len, (await past.moves_of(AUDIENCE, asked, limit=4)).values())) == 4


async def test_resets_are_found_among_any_number_of_moves(past: Past, log: Sequence[LogEntry]) -> None:
    resets = [entry for entry in log if entry.kind is EntryKind.RESET]
    assert len(resets) > 2
    assert await past.resets(AUDIENCE, after="") == resets
    assert await past.resets(AUDIENCE, after=resets[0].position) == resets[1:]


async def test_a_cut_only_rises_until_it_is_forgotten(past: Past) -> None:
    low, middle, high = (
        Cut(position=positions.before_second(BEGAN + number), at=instant(BEGAN + number), size=number)
        for number in range(3)
    )
    assert await past.cut(AUDIENCE) is None
    for cut, known in ((middle, middle), (low, middle), (middle, middle), (high, high)):
        await past.remember(AUDIENCE, cut)
        assert await past.cut(AUDIENCE) == known
    assert await past.cut(OTHER) is None
    await past.forget(AUDIENCE)
    assert await past.cut(AUDIENCE) is None


async def test_what_is_removed_is_one_audiences_and_one_accounts(
    past: Past, store: Store, log: Sequence[LogEntry]
) -> None:
    await store.past("b").remove(AUDIENCE, first="", last="~")
    assert await store.past("b").back(AUDIENCE, before="~", limit=500) == []
    await past.remove(AUDIENCE, first=log[10].position, last=log[19].position)
    assert await past.back(AUDIENCE, before="~", limit=500) == [*log[:10], *log[20:]][::-1]
    assert len(await past.back(OTHER, before="~", limit=500)) == 30


async def test_each_question_is_answered_from_an_index(
    database: AsyncDatabase[dict[str, Any]], log: Sequence[LogEntry]
) -> None:
    position = {"$gt": log[50].position, "$lt": log[60].position}
    for query in (
        {"position": position},
        {"contact": CONTACTS[0]},
        {"contact": None, "position": position},
        {"contact": {"$in": CONTACTS[:2]}},
    ):
        plan = await database["changes"].find({"account": "a", "audience": AUDIENCE, **query}).explain()
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"]), query
