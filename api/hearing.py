"""Hearing: whether this process is told what the engine says, wherever that runs.

Owns the answer, which readiness rests on, and the warning where it is no: what a process is not told it can never answer, and every
read that needs it fails (`Unavailable`). Whether another process runs the engine is seen from its lease. Says each thing once,
not once a second. Held by `tests/api/test_hearing.py`. Cost: one small read a second while nothing is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import NoReturn

import structlog

from api.settings import IN_MEMORY, variable
from domain.membership.hub import Hub
from domain.membership.lease import Watch
from domain.store.client import DatabaseError
from domain.store.lease import Leases

log = structlog.get_logger(__name__)

UNHEARD_SECONDS = 10.0
"""The engine says something every second; an election and the beginning of a run take about half as long as this."""
LOOK_SECONDS = 1.0


class Silence(Enum):
    """Why nothing is heard."""

    NOBODY_SPEAKS = f"No process runs the engine. One must, with {variable('engine')}=auto or only."
    IN_MEMORY = (
        f"Another process runs the engine, and this one cannot hear it: {variable('bus')}={IN_MEMORY} reaches no other"
        " process. Name log: or one redis:// for all of them, or end the others."
    )
    NOT_HERE = (
        "Another process runs the engine, and nothing that it says arrives here."
        f" {variable('bus')} must be the same for all of them."
    )


class Hearing:
    """One process's. `leads` tells whether the engine runs in this one."""

    def __init__(self, hub: Hub, leases: Leases, *, bus: str, leads: Callable[[], bool]) -> None:
        self._hub = hub
        self._leases = leases
        self._bus = bus
        self._leads = leads

    def hears(self) -> bool:
        """Whether the engine was heard lately, and everything that it said before is within reach."""
        return self._hub.silent_for() < UNHEARD_SECONDS and self._hub.is_complete()

    async def work(self) -> NoReturn:
        """Warn where nothing is heard, and say when that is over."""
        watch, warned = Watch(), None
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._hub.silent_for() < UNHEARD_SECONDS:
                if warned is not None:
                    log.info("engine.heard_again")
                watch, warned = Watch(), None
            elif (silence := await self._silence(watch)) is not None and silence is not warned:
                warned = silence
                log.warning("engine.unheard", message=silence.value)

    async def _silence(self, watch: Watch) -> Silence | None:
        """None where it is not known yet, or others say it: the bus that it has failed, the database that it is away."""
        try:
            lease = await self._leases.load()
        except DatabaseError:
            return None
        renewed = watch.saw(lease)
        if self._leads():
            return None
        if watch.vacancy() is not None:
            return Silence.NOBODY_SPEAKS
        if not renewed:
            return None
        return Silence.IN_MEMORY if self._bus == IN_MEMORY else Silence.NOT_HERE
