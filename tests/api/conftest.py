"""A real server for every test that asks for one, on a loopback port, with a database of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from api.identity import Caller, Callers
from api.server import Serving, serving
from api.settings import Settings
from tests.api.client import Client

KEYS = {"admin-key-of-the-tests": "default", "another-key-of-the-tests": "other"}
CALLERS = Callers({key: Caller(account=account, name="admin") for key, account in KEYS.items()})


@pytest.fixture
def settings(mongodb_uri: str, database: AsyncDatabase[dict[str, Any]], tmp_path: Path) -> Settings:
    return Settings(
        mongodb_uri=mongodb_uri,
        database=database.name,
        data_dir=tmp_path,
        admin_key=secrets.token_urlsafe(),
        port=0,
        shutdown_seconds=5,
    )


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Serving]:
    async with serving(settings, CALLERS) as here:
        await here.shoal.engine.wait_ready()
        yield here


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[Client]:
    """A client with the key of the default account."""
    async with Client(server.url, "admin-key-of-the-tests") as client:
        yield client


@pytest.fixture
async def other_client(server: Serving) -> AsyncIterator[Client]:
    """A client with the key of another account."""
    async with Client(server.url, "another-key-of-the-tests") as client:
        yield client
