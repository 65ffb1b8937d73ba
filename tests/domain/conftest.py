"""A domain at work on a real database: the engine, a hub behind an in-memory bus, and accounts."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from domain.accounts import Account, Accounts
from domain.fields import FieldType
from domain.membership.engine import Engine
from domain.membership.feed import FeedEvent
from domain.membership.hub import Hub
from domain.membership.messages import Progress, read_progress
from domain.membership.position import Position
from domain.referring import KnownAudiences
from domain.rules.text import parse
from domain.rules.tree import Limits
from domain.segments import BuildRule
from domain.store.client import open_database
from domain.store.store import Store, open_store

DEADLINE = 60.0


def rule(text: str) -> BuildRule:
    return lambda catalogue: parse(
        text, catalogue.fields, catalogue.settings, Limits(), KnownAudiences(catalogue)
    )


@dataclass
class World:
    """One process: a store, a hub, accounts, and engines that a test starts and stops."""

    database: AsyncDatabase[dict[str, Any]]
    store: Store
    hub: Hub
    accounts: Accounts
    told: list[Progress] = field(default_factory=list)
    watchers: "list[Watched]" = field(default_factory=list)
    """Stopped at the end, whatever becomes of the test."""

    @property
    def account(self) -> Account:
        return self.accounts.get("default")

    async def publish(self, progress: Progress) -> None:
        self.told.append(progress)
        self.hub.receive(read_progress(progress.to_text()))

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Engine]:
        """An engine that follows the stream, and is stopped properly at the end."""
        engine = Engine(self.store, self.publish)
        work = asyncio.create_task(engine.work())
        ready = asyncio.create_task(engine.wait_ready())
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait({work, ready}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        try:
            yield engine
        finally:
            engine.stop()
            async with asyncio.timeout(DEADLINE):
                await work

    @asynccontextmanager
    async def killed_engine(self) -> AsyncIterator[Engine]:
        """An engine that ends as a killed process does: in the middle of whatever it was doing."""
        engine = Engine(self.store, self.publish)
        work = asyncio.create_task(engine.work())
        await asyncio.wait_for(engine.wait_ready(), DEADLINE)
        try:
            yield engine
        finally:
            work.cancel()
            await asyncio.wait({work})
            await self.bury()

    async def bury(self) -> None:
        """What the next engine would otherwise wait for: that the lease of the one that was killed is dead."""
        lease = await self.store.leases.load()
        if lease is not None:
            await self.store.leases.give_up(lease.term)

    async def contact(self, **attributes: Any) -> ObjectId:
        contact = await self.account.contacts.create(
            ObjectId(), key=None, attributes=list(attributes.items())
        )
        return contact.id

    async def change(self, contact: ObjectId, **attributes: Any) -> None:
        await self.account.contacts.update(contact, attributes=list(attributes.items()))

    async def segment(self, name: str, text: str) -> ObjectId:
        return (
            await self.account.segments.create(ObjectId(), name=name, description=None, rule=rule(text))
        ).id

    async def size(self, audience: ObjectId) -> int:
        async with asyncio.timeout(DEADLINE):
            return (await self.account.feed.sizes([audience]))[audience].size

    async def events(self, audience: ObjectId, count: int, after: Position | None = None) -> list[FeedEvent]:
        """The first so many events of the feed."""
        found: list[FeedEvent] = []
        async with asyncio.timeout(DEADLINE), aclosing(self.account.feed.watch(audience, after)) as bursts:
            async for burst in bursts:
                found += burst
                if len(found) >= count:
                    break
        return found[:count]


@pytest.fixture
async def world(database: AsyncDatabase[dict[str, Any]]) -> AsyncGenerator[World, None]:
    opened = open_database(database.client, database.name)
    store = await open_store(opened)
    hub = Hub()
    accounts = Accounts(store, hub)
    found = World(opened, store, hub, accounts)
    for key, type_ in (("role", FieldType.TEXT), ("score", FieldType.NUMBER), ("tags", FieldType.TAGS)):
        await found.account.fields.create(key=key, label=key.title(), type=type_)
    yield found
    for watcher in found.watchers:
        await watcher.stop()
    await accounts.close()


@pytest.fixture
def watched(world: World) -> Callable[[ObjectId], "Watched"]:
    return lambda audience: Watched(world, audience)


class Watched:
    """A watcher in the background that keeps what it is told."""

    def __init__(self, world: World, audience: ObjectId, after: Position | None = None) -> None:
        self.audience = audience
        self._bursts = world.account.feed.watch(audience, after)
        self.events: list[FeedEvent] = []
        self._came = asyncio.Condition()
        self._task = asyncio.create_task(self._work())
        world.watchers.append(self)

    async def _work(self) -> None:
        async with aclosing(self._bursts) as bursts:
            async for burst in bursts:
                async with self._came:
                    self.events += burst
                    self._came.notify_all()

    async def until(self, count: int) -> list[FeedEvent]:
        async with asyncio.timeout(DEADLINE), self._came:
            await self._came.wait_for(lambda: len(self.events) >= count)
        return self.events

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
