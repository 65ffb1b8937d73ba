"""The whole, held against the database while parts of it are killed, cut and paused.

After each quiet point, for every audience: replaying the log, replaying what each watcher was told, and the query agree, and the
doctor finds nothing. A failure names the seed, which draws the same acts and faults again.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from api.ids import read_id
from domain.catalogue import Catalogue
from domain.membership.position import Position, instant, second_of, to_cursor
from domain.store.client import open_database
from domain.store.indexes import CHECKPOINTS
from domain.store.store import Store, open_store
from tests.api.client import Client
from tests.api.test_redis import PROGRAM
from tests.oracle.acting import Actor
from tests.oracle.cluster import DATABASE, KEY, Cluster, cluster, events_of, reached
from tests.oracle.defects import DEFECTS
from tests.oracle.faults import Faults
from tests.oracle.judging import KINDS, Disagreement, judge_log, judge_watcher

QUIET_SECONDS = 120.0
SETTLE_SECONDS = 20.0
ANSWER_SECONDS = 60.0
"""Of a database that nobody strikes."""
CALLERS = 3
LEAST_ACTS = 60
"""In a round, though everything that could answer may be gone for most of it."""


def identifier_of(name: str) -> ObjectId:
    """The identifier that a client's one stands for."""
    read = read_id(name)
    assert read is not None
    return read[1]


