"""Watching an audience over a websocket."""

from __future__ import annotations

from tests.api.client import Client


async def test_a_contact_that_comes_to_match_joins_before_the_eyes_of_a_watcher(client: Client) -> None:
    segment = await client.segment("No email", "email is empty")
    async with client.watching(segment) as watcher:
        started = await watcher.event()
        assert (started["kind"], started["size"]) == ("FeedStarted", 0)
        contact = await client.contact("C1", first_name="Ann")
        joined = await watcher.event()
        assert (joined["kind"], joined["contactId"], joined["size"]) == ("ContactJoined", contact, 1)
        await client.write(contact, email="ann@example.org")
        left = await watcher.event()
        assert (left["kind"], left["reason"], left["size"]) == ("ContactLeft", "CONTACT_UPDATED", 0)
        assert started["cursor"] < joined["cursor"] < left["cursor"]
    assert await client.size(segment) == 0
