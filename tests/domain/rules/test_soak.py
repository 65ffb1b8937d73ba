"""The two readings against each other for as long as SOAK_MINUTES says, with new rules and contacts all the time.

Every operator, references nested in each other, instants and settings of all kinds.
"""

import os
import time
from typing import Any

import pytest
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from domain.rules.calendar import Now
from domain.rules.moving import at
from domain.rules.predicate import to_predicate
from domain.rules.query import to_query
from domain.rules.tree import Rule
from tests.domain.rules.generate import FIELDS, Generator
from tests.domain.rules.shrinking import named_case, shrunk

Document = dict[str, Any]

MINUTES = float(os.environ.get("SOAK_MINUTES", "5"))

CONTACTS = 250
RULES = 100

# More would hide what they have in common.
MOST_REPORTED = 5


@pytest.mark.soak
@pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
async def test_the_two_readings_agree_for_as_long_as_they_are_asked(
    *, database: AsyncDatabase[Document], capsys: pytest.CaptureFixture[str], indexed: bool
) -> None:
    began = time.monotonic()
    first_seed = time.time_ns() // 1_000_000
    seed, rules, pairs = first_seed, 0, 0
    found: list[str] = []
    while time.monotonic() - began < MINUTES * 60 and len(found) < MOST_REPORTED:
        generator = Generator(seed, tame=indexed, refers=True)
        now, drawn = generator.now(), [generator.followed(generator.rule()) for _ in range(RULES)]
        generator.aim(drawn, now)
        contacts = await _collection(database, f"round_{seed}", indexed=indexed)
        await contacts.insert_many(
            [{"_id": number, "account": "ours", **generator.contact()} for number in range(CONTACTS)]
        )
        stored = await contacts.find().to_list()
        for rule in drawn:
            if len(found) == MOST_REPORTED:
                break
            rules, pairs = rules + 1, pairs + len(stored)
            if await _disagree(contacts, rule, now, stored):
                scratch = await _collection(database, f"case_{seed}_{rules}", indexed=indexed)
                found.append(await _case(scratch, f"seed {seed}, rule {rules}", rule, now, stored))
        await contacts.drop()
        seed += 1
    seconds = time.monotonic() - began
    with capsys.disabled():
        print(  # noqa: T201 # the figures are what a soak is for
            f"\n{'indexed' if indexed else 'plain'}: {pairs:,} pairs of {rules:,} rules and {CONTACTS} contacts,"
            f" seeds from {first_seed}, in {seconds:.0f} s: {pairs / seconds:,.0f} a second; {len(found)} disagreements"
        )
    assert not found, "\n".join(["for NAMED_CASES in test_two_readings.py:", *found])


async def _collection(
    database: AsyncDatabase[Document], name: str, *, indexed: bool
) -> AsyncCollection[Document]:
    if indexed:
        await database[name].create_indexes(
            [
                IndexModel([("account", ASCENDING), (path, ASCENDING)])
                for path in [*(f"normal.{key}" for key in FIELDS), "anniversaries.birthdate", "groups"]
            ]
        )
    return database[name]


async def _disagree(
    contacts: AsyncCollection[Document], rule: Rule, now: Now, stored: list[Document]
) -> bool:
    accepts = to_predicate(at(rule, now))
    wanted = {contact["_id"] for contact in stored if accepts(contact)}
    # Within the account, so that the indexes serve.
    query = {"account": "ours", **to_query(at(rule, now))}
    return {contact["_id"] async for contact in contacts.find(query, {"_id": 1})} != wanted


async def _case(
    scratch: AsyncCollection[Document], name: str, rule: Rule, now: Now, stored: list[Document]
) -> str:
    """The disagreement at its smallest. It is tried out in `scratch`, which has the indexes of where it was found."""

    async def disagrees(simpler: Rule, fewer: list[Document]) -> bool:
        await scratch.delete_many({})
        await scratch.insert_many(fewer)
        return await _disagree(scratch, simpler, now, fewer)

    simplest, fewest = await shrunk(rule, stored, disagrees)
    accepts = to_predicate(at(simplest, now))
    accepted = [place for place, each in enumerate(fewest) if accepts(each)]
    return named_case(name, simplest, fewest, accepted, now)
