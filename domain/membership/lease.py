"""The lease of the engine, as one process sees it: when it may be taken, and for how long it is certainly one's own.

Owns the arithmetic of time. Every duration is measured by this process's own steady clock; nobody's wall clock is compared
with anybody else's. Who waits counts from the *end* of the look that first showed a renewal; who holds counts from the
*beginning* of the renewal, which lies before that; who holds stops after `HOLD_SECONDS` and one more try, who waits takes over
after `DEAD_SECONDS`, which is more. So a holder that runs has stopped before the lease can be another's, unless it says that it is
more patient with a database that is slow to answer. One that does not run (a stopped process, a frozen machine) cannot stop; when
it goes on it may believe for a moment that it holds, and what it does then is fenced by its term.

Invariant: two processes that keep to their clocks never hold at the same time. Held by `tests/domain/membership/test_lease.py`.
Cost: a small write in each second for the holder, two small reads for everybody who waits.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import NoReturn

import structlog
from bson import ObjectId

from domain.store.client import DatabaseError
from domain.store.lease import Lease, Leases

log = structlog.get_logger(__name__)

RENEW_SECONDS = 1.0
HOLD_SECONDS = 3.0
"""For which a lease is certainly its holder's, from when it sent the last renewal that was acknowledged."""
DEAD_SECONDS = 4.0
"""After which a lease that nobody has been seen to renew may be taken. What it is more than `HOLD_SECONDS` is for the holder
to stop in, and for clocks that do not run equally fast."""
LATE_SECONDS = 0.5
"""For one more try of a holder that finds itself late, as after a long computation: a renewal names its term, so where it
succeeds nobody has taken the lease. Together with `HOLD_SECONDS` it is less than `DEAD_SECONDS`. Whose work is fenced may be more
patient."""
LOOK_SECONDS = 0.5

Clock = Callable[[], float]


class LeaseLost(Exception):
    """The lease is another's, or may be soon."""


class Vacancy(StrEnum):
    """Why a lease may be taken."""

    NEVER_HELD = "never held"
    GIVEN_UP = "given up"
    NOT_RENEWED = "not renewed"
    LEFT_BEHIND = "left behind by this process"


class Watch:
    """What one process has seen of the lease, and for how long it has seen no renewal."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._seen: Lease | None = None
        self._since = clock()

    def saw(self, lease: Lease | None) -> bool:
        """Take note of a look that has just ended. Whether the lease has changed since the one before."""
        changed = lease != self._seen
        if changed:
            first = self._seen is None
            self._seen, self._since = lease, self._clock()
            return not first
        return False

    def vacancy(self, me: str | None = None) -> Vacancy | None:
        """Why the lease that was seen last may be taken by the process of this name, which holds none; None where it may not."""
        if self._seen is None:
            return Vacancy.NEVER_HELD
        if self._seen.holder is None:
            return Vacancy.GIVEN_UP
        if self._seen.holder == me:
            # Lost by being late with nobody there to take it, or taken by an update whose outcome was never told.
            return Vacancy.LEFT_BEHIND
        if self._clock() - self._since >= DEAD_SECONDS:
            return Vacancy.NOT_RENEWED
        return None


class Holding:
    """A term that this process holds, as far as it can know."""

    def __init__(self, term: int, sent_at: float, clock: Clock = time.monotonic) -> None:
        self.term = term
        self._sent_at = sent_at
        self._clock = clock

    def renewed(self, sent_at: float) -> None:
        """A renewal that was sent at this time has been acknowledged."""
        self._sent_at = sent_at

    def left(self) -> float:
        """The seconds for which the lease is certainly ours; none, or fewer, where it may be another's."""
        return self._sent_at + HOLD_SECONDS - self._clock()


class Candidate:
    """Takes the lease, keeps it and gives it up, for one engine."""

    def __init__(
        self, leases: Leases, clock: Clock = time.monotonic, *, late_seconds: float = LATE_SECONDS
    ) -> None:
        self._leases = leases
        self._clock = clock
        self._late_seconds = late_seconds
        self._holding: Holding | None = None
        self.name = f"{socket.gethostname()} {os.getpid()} {ObjectId()}"
        """Of this candidate alone; machine and process stand in it for those who read logs."""

    def holds(self) -> bool:
        """Whether the lease is certainly ours."""
        return self._holding is not None and self._holding.left() > 0

    async def take(self, stopping: asyncio.Event) -> int | None:
        """Wait until the lease is ours; its term. None where we are to stop before."""
        watch = Watch(self._clock)
        waits_for: int | None = None
        while not stopping.is_set():
            try:
                # What takes longer than the lease would last is of no use.
                async with asyncio.timeout(HOLD_SECONDS):
                    seen = await self._leases.load()
                    watch.saw(seen)
                    vacancy = watch.vacancy(self.name)
                    if vacancy is not None:
                        sent_at = self._clock()
                        taken = await self._leases.take(seen, self.name)
                        if taken is not None:
                            self._holding = Holding(taken.term, sent_at, self._clock)
                            log.info("lease.taken", term=taken.term, because=vacancy.value)
                            return taken.term
                    elif seen is not None and seen.term != waits_for:
                        waits_for = seen.term
                        log.info("lease.held_by_another", term=seen.term, holder=seen.holder)
            except (DatabaseError, TimeoutError) as error:
                log.warning("lease.not_reached", error=repr(error), retry_in_seconds=LOOK_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), LOOK_SECONDS)
        return None

    async def keep(self) -> NoReturn:
        """Renew the lease in time, until cancelled. Raises `LeaseLost` where that does not succeed."""
        holding = self._holding
        assert holding is not None
        while True:
            await asyncio.sleep(max(0.0, min(RENEW_SECONDS, holding.left())))
            left, sent_at = holding.left(), self._clock()
            late = left <= 0
            try:
                async with asyncio.timeout(self._late_seconds if late else left):
                    renewed = await self._leases.renew(holding.term)
            except (DatabaseError, TimeoutError) as error:
                if late:
                    self._lose("it was not renewed in time")
                log.warning("lease.not_renewed", term=holding.term, error=repr(error))
                continue
            if not renewed:
                self._lose("another process has taken it")
            holding.renewed(sent_at)
            log.debug("lease.renewed", term=holding.term)

    async def give_up(self) -> None:
        """Let another take the lease at once. Where that cannot be said, it is dead by itself soon."""
        assert self._holding is not None
        term, self._holding = self._holding.term, None
        try:
            async with asyncio.timeout(HOLD_SECONDS):
                await self._leases.give_up(term)
        except (DatabaseError, TimeoutError) as error:
            log.warning("lease.not_given_up", term=term, error=repr(error))
        else:
            log.info("lease.given_up", term=term)

    def _lose(self, because: str) -> NoReturn:
        assert self._holding is not None
        term, self._holding = self._holding.term, None
        log.warning("lease.lost", term=term, because=because)
        raise LeaseLost(because)
