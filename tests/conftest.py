"""A real database for every test that asks for one.

One server per worker, not durable (speed); every test makes a database of its own there. Which server: `tests.server`.
"""

import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import UTC
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from bson.codec_options import CodecOptions
from hypothesis import settings
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase

from tests import server

# Generated tests are judged by their answers, not by the clock: a busy machine is no defect.
settings.register_profile("shoal", deadline=None)
settings.load_profile("shoal")

_ON_UVLOOP = {"use_uvloop": True}


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", _ON_UVLOOP


@pytest.fixture(scope="session")
def mongodb_uri() -> Iterator[str]:
    """The address of a server that lives as long as the worker; on a loop of its own, so that no test shares one."""
    with (
        start_blocking_portal("asyncio", _ON_UVLOOP) as portal,
        portal.wrap_async_context_manager(server.running(durable=False)) as uri,
    ):
        yield uri


@pytest.fixture
async def database(mongodb_uri: str) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """An empty database of the test's own, gone after it."""
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        name = f"shoal_test_{secrets.token_hex(6)}"
        try:
            yield client.get_database(
                name,
                codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
                write_concern=WriteConcern(w="majority"),
            )
        finally:
            await client.drop_database(name)
