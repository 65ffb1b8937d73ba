import asyncio
import time
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from domain.store.client import open_database
from domain.store.lease import Lease, Leases
from domain.store.store import open_store


async def opened(database: AsyncDatabase[dict[str, Any]]) -> Leases:
    return (await open_store(open_database(database.client, database.name))).leases


async def test_of_any_number_who_try_at_once_one_takes_the_lease_and_terms_rise(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    leases = await opened(database)
    assert await leases.load() is None
    terms = []
    for _ in range(20):
        seen = await leases.load()
        taken = await asyncio.gather(*(leases.take(seen, str(number)) for number in range(5)))
        (winner,) = [lease for lease in taken if lease is not None]
        assert await leases.load() == winner
        assert taken[int(winner.holder or "")] == winner
        terms.append(winner.term)
    assert terms == sorted(set(terms))


async def test_a_lease_that_was_renewed_is_not_taken_by_who_has_not_seen_that(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    leases = await opened(database)
    first = await leases.take(None, "a")
    assert first is not None
    assert await leases.renew(first.term)
    assert await leases.take(first, "b") is None
    assert await leases.load() == Lease(term=first.term, renewal=1, holder="a")


async def test_who_was_replaced_can_neither_renew_the_lease_nor_give_it_up(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    leases = await opened(database)
    first = await leases.take(None, "a")
    assert first is not None
    second = await leases.take(first, "b")
    assert second is not None
    assert not await leases.renew(first.term)
    await leases.give_up(first.term)
    assert await leases.load() == second
    await leases.give_up(second.term)
    assert await leases.load() == Lease(term=second.term, renewal=0, holder=None)


async def test_terms_go_on_rising_where_the_lease_was_removed(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    """Checkpoint and hubs remember the term, and would pass over whatever comes under a lower one."""
    leases = await opened(database)
    remembered = int(time.time())
    assert await leases.take(Lease(term=remembered - 1, renewal=0, holder=None), "a") is None
    again = await leases.take(await leases.load(), "a")
    assert again is not None
    assert again.term >= remembered
