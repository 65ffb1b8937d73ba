"""Replies that come in from outside, signed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

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
    async with httpx.AsyncClient(trust_env=False) as http:
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
