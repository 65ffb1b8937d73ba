"""Several server processes on one database: whoever moves between them by cursor misses nothing and sees nothing twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage

from tests.api.client import Client
from tests.api.conftest import KEY
from tests.api.test_redis import PROGRAM, Redis
from tests.api.test_serving import PROCESS_SECONDS, process, ready

PROCESSES = 3
STOPS = 12
CONTACTS = 30


class Place:
    """A process that serves, until it is killed; it may be started again."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self.client: Client

    async def start(self) -> None:
        """Return when it serves."""
        self._started, self._ending = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._run())
        await asyncio.wait(
            {self._task, started := asyncio.ensure_future(self._started.wait())},
            return_when=asyncio.FIRST_COMPLETED,
        )
        started.cancel()
        if self._task.done():
            self._task.result()

    async def _run(self) -> None:
        async with (
            process(self._environment) as server,
            Client(server.url, KEY) as self.client,
            asyncio.timeout(PROCESS_SECONDS) as starting,
        ):
            await ready(server.url)
            starting.reschedule(None)
            self._started.set()
            await self._ending.wait()

    async def kill(self) -> None:
        self._ending.set()
        await self._task


@pytest.fixture(params=["log:", "redis:"])
async def places(
    request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path
) -> AsyncIterator[list[Place]]:
    async with AsyncExitStack() as stack:
        bus = str(request.param)
        if bus == "redis:":
            if PROGRAM is None:
                pytest.skip("there is no redis-server on this machine")
            redis = Redis(tmp_path)
            stack.push_async_callback(redis.kill)
            await redis.start()
            bus = redis.url
        places = [Place({**environment, "SHOAL_BUS": bus}) for _ in range(PROCESSES)]
        for place in places:
            await place.start()
            stack.push_async_callback(place.kill)
        yield places


class Traveller:
    """Watches an audience here and there, a few events at a time, each time from where it was."""

    def __init__(self, segment: str, size: int) -> None:
        self._segment = segment
        self._size = size
        self.cursor: str | None = None
        self.seen: list[dict[str, Any]] = []

    async def stay(self, client: Client, count: int) -> None:
        """Until so many events came, or the place is gone."""
        with suppress(ConnectionClosed, InvalidMessage, OSError):
            async with client.watching(self._segment, after=self.cursor) as watcher:
                started = await watcher.event()
                assert started["kind"] == "FeedStarted"
                assert self.cursor in {None, started["cursor"]}
                assert started["size"] == self._size
                self.cursor = started["cursor"]
                for _ in range(count):
                    await self._see(await watcher.event())

    async def _see(self, event: dict[str, Any]) -> None:
        self._size += 1 if event["kind"] == "ContactJoined" else -1
        assert event["size"] == self._size
        assert self.cursor is not None
        assert event["cursor"] > self.cursor
        self.cursor = event["cursor"]
        self.seen.append(event)


async def churn(
    places: list[Place], contacts: list[str], generator: random.Random, stop: asyncio.Event
) -> None:
    """Write through all of them, until told to stop."""
    while not stop.is_set():
        with suppress(httpx.HTTPError):
            # What a process that was killed was asked may have happened or not.
            await generator.choice(places).client.write(
                generator.choice(contacts),
                email=generator.choice([None, f"{generator.random()}@example.org"]),
            )


@pytest.mark.parametrize("killed", [False, True], ids=["all live", "one is killed again and again"])
async def test_whoever_moves_between_processes_misses_nothing_and_sees_nothing_twice(
    places: list[Place],
    killed: bool,  # noqa: FBT001
) -> None:
    generator = random.Random(11)
    home = places[0].client
    contacts = list((await home.upsert({f"C{number}": {} for number in range(CONTACTS)})).values())
    segment = await home.segment("No email", "email is empty")
    assert [await place.client.size(segment) for place in places] == [CONTACTS] * PROCESSES
    stop = asyncio.Event()
    async with Client(home.url, KEY) as settled, settled.watching(segment) as resident:
        started = await resident.event()
        travellers = [Traveller(segment, CONTACTS) for _ in range(3)]
        for traveller in travellers:
            await traveller.stay(generator.choice(places).client, 0)
        writers = [asyncio.create_task(churn(places, contacts, generator, stop)) for _ in range(3)]
        for stop_ in range(STOPS):
            staying = [
                asyncio.create_task(
                    traveller.stay(generator.choice(places).client, generator.randrange(1, 15))
                )
                for traveller in travellers
            ]
            if killed and stop_ % 3 == 2:
                await places[1 + stop_ // 3 % 2].kill()
                await places[1 + stop_ // 3 % 2].start()
            await asyncio.gather(*staying)
        stop.set()
        await asyncio.gather(*writers)
        sizes = [await place.client.size(segment) for place in places]
        assert len(set(sizes)) == 1
        history = await home.data(
            """query ($id: ID!, $rule: RuleInput) {
              segment(id: $id) { changes(first: 200) { totalCount nodes { cursor size } } }
              contacts(rule: $rule) { totalCount }
            }""",
            id=segment,
            rule={"expression": "email is empty"},
        )
        assert history["contacts"]["totalCount"] == sizes[0]
        changes = history["segment"]["changes"]
        lived = [await resident.event() for _ in range(changes["totalCount"])]
        assert [event["cursor"] for event in lived] == sorted({event["cursor"] for event in lived})
        for traveller in travellers:
            rest = changes["totalCount"] - len(traveller.seen)
            await traveller.stay(places[2].client, rest)
            assert traveller.seen == lived
    assert started["size"] == CONTACTS
    told = [(event["cursor"], event["size"]) for event in reversed(lived)]
    logged = [(node["cursor"], node["size"]) for node in changes["nodes"]]
    assert told[: len(logged)] == logged
    assert len(lived) > 50
