import asyncio

import pytest

from domain.rounds import Rounds


async def test_who_asks_during_a_round_waits_for_the_next_and_all_who_wait_share_it() -> None:
    rounds_begun, begun, gate = 0, asyncio.Event(), asyncio.Event()

    async def work() -> None:
        nonlocal rounds_begun
        rounds_begun += 1
        begun.set()
        await gate.wait()

    rounds = Rounds(work)
    first = asyncio.create_task(rounds.join())
    await begun.wait()
    later = [asyncio.create_task(rounds.join()) for _ in range(50)]
    gate.set()
    await asyncio.gather(first, *later)
    assert rounds_begun == 2


async def test_what_a_round_raises_reaches_all_who_joined_it_and_the_next_goes_on() -> None:
    fails = True

    async def work() -> None:
        if fails:
            raise RuntimeError("broken")

    rounds = Rounds(work)
    found = await asyncio.gather(rounds.join(), rounds.join(), return_exceptions=True)
    assert [str(each) for each in found] == ["broken", "broken"]
    fails = False
    await rounds.join()


async def test_one_who_gives_up_does_not_end_the_round_for_the_others() -> None:
    gate = asyncio.Event()
    rounds = Rounds(lambda: _wait(gate))
    impatient = asyncio.create_task(rounds.join())
    patient = asyncio.create_task(rounds.join())
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    gate.set()
    await asyncio.wait_for(patient, 5)


async def _wait(gate: asyncio.Event) -> None:
    await gate.wait()
