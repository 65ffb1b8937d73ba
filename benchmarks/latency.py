"""From a mutation's commit to the event at a websocket client, beside the raw change stream's own delay.

A real server (`python -m api serve`, embedded database, durable), one segment, and contacts of which each is changed once by
`updateContact`, so that each change is one join. Two observers in a process of their own note when they have it: a websocket
client that watches the segment by `membershipChanges`, and a bare PyMongo change stream over the contacts of the same database,
the floor: nobody can know of a change before that.

Both delays begin at the *commit*, by which is meant the time that the database itself gives to the change: the event's
`wallTime`, which the feed hands on as `at`. It is in whole milliseconds, cut off, so both delays are up to one too long, half of
one on average; and it lies before the durable write that a client's acknowledgement waits for, which is in both as well. All
clocks are this machine's. `added` is the difference of the two for each change, and free of both.

Gentle: one change at a time, so many a second. Burst: as many at once as `AT_ONCE` callers manage, without a pause.
"""

import asyncio
import json
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import uvloop

from api.demo.client import Client, open_client, open_socket
from api.demo.server import own_server
from api.ids import Kind, find_id
from domain.store import embedded
from domain.store.client import connect, open_database

WARMING = 50
GENTLE = 300
GENTLE_RATE = 20.0
BURST = 300
AT_ONCE = 8
PATIENCE_SECONDS = 20.0
CONTACTS = WARMING + GENTLE + BURST

