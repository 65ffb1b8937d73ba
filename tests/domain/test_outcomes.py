import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from domain import outcomes
from domain.errors import InvalidValue, MutationIdReused
from tests.domain.conftest import World

GIVEN = {"name": "x"}


class Counter:
    """Something that is done, and counts how often."""

    def __init__(self) -> None:
        self.made: list[ObjectId] = []

    async def act(self, fresh: ObjectId) -> Mapping[str, Any]:
        self.made.append(fresh)
        await asyncio.sleep(0)
        return {"id": fresh}


async def test_a_repeated_mutation_is_carried_out_once(world: World) -> None:
    once, counter = world.account.outcomes.once, Counter()
    found = await asyncio.gather(*[once("caller", "create", "m1", GIVEN, counter.act) for _ in range(5)])
    assert len(counter.made) == 1
    assert found == [{"id": counter.made[0]}] * 5


async def test_without_an_identifier_each_is_carried_out(world: World) -> None:
    counter = Counter()
    for _ in range(2):
        await world.account.outcomes.once("caller", "create", None, GIVEN, counter.act)
    assert len(set(counter.made)) == 2


async def test_callers_and_accounts_have_identifiers_of_their_own(world: World) -> None:
    counter = Counter()
    await world.account.outcomes.once("one", "create", "m1", GIVEN, counter.act)
    await world.account.outcomes.once("two", "create", "m1", GIVEN, counter.act)
    await world.accounts.get("other").outcomes.once("one", "create", "m1", GIVEN, counter.act)
    assert len(counter.made) == 3


async def test_an_identifier_is_good_for_one_thing(world: World) -> None:
    once, counter = world.account.outcomes.once, Counter()
    await once("caller", "create", "m1", GIVEN, counter.act)
    for mutation, given in (("delete", GIVEN), ("create", {"name": "y"})):
        with pytest.raises(MutationIdReused):
            await once("caller", mutation, "m1", given, counter.act)
    for identifier in ("", "x" * 201):
        with pytest.raises(InvalidValue):
            await once("caller", "create", identifier, GIVEN, counter.act)
    assert len(counter.made) == 1


async def test_what_failed_unforeseen_may_be_tried_again(world: World) -> None:
    async def fail(_: ObjectId) -> Mapping[str, Any]:
        raise RuntimeError("broken")

    counter = Counter()
    with pytest.raises(RuntimeError):
        await world.account.outcomes.once("caller", "create", "m1", GIVEN, fail)
    await world.account.outcomes.once("caller", "create", "m1", GIVEN, counter.act)
    assert len(counter.made) == 1


async def test_a_claim_whose_holder_died_is_taken_over_and_makes_the_same_thing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LEASE", timedelta(milliseconds=1))
    begun = asyncio.Event()
    first: list[ObjectId] = []

    async def hang(fresh: ObjectId) -> Mapping[str, Any]:
        first.append(fresh)
        begun.set()
        await asyncio.Event().wait()
        return {}

    dying = asyncio.create_task(world.account.outcomes.once("caller", "create", "m1", GIVEN, hang))
    await begun.wait()
    counter = Counter()
    found = await world.account.outcomes.once("caller", "create", "m1", GIVEN, counter.act)
    dying.cancel()
    await asyncio.wait({dying})
    assert counter.made == first
    assert found == {"id": first[0]}


async def test_who_waits_too_long_for_the_first_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "PATIENCE_SECONDS", 0.2)
    begun = asyncio.Event()

    async def hang(_: ObjectId) -> Mapping[str, Any]:
        begun.set()
        await asyncio.Event().wait()
        return {}

    working = asyncio.create_task(world.account.outcomes.once("caller", "create", "m1", GIVEN, hang))
    await begun.wait()
    with pytest.raises(MutationIdReused, match="still being carried out"):
        await world.account.outcomes.once("caller", "create", "m1", GIVEN, Counter().act)
    working.cancel()
    await asyncio.wait({working})


async def test_who_takes_long_keeps_its_claim(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "LEASE", timedelta(seconds=2))
    monkeypatch.setattr(outcomes, "RENEW_SECONDS", 0.02)
    monkeypatch.setattr(outcomes, "PATIENCE_SECONDS", 3.0)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def act(fresh: ObjectId) -> Mapping[str, Any]:
        begun.set()
        await go_on.wait()
        return {"id": fresh}

    working = asyncio.create_task(world.account.outcomes.once("caller", "create", "m1", GIVEN, act))
    await begun.wait()
    counter = Counter()
    with pytest.raises(MutationIdReused, match="still being carried out"):
        await world.account.outcomes.once("caller", "create", "m1", GIVEN, counter.act)
    go_on.set()
    found = await working
    assert await world.account.outcomes.once("caller", "create", "m1", GIVEN, counter.act) == found
    assert counter.made == []
