"""Ten thousand watchers of one process: what each costs in memory and time, with one among them that does not read.

One process's hub and feed over an embedded database. `WATCHERS` feeds watch one segment from its newest entry on; then `ENTRIES`
changes are told, as the engine tells them, in messages of `BURST`, each written to the log first. All but one read as they are
told; that one reads nothing until the end, and then must have every entry. Memory is that of this process: before, with everybody
watching, and after the changes. The floor of the time is the same number of events through bare `asyncio.Event`s: each watcher
woken once for each burst, and reading it off one list.
"""

import asyncio
import gc
import resource
import tempfile
import time
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from bson import ObjectId, Timestamp

from domain.accounts import Accounts
from domain.membership import hub as hubs
from domain.membership import position as positions
from domain.membership.feed import FeedEvent
from domain.membership.hub import Hub
from domain.membership.messages import Progress
from domain.membership.position import Position
from domain.store import embedded
from domain.store.client import connect, open_database
from domain.store.fences import Fences
from domain.store.log import EntryKind, LogEntry, Reason
from domain.store.store import Store, open_store

WATCHERS = 10_000
ENTRIES = 3_000
BURST = 100
KEPT = 1_000
"""Of what was told, in memory: fewer than in earnest, so that whoever does not read is soon served from the log."""
ACCOUNT = "default"
AUDIENCE = ObjectId()


def entry(number: int) -> LogEntry:
    """A join in a second of its own; the first is the opening."""
    second = int(time.time()) // 86_400 * 86_400 - ENTRIES + number
    contact = ObjectId()
    return LogEntry(
        account=ACCOUNT,
        audience=AUDIENCE,
        position=positions.of_change(Timestamp(second, 1), contact),
        kind=EntryKind.JOINED if number else EntryKind.OPENED,
        at=datetime.fromtimestamp(second, UTC),
        size=number,
        reason=Reason.CONTACT_CREATED if number else None,
        contact=contact if number else None,
        version=None if number else 1,
    )


class Telling:
    """Stands in the engine's place: writes entries to the log, and tells the hub."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._number = 0
        self._since = positions.BEGINNING

    async def tell(self, entries: list[LogEntry], fences: dict[str, int] | None = None) -> None:
        await self._store.log.write(entries)
        self._number += 1
        last = Position(entries[-1].position) if entries else self._since
        self._hub.receive(
            Progress(
                term=1,
                run="run",
                number=self._number,
                since=self._since or last,
                position=last,
                logged=self._number,
                entries=tuple(entries),
                fences=fences or {},
            )
        )
        self._since = last


def resident_mb() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def floor(entries: list[int]) -> float:
    """Seconds for the same events through bare bells and one shared list."""
    shared: list[int] = []
    bells = [asyncio.Event() for _ in range(WATCHERS)]

    async def watch(bell: asyncio.Event) -> None:
        had = 0
        while had < len(entries):
            await bell.wait()
            bell.clear()
            had += len(shared[had:])

    tasks = [asyncio.create_task(watch(bell)) for bell in bells]
    await asyncio.sleep(0)
    began = time.perf_counter()
    for start in range(0, len(entries), BURST):
        shared += entries[start : start + BURST]
        for bell in bells:
            bell.set()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return time.perf_counter() - began


async def measure(store: Store) -> None:
    hubs.MAX_RECENT = KEPT
    hub = Hub()
    accounts = Accounts(store, hub)
    telling = Telling(store, hub)
    await telling.tell([entry(0)])
    _hear_fences(telling)
    feed = accounts.get(ACCOUNT).feed
    all_told = [entry(number) for number in range(1, ENTRIES + 1)]
    gc.collect()
    alone = resident_mb()
    begun = 0
    everybody = asyncio.Event()

    async def watch() -> int:
        nonlocal begun
        had = 0
        async with aclosing(feed.watch(AUDIENCE, None)) as bursts:
            async for burst in bursts:
                if not had:
                    begun += 1
                    if begun == WATCHERS - 1:
                        everybody.set()
                had += len(burst)
                if had > ENTRIES:
                    break
        return had

    stalled = feed.watch(AUDIENCE, None)
    late: list[FeedEvent] = list(await anext(stalled))
    tasks = [asyncio.create_task(watch()) for _ in range(WATCHERS - 1)]
    await everybody.wait()
    gc.collect()
    watching = resident_mb()
    print(
        f"{WATCHERS:,} watchers: {(watching - alone) * 1e3 / WATCHERS:.1f} kB each"
        f" ({alone:.0f} MB before, {watching:.0f} MB with them)"
    )

    began = time.perf_counter()
    written = 0.0
    for start in range(0, ENTRIES, BURST):
        at = time.perf_counter()
        await telling.tell(all_told[start : start + BURST])
        written += time.perf_counter() - at
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    took = time.perf_counter() - began - written
    gc.collect()
    print(
        f"{ENTRIES:,} changes told to all of them but one that does not read:"
        f" {resident_mb():.0f} MB; of these, memory keeps {KEPT:,}, for all of them together"
    )
    events = ENTRIES * (WATCHERS - 1)
    bare = await floor(list(range(ENTRIES)))
    print(
        f"{events:,} events handed out in {took:.1f} s, {took / events * 1e9:.0f} ns each;"
        f" bare bells and one list {bare:.1f} s; ratio {took / bare:.1f}"
    )

    began = time.perf_counter()
    while len(late) <= ENTRIES:
        late += await anext(stalled)
    await stalled.aclose()
    assert late[1:] == all_told
    print(
        f"the one that did not read had all of them, in order, {time.perf_counter() - began:.1f} s after it began to"
    )
    await accounts.close()


def _hear_fences(telling: Telling) -> None:
    """Whoever asks writes a mark and waits until it was seen in the stream: here it is seen at once."""
    mark = Fences.mark

    async def marked(self: Fences) -> int:
        number = await mark(self)
        await telling.tell([], {self.writer: number})
        return number

    Fences.mark = marked  # type: ignore[method-assign]


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with embedded.running(Path(directory), durable=False) as server:
            client = connect(server.uri)
            await measure(await open_store(open_database(client, "watchers")))
            await client.close()


if __name__ == "__main__":
    uvloop.run(main())
