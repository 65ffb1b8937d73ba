"""A real server for the tests of the API, on a loopback port, over a real database.

One server serves a worker's tests, each of which has accounts of its own; so the tests see nothing of each other, which is a
test in itself. Those that stop a server, or need it otherwise, start one by `serving(settings, ...)`.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from api.identity import Caller, Callers
from api.server import Serving, serving
from api.settings import Settings
from tests.api.client import Client

MOST_TESTS = 1_000
KEY = "the-admin-key-of-this-test"


def key_of(account: str) -> str:
    return f"the-key-of-{account}"


CALLERS = Callers(
    {
        key_of(account): Caller(account=account, name="admin")
        for account in ("default", *(f"account{number}" for number in range(MOST_TESTS)))
    }
)


@pytest.fixture(scope="session")
def shared_settings(mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        mongodb_uri=mongodb_uri,
        database=f"shoal_test_{secrets.token_hex(6)}",
        data_dir=tmp_path_factory.mktemp("data"),
        admin_key=secrets.token_urlsafe(),
        port=0,
        shutdown_seconds=5,
        private_targets=True,
    )


@pytest.fixture
def settings(shared_settings: Settings, database: AsyncDatabase[dict[str, Any]], tmp_path: Path) -> Settings:
    """For a server of the test's own, on a database of its own."""
    return replace(shared_settings, database=database.name, data_dir=tmp_path)


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """For a server that is a process, on a database of the test's own."""
    assert settings.mongodb_uri is not None
    return {
        "SHOAL_MONGODB_URI": settings.mongodb_uri,
        "SHOAL_DATABASE": settings.database,
        "SHOAL_ADMIN_KEY": KEY,
    }


@pytest.fixture(scope="session")
async def server(shared_settings: Settings) -> AsyncIterator[Serving]:
    assert shared_settings.mongodb_uri is not None
    async with serving(shared_settings, CALLERS) as here:
        await here.shoal.hub.until_complete()
        yield here
    async with AsyncMongoClient[dict[str, Any]](shared_settings.mongodb_uri) as mongodb:
        await mongodb.drop_database(shared_settings.database)


_accounts = iter(range(MOST_TESTS))


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[Client]:
    """A client with the key of an account that is empty."""
    async with Client(server.url, key_of(f"account{next(_accounts)}")) as client:
        yield client


@pytest.fixture
async def other_client(server: Serving) -> AsyncIterator[Client]:
    """A client with the key of another empty account."""
    async with Client(server.url, key_of(f"account{next(_accounts)}")) as client:
        yield client
