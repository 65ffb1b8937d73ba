"""Writing: what each mutation does, what is left out, what is null, and what happens when it comes twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from domain.contact import Contact
from domain.contacts import Contacts
from tests.api.client import Client

ATTRIBUTES = "contact { id key attributes { key value } }"


def attributes(**values: Any) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in values.items()]


async def test_an_explicit_null_removes_and_an_omitted_value_stays(client: Client) -> None:
    made = await client.do(
        "createContact",
        {"attributes": attributes(first_name="Ann", last_name="Lee", email="a@b.org")},
        ATTRIBUTES,
    )
    contact = made["contact"]
    assert contact["key"] is None
    given = {
        "id": contact["id"],
        "attributes": [
            {"key": "first_name", "value": None},
            {"key": "last_name"},
            {"key": "email", "value": " "},
        ],
    }
    changed = await client.do("updateContact", given, ATTRIBUTES)
    assert changed["contact"]["attributes"] == [{"key": "last_name", "value": "Lee"}]


async def test_contacts_are_upserted_each_with_its_own_outcome(client: Client) -> None:
    await client.upsert({"THERE": {"first_name": "Ann"}, "SAME": {"first_name": "Bob"}})
    given = {
        "contacts": [
            {"key": "NEW", "attributes": attributes(first_name="Cy")},
            {"key": "BAD", "attributes": attributes(first_name="Dee", email="no address")},
            {"key": "THERE", "attributes": attributes(first_name="Anna", phone=None)},
            {"key": " "},
            {"key": "SAME", "attributes": attributes(first_name="Bob")},
        ]
    }
    wanted = "created updated unchanged refused contacts { key outcome contactId contact { key } errors { code path } }"
    made = await client.do("upsertContacts", given, wanted)
    assert [made[name] for name in ("created", "updated", "unchanged", "refused")] == [1, 1, 1, 2]
    new, bad, there, blank, same = made["contacts"]
    assert (new["outcome"], new["contact"], new["errors"]) == ("CREATED", {"key": "NEW"}, [])
    assert (bad["outcome"], bad["contact"], bad["contactId"]) == ("REFUSED", None, None)
    assert bad["errors"] == [{"code": "INVALID_VALUE", "path": ["contacts", "1", "attributes", "1", "value"]}]
    assert (there["outcome"], same["outcome"]) == ("UPDATED", "UNCHANGED")
    assert blank["errors"] == [{"code": "INVALID_VALUE", "path": ["contacts", "3", "key"]}]
    assert (await client.data("{ contacts { totalCount } }"))["totalCount"] == 3


async def test_a_thousand_contacts_go_in_at_once(client: Client) -> None:
    made = await client.do("upsertContacts", {"contacts": [{"key": str(n)} for n in range(1_000)]}, "created")
    assert made["created"] == 1_000


async def test_fields_are_made_changed_and_deleted(client: Client) -> None:
    wanted = "field { key label type options builtIn }"
    made = await client.do(
        "createField", {"label": "Job Title", "type": "CHOICE", "options": ["Senator", "Judge"]}, wanted
    )
    assert made["field"] == {
        "key": "job_title",
        "label": "Job Title",
        "type": "CHOICE",
        "options": ["Senator", "Judge"],
        "builtIn": False,
    }
    changed = await client.do("updateField", {"key": "job_title", "label": "Title"}, wanted)
    assert changed["field"] == {**made["field"], "label": "Title"}
    changed = await client.do("updateField", {"key": "job_title", "options": None}, wanted)
    assert changed["field"]["options"] == []
    await client.contact("A", job_title="Farmer")
    deleted = await client.do("deleteField", {"key": "job_title"}, "deletedKey")
    assert deleted["deletedKey"] == "job_title"
    assert "job_title" not in [field["key"] for field in await client.data("{ fields { key } }")]
    assert (await client.data('{ contact(key: "A") { attributes { key } } }'))["attributes"] == []


async def test_groups_are_made_changed_filled_emptied_and_deleted(client: Client) -> None:
    wanted = "group { id name description size }"
    made = await client.do("createGroup", {"name": " VIP ", "description": "the best"}, wanted)
    group = made["group"]
    assert group == {"id": group["id"], "name": "VIP", "description": "the best", "size": 0}
    contacts = await client.upsert({"A": {}, "B": {}, "C": {}})
    given = {"group": group["id"], "contacts": {"ids": [contacts["A"]], "keys": ["A", "B"]}}
    filled = await client.do(
        "addContactsToGroup", given, "moved unchanged group { size members { nodes { key } } }"
    )
    assert (filled["moved"], filled["unchanged"], filled["group"]["size"]) == (2, 1, 2)
    assert [contact["key"] for contact in filled["group"]["members"]["nodes"]] == ["A", "B"]
    assert await client.regroup(group["id"], contacts["A"], contacts["C"], add=False) == {
        "errors": [],
        "moved": 1,
        "unchanged": 1,
    }
    for given, expected in (
        ({"name": "Best"}, ("Best", "the best")),
        ({"description": None}, ("Best", None)),
        ({"description": "again", "name": "VIP"}, ("VIP", "again")),
    ):
        changed = (await client.do("updateGroup", {"id": group["id"], **given}, wanted))["group"]
        assert (changed["name"], changed["description"]) == expected
    await client.do("deleteGroup", {"id": group["id"]}, "deletedId")
    read = 'query ($id: ID!) { group(id: $id) { id } contact(key: "B") { groups { name } } }'
    assert await client.data(read, id=group["id"]) == {"group": None, "contact": {"groups": []}}


async def test_segments_are_saved_changed_and_deleted(client: Client) -> None:
    wanted = "segment { id name description expression version status }"
    given = {
        "name": "No email",
        "description": "to be asked",
        "rule": {"not": {"where": {"field": "email", "operator": "IS_NOT_EMPTY"}}},
    }
    segment = (await client.do("createSegment", given, wanted))["segment"]
    assert segment == {
        "id": segment["id"],
        "name": "No email",
        "description": "to be asked",
        "expression": "not (email is not empty)",
        "version": 1,
        "status": "LIVE",
    }
    changed = await client.do(
        "updateSegment", {"id": segment["id"], "name": "Nobody", "description": None}, wanted
    )
    assert changed["segment"] == {**segment, "name": "Nobody", "description": None, "version": 2}
    stale = {"id": segment["id"], "rule": {"expression": "email is empty"}, "expectedVersion": 1}
    (error,) = (await client.attempt("updateSegment", stale))["errors"]
    assert (error["code"], error["path"]) == ("VERSION_CONFLICT", ["expectedVersion"])
    changed = await client.do("updateSegment", {**stale, "expectedVersion": 2}, wanted)
    assert (changed["segment"]["expression"], changed["segment"]["version"]) == ("email is empty", 3)
    await client.do("deleteSegment", {"id": segment["id"]}, "deletedId")
    assert (await client.data("{ segments { totalCount } }"))["totalCount"] == 0


async def test_settings_change_one_by_one(client: Client) -> None:
    wanted = "settings { timeZone region firstWeekday leapDay }"
    expected = {"timeZone": "UTC", "region": "US", "firstWeekday": "MONDAY", "leapDay": "FEBRUARY_28"}
    for name, value in (
        ("timeZone", "Europe/Berlin"),
        ("region", "DE"),
        ("firstWeekday", "SUNDAY"),
        ("leapDay", "MARCH_1"),
    ):
        expected[name] = value
        assert (await client.do("updateSettings", {name: value}, wanted))["settings"] == expected
    contact = await client.contact("A", phone="030 123456")
    segment = await client.segment("Berlin", 'phone starts with "+4930"')
    assert await client.size(segment) == 1
    assert contact


REPEATED: list[tuple[str, dict[str, Any], str]] = [
    ("createContact", {"key": "A", "attributes": []}, "contact { id key }"),
    (
        "upsertContacts",
        {"contacts": [{"key": "A"}, {"key": " "}]},
        "created refused contacts { key outcome contactId errors { code } }",
    ),
    ("createGroup", {"name": "A"}, "group { id name }"),
    ("createSegment", {"name": "A", "rule": {"expression": "email is empty"}}, "segment { id name version }"),
    ("createSegment", {"name": "A", "rule": {"expression": "email is is"}}, "segment { id }"),
    ("createField", {"label": "A field", "type": "TAGS"}, "field { key type }"),
    ("updateSettings", {"region": "DE"}, "settings { region }"),
]


@pytest.mark.parametrize(("mutation", "given", "wanted"), REPEATED)
async def test_a_mutation_that_comes_again_under_its_identifier_gives_its_first_outcome(
    client: Client, mutation: str, given: dict[str, Any], wanted: str
) -> None:
    given = {**given, "clientMutationId": "M1"}
    first = await client.attempt(mutation, given, wanted)
    assert await client.attempt(mutation, given, wanted) == first
    # Several at the same time are one, too.
    given["clientMutationId"] = "M2"
    if mutation in {"upsertContacts", "updateSettings", "createField"}:
        outcomes = await asyncio.gather(*(client.attempt(mutation, given, wanted) for _ in range(5)))
        assert all(outcome == outcomes[0] for outcome in outcomes)


async def test_a_deletion_that_comes_again_under_its_identifier_is_no_error(client: Client) -> None:
    given = {"id": await client.contact("A"), "clientMutationId": "M1"}
    for _ in range(2):
        assert (await client.do("deleteContact", given, "deletedId"))["deletedId"] == given["id"]
    (error,) = (await client.attempt("deleteContact", {"id": given["id"]}))["errors"]
    assert error["code"] == "NOT_FOUND"


async def test_an_identifier_cannot_be_used_again_for_something_else(client: Client) -> None:
    given = {"key": "A", "attributes": [], "clientMutationId": "M1"}
    await client.do("createContact", given, "contact { id }")
    for mutation, other in (
        ("createContact", {**given, "key": "B"}),
        ("createContact", {**given, "attributes": [{"key": "email", "value": None}]}),
        ("createGroup", {"name": "A", "clientMutationId": "M1"}),
    ):
        (error,) = (await client.attempt(mutation, other))["errors"]
        assert (error["code"], error["path"]) == ("MUTATION_ID_REUSED", ["clientMutationId"])
    for unusable in ("", "x" * 201):
        (error,) = (await client.attempt("createGroup", {"name": "A", "clientMutationId": unusable}))[
            "errors"
        ]
        assert (error["code"], error["path"]) == ("INVALID_VALUE", ["clientMutationId"])


async def test_mutations_of_one_operation_are_carried_out_in_their_order_and_see_each_other(
    client: Client,
) -> None:
    mutation = """
    mutation {
      a: createContact(input: { key: "A" }) { contact { id segments { name } } }
      b: createSegment(input: { name: "All", rule: { expression: "email is empty" } }) { segment { size } }
      c: upsertContacts(input: { contacts: [{ key: "A", attributes: [{ key: "email", value: "a@b.org" }] }] }) {
        contacts { contact { attribute(key: "email") { value } segments { name } } }
      }
      d: createGroup(input: { name: "G" }) { group { size } }
    }
    """
    made = await client.data(mutation)
    assert made["a"]["contact"]["segments"] == []
    assert made["b"]["segment"]["size"] == 1
    assert made["c"]["contacts"] == [{"contact": {"attribute": {"value": "a@b.org"}, "segments": []}}]
    assert made["d"]["group"]["size"] == 0


async def test_a_mutation_that_failed_after_it_had_acted_is_not_done_twice(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Contacts.create

    async def failing(self: Contacts, *arguments: Any, **more: Any) -> Contact:
        await create(self, *arguments, **more)
        raise KeyError("the answer is lost")

    given = {"attributes": [], "clientMutationId": "M1"}
    monkeypatch.setattr(Contacts, "create", failing)
    mutation = "mutation ($input: CreateContactInput!) { createContact(input: $input) { contact { id } } }"
    assert await client.code(mutation, input=given) == "INTERNAL"
    monkeypatch.setattr(Contacts, "create", create)
    made = await client.do("createContact", given, "contact { id }")
    assert await client.data("{ contacts { nodes { id } } }") == {"nodes": [{"id": made["contact"]["id"]}]}
