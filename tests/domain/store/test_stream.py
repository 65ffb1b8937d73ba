import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from bson import Timestamp
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from domain.store import embedded
from domain.store.client import connect, open_database
from domain.store.server import read_traits
from domain.store.store import Store, open_store
from domain.store.stream import HistoryLost, Moment, StreamBatch, _batches

DEADLINE = 60.0
TRAITS = read_traits({"version": "8.0.0", "versionArray": [8, 0, 0, 0]})


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


class Cursors(CommandListener):
    """Those of the change streams that were opened."""

    def __init__(self) -> None:
        self.opened: list[int] = []

    def started(self, event: CommandStartedEvent) -> None: ...

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if event.command_name == "aggregate":
            self.opened.append(event.reply["cursor"]["id"])

    def failed(self, event: CommandFailedEvent) -> None: ...


async def test_a_stream_that_the_driver_would_open_again_unseen_fails(
    mongodb_uri: str, database: AsyncDatabase[dict[str, Any]]
) -> None:
    """As where the database was away, and is another behind it."""
    cursors = Cursors()
    async with connect(mongodb_uri, listeners=[cursors]) as client:
        store = await open_store(open_database(client, database.name))
        async with aclosing(store.follow(None)) as stream:
            await anext(stream)

            async def follow() -> None:
                while True:
                    await database["contacts"].insert_one({})
                    await moments(stream, 1)
                    # SecantusDB goes on with a cursor that is being read from, which MongoDB ends.
                    await asyncio.sleep(0.2)
                    await database.command("killCursors", "$cmd.aggregate", cursors=cursors.opened)

            with pytest.raises(AutoReconnect, match="was lost"):
                await follow()
    assert len(cursors.opened) == 2


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


# One event of the stream, as a server tells it that would have to send more than a message may hold.
FRAGMENTS: list[dict[str, Any]] = [
    {
        "_id": {"_data": "1"},
        "splitEvent": {"fragment": 1, "of": 3},
        "operationType": "update",
        "ns": {"coll": "contacts"},
    },
    {"_id": {"_data": "2"}, "splitEvent": {"fragment": 2, "of": 3}, "fullDocumentBeforeChange": {"_id": 1}},
    {
        "_id": {"_data": "3"},
        "splitEvent": {"fragment": 3, "of": 3},
        "clusterTime": Timestamp(1, 2),
        "txnNumber": 1,
    },
]
WHOLE: list[dict[str, Any]] = [
    {"_id": {"_data": "0"}, "operationType": "insert", "clusterTime": Timestamp(1, 1)},
    {"_id": {"_data": "4"}, "operationType": "delete", "clusterTime": Timestamp(1, 3)},
]


class Told:
    """What a server tells, by the driver's names; None is a moment in which nothing comes."""

    def __init__(self, told: list[dict[str, Any] | None]) -> None:
        self._told = told
        self.resume_token: Any = {"_data": "start"}

    async def try_next(self) -> dict[str, Any] | None:
        await asyncio.sleep(0)
        event = self._told.pop(0)
        if event is not None:
            self.resume_token = event["_id"]
        return None if event is None else dict(event)


async def test_the_fragments_of_a_large_event_are_one_event_and_no_place_to_go_on_from_lies_between() -> None:
    first, second, third = FRAGMENTS
    told = Told([WHOLE[0], first, None, second, None, third, WHOLE[1], None, None])
    found: list[Moment] = []
    tokens = []
    async with aclosing(_batches(told, TRAITS)) as batches:  # type: ignore[arg-type]
        while len(found) < 3:
            batch = await anext(batches)
            found += batch.moments
            tokens.append(batch.token["_data"])
    assert [moment.time.inc for moment in found] == [1, 2, 3]
    (whole,) = found[1].events
    assert {**whole, "splitEvent": third["splitEvent"]} == first | second | third
    assert not {"1", "2"} & set(tokens)


async def test_an_event_that_is_too_large_all_the_same_is_a_lost_history(tmp_path: Path) -> None:
    server = (sys.executable, "-P", "-m", "secantus", "--enable-test-commands")
    async with (
        embedded.running(tmp_path, durable=False, server=server) as running,
        connect(running.uri) as client,
    ):
        store = await open_store(open_database(client, "shoal"))
        async with aclosing(store.follow(None)) as stream:
            await anext(stream)
            await client.admin.command(
                {
                    "configureFailPoint": "failCommand",
                    "mode": {"times": 1},
                    "data": {"failCommands": ["getMore"], "errorCode": 10334},
                }
            )
            with pytest.raises(HistoryLost):
                await moments(stream, 1)
