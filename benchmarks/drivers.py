"""Motor beside PyMongo's async API on our own access pattern: why the second is the driver.

Both talk to one embedded server, started here and not durable, so that the disk hides no difference. Each round gives
both the same work, in changing order; what is printed is the best of the rounds, since whatever else the machine does
only ever adds. Processor time is that of this process alone, all threads: what the driver takes away from the engine.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from domain.store import embedded

CONTACTS = 1_000
READS = 400
AT_ONCE = 64
UPDATES = 200
EVENTS = 1_000
ROUNDS = 7  # short ones: what else runs on the machine then falls on both alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    latencies: list[float]  # seconds, one for each operation that was waited for by itself
    seconds: float
    processor: float
    operations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    name: str
    open: Callable[[str], Any]
    close: Callable[[Any], Awaitable[None]]
    watch: Callable[[Any, dict[str, Any]], Awaitable[Any]]


async def _close_motor(client: Any) -> None:
    client.close()


async def _close_pymongo(client: Any) -> None:
    await client.close()


async def _watch_motor(collection: Any, options: dict[str, Any]) -> Any:
    return collection.watch(**options)


async def _watch_pymongo(collection: Any, options: dict[str, Any]) -> Any:
    return await collection.watch(**options)


MOTOR = Driver(name="Motor", open=AsyncIOMotorClient, close=_close_motor, watch=_watch_motor)
PYMONGO = Driver(name="PyMongo async", open=AsyncMongoClient, close=_close_pymongo, watch=_watch_pymongo)


@asynccontextmanager
async def contacts_of(driver: Driver, uri: str) -> AsyncIterator[Any]:
    client = driver.open(uri)
    try:
        yield client.benchmark.contacts
    finally:
        await driver.close(client)


async def measured(operations: int, run: Callable[[list[float]], Awaitable[None]]) -> Cost:
    latencies: list[float] = []
    seconds, processor = time.perf_counter(), time.process_time()
    await run(latencies)
    return Cost(
        latencies=latencies,
        seconds=time.perf_counter() - seconds,
        processor=time.process_time() - processor,
        operations=operations,
    )


async def read_one_by_one(contacts: Any) -> Cost:
    async def run(latencies: list[float]) -> None:
        for number in range(READS):
            begun = time.perf_counter()
            await contacts.find_one({"account": "default", "key": f"C{number % CONTACTS:06}"})
            latencies.append(time.perf_counter() - begun)

    return await measured(READS, run)


async def read_at_once(contacts: Any) -> Cost:
    async def reader(first: int) -> None:
        for number in range(first, READS, AT_ONCE):
            await contacts.find_one({"account": "default", "key": f"C{number % CONTACTS:06}"})

    async def run(_latencies: list[float]) -> None:
        await asyncio.gather(*(reader(first) for first in range(AT_ONCE)))

    return await measured(READS, run)


async def update_one_by_one(contacts: Any) -> Cost:
    async def run(latencies: list[float]) -> None:
        for number in range(UPDATES):
            begun = time.perf_counter()
            await contacts.update_one(
                {"account": "default", "key": f"C{number % CONTACTS:06}"},
                {"$set": {"normal.birthdate": "1958-10-13"}, "$inc": {"normal.replies": 1}},
            )
            latencies.append(time.perf_counter() - begun)

    return await measured(UPDATES, run)


async def drain(driver: Driver, contacts: Any, token: dict[str, Any]) -> Cost:
    """Read the events that are there already, so that nothing but the reading of them is measured."""
    options = {"full_document_before_change": "whenAvailable", "resume_after": token, "batch_size": 100}
    stream = await driver.watch(contacts, options)

    async def run(_latencies: list[float]) -> None:
        for _ in range(EVENTS):
            event = await stream.next()
            assert event["fullDocumentBeforeChange"] is not None

    try:
        return await measured(EVENTS, run)
    finally:
        await stream.close()


async def fill(uri: str) -> dict[str, Any]:
    """The contacts, then the events; the token before the events."""
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        database = client.benchmark
        await database.create_collection("contacts", changeStreamPreAndPostImages={"enabled": True})
        await database.contacts.create_index([("account", 1), ("key", 1)], unique=True)
        await database.contacts.insert_many(
            {
                "account": "default",
                "key": f"C{number:06}",
                "normal": {"first_name": f"Ada {number}", "email": f"ada{number}@example.com", "replies": 0},
                "groups": [],
            }
            for number in range(CONTACTS)
        )
        async with await database.contacts.watch() as stream:
            await database.contacts.update_one({"key": "C000000"}, {"$inc": {"normal.replies": 1}})
            token: dict[str, Any] = dict((await stream.next())["_id"])
        for number in range(EVENTS):
            await database.contacts.update_one(
                {"account": "default", "key": f"C{number % CONTACTS:06}"}, {"$inc": {"normal.replies": 1}}
            )
        return token


async def measure(uri: str, token: dict[str, Any]) -> dict[str, dict[str, list[Cost]]]:
    costs: dict[str, dict[str, list[Cost]]] = {}
    for turn in range(ROUNDS):
        for driver in (MOTOR, PYMONGO) if turn % 2 else (PYMONGO, MOTOR):
            async with contacts_of(driver, uri) as contacts:
                await asyncio.gather(*(contacts.find_one({}) for _ in range(AT_ONCE)))  # connections are made
                for work, cost in (
                    ("point read", await read_one_by_one(contacts)),
                    (f"point reads, {AT_ONCE} at once", await read_at_once(contacts)),
                    ("update", await update_one_by_one(contacts)),
                    ("change event with pre-image", await drain(driver, contacts, token)),
                ):
                    costs.setdefault(work, {}).setdefault(driver.name, []).append(cost)
    return costs


MEASURES: tuple[tuple[str, Callable[[Cost], float | None], Callable[[list[float]], float]], ...] = (
    ("median, ms", lambda cost: 1e3 * statistics.median(cost.latencies) if cost.latencies else None, min),
    (
        "p99, ms",
        lambda cost: 1e3 * statistics.quantiles(cost.latencies, n=100)[98] if cost.latencies else None,
        min,
    ),
    ("each second", lambda cost: cost.operations / cost.seconds, max),
    ("processor, µs each", lambda cost: 1e6 * cost.processor / cost.operations, min),
)


def show(costs: dict[str, dict[str, list[Cost]]]) -> None:
    print(f"| work | measure | {MOTOR.name} | {PYMONGO.name} | {MOTOR.name} / {PYMONGO.name} |")
    print("| --- | --- | ---: | ---: | ---: |")
    for work, by_driver in costs.items():
        for measure, of, best in MEASURES:
            motor, pymongo = (
                [number for cost in by_driver[driver.name] if (number := of(cost)) is not None]
                for driver in (MOTOR, PYMONGO)
            )
            if motor and pymongo:
                m, p = best(motor), best(pymongo)
                print(f"| {work} | {measure} | {m:,.2f} | {p:,.2f} | {m / p:.2f} |")


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with embedded.running(Path(directory), durable=False) as database:
            show(await measure(database.uri, await fill(database.uri)))


if __name__ == "__main__":
    uvloop.run(main())
