"""Which operators an index of the account and the field can serve: the database is asked, and `table.py` keeps the list."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from domain.rules.moving import at, slivers
from domain.rules.operators import Operator
from domain.rules.query import to_query
from domain.rules.table import EXAMPLE_NOW, SERVED_BY_AN_INDEX, example
from domain.rules.tree import paths_read

Document = dict[str, Any]

COUNT = 400


def _contacts() -> Iterator[Document]:
    """Contacts of two accounts with values on both sides of each example's operands; every tenth has no values."""
    start = datetime(2026, 4, 1, tzinfo=UTC)
    for number in range(COUNT):
        normal: Document = {
            "role": ("customer", "partner", "staff", "guest")[number % 4],
            "city": ("bonn", "ulm", "limbo", "kiel", "jena")[number % 5],
            "email": f"a{number % 7}@{('example.org', 'example.net', 'example.com')[number % 3]}",
            "phone": f"+120222434{number % 90 + 10}",
            "score": number % 10,
            "newsletter": number % 2 == 0,
            "birthdate": ("1964-05-05", "1965-01-01", "1980-02-29", "1970-05-10")[number % 4],
            "last_seen": start + timedelta(days=number % 80),
            "interests": (["shoes"], ["boots", "shoes"], ["hats"], ["boots", "hats"])[number % 4],
        }
        yield {
            "_id": number,
            "account": "ours" if number % 3 else "theirs",
            "normal": normal if number % 10 else {},
            "anniversaries": {"birthdate": normal["birthdate"][5:]} if number % 10 else {},
        }


async def _served(contacts: AsyncCollection[Document], operator: Operator, *, include_missing: bool) -> bool:
    """Whether the database answers from an index of the account and the field, without reading all of the account's contacts."""
    condition = example(operator, include_missing=include_missing)
    query = {"account": "ours", **to_query(at(condition, EXAMPLE_NOW))}
    try:
        told = await contacts.database.command(
            "explain", {"find": contacts.name, "filter": query}, verbosity="executionStats"
        )
        read, found = (told["executionStats"][key] for key in ("totalDocsExamined", "nReturned"))
    except (OperationFailure, KeyError) as error:
        pytest.skip(f"this server's explain does not tell what a query reads: {error!r}")
    everybody = await contacts.count_documents({"account": "ours"})
    assert 0 < found < everybody, f"{query} finds {found} of {everybody}, which shows nothing"
    return "IXSCAN" in repr(told["queryPlanner"]["winningPlan"]) and read < everybody


async def test_an_index_serves_the_operators_that_are_said_to_be_served(
    database: AsyncDatabase[Document],
) -> None:
    contacts = database["contacts"]
    await contacts.insert_many(list(_contacts()))
    paths = {path for operator in Operator for path in paths_read(example(operator))}
    await contacts.create_indexes(
        [IndexModel([("account", ASCENDING), (path, ASCENDING)]) for path in sorted(paths)]
    )
    served = {
        operator
        for operator in Operator
        if await _served(contacts, operator, include_missing=True)
        and (not operator.value.negative or await _served(contacts, operator, include_missing=False))
    }
    assert {operator.name for operator in SERVED_BY_AN_INDEX - served} == set()
    # MongoDB also walks an index for what is not there, and reads most of it; that is not counted as being served.
    if "secantusVersion" in await database.client.admin.command("buildInfo"):
        assert {operator.name for operator in served - SERVED_BY_AN_INDEX} == set()


async def test_an_index_serves_the_slivers_of_every_moving_operator(
    database: AsyncDatabase[Document],
) -> None:
    contacts = database["contacts"]
    await contacts.insert_many(list(_contacts()))
    paths = ("normal.last_seen", "anniversaries.birthdate")
    await contacts.create_indexes([IndexModel([("account", ASCENDING), (path, ASCENDING)]) for path in paths])
    since, until = (replace(EXAMPLE_NOW, instant=datetime(2026, month, 1, tzinfo=UTC)) for month in (5, 6))
    for operator in Operator:
        for sliver in slivers(example(operator), since, until):
            told = await contacts.database.command(
                "explain",
                {"find": contacts.name, "filter": {"account": "ours", **sliver}},
                verbosity="queryPlanner",
            )
            assert "IXSCAN" in repr(told["queryPlanner"]["winningPlan"]), sliver
