"""The story that campaigns are for: a segment of gaps, a campaign that asks, replies in all forms, and a segment that empties."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest

from domain.campaigns.running import AT_ONCE
from tests.api.client import PATIENCE_SECONDS, Client, until
from tests.api.test_campaigns import campaign, step
from tests.api.test_deliveries import set_webhook
from tests.api.test_killed import process
from tests.api.test_replies import do
from tests.api.test_reply_hook import SET, post
from tests.receiver import SECRET, receiving

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]

CLEAR: tuple[Callable[[date], str], ...] = (
    lambda day: day.isoformat(),
    lambda day: f"{day:%Y/%m/%d}",
    lambda day: f"{day.day} {MONTHS[day.month - 1]} {day.year}",
    lambda day: f"{MONTHS[day.month - 1]} {day.day}, {day.year}",
    lambda day: f"the {day.day}th of {MONTHS[day.month - 1]} {day.year}",
    lambda day: f"I was born on {day.day} {MONTHS[day.month - 1]} {day.year}, thanks!",
    lambda day: f"{day.day}-{MONTHS[day.month - 1][:3]}-{day.year}",
    lambda day: f"{MONTHS[day.month - 1][:3]} {day.day} {day.year}",
    lambda day: f"{day.day}/{day.month}/{day.year}",
    lambda day: f"{day.month}/{day.day}/{day.year}",
    lambda day: f"{day.day}.{day.month}.{day.year}",
    lambda day: f"{day.day} {MONTHS[day.month - 1].lower()} {day:%y}",
    lambda day: f"{day:%d-%m-%y}",
    lambda day: f"  {MONTHS[day.month - 1].upper()} {day.day} {day.year}.  ",
    lambda day: f"{day.isoformat()}\n\nOn Mon, 3 Nov 2026, Shoal wrote:\n> When were you born? 1 May 1950?",
)
"""Ways to write a day of which no other can be meant, where it is one after the twelfth."""

UNCLEAR: tuple[tuple[str, list[str]], ...] = (
    ("03/05/90", ["1990-03-05", "1990-05-03"]),
    ("4.7.1985", ["1985-04-07", "1985-07-04"]),
    ("no idea", []),
    ("Stop writing to me", []),
    ("May 1990", []),
)
FORMS = len(CLEAR) + len(UNCLEAR)


def born(number: int) -> date:
    """After the twelfth of its month."""
    return date(1950 + number % 45, number % 12 + 1, 13 + number % 15)


WATCH_PROGRESS = """
subscription ($id: ID!) {
  campaignProgress(campaign: $id, atMostEveryMs: 250) { reached replied captured inReview missing }
}
"""
WAITING = """
query ($id: ID!) {
  campaign(id: $id) { replies(first: 200, state: NEEDS_REVIEW) { nodes { id text candidates } } }
}
"""


@pytest.mark.parametrize("answered", [3 * FORMS, pytest.param(10 * FORMS, marks=pytest.mark.soak)])
async def test_replies_in_20_forms_empty_the_segment_down_to_exactly_who_is_missing(  # noqa: PLR0915 # a story
    client: Client, answered: int
) -> None:
    asked = answered + 40
    people = {f"P{number}": {"first_name": f"N{number}"} for number in range(asked)}
    keys = list(await client.upsert(people))
    contacts = await client.upsert({"old": {"birthdate": "1940-01-01"}})
    segment = await client.segment("No birthdate", "birthdate is empty")
    asks = await campaign(
        client,
        segment,
        asks="birthdate",
        channel="WEBHOOK",
        message="Dear {{first_name}}, when were you born?",
    )
    await client.data(SET, input={"secret": SECRET})
    expected: dict[str, str] = {}
    async with receiving() as receiver, client.watching(segment) as watcher, client.socket() as progress:
        started = await watcher.event()
        sizes = [started["size"]]
        assert sizes == [asked]
        await progress.subscribe(
            WATCH_PROGRESS,
            id=asks,
        )
        await set_webhook(client, receiver.url)
        assert (await step(client, "launchCampaign", asks))["errors"] == []
        await until(lambda: len(receiver.taken) == asked, seconds=60)
        by_key = {each["contactKey"]: each["delivery"] for each in receiver.data()}
        assert set(by_key) == set(keys)
        assert set(receiver.taken.values()) == {1}

        async def answer(number: int) -> None:
            key, form = keys[number], number % FORMS
            day = born(number)
            if form < len(CLEAR):
                text = CLEAR[form](day)
                expected[key] = day.isoformat()
            else:
                text = UNCLEAR[form - len(CLEAR)][0]
            response = await post(client, {"delivery": by_key[key], "text": text}, message=f"m{number}")
            wanted = "CAPTURED" if form < len(CLEAR) else "NEEDS_REVIEW"
            assert (response.status_code, response.json()) == (200, {"state": wanted}), text

        for start in range(0, answered, 8):
            await asyncio.gather(*[answer(number) for number in range(start, min(start + 8, answered))])
        captured = answered // FORMS * len(CLEAR)
        unclear = answered - captured
        events = await watcher.events(captured)
        assert {(event["kind"], event["reason"]) for event in events} == {("ContactLeft", "REPLIED")}
        sizes += [event["size"] for event in events]
        assert sizes == list(range(asked, asked - captured - 1, -1))
        missing = asked - captured
        assert await client.size(segment) == missing
        wanted = {
            "reached": asked,
            "replied": answered,
            "captured": captured,
            "inReview": unclear,
            "missing": missing,
        }
        with anyio.fail_after(PATIENCE_SECONDS):
            while await progress.event() != wanted:
                pass
        # What waited for people, decided: of what may mean two days the first, of the rest nothing.
        waiting = (await client.data(WAITING, id=asks))["replies"]["nodes"]
        assert len(waiting) == unclear
        assert all(each["candidates"] == dict(UNCLEAR)[each["text"]] for each in waiting)
        for each in waiting:
            decided = {"value": each["candidates"][0]} if each["candidates"] else {"reject": True}
            assert (await do(client, "resolveReply", id=each["id"], **decided))["errors"] == []
        chosen = sum(bool(each["candidates"]) for each in waiting)
        assert await client.size(segment) == missing - chosen
    found = await client.data(
        'query ($rule: RuleInput) { contacts(first: 200, rule: $rule) { nodes { key attribute(key: "birthdate") { value } } } }',
        rule={"expression": "birthdate is not empty"},
    )
    values = {each["key"]: each["attribute"]["value"] for each in found["nodes"]}
    assert {key: values[key] for key in expected} == expected
    assert len(values) == 1 + captured + chosen
    assert contacts
    history = await client.data(
        "query ($id: ID!) { campaign(id: $id) { missingOverTime(points: 5) { points { size } } forecast { emptyOn } } }",
        id=asks,
    )
    points = [point["size"] for point in history["missingOverTime"]["points"]]
    assert points == sorted(points, reverse=True)


@pytest.fixture
def private_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_PRIVATE_TARGETS", "yes")


@pytest.mark.usefixtures("private_targets")
@pytest.mark.soak
async def test_a_server_killed_in_the_middle_of_a_launch_sends_each_delivery_to_whoever_counts_once(
    tmp_path: Path,
) -> None:
    people = 100
    async with receiving() as receiver:
        async with process(tmp_path) as (client, server):
            keys = list(await client.upsert({f"P{number}": {} for number in range(people)}))
            segment = await client.segment("No birthdate", "birthdate is empty")
            asks = await campaign(client, segment, channel="WEBHOOK", asks="birthdate", ongoing=True)
            await set_webhook(client, receiver.url)
            assert (await step(client, "launchCampaign", asks))["errors"] == []
            await until(lambda: receiver.requests >= 30, seconds=60)
            server.send_signal(signal.SIGKILL)
            await server.wait()
        before = len(receiver.messages)
        assert before < people
        async with process(tmp_path) as (client, server):
            # Whoever comes after all of that is not forgotten either.
            keys += list(await client.upsert({"late": {}}))
            await until(lambda: len(receiver.messages) > people, seconds=60)
            counted = await _settled(client, asks)
        assert counted == {"waiting": 0, "reached": people + 1, "failed": 0, "missing": people + 1}
    # Whoever counts identifiers has each contact's once, whatever came twice.
    assert sorted(each["contactKey"] for each in receiver.data()) == sorted(keys)
    twice = sum(times - 1 for times in receiver.taken.values())
    assert twice <= AT_ONCE


async def _settled(client: Client, asks: str) -> dict[str, Any]:
    with anyio.fail_after(PATIENCE_SECONDS * 2):
        while True:
            found = await client.data(
                "query ($id: ID!) { campaign(id: $id) { progress { waiting reached failed missing } } }",
                id=asks,
            )
            if not found["progress"]["waiting"]:
                return dict(found["progress"])
            await anyio.sleep(0.05)
