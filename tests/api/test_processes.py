"""Several server processes on one database: whoever moves between them by cursor misses nothing and sees nothing twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.api.client import Client
from tests.api.conftest import KEY
from tests.api.test_redis import PROGRAM, Redis
from tests.api.test_serving import process, ready

PROCESSES = 3
STOPS = 8
CONTACTS = 30


@pytest.fixture(params=["log:", pytest.param("redis:", marks=pytest.mark.soak)])
async def places(
    request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path
) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        bus = str(request.param)
        if bus == "redis:":
            if PROGRAM is None:
                pytest.skip("there is no redis-server on this machine")
            redis = Redis(tmp_path)
            stack.push_async_callback(redis.kill)
            await redis.start()
            bus = redis.url
        servers = [
            await stack.enter_async_context(process({**environment, "SHOAL_BUS": bus}))
            for _ in range(PROCESSES)
        ]
        places = [await stack.enter_async_context(Client(server.url, KEY)) for server in servers]
        for place in places:
            await ready(place.url)
        yield places


class Traveller:
    """Watches an audience here and there, a few events at a time, each time from where it was."""

    def __init__(self, segment: str, size: int) -> None:
        self._segment = segment
        self._size = size
        self.cursor: str | None = None
        self.seen: list[dict[str, Any]] = []

    async def stay(self, client: Client, count: int) -> None:
        """Until so many events came."""
        async with client.watching(self._segment, after=self.cursor) as watcher:
            started = await watcher.event()
            assert started["kind"] == "FeedStarted"
            assert self.cursor in {None, started["cursor"]}
            assert started["size"] == self._size
            self.cursor = started["cursor"]
            for _ in range(count):
                self._see(await watcher.event())

    def _see(self, event: dict[str, Any]) -> None:
        self._size += 1 if event["kind"] == "ContactJoined" else -1
        assert event["size"] == self._size
        assert self.cursor is not None
        assert event["cursor"] > self.cursor
        self.cursor = event["cursor"]
        self.seen.append(event)


async def churn(
    places: list[Client], contacts: list[str], generator: random.Random, stop: asyncio.Event
) -> None:
    """Write through all of them, until told to stop."""
    while not stop.is_set():
        await generator.choice(places).write(
            generator.choice(contacts),
            email=generator.choice([None, f"{generator.random()}@example.org"]),
        )


async def test_whoever_moves_between_processes_misses_nothing_and_sees_nothing_twice(
    places: list[Client],
) -> None:
    generator = random.Random(11)
    home = places[0]
    contacts = list((await home.upsert({f"C{number}": {} for number in range(CONTACTS)})).values())
    segment = await home.segment("No email", "email is empty")
    assert [await place.size(segment) for place in places] == [CONTACTS] * PROCESSES
    stop = asyncio.Event()
    async with Client(home.url, KEY) as settled, settled.watching(segment) as resident:
        started = await resident.event()
        travellers = [Traveller(segment, CONTACTS) for _ in range(3)]
        for traveller in travellers:
            await traveller.stay(generator.choice(places), 0)
        writers = [asyncio.create_task(churn(places, contacts, generator, stop)) for _ in range(3)]
        for _ in range(STOPS):
            staying = [
                asyncio.create_task(traveller.stay(generator.choice(places), generator.randrange(1, 15)))
                for traveller in travellers
            ]
            await asyncio.gather(*staying)
        stop.set()
        await asyncio.gather(*writers)
        sizes = [await place.size(segment) for place in places]
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
            await traveller.stay(places[2], rest)
            assert traveller.seen == lived
    assert started["size"] == CONTACTS
    told = [(event["cursor"], event["size"]) for event in reversed(lived)]
    logged = [(node["cursor"], node["size"]) for node in changes["nodes"]]
    assert told[: len(logged)] == logged
    assert len(lived) > 30
