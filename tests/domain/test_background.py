import asyncio

import pytest
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from domain import background
from domain.background import Background
from domain.errors import Unavailable
from tests.domain.conftest import DEADLINE


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_RETRY_SECONDS", 0.0)


async def test_what_fails_because_something_cannot_be_reached_is_tried_again_until_it_is_done() -> None:
    failures = [Unavailable("The engine does not answer."), AutoReconnect("connection closed")]
    done = []

    async def work() -> None:
        if failures:
            raise failures.pop()
        done.append(True)

    service = Background()
    with capture_logs() as logged:
        service._start(work)
        async with asyncio.timeout(DEADLINE):
            await service.idle()
    assert done == [True]
    assert [entry["event"] for entry in logged] == ["background.interrupted"] * 2


async def test_closing_stops_what_is_under_way_and_what_waits_for_its_next_attempt() -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await never.wait()

    async def unreachable() -> None:
        raise Unavailable("The engine does not answer.")

    service = Background()
    service._start(work)
    service._start(unreachable)
    await asyncio.wait_for(begun.wait(), DEADLINE)
    await service.close()
    async with asyncio.timeout(DEADLINE):
        await service.idle()
