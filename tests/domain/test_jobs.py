"""Long work: carried out by one process at a time, taken up by another where that one is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from domain import jobs as module
from domain.definitions import now
from domain.errors import InvalidMapping, Unavailable
from domain.jobs import Cancelled, Jobs, Lost, Run
from domain.store.client import Document
from tests.domain.conftest import DEADLINE, World


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RENEW_SECONDS", "LOOK_SECONDS", "TELL_EVERY_SECONDS"):
        monkeypatch.setattr(module, name, 0.02)


class Process:
    """Jobs as one process sees them, of a kind that waits until it is let go on."""

    def __init__(self, world: World) -> None:
        self.jobs = Jobs(world.store.jobs("default"))
        self.runs: list[Run] = []
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.fails: Exception | None = None
        self.jobs.carried_out_by("kind", self._work)

    async def _work(self, run: Run) -> str:
        self.runs.append(run)
        self.began.set()
        while not self.go_on.is_set():
            if run.cancelled:
                raise Cancelled
            await asyncio.sleep(0.005)
        await run.note(percent=50)
        if self.fails is not None:
            failure, self.fails = self.fails, None
            raise failure
        return "done"


@pytest.fixture
async def processes(world: World) -> AsyncIterator[tuple[Process, Process]]:
    found = Process(world), Process(world)
    yield found
    for each in found:
        await each.jobs.close()


async def begun(process: Process, **content: Any) -> ObjectId:
    identifier = ObjectId()
    await process.jobs.make("kind", identifier, "running", **content)
    await asyncio.wait_for(process.began.wait(), DEADLINE)
    return identifier


async def ended(process: Process, identifier: ObjectId) -> list[Document]:
    async with asyncio.timeout(DEADLINE):
        return [each async for each in process.jobs.follow("kind", identifier)]


async def dead(world: World, identifier: ObjectId) -> None:
    """As if nobody had renewed the lease for long."""
    await world.store.jobs("default").update_one(
        {"_id": identifier}, {"$set": {"lease.until": now() - timedelta(seconds=1)}}
    )


async def test_it_is_told_of_while_it_goes_on(processes: tuple[Process, Process]) -> None:
    here, there = processes
    identifier = await begun(here, percent=0)
    following = asyncio.create_task(ended(there, identifier))
    await asyncio.sleep(0)
    here.go_on.set()
    told = await following
    assert told[-1]["state"] == "done"
    assert told[-1]["finished"] is not None
    assert [each["percent"] for each in told] == sorted(each["percent"] for each in told)


async def test_one_that_nobody_is_at_work_on_is_taken_up(processes: tuple[Process, Process]) -> None:
    here, there = processes
    identifier = await begun(here)
    await there.jobs.resume()
    await here.jobs.close()
    await asyncio.wait_for(there.began.wait(), DEADLINE)
    there.go_on.set()
    assert (await ended(there, identifier))[-1]["state"] == "done"


async def test_one_that_somebody_is_at_work_on_is_left_to_them(processes: tuple[Process, Process]) -> None:
    here, there = processes
    identifier = await begun(here)
    await there.jobs.resume()
    here.go_on.set()
    await ended(here, identifier)
    assert there.runs == []


async def test_a_holder_that_was_thought_dead_is_told_and_stops(
    world: World, processes: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = processes
    monkeypatch.setattr(module, "RENEW_SECONDS", 60.0)
    identifier = await begun(here)
    await dead(world, identifier)
    await there.jobs.resume()
    await asyncio.wait_for(there.began.wait(), DEADLINE)
    (run,) = here.runs
    with pytest.raises(Lost):
        await run.note(percent=1)
    here.go_on.set()
    await here.jobs.idle()
    assert (await there.jobs.get("kind", identifier) or {})["state"] == "running"
    there.go_on.set()
    assert (await ended(there, identifier))[-1]["state"] == "done"


async def test_it_ends_where_it_stands_when_somebody_wants_that(processes: tuple[Process, Process]) -> None:
    here, there = processes
    identifier = await begun(here)
    await there.jobs.cancel(identifier)
    assert (await ended(there, identifier))[-1]["state"] == "cancelled"


FAILURES: list[tuple[Exception, str | None]] = [
    (InvalidMapping("no such column"), "INVALID_MAPPING"),
    (KeyError("a defect"), "INTERNAL"),
    (Unavailable("not now"), None),
]


@pytest.mark.parametrize(
    ("failure", "code"), FAILURES, ids=[type(failure).__name__ for failure, _ in FAILURES]
)
async def test_what_went_wrong_is_told_and_what_may_go_well_is_tried_again(
    processes: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch, failure: Exception, code: str | None
) -> None:
    monkeypatch.setattr("domain.background.FIRST_RETRY_SECONDS", 0.01)
    here, _ = processes
    here.fails = failure
    here.go_on.set()
    identifier = await begun(here)
    last = (await ended(here, identifier))[-1]
    assert (last["state"], (last.get("error") or {}).get("code")) == (
        "done" if code is None else "failed",
        code,
    )
    if code == "INTERNAL":
        assert "a defect" not in last["error"]["message"]
