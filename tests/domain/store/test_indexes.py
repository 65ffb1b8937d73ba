import asyncio
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from domain.store.checkpoint import Checkpoint, PutBack
from domain.store.client import open_database
from domain.store.indexes import (
    ATTRIBUTE_WILDCARDS,
    CONTACTS,
    INDEXES,
    MAX_CONTACT_INDEXES,
    prepare_attributes,
)
from domain.store.server import inspect
from domain.store.store import open_store


async def test_every_index_is_made_at_the_start_and_making_them_again_changes_nothing(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    opened = open_database(database.client, database.name)
    # Several processes may start at once.
    await asyncio.gather(*[open_store(opened) for _ in range(4)])
    for index in INDEXES:
        present = await database[index.collection].index_information()
        assert [list(index.keys)] == [
            each["key"] for each in present.values() if each["key"] == list(index.keys)
        ]
        assert index.serves


async def test_contacts_keep_their_pre_images(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database[CONTACTS].insert_one({"_id": 1})  # a collection that was there before
    await open_store(open_database(database.client, database.name))
    async with await database[CONTACTS].watch(full_document_before_change="required") as stream:
        await database[CONTACTS].update_one({"_id": 1}, {"$set": {"x": 1}})
        event = await stream.next()
    assert event["fullDocumentBeforeChange"] == {"_id": 1}


async def test_a_key_is_unique_in_its_account_by_the_database_itself(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    await open_store(open_database(database.client, database.name))
    await database[CONTACTS].insert_many([{"account": "a"}, {"account": "a"}, {"account": "a", "key": "k"}])
    await database[CONTACTS].insert_one({"account": "b", "key": "k"})
    with pytest.raises(DuplicateKeyError):
        await database[CONTACTS].insert_one({"account": "a", "key": "k"})


async def test_what_rules_read_gets_an_index_each_where_there_is_no_wildcard_and_not_too_many(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    store = await open_store(open_database(database.client, database.name))
    if store.traits.wildcard_indexes:
        pytest.skip("the server has wildcard indexes")
    await store.prepare_attributes(["normal.birthdate", "anniversaries.birthdate"])
    await store.prepare_attributes(
        ["normal.birthdate", *(f"normal.field_{number}" for number in range(MAX_CONTACT_INDEXES))]
    )
    present = await database[CONTACTS].index_information()
    keys = [each["key"] for each in present.values()]
    for path in ("normal.birthdate", "anniversaries.birthdate", "normal.field_0"):
        assert [("account", 1), (path, 1)] in keys
    assert len(present) == MAX_CONTACT_INDEXES


async def test_where_wildcards_serve_the_fields_only_the_contact_s_own_times_get_an_index(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    opened = open_database(database.client, database.name)
    traits = replace(await inspect(opened), wildcard_indexes=True)
    await prepare_attributes(opened, traits, ["normal.birthdate", "anniversaries.birthdate", "created"])
    present = await database[CONTACTS].index_information()
    assert [each["key"] for each in present.values()][1:] == [[("account", 1), ("created", 1)]]
    assert [index.keys[1][0] for index in ATTRIBUTE_WILDCARDS] == ["normal.$**", "anniversaries.$**"]


async def test_what_has_an_index_from_the_start_gets_no_other(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    store = await open_store(open_database(database.client, database.name))
    before = await database[CONTACTS].index_information()
    await store.prepare_attributes(["groups", "key"])
    assert await database[CONTACTS].index_information() == before


async def test_a_contact_is_found_by_its_key_from_an_index(database: AsyncDatabase[dict[str, Any]]) -> None:
    await open_store(open_database(database.client, database.name))
    await database[CONTACTS].insert_many([{"account": "a", "key": str(number)} for number in range(100)])
    plan = await database[CONTACTS].find({"account": "a", "key": {"$in": ["5", "7"]}}).explain()
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


@pytest.mark.parametrize(
    ("saves", "stands"),
    [
        ([(1, "5"), (1, "7"), (1, "6")], "7"),
        ([(1, "5"), (2, "6"), (1, "7")], "6"),
        ([(1, "5"), (2, "3"), (1, "6")], "3"),
        ([(1, "5"), (2, "3"), (2, "4"), (2, "3")], "4"),
    ],
)
async def test_a_checkpoint_never_goes_back_by_term_and_then_by_position(
    database: AsyncDatabase[dict[str, Any]], saves: list[tuple[int, str]], stands: str
) -> None:
    store = await open_store(open_database(database.client, database.name))
    assert await store.checkpoints.load() is None
    account = str(ObjectId())
    for term, position in saves:
        checkpoint = Checkpoint(
            token={"_data": position}, position=position, revisions={account: int(position)}
        )
        await store.checkpoints.save(checkpoint, term=term)
    found = await store.checkpoints.load()
    assert found == Checkpoint(token={"_data": stands}, position=stands, revisions={account: int(stands)})


async def test_a_run_that_begins_afresh_may_take_the_checkpoint_back_but_not_that_of_a_later_term(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    store = await open_store(open_database(database.client, database.name))

    async def save(position: str, *, term: int, back: bool) -> tuple[bool, str, int]:
        checkpoint = Checkpoint(token={"_data": position}, position=position, revisions={})
        stands = await store.checkpoints.save(checkpoint, term=term, back=back)
        found = await store.checkpoints.load()
        assert found is not None
        return stands, found.position, found.term

    assert await save("7", term=2, back=True) == (True, "7", 2)
    assert await save("5", term=2, back=False) == (False, "7", 2)
    assert await save("5", term=2, back=True) == (True, "5", 2)
    assert await save("9", term=1, back=True) == (False, "5", 2)


async def test_a_checkpoint_is_not_saved_over_one_that_was_put_back(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    store = await open_store(open_database(database.client, database.name))

    async def save(position: str, *, term: int, seen: str | None) -> bool:
        checkpoint = Checkpoint(token={}, position=position, revisions={})
        return await store.checkpoints.save(checkpoint, term=term, seen=seen)

    assert await save("5", term=1, seen=None)
    assert await save("7", term=1, seen="5")
    for seen in ("7", "8"):
        assert await save("9", term=2, seen="7")
        assert not await save("8", term=2, seen=seen)
        assert not await save("9", term=1, seen=seen)
        await database["checkpoints"].update_one({}, {"$set": {"position": "6", "term": 1}})
        with pytest.raises(PutBack):
            await save("9", term=2, seen=seen)
        found = await store.checkpoints.load()
        assert found is not None
        assert (found.position, found.term) == ("6", 1)
        await database["checkpoints"].update_one({}, {"$set": {"position": "7"}})
    await database["checkpoints"].delete_many({})
    with pytest.raises(PutBack):
        await save("9", term=2, seen="7")
    assert await store.checkpoints.load() is None
