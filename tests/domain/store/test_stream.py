import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from domain.store import embedded
from domain.store.client import connect, open_database
from domain.store.store import Store, open_store
from domain.store.stream import HistoryLost, Moment, StreamBatch

DEADLINE = 20.0


@pytest.fixture
async def store(database: AsyncDatabase[dict[str, Any]]) -> Store:
    return await open_store(open_database(database.client, database.name))


async def moments(stream: AsyncGenerator[StreamBatch, None], count: int) -> tuple[list[Moment], Any]:
    """The next moments, and the token behind them."""
    found: list[Moment] = []
    token: Any = None
    async with asyncio.timeout(DEADLINE):
        while len(found) < count:
            batch = await anext(stream)
            found += batch.moments
            token = batch.token
    return found, token


async def test_the_stream_says_first_where_it_stands(store: Store) -> None:
    async with asyncio.timeout(DEADLINE), aclosing(store.follow(None)) as stream:
        first = await anext(stream)
    assert first.moments == []
    assert first.token


async def test_a_transaction_is_one_moment_and_what_is_outside_of_one_is_its_own(
    store: Store, database: AsyncDatabase[dict[str, Any]]
) -> None:
    contacts = database["contacts"]
    async with aclosing(store.follow(None)) as stream:
        await anext(stream)
        await contacts.insert_one({"_id": 1})
        async with database.client.start_session() as session, await session.start_transaction():
            await contacts.insert_one({"_id": 2}, session=session)
            await contacts.update_one({"_id": 1}, {"$set": {"x": 1}}, session=session)
        await contacts.update_one({"_id": 1}, {"$set": {"x": 2}})
        found, _ = await moments(stream, 3)
    assert [[event["operationType"] for event in moment.events] for moment in found] == [
        ["insert"],
        ["insert", "update"],
        ["update"],
    ]
    times = [moment.time for moment in found]
    assert times == sorted(set(times))


async def test_a_token_goes_on_right_behind_its_batch(
    store: Store, database: AsyncDatabase[dict[str, Any]]
) -> None:
    async with aclosing(store.follow(None)) as stream:
        await anext(stream)
        await database["contacts"].insert_many([{"_id": number} for number in range(5)])
        seen, token = await moments(stream, 1)
    async with aclosing(store.follow(token)) as again:
        rest, _ = await moments(again, 5 - len(seen))
    keys = [moment.events[0]["documentKey"]["_id"] for moment in [*seen, *rest]]
    assert keys == list(range(5))


async def test_only_contacts_definitions_and_fences_are_followed(
    store: Store, database: AsyncDatabase[dict[str, Any]]
) -> None:
    async with aclosing(store.follow(None)) as stream:
        await anext(stream)
        await database["changes"].insert_one({"_id": "x"})
        await database["checkpoints"].insert_one({"_id": "x"})
        await store.fences().mark()
        found, _ = await moments(stream, 1)
    assert [event["ns"]["coll"] for moment in found for event in moment.events] == ["fences"]


async def test_an_event_brings_its_pre_image(store: Store, database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["contacts"].insert_one({"_id": 1, "x": 1})
    async with aclosing(store.follow(None)) as stream:
        await anext(stream)
        await database["contacts"].delete_one({"_id": 1})
        ((moment,), _) = await moments(stream, 1)
    assert moment.events[0]["fullDocumentBeforeChange"] == {"_id": 1, "x": 1}


async def test_a_token_that_the_server_cannot_read_is_a_lost_history(store: Store) -> None:
    """What a database restored from elsewhere amounts to."""
    with pytest.raises(HistoryLost):
        async with asyncio.timeout(DEADLINE), aclosing(store.follow({"_data": "82" + "00" * 20})) as stream:
            await anext(stream)


async def test_a_token_whose_history_has_been_pruned_is_a_lost_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.store.embedded.process.OPLOG_ENTRIES", 50)
    async with embedded.running(tmp_path, durable=False) as server, connect(server.uri) as client:
        database = open_database(client, "shoal")
        store = await open_store(database)
        async with aclosing(store.follow(None)) as stream:
            token = (await anext(stream)).token
        for _ in range(10):
            await database["contacts"].insert_many([{} for _ in range(200)])
        with pytest.raises(HistoryLost):
            async with asyncio.timeout(DEADLINE), aclosing(store.follow(token)) as stream:
                await moments(stream, 1)


async def test_dropping_the_contacts_is_a_lost_history(
    store: Store, database: AsyncDatabase[dict[str, Any]]
) -> None:
    async with aclosing(store.follow(None)) as stream:
        await anext(stream)
        await database["contacts"].insert_one({"_id": 1})
        await database["contacts"].drop()
        with pytest.raises(HistoryLost):
            await moments(stream, 1_000)
