"""Nested reading costs a number of database commands that does not grow with the number of rows."""

from __future__ import annotations

from functools import partial

import pytest
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from api.server import serving
from api.settings import Settings
from domain.store.client import connect
from domain.store.indexes import CHECKPOINTS, JOBS, LEASES
from domain.store.indexes import RUNS as CAMPAIGN_RUNS
from tests.api.client import Client
from tests.api.conftest import CALLERS, key_of

READS = {"find", "aggregate", "count", "distinct", "getMore"}
OF_NO_REQUEST = {"$cmd.aggregate", CAMPAIGN_RUNS, JOBS, LEASES, CHECKPOINTS}
"""Where the engine's change stream is read from, whatever it brings, and what is looked at again and again in the background."""

NESTED = """
query ($first: Int) {
  segments(first: $first) { totalCount nodes {
    name size cursor rule { expression }
    members(first: 5) { totalCount nodes {
      key attributes { value }
      groups { name size }
      segments { name size members(first: 2) { nodes { key groups { name } } } }
    } }
  } }
}
"""


class Counter(CommandListener):
    """The reads that are sent, by command and collection."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        name = event.command_name
        collection = event.command["collection" if name == "getMore" else name] if name in READS else None
        if collection is not None and collection not in OF_NO_REQUEST and not isinstance(collection, int):
            self.reads.append(f"{name} {collection}")

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


@pytest.fixture
async def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()

    monkeypatch.setattr("domain.store.client.connect", partial(connect, listeners=[counter]))
    return counter


async def test_nested_reading_costs_as_many_commands_for_twelve_rows_as_for_three(
    counter: Counter, settings: Settings
) -> None:
    async with serving(settings, CALLERS) as server, Client(server.url, key_of("default")) as client:
        contacts = await client.upsert({f"C{n}": {"first_name": f"Name {n % 12}"} for n in range(60)})
        for number in range(12):
            await client.segment(f"Segment {number:02}", f'first_name is any of ("Name {number}", "Name 0")')
        for number in range(4):
            await client.regroup(await client.group(f"Group {number}"), *contacts.values())
        costs = {}
        for first in (1, 3, 12):
            await client.data(NESTED, first=first)
            counter.reads.clear()
            read = await client.data(NESTED, first=first)
            assert len(read["nodes"]) == first
            assert all(len(segment["members"]["nodes"]) >= 2 for segment in read["nodes"])
            costs[first] = sorted(counter.reads)
    assert costs[1] == costs[3] == costs[12]
    assert len(costs[12]) <= 5, costs[12]


async def test_events_that_wait_together_are_told_with_their_contacts_by_few_commands(
    counter: Counter, settings: Settings
) -> None:
    query = """
    subscription ($audience: ID!, $after: String) {
      membershipChanges(audience: $audience, after: $after) { ... on Move { contact { key } } }
    }
    """
    async with serving(settings, CALLERS) as server, Client(server.url, key_of("default")) as client:
        segment = await client.segment("No email", "email is empty")
        async with client.watching(segment) as watcher:
            cursor = (await watcher.event())["cursor"]
            await client.upsert({f"C{n}": {} for n in range(200)})
            await watcher.events(200)
        counter.reads.clear()
        async with client.socket() as resumed:
            await resumed.subscribe(query, audience=segment, after=cursor)
            assert await resumed.event() == {}
            told = await resumed.events(200)
        assert {event["contact"]["key"] for event in told} == {f"C{n}" for n in range(200)}
        assert len([read for read in counter.reads if read.endswith(" contacts")]) <= 6, counter.reads
