"""The examination as a whole: what is looked at, in which order, and how it is mended.

Owns the order. Without a place to go on from, and without leave to mend, audiences are not examined, for an engine that was
started for it would put them right on the way. Held by `tests/domain/doctor/`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from domain.doctor.audiences import PATIENCE_SECONDS, examine_audiences
from domain.doctor.contacts import NormalForms, left_over, of_left_over
from domain.doctor.database import examine_checkpoint, examine_definitions, examine_setup, is_empty
from domain.doctor.findings import Finding, Told
from domain.fields import Settings
from domain.membership.engine import Engine
from domain.membership.examining import is_at_work, present, until_worked
from domain.membership.in_force import InForce
from domain.membership.messages import Progress
from domain.store.definitions import Kind
from domain.store.store import Store

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 10.0
"""In which an engine that is at work has answered, or one that takes its place."""
MOST_ROUNDS = 3
"""Of mending: what is mended first may bring to light what it hid."""


@dataclass(slots=True)
class Examination:
    """What was found first and last; `left` is what is not mended."""

    accounts: int = 0
    audiences: int = 0
    ran_engine: bool = False
    """No engine was at work, so that one was run for the examination."""
    found: list[Finding] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)


class Doctor:
    """Examines one database. `deep`: every contact, and not a sample."""

    def __init__(self, store: Store, *, deep: bool, told: Told) -> None:
        self._store = store
        self._deep = deep
        self._told = told
        self._engine_answers = False

    async def work(self, *, repair: bool) -> Examination:
        """Look, and where `repair` is set mend what can be mended and look again."""
        result = Examination()
        if await is_empty(self._store):
            return result
        async with AsyncExitStack() as stack:
            result.left = await self._examine(result, stack, repair=repair)
            result.found = list(result.left)
            for _ in range(MOST_ROUNDS):
                if not repair or not any(finding.mend for finding in result.left):
                    break
                await self._mend(result.left)
                result.left = await self._examine(result, stack, repair=repair)
                result.found += [finding for finding in result.left if finding not in result.found]
        return result

    # ---- looking ---------------------------------------------------------------------------------------------------

    async def _examine(self, result: Examination, stack: AsyncExitStack, *, repair: bool) -> list[Finding]:
        in_force = InForce()
        await in_force.load(self._store, None)
        result.accounts = len(in_force.catalogues)
        result.audiences = sum(len(list(each.audiences())) for each in in_force.catalogues.values())
        findings = await examine_setup(self._store, in_force.paths_read())
        findings += await examine_definitions(self._store)
        before = await self._left_over()
        findings += await self._examine_contacts(in_force)
        lost = await examine_checkpoint(self._store)
        findings += lost
        if repair or not lost:
            for finding in lost:
                if finding.mend is not None:
                    await finding.mend()
            if not self._engine_answers:
                result.ran_engine = await stack.enter_async_context(self._engine_at_work())
                self._engine_answers = True
            findings += await examine_audiences(self._store, self._told)
        # What is being swept up at the moment, so that it is less than before, is not left over.
        after = await self._left_over()
        return findings + [
            of_left_over(self._store.contacts(account), path, value, count)
            for (account, path, value), count in after.items()
            if count >= before.get((account, path, value), count + 1)
        ]

    async def _examine_contacts(self, in_force: InForce) -> list[Finding]:
        regions = await self._regions()
        findings = []
        for account, catalogue in in_force.catalogues.items():
            contacts = self._store.contacts(account)
            jobs = await self._store.conversions(account).find({"finished": None})
            forms = NormalForms(
                contacts,
                catalogue,
                regions=regions.get(account, frozenset()) | {Settings().region},
                converting=frozenset(job["field"] for job in jobs),
                deep=self._deep,
            )
            findings += await forms.examine(self._told)
        return findings

    async def _regions(self) -> dict[str, frozenset[str]]:
        """Each region that an account has ever had."""
        return {
            account: frozenset(str(each.body["region"]) for each in definitions if each.kind is Kind.SETTINGS)
            for account, definitions in (await self._store.definitions_in_force(None)).items()
        }

    async def _left_over(self) -> dict[tuple[str, str, Any], int]:
        """By account, path and value, how many contacts hold it; by what is defined now."""
        in_force = InForce()
        await in_force.load(self._store, None)
        return {
            (account, path, value): count
            for account, catalogue in in_force.catalogues.items()
            for (path, value), count in (await left_over(self._store.contacts(account), catalogue)).items()
        }

    # ---- mending ---------------------------------------------------------------------------------------------------

    async def _mend(self, findings: list[Finding]) -> None:
        mends = list(dict.fromkeys(finding.mend for finding in findings if finding.mend is not None))
        for done, mend in enumerate(mends):
            self._told("Mending", done, len(mends))
            await mend()
        await until_worked(self._store, await present(self._store), patience=PATIENCE_SECONDS)

    @asynccontextmanager
    async def _engine_at_work(self) -> AsyncIterator[bool]:
        """An engine that answers: the one that is at work already, or else one of our own. Whether it is ours."""
        lease = await self._store.leases.load()
        held = lease is not None and lease.holder is not None
        # One that died has a successor by then, if any process is there that waits for its lease.
        if held and await is_at_work(self._store, patience=ANSWER_SECONDS):
            yield False
            return
        log.info("doctor.starts_an_engine")
        engine = Engine(self._store, _nobody_listens)
        work = asyncio.create_task(engine.work())
        # Another process may take the lease before it.
        ready = asyncio.create_task(engine.wait_ready())
        answered = asyncio.create_task(is_at_work(self._store, patience=PATIENCE_SECONDS))
        try:
            await asyncio.wait({work, ready, answered}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            yield True
        finally:
            ready.cancel()
            answered.cancel()
            engine.stop()
            await work


async def _nobody_listens(_: Progress) -> None:
    """Whoever watches is served by a server, and where one is, its engine is at work."""
