"""Campaigns as clients save and edit them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import Client

CAMPAIGN = """
campaign { id name description state heldBecause include { id name } exclude { id name } channel addressField subject message
  asks { key } ongoing version createdAt launchedAt }
"""


async def campaign(client: Client, *include: str, **more: Any) -> str:
    given = {"name": "Birthdays", "include": include, "message": "Hello {{first_name|there}}", **more}
    made = await client.data(CREATE % CAMPAIGN, input=given)
    assert made["errors"] == [], made
    return str(made["campaign"]["id"])


async def step(client: Client, name: str, campaign: str, wanted: str = CAMPAIGN) -> dict[str, Any]:
    query = f"mutation ($input: CampaignInput!) {{ {name}(input: $input) {{ errors {{ code message path }} {wanted} }} }}"
    payload: dict[str, Any] = await client.data(query, input={"id": campaign})
    return payload


CREATE = """
mutation ($input: CreateCampaignInput!) { createCampaign(input: $input) { errors { code message path line column } %s } }
"""
UPDATE = """
mutation ($input: UpdateCampaignInput!) { updateCampaign(input: $input) { errors { code message path line column } %s } }
"""


async def test_a_campaign_is_saved_read_edited_and_deleted(client: Client) -> None:
    group, segment = await client.group("VIP"), await client.segment("No email", "email is empty")
    given = {
        "name": " Birthdays ",
        "description": "For the cards.",
        "include": [group, segment],
        "exclude": [segment],
        "channel": "SMTP",
        "subject": "A question, {{first_name|friend}}",
        "message": "When were you born?",
        "asks": "birthdate",
        "ongoing": True,
    }
    made = (await client.data(CREATE % CAMPAIGN, input=given))["campaign"]
    identifier, created = made.pop("id"), made.pop("createdAt")
    assert created
    assert made == {
        "name": "Birthdays",
        "description": "For the cards.",
        "state": "DRAFT",
        "heldBecause": None,
        "include": [{"id": group, "name": "VIP"}, {"id": segment, "name": "No email"}],
        "exclude": [{"id": segment, "name": "No email"}],
        "channel": "SMTP",
        "addressField": "email",
        "subject": "A question, {{first_name|friend}}",
        "message": "When were you born?",
        "asks": {"key": "birthdate"},
        "ongoing": True,
        "version": 1,
        "launchedAt": None,
    }
    change = {
        "id": identifier,
        "exclude": [],
        "subject": None,
        "channel": "OUTBOX",
        "asks": None,
        "addressField": None,
    }
    edited = (await client.data(UPDATE % CAMPAIGN, input=change))["campaign"]
    assert (edited["exclude"], edited["subject"], edited["channel"], edited["asks"]) == (
        [],
        None,
        "OUTBOX",
        None,
    )
    assert (edited["addressField"], edited["message"], edited["version"]) == (None, "When were you born?", 2)
    read = await client.data(
        'query ($id: ID!) { node(id: $id) { ... on Campaign { name } } campaign(id: $id) { name } campaigns(search: "birth") '
        "{ totalCount nodes { id } } segments { totalCount } }",
        id=identifier,
    )
    assert read == {
        "node": {"name": "Birthdays"},
        "campaign": {"name": "Birthdays"},
        "campaigns": {"totalCount": 1, "nodes": [{"id": identifier}]},
        "segments": {"totalCount": 1},
    }
    assert (
        await client.code(
            "mutation ($input: DeleteGroupInput!) { deleteGroup(input: $input) { errors { code } } }",
            input={"id": group},
        )
        == "AUDIENCE_IN_USE"
    )
    assert (await step(client, "deleteCampaign", identifier, "deletedId"))["deletedId"] == identifier
    assert (await step(client, "deleteCampaign", identifier, "deletedId"))["errors"][0]["code"] == "NOT_FOUND"
    assert await client.data("query ($id: ID!) { campaign(id: $id) { name } }", id=identifier) is None
    await client.do("deleteGroup", {"id": group}, "deletedId")


async def test_a_placeholder_that_leads_to_no_field_is_refused_with_its_place(client: Client) -> None:
    group = await client.group("VIP")
    given = {"name": "Birthdays", "include": [group], "message": "Dear\n{{frist_name}}"}
    (error,) = (await client.data(CREATE % "", input=given))["errors"]
    assert error == {
        "code": "UNKNOWN_FIELD",
        "message": "There is no field “frist_name”. Did you mean “first_name” or “last_name”? (line 2, column 1)",
        "path": ["message"],
        "line": 2,
        "column": 1,
    }


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"name": None}, "INVALID_VALUE", ["name"]),
        ({"message": None}, "INVALID_VALUE", ["message"]),
        ({"include": None}, "INVALID_VALUE", ["include"]),
        ({"ongoing": None}, "INVALID_VALUE", ["ongoing"]),
        ({"include": ["nonsense"]}, "NOT_FOUND", ["include", "0"]),
        ({"asks": "nothing"}, "UNKNOWN_FIELD", ["asks"]),
        ({"channel": "SMTP"}, "INVALID_VALUE", ["subject"]),
        ({"message": "{{first_name"}, "INVALID_TEMPLATE", ["message"]),
    ],
)
async def test_what_cannot_be_changed_is_refused_with_its_path(
    client: Client, change: dict[str, Any], code: str, path: list[str]
) -> None:
    identifier = await campaign(client, await client.group("VIP"))
    (error,) = (await client.data(UPDATE % "", input={"id": identifier, **change}))["errors"]
    assert (error["code"], error["path"]) == (code, path)


async def test_campaigns_of_another_account_are_not_there(client: Client, other_client: Client) -> None:
    group = await client.group("VIP")
    identifier = await campaign(client, group)
    assert await other_client.data("query ($id: ID!) { campaign(id: $id) { name } }", id=identifier) is None
    assert await other_client.data("query ($id: ID!) { node(id: $id) { id } }", id=identifier) is None
    for query, given in (
        (UPDATE, {"id": identifier, "name": "Stolen"}),
        (CREATE, {"name": "Mine", "include": [group], "message": "Hi"}),
    ):
        (error,) = (await other_client.data(query % "", input=given))["errors"]
        assert error["code"] in {"NOT_FOUND", "UNKNOWN_AUDIENCE"}
    assert (await step(other_client, "deleteCampaign", identifier, ""))["errors"][0]["code"] == "NOT_FOUND"
