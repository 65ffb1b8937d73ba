"""A database that is not what it was: put back to an earlier state, of another time, with an oplog that was pruned."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from domain.accounts import Accounts
from domain.membership.feed import Reset
from domain.membership.hub import Hub
from domain.membership.position import Position
from domain.store import embedded
from domain.store.client import connect, open_database
from domain.store.log import EntryKind, LogEntry, Reason
from domain.store.requests import ComeHere
from domain.store.store import open_store
from tests.domain.conftest import DEADLINE, Watched, World
from tests.domain.membership.test_engine import check_against_the_query
from tests.domain.membership.test_reconciling import moves
from tests.domain.membership.turning import TurnedStore
from tests.relay import Relay


async def test_a_database_put_back_to_an_earlier_state_resets_whoever_was_told_of_the_later_one(
    tmp_path: Path,
) -> None:
    """It is away for less time than the driver waits for it, which would go on by itself as if nothing had been."""
    place, backup = tmp_path / "data", tmp_path / "backup"
    async with AsyncExitStack() as stack:
        relay = Relay()
        await stack.enter_async_context(relay.listening())

        @asynccontextmanager
        async def database() -> AsyncIterator[str]:
            async with embedded.running(place, durable=False) as server:
                relay.behind = server.port
                yield server.uri.replace(f":{server.port}/", f":{relay.port}/")
                relay.cut()

        async with database() as uri:
            client = await stack.enter_async_context(connect(uri, timeout_seconds=20))
            opened = open_database(client, "shoal")
            store, hub = await open_store(opened), Hub()
            world = World(opened, store, hub, Accounts(store, hub))
            await stack.enter_async_context(world.engine())
            segment = await world.segment("Customers", "first_name is not empty")
            contact = await world.contact(first_name="Ann")
            assert await world.size(segment) == 1
            await until_saved(world)
        shutil.copytree(place, backup)
        era = hub.era
        async with database():
            await until_another_era(hub, era)
            watcher = Watched(world, segment)
            await watcher.until(1)
            await world.change(contact, first_name="")
            await world.contact(first_name="Ben")
            await world.contact(first_name="Cleo")
            *_, ben, cleo = await watcher.until(4)
            assert isinstance(cleo, LogEntry)
            assert cleo.size == 2
        shutil.rmtree(place)
        shutil.copytree(backup, place)
        era = hub.era
        async with database():
            await until_another_era(hub, era)
            reset = (await watcher.until(5))[4]
            assert isinstance(reset, Reset)
            assert reset.size == 1
            assert reset.because == "the database was put back to an earlier state"
            (resumed,) = await world.events(segment, 1, after=Position(ben.position))
            assert isinstance(resumed, Reset)
            await world.contact(first_name="Dora")
            await watcher.until(6)
            entries = await check_against_the_query(world, segment, set())
            assert [each[2] for each in moves(entries)] == [Reason.CONTACT_CREATED, Reason.CONTACT_CREATED]
            await watcher.stop()
            await stack.aclose()


async def until_saved(world: World) -> None:
    """The checkpoint has come to where the hub is."""
    reached = world.hub.position
    async with asyncio.timeout(DEADLINE):
        while True:
            checkpoint = await world.store.checkpoints.load()
            if checkpoint is not None and checkpoint.position >= reached:
                return
            await world.store.requests.put(ComeHere())


async def until_another_era(hub: Hub, era: int) -> None:
    """A run has begun since."""
    async with asyncio.timeout(DEADLINE):
        await hub.until(lambda: hub.era > era)


async def test_a_checkpoint_that_lies_before_what_was_saved_resets_also_where_no_outage_was_noticed(
    world: World,
) -> None:
    checkpoints = world.database["checkpoints"]
    async with world.engine():
        segment = await world.segment("Named", "first_name is not empty")
        contact = await world.contact(first_name="Ann")
        watcher = Watched(world, segment)
        await watcher.until(1)
        await until_saved(world)
        earlier = await checkpoints.find_one({})
        assert earlier is not None
        await world.change(contact, first_name="")
        await watcher.until(2)
        await until_saved(world)
        await checkpoints.replace_one({}, earlier)
        await world.change(contact, first_name="Anna")
        *_, joined, reset = await watcher.until(4)
        assert isinstance(joined, LogEntry)
        assert isinstance(reset, Reset)
        assert (reset.size, reset.because) == (1, "the database was put back to an earlier state")
        await check_against_the_query(world, segment, set())
        await watcher.stop()


async def test_what_is_of_a_time_to_which_the_database_has_not_come_is_forgotten_and_told_of(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    """Checkpoint, log and a hub that was told, all a month ahead of the stream."""
    opened = open_database(database.client, database.name)
    store = TurnedStore(opened, (await open_store(opened)).traits)
    hub = Hub()
    ahead = World(opened, store, hub, Accounts(store, hub))
    await store.turn_to(datetime.now(UTC) + timedelta(days=30))
    async with ahead.engine():
        segment = await ahead.segment("Named", "first_name is not empty")
        contact = await ahead.contact(first_name="Ann")
        watcher = Watched(ahead, segment)
        first = (await watcher.until(1))[0]
        await ahead.change(contact, first_name="")
        told = (await watcher.until(2))[1]
    present = await open_store(opened)
    world = World(opened, present, hub, Accounts(present, hub))
    async with world.engine():
        reset = (await watcher.until(3))[2]
        assert isinstance(reset, Reset)
        assert reset.size == 0
        assert reset.position < first.position
        for event in (first, told):
            (resumed,) = await world.events(segment, 1, after=Position(event.position))
            assert isinstance(resumed, Reset)
        await world.change(contact, first_name="Anna")
        joined = (await watcher.until(4))[3]
        assert isinstance(joined, LogEntry)
        assert joined.size == 1
        await check_against_the_query(world, segment, set())
    await watcher.stop()


async def test_a_token_that_was_pruned_from_the_oplog_is_answered_by_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.store.embedded.process.OPLOG_ENTRIES", 50)
    async with embedded.running(tmp_path, durable=False) as server, connect(server.uri) as client:
        opened = open_database(client, "shoal")
        store, hub = await open_store(opened), Hub()
        world = World(opened, store, hub, Accounts(store, hub))
        async with world.engine():
            segment = await world.segment("Named", "first_name is not empty")
            contact = await world.contact(first_name="Ann")
            watcher = Watched(world, segment)
            await watcher.until(1)
        await world.change(contact, first_name="")
        for _ in range(10):
            await opened["outcomes"].insert_many([{} for _ in range(200)])
        async with world.engine():
            left = (await watcher.until(2))[1]
            assert isinstance(left, LogEntry)
            assert (left.kind, left.reason) == (EntryKind.LEFT, Reason.RECONCILED)
            await check_against_the_query(world, segment, set())
        await watcher.stop()
        await world.accounts.close()
