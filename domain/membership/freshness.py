"""Freshness: waiting until what this process tells includes everything that was committed before now.

Owns the fences of a process that serves. Any number of requests at once share a fence, one small write at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from domain.errors import Unavailable
from domain.membership.hub import Hub
from domain.rounds import Rounds
from domain.store.fences import Fences

TIMEOUT_SECONDS = 15.0
REPEAT_SECONDS = 1.0


class Freshness:
    """Made once for a process."""

    def __init__(self, fences: Fences, hub: Hub) -> None:
        self._fences = fences
        self._hub = hub
        self._rounds = Rounds(self._pass_fence)

    async def reach_now(self) -> None:
        """Return when the hub has everything that was committed before this call. Raises `Unavailable` after 15 seconds."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._rounds.join()
        except TimeoutError:
            raise Unavailable(
                "The engine does not answer at the moment. Try again in a few seconds."
            ) from None

    async def _pass_fence(self) -> None:
        # A fence may pass unseen: before the engine begins, where history was lost, or with a message of the bus.
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                number = await self._fences.mark()
                with suppress(TimeoutError):
                    async with asyncio.timeout(REPEAT_SECONDS):
                        return await self._hub.until_fence(self._fences.writer, number)

    async def nudge(self) -> None:
        """Have the engine say something now. Whoever hears it notices what it has not heard before."""
        await self._fences.mark()

    async def close(self) -> None:
        """Leave no fence behind."""
        await self._fences.remove()
