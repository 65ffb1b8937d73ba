"""From the kill of the process that runs the engine to what another tells first, beside the time before which none may begin.

Real servers (`python -m api serve`) on one embedded database, which this process lends them, so that it outlives each of
them. Always two: one runs the engine, the other waits for it. The first is killed with -9 at any moment of its lease, and a
contact is changed at once, so that it joins a segment; a new server takes the place of the one that waited. So `ROUNDS` times.

A bare change stream over the lease and the log tells when the lease was renewed last, when the other took it, and when the join
was in the log. The floor is the lease itself: nobody may take it before `DEAD_SECONDS` have passed since the dead renewed it
last. All clocks are this process's.
"""

import asyncio
import json
import os
import random
import secrets
import signal
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvloop
from bson import ObjectId

from api.demo.client import open_client
from api.ids import Kind, find_id
from domain.membership.lease import DEAD_SECONDS, RENEW_SECONDS
from domain.store import embedded
from domain.store.client import connect, open_database

ROUNDS = 20
PATIENCE_SECONDS = 60.0
DATABASE = "shoal"

CREATE_FIELD = "mutation ($input: CreateFieldInput!) { createField(input: $input) { errors { message } } }"
CREATE_SEGMENT = (
    "mutation ($input: CreateSegmentInput!) { createSegment(input: $input) { errors { message } } }"
)
UPSERT = """mutation ($input: UpsertContactsInput!) {
  upsertContacts(input: $input) { contacts { contactId } errors { message } }
}"""


class Server:
    """`python -m api serve`, and what it has logged."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: dict[str, dict[str, Any]] = {}
        self._more = asyncio.Condition()

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            with suppress(json.JSONDecodeError):
                entry = json.loads(line)
                async with self._more:
                    self.said[entry["event"]] = entry
                    self._more.notify_all()

    async def says(self, event: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS), self._more:
            await self._more.wait_for(lambda: event in self.said)
        return self.said[event]


@asynccontextmanager
async def server(environment: Mapping[str, str]) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api", "serve", "--port", "0"), env=environment, stdout=DEVNULL, stderr=PIPE
    )
    found = Server(process)
    reading = asyncio.create_task(found.read())
    try:
        yield found
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
        await reading


class Observed:
    """When, by this process's clock, the lease was renewed last, who took it, and which contacts the log tells of."""

    def __init__(self) -> None:
        self.renewed_at = 0.0
        self.taken: dict[int, float] = {}
        self.told: dict[ObjectId, float] = {}
        self._more = asyncio.Condition()

    async def watch(self, uri: str, ready: asyncio.Event) -> None:
        async with connect(uri) as client:
            found = [{"$match": {"ns.coll": {"$in": ["leases", "changes"]}}}]
            async with await open_database(client, DATABASE).watch(found, max_await_time_ms=100) as stream:
                ready.set()
                async for event in stream:
                    async with self._more:
                        self._take(event, time.perf_counter())
                        self._more.notify_all()

    def _take(self, event: Mapping[str, Any], now: float) -> None:
        document = event.get("fullDocument") or event.get("updateDescription", {}).get("updatedFields", {})
        if event["ns"]["coll"] == "changes":
            if "contact" in document:
                self.told[document["contact"]] = now
            return
        self.renewed_at = now
        if "term" in document:
            self.taken[document["term"]] = now

    async def until_told(self, contact: ObjectId) -> float:
        async with asyncio.timeout(PATIENCE_SECONDS), self._more:
            await self._more.wait_for(lambda: contact in self.told)
        return self.told[contact]


@asynccontextmanager
async def observing(uri: str) -> AsyncIterator[Observed]:
    observed, ready = Observed(), asyncio.Event()
    watching = asyncio.create_task(observed.watch(uri, ready))
    await ready.wait()
    try:
        yield observed
    finally:
        watching.cancel()
        await asyncio.wait({watching})


async def prepare(url: str, key: str) -> list[ObjectId]:
    """The segment, empty, and the contacts."""
    async with open_client(url.removesuffix("/graphql"), key) as client:
        await client.change(CREATE_FIELD, key="answer", label="Answer", type="TEXT")
        await client.change(CREATE_SEGMENT, name="Answered", rule={"expression": 'answer is "yes"'})
        given = [{"key": f"C{number}", "attributes": []} for number in range(ROUNDS)]
        made = (await client.change(UPSERT, contacts=given))["contacts"]
    return [found for contact in made if (found := find_id(contact["contactId"], Kind.CONTACT)) is not None]


def show(name: str, seconds: Sequence[float]) -> None:
    print(f"| {name} | {statistics.median(seconds):.2f} | {max(seconds):.2f} |")


async def main() -> None:
    floors, taken, told = list[float](), list[float](), list[float]()
    async with AsyncExitStack() as stack:
        data_dir = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="shoal-", ignore_cleanup_errors=True)
        )
        database = await stack.enter_async_context(embedded.running(Path(data_dir)))
        key = secrets.token_urlsafe(32)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
        environment |= {"SHOAL_DATA_DIR": data_dir, "SHOAL_ADMIN_KEY": key}
        leads = await stack.enter_async_context(server(environment))
        contacts = await prepare((await leads.says("serving"))["url"], key)
        observed = await stack.enter_async_context(observing(database.uri))
        collection = open_database(await stack.enter_async_context(connect(database.uri)), DATABASE).contacts
        for contact in contacts:
            waits = await stack.enter_async_context(server(environment))
            await waits.says("lease.held_by_another")
            await asyncio.sleep(RENEW_SECONDS * (1 + random.random()))
            killed_at = time.perf_counter()
            leads.process.kill()
            yes = {"values.answer": "yes", "normal.answer": "yes"}
            await collection.update_one({"_id": contact}, {"$set": yes})
            renewed_at = observed.renewed_at
            told.append(await observed.until_told(contact) - killed_at)
            taken.append(observed.taken[(await waits.says("lease.taken"))["term"]] - killed_at)
            floors.append(renewed_at + DEAD_SECONDS - killed_at)
            leads = waits
    print(f"{ROUNDS} kills\n\n| from the kill to | median, s | worst, s |\n| --- | ---: | ---: |")
    show("the lease of the dead may be taken (floor)", floors)
    show("another has taken it", taken)
    show("a change made right after the kill is in the log", told)
    ratios = [each / floor for each, floor in zip(told, floors, strict=True)]
    show("ratio of the last to the first, kill by kill", ratios)


if __name__ == "__main__":
    uvloop.run(main())
