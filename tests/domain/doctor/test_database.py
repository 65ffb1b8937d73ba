from collections.abc import Callable

import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from domain.doctor.doctor import Doctor
from domain.membership.feed import Reset
from domain.store.client import open_database
from domain.store.store import look_at
from tests.domain.conftest import Watched, World
from tests.domain.doctor.conftest import Examine, said
from tests.domain.membership.test_engine import CUSTOMERS, check_against_the_query
from tests.domain.membership.test_reconciling import images


async def test_a_database_in_which_there_is_nothing_yet_is_sound_and_stays_empty(
    database: AsyncDatabase[dict[str, object]],
) -> None:
    store = await look_at(open_database(database.client, database.name))
    examination = await Doctor(store, deep=True, told=lambda *_: None).work(repair=True)
    assert (examination.found, examination.left) == ([], [])
    assert await database.list_collection_names() == []


async def test_an_index_that_was_dropped_is_missed_and_made_again(world: World, examine: Examine) -> None:
    contacts = world.database["contacts"]
    async with world.engine():
        await world.size(await world.segment("Customers", CUSTOMERS))
        await contacts.drop_index("account_1_groups_1")
        await contacts.drop_index("account_1_normal.role_1")
        found = (await examine()).left
        assert said(found) == [("index_missing", None), ("index_missing", None)]
        assert "members and size of a static group" in found[0].says
        assert "reads normal.role" in found[1].says
        mended = await examine(repair=True)
        assert (len(mended.found), mended.left) == (2, [])
        assert (await examine()).left == []
    assert {"account_1_groups_1", "account_1_normal.role_1"} <= (await contacts.index_information()).keys()


async def test_an_index_of_other_options_is_told_of_and_made_as_it_should_be(
    world: World, examine: Examine
) -> None:
    contacts = world.database["contacts"]
    await contacts.drop_index("account_1_key_1")
    await contacts.create_index([("account", 1), ("key", 1)], name="mine")
    assert said((await examine()).left) == [("index_different", "mine")]
    assert (await examine(repair=True)).left == []
    made = (await contacts.index_information())["account_1_key_1"]
    assert made["unique"]
    assert made["partialFilterExpression"] == {"key": {"$exists": True}}


async def test_pre_images_that_were_switched_off_are_switched_on(world: World, examine: Examine) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        contact = await world.contact(role="customer")
        await images(world, on=False)
        assert said((await examine()).left) == [("images_off", None)]
        assert (await examine(repair=True)).left == []
        await world.change(contact, role="staff")
        assert [each.reason for each in await check_against_the_query(world, segment, set())][1:] == [
            "CONTACT_CREATED",
            "CONTACT_UPDATED",
        ]


async def test_a_collection_that_is_not_there_is_made(world: World, examine: Examine) -> None:
    await world.database["outcomes"].drop()
    assert said((await examine()).left) == [("collection_missing", None)]
    assert (await examine(repair=True)).left == []
    assert "at_1" in await world.database["outcomes"].index_information()


async def test_definitions_that_are_lost_are_told_of_and_cannot_be_mended(
    world: World, examine: Examine
) -> None:
    definitions = world.database["definitions"]
    async with world.engine():
        await world.size(await world.segment("Customers", CUSTOMERS))
        await definitions.delete_one({"revision": 2})
        await definitions.insert_one({"account": "default", "revision": 90})
        (found,) = (await examine(repair=True)).left
    assert said([found]) == [("definitions_incomplete", None)]
    assert "lack 1 of their versions (revision 2)" in found.says
    assert "hold 1 documents that are none" in found.says
    assert found.mend is None


@pytest.mark.parametrize("gone", [True, False])
async def test_a_checkpoint_that_is_gone_or_ahead_is_told_of_and_everybody_begins_anew(
    world: World,
    examine: Examine,
    watched: Callable[[ObjectId], Watched],
    gone: bool,  # noqa: FBT001 # a table
) -> None:
    checkpoints = world.database["checkpoints"]
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        await world.contact(role="customer")
        watcher = watched(segment)
        await watcher.until(1)
    if gone:
        await checkpoints.delete_many({})
    else:
        found = await checkpoints.find_one({})
        assert found is not None
        position = f"{int(found['position'][:8], 16) + 1_000_000:08x}{found['position'][8:]}"
        await checkpoints.update_one({}, {"$set": {"position": position}})
    what = "checkpoint_missing" if gone else "checkpoint_ahead"
    assert said((await examine()).left) == [(what, None)]
    mended = await examine(repair=True)
    assert (said(mended.found), mended.left) == ([(what, None)], [])
    assert (await examine()).left == []
    async with world.engine():
        reset = (await watcher.until(2))[1]
        assert isinstance(reset, Reset)
        assert reset.size == 1
    await watcher.stop()
