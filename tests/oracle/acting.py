"""Everything that callers do, drawn from a seed: contacts, groups, segments, settings, transactions, direct writes.

Each request carries a `clientMutationId` and is sent again, to whichever server answers, until it is answered: so a server
killed in the middle of it leaves nothing half known.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from tests.api.client import Client
from tests.oracle.cluster import Cluster

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Honolulu")

# What is no defect: another edit was in between, or what was drawn cannot be done.
REFUSED = {
    *("NOT_FOUND", "INVALID_RULE", "LIMIT_EXCEEDED", "NAME_TAKEN", "VERSION_CONFLICT", "UNKNOWN_AUDIENCE"),
    *("AUDIENCE_IN_USE", "FIELD_IN_USE", "BROKEN_SEGMENT", "UNKNOWN_FIELD", "TOO_MANY_GROUPS"),
}
AGAIN = {"UNAVAILABLE", "INTERNAL"}
PATIENCE_SECONDS = 120.0
ANSWER_SECONDS = 2.0

TRANSACTED = ("T1", "T2", "T3", "T4")
"""The keys of contacts that nobody else writes, and one transaction at a time: on SecantusDB a write that meets an open transaction
waits for it under a lock that the transaction needs to go on, both of them for ever."""

KEPT = 4
"""The first segments are never deleted: the rules of others refer to them."""


def _role(role: str) -> dict[str, str]:
    """As Shoal would write it: as entered and as it is compared."""
    return {"values.role": role, "normal.role": role}


class Actor:
    """Draws and carries out one act after the other."""

    def __init__(
        self, seed: int, here: Cluster, clients: Sequence[Client], database: AsyncDatabase[dict[str, Any]]
    ) -> None:
        self.chance = random.Random(seed)
        self.acts = 0
        self.segments: list[str] = []
        self.groups: list[str] = []
        self.ended: list[str] = []
        self._names: dict[str, str] = {}
        self._clients = clients
        for client in clients:
            # One that is paused takes the question and gives no answer: another is asked instead.
            client.http.timeout = httpx.Timeout(ANSWER_SECONDS)
        self._here = here
        self._database = database
        self._contacts = database["contacts"]
        self._alone = asyncio.Lock()

    async def begin(self) -> None:
        """The fields, and a first group and segments that all else can rest on."""
        for key, type_ in (("role", "TEXT"), ("score", "NUMBER"), ("tags", "TAGS"), ("seen", "DATETIME")):
            await self.ask("createField", {"key": key, "label": key.title(), "type": type_})
        apart = [{"key": key, "attributes": []} for key in TRANSACTED]
        await self.ask("upsertContacts", {"contacts": apart})
        await self._make_group()
        for _ in range(5):
            await self._make_segment()

    async def act(self) -> None:
        """One of everything."""
        self.acts += 1
        await self.chance.choices(
            [
                self._upsert,
                self._change,
                self._delete,
                self._regroup,
                self._write_directly,
                self._write_in_a_transaction,
                self._edit,
                self._make_segment,
                self._delete_segment,
                self._change_settings,
                self._import,
            ],
            weights=[6, 8, 2, 3, 3, 3, 2, 0.6, 0.2, 0.4, 0.2],
        )[0]()

    # ---- contacts --------------------------------------------------------------------------------------------------

    def _key(self) -> str:
        return f"C{self.chance.randrange(300)}"

    def _values(self) -> list[dict[str, Any]]:
        seen = datetime.now(UTC) - timedelta(seconds=self.chance.choice([0, 20, 50, 58, 3_590, 90_000]))
        drawn = {
            "role": self.chance.choice(["customer", "staff", None]),
            "score": self.chance.choice([None, 1, 3, 8]),
            "tags": self.chance.choice([None, ["a"], ["a", "b"], ["c"]]),
            "seen": self.chance.choice([None, seen.isoformat(timespec="milliseconds")]),
        }
        return [{"key": key, "value": value} for key, value in drawn.items() if self.chance.random() < 0.7]

    async def _upsert(self) -> None:
        count = self.chance.choice([1, 3, 40])
        contacts = [{"key": self._key(), "attributes": self._values()} for _ in range(count)]
        await self.ask("upsertContacts", {"contacts": contacts})

    async def _some(self) -> str | None:
        query, key = "query ($key: String) { contact(key: $key) { id } }", self._key()
        found = await self._until_answered(lambda client: client.ask(query, key=key))
        contact = found["data"]["contact"]
        return None if contact is None else str(contact["id"])

    async def _change(self) -> None:
        if (contact := await self._some()) is not None:
            await self.ask("updateContact", {"id": contact, "attributes": self._values()})

    async def _delete(self) -> None:
        if (contact := await self._some()) is not None:
            await self.ask("deleteContact", {"id": contact})

    async def _regroup(self) -> None:
        mutation = self.chance.choice(["addContactsToGroup", "removeContactsFromGroup"])
        keys = list({self._key() for _ in range(self.chance.choice([1, 10]))})
        await self.ask(mutation, {"group": self.chance.choice(self.groups), "contacts": {"keys": keys}})

    async def _write_directly(self) -> None:
        """As another program does, past all that Shoal knows."""
        scores = self.chance.choice([1, 3, 8])
        role = self.chance.choice(["customer", "staff"])
        await self._directly(
            lambda: self._contacts.update_many(
                {"account": "default", "normal.score": scores}, {"$set": _role(role)}
            )
        )

    async def _write_in_a_transaction(self) -> None:
        """There and back, and there again: several events of one contact in one moment."""
        roles = ["customer", "staff", self.chance.choice(["customer", "staff", "nobody"])]

        async def write() -> None:
            async with (
                self._alone,
                self._database.client.start_session() as session,
                await session.start_transaction(),
            ):
                await self._contacts.bulk_write(
                    [
                        UpdateOne({"account": "default", "key": key}, {"$set": _role(role)})
                        for role in roles
                        for key in TRANSACTED
                    ],
                    session=session,
                )

        await self._directly(write)

    async def _directly(self, write: Callable[[], Awaitable[object]]) -> None:
        """Done or not done: what a program does that loses its database needs no repeating."""
        try:
            await write()
        except PyMongoError:
            await asyncio.sleep(0.1)

    async def _import(self) -> None:
        """A file, by a process of its own, which is left to itself where it loses its database."""
        rows = [(self._key(), self.chance.choice(["customer", "staff", ""])) for _ in range(60)]
        file = self._here.directory / f"import-{self.acts}.csv"
        file.write_text("Key,role\n" + "".join(f"{key},{role}\n" for key, role in rows))
        await self._here.command(file.stem, "import", str(file), "--key-column", "Key")

    # ---- definitions -----------------------------------------------------------------------------------------------

    def _rule(self) -> str:
        plain = [
            *('role is "customer"', 'role is not "staff"', "score > 2", "score is empty"),
            *('tags has any of ("a", "c")', 'tags lacks any of ("a", "b")', "seen in the last 1 minute"),
            *("seen more than 1 hour ago", "seen this day", "created in the last 2 minutes"),
        ]
        first = self.chance.choice(plain)
        others = [f'segment "{self._names[each]}"' for each in self.segments[:KEPT]]
        others += [f'group "{self._names[each]}"' for each in self.groups]
        match self.chance.randrange(4):
            case 0:
                return first
            case 1:
                return f"{first} and {self.chance.choice(plain)}"
            case 2:
                return f"{first} or not ({self.chance.choice(plain)})"
            case _:
                named = ", ".join(self.chance.sample(others, self.chance.randint(1, min(2, len(others)))))
                return f"{first} {self.chance.choice(['and', 'or'])} in {self.chance.choice(['any', 'all', 'none'])} of ({named})"

    async def _make_group(self) -> None:
        name = f"Group {len(self.groups)}"
        made = await self.ask("createGroup", {"name": name}, "group { id }")
        self.groups.append(made["group"]["id"])
        self._names[self.groups[-1]] = name

    async def _make_segment(self) -> None:
        if len(self.segments) >= 12:
            return
        name = f"Segment {len(self.segments) + len(self.ended)}"
        rule = {"expression": self._rule()}
        made = await self.ask("createSegment", {"name": name, "rule": rule}, "segment { id }")
        if made["segment"] is not None:
            self.segments.append(made["segment"]["id"])
            self._names[self.segments[-1]] = name

    async def _edit(self) -> None:
        given = {"id": self.chance.choice(self.segments), "rule": {"expression": self._rule()}}
        await self.ask("updateSegment", given)

    async def _delete_segment(self) -> None:
        """One of those to which none refers. That it is in use, another process may have learnt from a request that failed."""
        if len(self.segments) <= KEPT:
            return
        segment = self.segments.pop(self.chance.randrange(KEPT, len(self.segments)))
        payload = await self.ask("deleteSegment", {"id": segment})
        if payload["errors"]:
            self.segments.append(segment)
        else:
            self.ended.append(segment)

    async def _change_settings(self) -> None:
        await self.ask("updateSettings", {"timeZone": self.chance.choice(ZONES)})

    # ---- asking ----------------------------------------------------------------------------------------------------

    async def ask(self, mutation: str, given: dict[str, Any], wanted: str = "") -> dict[str, Any]:
        """Carry out a mutation exactly once, whatever is killed meanwhile: its payload."""
        identified = {**given, "clientMutationId": str(ObjectId())}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            payload: dict[str, Any] = await self._until_answered(
                lambda client: client.attempt(mutation, identified, wanted)
            )
            codes = {error["code"] for error in payload["errors"]}
            if codes & (AGAIN | {"MUTATION_ID_REUSED"}) and time.monotonic() < deadline:
                await asyncio.sleep(0.2)
                continue
            assert codes <= REFUSED, (mutation, given, payload)
            return payload

    async def _until_answered(self, ask: Callable[[Client], Awaitable[Any]]) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await ask(self.chance.choice(self._clients))
            except (httpx.HTTPError, AssertionError, ValueError, KeyError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
