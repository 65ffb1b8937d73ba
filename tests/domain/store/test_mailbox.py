"""The mailbox: every message whole, in its order, whenever it is read, and nothing that piles up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from domain.store.client import DatabaseError, open_database
from domain.store.mailbox import Mailbox
from domain.store.store import open_store
from domain.store.stream import HistoryLost

Database = AsyncDatabase[dict[str, Any]]
DEADLINE = 60.0


@pytest.fixture
async def mailbox(database: Database) -> Mailbox:
    return (await open_store(open_database(database.client, database.name))).mailbox


async def beginning(mailbox: Mailbox) -> Mapping[str, Any] | None:
    """The token of now."""
    async with aclosing(mailbox.follow(None)) as deliveries:
        first = await anext(deliveries)
    assert first.text is None
    return first.token


async def read(mailbox: Mailbox, token: Mapping[str, Any] | None, count: int) -> list[tuple[str, str]]:
    """So many messages behind a place, with their channels."""
    found: list[tuple[str, str]] = []
    async with asyncio.timeout(DEADLINE), aclosing(mailbox.follow(token)) as deliveries:
        while len(found) < count:
            delivery = await anext(deliveries)
            if delivery.text is not None:
                found.append((delivery.channel, delivery.text))
    return found


async def test_each_message_is_read_as_it_was_written_also_by_one_who_comes_when_all_are_replaced(
    mailbox: Mailbox, database: Database
) -> None:
    token = await beginning(mailbox)
    sent = [("a" if number % 3 else "b", f"message {number}") for number in range(60)]
    for channel, text in sent:
        await mailbox.put(channel, text)
    assert await read(mailbox, token, len(sent)) == sent
    assert await read(mailbox, token, 10) == sent[:10]
    stored = {document["_id"]: document["text"] async for document in database["messages"].find()}
    assert stored == {"a": "message 59", "b": "message 57"}


async def test_a_stream_goes_on_behind_the_token_of_any_delivery(mailbox: Mailbox) -> None:
    token = await beginning(mailbox)
    for number in range(5):
        await mailbox.put("a", str(number))
    for number in range(5):
        async with asyncio.timeout(DEADLINE), aclosing(mailbox.follow(token)) as deliveries:
            await anext(deliveries)
            delivery = await anext(deliveries)
            assert delivery.text == str(number)
            token = delivery.token


async def test_two_who_write_at_once_leave_every_message(mailbox: Mailbox) -> None:
    token = await beginning(mailbox)
    await asyncio.gather(*(mailbox.put("a", str(number)) for number in range(50)))
    assert sorted(text for _, text in await read(mailbox, token, 50)) == sorted(map(str, range(50)))


async def test_a_message_of_a_megabyte_passes_and_one_that_no_document_holds_is_refused(
    mailbox: Mailbox,
) -> None:
    token = await beginning(mailbox)
    with pytest.raises(DatabaseError):
        await mailbox.put("a", "x" * 17_000_000)
    await mailbox.put("a", "x" * 1_000_000)
    ((_, text),) = await read(mailbox, token, 1)
    assert len(text) == 1_000_000


async def test_a_token_that_is_none_of_this_server_is_told(mailbox: Mailbox) -> None:
    with pytest.raises(HistoryLost):
        await read(mailbox, {"_data": "826502"}, 1)
