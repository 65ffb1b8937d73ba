"""Rounds: one piece of work that serves everybody who asked before it began.

Owns the sharing. Whoever asks while a round is under way waits for the next one, because the one under way may have
looked before they asked; all who wait share it. So a thousand requests at once cost two rounds, and none sees the past.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Rounds:
    """`work` is done as often as needed, never twice at a time."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._busy = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None

    async def join(self) -> None:
        """Return when a round that began after this call has ended. Raises what it raised."""
        if self._next is None:
            self._next = asyncio.create_task(self._round())
            self._next.add_done_callback(_look_at)
        await asyncio.shield(self._next)

    async def _round(self) -> None:
        async with self._busy:
            self._next = None
            await self._work()


def _look_at(task: asyncio.Task[None]) -> None:
    """Whoever joined is told what a round raised; where all of them have given up, nobody is left to be."""
    if not task.cancelled():
        task.exception()
