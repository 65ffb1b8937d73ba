"""What the server under us can do: the one place that names where it differs from MongoDB.

The rest of the code is written for MongoDB as documented and asks here where a server lacks a thing. Each trait says what
is done instead. Held by `tests/domain/store/test_server.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.store.client import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTraits:
    """Facts about one server, read once at start-up."""

    name: str
    version: str
    wildcard_indexes: bool
    """Compound wildcard indexes (MongoDB 7). Without them a field gets a plain index when a rule first reads it."""
    partial_indexes_serve_queries: bool
    """Where not, a partial index still keeps what it promises, and a plain one beside it serves the look-ups."""
    seeks: bool
    """Whether a limit on a sorted query spares reading the rest of what an index finds. Where not, it is looked for in parts."""
    splits_large_events: bool
    """Whether a change stream tells an event of more than 16 MB in fragments. Where not, it is a lost history."""
    longest_in: int
    """How many values one `$in` holds without its cost growing faster than their number."""
    shares_cluster_time_outside_transactions: bool
    """Whether events that belong to no transaction may carry one cluster time (MongoDB 8, within one `insert_many`).

    Where not, such an event is complete by itself and need not wait for its successor.
    """

    def lacks(self) -> list[str]:
        """What the server cannot do that MongoDB as documented can, and what is done instead, in plain words."""
        found = []
        if not self.wildcard_indexes:
            found.append(
                "It has no compound wildcard indexes: each field gets an index when a rule first reads it, as far as there is room."
            )
        if not self.partial_indexes_serve_queries:
            found.append(
                "It answers no query from a partial index: contacts' keys have a plain index beside it."
            )
        if not self.seeks:
            found.append(
                "It reads all of what a sorted query finds, whatever the limit: history is read in parts."
            )
        if not self.splits_large_events:
            found.append(
                "It does not split large events: a change that it cannot tell is answered by reconciling."
            )
        return found


async def inspect(database: Database) -> ServerTraits:
    """Ask the server what it is."""
    return read_traits(await database.client.admin.command("buildInfo"))


def read_traits(info: Mapping[str, Any]) -> ServerTraits:
    """What a server's answer to `buildInfo` tells of it."""
    if "secantusVersion" in info:
        return ServerTraits(
            name="SecantusDB",
            version=str(info["secantusVersion"]),
            # It accepts the specification and indexes a field literally called `$**`.
            wildcard_indexes=False,
            partial_indexes_serve_queries=False,
            seeks=False,
            splits_large_events=False,
            longest_in=100,
            shares_cluster_time_outside_transactions=False,
        )
    major = int(info["versionArray"][0])
    return ServerTraits(
        name="MongoDB",
        version=str(info["version"]),
        wildcard_indexes=major >= 7,
        partial_indexes_serve_queries=True,
        seeks=True,
        splits_large_events=major >= 7,
        longest_in=10_000,
        shares_cluster_time_outside_transactions=True,
    )
