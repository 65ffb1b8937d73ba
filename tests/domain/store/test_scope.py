from typing import Any

import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from domain.store.scope import Duplicate, Scoped, Written


@pytest.fixture
def ours(database: AsyncDatabase[dict[str, Any]]) -> Scoped:
    return Scoped(database["things"], "ours")


@pytest.fixture
async def theirs(database: AsyncDatabase[dict[str, Any]]) -> Scoped:
    scoped = Scoped(database["things"], "theirs")
    for number in range(3):
        await scoped.insert_one({"_id": number, "n": number})
    return scoped


async def test_no_way_of_reading_reaches_another_account(ours: Scoped, theirs: Scoped) -> None:
    assert await ours.find({}) == []
    assert await ours.find({"$or": [{"n": 0}, {"n": {"$exists": True}}]}) == []
    assert await ours.find_one({"_id": 1}) is None
    assert await ours.count({}) == 0
    assert [document async for document in ours.stream({})] == []
    assert await ours.union([({}, []), ({"n": 1}, [])]) == []
    assert await theirs.count({}) == 3


async def test_no_way_of_writing_reaches_another_account(ours: Scoped, theirs: Scoped) -> None:
    assert await ours.update_one({"_id": 1}, {"$set": {"n": 9}}) == (0, 0)
    assert await ours.delete_one({"_id": 1}) == 0
    written = await ours.write(updates=[({"n": 1}, {"$set": {"n": 9}})], deletes=[{"n": 2}])
    assert written == Written()
    assert [document["n"] for document in await theirs.find({}, sort=[("n", 1)])] == [0, 1, 2]


async def test_what_names_an_account_itself_is_refused(ours: Scoped) -> None:
    with pytest.raises(ValueError, match="account"):
        await ours.find({"account": "theirs"})
    with pytest.raises(ValueError, match="account"):
        await ours.insert_one({"account": "theirs"})
    with pytest.raises(ValueError, match="account"):
        await ours.write(inserts=[{"account": "theirs"}])


async def test_what_one_write_of_many_refuses_does_not_hold_up_the_others(ours: Scoped) -> None:
    await ours.insert_one({"_id": 1, "n": 0})
    written = await ours.write(
        inserts=[{"_id": 0}, {"_id": 1}, {"_id": 2}],
        updates=[({"_id": 1}, {"$set": {"n": 1}})],
        deletes=[{"_id": 0}],
    )
    assert (written.inserted, written.matched, written.modified, written.deleted) == (2, 1, 1, 1)
    assert dict(written.refused) == {1: 11000}
    with pytest.raises(Duplicate):
        await ours.insert_one({"_id": 1})


async def test_a_union_keeps_the_order_of_its_parts(ours: Scoped) -> None:
    for number in range(6):
        await ours.insert_one({"_id": ObjectId(), "n": number})
    stages: list[dict[str, Any]] = [{"$sort": {"n": -1}}, {"$limit": 2}]
    found = await ours.union([({"n": {"$lt": 3}}, stages), ({"n": {"$gte": 3}}, stages)])
    assert [document["n"] for document in found] == [2, 1, 5, 4]
