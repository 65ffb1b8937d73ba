"""The connection: what a client does with connections that somebody else has closed."""

import asyncio
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.uri_parser import parse_uri

from domain.store.client import connect, open_database
from tests.relay import Relay

AT_ONCE = 10


async def test_connections_that_were_closed_while_nobody_needed_them_are_not_used(
    mongodb_uri: str, database: AsyncDatabase[dict[str, Any]]
) -> None:
    relay = Relay(idle_seconds=2.0)
    ((_, relay.behind),) = parse_uri(mongodb_uri)["nodelist"]
    async with relay.listening():
        # What watches the server is never idle, and so does not see it either.
        uri = mongodb_uri.replace(f":{relay.behind}", f":{relay.port}") + "&heartbeatFrequencyMS=500"
        async with connect(uri, idle_seconds=1.0) as client:
            things = open_database(client, database.name)["things"]
            for pause in (3.0, 0.0):
                # The driver tries nothing again that is done to many.
                await asyncio.gather(*(things.update_many({}, {"$inc": {"x": 1}}) for _ in range(AT_ONCE)))
                await asyncio.sleep(pause)
