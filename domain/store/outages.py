"""Outages: how often a client has lost its connections to the database.

What was read before an outage may not be there behind it: the database may have been put back to an earlier state meanwhile.
PyMongo goes on by itself where the database is back soon, and tells so here only. Whoever rests on what was read compares the
counts. The driver clears its pool, and so tells, before whatever failed is tried again. Held by
`tests/domain/membership/test_put_back.py`.
"""

from __future__ import annotations

from typing import Any

from pymongo import AsyncMongoClient
from pymongo.monitoring import (
    ConnectionCheckedInEvent,
    ConnectionCheckedOutEvent,
    ConnectionCheckOutFailedEvent,
    ConnectionCheckOutStartedEvent,
    ConnectionClosedEvent,
    ConnectionCreatedEvent,
    ConnectionPoolListener,
    ConnectionReadyEvent,
    PoolClearedEvent,
    PoolClosedEvent,
    PoolCreatedEvent,
    PoolReadyEvent,
)


class Outages(ConnectionPoolListener):
    """Of one client, which it is given to when that is made."""

    def __init__(self) -> None:
        self.count = 0

    def pool_cleared(self, event: PoolClearedEvent) -> None:  # noqa: ARG002 # as the driver calls it
        self.count += 1

    # The driver asks for all of them.
    def pool_created(self, event: PoolCreatedEvent) -> None: ...

    def pool_ready(self, event: PoolReadyEvent) -> None: ...

    def pool_closed(self, event: PoolClosedEvent) -> None: ...

    def connection_created(self, event: ConnectionCreatedEvent) -> None: ...

    def connection_ready(self, event: ConnectionReadyEvent) -> None: ...

    def connection_closed(self, event: ConnectionClosedEvent) -> None: ...

    def connection_check_out_started(self, event: ConnectionCheckOutStartedEvent) -> None: ...

    def connection_check_out_failed(self, event: ConnectionCheckOutFailedEvent) -> None: ...

    def connection_checked_out(self, event: ConnectionCheckedOutEvent) -> None: ...

    def connection_checked_in(self, event: ConnectionCheckedInEvent) -> None: ...


def outages_of(client: AsyncMongoClient[Any]) -> Outages:
    """Raises `LookupError` where the client was made without."""
    for listener in client.options.event_listeners:
        if isinstance(listener, Outages):
            return listener
    raise LookupError("the client was not made by `connect`, and does not count its outages")
