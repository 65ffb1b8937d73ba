"""Campaigns as clients send them, and what they are told of that."""

from __future__ import annotations

from typing import Any

import anyio

from tests.api.client import PATIENCE_SECONDS, Client
from tests.api.test_campaigns import campaign, step
from tests.receiver import SECRET, receiving

CHANNELS = "channels { webhook { url } smtp { host port security sender replyTo username } takesReplies }"
DELIVERIES = """
query ($id: ID!, $first: Int, $after: String, $state: DeliveryState) {
  campaign(id: $id) {
    state
    deliveries(first: $first, after: $after, state: $state) {
      totalCount pageInfo { endCursor hasNextPage }
      nodes { id reference state because address subject text attempts sentAt dueAt contactId contact { key } campaign { id } }
    }
  }
}
"""


async def until_state(client: Client, identifier: str, state: str) -> dict[str, Any]:
    """The campaign's deliveries, once it has come to this state."""
    with anyio.fail_after(PATIENCE_SECONDS):
        while True:
            found: dict[str, Any] = await client.data(DELIVERIES, id=identifier)
            if found["state"] == state:
                return found["deliveries"]  # type: ignore[no-any-return] # of an answer
            await anyio.sleep(0.05)


async def set_webhook(client: Client, url: str) -> None:
    given = {"url": url, "secret": SECRET}
    query = "mutation ($input: SetWebhookChannelInput!) { setWebhookChannel(input: $input) { errors { message } } }"
    assert (await client.data(query, input=given))["errors"] == []


async def test_a_campaign_is_previewed_launched_and_its_deliveries_are_read(client: Client) -> None:
    contacts = await client.upsert(
        {"A": {"first_name": "Ann", "email": "Ann@example.org"}, "B": {"email": "ben@example.org"}, "C": {}}
    )
    group = await client.group("VIP")
    await client.regroup(group, *contacts.values())
    identifier = await campaign(
        client, group, subject="For {{first_name|you}}", addressField="email", message="Dear {{first_name}}"
    )
    preview = await client.data(
        "query ($id: ID!) { campaign(id: $id) { preview { included reached excluded answered withoutAddress withoutValues "
        "sample(first: 3) { contact { key } address subject text } } } }",
        id=identifier,
    )
    assert preview["preview"] == {
        "included": 3,
        "reached": 1,
        "excluded": 0,
        "answered": 0,
        "withoutAddress": 1,
        "withoutValues": 1,
        "sample": [
            {
                "contact": {"key": "A"},
                "address": "ann@example.org",
                "subject": "For Ann",
                "text": "Dear Ann",
            }
        ],
    }
    launched = await step(client, "launchCampaign", identifier)
    assert launched["errors"] == []
    assert launched["campaign"]["launchedAt"] is not None
    found = await until_state(client, identifier, "FINISHED")
    by_key = {each["contact"]["key"]: each for each in found["nodes"]}
    assert {key: each["state"] for key, each in by_key.items()} == {
        "A": "SENT",
        "B": "UNREACHABLE",
        "C": "UNREACHABLE",
    }
    ann = by_key["A"]
    assert (ann["address"], ann["subject"], ann["text"]) == ("ann@example.org", "For Ann", "Dear Ann")
    assert (ann["contactId"], ann["campaign"]["id"], ann["dueAt"]) == (contacts["A"], identifier, None)
    assert ann["sentAt"] is not None
    assert by_key["B"]["because"] == "The message names “first_name”, where the contact has no value."
    unreachable = await client.data(DELIVERIES, id=identifier, first=1, state="UNREACHABLE")
    assert unreachable["deliveries"]["totalCount"] == 2
    page = unreachable["deliveries"]["pageInfo"]
    assert page["hasNextPage"]
    rest = await client.data(DELIVERIES, id=identifier, after=page["endCursor"], state="UNREACHABLE")
    assert len(rest["deliveries"]["nodes"]) == 1
    one = await client.data(
        "query ($id: ID!) { node(id: $id) { ... on Delivery { reference } } }", id=ann["id"]
    )
    assert one == {"reference": ann["reference"]}


async def test_what_failed_is_sent_again(client: Client, other_client: Client) -> None:
    contacts = await client.upsert({"A": {"first_name": "Ann"}})
    group = await client.group("VIP")
    await client.regroup(group, *contacts.values())
    identifier = await campaign(client, group, channel="WEBHOOK")
    assert (await step(client, "launchCampaign", identifier))["errors"][0]["code"] == "CHANNEL_NOT_READY"
    resend = "mutation ($input: ResendDeliveriesInput!) { resendDeliveries(input: $input) { resent errors { code path } } }"
    async with receiving(lambda number: "410 Gone" if number == 1 else "200 OK") as receiver:
        await set_webhook(client, receiver.url)
        assert (await step(client, "launchCampaign", identifier))["errors"] == []
        (failed,) = (await until_state(client, identifier, "FINISHED"))["nodes"]
        assert (failed["state"], failed["attempts"]) == ("FAILED", 1)
        given = {"campaign": identifier, "deliveries": [failed["id"]]}
        stolen = await other_client.data(resend, input=given)
        assert stolen["errors"][0]["code"] == "NOT_FOUND"
        assert await client.data(resend, input=given) == {"resent": 1, "errors": []}
        with anyio.fail_after(PATIENCE_SECONDS):
            await receiver.came.wait()
            while not receiver.taken:  # noqa: ASYNC110 # another part
                await anyio.sleep(0.05)
    assert receiver.taken == {f"msg_{failed['reference']}": 1}


async def test_secrets_are_set_and_never_shown(client: Client) -> None:
    async def set_(kind: str, **given: Any) -> dict[str, Any]:
        query = f"mutation ($input: Set{kind}Input!) {{ set{kind}(input: $input) {{ secret errors {{ code path }} {CHANNELS} }} }}"
        payload: dict[str, Any] = await client.data(query, input=given)
        return payload

    assert await client.data(f"{{ {CHANNELS} }}") == {"webhook": None, "smtp": None, "takesReplies": False}
    made = await set_("WebhookChannel", url="https://127.0.0.1/a", clientMutationId="1")
    assert made["secret"].startswith("whsec_")
    assert (await set_("WebhookChannel", url="https://127.0.0.1/a", clientMutationId="1"))["secret"] is None
    smtp = {
        "host": "127.0.0.1",
        "sender": "Ann <ann@example.org>",
        "username": "ann",
        "password": "a-password",
    }
    assert (await set_("SmtpChannel", **smtp))["errors"] == []
    replies = await set_("RepliesSecret")
    answer = await client.ask(f"{{ {CHANNELS} }}")
    assert answer["data"]["channels"] == {
        "webhook": {"url": "https://127.0.0.1/a"},
        "smtp": {
            "host": "127.0.0.1",
            "port": 587,
            "security": "STARTTLS",
            "sender": "Ann <ann@example.org>",
            "replyTo": None,
            "username": "ann",
        },
        "takesReplies": True,
    }
    for secret in (made["secret"], replies["secret"], "a-password"):
        assert secret not in str(answer)
    assert (await set_("WebhookChannel", url="nonsense"))["errors"] == [
        {"code": "INVALID_VALUE", "path": ["url"]}
    ]
