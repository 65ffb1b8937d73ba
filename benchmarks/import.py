"""An import beside plain `insert_many` of the very documents that it made, and its memory as the file grows.

    python benchmarks/import.py [ROWS]      10,000 rows unless said

A generated list of people is uploaded and imported as the API does it: kept in the database, looked at, read twice, planned,
journalled, written. First a tenth of it, then the whole: what its processes have taken of memory at most after each says whether
it grows with the file. Then the documents of the whole are read back and given to `insert_many`, into a collection with the same
indexes and images, in batches of the size that the import writes and of a thousand. One server, durable as Shoal runs it: the
embedded one, or what `tests.server` is told of, such as a faster one for a million rows.
"""

import random
import resource
import secrets
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from bson import ObjectId

from domain.accounts import Account, Accounts
from domain.imports.batching import BATCH
from domain.imports.imports import KIND
from domain.imports.wanted import Wanted
from domain.membership.hub import Hub
from domain.store.client import Database, connect, open_database
from domain.store.server import ServerTraits
from domain.store.store import open_store
from tests import server

ROWS = 10_000
BATCHES = (BATCH, 1_000)
HEADER = "Member ID,First name,Last name,Email,Phone,Birthdate,Role,Score,Interests\n"


def lines(rows: int) -> Iterator[str]:
    """People like those of a real list, the same for the same number."""
    draw = random.Random(rows)
    yield HEADER
    for number in range(rows):
        first, last = draw.choice(("Ann", "Ben", "Cleo", "Zoë")), draw.choice(("Archer", "Baker", "Núñez"))
        email = f"p{number}@example.org" if draw.random() < 0.9 else ""
        phone = f"202-224-{draw.randrange(10_000):04}" if draw.random() < 0.5 else ""
        born = f"19{draw.randrange(30, 100)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}"
        role, score = draw.choice(("customer", "staff", "")), draw.randrange(1_000)
        yield f"M{number:07},{first},{last},{email},{phone},{born},{role},{score},shoes;hats\n"


async def sent(rows: int) -> AsyncIterator[bytes]:
    some: list[str] = []
    for line in lines(rows):
        some.append(line)
        if len(some) == 1_000:
            yield "".join(some).encode()
            some = []
    yield "".join(some).encode()


async def imported(account: Account, rows: int) -> float:
    """Seconds, from the start of the import of an uploaded file to its end."""
    upload = await account.uploads.take(sent(rows), name="people.csv", most=1 << 40)
    identifier = ObjectId()
    await account.imports.create(identifier, upload.id)
    began = time.perf_counter()
    await account.imports.start(identifier, Wanted())
    job: dict[str, Any] = {}
    async for job in account.jobs.follow(KIND, identifier):
        show(f"{job['percent']:>3} %, {job.get('rate') or 0:,.0f} rows a second")
    seconds = time.perf_counter() - began
    assert (job["state"], job["counts"]["created"]) == ("done", rows), job
    return seconds


@asynccontextmanager
async def own_database(uri: str) -> AsyncIterator[Database]:
    """An empty one, which is gone afterwards."""
    async with connect(uri) as client:
        name = f"shoal_bench_{secrets.token_hex(4)}"
        try:
            yield open_database(client, name)
        finally:
            await client.drop_database(name)


async def inserted(uri: str, source: Database, rows: int, batch: int) -> float:
    """Seconds that `insert_many` takes for the documents of `source`, without the reading of them."""
    async with own_database(uri) as store:
        await open_store(store)
        seconds, some = 0.0, []
        async for document in source.contacts.find(batch_size=batch):
            some.append(document)
            if len(some) == batch:
                began = time.perf_counter()
                await store.contacts.insert_many(some)
                seconds += time.perf_counter() - began
                some = []
        if some:
            began = time.perf_counter()
            await store.contacts.insert_many(some)
            seconds += time.perf_counter() - began
        assert await store.contacts.count_documents({}) == rows
        # Before it is dropped, which takes long on the embedded server where there is much.
        told = f"insert_many, {batch:,} at a time (floor)"
        print(f"| {told} | {seconds:.1f} | {rows / seconds:,.0f} | |", flush=True)
    return seconds


def peaks() -> str:
    """What this process has taken of memory at most so far, and any of its children that has ended: those that read a long file
    are among them, and the server that was started first, to make its user.
    """
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    own, children = (
        resource.getrusage(who).ru_maxrss / unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return f"{own:.0f} MB (a child: {children:.0f} MB)"


def show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)


async def measured(database: Database, rows: int) -> tuple[float, ServerTraits]:
    store = await open_store(database)
    accounts = Accounts(store, Hub())
    try:
        return await imported(accounts.get("default"), rows), store.traits
    finally:
        await accounts.close()


async def main(rows: int) -> None:
    async with server.running(durable=True) as uri:
        async with own_database(uri) as database:
            await measured(database, rows // 10)
            tenth = peaks()
        async with own_database(uri) as database:
            seconds, traits = await measured(database, rows)
            whole = peaks()
            show("")
            megabytes = sum(map(len, lines(rows))) / (1 << 20)
            print(f"{rows:,} rows, {megabytes:.1f} MB, on {traits.name} {traits.version}\n")
            print(f"Memory at most: {tenth} after a tenth, {whole} after the whole.\n", flush=True)
            print("| | seconds | rows a second | ratio |\n| --- | ---: | ---: | ---: |")
            print(f"| import | {seconds:.1f} | {rows / seconds:,.0f} | |", flush=True)
            ratios = [f"{seconds / await inserted(uri, database, rows, batch):.2f}" for batch in BATCHES]
            print(f"| import, to each floor | | | {' / '.join(ratios)} |", flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
