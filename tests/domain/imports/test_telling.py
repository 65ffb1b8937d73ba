"""What is told of an import last is how it stood at its end."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from bson import ObjectId

from domain.imports import telling as module
from domain.imports.running import Report
from domain.imports.steps import Counts
from domain.imports.telling import Telling
from domain.jobs import Run
from domain.store.scope import Scoped
from tests.domain.conftest import World

HOLDER = "this process"


class Slow:
    """The first write is on its way for as long as wanted, and arrives whether or not its sender still waits."""

    def __init__(self, jobs: Scoped) -> None:
        self._jobs = jobs
        self.sent = asyncio.Event()
        self.arrives = asyncio.Event()
        self.arrived: asyncio.Task[Any] | None = None

    async def update_one(self, *given: Any) -> Any:
        if self.arrived is not None:
            return await self._jobs.update_one(*given)
        self.arrived = asyncio.create_task(self._later(*given))
        self.sent.set()
        return await asyncio.shield(self.arrived)

    async def _later(self, *given: Any) -> Any:
        await self.arrives.wait()
        return await self._jobs.update_one(*given)


async def test_a_note_that_is_late_does_not_take_back_the_last(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTE_EVERY_SECONDS", 0.01)
    jobs = world.store.jobs("default")
    document = {"_id": ObjectId(), "kind": "import", "lease": {"holder": HOLDER}}
    await jobs.insert_one(dict(document))
    slow, report = Slow(jobs), Report(counts=Counts())
    telling = Telling(Run(cast("Scoped", slow), document, HOLDER), report, trial=False)

    async def run() -> None:
        async with telling.going_on():
            await slow.sent.wait()
            report.counts.created = 3

    running = asyncio.create_task(run())
    await slow.sent.wait()
    # What does not wait for the note is over within this, and what waits is not.
    await asyncio.wait({running}, timeout=0.3)
    slow.arrives.set()
    await running
    assert slow.arrived is not None
    await slow.arrived
    stored = await jobs.find_one({"_id": document["_id"]})
    assert stored is not None
    assert stored["counts"]["created"] == 3
