"""What happens in the demonstration: replies that fill in birthdates, and now and then something else.

Owns the order of happenings, which is the same for the same seed, and what the contacts are at every moment. Each happening is one
mutation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from api.demo.client import Client
from api.demo.people import ACTIVE, CUSTOMER, LEFT, Person, birthdate, email_of
from api.demo.story import as_input

_UPDATE = """mutation ($input: UpdateContactInput!) {
  updateContact(input: $input) { errors { message } }
}"""
_CREATE = """mutation ($input: CreateContactInput!) {
  createContact(input: $input) { contact { id } errors { message } }
}"""
_REGROUP = """mutation ($input: GroupMembersInput!) {
  %s(input: $input) { errors { message } }
}"""
_ADD, _REMOVE = _REGROUP % "addContactsToGroup", _REGROUP % "removeContactsFromGroup"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that can happen to one of those whom `concerns` names; more often, the greater its weight."""

    weight: int
    concerns: Callable[[Person], bool]
    change: Callable[[Person, random.Random], dict[str, Any]]


def _is_customer(person: Person) -> bool:
    role: str = person.attributes["role"]
    return role == CUSTOMER


def _has(key: str, *, value: Any) -> Callable[[Person], bool]:
    return lambda person: person.attributes.get(key) == value


HAPPENINGS = (
    Happening(70, _has("birthdate", value=None), lambda _, chance: {"birthdate": birthdate(chance)}),
    Happening(8, _has("email", value=None), lambda person, _: {"email": email_of(person)}),
    Happening(
        4, lambda person: _is_customer(person) and "email" in person.attributes, lambda *_: {"email": None}
    ),
    Happening(4, _has("status", value=ACTIVE), lambda *_: {"status": LEFT}),
    Happening(2, _has("status", value=LEFT), lambda *_: {"status": ACTIVE}),
    Happening(3, _has("newsletter", value=False), lambda *_: {"newsletter": True}),
    Happening(3, _has("newsletter", value=True), lambda *_: {"newsletter": False}),
)
NEWCOMER_WEIGHT = 4
REGROUPED_WEIGHT = 3


class Replies:
    """One happening after the other. `newcomers` are those who are to come, `known` those who are there."""

    def __init__(
        self,
        client: Client,
        seed: int,
        known: Sequence[Person],
        newcomers: Iterator[Person],
        group: str,
        members: set[str],
    ) -> None:
        self._client = client
        self._chance = random.Random(f"replies {seed}")  # noqa: S311  # a story, no secret
        self._known = list(known)
        self._newcomers = newcomers
        self._group = group
        self._members = members
        self.count = 0

    def pause(self, rate: float) -> float:
        """How long to wait for the next, where so many come in a second on average."""
        return self._chance.expovariate(rate)

    async def next(self) -> None:
        """Let one thing happen. Raises `Refused`."""
        weights = [happening.weight for happening in HAPPENINGS]
        (which,) = self._chance.choices(
            (*HAPPENINGS, self._arrive, self._regroup), (*weights, NEWCOMER_WEIGHT, REGROUPED_WEIGHT)
        )
        if isinstance(which, Happening):
            candidates = [person for person in self._known if which.concerns(person)]
            # Once every gap is filled, life goes on with somebody new.
            await (self._write(self._chance.choice(candidates), which) if candidates else self._arrive())
        else:
            await which()
        self.count += 1

    async def _write(self, person: Person, happening: Happening) -> None:
        change = happening.change(person, self._chance)
        await self._client.change(_UPDATE, id=person.id, attributes=as_input(change))
        for key, value in change.items():
            if value is None:
                del person.attributes[key]
            else:
                person.attributes[key] = value

    async def _arrive(self) -> None:
        person = next(self._newcomers)
        payload = await self._client.change(_CREATE, key=person.key, attributes=as_input(person.attributes))
        person.id = payload["contact"]["id"]
        self._known.append(person)

    async def _regroup(self) -> None:
        key = self._chance.choice([person.key for person in self._known if _is_customer(person)])
        if self._chance.random() < 0.3 and self._members:
            key = self._chance.choice(sorted(self._members))
        mutation = _REMOVE if key in self._members else _ADD
        await self._client.change(mutation, group=self._group, contacts={"keys": [key]})
        self._members ^= {key}
