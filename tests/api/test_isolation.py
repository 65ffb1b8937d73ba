"""Two accounts never see anything of each other's."""

from __future__ import annotations

from typing import Any

from tests.api.client import WATCH, Client


async def test_lists_names_keys_and_settings_are_each_accounts_own(
    client: Client, other_client: Client
) -> None:
    for account in (client, other_client):
        await account.contact("SAME KEY", first_name="Ann")
        await account.field("Same field")
        await account.group("Same name")
        await account.segment("Same name", "same_field is empty")
    await client.do("updateSettings", {"timeZone": "Europe/Berlin"}, "settings { timeZone }")
    await client.field("Only here")
    query = """
    { contacts { totalCount } groups { totalCount } segments { totalCount nodes { size } }
      fields { key } settings { timeZone } }
    """
    ours, theirs = await client.data(query), await other_client.data(query)
    for answer in (ours, theirs):
        assert answer["contacts"] == answer["groups"] == {"totalCount": 1}
        assert answer["segments"] == {"totalCount": 1, "nodes": [{"size": 1}]}
    assert {"key": "only_here"} in ours["fields"]
    assert {"key": "only_here"} not in theirs["fields"]
    assert (ours["settings"], theirs["settings"]) == ({"timeZone": "Europe/Berlin"}, {"timeZone": "UTC"})


async def test_anothers_identifiers_name_nothing(client: Client, other_client: Client) -> None:
    contact, group = await client.contact("A", first_name="Ann"), await client.group("G")
    segment = await client.segment("S", "email is empty")
    own_contact, own_group = await other_client.contact("B"), await other_client.group("H")
    query = """
    query ($contact: ID!, $group: ID!, $segment: ID!) {
      a: node(id: $contact) { id } b: node(id: $group) { id } c: node(id: $segment) { id }
      contact(id: $contact) { id } group(id: $group) { id } segment(id: $segment) { id }
      byKey: contact(key: "A") { id }
    }
    """
    answer = await other_client.data(query, contact=contact, group=group, segment=segment)
    assert set(map(str, answer.values())) == {"None"}
    explain = "query ($c: ID!, $a: ID!) { contact(id: $c) { explain(audience: $a) { member } } }"
    assert await other_client.code(explain, c=own_contact, a=segment) == "NOT_FOUND"

    mutations: list[tuple[str, dict[str, Any]]] = [
        ("updateContact", {"id": contact, "attributes": [{"key": "first_name", "value": "Eve"}]}),
        ("deleteContact", {"id": contact}),
        ("updateGroup", {"id": group, "name": "Stolen"}),
        ("deleteGroup", {"id": group}),
        ("addContactsToGroup", {"group": group, "contacts": {"ids": [own_contact]}}),
        ("removeContactsFromGroup", {"group": group, "contacts": {"ids": [contact]}}),
        ("addContactsToGroup", {"group": own_group, "contacts": {"ids": [contact]}}),
        ("addContactsToGroup", {"group": own_group, "contacts": {"keys": ["A"]}}),
        ("updateSegment", {"id": segment, "name": "Stolen"}),
        ("deleteSegment", {"id": segment}),
    ]
    for mutation, given in mutations:
        (error,) = (await other_client.attempt(mutation, given))["errors"]
        assert error["code"] == "NOT_FOUND", mutation
    read = await client.data(
        'query ($id: ID!) { contact(id: $id) { key attribute(key: "first_name") { value } groups { name } } }',
        id=contact,
    )
    assert read == {"key": "A", "attribute": {"value": "Ann"}, "groups": []}


async def test_anothers_feed_cannot_be_watched_or_read_with_or_without_a_cursor(
    client: Client, other_client: Client
) -> None:
    segment, own = (
        await client.segment("S", "email is empty"),
        await other_client.segment("S", "email is empty"),
    )
    async with client.watching(segment) as watcher, other_client.watching(own) as other_watcher:
        cursor = (await watcher.event())["cursor"]
        own_cursor = (await other_watcher.event())["cursor"]
        for audience, after in ((segment, None), (segment, cursor), (own, cursor), (segment, own_cursor)):
            async with other_client.socket() as socket:
                await socket.subscribe(WATCH, audience=audience, after=after)
                message = await socket.receive()
                assert message["type"] == "error"
                assert message["payload"][0]["extensions"]["code"] in {"NOT_FOUND", "INVALID_CURSOR"}
        contact = await client.contact("A")
        assert (await watcher.event())["contactId"] == contact
        # The other one is told of its own contacts alone.
        other_contact = await other_client.contact("A")
        assert (await other_watcher.event())["contactId"] == other_contact


async def test_a_cursor_of_anothers_list_is_of_no_use(client: Client, other_client: Client) -> None:
    segment = await client.segment("S", "email is empty")
    await client.upsert({"A": {}, "B": {}})
    members = "query ($id: ID!) { segment(id: $id) { members(first: 1) { pageInfo { endCursor } } } }"
    cursor = (await client.data(members, id=segment))["members"]["pageInfo"]["endCursor"]
    own = await other_client.segment("S", "email is empty")
    query = "query ($id: ID!, $after: String) { segment(id: $id) { members(after: $after) { totalCount } } }"
    assert await other_client.code(query, id=own, after=cursor) == "INVALID_CURSOR"


async def test_a_mutation_id_of_another_account_is_another_one(client: Client, other_client: Client) -> None:
    given = {"key": "A", "attributes": [], "clientMutationId": "same"}
    ours = await client.do("createContact", given, "contact { id }")
    theirs = await other_client.do("createContact", given, "contact { id }")
    assert ours["contact"]["id"] != theirs["contact"]["id"]
