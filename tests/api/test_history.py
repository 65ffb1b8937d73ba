"""The past over the API: growth, one contact's comings and goings, and since when all of it is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from api.server import serving
from api.settings import Settings
from domain.membership import retention as retentions
from domain.membership.position import before_second
from domain.membership.retention import Retention
from domain.store.requests import ComeHere
from domain.store.store import Store
from tests.api.client import PATIENCE_SECONDS, Client
from tests.api.conftest import CALLERS, key_of

CHANGES = """
query ($id: ID!, $cursor: String!) { segment(id: $id) {
  changes { totalCount completeSince nodes { size at } }
  changesSince(cursor: $cursor) { totalCount completeSince nodes { size } }
} }
"""
GROWTH = """
query ($id: ID!, $since: DateTime!, $until: DateTime, $points: Int) { segment(id: $id) {
  sizeOverTime(since: $since, until: $until, points: $points) { points { at size } leftOut completeSince }
} }
"""
MEMBERSHIP = """
query ($contact: ID!, $audience: ID!) { contact(id: $contact) { membership(audience: $audience) {
  member since reason completeSince changes { kind reason size contactId cursor at }
} } }
"""


async def test_a_membership_says_since_when_and_why_and_how_it_came_about(client: Client) -> None:
    there = await client.contact("A")
    segment = await client.segment("No email", "email is empty")
    assert (await client.data(MEMBERSHIP, contact=there, audience=segment))["membership"] == {
        "member": True,
        "since": None,
        "reason": None,
        "completeSince": None,
        "changes": [],
    }
    await client.write(there, email="a@example.org")
    await client.write(there, email=None)
    found = (await client.data(MEMBERSHIP, contact=there, audience=segment))["membership"]
    joined, left = found["changes"]
    assert (joined["kind"], joined["size"], joined["contactId"]) == ("JOINED", 1, there)
    assert (left["kind"], left["size"]) == ("LEFT", 0)
    assert (found["member"], found["since"], found["reason"]) == (True, joined["at"], "CONTACT_UPDATED")
    # Its cursors are the feed's.
    async with client.watching(segment, after=left["cursor"]) as watcher:
        assert (await watcher.event())["size"] == 0
        assert (await watcher.event())["cursor"] == joined["cursor"]


async def test_a_membership_in_nothing_is_not_found_and_anothers_tells_nothing(
    client: Client, other_client: Client
) -> None:
    contact, own = await client.contact("A"), await other_client.contact("A")
    segment = await client.segment("No email", "email is empty")
    assert await other_client.code(MEMBERSHIP, contact=own, audience=segment) == "NOT_FOUND"
    assert await client.code(MEMBERSHIP, contact=contact, audience=contact) == "NOT_FOUND"


async def test_memberships_of_a_page_of_contacts_are_each_their_own(client: Client) -> None:
    segment = await client.segment("No email", "email is empty")
    await client.upsert({f"C{n}": {"email": f"c{n}@example.org" if n % 2 else None} for n in range(6)})
    query = """
    query ($audience: ID!) { contacts { nodes { key membership(audience: $audience) {
      member reason changes(first: 1) { kind }
    } } } }
    """
    nodes = (await client.data(query, audience=segment))["nodes"]
    assert len(nodes) == 6
    for node in nodes:
        out = int(node["key"][1:]) % 2
        assert node["membership"] == {
            "member": not out,
            "reason": None if out else "CONTACT_CREATED",
            "changes": [] if out else [{"kind": "JOINED"}],
        }


async def test_what_cannot_be_asked_about_growth_is_refused(client: Client) -> None:
    segment = await client.segment("No email", "email is empty")
    now = datetime.now(UTC)
    past, ahead = (now - timedelta(days=1)).isoformat(), (now + timedelta(days=1)).isoformat()
    for given, code in (
        ({"since": past, "points": 501}, "LIMIT_EXCEEDED"),
        ({"since": past, "points": 1}, "INVALID_VALUE"),
        ({"since": ahead}, "INVALID_VALUE"),
        ({"since": "2026-05-03T10:00:00"}, "INVALID_VALUE"),
    ):
        assert await client.code(GROWTH, id=segment, **given) == code


async def test_each_answer_says_since_when_the_log_is_complete_once_it_was_cut(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retentions, "REST", 0.0)
    async with serving(settings, CALLERS) as here, Client(here.url, key_of("default")) as client:
        segment = await client.segment("No email", "email is empty")
        assert await client.size(segment) == 0
        # One after the other, so that each has a second of its own, in which the next has not happened.
        contacts, ats = [], []
        for number in range(3):
            contacts.append(await client.contact(f"C{number}"))
            found = (await client.data(MEMBERSHIP, contact=contacts[-1], audience=segment))["membership"]
            ats.append(found["since"])
            await _next_second(client, segment, found["since"])
        cursor = (await client.data("query ($id: ID!) { segment(id: $id) { cursor } }", id=segment))["cursor"]
        before = await client.data(CHANGES, id=segment, cursor=cursor)
        assert before["changes"]["completeSince"] is None
        assert before["changes"]["totalCount"] == 3
        await _saved_beyond(here.shoal.store, ats[-1])
        await Retention(here.shoal.store, timedelta(0)).round()
        after = await client.data(CHANGES, id=segment, cursor=cursor)
        assert after["changes"]["completeSince"] == ats[1]
        assert after["changes"]["totalCount"] == len(after["changes"]["nodes"]) == 1
        assert after["changesSince"] == {"totalCount": 0, "completeSince": ats[1], "nodes": []}
        since = (datetime.fromisoformat(ats[0]) - timedelta(days=1)).isoformat()
        growth = (await client.data(GROWTH, id=segment, since=since, points=2))["sizeOverTime"]
        assert (growth["leftOut"], growth["completeSince"]) == (1, ats[1])
        assert [point["size"] for point in growth["points"]] == [3]
        told = [
            (await client.data(MEMBERSHIP, contact=contact, audience=segment))["membership"]
            for contact in contacts
        ]
        assert [each["since"] for each in told] == [None, None, ats[2]]
        assert {(each["member"], each["completeSince"]) for each in told} == {(True, ats[1])}


async def _next_second(client: Client, segment: str, after: str) -> None:
    """Return when the stream has come to the second behind that of `after`."""
    since = datetime.fromisoformat(after).replace(microsecond=0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            given = {"since": since.isoformat(), "until": (since + timedelta(seconds=1)).isoformat()}
            growth = (await client.data(GROWTH, id=segment, points=2, **given))["sizeOverTime"]
            if growth["points"] and growth["points"][-1]["at"] > after:
                return


async def _saved_beyond(store: Store, at: str) -> None:
    """Return when the engine's checkpoint lies in a second behind that."""
    wanted = before_second(int(datetime.fromisoformat(at).timestamp()) + 1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (saved := await store.checkpoints.load()) is None or saved.position < wanted:
            # Asked for, it is saved at once.
            await store.requests.put(ComeHere())
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("days", [0, 30])
async def test_a_server_cuts_its_log_by_itself_unless_it_is_kept_for_ever(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    monkeypatch.setattr(retentions, "FIRST_WITHIN_SECONDS", 0.0)
    rounds: list[timedelta] = []
    cut = asyncio.Event()

    async def noted(self: Retention) -> None:
        rounds.append(self._keep)
        cut.set()

    monkeypatch.setattr(Retention, "round", noted)
    async with (
        serving(replace(settings, log_retention_days=days), CALLERS) as here,
        Client(here.url, key_of("default")) as client,
    ):
        if days:
            await asyncio.wait_for(cut.wait(), PATIENCE_SECONDS)
        await client.contact("A")
        assert not here.shoal.failed.is_set()
    assert rounds == ([timedelta(days=days)] if days else [])
