"""Pages of lists: stable while things come and go, and each cursor good for its own list alone."""

from __future__ import annotations

from typing import Any

import pytest

from api.connections import from_cursor, to_cursor
from domain.errors import InvalidCursor
from tests.api.client import Client

WANTED = """
edges { cursor node { OF } }
nodes { OF }
pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
"""


async def pages(client: Client, field: str, of: str) -> list[list[str]]:
    """Every page of two of a list, by what `of` names of each item."""
    found: list[list[str]] = []
    after: str | None = None
    while True:
        query = f"query ($after: String) {{ {field} }}".replace("PAGE", "first: 2, after: $after")
        answer = await client.data(query.replace("WANTED", WANTED.replace("OF", of)), after=after)
        page = answer.get("members", answer)
        info, cursors = page["pageInfo"], [edge["cursor"] for edge in page["edges"]]
        assert [edge["node"] for edge in page["edges"]] == page["nodes"]
        assert (info["startCursor"], info["endCursor"]) == (
            (cursors[0], cursors[-1]) if cursors else (None, None)
        )
        assert info["hasPreviousPage"] is (after is not None)
        found.append([node[of] for node in page["nodes"]])
        after = info["endCursor"]
        if not info["hasNextPage"]:
            return found


async def test_every_list_is_paged_to_its_end(client: Client) -> None:
    await client.upsert({key: {"first_name": "Ann"} for key in "ABCDE"})
    segment = await client.segment("anns", 'first_name is "Ann"')
    for name in ("Éa", "b", "C", "ä"):
        await client.group(name)
    assert await pages(client, "contacts(PAGE) { WANTED }", "key") == [["A", "B"], ["C", "D"], ["E"]]
    assert await pages(client, f'segment(id: "{segment}") {{ members(PAGE) {{ WANTED }} }}', "key") == [
        ["A", "B"],
        ["C", "D"],
        ["E"],
    ]
    assert await pages(client, "groups(PAGE) { WANTED }", "name") == [["b", "C"], ["ä", "Éa"]]
    assert await pages(client, "segments(PAGE) { WANTED }", "name") == [["anns"]]
    assert await pages(
        client, 'contacts(PAGE, rule: { expression: "email is not empty" }) { WANTED }', "key"
    ) == [[]]


async def test_things_that_come_and_go_between_pages_shift_nothing(client: Client) -> None:
    contacts = await client.upsert({key: {} for key in "ABCD"})
    query = "query ($after: String) { contacts(first: 2, after: $after) { nodes { key } pageInfo { endCursor } } }"
    first = await client.data(query)
    for key in "AB":
        await client.do("deleteContact", {"id": contacts[key]}, "deletedId")
    await client.upsert({"E": {}})
    second = await client.data(query, after=first["pageInfo"]["endCursor"])
    assert [contact["key"] for contact in second["nodes"]] == ["C", "D"]

    groups = {name: await client.group(name) for name in ("a", "b", "c")}
    query = (
        "query ($after: String) { groups(first: 2, after: $after) { nodes { name } pageInfo { endCursor } } }"
    )
    first = await client.data(query)
    await client.do("deleteGroup", {"id": groups["b"]}, "deletedId")
    await client.group("aa")
    second = await client.data(query, after=first["pageInfo"]["endCursor"])
    assert [group["name"] for group in second["nodes"]] == ["c"]


async def test_lists_are_counted_exactly_with_their_filters(client: Client) -> None:
    await client.upsert(
        {
            "K1": {"first_name": "Ann", "last_name": "Lee", "email": "ann@example.org"},
            "K2": {"first_name": "Anna", "phone": "+1 202 224 3441"},
            "K3": {"first_name": "Bob", "last_name": "Annan"},
        }
    )
    query = "query ($rule: RuleInput, $search: String) { contacts(rule: $rule, search: $search, first: 1) { totalCount } }"
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 3),
        ({"search": "ann"}, 3),
        ({"search": "ANN lee"}, 1),
        ({"search": "224-3441"}, 1),
        ({"search": "K3"}, 1),
        ({"search": "example.org"}, 1),
        ({"search": "nobody"}, 0),
        ({"search": "(.*"}, 0),
        ({"search": " "}, 3),
        ({"search": "ann", "rule": {"expression": "email is empty"}}, 2),
        ({"rule": {"where": {"field": "first_name", "operator": "STARTS_WITH", "value": "ann"}}}, 2),
    ]
    for variables, count in cases:
        assert await client.data(query, **variables) == {"totalCount": count}, variables
    assert await client.code(query, search="x" * 201) == "INVALID_VALUE"
    await client.group("Very Important")
    for search, count in (("IMPORT", 1), ("", 1), ("other", 0)):
        assert await client.data("query ($s: String) { groups(search: $s) { totalCount } }", s=search) == {
            "totalCount": count
        }


