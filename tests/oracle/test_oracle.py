"""The whole, held against the database while parts of it are killed, cut and paused.

After each quiet point, for every audience: replaying the log, replaying what each watcher was told, and the query agree. A
failure names the seed, which draws the same acts and faults again.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient

from api.ids import read_id
from domain.catalogue import Catalogue
from domain.membership.position import Position, instant, second_of, to_cursor
from domain.store.client import open_database
from domain.store.store import Store, open_store
from tests.api.client import Client
from tests.oracle.acting import Actor
from tests.oracle.cluster import DATABASE, KEY, Cluster, cluster, events_of
from tests.oracle.defects import DEFECTS
from tests.oracle.judging import KINDS, Disagreement, judge_log, judge_watcher

QUIET_SECONDS = 60.0
SETTLE_SECONDS = 20.0


def identifier_of(name: str) -> ObjectId:
    """The identifier that a client's one stands for."""
    read = read_id(name)
    assert read is not None
    return read[1]


class Oracle:
    """One run: acts and faults from a seed, and judgement at quiet points."""

    def __init__(self, seed: int, here: Cluster, clients: list[Client]) -> None:
        self.chance = random.Random(seed)
        self.here = here
        self.clients = clients
        self.actor = Actor(seed, clients, here.uri)
        self.watched: list[tuple[ObjectId, Path]] = []
        self.faults: Counter[str] = Counter()
        self.checked = 0

    async def watch_all(self) -> None:
        """Every audience has a watcher, some a slow one, who has begun when this returns."""
        seen = {audience for audience, _ in self.watched}
        for name in [*self.actor.groups, *self.actor.segments]:
            audience = identifier_of(name)
            if audience not in seen:
                slow = self.chance.random() < 0.2
                self.watched.append((audience, await self.here.watch(name, slow=slow)))
        for audience, told in self.watched:
            await self._told_up_to(told, "", audience)

    async def fault(self) -> None:
        """One of everything that goes wrong."""
        number = self.chance.randrange(len(self.here.servers))
        server = self.here.servers[number]
        match self.chance.randrange(6):
            case 0 | 1:
                self.faults["kill -9 of a server"] += 1
                await server.kill()
                await asyncio.sleep(self.chance.uniform(0, 0.5))
                await self.here.start_server(number)
            case 2:
                self.faults["stop of a server"] += 1
                await server.stop()
                await self.here.start_server(number)
            case 3:
                self.faults["pause of a server"] += 1
                server.signal(signal.SIGSTOP)
                await asyncio.sleep(self.chance.uniform(0.2, 6))
                server.signal(signal.SIGCONT)
            case 4:
                self.faults["kill -9 of the database"] += 1
                await self.here.database.kill()
                await asyncio.sleep(self.chance.uniform(0, 1))
                await self.here.start_database()
            case _:
                self.faults["kill -9 of a watcher"] += 1
                watcher = self.chance.choice(self.here.watchers)
                await watcher.kill()
                await watcher.start()

    async def judge(self) -> None:
        """Nobody acts: everything must come to agree. A disagreement that does not pass is one."""
        async with AsyncMongoClient[dict[str, Any]](self.here.uri, tz_aware=True) as client:
            store = await open_store(open_database(client, DATABASE))
            for number in range(len(self.here.servers)):
                await self.here.ready(number)
            deadline = time.monotonic() + QUIET_SECONDS
            while True:
                try:
                    self.checked = await self._judge(store)
                except Disagreement:
                    # Time goes on and moves contacts between one look and the next; a defect stays.
                    if time.monotonic() > deadline:
                        raise
                    await asyncio.sleep(0.3)
                else:
                    return

    async def _judge(self, store: Store) -> int:
        catalogue = Catalogue("default")
        for definition in (await store.definitions_in_force(None))["default"]:
            catalogue.apply(definition)
        checked = 0
        for audience in catalogue.audiences():
            log = store.log.of("default")
            entries = await log.read(audience.id, after="", upto="~", limit=1_000_000)
            second = max(second_of(Position(entries[-1].position)), int(time.time())) if entries else 0
            query = catalogue.criterion(audience.id).query(instant(second))
            found = await store.contacts("default").find(query, projection={"_id": 1})
            judge_log(audience.id, entries, {document["_id"] for document in found})
            last = max(
                (to_cursor(audience.id, Position(each.position)) for each in entries if each.kind in KINDS),
                default="",
            )
            for watched, told in self.watched:
                if watched == audience.id:
                    events = await self._told_up_to(told, last, audience.id)
                    checked += judge_watcher(audience.id, entries, events)
        return checked

    async def _told_up_to(self, told: Path, last: str, audience: ObjectId) -> list[dict[str, object]]:
        """What a watcher was told, once that reaches the last change of the log: in a log without any, once it began."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            events = events_of(told)
            if events and str(events[-1]["cursor"]) >= last:
                return events
            if time.monotonic() > deadline:
                raise Disagreement(audience, f"{told.name} was told up to {events[-1:]} and not up to {last}")
            await asyncio.sleep(0.05)


async def run(
    directory: Path,
    seed: int,
    *,
    servers: int,
    rounds: int,
    acts: int,
    settings: dict[str, str],
    defect: str | None = None,
    faults: int = 1_000,
) -> Oracle:
    """Some rounds of acts and, at the same time, so many faults at most, with a judgement behind each."""
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(cluster(directory, servers, settings, defect))
        clients = [await stack.enter_async_context(Client(url, KEY)) for url in here.urls]
        oracle = Oracle(seed, here, clients)
        stack.push_async_callback(oracle.actor.close)
        await oracle.actor.begin()
        await oracle.watch_all()
        for _ in range(rounds):
            acting = asyncio.create_task(_act(oracle, acts))
            try:
                for _ in range(faults):
                    await oracle.fault()
                    await asyncio.wait({acting}, timeout=oracle.chance.uniform(0.2, 2))
                    if acting.done():
                        break
                await acting
            finally:
                acting.cancel()
            await oracle.judge()
            await oracle.watch_all()
        return oracle


async def _act(oracle: Oracle, acts: int) -> None:
    for _ in range(acts):
        await oracle.actor.act()


SEED = int(os.environ.get("SHOAL_ORACLE_SEED", "1"))
SETTINGS = {"SHOAL_BUS": "memory://"}


async def test_log_watchers_and_query_agree_through_faults(tmp_path: Path) -> None:
    oracle = await run(tmp_path, SEED, servers=1, rounds=1, acts=40, settings=SETTINGS, faults=2)
    assert oracle.checked > 50
    assert sum(oracle.faults.values()) == 2


@pytest.mark.soak
async def test_log_watchers_and_query_agree_through_many_faults(tmp_path: Path) -> None:
    """For SOAK_MINUTES, seed after seed."""
    ends = time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "10"))
    faults: Counter[str] = Counter()
    seed, checked = SEED, 0
    while time.monotonic() < ends:
        directory = tmp_path / str(seed)
        directory.mkdir()
        try:
            oracle = await run(directory, seed, servers=1, rounds=6, acts=150, settings=SETTINGS)
        except BaseException as failure:
            failure.add_note(f"SHOAL_ORACLE_SEED={seed}")
            raise
        faults += oracle.faults
        checked += oracle.checked
        seed += 1
        print(f"seeds {SEED} to {seed - 1}: {dict(faults)}, {checked:,} events checked")  # noqa: T201


@pytest.mark.soak
@pytest.mark.parametrize("defect", DEFECTS)
async def test_the_oracle_sees_each_defect(
    tmp_path: Path, defect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An oracle that passes a server with one of these looks away."""
    monkeypatch.setattr("tests.oracle.test_oracle.QUIET_SECONDS", 10.0)
    monkeypatch.setattr("tests.oracle.test_oracle.SETTLE_SECONDS", 5.0)
    for seed in range(SEED, SEED + 5):
        directory = tmp_path / str(seed)
        directory.mkdir()
        try:
            await run(directory, seed, servers=1, rounds=4, acts=120, settings=SETTINGS, defect=defect)
        except Disagreement as seen:
            print(f"{defect}: seed {seed}: {seen}")  # noqa: T201
            return
    pytest.fail(f"{defect} was not seen")
