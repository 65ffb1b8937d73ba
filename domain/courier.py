"""The courier: sends what the campaigns of all accounts are to send, in one process at a time.

Owns who does it. A process that finds a campaign to be worked at takes the lease of this work, does it, and gives the lease up when
nothing is left; where it ends in the middle, another takes over as soon as its lease is dead, and goes on where it stood. What is
sent, and that it is written once, is the campaign's run to say (`domain.campaigns.running`): two couriers that believe to be the
only one do no harm but to send twice under one identifier. Held by `tests/domain/campaigns/test_running.py`.

Cost: where nothing is to be sent, a look at a small index once in `LOOK_SECONDS`; else a write in each second for the lease.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from bson import ObjectId

from domain.accounts import Accounts
from domain.errors import Unavailable
from domain.membership.lease import Candidate, LeaseLost
from domain.store.client import DatabaseError
from domain.store.store import Store

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
RETRY_SECONDS = 5.0

Key = tuple[str, ObjectId]


class Courier:
    """Works whenever there is something to do and nobody else does it, until it is stopped."""

    def __init__(self, store: Store, accounts: Accounts) -> None:
        self._store = store
        self._accounts = accounts
        self._candidate = Candidate(store.lease("campaigns"))
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let `work` return; what is on its way is sent again by whoever goes on."""
        self._stopping.set()
        self._accounts.campaigning.set()

    async def work(self) -> None:
        """Until stopped."""
        while not self._stopping.is_set():
            try:
                if await self._store.open_runs():
                    await self._lead()
            except DatabaseError as error:
                log.warning("courier.database_failed", error=repr(error), retry_in_seconds=LOOK_SECONDS)
            await self._pause()

    async def _pause(self) -> None:
        """Until there may be something to do."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._accounts.campaigning.wait(), LOOK_SECONDS)
        self._accounts.campaigning.clear()

    async def _lead(self) -> None:
        if await self._candidate.take(self._stopping) is None:
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                keeping = tasks.create_task(self._candidate.keep())
                await self._work_at_all()
                keeping.cancel()
        except* LeaseLost:
            # Said where it was lost; whoever has it goes on.
            pass
        else:
            await self._candidate.give_up()

    async def _work_at_all(self) -> None:
        """Each campaign by itself, until nothing is left for any."""
        working: dict[Key, asyncio.Task[None]] = {}
        try:
            while self._candidate.holds() and not self._stopping.is_set():
                open_ = await self._store.open_runs()
                for key in open_:
                    if key not in working:
                        working[key] = asyncio.create_task(self._work_at(*key))
                await self._pause()
                for key, task in list(working.items()):
                    if task.done():
                        del working[key]
                        task.result()
                if not working and not open_:
                    return
        finally:
            for task in working.values():
                task.cancel()
            await asyncio.gather(*working.values(), return_exceptions=True)

    async def _work_at(self, account: str, campaign: ObjectId) -> None:
        try:
            await self._accounts.get(account).runs.work(campaign)
        except* (DatabaseError, Unavailable) as failed:
            log.warning(
                "courier.interrupted",
                campaign=str(campaign),
                error=repr(failed.exceptions[0]),
                retry_in_seconds=RETRY_SECONDS,
            )
            await asyncio.sleep(RETRY_SECONDS)