async def test_a_page_of_none_tells_only_the_count(client: Client) -> None:
    await client.upsert({"A": {}})
    assert await client.data(
        "{ contacts(first: 0) { totalCount nodes { id } pageInfo { hasNextPage } } }"
    ) == {
        "totalCount": 1,
        "nodes": [],
        "pageInfo": {"hasNextPage": True},
    }


@pytest.mark.parametrize("place", [("a",), ('ä "quoted", \\ 👋', "b"), ("",)])
def test_a_cursor_is_read_back_as_it_was_made(place: tuple[str, ...]) -> None:
    assert from_cursor("groups", to_cursor("groups", *place), len(place)) == list(place)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "W10",
        to_cursor("groups"),
        to_cursor("groups", "a", "b"),
        to_cursor("segments", "a"),
        "W1tbW1tb" * 5_000,
    ],
)
def test_any_other_text_is_no_cursor(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        from_cursor("groups", cursor, 1)


async def test_history_is_paged_into_the_past_and_followed_from_a_cursor(client: Client) -> None:
    segment = await client.segment("No email", "email is empty")
    query = "query ($id: ID!) { segment(id: $id) { cursor } }"
    begin = (await client.data(query, id=segment))["cursor"]
    contacts = await client.upsert({key: {} for key in "ABCDE"})
    await client.write(contacts["A"], email="a@example.org")
    wanted = "totalCount nodes { kind reason contactId size contact { key } } edges { cursor } pageInfo { hasNextPage endCursor }"
    back = f"""
    query ($id: ID!, $after: String, $since: DateTime) {{
      segment(id: $id) {{ changes(first: 4, after: $after, since: $since) {{ {wanted} }} }}
    }}
    """
    page = (await client.data(back, id=segment))["changes"]
    newest = page["nodes"][0]
    assert (newest["kind"], newest["reason"], newest["contact"], newest["size"]) == (
        "LEFT",
        "CONTACT_UPDATED",
        {"key": "A"},
        4,
    )
    assert page["pageInfo"]["hasNextPage"] is True
    rest = (await client.data(back, id=segment, after=page["pageInfo"]["endCursor"]))["changes"]
    assert [node["size"] for node in [*page["nodes"], *rest["nodes"]]] == [4, 5, 4, 3, 2, 1]
    assert rest["pageInfo"]["hasNextPage"] is False
    assert page["totalCount"] == rest["totalCount"] == 6
    assert (await client.data(back, id=segment, since="2100-01-01T00:00:00Z"))["changes"]["nodes"] == []
    assert (
        len((await client.data(back, id=segment, since="2000-01-01T00:00:00+02:00"))["changes"]["nodes"]) == 4
    )

    on = f"""
    query ($id: ID!, $cursor: String!) {{
      segment(id: $id) {{ size changesSince(cursor: $cursor, first: 4) {{ {wanted} }} }}
    }}
    """
    first = (await client.data(on, id=segment, cursor=begin))["changesSince"]
    second = (await client.data(on, id=segment, cursor=first["pageInfo"]["endCursor"]))["changesSince"]
    assert [node["size"] for node in [*first["nodes"], *second["nodes"]]] == [1, 2, 3, 4, 5, 4]
    assert first["nodes"] + second["nodes"] == [*page["nodes"], *rest["nodes"]][::-1]
    assert (first["totalCount"], second["totalCount"]) == (6, 2)
    # Whoever polls learns of whatever was done before.
    await client.write(contacts["B"], email="b@example.org")
    third = (await client.data(on, id=segment, cursor=second["pageInfo"]["endCursor"]))["changesSince"]
    assert [node["contactId"] for node in third["nodes"]] == [contacts["B"]]
    # The cursor of a change is that of its event.
    async with client.watching(segment, after=first["edges"][-1]["cursor"]) as watcher:
        assert (await watcher.event())["size"] == 4
        assert [event["cursor"] for event in await watcher.events(2)] == [
            edge["cursor"] for edge in second["edges"]
        ]
