"""What goes wrong, drawn from a seed: every kind in turn, one after the other and several at once.

What is struck comes back by itself after a while, while others are struck; `over` waits until everything is back.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import Enum

from tests.oracle.cluster import Cluster, Process


class Fault(Enum):
    """A kind of fault, as the counts name it."""

    ENGINE_KILLED = "kill -9 of the engine's process"
    SERVER_KILLED = "kill -9 of a process that serves"
    SERVER_STOPPED = "stop of a process"
    ENGINE_PAUSED = "pause of the engine's process, longer than its lease"
    SERVER_PAUSED = "pause of a process"
    DATABASE_KILLED = "kill -9 of the database"
    DATABASE_PAUSED = "pause of the database"
    WATCHER_KILLED = "kill -9 of a watcher"
    SOCKETS_CUT = "all sockets cut"
    REDIS_KILLED = "kill -9 of Redis"


_OF_SERVERS = (
    *(Fault.ENGINE_KILLED, Fault.SERVER_KILLED, Fault.SERVER_STOPPED, Fault.ENGINE_PAUSED),
    Fault.SERVER_PAUSED,
)
_LEASE_OUTLASTED_SECONDS = (4.5, 8.0)


class Faults:
    """Strikes a cluster. `done` counts the faults by kind."""

    def __init__(self, seed: int, here: Cluster) -> None:
        self.done: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._here = here
        self._bag: list[Fault] = []
        self._down: set[int] = set()
        self._recovering: set[asyncio.Task[None]] = set()

    async def strike(self) -> None:
        """The next fault."""
        if not self._bag:
            self._bag = [fault for fault in Fault if fault is not Fault.REDIS_KILLED or self._here.redis]
            self._chance.shuffle(self._bag)
        fault = self._bag.pop()
        self.done[fault.value] += 1
        if fault in _OF_SERVERS:
            await self._strike_server(fault)
        else:
            await self._strike_other(fault)

    async def over(self) -> None:
        """Return when everything that was struck is back."""
        while self._recovering:
            await asyncio.gather(*self._recovering)
        for number in range(len(self._here.servers)):
            await self._here.ready(number)

    # ---- servers ---------------------------------------------------------------------------------------------------

    async def _strike_server(self, fault: Fault) -> None:
        while len(self._down) == len(self._here.servers):
            await asyncio.wait(self._recovering, return_when=asyncio.FIRST_COMPLETED)
        number = await self._choose(fault)
        server = self._here.servers[number]
        self._down.add(number)
        match fault:
            case Fault.ENGINE_PAUSED:
                server.signal(signal.SIGSTOP)
                back = self._resume(server, _LEASE_OUTLASTED_SECONDS)
            case Fault.SERVER_PAUSED:
                server.signal(signal.SIGSTOP)
                back = self._resume(server, (0.2, 3.0))
            case Fault.SERVER_STOPPED:
                await server.stop()
                back = self._start(number)
            case _:
                await server.kill()
                back = self._start(number)
        self._later(back, lambda: self._down.discard(number))

    async def _choose(self, fault: Fault) -> int:
        up = [number for number in range(len(self._here.servers)) if number not in self._down]
        leader = await self._here.leader()
        engine = fault in (Fault.ENGINE_KILLED, Fault.ENGINE_PAUSED)
        fitting = [number for number in up if (number == leader) is engine]
        return self._chance.choice(fitting or up)

    async def _start(self, number: int) -> None:
        await asyncio.sleep(self._chance.uniform(0, 1))
        await self._here.start_server(number)

    async def _resume(self, process: Process, between: tuple[float, float]) -> None:
        await asyncio.sleep(self._chance.uniform(*between))
        process.signal(signal.SIGCONT)

    def _later(self, recovery: Awaitable[None], then: Callable[[], None]) -> None:
        task = asyncio.ensure_future(recovery)
        self._recovering.add(task)

        def recovered(_: object) -> None:
            self._recovering.discard(task)
            then()

        task.add_done_callback(recovered)

    # ---- what they rest on, and who watches ------------------------------------------------------------------------

    async def _strike_other(self, fault: Fault) -> None:
        match fault:
            case Fault.DATABASE_KILLED:
                await self._here.database.kill()
                await asyncio.sleep(self._chance.uniform(0, 1))
                await self._here.start_database()
            case Fault.DATABASE_PAUSED:
                self._here.database.signal(signal.SIGSTOP)
                await self._resume(self._here.database, (0.2, 3.0))
            case Fault.WATCHER_KILLED:
                watcher = self._chance.choice(self._here.watchers)
                await watcher.kill()
                await watcher.start()
            case Fault.SOCKETS_CUT:
                for wire in self._here.wires:
                    wire.break_connections()
            case _:
                assert self._here.redis is not None
                await self._here.redis.kill()
                await asyncio.sleep(self._chance.uniform(0, 3))
                await self._here.redis.start()
