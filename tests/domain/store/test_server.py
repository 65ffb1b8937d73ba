from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from domain.store.client import open_database
from domain.store.server import inspect, read_traits


@pytest.mark.parametrize(
    ("version", "wildcard"), [([6, 0, 16, 0], False), ([7, 0, 0, 0], True), ([8, 2, 11, 0], True)]
)
def test_mongodb_has_compound_wildcard_indexes_and_splits_large_events_from_7_on(
    version: list[int],
    wildcard: bool,  # noqa: FBT001 # a table
) -> None:
    traits = read_traits({"version": ".".join(map(str, version)), "versionArray": version})
    assert traits.name == "MongoDB"
    assert traits.wildcard_indexes is wildcard
    assert traits.splits_large_events is wildcard
    assert traits.shares_cluster_time_outside_transactions


def test_secantusdb_is_told_from_the_mongodb_that_it_says_to_be() -> None:
    traits = read_traits({"version": "8.2.11", "versionArray": [8, 2, 11, 0], "secantusVersion": "0.7.0b3"})
    assert (traits.name, traits.version) == ("SecantusDB", "0.7.0b3")
    assert not traits.wildcard_indexes
    assert not traits.partial_indexes_serve_queries
    assert not traits.splits_large_events


async def test_the_server_under_test_is_inspected(database: AsyncDatabase[dict[str, Any]]) -> None:
    traits = await inspect(open_database(database.client, database.name))
    assert traits.name in ("MongoDB", "SecantusDB")
