"""The story of the demonstration: its fields, contacts and audiences, made through the GraphQL API like any client's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from api.demo.client import Client
from api.demo.people import ACTIVE, CUSTOMER, DEPARTMENTS, INTERESTS, LEFT, STAFF, Person

AT_ONCE = 250
VIPS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """`rule` is None for a static group."""

    id: str
    name: str
    rule: str | None


FIELDS: tuple[dict[str, Any], ...] = (
    {"key": "role", "label": "Role", "type": "CHOICE", "options": [CUSTOMER, STAFF]},
    {"key": "department", "label": "Department", "type": "CHOICE", "options": list(DEPARTMENTS)},
    {"key": "status", "label": "Status", "type": "CHOICE", "options": [ACTIVE, LEFT]},
    {"key": "interests", "label": "Interests", "type": "TAGS"},
    {"key": "newsletter", "label": "Newsletter", "type": "BOOLEAN"},
)

SEGMENTS = {
    "No birthdate": "birthdate is empty",
    "Born in the sixties": "birthdate between 1960-01-01 and 1969-12-31",
    "Customers": f'role is "{CUSTOMER}"',
    "Customers - No Email": f'role is "{CUSTOMER}" and email is empty',
    "Staff - Active": f'role is "{STAFF}" and status is "{ACTIVE}"',
    "Newsletter - Cyclists": f'newsletter is true and email is not empty and interests has any of ("{INTERESTS[0]}")',
}

VIP = "VIP"

_CREATE_FIELD = "mutation ($input: CreateFieldInput!) { createField(input: $input) { errors { message } } }"
_UPSERT = """mutation ($input: UpsertContactsInput!) {
  upsertContacts(input: $input) { contacts { contactId errors { message } } errors { message } }
}"""
_CREATE_GROUP = """mutation ($input: CreateGroupInput!) {
  createGroup(input: $input) { group { id } errors { message } }
}"""
_FILL_GROUP = """mutation ($input: GroupMembersInput!) {
  addContactsToGroup(input: $input) { moved errors { message } }
}"""
_CREATE_SEGMENT = """mutation ($input: CreateSegmentInput!) {
  createSegment(input: $input) { segment { id } errors { message } }
}"""


async def make_fields(client: Client) -> None:
    for field in FIELDS:
        await client.change(_CREATE_FIELD, **field)


async def make_contacts(client: Client, people: Sequence[Person]) -> AsyncIterator[int]:
    """Send everybody; gives how many have been sent so far. Raises `Refused`."""
    for start in range(0, len(people), AT_ONCE):
        batch = people[start : start + AT_ONCE]
        contacts = [{"key": person.key, "attributes": as_input(person.attributes)} for person in batch]
        payload = await client.change(_UPSERT, contacts=contacts)
        for person, made in zip(batch, payload["contacts"], strict=True):
            assert not made["errors"], made["errors"]
            person.id = made["contactId"]
        yield start + len(batch)


async def make_audiences(client: Client, vips: Sequence[str]) -> list[Audience]:
    """The segments, and a group of the contacts with these keys: `vips`. Raises `Refused`."""
    audiences = []
    for name, rule in SEGMENTS.items():
        payload = await client.change(_CREATE_SEGMENT, name=name, rule={"expression": rule})
        audiences.append(Audience(id=payload["segment"]["id"], name=name, rule=rule))
    group = (await client.change(_CREATE_GROUP, name=VIP))["group"]["id"]
    await client.change(_FILL_GROUP, group=group, contacts={"keys": list(vips)})
    audiences.append(Audience(id=group, name=VIP, rule=None))
    return audiences


def vips(people: Sequence[Person]) -> list[str]:
    """The keys of the first few customers."""
    return [person.key for person in people if person.attributes["role"] == CUSTOMER][:VIPS]


def as_input(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in attributes.items()]
