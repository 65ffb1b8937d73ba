"""Replies that come in from outside, signed."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api import reply_hook
from domain.campaigns.signing import signed
from tests.api.client import PATIENCE_SECONDS, Client
from tests.api.test_campaigns import campaign, step
from tests.api.test_deliveries import until_state
from tests.receiver import SECRET

SET = "mutation ($input: SetRepliesSecretInput!) { setRepliesSecret(input: $input) { errors { message } } }"


def account_of(client: Client) -> str:
    return client.key.removeprefix("the-key-of-")


async def post(
    client: Client,
    content: Any,
    *,
    secret: str = SECRET,
    message: str = "m1",
    late: float = 0,
    account: str | None = None,
) -> httpx.Response:
    body = content if isinstance(content, str) else json.dumps(content)
    headers = signed(secret, message, datetime.now(UTC) + timedelta(seconds=late), body)
    url = client.url.replace("/graphql", f"/replies/{account or account_of(client)}")
    # No key: the signature is what it is known by.
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=PATIENCE_SECONDS) as http:
        return await http.post(url, content=body.encode(), headers=headers)


@pytest.fixture
async def asked(client: Client) -> str:
    """The reference of a delivery that asks for a birthdate."""
    await client.upsert({"A": {"email": "ann@example.org"}})
    segment = await client.segment("No birthdate", "birthdate is empty")
    identifier = await campaign(client, segment, asks="birthdate")
    assert (await step(client, "launchCampaign", identifier))["errors"] == []
    (delivery,) = (await until_state(client, identifier, "FINISHED"))["nodes"]
    assert (await client.data(SET, input={"secret": SECRET}))["errors"] == []
    return str(delivery["reference"])


async def test_a_signed_reply_is_captured_and_sent_again_it_is_the_same(client: Client, asked: str) -> None:
    content = {"delivery": f"msg_{asked}", "text": "3rd of May 1990"}
    for _ in range(2):
        answer = await post(client, content)
        assert (answer.status_code, answer.json()) == (200, {"state": "CAPTURED"})
    by_mail = {"email": "Ann <ann@example.org>", "text": "03/05/90"}
    assert (await post(client, by_mail, message="m2")).json() == {"state": "NEEDS_REVIEW"}
    nobody = {"phone": "+1 202 224 3441", "text": "Hello"}
    assert (await post(client, nobody, message="m3")).json() == {"state": "UNKNOWN_SENDER"}
    found = await client.data(
        "{ replies { nodes { state text sender value contact { key } campaign { name } field { key } } } }"
    )
    assert found["nodes"][0] == {
        "state": "CAPTURED",
        "text": "3rd of May 1990",
        "sender": None,
        "value": "1990-05-03",
        "contact": {"key": "A"},
        "campaign": {"name": "Birthdays"},
        "field": {"key": "birthdate"},
    }
    assert [(each["state"], each["sender"]) for each in found["nodes"][1:]] == [
        ("NEEDS_REVIEW", "Ann <ann@example.org>"),
        ("UNKNOWN_SENDER", "+1 202 224 3441"),
    ]


async def test_what_is_not_signed_well_is_refused_alike_whoever_it_is_to(
    client: Client, other_client: Client, asked: str
) -> None:
    content = {"delivery": asked, "text": "3 May 1990"}
    other = "whsec_" + "QUJD" * 8
    for more in (
        {"secret": other},
        {"late": -600},
        {"late": 600},
        {"account": "nobody"},
        {"account": account_of(other_client)},
        {"account": "x" * 300},
    ):
        answer = await post(client, content, **more)
        assert answer.status_code == 401, more
        assert answer.json() == {"error": "The signature is missing, wrong, or too old."}
    url = client.url.replace("/graphql", f"/replies/{account_of(client)}")
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        assert (await http.post(url, json=content)).status_code == 401
        assert (await http.get(url)).status_code == 405
    assert await client.data("{ replies { totalCount } }") == {"totalCount": 0}
    # Another account's delivery is not there, whoever signs; what was replied is kept where it was sent to.
    await other_client.data(SET, input={"secret": SECRET})
    assert (await post(other_client, content)).json() == {"state": "UNKNOWN_SENDER"}
    assert await client.data("{ replies { totalCount } }") == {"totalCount": 0}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no JSON",
        "[" * 50_000,
        "null",
        {},
        {"text": "x"},
        {"delivery": "x", "text": "x"},
        {"email": "a@b.org", "phone": "1", "text": "x"},
        {"email": 1, "text": "x"},
        {"key": "A", "text": None},
        {"key": "A", "text": ""},
        {"key": "A", "text": "x" * 10_001},
        {"key": "A\ud800", "text": "x"},
        {"key": "A", "text": "\ud800"},
        {"key": "x" * 1_001, "text": "x"},
    ],
)
async def test_what_is_signed_and_makes_no_sense_is_refused(client: Client, asked: str, content: Any) -> None:
    assert asked
    assert (await post(client, content)).status_code == 400


async def test_a_message_that_is_too_long_is_not_read_to_its_end(client: Client, asked: str) -> None:
    assert (await post(client, {"delivery": asked, "text": "x" * 200_000})).status_code == 413


async def test_so_many_messages_are_looked_at_at_one_time_and_no_more(
    client: Client, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"delivery": asked, "text": "3 May 1990"}
    for bound, unsigned in (("MAX_REQUESTS", 503), ("MOST_AT_ONCE", 401)):
        monkeypatch.setattr(reply_hook, bound, 0)
        answer = await post(client, content)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2"), bound
        # Nobody is told how much goes on in an account that is not theirs.
        assert (await post(client, content, secret="whsec_" + "QUJD" * 8)).status_code == unsigned
        monkeypatch.undo()
    assert (await post(client, content)).json() == {"state": "CAPTURED"}


async def test_what_was_refused_makes_room_for_the_next(
    client: Client, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("MAX_REQUESTS", "MOST_AT_ONCE"):
        monkeypatch.setattr(reply_hook, bound, 1)
    for content, status in (
        ({}, 400),
        ({"key": "A", "text": "x" * 200_000}, 413),
        ({"key": "A", "text": ""}, 400),
    ):
        assert (await post(client, content)).status_code == status
    assert (await post(client, {"delivery": asked, "text": "3 May 1990"})).status_code == 200


async def test_a_message_that_does_not_arrive_is_not_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reply_hook, "BODY_SECONDS", 0.1)

    url = httpx.URL(client.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"POST /replies/default HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\n{")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert b" 408 " in await reader.readline()
    writer.close()
