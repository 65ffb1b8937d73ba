"""Shoal as it is run in earnest: a database, a bus, API processes and watchers, each a process of its own that can be killed.

Watchers reach the API processes over wires that can be cut.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from domain.store.indexes import LEASES
from tests.api.test_redis import Redis
from tests.api.wire import Wire

KEY = "the-key-of-the-oracle"
DATABASE = "oracle"
START_SECONDS = 60.0
STOP_SECONDS = 60.0
COMMAND_SECONDS = 120.0
GOODBYE_SECONDS = 2.0
NO_DATABASE = "the database cannot be used"

HERE = Path(__file__).parent


@asynccontextmanager
async def reached(uri: str, seconds: float = 2.0) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    """A client of the database, each of whose operations takes so long at most; it is left behind where it cannot say goodbye."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        uri, tz_aware=True, timeoutMS=int(seconds * 1000)
    )
    try:
        yield client
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await client.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@dataclass(eq=False)
class Process:
    """A program that can be started again with the same command after it was killed."""

    name: str
    command: Sequence[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    running: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = await asyncio.create_subprocess_exec(
                *self.command,
                # Where it hangs, its log shows where.
                env=os.environ | self.environment | {"PYTHONFAULTHANDLER": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        if self.running is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.running.pid, number)

    async def kill(self) -> None:
        """With -9, and everything that it started."""
        self.signal(signal.SIGKILL)
        if self.running is not None:
            await self.running.wait()
        self.running = None

    async def stop(self) -> None:
        """As an operator does. A process that does not end then is a defect."""
        self.signal(signal.SIGTERM)
        await self.ended(STOP_SECONDS)

    async def ended(self, within: float) -> int:
        """With which code it has ended by itself."""
        assert self.running is not None
        try:
            code = await asyncio.wait_for(self.running.wait(), within)
        except TimeoutError:
            self.signal(signal.SIGABRT)
            await self.running.wait()
            raise AssertionError(f"{self.name} does not end: {self.log.read_text()[-5000:]}") from None
        self.running = None
        return code


@dataclass(eq=False)
class Cluster:
    """What runs. `urls` stay the same however often a process is started again."""

    directory: Path
    uri: str
    database: Process
    servers: list[Process]
    urls: list[str]
    wires: list[Wire]
    redis: Redis | None
    watchers: list[Process] = field(default_factory=list)

    async def start_server(self, number: int) -> None:
        await self.servers[number].start()
        await self.ready(number)

    async def ready(self, number: int) -> None:
        """Return when the server answers that it is ready."""
        health = self.urls[number].replace("/graphql", "/readyz")
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False, verify=False) as http:
            while True:
                with suppress(httpx.HTTPError):
                    if (await http.get(health)).status_code == 200:
                        return
                server = self.servers[number]
                assert server.running is not None
                if server.running.returncode is not None:
                    # Without a database it does not start, and says so: whoever runs it starts it again.
                    said = server.log.read_text()[-3000:]
                    assert NO_DATABASE in said.splitlines()[-1], said
                    await server.start()
                await asyncio.sleep(0.05)

    async def leader(self) -> int | None:
        """Which server runs the engine, as far as the lease tells; its holder's name has the number of its process."""
        with suppress(PyMongoError):
            async with reached(self.uri) as client:
                lease = await client[DATABASE][LEASES].find_one({"_id": "engine"})
            if lease is not None and lease["holder"] is not None:
                process = int(lease["holder"].split()[-2])
                running = [server.running.pid if server.running else None for server in self.servers]
                return running.index(process) if process in running else None
        return None

    async def start_database(self) -> None:
        await self.database.start()
        async with asyncio.timeout(START_SECONDS), reached(self.uri) as client:
            while True:
                with suppress(PyMongoError):
                    await client.admin.command("ping")
                    return

    async def command(self, name: str, *arguments: str) -> tuple[int, str]:
        """What a command of Shoal's came to, and what it said."""
        log = self.directory / f"{name}.log"
        environment = {"SHOAL_MONGODB_URI": self.uri, "SHOAL_DATABASE": DATABASE}
        process = Process(name, [sys.executable, "-m", "api", *arguments], log, environment)
        try:
            await process.start()
            return await process.ended(COMMAND_SECONDS), log.read_text()
        finally:
            await process.kill()

    async def watch(self, audience: str, *, slow: bool = False) -> Path:
        """Start a watcher; the file to which it writes each event."""
        number = len(self.watchers)
        told = self.directory / f"watcher-{number}.jsonl"
        told.touch()
        watcher = Process(
            name=f"watcher {number}",
            command=[
                *(sys.executable, str(HERE / "watcher.py"), KEY, audience, str(told), "1" if slow else "0"),
                *(f"http://127.0.0.1:{wire.port}/graphql" for wire in self.wires),
            ],
            log=self.directory / f"watcher-{number}.log",
        )
        self.watchers.append(watcher)
        await watcher.start()
        return told


@asynccontextmanager
async def cluster(
    directory: Path, servers: int, bus: str, defect: str | None = None
) -> AsyncIterator[Cluster]:
    """A cluster that has just begun; everything is killed at the end.

    `bus` is as SHOAL_BUS, but for "redis": one of the cluster's own. `defect` names one of `defects.py`.
    """
    redis = Redis(directory) if bus == "redis" else None
    port = free_port()
    database = Process(
        name="database",
        command=[
            *(sys.executable, "-P", "-m", "secantus", "--host", "127.0.0.1", "--port", str(port)),
            *("--storage-path", str(directory / "database"), "--sync-on-commit"),
            *("--oplog-max-entries", "5000000"),
        ],
        log=directory / "database.log",
    )
    (directory / "database").mkdir()
    uri = f"mongodb://127.0.0.1:{port}/?directConnection=true&retryWrites=false&w=majority"
    ports = [free_port() for _ in range(servers)]
    program = ["-m", "api"] if defect is None else [str(HERE / "defects.py"), defect]
    wires = [Wire("127.0.0.1", each) for each in ports]
    found = Cluster(
        directory=directory,
        wires=wires,
        redis=redis,
        uri=uri,
        database=database,
        urls=[f"http://127.0.0.1:{each}/graphql" for each in ports],
        servers=[
            Process(
                name=f"server {number}",
                command=[sys.executable, *program, "serve"],
                log=directory / f"server-{number}.log",
                environment={
                    "SHOAL_MONGODB_URI": uri,
                    "SHOAL_DATABASE": DATABASE,
                    "SHOAL_ADMIN_KEY": KEY,
                    "SHOAL_PORT": str(each),
                    "SHOAL_BUS": bus if redis is None else redis.url,
                },
            )
            for number, each in enumerate(ports)
        ],
    )
    async with AsyncExitStack() as stack:
        for process in [database, *found.servers]:
            stack.push_async_callback(process.kill)
        stack.push_async_callback(_kill_all, found.watchers)
        for wire in wires:
            await wire.mend()
            stack.push_async_callback(wire.cut)
        await found.start_database()
        if redis is not None:
            stack.push_async_callback(redis.kill)
            await redis.start()
        await asyncio.gather(*(found.start_server(number) for number in range(servers)))
        yield found


async def _kill_all(processes: list[Process]) -> None:
    for process in processes:
        await process.kill()


def events_of(told: Path) -> list[dict[str, object]]:
    """What a watcher has written down; a last line that is not finished is still to come."""
    lines = told.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]
