"""The engine: keeps runs going, from the stream of everything that was written to the log of who joined and who left.

Owns what happens between runs: each begins at the checkpoint and rests on nothing else, so a run that failed is simply
begun again. A database that goes away is waited for; a history that is lost is answered by holding every audience's log
against its query; a defect ends the engine, for going on could tell what is not true. Held by
`tests/domain/membership/test_engine.py`.

Of any number of engines one runs, the holder of the lease (`lease`); the others wait for it. It is kept from the first run of a
term to the last, and where it cannot be, the run ends in the middle of what it was doing, as by a kill. Two that run at once all
the same, because one was stopped from outside and does not know what it missed, do no harm: what they tell and
log is the same by design, marks and fences may be written twice, and of what must not go back, the checkpoint and
what watchers are told, each carries the term. Held by `tests/domain/membership/test_election.py`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from domain.membership.lease import Candidate, LeaseLost
from domain.membership.run import PUT_BACK, Run
from domain.membership.telling import Publish
from domain.membership.writer import Written
from domain.store.checkpoint import PutBack
from domain.store.client import DatabaseError
from domain.store.store import Store
from domain.store.stream import HistoryLost

log = structlog.get_logger(__name__)

LATE_SECONDS = 30.0
"""For a database to answer the renewal of a lease that may be another's by then. The engine's own reading may be what keeps it
busy; and a run that is broken off for that reads all of it again, and is late again."""
FIRST_RETRY_SECONDS = 0.2
LAST_RETRY_SECONDS = 10.0


class Engine:
    """Runs whenever the lease is its own, until it is stopped; a database that goes away is waited for."""

    def __init__(self, store: Store, publish: Publish) -> None:
        self._store = store
        self._publish = publish
        self._candidate = Candidate(store.leases, late_seconds=LATE_SECONDS)
        self._stopping = asyncio.Event()
        self._begun = asyncio.Event()
        self._written = Written()

    async def wait_ready(self) -> None:
        """Return when a run is under way and follows the stream."""
        await self._begun.wait()

    @property
    def leads(self) -> bool:
        """Whether this is the engine that runs, of all there are."""
        return self._candidate.holds()

    def stop(self) -> None:
        """Let `work` return after its last write."""
        self._stopping.set()

    async def work(self) -> None:
        """Term after term, until stopped. A defect ends it with its exception: going on could tell what is not true.

        Where it is cancelled the lease is left to die, as by a kill.
        """
        while not self._stopping.is_set():
            term = await self._candidate.take(self._stopping)
            if term is None:
                return
            try:
                async with asyncio.TaskGroup() as tasks:
                    keeping = tasks.create_task(self._candidate.keep())
                    await self._lead(term)
                    keeping.cancel()
            except* LeaseLost:
                # Said where it was lost, and tried for again.
                pass
            else:
                await self._candidate.give_up()

    async def _lead(self, term: int) -> None:
        """Run after run, as long as the lease is held."""
        delay = FIRST_RETRY_SECONDS
        lost: str | None = None
        while self._candidate.holds() and not self._stopping.is_set():
            run = Run(self._store, self._publish, self._stopping, self._begun, self._written, term=term)
            lost_now: str | None = None
            try:
                await run.work(lost)
            except* HistoryLost as failed:
                lost_now = (
                    f"what happened since the last checkpoint can no longer be told: {failed.exceptions[0]}"
                )
                log.warning("engine.history_lost", because=lost_now)
            except* PutBack:
                lost_now = PUT_BACK
            except* DatabaseError as failed:
                log.warning(
                    "engine.database_failed", error=repr(failed.exceptions[0]), retry_in_seconds=delay
                )
            finally:
                self._begun.clear()
            _heed_cancellation()
            # A run that failed before it had begun afresh leaves that to the next.
            lost = lost_now or (None if run.came_along else lost)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = FIRST_RETRY_SECONDS if run.came_along else min(delay * 2, LAST_RETRY_SECONDS)


def _heed_cancellation() -> None:
    """A group of tasks that fails while it is cancelled raises its failure, and no word of the cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