CREATE_FIELD = "mutation ($input: CreateFieldInput!) { createField(input: $input) { errors { message } } }"
CREATE_SEGMENT = """mutation ($input: CreateSegmentInput!) {
  createSegment(input: $input) { segment { id } errors { message } }
}"""
UPSERT = """mutation ($input: UpsertContactsInput!) {
  upsertContacts(input: $input) { contacts { contactId } errors { message } }
}"""
UPDATE = "mutation ($input: UpdateContactInput!) { updateContact(input: $input) { errors { message } } }"
WATCH = """subscription ($audience: ID!) {
  membershipChanges(audience: $audience) {
    __typename
    ... on FeedStarted { size }
    ... on ContactJoined { at contactId }
  }
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """In seconds, one for each change."""

    stream: list[float]
    socket: list[float]

    @property
    def added(self) -> list[float]:
        return [socket - stream for stream, socket in zip(self.stream, self.socket, strict=True)]


Seen = dict[str, float]
"""By contact: when its change was observed, less when it was committed."""


async def watch_stream(uri: str, ready: Callable[[], None]) -> Seen:
    seen: Seen = {}
    client = connect(uri)
    contacts = open_database(client, "shoal").contacts
    async with (
        client,
        await contacts.watch([{"$match": {"operationType": "update"}}], max_await_time_ms=100) as stream,
    ):
        ready()
        while len(seen) < CONTACTS:
            event = await stream.next()
            seen[str(event["documentKey"]["_id"])] = time.time() - event["wallTime"].timestamp()
    return seen


async def watch_socket(url: str, key: str, segment: str, ready: Callable[[], None]) -> Seen:
    seen: Seen = {}
    async with open_socket(url, key) as socket, aclosing(socket.subscribe(WATCH, audience=segment)) as events:
        async for data in events:
            now, event = time.time(), data["membershipChanges"]
            if event["__typename"] == "FeedStarted":
                ready()
                continue
            contact = find_id(event["contactId"], Kind.CONTACT)
            seen[str(contact)] = now - datetime.fromisoformat(event["at"]).timestamp()
            if len(seen) == CONTACTS:
                break
    return seen


async def observe() -> None:
    """The process of both observers: told where by a line, says when both are ready, and at the end what they saw."""
    where = json.loads(sys.stdin.readline())
    waiting = ["stream", "socket"]

    def ready() -> None:
        waiting.pop()
        if not waiting:
            print("ready", flush=True)

    stream, socket = await asyncio.gather(
        watch_stream(where["uri"], ready), watch_socket(where["url"], where["key"], where["segment"], ready)
    )
    print(json.dumps({"stream": stream, "socket": socket}))


@asynccontextmanager
async def observers(**where: str) -> AsyncIterator[Callable[[], Awaitable[dict[str, Seen]]]]:
    """Both, ready; what they saw once it is everything."""
    command = (sys.executable, __file__, "observe")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=2**24)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{json.dumps(where)}\n".encode())
    assert await process.stdout.readline() == b"ready\n"
    lines = process.stdout

    async def everything() -> dict[str, Seen]:
        seen: dict[str, Seen] = json.loads(await lines.readline())
        return seen

    try:
        yield everything
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def prepare(client: Client) -> tuple[str, list[str]]:
    """The segment, empty, and the contacts."""
    await client.change(CREATE_FIELD, key="answer", label="Answer", type="TEXT")
    given = [{"key": f"C{number:06}", "attributes": []} for number in range(CONTACTS)]
    contacts = (await client.change(UPSERT, contacts=given))["contacts"]
    segment = await client.change(CREATE_SEGMENT, name="Answered", rule={"expression": 'answer is "yes"'})
    return segment["segment"]["id"], [contact["contactId"] for contact in contacts]


async def answer(client: Client, contact: str, took: list[float]) -> None:
    begun = time.perf_counter()
    await client.change(UPDATE, id=contact, attributes=[{"key": "answer", "value": "yes"}])
    took.append(time.perf_counter() - begun)


async def gently(client: Client, contacts: Sequence[str], took: list[float]) -> None:
    for contact in contacts:
        begun = time.perf_counter()
        await answer(client, contact, took)
        await asyncio.sleep(max(0.0, begun + 1 / GENTLE_RATE - time.perf_counter()))


async def at_once(client: Client, contacts: Sequence[str], took: list[float]) -> None:
    async def caller(first: int) -> None:
        for contact in contacts[first::AT_ONCE]:
            await answer(client, contact, took)

    await asyncio.gather(*(caller(first) for first in range(AT_ONCE)))


def p99(numbers: Sequence[float]) -> float:
    return statistics.quantiles(numbers, n=100)[98]


def show(name: str, rate: float, delays: Delays, took: Sequence[float]) -> None:
    print(f"\n{name}: {len(took)} changes, {rate:.0f} a second\n")
    print("| from the commit to | median, ms | p99, ms |\n| --- | ---: | ---: |")
    rows = (
        ("an event of the raw change stream (floor)", delays.stream),
        ("an event at the websocket client", delays.socket),
        ("added, change by change", delays.added),
        ("beside it: the whole mutation, over HTTP", took),
    )
    for row, numbers in rows:
        print(f"| {row} | {1e3 * statistics.median(numbers):.2f} | {1e3 * p99(numbers):.2f} |")
    medians = statistics.median(delays.socket) / statistics.median(delays.stream)
    print(f"| ratio | {medians:.2f} | {p99(delays.socket) / p99(delays.stream):.2f} |")


async def main() -> None:
    async with own_server() as server, open_client(server.url, server.key) as client:
        segment, contacts = await prepare(client)
        async with (
            embedded.running(server.data_dir) as database,  # attaches to the server's
            observers(uri=database.uri, url=server.url, key=server.key, segment=segment) as everything,
        ):
            await gently(client, contacts[:WARMING], [])
            works = (
                ("Gentle", contacts[WARMING : WARMING + GENTLE], gently),
                ("Burst", contacts[WARMING + GENTLE :], at_once),
            )
            runs = []
            for name, some, work in works:
                took: list[float] = []
                begun = time.perf_counter()
                await work(client, some, took)
                runs.append((name, some, len(some) / (time.perf_counter() - begun), took))
                await asyncio.sleep(1)  # what one has left behind is not the other's
            async with asyncio.timeout(PATIENCE_SECONDS):
                seen = await everything()
    for name, some, rate, took in runs:
        wanted = [str(find_id(contact, Kind.CONTACT)) for contact in some]
        delays = Delays(
            stream=[seen["stream"][contact] for contact in wanted],
            socket=[seen["socket"][contact] for contact in wanted],
        )
        show(name, rate, delays, took)


if __name__ == "__main__":
    uvloop.run(observe() if sys.argv[1:] == ["observe"] else main())
