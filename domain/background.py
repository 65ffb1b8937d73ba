"""Work in the background of a process: begun by a request, and going on after it.

Owns the tasks. What fails because the database or the engine cannot be reached is tried again, at first soon, then more and more
rarely; what the end of the process leaves undone is begun again at the next start, which is its owner's to see to. So
whatever is done here must do no harm where it is done twice. Held by `tests/domain/test_background.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from domain.errors import Unavailable
from domain.store.client import DatabaseError

log = structlog.get_logger(__name__)

FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0

Work = Callable[[], Awaitable[None]]


class Background:
    """The tasks of one service."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def _start(self, work: Work) -> None:
        task = asyncio.create_task(_until_done(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Stop where it stands; the next start goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _until_done(work: Work) -> None:
    delay = FIRST_RETRY_SECONDS
    while True:
        try:
            return await work()
        except (DatabaseError, Unavailable) as error:
            log.warning("background.interrupted", error=repr(error), retry_in_seconds=delay)
        await asyncio.sleep(delay)
        delay = min(delay * 2, LAST_RETRY_SECONDS)