class Oracle:
    """One run: acts and faults from a seed, and judgement at quiet points."""

    def __init__(
        self, seed: int, here: Cluster, clients: list[Client], database: AsyncDatabase[dict[str, Any]]
    ) -> None:
        self.chance = random.Random(seed)
        self.here = here
        self.actor = Actor(seed, here, clients, database)
        self.faults = Faults(seed, here)
        self.watched: list[tuple[ObjectId, Path]] = []
        self.checked = 0
        self.asked = 0

    async def round(self, faults: int) -> None:
        """So many faults while everybody acts, and a judgement behind them."""
        stop = asyncio.Event()
        acting = asyncio.create_task(self._act(stop))
        looking = asyncio.create_task(self._look_at_checkpoints())
        try:
            for _ in range(faults):
                await self.faults.strike()
                await asyncio.wait({acting, looking}, timeout=self.chance.uniform(0.2, 2.5))
                if acting.done() or looking.done():
                    break
            stop.set()
            await acting
            await self.faults.over()
            await self.judge()
            await self._ask_the_doctor()
            if looking.done():
                looking.result()
        finally:
            await _end(acting, looking)
        await self.watch_all()

    async def _act(self, stop: asyncio.Event) -> None:
        """Several at once: while one waits for what was killed, the others go on."""
        least = self.actor.acts + LEAST_ACTS

        async def go_on() -> None:
            while not stop.is_set() or self.actor.acts < least:
                await self.actor.act()
                await asyncio.sleep(self.chance.uniform(0, 0.1))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(go_on())

    async def watch_all(self) -> None:
        """Every audience has a watcher, some a slow one, who has begun when this returns."""
        seen = {audience for audience, _ in self.watched}
        for name in [*self.actor.groups, *self.actor.segments]:
            audience = identifier_of(name)
            if audience not in seen:
                slow = self.chance.random() < 0.2
                self.watched.append((audience, await self.here.watch(name, slow=slow)))
        async with asyncio.timeout(QUIET_SECONDS + SETTLE_SECONDS):
            for _, told in self.watched:
                while not events_of(told):  # noqa: ASYNC110 # another process
                    await asyncio.sleep(0.05)

    # ---- judgement -------------------------------------------------------------------------------------------------

    async def _look_at_checkpoints(self) -> NoReturn:
        """The checkpoint never goes back, whoever saves it."""
        furthest = (0, "")
        async with reached(self.here.uri) as client:
            while True:
                with suppress(PyMongoError):
                    stored = await client[DATABASE][CHECKPOINTS].find_one({})
                    if stored is not None:
                        now = (stored["term"], stored["position"])
                        if now < furthest:
                            raise Disagreement(ObjectId(), f"the checkpoint went from {furthest} to {now}")
                        furthest = now
                await asyncio.sleep(0.03)

    async def _ask_the_doctor(self) -> None:
        """It looks at everything from outside, and must find nothing."""
        self.asked += 1
        code, said = await self.here.command(f"doctor-{self.asked}", "doctor", "--deep")
        if code != 0:
            raise Disagreement(ObjectId(), f"the doctor says: {said}")

    async def judge(self) -> None:
        """Nobody acts: everything must come to agree. A disagreement that does not pass is one."""
        async with reached(self.here.uri, ANSWER_SECONDS) as client:
            store = await open_store(open_database(client, DATABASE))
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
        standing = {audience.id for audience in catalogue.audiences()}
        ended = {identifier_of(name) for name in self.actor.ended}
        checked = 0
        for audience in [*standing, *ended]:
            entries = await store.log.of("default").read(audience, after="", upto="~", limit=1_000_000)
            members: set[ObjectId] | None = None
            if audience in standing:
                second = max(second_of(Position(entries[-1].position)), int(time.time())) if entries else 0
                query = catalogue.criterion(audience).query(instant(second))
                found = await store.contacts("default").find(query, projection={"_id": 1})
                members = {document["_id"] for document in found}
            judge_log(audience, entries, members)
            last = max(
                (to_cursor(audience, Position(each.position)) for each in entries if each.kind in KINDS),
                default="",
            )
            for watched, told in self.watched:
                if watched == audience:
                    events = await self._told_up_to(told, last, audience)
                    checked += judge_watcher(audience, entries, events)
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


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Again and again: a wait that is over in the moment in which it is cancelled takes no notice of that."""
    while not all(task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1)


async def run(
    directory: Path,
    seed: int,
    *,
    servers: int,
    bus: str,
    rounds: int,
    faults: int,
    defect: str | None = None,
) -> Oracle:
    """Some rounds, each with so many faults."""
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(cluster(directory, servers, bus, defect))
        clients = [await stack.enter_async_context(Client(url, KEY)) for url in here.urls]
        mongo = await stack.enter_async_context(reached(here.uri, seconds=20))
        oracle = Oracle(seed, here, clients, mongo[DATABASE])
        await oracle.actor.begin()
        await oracle.watch_all()
        for _ in range(rounds):
            await oracle.round(faults)
        return oracle


SEED = int(os.environ.get("ORACLE_SEED", "1"))

INSTALLATIONS = [(3, "log:"), (1, "memory://"), *([(3, "redis")] if PROGRAM is not None else [])]
"""How many processes serve, and over which bus they hear the engine."""


async def test_log_watchers_and_query_agree_through_faults(tmp_path: Path) -> None:
    oracle = await run(tmp_path, SEED, servers=2, bus="log:", rounds=1, faults=3)
    assert oracle.checked > 0
    assert sum(oracle.faults.done.values()) == 3


@pytest.mark.soak
async def test_log_watchers_and_query_agree_through_many_faults(tmp_path: Path) -> None:
    """For SOAK_MINUTES, seed after seed, from ORACLE_SEED on; each kind of installation in turn."""
    ends = time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "10"))
    faults: Counter[str] = Counter()
    seed, checked = SEED, 0
    while time.monotonic() < ends:
        servers, bus = INSTALLATIONS[seed % len(INSTALLATIONS)]
        directory = tmp_path / str(seed)
        directory.mkdir()
        try:
            oracle = await run(directory, seed, servers=servers, bus=bus, rounds=3, faults=10)
        except BaseException as failure:
            failure.add_note(f"ORACLE_SEED={seed}, {servers} servers, {bus}")
            raise
        faults += oracle.faults.done
        checked += oracle.checked
        seed += 1
        print(  # noqa: T201
            f"seeds {SEED} to {seed - 1}: {sum(faults.values())} faults, {checked:,} events checked; {dict(faults)}"
        )


@pytest.mark.soak
@pytest.mark.parametrize("defect", DEFECTS)
async def test_the_oracle_sees_each_defect(
    tmp_path: Path, defect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An oracle that passes a server with one of these looks away."""
    # A defect stays; whatever is only late comes within this.
    monkeypatch.setattr("tests.oracle.test_oracle.QUIET_SECONDS", 60.0)
    for seed in range(SEED, SEED + 5):
        directory = tmp_path / str(seed)
        directory.mkdir()
        try:
            await run(directory, seed, servers=2, bus="log:", rounds=4, faults=8, defect=defect)
        except Disagreement as seen:
            print(f"{defect}: seed {seed}: {seen}")  # noqa: T201
            return
    pytest.fail(f"{defect} was not seen")
