"""The arithmetic of the lease, with clocks in hand, and a candidate whose database is slow, away or deaf."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest
import structlog

from domain.membership import lease as leasing
from domain.membership.lease import DEAD_SECONDS, HOLD_SECONDS, Candidate, Holding, LeaseLost, Vacancy, Watch
from domain.store.client import DatabaseError
from domain.store.lease import Lease, Leases
from tests.api.client import until
from tests.domain.conftest import DEADLINE

LEASE = Lease(term=7, renewal=3, holder="another")
RENEWED = Lease(term=7, renewal=4, holder="another")


@dataclass
class Hand:
    """A clock."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("looks", "vacancy"),
    [
        ([(0.0, None)], Vacancy.NEVER_HELD),
        ([(0.0, LEASE)], None),
        ([(0.0, LEASE), (DEAD_SECONDS - 0.01, LEASE)], None),
        ([(0.0, LEASE), (DEAD_SECONDS, LEASE)], Vacancy.NOT_RENEWED),
        ([(0.0, LEASE), (3.0, RENEWED), (DEAD_SECONDS, RENEWED)], None),
        ([(0.0, LEASE), (3.0, RENEWED), (3.0 + DEAD_SECONDS, RENEWED)], Vacancy.NOT_RENEWED),
        ([(0.0, LEASE), (60.0, RENEWED)], None),
        ([(0.0, LEASE), (3.0, Lease(term=8, renewal=3, holder="a third")), (DEAD_SECONDS, None)], Vacancy.NEVER_HELD),
        ([(0.0, Lease(term=7, renewal=3, holder=None))], Vacancy.GIVEN_UP),
        ([(0.0, Lease(term=7, renewal=3, holder="me"))], Vacancy.LEFT_BEHIND),
    ],
)  # fmt: skip
def test_a_lease_may_be_taken_when_nobody_holds_it_or_nobody_was_seen_to_renew_it_for_long_enough(
    looks: list[tuple[float, Lease | None]], vacancy: Vacancy | None
) -> None:
    hand = Hand()
    watch = Watch(hand)
    for at, seen in looks:
        hand.now = 1000.0 + at
        watch.saw(seen)
    assert watch.vacancy("me") == vacancy


def test_a_watch_tells_whether_the_lease_changed_under_its_eyes() -> None:
    watch = Watch(Hand())
    assert [watch.saw(seen) for seen in (LEASE, LEASE, RENEWED, RENEWED)] == [False, False, True, False]


def test_a_holding_lasts_from_when_its_last_renewal_was_sent() -> None:
    hand = Hand()
    holding = Holding(7, sent_at=hand.now - 0.5, clock=hand)
    assert holding.left() == HOLD_SECONDS - 0.5
    hand.now += 2.0
    holding.renewed(hand.now - 1.0)
    assert holding.left() == HOLD_SECONDS - 1.0
    hand.now += HOLD_SECONDS - 1.0
    assert holding.left() <= 0


@dataclass(frozen=True)
class Message:
    """A command, in true time: when it was sent, took effect, and was acknowledged."""

    sent: float
    took_effect: float
    acknowledged: float


def one_after_another(generator: random.Random) -> list[Message]:
    """Mostly prompt, and now and then late before it is sent, on its way there, or on its way back."""
    messages, now = [], 0.0
    for _ in range(generator.randrange(6)):
        sent = now + generator.choice([0.0, 0.5, 1.0, 2.75])
        took_effect = sent + generator.choice([0.0, 0.0, 0.0, 0.25, 3.0])
        now = took_effect + generator.choice([0.0, 0.0, 0.0, 0.25, 3.0])
        messages.append(Message(sent, took_effect, now))
    return messages


@pytest.mark.parametrize("rate", [0.8, 1.0, 1.2])
def test_whatever_is_late_nobody_takes_a_lease_that_its_holder_counts_on(rate: float) -> None:
    generator, took = random.Random(7), 0
    for _ in range(20_000):
        renewals, looks = one_after_another(generator), one_after_another(generator)
        holder, waiter = Hand(0.0), Hand(0.0)
        watch, holding = Watch(waiter), Holding(1, 0.0, holder)
        for look in looks:
            waiter.now = look.acknowledged * rate
            seen = sum(renewal.took_effect <= look.took_effect for renewal in renewals)
            watch.saw(Lease(term=1, renewal=seen, holder="another"))
            holder.now = look.acknowledged + generator.choice([0.0, 0.0, 0.25, 3.0])
            in_effect = [renewal for renewal in renewals if renewal.took_effect <= holder.now]
            if watch.vacancy("me") is not None and len(in_effect) == seen:
                took += 1
                # No later renewal takes effect any more; one that did may be acknowledged late.
                for renewal in in_effect:
                    holding.renewed(renewal.sent)
                assert holding.left() <= 0
                break
    assert took > 1_000


