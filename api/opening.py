"""The database of the settings, for commands that work beside a server as well as without one.

Owns the finding of it: the one named, or the embedded one, attached to where a server runs it already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from api.settings import Settings
from domain.errors import StartupError
from domain.store import embedded
from domain.store.client import Database, DatabaseError, connected, open_database


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Open until the block is left. Raises `StartupError` where there is none to be had."""
    if settings.mongodb_uri is None:
        async with (
            embedded.running(settings.data_dir) as running,
            _connected(running.uri, settings) as database,
        ):
            yield database
    else:
        async with _connected(settings.mongodb_uri, settings) as database:
            yield database


@asynccontextmanager
async def _connected(uri: str, settings: Settings) -> AsyncIterator[Database]:
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(connected(uri))
        except DatabaseError as error:
            raise StartupError(f"The database cannot be used: {error}") from error
        yield open_database(client, settings.database)
