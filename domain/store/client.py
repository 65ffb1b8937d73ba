"""The connection to MongoDB, with the guarantees that Shoal relies on said explicitly.

Owns how a database is opened; refuses nothing. Every write is acknowledged by a majority and journalled (`w: majority, j:
true`): a membership event must never announce what a crash can take back. Datetimes come back aware, in UTC.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError
from pymongo.errors import ConnectionFailure as DatabaseUnreachable
from pymongo.errors import PyMongoError as DatabaseError
from pymongo.monitoring import CommandListener
from pymongo.read_concern import ReadConcern

from domain.store.cancelling import heed_cancellation
from domain.store.openings import Openings

__all__ = [
    "CODEC",
    "Database",
    "DatabaseError",
    "DatabaseUnreachable",
    "Document",
    "connect",
    "connected",
    "open_database",
]

heed_cancellation()

CLOSE_SECONDS = 2.0
IDLE_SECONDS = 60.0
"""After which a connection is not used any more. SecantusDB closes it after 300, firewalls after their own time; the
driver does not see it, and what it does not try again would fail."""

Document = dict[str, Any]
Database = AsyncDatabase[Document]

# What Python cannot hold comes back as another type, not as an error: other programs write dates beyond the year 9999.
CODEC: CodecOptions[Document] = CodecOptions(
    tz_aware=True,
    tzinfo=UTC,
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)


def connect(
    uri: str,
    *,
    timeout_seconds: float = 10.0,
    idle_seconds: float = IDLE_SECONDS,
    listeners: Sequence[CommandListener] = (),
) -> AsyncMongoClient[Document]:
    """A client for `uri`. Nothing is sent until the first operation, which fails after `timeout_seconds` without a server.

    Raises `DatabaseError` for a URI that is none.
    """
    try:
        return AsyncMongoClient(
            uri,
            tz_aware=True,
            tzinfo=UTC,
            appname="shoal",
            serverSelectionTimeoutMS=int(timeout_seconds * 1000),
            maxIdleTimeMS=int(idle_seconds * 1000),
            event_listeners=[*listeners, Openings()],
        )
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


@asynccontextmanager
async def connected(uri: str) -> AsyncIterator[AsyncMongoClient[Document]]:
    """As `connect`, until the block is left. A database that does not answer its goodbye is left without one."""
    client = connect(uri)
    try:
        yield client
    finally:
        with suppress(DatabaseError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.close()


def open_database(client: AsyncMongoClient[Document], name: str) -> Database:
    """The database `name`, with Shoal's concerns for reading and writing whatever the URI says."""
    return client.get_database(
        name,
        codec_options=CODEC,
        read_preference=ReadPreference.PRIMARY,
        write_concern=WriteConcern(w="majority", j=True),
        read_concern=ReadConcern("majority"),
    )