@dataclass
class Heard(Leases):
    """A lease in memory, whose renewals go as a test says."""

    lease: Lease | None = None
    renewals: list[object] = field(default_factory=list)
    """For each: whether it succeeds, an exception to raise, or an event to wait for."""

    async def load(self) -> Lease | None:
        return self.lease

    async def take(self, seen: Lease | None, holder: str) -> Lease | None:
        assert seen == self.lease
        self.lease = Lease(term=1 + (seen.term if seen else 0), renewal=0, holder=holder)
        return self.lease

    async def renew(self, term: int) -> bool:
        assert self.lease is not None
        assert self.lease.term == term
        match self.renewals.pop(0):
            case Exception() as error:
                raise error
            case asyncio.Event() as event:
                return await event.wait()
            case succeeds:
                return bool(succeeds)

    async def give_up(self, term: int) -> None:
        raise DatabaseError(f"term {term} cannot be given up")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(leasing, "LOOK_SECONDS", 0.01)


async def test_a_holder_whose_renewal_is_refused_has_lost_the_lease() -> None:
    candidate = Candidate(Heard(renewals=[True, True, False]), Hand())
    assert await candidate.take(asyncio.Event()) == 1
    assert candidate.holds()
    with pytest.raises(LeaseLost, match="another process has taken it"):
        await asyncio.wait_for(candidate.keep(), DEADLINE)
    assert not candidate.holds()


async def test_a_holder_keeps_the_lease_through_a_failure_that_passes_in_time() -> None:
    candidate = Candidate(Heard(renewals=[DatabaseError("away"), True, DatabaseError("away"), False]), Hand())
    await candidate.take(asyncio.Event())
    with structlog.testing.capture_logs() as logs, pytest.raises(LeaseLost, match="another process"):
        await asyncio.wait_for(candidate.keep(), DEADLINE)
    assert [entry["event"] for entry in logs if entry.get("term") == 1] == [
        "lease.not_renewed",
        "lease.renewed",
        "lease.not_renewed",
        "lease.lost",
    ]


async def test_a_holder_whose_database_does_not_answer_in_time_has_lost_the_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leasing, "HOLD_SECONDS", 0.05)
    never = [asyncio.Event() for _ in range(5)]
    candidate = Candidate(Heard(renewals=[*never]), late_seconds=0.01)
    await candidate.take(asyncio.Event())
    with pytest.raises(LeaseLost, match="not renewed in time"):
        await asyncio.wait_for(candidate.keep(), DEADLINE)


async def test_a_patient_holder_goes_on_once_a_database_answers_that_was_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leasing, "HOLD_SECONDS", 0.05)
    answered = asyncio.Event()
    candidate = Candidate(Heard(renewals=[answered] * 3 + [False]), late_seconds=DEADLINE)
    await candidate.take(asyncio.Event())
    keeping = asyncio.create_task(candidate.keep())
    await until(lambda: not candidate.holds())
    assert not keeping.done()
    answered.set()
    with structlog.testing.capture_logs() as logs, pytest.raises(LeaseLost, match="another process"):
        await asyncio.wait_for(keeping, DEADLINE)
    assert [entry["event"] for entry in logs if entry.get("term") == 1][-2:] == [
        "lease.renewed",
        "lease.lost",
    ]


@pytest.mark.parametrize(
    ("renewal", "because"),
    [
        (False, "another process has taken it"),
        (DatabaseError("away"), "not renewed in time"),
        (asyncio.Event(), "not renewed in time"),
    ],
)
async def test_a_holder_that_was_stopped_for_longer_than_the_lease_lasts_is_told_by_one_more_renewal(
    renewal: object, because: str
) -> None:
    hand = Hand()
    leases = Heard(renewals=[True, renewal])
    candidate = Candidate(leases, hand, late_seconds=0.01)
    await candidate.take(asyncio.Event())
    keeping = asyncio.create_task(candidate.keep())
    hand.now += HOLD_SECONDS
    assert not candidate.holds()
    # Nobody took it meanwhile.
    await until(candidate.holds)
    hand.now += HOLD_SECONDS
    with pytest.raises(LeaseLost, match=because):
        await asyncio.wait_for(keeping, DEADLINE)


async def test_a_candidate_that_lost_the_lease_takes_it_again_where_nobody_else_has() -> None:
    leases = Heard(renewals=[False])
    candidate = Candidate(leases, Hand())
    await candidate.take(asyncio.Event())
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(candidate.keep(), DEADLINE)
    assert await asyncio.wait_for(candidate.take(asyncio.Event()), DEADLINE) == 2


async def test_a_candidate_that_waits_stops_when_it_is_told_to() -> None:
    stopping = asyncio.Event()
    waiting = asyncio.create_task(Candidate(Heard(lease=LEASE)).take(stopping))
    await asyncio.sleep(0)
    stopping.set()
    assert await asyncio.wait_for(waiting, DEADLINE) is None


async def test_what_cannot_be_given_up_dies_by_itself() -> None:
    candidate = Candidate(Heard())
    await candidate.take(asyncio.Event())
    with structlog.testing.capture_logs() as logs:
        await candidate.give_up()
    assert [entry["event"] for entry in logs if entry.get("term") == 1] == ["lease.not_given_up"]
    assert not candidate.holds()
