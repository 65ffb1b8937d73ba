"""Who hears nothing of the engine is not ready, and says why."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest
import structlog

from api import hearing as hearings
from api.hearing import Hearing, Silence
from api.settings import IN_MEMORY
from domain.membership.hub import Hub
from domain.membership.messages import Progress
from domain.membership.position import Position
from domain.store.client import DatabaseError
from domain.store.lease import Lease, Leases
from tests.api.client import until

REDIS = "redis://cache:6379"


@dataclass
class Seen(Leases):
    """A lease that is looked at; renewed between two looks, unless it stands still."""

    lease: Lease | None
    stands_still: bool = False
    looks: int = field(default=0)

    async def load(self) -> Lease | None:
        self.looks += 1
        if self.looks % 7 == 0:
            raise DatabaseError("away")
        if self.lease is None or self.stands_still:
            return self.lease
        return Lease(term=self.lease.term, renewal=self.looks, holder=self.lease.holder)


def progress(number: int, *, logged: int = 0) -> Progress:
    place = Position("0" * 16 + "f")
    return Progress(term=1, run="run", number=number, since=place, position=place, logged=logged)


HELD = Lease(term=1, renewal=0, holder="another")
GIVEN_UP = Lease(term=1, renewal=0, holder=None)


@pytest.mark.parametrize(
    ("leases", "bus", "leads", "said"),
    [
        (Seen(HELD), IN_MEMORY, False, Silence.IN_MEMORY),
        (Seen(HELD), REDIS, False, Silence.NOT_HERE),
        (Seen(HELD), REDIS, True, None),
        (Seen(HELD, stands_still=True), IN_MEMORY, False, None),
        (Seen(GIVEN_UP, stands_still=True), REDIS, False, Silence.NOBODY_SPEAKS),
        (Seen(None), IN_MEMORY, False, Silence.NOBODY_SPEAKS),
    ],
)
async def test_who_hears_nothing_says_why_once(
    monkeypatch: pytest.MonkeyPatch, *, leases: Seen, bus: str, leads: bool, said: Silence | None
) -> None:
    monkeypatch.setattr(hearings, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(hearings, "UNHEARD_SECONDS", 0.01)
    hearing = Hearing(Hub(), leases, bus=bus, leads=lambda: leads)
    with structlog.testing.capture_logs() as logs:
        work = asyncio.create_task(hearing.work())
        await until(lambda: leases.looks >= 20)
        work.cancel()
    assert [entry["message"] for entry in logs if entry["event"] == "engine.unheard"] == (
        [] if said is None else [said.value]
    )


async def test_who_hears_again_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearings, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(hearings, "UNHEARD_SECONDS", 0.05)
    hub, numbers = Hub(), itertools.count(1)
    hearing = Hearing(hub, Seen(HELD), bus=REDIS, leads=lambda: False)

    def said() -> list[str]:
        return [
            entry["event"] for entry in logs if entry["event"] in {"engine.unheard", "engine.heard_again"}
        ]

    def heard_again() -> bool:
        """The engine goes on speaking: where the machine stands still for a moment, one word would be too long ago."""
        hub.receive(progress(next(numbers)))
        return said()[:2] == ["engine.unheard", "engine.heard_again"]

    with structlog.testing.capture_logs() as logs:
        work = asyncio.create_task(hearing.work())
        await until(lambda: said() == ["engine.unheard"])
        await until(heard_again)
        work.cancel()


def test_a_process_hears_once_everything_that_was_said_before_is_within_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = Hub()
    hearing = Hearing(hub, Seen(HELD), bus=REDIS, leads=lambda: False)
    assert not hearing.hears()
    hub.receive(progress(7))
    assert not hearing.hears()
    hub.receive(progress(8, logged=6))
    assert hearing.hears()
    monkeypatch.setattr(hearings, "UNHEARD_SECONDS", 0.0)
    assert not hearing.hears()
